//! Test signals and measurements: sines, noise, a rough voice, the level of one frequency.

use std::f64::consts::TAU;

/// A sine of `hz` at `rate`, with an amplitude of 0 to 1.
pub(crate) fn sine(hz: f64, rate: u32, samples: usize, amplitude: f64) -> Vec<i16> {
    (0..samples)
        .map(|n| ((TAU * hz * n as f64 / f64::from(rate)).sin() * amplitude * 32_767.0) as i16)
        .collect()
}

/// Uniform noise, the same for the same seed.
pub(crate) fn noise(samples: usize, amplitude: f64, seed: u64) -> Vec<i16> {
    let mut state = seed | 1;
    (0..samples)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let unit = (state >> 11) as f64 / (1_u64 << 53) as f64;
            ((unit * 2.0 - 1.0) * amplitude * 32_767.0) as i16
        })
        .collect()
}

/// The amplitude (0 to 1) of one frequency, through a Hann window.
pub(crate) fn amplitude_at(samples: &[i16], hz: f64, rate: u32) -> f64 {
    let count = samples.len() as f64;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, &sample) in samples.iter().enumerate() {
        let window = 0.5 - 0.5 * (TAU * n as f64 / count).cos();
        let angle = TAU * hz * n as f64 / f64::from(rate);
        re += f64::from(sample) * window * angle.cos();
        im += f64::from(sample) * window * angle.sin();
    }
    // the window halves the mean, and a real sine shares its amplitude between two frequencies
    (re.hypot(im) / count * 4.0) / 32_767.0
}
