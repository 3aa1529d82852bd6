//! Audio on the realtime wire: the three formats, and raw bytes that serialise as base64.
//! Used by session objects and audio events; other channels read the raw bytes.
//! Never decodes samples: that is `engine::audio`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

/// A sample format of the Realtime API (`session.audio.*.format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type")]
pub enum AudioFormat {
    /// Signed 16-bit little-endian PCM, mono, 24 kHz; written with `"rate": 24000`.
    #[serde(rename = "audio/pcm")]
    Pcm24k(Rate24k),
    /// G.711 µ-law, mono, 8 kHz.
    #[serde(rename = "audio/pcmu")]
    Pcmu,
    /// G.711 A-law, mono, 8 kHz.
    #[serde(rename = "audio/pcma")]
    Pcma,
}

impl AudioFormat {
    /// 24 kHz PCM, the default of the API.
    pub const PCM: Self = Self::Pcm24k(Rate24k { rate: RATE_24K });
}

impl Default for AudioFormat {
    fn default() -> Self {
        Self::PCM
    }
}

const RATE_24K: u32 = 24_000;

/// The only rate `audio/pcm` allows; a struct so that the key `rate` is always written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rate24k {
    /// Always 24,000 Hz.
    pub rate: u32,
}

impl Default for Rate24k {
    fn default() -> Self {
        Self { rate: RATE_24K }
    }
}

/// Raw audio bytes in the stream's format; base64 in JSON, untouched for channels that want bytes.
#[derive(Clone, PartialEq, Eq, Default, ToSchema)]
#[schema(value_type = String, format = Byte)]
pub struct AudioBytes(pub Bytes);

impl std::fmt::Debug for AudioBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AudioBytes({} bytes)", self.0.len())
    }
}

impl Serialize for AudioBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for AudioBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = STANDARD
            .decode(text.as_bytes())
            .map_err(serde::de::Error::custom)?;
        Ok(Self(bytes.into()))
    }
}
