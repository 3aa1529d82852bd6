//! Sample rates and wire formats, and the arithmetic between bytes, samples and milliseconds.
//! Called by everything that counts audio: buffers, items, pacing, billing.
//! It never touches a sample.

use std::fmt;

use super::g711::Law;

/// The lowest rate accepted, in Hz. Below it nothing of speech is left.
pub const MIN_RATE_HZ: u32 = 1_000;
/// The highest rate accepted, in Hz: the top of professional recording, and the bound on the memory
/// of a resampler between rates that share no factor (one block is then one second).
pub const MAX_RATE_HZ: u32 = 192_000;

/// A sample rate outside 1,000 to 192,000 Hz was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sample rate {hz} Hz is outside 1000 to 192000 Hz")]
pub struct RateError {
    /// The rate that was refused, in Hz.
    pub hz: u32,
}

/// Samples of one channel per second. Always within 1,000 to 192,000 Hz.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SampleRate(u32);

impl SampleRate {
    /// Telephone audio (G.711).
    pub const HZ_8K: Self = Self(8_000);
    /// What the speech models and the voice activity detector hear.
    pub const HZ_16K: Self = Self(16_000);
    /// PCM of the realtime protocol.
    pub const HZ_24K: Self = Self(24_000);
    /// What browsers and Opus use.
    pub const HZ_48K: Self = Self(48_000);

    /// Accepts a rate in Hz. Fails outside [`MIN_RATE_HZ`] to [`MAX_RATE_HZ`].
    pub const fn new(hz: u32) -> Result<Self, RateError> {
        if hz < MIN_RATE_HZ || hz > MAX_RATE_HZ {
            return Err(RateError { hz });
        }
        Ok(Self(hz))
    }

    /// The rate in Hz.
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// How long `samples` last, in whole milliseconds, rounded down.
    pub const fn duration_ms(self, samples: u64) -> u64 {
        (samples as u128 * 1_000 / self.0 as u128) as u64
    }

    /// How many samples fit into `ms` milliseconds, rounded down.
    pub const fn samples(self, ms: u64) -> u64 {
        (ms as u128 * self.0 as u128 / 1_000) as u64
    }
}

impl TryFrom<u32> for SampleRate {
    type Error = RateError;

    fn try_from(hz: u32) -> Result<Self, RateError> {
        Self::new(hz)
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// How audio looks on the wire: mono, headerless, encoding and rate together.
///
/// The first three are the formats of the `OpenAI` Realtime protocol, the others belong to carriers
/// and app clients. Every rate is a multiple of 1,000 Hz, so [`Format::bytes_per_ms`] is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// Signed 16-bit little-endian at 24 kHz (`audio/pcm`, beta name `pcm16`).
    #[default]
    Pcm24k,
    /// G.711 µ-law at 8 kHz (`audio/pcmu`, beta name `g711_ulaw`).
    Pcmu,
    /// G.711 A-law at 8 kHz (`audio/pcma`, beta name `g711_alaw`).
    Pcma,
    /// Signed 16-bit little-endian at 8 kHz.
    Pcm8k,
    /// Signed 16-bit little-endian at 16 kHz.
    Pcm16k,
    /// Signed 16-bit little-endian at 48 kHz.
    Pcm48k,
}

impl Format {
    /// The sample rate.
    pub const fn rate(self) -> SampleRate {
        match self {
            Self::Pcm24k => SampleRate::HZ_24K,
            Self::Pcmu | Self::Pcma | Self::Pcm8k => SampleRate::HZ_8K,
            Self::Pcm16k => SampleRate::HZ_16K,
            Self::Pcm48k => SampleRate::HZ_48K,
        }
    }

    /// The companding law, when it is G.711.
    pub const fn law(self) -> Option<Law> {
        match self {
            Self::Pcmu => Some(Law::Mu),
            Self::Pcma => Some(Law::A),
            Self::Pcm24k | Self::Pcm8k | Self::Pcm16k | Self::Pcm48k => None,
        }
    }

    /// One for G.711, two for PCM.
    pub const fn bytes_per_sample(self) -> u32 {
        if self.law().is_some() { 1 } else { 2 }
    }

    /// Bytes in one millisecond. Exact.
    pub const fn bytes_per_ms(self) -> u32 {
        self.rate().hz() / 1_000 * self.bytes_per_sample()
    }

    /// How long `bytes` last, in whole milliseconds, rounded down.
    pub const fn duration_ms(self, bytes: u64) -> u64 {
        bytes / self.bytes_per_ms() as u64
    }

    /// How many bytes `ms` milliseconds take; saturates at `u64::MAX`.
    pub const fn bytes(self, ms: u64) -> u64 {
        ms.saturating_mul(self.bytes_per_ms() as u64)
    }

    /// The byte that, repeated, is silence.
    pub const fn silence_byte(self) -> u8 {
        match self.law() {
            Some(law) => law.silence(),
            None => 0,
        }
    }
}
