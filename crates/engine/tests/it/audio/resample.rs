//! Resampling: length, alignment, spectrum, independence of chunks, reuse.

use engine::audio::{Resampler, SampleRate};
use proptest::prelude::*;

use super::formats::chunks_of;
use super::signal::{amplitude_at, noise, sine};

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).unwrap()
}

fn whole(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
    let mut resampler = Resampler::new(rate(from), rate(to));
    let mut out = Vec::new();
    resampler.push(samples, &mut out);
    resampler.flush(&mut out);
    out
}

/// The pairs a server meets: every wire format, Piper (16 and 22.05 kHz), Kokoro (24 kHz), uploads.
const PAIRS: [(u32, u32); 14] = [
    (24_000, 16_000),
    (8_000, 16_000),
    (48_000, 16_000),
    (16_000, 24_000),
    (16_000, 8_000),
    (24_000, 8_000),
    (24_000, 48_000),
    (22_050, 24_000),
    (22_050, 16_000),
    (22_050, 8_000),
    (44_100, 16_000),
    (44_100, 24_000),
    (11_025, 16_000),
    (32_000, 24_000),
];

#[test]
fn equal_rates_pass_through_at_once() {
    let samples = noise(1_000, 1.0, 1);
    let mut resampler = Resampler::new(SampleRate::HZ_24K, SampleRate::HZ_24K);
    let mut out = Vec::new();
    resampler.push(&samples, &mut out);
    assert_eq!(out, samples);
    assert_eq!(resampler.delay_ms(), 0);
    resampler.flush(&mut out);
    assert_eq!(out.len(), 1_000);
}

#[test]
fn a_sine_keeps_its_frequency_level_and_place() {
    for (from, to) in PAIRS {
        let hz = 900.0;
        let out = whole(&sine(hz, from, from as usize, 0.5), from, to);
        assert_eq!(out.len(), to as usize, "{from} -> {to}");
        let expected = sine(hz, to, to as usize, 0.5);
        let middle = to as usize / 10..to as usize * 9 / 10;
        let level = amplitude_at(&out[middle.clone()], hz, to);
        assert!((level - 0.5).abs() < 0.005, "{from} -> {to}: level {level}");
        // sample by sample: a shift of one sample would be an error of 0.06 and more
        let error = middle
            .map(|n| (i32::from(out[n]) - i32::from(expected[n])).abs())
            .max()
            .unwrap();
        // a block of an odd length has its middle between two samples
        let odd = matches!(from, 11_025 | 22_050 | 44_100);
        let half_sample = std::f64::consts::TAU * hz / f64::from(from) * 0.55 * 16_384.0;
        assert!(
            error < if odd { half_sample as i32 } else { 60 },
            "{from} -> {to}: off by {error} of 32768"
        );
    }
}

#[test]
fn nothing_folds_back_into_the_band() {
    for (from, to) in [
        (24_000, 16_000),
        (48_000, 16_000),
        (24_000, 8_000),
        (22_050, 8_000),
        (16_000, 8_000),
    ] {
        let half = f64::from(to) / 2.0;
        // from the first frequency that must be gone up to the top of the input
        for hz in [half * 1.12, half * 1.3, half * 1.6] {
            if hz > f64::from(from) / 2.0 * 0.98 {
                continue;
            }
            let out = whole(&sine(hz, from, from as usize, 0.9), from, to);
            let folded = f64::from(to) - hz;
            let middle = &out[to as usize / 10..to as usize * 9 / 10];
            let alias = 20.0 * (amplitude_at(middle, folded.abs(), to) / 0.9).log10();
            assert!(
                alias < -60.0,
                "{from} -> {to}: {hz} Hz folds to {folded} Hz at {alias} dB"
            );
        }
    }
}

#[test]
fn raising_the_rate_makes_no_images() {
    for (from, to) in [
        (8_000, 16_000),
        (16_000, 24_000),
        (22_050, 24_000),
        (8_000, 24_000),
    ] {
        let hz = 1_000.0;
        let out = whole(&sine(hz, from, from as usize, 0.9), from, to);
        let image = f64::from(from) - hz;
        let middle = &out[to as usize / 10..to as usize * 9 / 10];
        if image < f64::from(to) / 2.0 {
            let level = 20.0 * (amplitude_at(middle, image, to) / 0.9).log10();
            assert!(level < -60.0, "{from} -> {to}: image at {level} dB");
        }
    }
}

#[test]
fn the_telephone_band_survives() {
    let out = whole(&sine(3_400.0, 8_000, 8_000, 0.5), 8_000, 16_000);
    let level = amplitude_at(&out[1_600..14_400], 3_400.0, 16_000);
    assert!(20.0 * (level / 0.5).log10() > -3.0, "3.4 kHz at {level}");
}

#[test]
fn it_holds_back_little() {
    for (from, to) in PAIRS {
        let mut resampler = Resampler::new(rate(from), rate(to));
        let delay = u64::from(resampler.delay_ms());
        let limit = match (from, to) {
            (11_025, _) => 60,
            (22_050, 8_000 | 16_000) => 30,
            (22_050, 24_000) => 10,
            _ => 15,
        };
        assert!(delay <= limit, "{from} -> {to}: {delay} ms");
        let mut out = Vec::new();
        resampler.push(&noise(from as usize, 0.5, 3), &mut out);
        let heard = rate(to).duration_ms(out.len() as u64);
        assert!(
            heard + delay >= 1_000,
            "{from} -> {to}: {heard} ms out of 1000 and {delay} ms held"
        );
    }
    for (from, to) in [
        (24_000, 16_000),
        (8_000, 16_000),
        (16_000, 24_000),
        (16_000, 8_000),
    ] {
        assert_eq!(Resampler::new(rate(from), rate(to)).delay_ms(), 15);
    }
}

#[test]
fn a_flushed_resampler_is_as_new() {
    let samples = noise(3_333, 0.9, 5);
    let mut resampler = Resampler::new(SampleRate::HZ_24K, SampleRate::HZ_16K);
    let mut runs = [Vec::new(), Vec::new()];
    for run in &mut runs {
        resampler.push(&samples, run);
        resampler.flush(run);
    }
    assert_eq!(runs[0], runs[1]);
    let mut nothing = Vec::new();
    resampler.flush(&mut nothing);
    assert!(nothing.is_empty());
}

#[test]
fn full_scale_clips_instead_of_wrapping() {
    let square: Vec<i16> = (0..24_000)
        .map(|n| if n / 30 % 2 == 0 { i16::MAX } else { i16::MIN })
        .collect();
    let out = whole(&square, 24_000, 16_000);
    // in the middle of each half wave the sign must be that of the input
    for n in 200..15_800 {
        let phase = (n * 3 / 2) % 30;
        if (8..22).contains(&phase) {
            assert_eq!(out[n] > 0, square[n * 3 / 2] > 0, "sample {n} wrapped");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn length_follows_the_ratio_and_chunks_do_not_matter(
        pair in prop::sample::select(&PAIRS[..]),
        length in 0_usize..6_000,
        sizes in prop::collection::vec(1_usize..1_500, 1..8),
        seed in any::<u64>(),
    ) {
        let (from, to) = pair;
        let samples = noise(length, 1.0, seed);
        let mut resampler = Resampler::new(rate(from), rate(to));
        let mut out = Vec::new();
        for chunk in chunks_of(length, &sizes) {
            resampler.push(&samples[chunk.clone()], &mut out);
            let behind = chunk.end as f64 / f64::from(from) - out.len() as f64 / f64::from(to);
            prop_assert!(behind >= -1e-9 && behind * 1_000.0 <= f64::from(resampler.delay_ms()) + 1e-9);
        }
        resampler.flush(&mut out);
        prop_assert_eq!(out.len() as u64, (length as u64 * u64::from(to)).div_ceil(u64::from(from)));
        prop_assert_eq!(out, whole(&samples, from, to));
    }

    #[test]
    fn any_two_rates_work(from in 1_000_u32..192_000, to in 1_000_u32..192_000) {
        let out = whole(&noise(from as usize / 50, 0.5, 9), from, to);
        let expected = u64::from(from / 50) * u64::from(to);
        prop_assert_eq!(out.len() as u64, expected.div_ceil(u64::from(from)));
    }
}
