//! How loud a stretch of samples is, and making it louder or softer.
//! Called by the energy detector, the noise gate of a session and the audio tests.
//! It never keeps state between calls.

const FULL_SCALE: f32 = 32_768.0;

/// Root mean square of the samples, 0 (silence or nothing) to 1 (full scale square wave).
pub fn rms(samples: &[i16]) -> f32 {
    if samples.is_empty() {
        return 0.0;
    }
    // a sum of squares of 16-bit samples fits u64 for 2^33 samples, and integers add exactly
    let sum: u64 = samples
        .iter()
        .map(|&sample| u64::from(sample.unsigned_abs()).pow(2))
        .sum();
    ((sum as f64 / samples.len() as f64).sqrt() / f64::from(FULL_SCALE)) as f32
}

/// The largest magnitude, 0 to 1.
pub fn peak(samples: &[i16]) -> f32 {
    let peak = samples
        .iter()
        .map(|sample| sample.unsigned_abs())
        .max()
        .unwrap_or(0);
    f32::from(peak) / FULL_SCALE
}

/// A level of 0 to 1 in decibels below full scale; silence is minus infinity.
pub fn dbfs(level: f32) -> f32 {
    20.0 * level.log10()
}

/// Multiplies every sample by `gain` and clips at full scale.
pub fn apply_gain(samples: &mut [i16], gain: f32) {
    for sample in samples {
        // a float to integer cast saturates, which is the clipping wanted here
        *sample = (f32::from(*sample) * gain).round() as i16;
    }
}
