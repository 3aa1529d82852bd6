use proptest::prelude::*;

use super::*;

/// Sums of sines, as frequency and level, for so many samples.
fn sines(tones: &[(f32, f32)], samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|n| {
            let at = n as f32 * std::f32::consts::TAU / RATE;
            let sum: f32 = tones
                .iter()
                .map(|(hz, level)| level * (at * hz).sin())
                .sum();
            sum as i16
        })
        .collect()
}

fn noise(samples: usize, level: i32, seed: u32) -> Vec<i16> {
    let mut state = seed | 1;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 16) as i32 % (2 * level + 1) - level) as i16
    })
    .take(samples)
    .collect()
}

fn heard(parts: &[Vec<i16>]) -> Vec<Beep> {
    let mut ear = Ear::default();
    let all = parts.concat();
    all.chunks(160)
        .filter_map(|chunk| ear.hear(chunk))
        .collect()
}

fn silence(ms: usize) -> Vec<i16> {
    vec![0; ms * 8]
}

#[test]
fn beeps_of_every_pitch_are_heard_to_their_end() {
    for hz in [350.0, 440.0, 613.0, 1000.0, 1400.0, 1987.0] {
        let beep = heard(&[silence(510), sines(&[(hz, 6000.0)], 400 * 8), silence(100)]);
        assert_eq!(beep.len(), 1, "{hz}");
        assert!(
            f32::from(beep[0].hz.abs_diff(hz as u16)) <= 8.0,
            "{hz} {beep:?}"
        );
        assert!(beep[0].began_ms.abs_diff(510) <= 20, "{beep:?}");
        assert!(beep[0].ended_ms.abs_diff(910) <= 20, "{beep:?}");
    }
}

#[test]
fn it_is_heard_through_the_codec_and_noise() {
    use crate::audio::g711::Law;
    let tone = sines(&[(1000.0, 1000.0)], 200 * 8);
    let noise = noise(tone.len(), 150, 9);
    let mixed: Vec<i16> = tone.iter().zip(noise).map(|(a, b)| a + b).collect();
    let (mut coded, mut decoded) = (Vec::new(), Vec::new());
    Law::Mu.encode(&mixed, &mut coded);
    Law::Mu.decode(&coded, &mut decoded);
    assert_eq!(heard(&[silence(100), decoded, silence(100)]).len(), 1);
}

#[test]
fn what_is_no_beep_is_not_heard() {
    let long = |tones: &[(f32, f32)]| heard(&[silence(100), sines(tones, 8000), silence(100)]);
    for (what, tones) in [
        ("ringing", &[(440.0, 4000.0), (480.0, 4000.0)][..]),
        ("the dial tone", &[(350.0, 4000.0), (440.0, 4000.0)]),
        ("a key", &[(697.0, 4000.0), (1209.0, 4000.0)]),
        ("hum", &[(50.0, 9000.0)]),
        ("a whistle", &[(2600.0, 9000.0)]),
        ("something quiet", &[(1000.0, 100.0)]),
        (
            "a vowel",
            &[
                (140.0, 3000.0),
                (280.0, 4000.0),
                (420.0, 3500.0),
                (560.0, 2500.0),
                (700.0, 2000.0),
            ],
        ),
    ] {
        assert_eq!(long(tones), [], "{what}");
    }
    // too short, and without end
    assert_eq!(
        heard(&[
            silence(100),
            sines(&[(1000.0, 6000.0)], 80 * 8),
            silence(100)
        ]),
        []
    );
    assert_eq!(
        heard(&[sines(&[(1000.0, 6000.0)], 3000 * 8), silence(100)]),
        []
    );
    // a siren
    let siren: Vec<Vec<i16>> = (0..60)
        .map(|n| sines(&[(400.0 + 25.0 * f32::from(n as u8) * 1.6, 6000.0)], 160))
        .collect();
    assert_eq!(heard(&siren), []);
    assert_eq!(heard(&[noise(80_000, 8000, 3)]), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_beep_is_heard_wherever_it_begins_and_however_it_is_cut(
        before in 0_usize..4000,
        ms in 120_usize..1500,
        hz in 350.0_f32..2000.0,
        level in 400.0_f32..20_000.0,
        chunk in 1_usize..700,
    ) {
        let all = [vec![0; before], sines(&[(hz, level)], ms * 8), silence(100)].concat();
        let mut ear = Ear::default();
        let beeps: Vec<Beep> = all.chunks(chunk).filter_map(|part| ear.hear(part)).collect();
        prop_assert_eq!(beeps.len(), 1, "{:?}", beeps);
        prop_assert!(f32::from(beeps[0].hz) - hz < 10.0);
    }
}
