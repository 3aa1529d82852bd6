//! What this server says to the app, all in text frames.
//! Made by `edge/voice`; described in the AsyncAPI document.
//! Never carries a token, and says nothing of a turn that the caller does not see.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Codes of `error` and `warning` messages.
pub mod code {
    /// No token came, or sound came before it.
    pub const AUTH_REQUIRED: &str = "AUTH_REQUIRED";
    /// The token is wrong or over.
    pub const AUTH_INVALID: &str = "AUTH_INVALID";
    /// Who is there cannot be made out at present.
    pub const AUTH_ERROR: &str = "AUTH_ERROR";
    /// The token is right, and its user is gone.
    pub const USER_NOT_FOUND: &str = "USER_NOT_FOUND";
    /// Too many sessions at the same time.
    pub const RATE_LIMIT_EXCEEDED: &str = "RATE_LIMIT_EXCEEDED";
    /// The user's tier has no voice calls.
    pub const TIER_REQUIRED: &str = "TIER_REQUIRED";
    /// The budget of the session or of the day is used up.
    pub const BUDGET_EXCEEDED: &str = "BUDGET_EXCEEDED";
    /// Four fifths of the session's budget are used up.
    pub const BUDGET_WARNING: &str = "BUDGET_WARNING";
    /// The session has lasted as long as it may.
    pub const DURATION_EXCEEDED: &str = "DURATION_EXCEEDED";
    /// A frame of sound is too small.
    pub const CHUNK_TOO_SMALL: &str = "CHUNK_TOO_SMALL";
    /// A frame of sound is too large.
    pub const CHUNK_TOO_LARGE: &str = "CHUNK_TOO_LARGE";
    /// What was heard could not be written down.
    pub const STT_ERROR: &str = "STT_ERROR";
    /// No answer could be thought of.
    pub const LLM_ERROR: &str = "LLM_ERROR";
    /// The answer could not be spoken.
    pub const TTS_ERROR: &str = "TTS_ERROR";
    /// A text frame is not understood.
    pub const INVALID_MESSAGE: &str = "INVALID_MESSAGE";
    /// A session has begun on this connection already.
    pub const ALREADY_STARTED: &str = "ALREADY_STARTED";
    /// What was asked for in `session_start` is not there.
    pub const INVALID_SESSION: &str = "INVALID_SESSION";
    /// Something of ours is not there at present.
    pub const SERVICE_UNAVAILABLE: &str = "SERVICE_UNAVAILABLE";
}

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = VoiceStatus)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody speaks.
    Listening,
    /// The caller speaks and is being written down.
    Transcribing,
    /// An answer is being thought of.
    Thinking,
    /// The answer is being spoken.
    Speaking,
}

impl Status {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listening => "listening",
            Self::Transcribing => "transcribing",
            Self::Thinking => "thinking",
            Self::Speaking => "speaking",
        }
    }
}

/// What a session came to, in ms: the sums over its turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
#[schema(as = VoiceMetrics)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Sound of the caller's that was transcribed.
    pub stt_duration: u64,
    /// From the end of the caller's speech to the first word of the answer, on average.
    pub llm_latency: u64,
    /// From that word to its first sound, on average.
    pub tts_latency: u64,
    /// From the end of the caller's speech to the first sound, on average.
    pub total_latency: u64,
}

/// A message without what every message has; see `write`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = VoiceServerMessage)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// First message of every connection.
    Connected {
        /// One sentence.
        message: String,
    },
    /// The session has begun.
    SessionStarted {
        /// Always `ready`.
        status: &'static str,
        /// How speech is packed: `mp3`, `wav` or `pcm`.
        #[serde(rename = "audioFormat")]
        audio_format: &'static str,
    },
    /// Every tenth frame of sound has come.
    AudioReceived {
        /// Of the frame, in bytes.
        size: usize,
        /// Frames so far.
        #[serde(rename = "totalChunks")]
        total_chunks: u64,
    },
    /// What the caller has said so far.
    PartialTranscript {
        /// All of it.
        text: String,
        /// 0 to 1.
        confidence: f64,
    },
    /// What the caller has said.
    FinalTranscript {
        /// All of it.
        text: String,
        /// 0 to 1.
        confidence: f64,
    },
    /// An answer is being thought of.
    AiThinking {},
    /// More of the answer.
    AiResponseChunk {
        /// To append.
        text: String,
        /// So far.
        #[serde(rename = "fullText")]
        full_text: String,
    },
    /// A stretch of speech.
    TtsAudio {
        /// Base64.
        audio: String,
        /// What is said in it.
        text: String,
        /// Counts from 0 in every answer.
        index: u64,
        /// From the end of the caller's speech, or from the first word, to this sound, in ms.
        latency: u64,
        /// `mp3`, `wav` or `pcm`.
        format: &'static str,
    },
    /// The same stretch for those who read this one.
    AudioChunk {
        /// Base64.
        audio: String,
        /// Counts from 0 over the whole session: the app sorts all it ever got by it.
        #[serde(rename = "sentenceIndex")]
        sentence_index: u64,
        /// `mp3`, `wav` or `pcm`.
        format: &'static str,
    },
    /// Where the session is.
    Status {
        /// Where.
        status: Status,
        /// Whether the caller is not heard.
        muted: bool,
    },
    /// The answer is over.
    AiResponseComplete {
        /// All of it.
        text: String,
        /// From the end of the caller's speech to the end of the answer, in ms.
        latency: u64,
        /// Whether it was cut off.
        interrupted: bool,
    },
    /// Something will happen soon.
    Warning {
        /// One sentence.
        message: String,
        /// What, for machines.
        code: &'static str,
        /// What the session has cost, in dollars.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<f64>,
    },
    /// Something went wrong; where the connection ends with it, the close frame follows.
    Error {
        /// One sentence.
        message: String,
        /// The same once more, for the app that reads this one.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What, for machines.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// The app is to forget whoever is signed in.
        #[serde(rename = "clearSession", skip_serializing_if = "Option::is_none")]
        clear_session: Option<bool>,
        /// Voice calls are not open yet.
        #[serde(rename = "comingSoon", skip_serializing_if = "Option::is_none")]
        coming_soon: Option<bool>,
        /// What is not open yet.
        #[serde(skip_serializing_if = "Option::is_none")]
        feature: Option<&'static str>,
        /// What the session, or the user's day, has cost, in dollars.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<f64>,
    },
    /// Answer to a `ping`.
    Pong {},
    /// The session is over.
    SessionEnd {
        /// How long it lasted, in ms.
        duration: u64,
        /// What it came to.
        metrics: Metrics,
        /// What it cost, in dollars.
        cost: f64,
    },
}

impl ServerMessage {
    /// An error of this code.
    pub fn error(code: &str, message: impl Into<String>) -> Self {
        Self::Error {
            message: message.into(),
            error: None,
            code: Some(code.to_owned()),
            clear_session: None,
            coming_soon: None,
            feature: None,
            cost: None,
        }
    }
}

/// Writes a message as the text of a frame: its fields, `sessionId`, and `timestamp` in ms since 1970.
pub fn write(message: &ServerMessage, session_id: &str, timestamp_ms: i64) -> String {
    let mut value = serde_json::to_value(message).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("sessionId".to_owned(), Value::from(session_id));
        fields.insert("timestamp".to_owned(), Value::from(timestamp_ms));
    }
    value.to_string()
}
