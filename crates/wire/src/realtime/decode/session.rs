//! The `session` object of `session.update` and of the REST bodies (spec/realtime §1.3-§1.5).
//! Called by `decode` and, through [`super::session_update`], by the REST handlers.
//! Never merges: which values are in force is the engine's business.

use super::fields::{At, Fields, Read, invalid, unsupported};
use crate::realtime::AudioFormat;
use crate::realtime::session::{
    AGENT_LABEL, Eagerness, MaxTokens, Modality, NamedTool, RetentionRatio, SessionKind,
    SessionUpdate, Tool, ToolChoice, Transcription, Truncation, TurnDetectionUpdate, Voice,
};
use serde_json::Value;

/// Fields of the echoed session that read-modify-write clients send back; accepted without effect.
const ECHOED: &[&str] = &["id", "object", "expires_at"];

/// What sessions of both kinds may have.
pub(super) const COMMON: &[&str] = &["type", "audio", "include"];

/// What a conversation may have beside [`COMMON`].
pub(super) const CONVERSATION: &[&str] = &[
    "model",
    "output_modalities",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "max_output_tokens",
    "truncation",
    "tracing",
    "prompt",
];

const EFFORTS: [(&str, ()); 5] = [
    ("minimal", ()),
    ("low", ()),
    ("medium", ()),
    ("high", ()),
    ("xhigh", ()),
];

/// Tools of one session or response, and MCP servers among them: each is a connection of ours.
const MAX_TOOLS: usize = 128;
const MAX_MCP_SERVERS: usize = 8;

/// Longest function name, in characters.
const MAX_FUNCTION_NAME: usize = 128;

/// A whole session request.
pub(super) fn update(at: At<'_>) -> Read<SessionUpdate> {
    let session = at.object()?;
    let kind = session.need("type", |at| {
        at.choice(&[
            ("realtime", SessionKind::Realtime),
            ("transcription", SessionKind::Transcription),
        ])
    })?;
    let mut update = match kind {
        SessionKind::Realtime => {
            session.only(&[COMMON, CONVERSATION, ECHOED])?;
            conversation(&session)?
        }
        SessionKind::Transcription => {
            session.only(&[COMMON, ECHOED])?;
            SessionUpdate::default()
        }
    };
    update.kind = Some(kind);
    update.include = session.clearable("include", |at| {
        at.each(|at| {
            at.clone()
                .choice(&[("item.input_audio_transcription.logprobs", ())])?;
            at.string()
        })
    })?;
    if let Some(audio) = session.read("audio", At::object)? {
        match kind {
            SessionKind::Realtime => audio.only(&[&["input", "output"]])?,
            SessionKind::Transcription => audio.only(&[&["input"]])?,
        }
        if let Some(input) = audio.read("input", At::object)? {
            read_input(&input, &mut update)?;
        }
        if let Some(output) = audio.read("output", At::object)? {
            output.only(&[&["format", "voice", "speed"]])?;
            update.output_format = output.read("format", format)?;
            update.voice = output.read("voice", voice)?;
            update.speed = output.read("speed", |at| at.number_in(0.25..=1.5))?;
        }
    }
    Ok(update)
}

fn conversation(session: &Fields<'_>) -> Read<SessionUpdate> {
    Ok(SessionUpdate {
        model: session.read("model", At::string)?,
        output_modalities: session.read("output_modalities", modality)?,
        instructions: session.read("instructions", At::string)?,
        tools: session.read("tools", tools)?,
        tool_choice: session.read("tool_choice", tool_choice)?,
        parallel_tool_calls: session.read("parallel_tool_calls", At::boolean)?,
        reasoning: session.clearable("reasoning", reasoning)?,
        max_output_tokens: session.read("max_output_tokens", max_tokens)?,
        truncation: session.read("truncation", truncation)?,
        tracing: session.clearable("tracing", tracing)?,
        prompt: session.clearable("prompt", prompt)?,
        ..SessionUpdate::default()
    })
}

fn read_input(input: &Fields<'_>, update: &mut SessionUpdate) -> Read<()> {
    input.only(&[&[
        "format",
        "transcription",
        "noise_reduction",
        "turn_detection",
    ]])?;
    update.input_format = input.read("format", format)?;
    update.transcription = input.clearable("transcription", transcription)?;
    update.noise_reduction = input.clearable("noise_reduction", noise_reduction)?;
    update.turn_detection = input.clearable("turn_detection", turn_detection)?;
    Ok(())
}

/// `["audio"]` or `["text"]`, not both.
pub(super) fn modality(at: At<'_>) -> Read<Modality> {
    let path = at.path.clone();
    let listed =
        at.each(|at| at.choice(&[("text", Modality::Text), ("audio", Modality::Audio)]))?;
    match listed.as_slice() {
        [one] => Ok(*one),
        _ => Err(invalid(
            &path,
            "Invalid modalities. Supported combinations are: ['text'] and ['audio'].",
        )),
    }
}

/// 1 to 4096, or `"inf"`.
pub(super) fn max_tokens(at: At<'_>) -> Read<MaxTokens> {
    match at.value {
        Value::String(text) if text == "inf" => Ok(MaxTokens::Inf),
        Value::String(text) => Err(unsupported(&at.path, text, ["inf"])),
        _ => at.integer_in(1..=4096).map(MaxTokens::Limit),
    }
}

/// An audio format (spec/realtime §1.4); the rate may be left out but not be another one.
pub(super) fn format(at: At<'_>) -> Read<AudioFormat> {
    let format = at.object()?;
    format.only(&[&["type", "rate"]])?;
    let (kind, rate) = format.need("type", |at| {
        at.choice(&[
            ("audio/pcm", (AudioFormat::PCM, 24_000)),
            ("audio/pcmu", (AudioFormat::Pcmu, 8_000)),
            ("audio/pcma", (AudioFormat::Pcma, 8_000)),
        ])
    })?;
    if let Some(at) = format.get("rate") {
        let path = at.path.clone();
        let given = at.integer()?;
        if given != rate {
            return Err(unsupported(
                &path,
                &given.to_string(),
                [rate.to_string().as_str()],
            ));
        }
    }
    Ok(kind)
}

/// A voice by name or by id.
pub(crate) fn voice(at: At<'_>) -> Read<Voice> {
    let path = at.path.clone();
    let voice = match at.value {
        Value::Object(_) => {
            let voice = at.object()?;
            voice.only(&[&["id"]])?;
            let id = voice.need("id", At::string)?;
            Voice::Id { id }
        }
        _ => Voice::Name(at.string()?),
    };
    if voice.name().is_empty() {
        return Err(invalid(
            &path,
            format!("Invalid '{path}': expected a voice name."),
        ));
    }
    Ok(voice)
}

fn transcription(at: At<'_>) -> Read<Transcription> {
    let fields = at.object()?;
    fields.only(&[&[
        "model",
        "language",
        "prompt",
        "languages",
        "keywords",
        "delay",
    ]])?;
    Ok(Transcription {
        model: fields.read("model", At::string)?,
        language: fields.read("language", At::string)?,
        prompt: fields.read("prompt", At::string)?,
        languages: fields.read("languages", At::strings)?,
        keywords: fields.read("keywords", At::strings)?,
        delay: fields.read("delay", |at| {
            at.clone().choice(&EFFORTS)?;
            at.string()
        })?,
    })
}

fn noise_reduction(at: At<'_>) -> Read<Value> {
    let fields = at.clone().object()?;
    fields.only(&[&["type", "strength"]])?;
    fields.read("type", |at| {
        at.choice(&[("near_field", ()), ("far_field", ())])
    })?;
    fields.read("strength", |at| at.number_in(0.0..=1.0))?;
    at.json()
}

fn turn_detection(at: At<'_>) -> Read<TurnDetectionUpdate> {
    let server = [
        "threshold",
        "prefix_padding_ms",
        "silence_duration_ms",
        "idle_timeout_ms",
    ];
    let fields = at.object()?;
    fields.only(&[
        &[
            "type",
            "eagerness",
            "create_response",
            "interrupt_response",
            "model_version",
        ],
        &server,
    ])?;
    let semantic = fields.read("type", |at| {
        at.choice(&[("server_vad", false), ("semantic_vad", true)])
    })?;
    match semantic {
        Some(true) => fields.without(&server)?,
        Some(false) => fields.without(&["eagerness"])?,
        None => {}
    }
    Ok(TurnDetectionUpdate {
        semantic,
        threshold: fields.read("threshold", |at| at.number_in(0.0..=1.0))?,
        prefix_padding_ms: fields.read("prefix_padding_ms", At::small_integer)?,
        silence_duration_ms: fields.read("silence_duration_ms", At::small_integer)?,
        idle_timeout_ms: fields.clearable("idle_timeout_ms", At::small_integer)?,
        eagerness: fields.read("eagerness", |at| {
            at.choice(&[
                ("low", Eagerness::Low),
                ("medium", Eagerness::Medium),
                ("high", Eagerness::High),
                ("auto", Eagerness::Auto),
            ])
        })?,
        create_response: fields.read("create_response", At::boolean)?,
        interrupt_response: fields.read("interrupt_response", At::boolean)?,
    })
}

/// The tools a model may use.
pub(super) fn tools(at: At<'_>) -> Read<Vec<Tool>> {
    let path = at.path.clone();
    let refused = |what: &str| invalid(&path, format!("Invalid '{path}': {what}."));
    if at.value.as_array().is_some_and(|all| all.len() > MAX_TOOLS) {
        return Err(refused(&format!("expected at most {MAX_TOOLS} tools")));
    }
    let tools = at.each(tool)?;
    let mut labels: Vec<&str> = Vec::new();
    for tool in &tools {
        let Tool::Mcp { server_label, .. } = tool else {
            continue;
        };
        if labels.contains(&server_label.as_str()) {
            let what = format!("there are two MCP servers with the label '{server_label}'");
            return Err(refused(&what));
        }
        labels.push(server_label);
    }
    if labels.len() > MAX_MCP_SERVERS {
        let what = format!("expected at most {MAX_MCP_SERVERS} MCP servers");
        return Err(refused(&what));
    }
    Ok(tools)
}

fn tool(at: At<'_>) -> Read<Tool> {
    let fields = at.object()?;
    let mcp = fields.need("type", |at| {
        at.choice(&[("function", false), ("mcp", true)])
    })?;
    if mcp {
        return mcp_tool(&fields);
    }
    fields.only(&[&["type", "name", "description", "parameters"]])?;
    Ok(Tool::Function {
        name: fields.need("name", function_name)?,
        description: fields.read("description", At::string)?,
        parameters: fields.read("parameters", |at| {
            at.clone().object()?;
            at.json()
        })?,
    })
}

fn function_name(at: At<'_>) -> Read<String> {
    let path = at.path.clone();
    let name = at.string()?;
    let fits = (1..=MAX_FUNCTION_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if fits {
        return Ok(name);
    }
    let message = format!(
        "Invalid '{path}': expected 1 to {MAX_FUNCTION_NAME} characters that match the pattern '^[a-zA-Z0-9_-]+$'."
    );
    Err(invalid(&path, message))
}

fn mcp_tool(fields: &Fields<'_>) -> Read<Tool> {
    let strings = [
        "server_url",
        "connector_id",
        "tunnel_id",
        "authorization",
        "server_description",
    ];
    fields.only(&[
        &[
            "type",
            "server_label",
            "headers",
            "allowed_tools",
            "require_approval",
        ],
        &["defer_loading", "allowed_callers"],
        &strings,
    ])?;
    let server_label = fields.need("server_label", At::string)?;
    if server_label.starts_with(AGENT_LABEL) {
        let path = fields.path_of("server_label");
        let message = format!(
            "Invalid '{path}': labels that begin with '{AGENT_LABEL}' are those of an agent's servers."
        );
        return Err(invalid(&path, message));
    }
    for key in strings {
        fields.read(key, At::string)?;
    }
    fields.read("defer_loading", At::boolean)?;
    fields.read("allowed_callers", At::strings)?;
    if let Some(headers) = fields.read("headers", At::object)? {
        for key in headers.raw().keys() {
            headers.read(key, At::string)?;
        }
    }
    if let Some(Value::String(approval)) = fields.get("require_approval").map(|at| at.value)
        && !["always", "never"].contains(&approval.as_str())
    {
        let path = fields.path_of("require_approval");
        return Err(unsupported(&path, approval, ["always", "never"]));
    }
    if !["server_url", "connector_id", "tunnel_id"]
        .iter()
        .any(|key| fields.get(key).is_some())
    {
        return Err(super::fields::missing(&fields.path_of("server_url")));
    }
    let mut rest = fields.raw().clone();
    rest.retain(|key, value| key != "type" && key != "server_label" && !value.is_null());
    Ok(Tool::Mcp { server_label, rest })
}

/// Which tool must be used.
pub(super) fn tool_choice(at: At<'_>) -> Read<ToolChoice> {
    if at.value.is_string() {
        return at.choice(&[("none", 0), ("auto", 1), ("required", 2)]).map(
            |choice| match choice {
                0 => ToolChoice::None,
                1 => ToolChoice::Auto,
                _ => ToolChoice::Required,
            },
        );
    }
    let fields = at.object()?;
    let mcp = fields.need("type", |at| {
        at.choice(&[("function", false), ("mcp", true)])
    })?;
    if mcp {
        fields.only(&[&["type", "server_label", "name"]])?;
        return Ok(ToolChoice::Named(NamedTool::Mcp {
            server_label: fields.need("server_label", At::string)?,
            name: fields.read("name", At::string)?,
        }));
    }
    fields.only(&[&["type", "name"]])?;
    let name = fields.need("name", At::string)?;
    Ok(ToolChoice::Named(NamedTool::Function { name }))
}

/// `{effort}`.
pub(super) fn reasoning(at: At<'_>) -> Read<Value> {
    let fields = at.clone().object()?;
    fields.only(&[&["effort"]])?;
    fields.read("effort", |at| at.choice(&EFFORTS))?;
    at.json()
}

/// `{id, version?, variables?}`.
pub(super) fn prompt(at: At<'_>) -> Read<Value> {
    let fields = at.clone().object()?;
    fields.only(&[&["id", "version", "variables"]])?;
    fields.need("id", At::string)?;
    fields.read("version", At::string)?;
    fields.read("variables", At::object)?;
    at.json()
}

fn truncation(at: At<'_>) -> Read<Truncation> {
    if at.value.is_string() {
        let disabled = at.choice(&[("auto", false), ("disabled", true)])?;
        return Ok(if disabled {
            Truncation::Disabled
        } else {
            Truncation::Auto
        });
    }
    let fields = at.object()?;
    fields.need("type", |at| at.choice(&[("retention_ratio", ())]))?;
    fields.only(&[&["type", "retention_ratio", "token_limits"]])?;
    let token_limits = fields.read("token_limits", |at| {
        let limits = at.clone().object()?;
        limits.only(&[&["post_instructions"]])?;
        limits.read("post_instructions", At::integer)?;
        at.json()
    })?;
    Ok(Truncation::RetentionRatio(RetentionRatio {
        retention_ratio: fields.need("retention_ratio", |at| at.number_in(0.0..=1.0))?,
        token_limits,
    }))
}

fn tracing(at: At<'_>) -> Read<Value> {
    if at.value.is_string() {
        at.clone().choice(&[("auto", ())])?;
    } else {
        let fields = at.clone().object()?;
        fields.only(&[&["workflow_name", "group_id", "metadata"]])?;
        fields.read("workflow_name", At::string)?;
        fields.read("group_id", At::string)?;
        fields.read("metadata", At::object)?;
    }
    at.json()
}
