//! What gateways and workers write into the streams: audio as raw bytes, everything else as JSON.
//! Used by the remote ports and by the workers, so that both mean the same.
//! Never fails on what the other side wrote: what it does not understand is `None`, and the job fails with a reason.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use engine::ask::{Finish, LlmUsage};
use providers::guarded::{Incident, Stage};
use providers::ports::{LlmEvent, Piece, SttCommand, SttEvent, TtsEvent};
use providers::{Kind, ProviderError};
use serde::{Deserialize, Serialize};
use store::live::WorkKind;
use store::live::work::Message;

/// Told: so many more answers may be sent.
pub const MORE: &str = "more";
/// Told: nothing more will be told.
pub(crate) const END: &str = "end";
/// Answered: the worker's first provider failed, and another one took over.
pub(crate) const DEGRADED: &str = "degraded";
/// Another voice speaks from here on.
const ANOTHER: &str = "another_voice";

const AUDIO: &str = "audio";
const PAUSE: &str = "pause";
const RESUME: &str = "resume";
const PIECE: &str = "piece";
const DONE: &str = "done";
const TEXT: &str = "text";
const PARTIAL: &str = "partial";
const TURN: &str = "turn";
const FINAL: &str = "final";
const CALL: &str = "call";
const ARGUMENTS: &str = "arguments";
const FAILED: &str = "failed";

/// A piece of text to speak.
#[derive(Serialize, Deserialize)]
struct PieceBody {
    index: u32,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct FinalBody {
    text: String,
    audio_ms: u64,
    logprobs: Vec<(String, f32)>,
}

#[derive(Serialize, Deserialize)]
struct CallBody {
    call_id: String,
    name: String,
}

#[derive(Serialize, Deserialize)]
struct DoneBody {
    finish: Finish,
    usage: LlmUsage,
}

#[derive(Serialize, Deserialize)]
struct FailedBody {
    provider: String,
    kind: String,
    message: String,
    explanation: Option<String>,
    retry_after_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct DegradedBody {
    from: String,
    to: String,
}

/// A provider of a worker that took over.
pub(crate) struct TakeOver {
    stage: Stage,
    body: DegradedBody,
}

impl TakeOver {
    /// As what happened in `session`.
    pub(crate) fn of<'a>(&'a self, session: &'a str) -> Incident<'a> {
        Incident::FailedOver {
            session,
            stage: self.stage,
            from: &self.body.from,
            to: &self.body.to,
        }
    }
}

pub(crate) fn degraded_message(from: &str, to: &str) -> Message {
    let body = DegradedBody {
        from: from.to_owned(),
        to: to.to_owned(),
    };
    Message::new(DEGRADED, json(&body))
}

pub(crate) fn degraded(kind: WorkKind, data: &[u8]) -> Option<TakeOver> {
    let stage = stage_of(kind);
    let body = serde_json::from_slice(data).ok()?;
    Some(TakeOver { stage, body })
}

const fn stage_of(kind: WorkKind) -> Stage {
    match kind {
        WorkKind::Stt => Stage::Stt,
        WorkKind::Tts => Stage::Tts,
        WorkKind::Llm => Stage::Llm,
    }
}

/// The kind of work that is done at `stage`; none for speech-to-speech, which no worker does.
pub(crate) fn kind_of(stage: Stage) -> Option<WorkKind> {
    let at = |kind: &WorkKind| stage_of(*kind) == stage;
    WorkKind::ALL.into_iter().find(at)
}

/// Whether an answer says that the provider failed for good.
pub fn is_failure(message: &Message) -> bool {
    message.kind == FAILED
}

/// Whether an answer is the last of a job that was done.
pub fn is_last(kind: WorkKind, message: &Message) -> bool {
    match kind {
        WorkKind::Stt => message.kind == FINAL,
        WorkKind::Tts => message.kind == END,
        WorkKind::Llm => message.kind == DONE,
    }
}

/// JSON of a value that has no maps with keys other than text, so that this cannot fail.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// `commands` as messages; neighbouring audio becomes one.
pub(crate) fn stt_commands(commands: &[SttCommand]) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut sound = BytesMut::new();
    for command in commands {
        let kind = match command {
            SttCommand::Audio(samples) => {
                samples.iter().for_each(|sample| sound.put_i16_le(*sample));
                continue;
            }
            SttCommand::Pause => PAUSE,
            SttCommand::Resume => RESUME,
            SttCommand::End => END,
        };
        if !sound.is_empty() {
            messages.push(Message::new(AUDIO, sound.split().freeze()));
        }
        messages.push(Message::new(kind, Vec::new()));
    }
    if !sound.is_empty() {
        messages.push(Message::new(AUDIO, sound.freeze()));
    }
    messages
}

pub(crate) fn stt_command(message: &Message) -> Option<SttCommand> {
    Some(match message.kind.as_str() {
        AUDIO => SttCommand::Audio(samples(&message.data)),
        PAUSE => SttCommand::Pause,
        RESUME => SttCommand::Resume,
        END => SttCommand::End,
        _ => return None,
    })
}

pub(crate) fn stt_answer(event: &SttEvent) -> Message {
    match event {
        SttEvent::Partial { text } => Message::new(PARTIAL, text.clone()),
        SttEvent::EndOfTurn { probability } => {
            Message::new(TURN, probability.to_le_bytes().to_vec())
        }
        SttEvent::Final {
            text,
            audio_ms,
            logprobs,
        } => {
            let body = FinalBody {
                text: text.clone(),
                audio_ms: *audio_ms,
                logprobs: logprobs.clone(),
            };
            Message::new(FINAL, json(&body))
        }
        SttEvent::Failed(error) => failed(error),
    }
}

pub(crate) fn stt_event(message: &Message) -> Option<SttEvent> {
    Some(match message.kind.as_str() {
        PARTIAL => SttEvent::Partial {
            text: text(message)?,
        },
        TURN => SttEvent::EndOfTurn {
            probability: f32::from_le_bytes(message.data.as_ref().try_into().ok()?),
        },
        FINAL => {
            let body: FinalBody = serde_json::from_slice(&message.data).ok()?;
            SttEvent::Final {
                text: body.text,
                audio_ms: body.audio_ms,
                logprobs: body.logprobs,
            }
        }
        FAILED => SttEvent::Failed(error_of(message)?),
        _ => return None,
    })
}

pub(crate) fn piece_message(piece: &Piece) -> Message {
    let body = PieceBody {
        index: piece.index,
        text: piece.text.clone(),
    };
    Message::new(PIECE, json(&body))
}

pub(crate) fn piece(message: &Message) -> Option<Piece> {
    let body: PieceBody = (message.kind == PIECE)
        .then(|| serde_json::from_slice(&message.data).ok())
        .flatten()?;
    Some(Piece {
        index: body.index,
        text: body.text,
    })
}

pub(crate) fn tts_answer(event: &TtsEvent) -> Message {
    match event {
        TtsEvent::Audio {
            index,
            rate_hz,
            samples,
        } => {
            let mut bytes = BytesMut::with_capacity(8 + 2 * samples.len());
            bytes.put_u32_le(*index);
            bytes.put_u32_le(*rate_hz);
            samples.iter().for_each(|sample| bytes.put_i16_le(*sample));
            Message::new(AUDIO, bytes.freeze())
        }
        TtsEvent::PieceDone { index } => Message::new(DONE, index.to_le_bytes().to_vec()),
        TtsEvent::Another(voice) => Message::new(ANOTHER, json(voice)),
        TtsEvent::Failed(error) => failed(error),
    }
}

/// An answer of a voice; `None` for [`END`], after which no more comes, and for what nobody understands.
pub(crate) fn tts_event(message: &Message) -> Option<TtsEvent> {
    let number = |at: usize| -> Option<u32> {
        let bytes = message.data.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    Some(match message.kind.as_str() {
        AUDIO => TtsEvent::Audio {
            index: number(0)?,
            rate_hz: number(4)?,
            samples: samples(&message.data[8..]),
        },
        DONE => TtsEvent::PieceDone { index: number(0)? },
        ANOTHER => TtsEvent::Another(serde_json::from_slice(&message.data).ok()?),
        FAILED => TtsEvent::Failed(error_of(message)?),
        _ => return None,
    })
}

pub(crate) fn llm_answer(event: &LlmEvent) -> Message {
    match event {
        LlmEvent::Text(text) => Message::new(TEXT, text.clone()),
        LlmEvent::ToolCall { call_id, name } => {
            let body = CallBody {
                call_id: call_id.clone(),
                name: name.clone(),
            };
            Message::new(CALL, json(&body))
        }
        LlmEvent::ToolArguments(text) => Message::new(ARGUMENTS, text.clone()),
        LlmEvent::Done { finish, usage } => {
            let (finish, usage) = (*finish, *usage);
            Message::new(DONE, json(&DoneBody { finish, usage }))
        }
        LlmEvent::Failed(error) => failed(error),
    }
}

pub(crate) fn llm_event(message: &Message) -> Option<LlmEvent> {
    Some(match message.kind.as_str() {
        TEXT => LlmEvent::Text(text(message)?),
        CALL => {
            let body: CallBody = serde_json::from_slice(&message.data).ok()?;
            LlmEvent::ToolCall {
                call_id: body.call_id,
                name: body.name,
            }
        }
        ARGUMENTS => LlmEvent::ToolArguments(text(message)?),
        DONE => {
            let body: DoneBody = serde_json::from_slice(&message.data).ok()?;
            LlmEvent::Done {
                finish: body.finish,
                usage: body.usage,
            }
        }
        FAILED => LlmEvent::Failed(error_of(message)?),
        _ => return None,
    })
}

/// A failure as the last answer of a job.
pub(crate) fn failed(error: &ProviderError) -> Message {
    let body = FailedBody {
        provider: error.provider.to_string(),
        kind: kind_name(error.kind).to_owned(),
        message: error.message.clone(),
        explanation: error.explanation.clone(),
        retry_after_ms: error.retry_after.map(|it| it.as_millis() as u64),
    };
    Message::new(FAILED, json(&body))
}

fn error_of(message: &Message) -> Option<ProviderError> {
    let body: FailedBody = serde_json::from_slice(&message.data).ok()?;
    Some(ProviderError {
        explanation: body.explanation,
        retry_after: body.retry_after_ms.map(Duration::from_millis),
        ..ProviderError::new(body.provider, kind_named(&body.kind), body.message)
    })
}

const KINDS: [(&str, Kind); 7] = [
    ("unavailable", Kind::Unavailable),
    ("overloaded", Kind::Overloaded),
    ("rate_limited", Kind::RateLimited),
    ("unauthorized", Kind::Unauthorized),
    ("rejected", Kind::Rejected),
    ("protocol", Kind::Protocol),
    ("timeout", Kind::Timeout),
];

fn kind_name(kind: Kind) -> &'static str {
    let named = KINDS.iter().find(|(_, known)| *known == kind);
    named.map_or("unavailable", |(name, _)| name)
}

/// A worker of another version may know kinds that this one does not.
fn kind_named(name: &str) -> Kind {
    let named = KINDS.iter().find(|(known, _)| *known == name);
    named.map_or(Kind::Unavailable, |(_, kind)| *kind)
}

fn text(message: &Message) -> Option<String> {
    String::from_utf8(message.data.to_vec()).ok()
}

fn samples(bytes: &[u8]) -> Arc<[i16]> {
    let (pairs, _) = bytes.as_chunks::<2>();
    pairs.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
}

#[cfg(test)]
mod tests;
