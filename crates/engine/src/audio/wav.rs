//! WAV files in memory: reading what callers upload, writing what voices say.
//! Called by the audio REST endpoints, the command line and the tests.
//! It never panics on foreign bytes and never holds more samples than its caller allowed.
//!
//! The reader is our own because streamed WAV, as speech services and pipes produce it, carries
//! 0xFFFFFFFF as its size, which ready-made readers refuse. Chunk layout: Microsoft and IBM
//! "Multimedia Programming Interface and Data Specifications 1.0"; format codes: RFC 2361.

use super::format::{RateError, SampleRate};
use super::g711;

const PCM: u16 = 1;
const IEEE_FLOAT: u16 = 3;
const ALAW: u16 = 6;
const ULAW: u16 = 7;
const EXTENSIBLE: u16 = 0xFFFE;
/// The size written when the length is not known yet.
const UNKNOWN_SIZE: u32 = u32::MAX;
/// Bytes before the first sample in the files written here.
const HEADER_BYTES: usize = 44;
/// More channels than any microphone array; a bound on work per sample.
const MAX_CHANNELS: u16 = 64;

/// Why bytes could not be read as WAV.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// The bytes do not begin with `RIFF….WAVE`.
    #[error("the file is not wav: it does not begin with a riff header")]
    NotWav,
    /// The file ended before both format and samples were seen.
    #[error("the wav file has no {0} chunk")]
    MissingChunk(&'static str),
    /// The format chunk is too short or contradicts itself.
    #[error("the wav format chunk is damaged")]
    DamagedFormat,
    /// An encoding that is neither PCM, float nor G.711, or an odd width.
    #[error("wav encoding {code} with {bits} bits per sample is not supported")]
    Unsupported {
        /// The format code.
        code: u16,
        /// Bits per sample.
        bits: u16,
    },
    /// The rate lies outside 1,000 to 192,000 Hz.
    #[error(transparent)]
    Rate(#[from] RateError),
    /// More samples than the caller allows.
    #[error("the wav file holds more than {max_samples} samples per channel")]
    TooLong {
        /// The bound the caller gave.
        max_samples: usize,
    },
}

/// Mono samples and their rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wav {
    /// All channels mixed into one.
    pub samples: Vec<i16>,
    /// Samples per second.
    pub rate: SampleRate,
}

#[derive(Clone, Copy)]
enum Encoding {
    U8,
    I16,
    I24,
    I32,
    F32,
    F64,
    Law(g711::Law),
}

impl Encoding {
    const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::Law(_) => 1,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The first sample of `bytes`, on the scale of 16-bit PCM; 0 when there are too few bytes.
    fn sample(self, bytes: &[u8]) -> f64 {
        fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
            bytes.first_chunk().copied().unwrap_or([0; N])
        }
        match self {
            Self::U8 => (f64::from(u8::from_le_bytes(first(bytes))) - 128.0) * 256.0,
            Self::I16 => f64::from(i16::from_le_bytes(first(bytes))),
            Self::I24 => {
                let [low, middle, high] = first(bytes);
                f64::from(i32::from_le_bytes([0, low, middle, high])) / 65_536.0
            }
            Self::I32 => f64::from(i32::from_le_bytes(first(bytes))) / 65_536.0,
            Self::F32 => f64::from(f32::from_le_bytes(first(bytes))) * 32_768.0,
            Self::F64 => f64::from_le_bytes(first(bytes)) * 32_768.0,
            Self::Law(law) => f64::from(law.sample(u8::from_le_bytes(first(bytes)))),
        }
    }
}

struct Spec {
    encoding: Encoding,
    channels: usize,
    frame_bytes: usize,
    rate: SampleRate,
}

/// Reads a whole file and mixes its channels. `max_samples` bounds the samples per channel.
///
/// Accepts integer PCM of 8, 16, 24 and 32 bits, float of 32 and 64 bits, and G.711. A data size of
/// 0 or 0xFFFFFFFF, as streams write it, and a file that was cut off mean "until the end". Not a
/// number counts as silence. Fails with [`WavError`] otherwise.
pub fn read(bytes: &[u8], max_samples: usize) -> Result<Wav, WavError> {
    let chunks = match bytes.split_first_chunk::<12>() {
        Some((head, chunks)) if head.starts_with(b"RIFF") && head.ends_with(b"WAVE") => chunks,
        _ => return Err(WavError::NotWav),
    };
    let mut rest = chunks;
    let mut spec = None;
    while let Some((&[a, b, c, d, s0, s1, s2, s3], body)) = rest.split_first_chunk::<8>() {
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        let length = body.len().min(size as usize);
        match &[a, b, c, d] {
            b"fmt " => spec = Some(read_format(&body[..length])?),
            b"data" => {
                let spec = spec.ok_or(WavError::MissingChunk("fmt"))?;
                let whole = size == 0 || size == UNKNOWN_SIZE;
                return read_samples(
                    if whole { body } else { &body[..length] },
                    &spec,
                    max_samples,
                );
            }
            _ => {}
        }
        // chunks are padded to an even length
        rest = body.get(length + length % 2..).unwrap_or_default();
    }
    Err(WavError::MissingChunk(if spec.is_some() {
        "data"
    } else {
        "fmt"
    }))
}

fn read_format(body: &[u8]) -> Result<Spec, WavError> {
    let word = |at: usize| match body.get(at..at + 2) {
        Some(&[low, high]) => Ok(u16::from_le_bytes([low, high])),
        _ => Err(WavError::DamagedFormat),
    };
    let channels = word(2)?;
    let hz = u32::from(word(4)?) | u32::from(word(6)?) << 16;
    let block_align = word(12)?;
    let bits = word(14)?;
    let code = match word(0)? {
        // the extensible form keeps the code in the first two bytes of its sub-format
        EXTENSIBLE => word(24)?,
        code => code,
    };
    if channels == 0 || channels > MAX_CHANNELS {
        return Err(WavError::DamagedFormat);
    }
    let encoding = match (code, bits) {
        (PCM, 8) => Encoding::U8,
        (PCM, 16) => Encoding::I16,
        (PCM, 24) => Encoding::I24,
        (PCM, 32) => Encoding::I32,
        (IEEE_FLOAT, 32) => Encoding::F32,
        (IEEE_FLOAT, 64) => Encoding::F64,
        (ALAW, 8) => Encoding::Law(g711::Law::A),
        (ULAW, 8) => Encoding::Law(g711::Law::Mu),
        _ => return Err(WavError::Unsupported { code, bits }),
    };
    let channels = usize::from(channels);
    let frame_bytes = usize::from(block_align);
    if frame_bytes != channels * encoding.bytes() {
        return Err(WavError::DamagedFormat);
    }
    Ok(Spec {
        encoding,
        channels,
        frame_bytes,
        rate: SampleRate::new(hz)?,
    })
}

fn read_samples(data: &[u8], spec: &Spec, max_samples: usize) -> Result<Wav, WavError> {
    if data.len() / spec.frame_bytes > max_samples {
        return Err(WavError::TooLong { max_samples });
    }
    let samples = data
        .chunks_exact(spec.frame_bytes)
        .map(|frame| {
            let sum: f64 = frame
                .chunks_exact(spec.encoding.bytes())
                .map(|bytes| spec.encoding.sample(bytes))
                .sum();
            // a float to integer cast saturates, and makes silence of what is not a number
            (sum / spec.channels as f64).round() as i16
        })
        .collect();
    Ok(Wav {
        samples,
        rate: spec.rate,
    })
}

/// A complete mono 16-bit file. Longer than 4 GiB the sizes say "unknown", as in a stream.
pub fn write(samples: &[i16], rate: SampleRate) -> Vec<u8> {
    let data_bytes = u32::try_from(samples.len() * 2).unwrap_or(UNKNOWN_SIZE);
    let mut file = Vec::with_capacity(HEADER_BYTES + samples.len() * 2);
    file.extend_from_slice(&header_of(rate, 1, data_bytes));
    super::pcm::write_le(samples, &mut file);
    file
}

/// The header of a mono 16-bit file whose length is not known yet; little-endian samples follow.
/// Both sizes are 0xFFFFFFFF, which players read as "until the end".
pub fn streaming_header(rate: SampleRate) -> [u8; HEADER_BYTES] {
    header_of(rate, 1, UNKNOWN_SIZE)
}

/// The header of a 16-bit file of so many channels, 1 to 64, whose little-endian samples are so many bytes in all.
pub fn header_of(rate: SampleRate, channels: u16, data_bytes: u32) -> [u8; HEADER_BYTES] {
    let frame_bytes = channels * 2;
    // the riff size counts everything after itself: 36 bytes of header and the samples
    let riff_bytes = data_bytes.saturating_add(36);
    let mut header = [0; HEADER_BYTES];
    header[0..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&riff_bytes.to_le_bytes());
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16..20].copy_from_slice(&16_u32.to_le_bytes());
    header[20..22].copy_from_slice(&PCM.to_le_bytes());
    header[22..24].copy_from_slice(&channels.to_le_bytes());
    header[24..28].copy_from_slice(&rate.hz().to_le_bytes());
    header[28..32].copy_from_slice(&(rate.hz() * u32::from(frame_bytes)).to_le_bytes());
    header[32..34].copy_from_slice(&frame_bytes.to_le_bytes());
    header[34..36].copy_from_slice(&16_u16.to_le_bytes());
    header[36..40].copy_from_slice(b"data");
    header[40..44].copy_from_slice(&data_bytes.to_le_bytes());
    header
}
