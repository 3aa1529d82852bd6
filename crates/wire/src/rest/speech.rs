//! `POST /v1/audio/speech` (spec/realtime §3.2).
//! Read by the gateway, which streams the bytes or the events below.
//! Never encodes audio.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::realtime::decode::fields::{At, invalid};
use crate::realtime::decode::{DecodeError, voice};
use crate::realtime::session::Voice;
use crate::realtime::{AudioBytes, ErrorBody};

/// Longest text of one request, in characters.
pub const MAX_INPUT: usize = 4_096;

/// How the audio is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpeechFormat {
    /// MPEG layer 3, the documented default.
    #[default]
    Mp3,
    /// Ogg Opus.
    Opus,
    /// AAC.
    Aac,
    /// FLAC.
    Flac,
    /// RIFF WAVE, 24 kHz 16-bit mono; streamed with sizes of 0xFFFFFFFF.
    Wav,
    /// 24 kHz signed 16-bit little-endian mono without a header.
    Pcm,
}

impl SpeechFormat {
    /// The content type of a body in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Opus => "audio/opus",
            Self::Aac => "audio/aac",
            Self::Flac => "audio/flac",
            Self::Wav => "audio/wav",
            Self::Pcm => "audio/pcm",
        }
    }
}

/// How the audio travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamFormat {
    /// Bytes of the format, as they are made.
    #[default]
    Audio,
    /// Server-sent events with base64.
    Sse,
}

/// A request to say something. `model` and `voice` may be any alias.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SpeechRequest {
    /// What to say, 1 to 4,096 characters.
    pub input: String,
    /// Model name.
    pub model: String,
    /// Voice name or `{id}`.
    pub voice: Voice,
    /// How to say it; without effect on voices that take no directions.
    pub instructions: Option<String>,
    /// How the audio is packed; absent, the server chooses what it can make.
    pub response_format: Option<SpeechFormat>,
    /// 0.25 to 4.
    pub speed: f32,
    /// How the audio travels.
    pub stream_format: StreamFormat,
}

/// Reads and checks the request body; fields it does not know are ignored, as other speech servers
/// have extensions that clients send along.
pub fn decode(body: &Value) -> Result<SpeechRequest, DecodeError> {
    let fields = At::new(body, "").object().map_err(|_| {
        ErrorBody::invalid("invalid_value", "The request body must be a JSON object.")
    })?;
    let input = fields.need("input", At::string)?;
    let length = input.chars().count();
    if !(1..=MAX_INPUT).contains(&length) {
        let message =
            format!("Invalid 'input': expected 1 to {MAX_INPUT} characters, but got {length}.");
        return Err(invalid("input", message).into());
    }
    Ok(SpeechRequest {
        input,
        model: fields.need("model", At::string)?,
        voice: fields.need("voice", voice)?,
        instructions: fields.read("instructions", At::string)?,
        response_format: fields.read("response_format", |at| {
            at.choice(&[
                ("mp3", SpeechFormat::Mp3),
                ("opus", SpeechFormat::Opus),
                ("aac", SpeechFormat::Aac),
                ("flac", SpeechFormat::Flac),
                ("wav", SpeechFormat::Wav),
                ("pcm", SpeechFormat::Pcm),
            ])
        })?,
        speed: fields
            .read("speed", |at| at.number_in(0.25..=4.0))?
            .unwrap_or(1.0),
        stream_format: fields
            .read("stream_format", |at| {
                at.choice(&[("audio", StreamFormat::Audio), ("sse", StreamFormat::Sse)])
            })?
            .unwrap_or_default(),
    })
}

/// What a spoken text cost, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct SpeechUsage {
    /// Tokens of the text.
    pub input_tokens: u32,
    /// Tokens of audio.
    pub output_tokens: u32,
    /// The sum.
    pub total_tokens: u32,
}

/// The server-sent events of `stream_format: sse`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type")]
pub enum SpeechEvent {
    /// More audio.
    #[serde(rename = "speech.audio.delta")]
    Delta {
        /// Bytes in the requested format.
        audio: AudioBytes,
    },
    /// All was said.
    #[serde(rename = "speech.audio.done")]
    Done {
        /// What it cost.
        usage: SpeechUsage,
    },
}
