use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use wire::realtime::client::ClientAction;
use wire::realtime::session::TurnDetection;
use wire::realtime::{AudioFormat, ClientEvent, SessionKind, decode};

use crate::ask::Hears;
use crate::audio::{Decoder, Format};
use crate::session::settings::{Template, defaults};
use crate::session::{Detector, Input, Output, Policy, Session};

fn session(hears: Hears, format: AudioFormat, detection: Option<TurnDetection>) -> Session {
    let mut settings = defaults(Template {
        id: "sess_test".to_owned(),
        kind: SessionKind::Realtime,
        model: "test".to_owned(),
        instructions: String::new(),
        voice: "alloy".to_owned(),
        expires_at: 0,
    });
    settings.input.turn_detection = detection;
    settings.input.format = format;
    let policy = Policy {
        hears,
        detector: Detector::Energy(0.05),
        ..Policy::default()
    };
    Session::new(settings, policy, 1)
}

fn server_vad() -> TurnDetection {
    let settings = defaults(Template {
        id: String::new(),
        kind: SessionKind::Realtime,
        model: String::new(),
        instructions: String::new(),
        voice: String::new(),
        expires_at: 0,
    });
    settings.input.turn_detection.expect("on by default")
}

fn client(session: &mut Session, action: ClientAction) -> Vec<Output> {
    let mut out = Vec::new();
    let event = ClientEvent {
        event_id: None,
        action,
    };
    session.on(Input::Client(Box::new(event)), 0, &mut out);
    out
}

fn say(session: &mut Session, bytes: &[u8]) -> Vec<Output> {
    let mut out = Vec::new();
    session.on(Input::Audio(Bytes::copy_from_slice(bytes)), 0, &mut out);
    out
}

fn detection(session: &mut Session, kind: &str) {
    let text = format!(
        r#"{{"type":"session.update","session":{{"type":"realtime","audio":{{"input":{{"turn_detection":{kind}}}}}}}}}"#
    );
    let event = decode::client_event(&text).expect("an event");
    let mut out = Vec::new();
    session.on(Input::Client(Box::new(event)), 0, &mut out);
}

/// What transcription is told, in the order of telling: o for opened, a for audio, e for end, d for dropped; and the samples.
fn told(outputs: &[Output]) -> (String, Vec<i16>) {
    let (mut order, mut heard) = (String::new(), Vec::new());
    for output in outputs {
        order.push(match output {
            Output::OpenStt(..) => 'o',
            Output::SttAudio(_, samples) => {
                let samples: &Arc<[i16]> = samples;
                heard.extend_from_slice(samples);
                'a'
            }
            Output::SttEnd(_) => 'e',
            Output::DropStt(_) => 'd',
            _ => continue,
        });
    }
    (order, heard)
}

/// A hum of so many bytes, too soft for the detector; not a whole number of periods.
fn hum(bytes: usize) -> Vec<u8> {
    (0..bytes.div_ceil(2))
        .map(|at| (400.0 * (at as f32 * 0.07).sin()) as i16)
        .flat_map(i16::to_le_bytes)
        .take(bytes)
        .collect()
}

fn decoded(bytes: &[u8], format: Format) -> Vec<i16> {
    let (mut decoder, mut samples) = (Decoder::new(format), Vec::new());
    decoder.push(bytes, &mut samples);
    decoder.flush(&mut samples);
    samples
}

#[test]
fn a_turn_is_kept_from_transcription_that_hears_it_as_a_whole_until_the_commit() {
    let mut session = session(Hears::Whole, AudioFormat::PCM, None);
    let turn = hum(48 * 1000);
    for frame in turn.chunks(4800) {
        assert_eq!(told(&say(&mut session, frame)).0, "");
    }
    let (order, heard) = told(&client(&mut session, ClientAction::AudioCommit));
    assert_eq!(order, "oae");
    assert_eq!(heard, decoded(&turn, Format::Pcm24k));
}

#[test]
fn what_is_cleared_was_heard_by_nobody() {
    let mut session = session(Hears::Whole, AudioFormat::PCM, None);
    say(&mut session, &hum(48 * 1000));
    assert_eq!(told(&client(&mut session, ClientAction::AudioClear)).0, "");
    say(&mut session, &hum(48 * 200));
    let (_, heard) = told(&client(&mut session, ClientAction::AudioCommit));
    assert_eq!(heard, decoded(&hum(48 * 200), Format::Pcm24k));
}

#[test]
fn a_long_turn_is_heard_from_its_fifteenth_second_on_as_it_comes() {
    let mut session = session(Hears::Whole, AudioFormat::PCM, None);
    let turn = hum(48 * 17_000);
    let mut outputs = Vec::new();
    let mut began_at = None;
    for (at, frame) in turn.chunks(4800).enumerate() {
        let now = say(&mut session, frame);
        if began_at.is_none() && !told(&now).0.is_empty() {
            began_at = Some(at);
        }
        outputs.extend(now);
    }
    assert_eq!(began_at, Some(149), "with the last of the 15 s");
    outputs.extend(client(&mut session, ClientAction::AudioCommit));
    let (order, heard) = told(&outputs);
    assert!(order.starts_with("oa") && order.ends_with("ae"), "{order}");
    assert_eq!(heard, decoded(&turn, Format::Pcm24k));
}

#[test]
fn speech_under_way_when_detection_is_switched_off_goes_on_as_it_is_spoken() {
    let mut session = session(Hears::Whole, AudioFormat::PCM, Some(server_vad()));
    let loud: Vec<u8> = (0..24 * 400)
        .map(|at| (20_000.0 * (at as f32 * 0.07).sin()) as i16)
        .flat_map(i16::to_le_bytes)
        .collect();
    assert!(told(&say(&mut session, &loud)).0.starts_with('o'));
    detection(&mut session, "null");
    assert_eq!(told(&say(&mut session, &loud)).0, "a");
    let (order, _) = told(&client(&mut session, ClientAction::AudioCommit));
    assert!(order.ends_with('e') && !order.contains('o'), "{order}");
}

#[test]
fn half_a_sample_that_waits_when_detection_is_switched_on_finds_its_other_half() {
    let mut session = session(Hears::Whole, AudioFormat::PCM, None);
    // loud noise where halves are swapped, near silence where they are not
    let soft: Vec<u8> = std::iter::repeat_n(7_i16, 24 * 600)
        .flat_map(i16::to_le_bytes)
        .collect();
    say(&mut session, &soft[..4801]);
    detection(&mut session, r#"{"type":"server_vad"}"#);
    let heard = say(&mut session, &soft[4801..]);
    assert_eq!(told(&heard).0, "", "silence taken for speech");
}

proptest! {
    /// However a turn is cut, whoever transcribes it: the samples are the same, and half a sample is nobody's.
    #[test]
    fn both_ways_of_hearing_hear_the_same(
        ms in 110_usize..900,
        odd in 0_usize..2,
        cut in 1_usize..9000,
        law in any::<bool>(),
    ) {
        let (wire, format) = if law {
            (AudioFormat::Pcmu, Format::Pcmu)
        } else {
            (AudioFormat::PCM, Format::Pcm24k)
        };
        let turn = hum(ms * format.bytes_per_ms() as usize + odd);
        for hears in [Hears::AsSpoken, Hears::Whole] {
            let mut session = session(hears, wire, None);
            let mut outputs = Vec::new();
            for piece in turn.chunks(cut) {
                outputs.extend(say(&mut session, piece));
            }
            outputs.extend(client(&mut session, ClientAction::AudioCommit));
            prop_assert_eq!(told(&outputs).1, decoded(&turn, format));
        }
    }
}
