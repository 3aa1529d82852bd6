//! The session's settings: protocol defaults and how an update changes them.
//! Used by [`super::Session`] and by the REST routes that mint sessions before a socket exists.
//! Never touches the conversation; what forbids a change is passed in.

use wire::realtime::session::{
    AudioInput, AudioOutput, MaxTokens, Modality, ToolChoice, Transcription, Truncation,
    TurnDetection, TurnDetectionUpdate, Voice,
};
use wire::realtime::{AudioFormat, ErrorBody, Session, SessionKind, SessionUpdate};

/// What a new session starts from; the operator's side of the settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// `sess_…`.
    pub id: String,
    /// Conversation or transcription only.
    pub kind: SessionKind,
    /// Model as requested by the connection.
    pub model: String,
    /// Default system prompt.
    pub instructions: String,
    /// Default voice.
    pub voice: String,
    /// Unix seconds when the session ends.
    pub expires_at: i64,
}

/// What the state of the conversation forbids.
#[derive(Debug, Clone, Copy, Default)]
pub struct Locks {
    /// The conversation holds assistant audio: its voice is fixed.
    pub voice: Lock,
    /// A response is running: its speed is fixed until the next turn.
    pub speed: Lock,
}

/// Whether a setting may change now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lock {
    /// It may.
    #[default]
    Open,
    /// It may not.
    Shut,
}

impl From<bool> for Lock {
    fn from(shut: bool) -> Self {
        if shut { Self::Shut } else { Self::Open }
    }
}

/// A session with the protocol's defaults (spec/realtime §1.3).
pub fn defaults(template: Template) -> Session {
    Session {
        id: template.id,
        kind: template.kind,
        model: template.model,
        output_modalities: Modality::Audio,
        instructions: template.instructions,
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        parallel_tool_calls: None,
        reasoning: None,
        max_output_tokens: MaxTokens::Inf,
        truncation: Truncation::Auto,
        tracing: None,
        prompt: None,
        include: None,
        expires_at: template.expires_at,
        input: AudioInput {
            format: AudioFormat::PCM,
            transcription: None,
            noise_reduction: None,
            turn_detection: Some(TurnDetection::server_vad()),
        },
        output: AudioOutput {
            format: AudioFormat::PCM,
            voice: Voice::Name(template.voice),
            speed: 1.0,
        },
    }
}

/// A session with `update` applied to the defaults.
///
/// # Errors
/// As [`apply`].
pub fn effective(template: Template, update: &SessionUpdate) -> Result<Session, ErrorBody> {
    let kind = update.kind.unwrap_or(template.kind);
    let mut session = defaults(Template { kind, ..template });
    apply(&mut session, update, Locks::default())?;
    if let Some(model) = &update.model {
        session.model.clone_from(model);
    }
    Ok(session)
}

/// Changes `session` by what is present in `update`; on error nothing has changed.
///
/// `model` is accepted and ignored: every SDK sends its own default (spec/realtime §6.1).
///
/// # Errors
/// A change of kind, of the voice once the assistant has spoken, or of the speed while a response runs.
pub fn apply(session: &mut Session, update: &SessionUpdate, locks: Locks) -> Result<(), ErrorBody> {
    check(session, update, locks)?;
    set(
        &mut session.output_modalities,
        update.output_modalities.as_ref(),
    );
    set(&mut session.instructions, update.instructions.as_ref());
    set(&mut session.tools, update.tools.as_ref());
    set(&mut session.tool_choice, update.tool_choice.as_ref());
    if update.parallel_tool_calls.is_some() {
        session.parallel_tool_calls = update.parallel_tool_calls;
    }
    set(&mut session.reasoning, update.reasoning.as_ref());
    set(
        &mut session.max_output_tokens,
        update.max_output_tokens.as_ref(),
    );
    set(&mut session.truncation, update.truncation.as_ref());
    set(&mut session.tracing, update.tracing.as_ref());
    set(&mut session.prompt, update.prompt.as_ref());
    set(&mut session.include, update.include.as_ref());
    set(&mut session.input.format, update.input_format.as_ref());
    set(
        &mut session.input.noise_reduction,
        update.noise_reduction.as_ref(),
    );
    if let Some(change) = &update.transcription {
        session.input.transcription = change
            .as_ref()
            .map(|c| transcription(session.input.transcription.take(), c));
    }
    if let Some(change) = &update.turn_detection {
        session.input.turn_detection = change
            .as_ref()
            .map(|c| turn_detection(session.input.turn_detection.take(), c));
    }
    set(&mut session.output.format, update.output_format.as_ref());
    set(&mut session.output.voice, update.voice.as_ref());
    set(&mut session.output.speed, update.speed.as_ref());
    Ok(())
}

/// Whether somebody speaks with this voice, where it is known who does. `param` is where the client named it.
///
/// # Errors
/// `invalid_value`, with the names there are.
pub fn check_voice(voice: &Voice, known: Option<&[String]>, param: &str) -> Result<(), ErrorBody> {
    let name = voice.name();
    let Some(known) = known.filter(|known| !known.iter().any(|it| it == name)) else {
        return Ok(());
    };
    let message = format!(
        "Invalid '{param}': there is no voice '{name}'; there are {}.",
        known.join(", ")
    );
    Err(ErrorBody::invalid("invalid_value", message).at(param))
}

fn set<T: Clone>(field: &mut T, change: Option<&T>) {
    if let Some(value) = change {
        field.clone_from(value);
    }
}

fn check(session: &Session, update: &SessionUpdate, locks: Locks) -> Result<(), ErrorBody> {
    if let Some(kind) = update.kind
        && kind != session.kind
    {
        let name = |kind| match kind {
            SessionKind::Realtime => "realtime",
            SessionKind::Transcription => "transcription",
        };
        let message = format!(
            "Passing a {} session update event to a {} session is not allowed.",
            name(kind),
            name(session.kind)
        );
        return Err(ErrorBody::invalid("invalid_value", message).at("session.type"));
    }
    if locks.voice == Lock::Shut
        && update
            .voice
            .as_ref()
            .is_some_and(|voice| *voice != session.output.voice)
    {
        let message = "Cannot update a conversation's voice if assistant audio is present.";
        return Err(
            ErrorBody::invalid("cannot_update_voice", message).at("session.audio.output.voice")
        );
    }
    // equal numbers come from clients that send their whole configuration again
    if locks.speed == Lock::Shut
        && update
            .speed
            .is_some_and(|speed| (speed - session.output.speed).abs() > f32::EPSILON)
    {
        let message =
            "The speed can be changed between turns only: send this again after response.done.";
        return Err(ErrorBody::invalid("invalid_value", message).at("session.audio.output.speed"));
    }
    Ok(())
}

fn transcription(current: Option<Transcription>, change: &Transcription) -> Transcription {
    let mut merged = current.unwrap_or_default();
    let keep = |field: &mut Option<String>, new: &Option<String>| {
        if new.is_some() {
            field.clone_from(new);
        }
    };
    keep(&mut merged.model, &change.model);
    keep(&mut merged.language, &change.language);
    keep(&mut merged.prompt, &change.prompt);
    keep(&mut merged.delay, &change.delay);
    if change.languages.is_some() {
        merged.languages.clone_from(&change.languages);
    }
    if change.keywords.is_some() {
        merged.keywords.clone_from(&change.keywords);
    }
    merged
}

/// Merged when the kind stays, replaced by that kind's defaults when it changes.
fn turn_detection(current: Option<TurnDetection>, change: &TurnDetectionUpdate) -> TurnDetection {
    let was_semantic = matches!(current, Some(TurnDetection::SemanticVad { .. }));
    let semantic = change.semantic.unwrap_or(was_semantic);
    let mut merged = match current {
        Some(current) if was_semantic == semantic => current,
        _ if semantic => TurnDetection::semantic_vad(),
        _ => TurnDetection::server_vad(),
    };
    match &mut merged {
        TurnDetection::ServerVad {
            threshold,
            prefix_padding_ms,
            silence_duration_ms,
            idle_timeout_ms,
            create_response,
            interrupt_response,
        } => {
            set(threshold, change.threshold.as_ref());
            set(prefix_padding_ms, change.prefix_padding_ms.as_ref());
            set(silence_duration_ms, change.silence_duration_ms.as_ref());
            set(idle_timeout_ms, change.idle_timeout_ms.as_ref());
            set(create_response, change.create_response.as_ref());
            set(interrupt_response, change.interrupt_response.as_ref());
        }
        TurnDetection::SemanticVad {
            eagerness,
            create_response,
            interrupt_response,
        } => {
            set(eagerness, change.eagerness.as_ref());
            set(create_response, change.create_response.as_ref());
            set(interrupt_response, change.interrupt_response.as_ref());
        }
    }
    merged
}
