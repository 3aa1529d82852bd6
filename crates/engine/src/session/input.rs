//! Everything a session can hear: the client, the caller's audio, providers, time.
//! Built by the session actor from socket frames and provider events.
//! Never carries a socket, a channel or a vendor's type.

use std::sync::Arc;

use bytes::Bytes;
use wire::realtime::{ClientEvent, ErrorBody};

use super::allowance::Limits;
use crate::ask::{AnotherVoice, DuplexUsage, Finish, LlmUsage, ServerTool, ToolOutcome};

/// One utterance being transcribed; unique within a session.
pub type UtteranceId = u64;
/// One reply being generated; unique within a session.
pub type ReplyId = u64;

/// One call of a function that the server runs; unique within a session.
pub type RunId = u64;

/// An input of [`super::Session::on`]. Small, because a session's channels hold room for many: what is rare and
/// large is boxed.
#[derive(Debug)]
pub enum Input {
    /// A decoded client event.
    Client(Box<ClientEvent>),
    /// Caller audio in the session's input format; the hot path, free of JSON.
    Audio(Bytes),
    /// News of an utterance.
    Stt(UtteranceId, SttNews),
    /// News of a reply's text.
    Llm(ReplyId, LlmNews),
    /// News of a reply's speech.
    Tts(ReplyId, TtsNews),
    /// A function of the server has come to its end.
    Tool(RunId, ToolOutcome),
    /// Functions of the server that have become known, in place of those known under the same source before.
    Tools(Box<ToolSource>),
    /// News of a model that hears, thinks and speaks; what it says in words comes as `Stt` and `Llm`.
    Duplex(DuplexNews),
    /// How the limits of whoever pays for the session stand.
    Limits(Box<Limits>),
    /// Words to be said as they are, as soon as nobody speaks.
    Say(Box<str>),
    /// Something outside the conversation went wrong that the client should know of.
    Problem(Box<ErrorBody>),
    /// A deadline of [`super::Session::next_deadline`] has passed.
    Tick,
}

/// What transcription says.
#[derive(Debug)]
pub enum SttNews {
    /// All text so far, as judged at a pause; one that comes while the caller speaks is ignored.
    Partial(String),
    /// Probability (0 to 1) that the caller has finished, as judged at a pause; ignored likewise.
    EndOfTurn(f32),
    /// The transcript; last.
    Final {
        /// All text.
        text: String,
        /// Audio transcribed, ms.
        audio_ms: u64,
        /// Tokens with natural-log probabilities, when asked for and known.
        logprobs: Vec<(String, f32)>,
    },
    /// No transcript will come; last.
    Failed(Box<ErrorBody>),
}

/// What the language model says.
#[derive(Debug)]
pub enum LlmNews {
    /// Text to append.
    Text(String),
    /// A function call begins.
    ToolCall {
        /// The provider's id for the call; ours when empty.
        call_id: String,
        /// Function name.
        name: String,
    },
    /// JSON text to append to the call that began last.
    ToolArguments(String),
    /// Complete; last.
    Done {
        /// Why it ended.
        finish: Finish,
        /// Token counts.
        usage: LlmUsage,
    },
    /// Broken off; last.
    Failed(Box<ErrorBody>),
    /// Nobody was asked, because whoever pays has used up a limit; last.
    Refused(Box<ErrorBody>),
}

/// What synthesis says.
#[derive(Debug)]
pub enum TtsNews {
    /// Samples of a piece.
    Audio {
        /// The piece.
        index: u32,
        /// Hz.
        rate_hz: u32,
        /// Mono samples.
        samples: Arc<[i16]>,
    },
    /// A piece was spoken whole.
    PieceDone(u32),
    /// Another voice speaks from here on.
    Another(Box<AnotherVoice>),
    /// No more speech will come; last.
    Failed(Box<ErrorBody>),
}

/// What a speech-to-speech model says beside words.
#[derive(Debug)]
pub enum DuplexNews {
    /// It has joined the conversation.
    Ready,
    /// Speech to append, in the session's output format.
    Audio {
        /// The reply.
        reply: ReplyId,
        /// Whole samples.
        audio: Bytes,
    },
    /// A reply is complete; last.
    Done {
        /// The reply.
        reply: ReplyId,
        /// Why it ended.
        finish: Finish,
        /// Token counts.
        usage: DuplexUsage,
    },
    /// It is gone, and with it everything that is under way.
    Lost(Box<ErrorBody>),
}

/// Functions of the server that come from one place.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSource {
    /// Names the place: the label of an MCP server, or nothing for the agent itself.
    pub label: String,
    /// Its functions.
    pub tools: Vec<ServerTool>,
}
