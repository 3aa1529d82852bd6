//! Voice activity and end-pointing: scripted probabilities, a synthetic voice, noise, clicks.

use engine::audio::{EndpointConfig, Endpointer, FRAME_MS, SpeechDetector, Vad, VadEvent};
use proptest::prelude::*;

use super::formats::chunks_of;
use super::signal::{noise, sine};

/// Feeds a script of ('v' voiced, '.' silent) frames and returns the events with their frame.
fn run(config: EndpointConfig, script: &str) -> Vec<(usize, VadEvent)> {
    let mut endpointer = Endpointer::new(config);
    script
        .chars()
        .enumerate()
        .filter_map(|(at, c)| {
            let event = endpointer.frame(if c == 'v' { 0.9 } else { 0.05 })?;
            Some((at, event))
        })
        .collect()
}

fn config(silence_ms: u64) -> EndpointConfig {
    EndpointConfig {
        silence_ms,
        ..EndpointConfig::default()
    }
}

#[test]
fn an_utterance_starts_pauses_and_stops() {
    let events = run(config(160), "..vvvvvv..............");
    assert_eq!(
        events,
        [
            (5, VadEvent::SpeechStarted { at_ms: 32 }),
            (10, VadEvent::FirstSilence { at_ms: 128 }),
            (
                17,
                VadEvent::SpeechStopped {
                    speech_end_ms: 128,
                    at_ms: 288
                }
            ),
        ]
    );
}

#[test]
fn a_pause_inside_a_sentence_is_announced_and_withdrawn() {
    let events = run(
        config(480),
        "vvvv......vvvv......................................",
    );
    assert_eq!(
        events,
        [
            (3, VadEvent::SpeechStarted { at_ms: 0 }),
            (6, VadEvent::FirstSilence { at_ms: 64 }),
            (11, VadEvent::SpeechResumed { at_ms: 160 }),
            (16, VadEvent::FirstSilence { at_ms: 224 }),
            (
                43,
                VadEvent::SpeechStopped {
                    speech_end_ms: 224,
                    at_ms: 704
                }
            ),
        ]
    );
}

#[test]
fn a_stop_consonant_is_no_pause() {
    assert_eq!(run(config(160), "vvvvvv..vvvv.vvvv").len(), 1);
}

#[test]
fn a_knock_neither_starts_speech_nor_restarts_the_silence() {
    assert_eq!(run(config(160), "...v......vv......v.v......vvv......"), []);
    let events = run(config(160), "vvvv....v......");
    assert_eq!(
        events.last().unwrap(),
        &(
            13,
            VadEvent::SpeechStopped {
                speech_end_ms: 64,
                at_ms: 224
            }
        )
    );
    assert!(
        events
            .iter()
            .all(|(_, event)| !matches!(event, VadEvent::SpeechResumed { .. }))
    );
}

#[test]
fn a_hole_in_a_word_does_not_hide_it() {
    assert_eq!(
        run(config(160), "v.vv.v"),
        [(5, VadEvent::SpeechStarted { at_ms: 0 })]
    );
    // an old knock is not the beginning of the word
    assert_eq!(
        run(config(160), "v...vvvv"),
        [(7, VadEvent::SpeechStarted { at_ms: 64 })]
    );
}

#[test]
fn resumed_speech_begins_at_the_first_of_its_two_frames() {
    for (script, at_ms) in [("vvvv....vv", 128), ("vvvv....v.v", 128)] {
        let (_, event) = *run(config(480), script).last().unwrap();
        assert_eq!(event, VadEvent::SpeechResumed { at_ms }, "{script}");
    }
}

#[test]
fn when_both_are_due_the_stop_comes_alone() {
    let settings = EndpointConfig {
        silence_ms: 32,
        first_silence_ms: 32,
        ..config(32)
    };
    let events = run(settings, "vvvv....");
    assert_eq!(
        events[1..],
        [(
            5,
            VadEvent::SpeechStopped {
                speech_end_ms: 64,
                at_ms: 96
            }
        )]
    );
    let settings = EndpointConfig {
        silence_ms: 0,
        min_speech_ms: 0,
        ..config(0)
    };
    assert_eq!(run(settings, "v.v.").len(), 4);
}

#[test]
fn settings_change_while_it_runs() {
    let mut endpointer = Endpointer::new(config(4_000));
    for _ in 0..10 {
        endpointer.frame(0.9);
    }
    for _ in 0..20 {
        endpointer.frame(0.0);
    }
    assert!(endpointer.is_speaking());
    assert_eq!(
        (endpointer.silence_ms(), endpointer.position_ms()),
        (320, 480)
    );
    endpointer.configure(config(200));
    assert_eq!(
        endpointer.frame(0.0),
        Some(VadEvent::SpeechStopped {
            speech_end_ms: 160,
            at_ms: 496
        })
    );
    assert!(!endpointer.is_speaking());
    assert_eq!(endpointer.silence_ms(), 0);
}

#[test]
fn the_turn_model_may_stop_early_and_a_clear_forgets() {
    let mut endpointer = Endpointer::new(config(4_000));
    assert_eq!(endpointer.stop(), None);
    for p in [0.9, 0.9, 0.9, 0.9, 0.0, 0.0] {
        endpointer.frame(p);
    }
    assert_eq!(
        endpointer.stop(),
        Some(VadEvent::SpeechStopped {
            speech_end_ms: 64,
            at_ms: 96
        })
    );
    assert_eq!(endpointer.stop(), None);
    for _ in 0..4 {
        endpointer.frame(0.9);
    }
    assert!(endpointer.is_speaking());
    endpointer.reset_speech();
    assert!(!endpointer.is_speaking());
    assert_eq!(endpointer.position_ms(), 160);
}

#[test]
fn thresholds_are_mapped_and_never_too_low() {
    let at = |threshold| {
        EndpointConfig {
            threshold,
            ..config(200)
        }
        .start_probability()
    };
    for (threshold, probability) in [
        (0.0, 0.5),
        (0.5, 0.5),
        (0.75, 0.725),
        (1.0, 0.95),
        (9.0, 0.95),
        (f32::NAN, 0.5),
    ] {
        assert!((at(threshold) - probability).abs() < 1e-6, "{threshold}");
    }
    assert!(
        config(200).stay_probability() > 0.32,
        "near silence would hold a turn open"
    );
}

/// Pulses of a gliding pitch through three moving resonators: enough of a voice for a detector.
fn voice(samples: usize, pitch: f64) -> Vec<i16> {
    use std::f64::consts::{PI, TAU};
    let mut memory = [[0.0; 2]; 3];
    let mut phase = 0.0;
    let waves: Vec<f64> = (0..samples)
        .map(|n| {
            let seconds = n as f64 / 16_000.0;
            phase += pitch * (1.0 + 0.1 * (TAU * 2.5 * seconds).sin()) / 16_000.0;
            let mut wave = f64::from(phase >= 1.0);
            phase -= wave;
            let vowel = (TAU * 3.0 * seconds).sin() * 0.5 + 0.5;
            let formants = [
                (300.0 + 450.0 * vowel, 80.0),
                (2_200.0 - 1_000.0 * vowel, 100.0),
                (2_900.0 - 300.0 * vowel, 140.0),
            ];
            for (state, (hz, width)) in memory.iter_mut().zip(formants) {
                let radius = (-PI * width / 16_000.0_f64).exp();
                let next = wave * (1.0 - radius) * 1.5
                    + 2.0 * radius * (TAU * hz / 16_000.0).cos() * state[0]
                    - radius * radius * state[1];
                *state = [next, state[0]];
                wave = next;
            }
            wave
        })
        .collect();
    let peak = waves
        .iter()
        .fold(0.0_f64, |peak, wave| peak.max(wave.abs()));
    waves
        .iter()
        .map(|wave| (wave / peak * 16_000.0) as i16)
        .collect()
}

/// A second of room noise, a second of voice, a second of room noise.
fn utterance() -> Vec<i16> {
    let mut samples = noise(48_000, 0.001, 11);
    for (sample, voice) in samples[16_000..].iter_mut().zip(voice(16_000, 130.0)) {
        *sample = sample.saturating_add(voice);
    }
    samples
}

fn detect(vad: Vad, settings: EndpointConfig, samples: &[i16]) -> Vec<VadEvent> {
    let mut detector = SpeechDetector::new(vad, settings);
    let mut events = Vec::new();
    detector.push(samples, &mut events);
    events
}

#[test]
fn a_voice_in_a_quiet_room_is_found_where_it_is() {
    for vad in [Vad::earshot(), Vad::energy(0.01)] {
        let name = format!("{vad:?}");
        let events = detect(vad, config(300), &utterance());
        let Some(VadEvent::SpeechStarted { at_ms: start }) = events.first() else {
            panic!("{name}: {events:?}");
        };
        assert!(
            (960..=1_120).contains(start),
            "{name} started at {start} ms"
        );
        let Some(VadEvent::SpeechStopped {
            speech_end_ms,
            at_ms,
        }) = events.last()
        else {
            panic!("{name}: {events:?}");
        };
        assert!(
            (1_950..=2_120).contains(speech_end_ms),
            "{name} ended at {speech_end_ms} ms"
        );
        assert!((300..316).contains(&(at_ms - speech_end_ms)));
    }
}

#[test]
fn what_is_no_voice_starts_nothing() {
    let mut click = noise(32_000, 0.001, 3);
    for (n, sample) in click[16_000..16_040].iter_mut().enumerate() {
        *sample = if n % 2 == 0 { 30_000 } else { -30_000 };
    }
    let mut knock = noise(32_000, 0.001, 4);
    knock[16_000..16_800].copy_from_slice(&noise(800, 0.5, 5));
    for (name, samples) in [
        ("digital silence", vec![0; 48_000]),
        ("a quiet room", noise(48_000, 0.0001, 1)),
        ("a fan", noise(48_000, 0.01, 2)),
        ("a click", click),
        ("a knock of 50 ms", knock),
    ] {
        assert_eq!(detect(Vad::earshot(), config(300), &samples), [], "{name}");
    }
}

#[test]
fn what_is_steady_does_not_hold_a_turn_open() {
    // the detector takes these for voice as long as they last
    for (name, steady) in [
        ("an unmuted microphone", noise(160_000, 0.03, 7)),
        ("a dial tone", sine(425.0, 16_000, 160_000, 0.3)),
        ("a fan", noise(160_000, 0.05, 8)),
    ] {
        let mut samples = vec![0; 32_000];
        samples.extend(steady);
        let events = detect(Vad::earshot(), config(300), &samples);
        let [
            VadEvent::SpeechStarted { .. },
            ..,
            VadEvent::SpeechStopped { at_ms, .. },
        ] = events[..]
        else {
            panic!("{name}: {events:?}");
        };
        assert!(at_ms < 4_200, "{name}: {events:?}");
        assert!(events.len() <= 3, "{name}: {events:?}");
    }
}

#[test]
fn in_noise_the_level_of_the_room_tells_the_end() {
    let mut samples = utterance();
    // the room is 25 dB below the voice, and earshot alone would hold on for 400 ms
    for (sample, noise) in samples.iter_mut().zip(noise(48_000, 0.02, 21)) {
        *sample = sample.saturating_add(noise);
    }
    let events = detect(Vad::earshot(), config(300), &samples);
    let Some(VadEvent::SpeechStopped { speech_end_ms, .. }) = events.last() else {
        panic!("{events:?}");
    };
    assert!(
        (1_968..=2_032).contains(speech_end_ms),
        "ended at {speech_end_ms} ms"
    );
}

#[test]
fn a_softer_speaker_is_heard_after_a_loud_one() {
    let mut samples = utterance();
    let mut soft = utterance();
    engine::audio::level::apply_gain(&mut soft, 0.02);
    samples.extend(soft);
    let events = detect(Vad::energy(0.001), config(300), &samples);
    let starts = events
        .iter()
        .filter(|event| matches!(event, VadEvent::SpeechStarted { .. }));
    assert_eq!(starts.count(), 2, "{events:?}");
    let Some(VadEvent::SpeechStopped { speech_end_ms, .. }) = events.last() else {
        panic!("{events:?}");
    };
    assert!(
        (4_968..=5_032).contains(speech_end_ms),
        "ended at {speech_end_ms} ms"
    );
}

#[test]
fn a_reset_detector_repeats_itself() {
    let samples = utterance();
    let mut vad = Vad::earshot();
    let frames = samples.as_chunks::<256>().0;
    let first: Vec<f32> = frames.iter().map(|frame| vad.probability(frame)).collect();
    let unreset: Vec<f32> = frames.iter().map(|frame| vad.probability(frame)).collect();
    assert_ne!(unreset, first, "the detector has a memory");
    vad.reset();
    let again: Vec<f32> = frames.iter().map(|frame| vad.probability(frame)).collect();
    assert_eq!(again, first);
}

#[test]
fn a_thousand_tiny_appends_give_the_events_of_one_big_append() {
    let samples = utterance();
    let whole = detect(Vad::earshot(), config(300), &samples);
    assert!(whole.len() >= 3);
    let mut detector = SpeechDetector::new(Vad::earshot(), config(300));
    let mut events = Vec::new();
    for chunk in samples.chunks(samples.len() / 1_000) {
        detector.push(chunk, &mut events);
    }
    assert_eq!(events, whole);
    assert_eq!(
        detector.endpointer().position_ms(),
        samples.len() as u64 / 256 * FRAME_MS
    );
}

proptest! {
    #[test]
    fn events_do_not_depend_on_chunks(sizes in prop::collection::vec(1_usize..2_000, 1..9)) {
        let samples = utterance();
        let whole = detect(Vad::energy(0.01), config(300), &samples);
        let mut detector = SpeechDetector::new(Vad::energy(0.01), config(300));
        let mut events = Vec::new();
        for chunk in chunks_of(samples.len(), &sizes) {
            detector.push(&samples[chunk], &mut events);
        }
        prop_assert_eq!(events, whole);
    }

    #[test]
    fn any_probabilities_give_a_well_formed_story(
        frames in prop::collection::vec(0.0_f32..1.0, 0..400),
        silence_ms in 0_u64..700,
        first_silence_ms in 0_u64..200,
        min_speech_ms in 0_u64..2_000,
        threshold in -1.0_f32..2.0,
    ) {
        let settings = EndpointConfig { threshold, min_speech_ms, silence_ms, first_silence_ms };
        let mut endpointer = Endpointer::new(settings);
        let (mut speaking, mut paused, mut last) = (false, false, 0);
        for p in frames {
            let event = endpointer.frame(p);
            let now = endpointer.position_ms();
            let at = match event {
                None => continue,
                Some(VadEvent::SpeechStarted { at_ms }) => {
                    prop_assert!(!speaking);
                    speaking = true;
                    at_ms
                }
                Some(VadEvent::FirstSilence { at_ms }) => {
                    prop_assert!(speaking && !paused && now - at_ms >= first_silence_ms);
                    paused = true;
                    at_ms
                }
                Some(VadEvent::SpeechResumed { at_ms }) => {
                    prop_assert!(speaking && paused);
                    paused = false;
                    at_ms
                }
                Some(VadEvent::SpeechStopped { speech_end_ms, at_ms }) => {
                    prop_assert!(speaking && at_ms == now && at_ms - speech_end_ms >= silence_ms);
                    (speaking, paused) = (false, false);
                    speech_end_ms
                }
            };
            prop_assert!(at >= last && at < now, "times run forward: {at} after {last} at {now}");
            last = at;
            prop_assert_eq!(endpointer.is_speaking(), speaking);
        }
    }
}
