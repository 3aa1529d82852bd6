//! G.711 µ-law and A-law: one byte per sample, as telephones speak.
//! Called by the codec for `audio/pcmu` and `audio/pcma`, and by the telephony edges.
//! It never resamples; the rate is whatever the bytes were sampled at (8 kHz on a telephone).
//!
//! Source of every number: ITU-T Recommendation G.711 (11/88), tables 1a to 2b. Samples are 16-bit;
//! µ-law uses the upper 14 bits, A-law the upper 13. Negative samples are one's complemented before
//! the shift, as the reference code of ITU-T G.191 does, so that both signs share one set of
//! decision values.

/// The µ-law byte for zero.
pub const ULAW_SILENCE: u8 = 0xFF;
/// The A-law byte nearest to zero: A-law has no zero, this is the smallest positive value.
pub const ALAW_SILENCE: u8 = 0xD5;

/// Shifts every µ-law segment onto a power of two, in 14-bit units (G.711 table 2a).
const ULAW_BIAS: i32 = 33;
/// The largest biased µ-law magnitude, in 14-bit units.
const ULAW_CLIP: i32 = 0x1FFF;

static ULAW: [i16; 256] = table(true);
static ALAW: [i16; 256] = table(false);

const fn table(mu: bool) -> [i16; 256] {
    let mut values = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        values[byte] = if mu {
            expand_ulaw(byte as u8)
        } else {
            expand_alaw(byte as u8)
        };
        byte += 1;
    }
    values
}

const fn expand_ulaw(byte: u8) -> i16 {
    // all bits travel inverted, so that silence is a row of ones (G.711 table 2a, note 2)
    let byte = !byte;
    let segment = (byte >> 4) & 7;
    let step = (byte & 0x0F) as i32;
    let magnitude = (((step << 1) + ULAW_BIAS) << segment) - ULAW_BIAS;
    let sample = magnitude << 2;
    (if byte & 0x80 != 0 { -sample } else { sample }) as i16
}

const fn expand_alaw(byte: u8) -> i16 {
    // every second bit travels inverted (G.711 table 1a, note 2)
    let byte = byte ^ 0x55;
    let segment = ((byte >> 4) & 7) as i32;
    let step = (byte & 0x0F) as i32;
    let magnitude = if segment == 0 {
        (step << 4) + 8
    } else {
        (((step + 16) << 4) + 8) << (segment - 1)
    };
    (if byte & 0x80 != 0 {
        magnitude
    } else {
        -magnitude
    }) as i16
}

/// One µ-law byte as a 16-bit sample, within ±32,124.
pub fn decode_ulaw(byte: u8) -> i16 {
    ULAW[usize::from(byte)]
}

/// One A-law byte as a 16-bit sample, within ±32,256.
pub fn decode_alaw(byte: u8) -> i16 {
    ALAW[usize::from(byte)]
}

/// The µ-law byte of a 16-bit sample.
pub fn encode_ulaw(sample: i16) -> u8 {
    let wide = i32::from(sample);
    let magnitude = ((if wide < 0 { !wide } else { wide }) >> 2) + ULAW_BIAS;
    let magnitude = magnitude.min(ULAW_CLIP);
    // the bias makes bit 5 the lowest possible top bit, which is segment 0
    let segment = magnitude.ilog2() as i32 - 5;
    let step = (magnitude >> (segment + 1)) & 0x0F;
    let sign = if wide < 0 { 0x80 } else { 0 };
    !((sign | (segment << 4) | step) as u8)
}

/// The A-law byte of a 16-bit sample.
pub fn encode_alaw(sample: i16) -> u8 {
    let wide = i32::from(sample);
    let magnitude = (if wide < 0 { !wide } else { wide }) >> 4;
    // the two lowest segments share one step size, so below 32 the magnitude is the code
    let code = if magnitude < 32 {
        magnitude
    } else {
        let segment = magnitude.ilog2() as i32 - 3;
        (segment << 4) | ((magnitude >> (segment - 1)) & 0x0F)
    };
    let sign = if wide < 0 { 0 } else { 0x80 };
    ((code | sign) as u8) ^ 0x55
}

/// Which of the two companding laws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Law {
    /// µ-law: North America and Japan.
    Mu,
    /// A-law: the rest of the world.
    A,
}

impl Law {
    /// One byte as a 16-bit sample.
    pub fn sample(self, byte: u8) -> i16 {
        match self {
            Self::Mu => decode_ulaw(byte),
            Self::A => decode_alaw(byte),
        }
    }

    /// Appends one sample per byte to `out`.
    pub fn decode(self, bytes: &[u8], out: &mut Vec<i16>) {
        let values = match self {
            Self::Mu => &ULAW,
            Self::A => &ALAW,
        };
        out.extend(bytes.iter().map(|&byte| values[usize::from(byte)]));
    }

    /// Appends one byte per sample to `out`.
    pub fn encode(self, samples: &[i16], out: &mut Vec<u8>) {
        match self {
            Self::Mu => out.extend(samples.iter().map(|&sample| encode_ulaw(sample))),
            Self::A => out.extend(samples.iter().map(|&sample| encode_alaw(sample))),
        }
    }

    /// The byte that, repeated, is silence.
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => ULAW_SILENCE,
            Self::A => ALAW_SILENCE,
        }
    }
}
