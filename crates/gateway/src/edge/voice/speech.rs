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
    /// A file a sentence, a quarter as long as the other.
    Mp3,
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
            AudioWish::Auto | AudioWish::Mp3 if mp3::available() => Self::Mp3,
            AudioWish::Auto | AudioWish::Mp3 | AudioWish::Wav => Self::Wav,
        }
    }

    /// Its name in messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
            Self::Pcm => "pcm",
        }
    }

    /// Packs samples: signed 16-bit little-endian at 24 kHz.
    pub(super) async fn pack(self, pcm: Vec<u8>) -> Packed {
        if self == Self::Pcm {
            return Packed {
                bytes: pcm,
                packing: self,
            };
        }
        // some milliseconds of work for a long sentence
        let packed = tokio::task::spawn_blocking(move || self.pack_samples(&samples(&pcm))).await;
        // it does not panic, and nobody aborts it
        packed.unwrap_or(Packed {
            bytes: Vec::new(),
            packing: self,
        })
    }

    fn pack_samples(self, samples: &[i16]) -> Packed {
        if self == Self::Mp3 {
            match mp3::encode(samples, RATE_HZ) {
                Ok(bytes) => {
                    return Packed {
                        bytes,
                        packing: self,
                    };
                }
                Err(error) => {
                    tracing::error!(%error, "cannot pack speech as mp3: it is sent as wav");
                }
            }
        }
        Packed {
            bytes: wav::write(samples, SampleRate::HZ_24K),
            packing: Self::Wav,
        }
    }
}

/// Speech, and how it was packed in the end.
pub(super) struct Packed {
    pub(super) bytes: Vec<u8>,
    pub(super) packing: Packing,
}

fn samples(pcm: &[u8]) -> Vec<i16> {
    let pairs = pcm.as_chunks::<2>().0.iter();
    pairs.map(|pair| i16::from_le_bytes(*pair)).collect()
}

#[cfg(feature = "local")]
use providers::local::mp3;

/// A build without local models has no MP3 either.
#[cfg(not(feature = "local"))]
mod mp3 {
    pub(super) const fn available() -> bool {
        false
    }

    pub(super) fn encode(_samples: &[i16], _rate_hz: u32) -> Result<Vec<u8>, &'static str> {
        Err("this build has no mp3")
    }
}

/// How long so many bytes of samples last, in ms.
pub(super) const fn lasts_ms(bytes: usize) -> u64 {
    bytes as u64 * 1000 / (2 * RATE_HZ as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn speech_is_a_file_that_says_what_it_is() {
        let pcm: Vec<u8> = (0..48_000).map(|n| (n / 7) as u8).collect();
        let wav = Packing::Wav.pack(pcm.clone()).await;
        assert!(wav.bytes.starts_with(b"RIFF"));
        assert_eq!((wav.bytes.len(), wav.packing.name()), (44 + 48_000, "wav"));
        let bare = Packing::Pcm.pack(pcm.clone()).await;
        assert_eq!((bare.bytes, bare.packing.name()), (pcm.clone(), "pcm"));
        let best = Packing::of(AudioWish::Auto);
        let packed = best.pack(pcm).await;
        assert_eq!(packed.packing, best);
        if mp3::available() {
            assert_eq!(packed.bytes[0], 0xFF);
            assert!(packed.bytes.len() < wav.bytes.len() / 3);
        }
    }

    #[test]
    fn lengths_are_those_of_samples() {
        assert_eq!(lasts_ms(48_000), 1000);
        assert_eq!(lasts_ms(0), 0);
    }
}
