//! A voice without a recording: pulses of a gliding pitch through three moving resonators.

use std::f64::consts::{PI, TAU};

use engine::audio::{SampleRate, wav};

const RATE: SampleRate = SampleRate::HZ_16K;

/// A WAV of half a second of near silence, a second and a half of voice, and silence again.
pub(crate) fn question() -> Vec<u8> {
    let mut samples = vec![0; 8_000];
    samples.extend(voice(24_000, 130.0));
    samples.extend(vec![0; 1_600]);
    wav::write(&samples, RATE)
}

fn voice(count: usize, pitch_hz: f64) -> Vec<i16> {
    let rate = f64::from(RATE.hz());
    let mut memory = [[0.0; 2]; 3];
    let mut phase = 0.0;
    let wave_at = |n: usize| {
        let seconds = n as f64 / rate;
        phase += pitch_hz * (1.0 + 0.1 * (TAU * 2.5 * seconds).sin()) / rate;
        let mut wave = f64::from(phase >= 1.0);
        phase -= wave;
        let vowel = (TAU * 3.0 * seconds).sin() * 0.5 + 0.5;
        let formants = [
            (300.0 + 450.0 * vowel, 80.0),
            (2_200.0 - 1_000.0 * vowel, 100.0),
            (2_900.0 - 300.0 * vowel, 140.0),
        ];
        for (state, (hz, width)) in memory.iter_mut().zip(formants) {
            let radius = (-PI * width / rate).exp();
            let next = wave * (1.0 - radius) * 1.5
                + 2.0 * radius * (TAU * hz / rate).cos() * state[0]
                - radius * radius * state[1];
            *state = [next, state[0]];
            wave = next;
        }
        wave
    };
    let waves: Vec<f64> = (0..count).map(wave_at).collect();
    let peak = waves
        .iter()
        .fold(0.0_f64, |peak, wave| peak.max(wave.abs()));
    waves
        .iter()
        .map(|wave| (wave / peak * 16_000.0) as i16)
        .collect()
}
