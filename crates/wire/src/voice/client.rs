//! What the app says in text frames.
//! Decoded by `edge/voice` and by the fuzzer.
//! Never holds sound: that comes in binary frames, whole and untouched.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// Largest text frame that is read, in bytes: a token of 8 KiB and all there is beside it.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// A text frame, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// Who is there, and what it wants.
    SessionStart(Box<SessionStart>),
    /// Asks for a `pong`; answered before a session has begun as well.
    Ping,
    /// From now on nothing is heard.
    Mute,
    /// From now on it is heard again.
    Unmute,
    /// Whoever speaks is to stop.
    Interrupt,
    /// The session is over.
    SessionEnd,
}

/// Which messages carry speech: the original's server sent the one, its app read the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = VoiceAudioMessages)]
#[serde(rename_all = "snake_case")]
pub enum AudioMessages {
    /// Both, with the same sound.
    #[default]
    Both,
    /// `tts_audio` alone.
    TtsAudio,
    /// `audio_chunk` alone.
    AudioChunk,
}

/// How speech is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = VoiceAudioFormat)]
#[serde(rename_all = "snake_case")]
pub enum AudioWish {
    /// MP3 where this server can make it, else WAV: every browser plays both.
    #[default]
    Auto,
    /// MP3, a file a sentence.
    Mp3,
    /// WAV, a file a sentence.
    Wav,
    /// Signed 16-bit little-endian at 24 kHz, one channel, without a head, as it is spoken.
    Pcm,
}

/// The first control message. What is optional here and not in the original is this server's own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[schema(as = VoiceSessionStart)]
#[serde(default, rename_all = "camelCase")]
pub struct SessionStart {
    /// Not looked at: who is there is in the token.
    pub user_id: Option<String>,
    /// The conversation that this goes on with; its last messages are read first.
    pub conversation_id: Option<String>,
    /// A JSON Web Token, or an API key or a client secret of this server.
    pub auth_token: Option<String>,
    /// A pipeline or `agent:NAME` in place of the one that the server has for this door.
    pub model: Option<String>,
    /// A voice in place of the pipeline's.
    pub voice: Option<String>,
    /// The caller's language, as an ISO 639-1 code.
    pub language: Option<String>,
    /// Which messages carry speech.
    pub audio_messages: AudioMessages,
    /// How speech is packed.
    pub audio_format: AudioWish,
}

/// Why a text frame is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is longer than [`MAX_TEXT_BYTES`].
    #[error("Message too large: {0} bytes (max: {MAX_TEXT_BYTES})")]
    TooLarge(usize),
    /// It is no JSON object.
    #[error("Invalid message: expected a JSON object with a type")]
    NoObject,
    /// It has no `type`, or one that is no text.
    #[error("Invalid message: expected a type that is text")]
    NoType,
    /// Nobody knows its `type`.
    #[error("Unknown message type: {0}")]
    UnknownType(String),
    /// A field is not what it has to be.
    #[error("Invalid session_start: {0}")]
    Invalid(String),
}

/// Longest unknown `type` that is said back, in characters.
const SAID_BACK: usize = 64;

/// Reads a text frame.
///
/// # Errors
/// [`Refused`].
pub fn decode(text: &str) -> Result<ClientMessage, Refused> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Refused::TooLarge(text.len()));
    }
    let Ok(Value::Object(mut message)) = serde_json::from_str(text) else {
        return Err(Refused::NoObject);
    };
    let Some(Value::String(kind)) = message.remove("type") else {
        return Err(Refused::NoType);
    };
    match kind.as_str() {
        "ping" => Ok(ClientMessage::Ping),
        "mute" => Ok(ClientMessage::Mute),
        "unmute" => Ok(ClientMessage::Unmute),
        "interrupt" => Ok(ClientMessage::Interrupt),
        "session_end" => Ok(ClientMessage::SessionEnd),
        "session_start" => {
            let start: Result<SessionStart, _> = serde_json::from_value(Value::Object(message));
            let mut start = start.map_err(|error| Refused::Invalid(error.to_string()))?;
            // an empty text stands for nothing, as in the original's rows
            for field in [
                &mut start.user_id,
                &mut start.conversation_id,
                &mut start.auth_token,
                &mut start.model,
                &mut start.voice,
                &mut start.language,
            ] {
                if field.as_ref().is_some_and(|text| text.trim().is_empty()) {
                    *field = None;
                }
            }
            Ok(ClientMessage::SessionStart(Box::new(start)))
        }
        _ => Err(Refused::UnknownType(kind.chars().take(SAID_BACK).collect())),
    }
}
