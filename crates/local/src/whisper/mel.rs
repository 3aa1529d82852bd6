//! Log-mel spectrograms as Whisper and Smart Turn were trained on.
//! `whisper` and `smart_turn` call it with 16 kHz sound.
//! It never pads to a fixed length: the caller says how many frames it wants.
//!
//! 400-sample periodic Hann windows every 160 samples, centred, edges mirrored; power; 80
//! triangular bands on the Slaney scale, area-normalised; log10, floor 8 below the largest,
//! `(x + 4) / 4` (github.com/openai/whisper, `audio.py`).

use std::{f64::consts::PI, sync::Arc};

use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex};

/// Bands of the spectrogram.
pub(crate) const BINS: usize = 80;
/// Samples between two frames.
pub(crate) const HOP: usize = 160;
const WINDOW: usize = 400;
const RATE_HZ: f64 = 16_000.0;
/// Power below which a band counts as silent.
const FLOOR: f32 = 1e-10;

/// A triangular band: its first frequency line, and the weights from there on.
struct Band {
    first: usize,
    weights: Vec<f32>,
}

/// Computes spectrograms; keeps the transform's plan and scratch memory.
pub(crate) struct Mel {
    transform: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    bands: Vec<Band>,
    frame: Vec<f32>,
    lines: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl Mel {
    pub(crate) fn new() -> Self {
        let transform = RealFftPlanner::<f32>::new().plan_fft_forward(WINDOW);
        let window = (0..WINDOW)
            .map(|i| (0.5 - 0.5 * (2.0 * PI * i as f64 / WINDOW as f64).cos()) as f32)
            .collect();
        Self {
            window,
            bands: bands(),
            frame: transform.make_input_vec(),
            lines: transform.make_output_vec(),
            scratch: transform.make_scratch_vec(),
            transform,
        }
    }

    /// The spectrogram of `sound` (16 kHz, full scale 1.0, at least 201 samples), `frames` frames
    /// from the start, written to `out` as `[80, frames]`; sound that ends early continues as
    /// silence.
    pub(crate) fn compute(&mut self, sound: &[f32], frames: usize, out: &mut [f32]) {
        let mut largest = f32::MIN;
        for frame in 0..frames {
            self.power(sound, frame);
            for (bin, band) in self.bands.iter().enumerate() {
                let energy: f32 = band
                    .weights
                    .iter()
                    .zip(&self.lines[band.first..])
                    .map(|(weight, line)| weight * line.re)
                    .sum();
                let level = energy.max(FLOOR).log10();
                largest = largest.max(level);
                out[bin * frames + frame] = level;
            }
        }
        let floor = largest - 8.0;
        for value in &mut out[..BINS * frames] {
            *value = (value.max(floor) + 4.0) / 4.0;
        }
    }

    /// Leaves the power of each frequency line in the real parts of `lines`.
    fn power(&mut self, sound: &[f32], frame: usize) {
        let start = (frame * HOP) as isize - (WINDOW / 2) as isize;
        for (i, (value, weight)) in self.frame.iter_mut().zip(&self.window).enumerate() {
            // mirrored at the start; after the end there is silence
            let at = (start + i as isize).unsigned_abs();
            *value = sound.get(at).copied().unwrap_or(0.0) * weight;
        }
        let done = self.transform.process_with_scratch(
            &mut self.frame,
            &mut self.lines,
            &mut self.scratch,
        );
        debug_assert!(done.is_ok(), "the buffers were made by this transform");
        for line in &mut self.lines {
            line.re = line.norm_sqr();
        }
    }
}

fn bands() -> Vec<Band> {
    let lines = WINDOW / 2 + 1;
    let top = mel(RATE_HZ / 2.0);
    let edges: Vec<f64> = (0..BINS + 2)
        .map(|i| hertz(top * i as f64 / (BINS + 1) as f64))
        .collect();
    edges
        .windows(3)
        .map(|edge| {
            let weight = |line: usize| {
                let frequency = line as f64 * RATE_HZ / WINDOW as f64;
                let rise = (frequency - edge[0]) / (edge[1] - edge[0]);
                let fall = (edge[2] - frequency) / (edge[2] - edge[1]);
                rise.min(fall).max(0.0) * 2.0 / (edge[2] - edge[0])
            };
            let first = (0..lines).find(|line| weight(*line) > 0.0).unwrap_or(0);
            let weights = (first..lines)
                .map(weight)
                .take_while(|weight| *weight > 0.0)
                .map(|weight| weight as f32)
                .collect();
            Band { first, weights }
        })
        .collect()
}

/// Slaney's scale: linear to 1 kHz (15 mel), then 27 steps per factor of 6.4.
fn mel(hertz: f64) -> f64 {
    if hertz < 1000.0 {
        hertz * 3.0 / 200.0
    } else {
        15.0 + (hertz / 1000.0).ln() * 27.0 / 6.4f64.ln()
    }
}

fn hertz(mel: f64) -> f64 {
    if mel < 15.0 {
        mel * 200.0 / 3.0
    } else {
        1000.0 * ((mel - 15.0) * 6.4f64.ln() / 27.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_flat_and_at_the_floor() {
        let mut out = vec![0.0; BINS * 10];
        Mel::new().compute(&[0.0; 1600], 10, &mut out);
        for value in out {
            assert!(
                (value - -1.5).abs() < 1e-6,
                "log10(1e-10) scaled is -1.5, got {value}"
            );
        }
    }

    #[test]
    fn a_tone_is_loudest_in_the_band_around_it() {
        let tone: Vec<f32> = (0..16_000)
            .map(|i| (2.0 * PI * 1000.0 * f64::from(i) / RATE_HZ).sin() as f32 * 0.5)
            .collect();
        let frames = 100;
        let mut out = vec![0.0; BINS * frames];
        Mel::new().compute(&tone, frames, &mut out);
        let loudest =
            (0..BINS).max_by(|a, b| out[a * frames + 50].total_cmp(&out[b * frames + 50]));
        // 1 kHz is 15 mel; the centres are 45.245 / 81 mel apart
        assert_eq!(loudest, Some(26));
        // a sine of amplitude 0.5 in a Hann window: the line's power is (0.5 / 2 * 200)^2
        let largest = out.iter().copied().fold(f32::MIN, f32::max);
        assert!((1.3..1.5).contains(&largest), "{largest}");
    }

    #[test]
    fn each_band_has_the_area_of_a_triangle_of_height_two_over_width() {
        for band in bands() {
            let area: f32 = band.weights.iter().sum::<f32>() * 40.0;
            assert!((0.4..1.6).contains(&area), "area {area}");
        }
    }
}
