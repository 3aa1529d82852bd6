//! Signed 16-bit little-endian bytes to samples and back.
//! Called by the codec and by everything that speaks headerless PCM.
//! It never loses a byte: half a sample waits for its other half.

/// Reads samples from byte chunks of any length.
///
/// An odd byte count must not desynchronise the stream, so the first byte of a split sample is kept
/// for the next chunk.
#[derive(Debug, Clone, Default)]
pub struct PcmReader {
    half: Option<u8>,
}

impl PcmReader {
    /// A reader at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the samples completed by `bytes` to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<i16>) {
        let bytes = match (self.half, bytes.split_first()) {
            (_, None) => return,
            (Some(low), Some((&high, rest))) => {
                out.push(i16::from_le_bytes([low, high]));
                self.half = None;
                rest
            }
            (None, Some(_)) => bytes,
        };
        let (pairs, rest) = bytes.as_chunks::<2>();
        out.extend(pairs.iter().map(|&pair| i16::from_le_bytes(pair)));
        self.half = rest.first().copied();
    }

    /// Whether the last chunk ended in the middle of a sample.
    pub fn has_half_sample(&self) -> bool {
        self.half.is_some()
    }

    /// Forgets a half sample: the next byte starts a sample.
    pub fn reset(&mut self) {
        self.half = None;
    }
}

/// Appends two bytes per sample to `out`.
pub fn write_le(samples: &[i16], out: &mut Vec<u8>) {
    out.reserve(samples.len() * 2);
    for sample in samples {
        out.extend_from_slice(&sample.to_le_bytes());
    }
}
