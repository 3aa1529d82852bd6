//! The four traits behind which every speech and language provider stands.
//! Implemented by one file per vendor, by `local` and by `scripted`; driven by `gateway::session`.
//! Never knows a client protocol: channels in, channels out, drop to cancel.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use engine::ask::{
    AnotherVoice, DuplexCommand, DuplexItem, DuplexOptions, DuplexUsage, Finish, Hears, LlmRequest,
    SpeakOptions, SttOptions,
};
use engine::session::{ReplyId, UtteranceId};
use tokio::sync::mpsc;

use crate::ProviderError;
use crate::voices::OPENAI_VOICES;

/// Events buffered between a provider and the session that reads it. A provider that finds its
/// channel full waits: the session is the slower side and must not be buried.
pub const EVENT_BUFFER: usize = 64;

/// What the session tells a transcription stream, in order.
#[derive(Debug, Clone)]
pub enum SttCommand {
    /// 16 kHz mono samples of one utterance.
    Audio(Arc<[i16]>),
    /// The caller paused: transcribe speculatively what has come so far and judge whether the turn is over.
    Pause,
    /// The caller went on: whatever was derived from the pause is void.
    Resume,
    /// The utterance is complete: answer with [`SttEvent::Final`], then end.
    End,
}

/// What a transcription stream answers.
#[derive(Debug, Clone, PartialEq)]
pub enum SttEvent {
    /// Text so far; may still change. Sent at a pause, or continuously by streaming vendors.
    Partial {
        /// All text of the utterance so far, not a delta.
        text: String,
    },
    /// Probability (0 to 1) that the caller has finished, as judged at the last pause.
    EndOfTurn {
        /// 0 to 1.
        probability: f32,
    },
    /// The transcript of the whole utterance; exactly one, last.
    Final {
        /// All text.
        text: String,
        /// Audio transcribed, in ms.
        audio_ms: u64,
        /// Tokens with their natural-log probabilities, when asked for and known.
        logprobs: Vec<(String, f32)>,
    },
    /// No transcript will come; last.
    Failed(ProviderError),
}

/// One utterance being transcribed. Dropping it cancels.
#[derive(Debug)]
pub struct SttStream {
    /// Bounded; audio that finds it full is dropped by the session and counted.
    pub commands: mpsc::Sender<SttCommand>,
    /// Ends after `Final` or `Failed`.
    pub events: mpsc::Receiver<SttEvent>,
}

/// Speech to text.
#[async_trait]
pub trait Stt: Send + Sync {
    /// Name in the catalog, for logs and metrics.
    fn name(&self) -> &str;
    /// The model that is asked, for the price list; empty where there is only one.
    #[expect(
        clippy::unnecessary_literal_bound,
        reason = "vendors give a name that is their own"
    )]
    fn model(&self) -> &str {
        ""
    }
    /// Whether every pause and every end is a request of its own, charged for the whole utterance so far.
    fn hears_by_request(&self) -> bool {
        false
    }
    /// When it begins to work on an utterance that has no pauses to be told of.
    fn hears(&self) -> Hears {
        Hears::AsSpoken
    }
    /// Opens the stream of one utterance.
    async fn open(&self, options: SttOptions) -> Result<SttStream, ProviderError>;
    /// Prepares for the utterances of a session that begins (a connection, say); best effort, returns at once.
    fn prepare(&self, _options: &SttOptions) {}
    /// Asks whether the provider would answer, without making it work. Where there is nobody to ask: yes.
    async fn check(&self) -> Result<(), ProviderError> {
        Ok(())
    }
    /// Why a session should not even begin: nobody behind this has a key that opens anything, as far as is known.
    fn usable(&self) -> Result<(), ProviderError> {
        Ok(())
    }
}

/// What a language model answers.
#[derive(Debug, Clone, PartialEq)]
pub enum LlmEvent {
    /// Text to append.
    Text(String),
    /// A function call begins.
    ToolCall {
        /// The provider's id for the call.
        call_id: String,
        /// Function name.
        name: String,
    },
    /// JSON text to append to the arguments of the call that began last.
    ToolArguments(String),
    /// The answer is complete; last.
    Done {
        /// Why it ended.
        finish: engine::ask::Finish,
        /// Token counts; zero where the vendor gives none.
        usage: engine::ask::LlmUsage,
    },
    /// The answer broke off; last.
    Failed(ProviderError),
}

/// One answer being generated. Dropping it cancels.
#[derive(Debug)]
pub struct LlmStream {
    /// Ends after `Done` or `Failed`.
    pub events: mpsc::Receiver<LlmEvent>,
}

/// A language model.
#[async_trait]
pub trait Llm: Send + Sync {
    /// Name in the catalog, for logs and metrics.
    fn name(&self) -> &str;
    /// The model that is asked, for the price list; empty where there is only one.
    #[expect(
        clippy::unnecessary_literal_bound,
        reason = "vendors give a name that is their own"
    )]
    fn model(&self) -> &str {
        ""
    }
    /// Starts one answer.
    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError>;
    /// Prepares for a request that will start like this one (prompt cache); best effort, returns at once.
    fn warm(&self, _request: &LlmRequest) {}
    /// Asks whether the provider would answer, without making it work. Where there is nobody to ask: yes.
    async fn check(&self) -> Result<(), ProviderError> {
        Ok(())
    }
    /// Why a session should not even begin: nobody behind this has a key that opens anything, as far as is known.
    fn usable(&self) -> Result<(), ProviderError> {
        Ok(())
    }
}

/// A piece of text to speak, numbered in speaking order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// 0, 1, 2 … within one stream.
    pub index: u32,
    /// What to say, already stripped of markup.
    pub text: String,
}

/// What a synthesis stream answers; pieces come in order.
#[derive(Debug, Clone, PartialEq)]
pub enum TtsEvent {
    /// Mono samples of a piece.
    Audio {
        /// The piece.
        index: u32,
        /// Sample rate in Hz; changes within a stream only where another voice takes over.
        rate_hz: u32,
        /// Samples.
        samples: Arc<[i16]>,
    },
    /// A piece has been spoken whole.
    PieceDone {
        /// The piece.
        index: u32,
    },
    /// Another voice speaks from here on.
    Another(Box<AnotherVoice>),
    /// No more speech will come; last.
    Failed(ProviderError),
}

/// One reply being spoken. Dropping it cancels; dropping only `pieces` says that no more text will come.
#[derive(Debug)]
pub struct TtsStream {
    /// Text in speaking order.
    pub pieces: mpsc::Sender<Piece>,
    /// Ends after the last piece's `PieceDone` once `pieces` is dropped, or after `Failed`.
    pub events: mpsc::Receiver<TtsEvent>,
}

/// A voice that a provider offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceInfo {
    /// Name used in requests.
    pub name: String,
    /// BCP 47 language tag, for example `en-US`.
    pub language: String,
}

/// Text to speech.
#[async_trait]
pub trait Tts: Send + Sync {
    /// Name in the catalog, for logs and metrics.
    fn name(&self) -> &str;
    /// The model that speaks when it is asked for this voice, for the price list; empty where there is only one.
    fn model<'a>(&'a self, _voice: &'a str) -> &'a str {
        ""
    }
    /// Voices by name; an unknown name in a request is spoken by the first.
    fn voices(&self) -> Vec<VoiceInfo>;
    /// Every name that a client may ask for: the voices, and the hosted ones that SDKs send unasked. `None` where
    /// voices have ids that only the vendor can tell from mistakes.
    fn voice_names(&self) -> Option<Arc<[String]>> {
        let mut names: Vec<String> = self.voices().into_iter().map(|voice| voice.name).collect();
        for hosted in OPENAI_VOICES {
            if !names.iter().any(|name| name == hosted) {
                names.push(hosted.to_owned());
            }
        }
        Some(names.into())
    }
    /// Opens the stream of one reply.
    async fn open(&self, options: SpeakOptions) -> Result<TtsStream, ProviderError>;
    /// Prepares for the replies of a session that begins (a connection, say); best effort, returns at once.
    fn prepare(&self, _options: &SpeakOptions) {}
    /// Asks whether the provider would answer, without making it work. Where there is nobody to ask: yes.
    async fn check(&self) -> Result<(), ProviderError> {
        Ok(())
    }
    /// Why a session should not even begin: nobody behind this has a key that opens anything, as far as is known.
    fn usable(&self) -> Result<(), ProviderError> {
        Ok(())
    }
}

/// What a speech-to-speech model says. Answers come one at a time, each ended by `Done` or `Failed`.
#[derive(Debug, Clone, PartialEq)]
pub enum DuplexEvent {
    /// Connected and configured: what was sent so far is being heard. Once, first.
    Ready,
    /// The words of an utterance.
    Transcript {
        /// The utterance.
        utterance: UtteranceId,
        /// All its words.
        text: String,
    },
    /// The words of an utterance will not come; it may be answered all the same.
    TranscriptFailed {
        /// The utterance.
        utterance: UtteranceId,
        /// Why.
        error: ProviderError,
    },
    /// Words of an answer to append: of its speech, or written.
    Text {
        /// The answer.
        reply: ReplyId,
        /// Not empty.
        text: String,
    },
    /// Speech of an answer to append.
    Audio {
        /// The answer.
        reply: ReplyId,
        /// Whole samples in the session's output format.
        audio: Bytes,
    },
    /// A function call of an answer begins.
    ToolCall {
        /// The answer.
        reply: ReplyId,
        /// The upstream's id for the call.
        call_id: String,
        /// Function name.
        name: String,
    },
    /// JSON text to append to the arguments of the call that began last.
    ToolArguments {
        /// The answer.
        reply: ReplyId,
        /// JSON text.
        json: String,
    },
    /// An answer is complete, or has been cancelled: what it cost is told in either case.
    Done {
        /// The answer.
        reply: ReplyId,
        /// Why it ended.
        finish: Finish,
        /// Token counts; zero where the upstream gives none.
        usage: DuplexUsage,
    },
    /// An answer broke off, the connection holds.
    Failed {
        /// The answer.
        reply: ReplyId,
        /// Why.
        error: ProviderError,
        /// Token counts of what came of it; zero where the upstream gives none.
        usage: DuplexUsage,
    },
    /// The connection is gone, and with it everything that is under way; last. Opening again with what was said makes
    /// sense unless the error is [`crate::Kind::Unauthorized`] or [`crate::Kind::Rejected`].
    Lost(ProviderError),
}

/// One conversation with a speech-to-speech model. Dropping it hangs up.
#[derive(Debug)]
pub struct DuplexStream {
    /// Bounded; holds the audio of [`DUPLEX_BEHIND`] frames while the connection is being made.
    pub commands: mpsc::Sender<DuplexCommand>,
    /// Ends after `Lost`.
    pub events: mpsc::Receiver<DuplexEvent>,
}

/// Commands that may wait for a speech-to-speech model: half a minute of 20 ms frames.
pub const DUPLEX_BEHIND: usize = 1500;

/// Speech in, speech out, by one model.
#[async_trait]
pub trait Duplex: Send + Sync {
    /// Name in the catalog, for logs and metrics.
    fn name(&self) -> &str;
    /// The model that is asked, for the price list; empty where there is only one.
    #[expect(
        clippy::unnecessary_literal_bound,
        reason = "vendors give a name that is their own"
    )]
    fn model(&self) -> &str {
        ""
    }
    /// Joins a conversation that began with `history`. Returns at once: a connection that cannot be made is told by
    /// [`DuplexEvent::Lost`].
    async fn open(
        &self,
        options: DuplexOptions,
        history: Vec<DuplexItem>,
    ) -> Result<DuplexStream, ProviderError>;
    /// Asks whether the provider would answer, without making it work. Where there is nobody to ask: yes.
    async fn check(&self) -> Result<(), ProviderError> {
        Ok(())
    }
    /// Why a session should not even begin: nobody behind this has a key that opens anything, as far as is known.
    fn usable(&self) -> Result<(), ProviderError> {
        Ok(())
    }
}
