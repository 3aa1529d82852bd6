//! Packs speech as the app plays it: a file a sentence, or bare samples.
//! Held by the writer of a connection; one for each.
//! Never holds sound of two sentences at once.

use engine::audio::SampleRate;
use engine::audio::wav;
use wire::voice::AudioWish;

/// Rate of what is spoken, in Hz.
const RATE_HZ: u32 = 24_000;

/// How speech is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// A file a sentence.
    Wav,
    /// Bare samples, as they come.
    Pcm,
}

impl Packing {
    /// What a client gets that wishes for this.
    pub(super) fn of(wish: AudioWish) -> Self {
        match wish {
            AudioWish::Pcm => Self::Pcm,
            AudioWish::Auto | AudioWish::Mp3 | AudioWish::Wav => Self::Wav,
        }
    }

    /// Its name in messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Pcm => "pcm",
        }
    }

    /// Packs samples: signed 16-bit little-endian at 24 kHz.
    pub(super) async fn pack(self, pcm: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Pcm => pcm,
            Self::Wav => {
                let samples: Vec<i16> = pcm
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|pair| i16::from_le_bytes(*pair))
                    .collect();
                wav::write(&samples, SampleRate::HZ_24K)
            }
        }
    }
}

/// How long so many bytes of samples last, in ms.
pub(super) const fn lasts_ms(bytes: usize) -> u64 {
    bytes as u64 * 1000 / (2 * RATE_HZ as u64)
}
