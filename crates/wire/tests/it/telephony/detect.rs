//! Which dialect a socket speaks, by its first frames and by its route.

use wire::telephony::detect::{Detector, Verdict};
use wire::telephony::{Dialect, Incoming, Refused};

fn first_sure(frames: &[&str], route: Option<Dialect>) -> Verdict {
    let mut detector = Detector::new(route);
    for frame in frames {
        let verdict = detector.look(Incoming::Text(frame)).expect("readable");
        if verdict != Verdict::More {
            return verdict;
        }
    }
    Verdict::More
}

#[test]
fn every_dialect_is_known_by_its_first_frames() {
    let connected = r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#;
    let old = r#"{"event":"connected","protocol":"Call","version":"0.2.0"}"#;
    let start = r#"{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1"}}"#;
    let uuid = "0f0e0d0c-0b0a-4908-8706-050403020100";
    let uuids =
        format!(r#"{{"event":"start","start":{{"streamSid":"{uuid}","callSid":"{uuid}"}}}}"#);
    let cases: [(&[&str], Dialect); 13] = [
        (&[connected, start], Dialect::Twilio),
        (&[start], Dialect::Twilio),
        (&[old, start], Dialect::SignalWire),
        (&[connected, &uuids], Dialect::SignalWire),
        (
            &[
                r#"{"event":"connected","version":"1.0.0"}"#,
                r#"{"event":"start","stream_id":"S","start":{"call_control_id":"C"}}"#,
            ],
            Dialect::Telnyx,
        ),
        (
            &[r#"{"event":"start","start":{"streamId":"S","callId":"C"}}"#],
            Dialect::Plivo,
        ),
        (
            &[
                r#"{"event":"connected"}"#,
                r#"{"event":"start","start":{"stream_sid":"S","call_sid":"C","account_sid":"A"}}"#,
            ],
            Dialect::Exotel,
        ),
        (
            &[r#"{"event":"websocket:connected","content-type":"audio/l16;rate=16000"}"#],
            Dialect::Vonage,
        ),
        (
            &[r#"{"event":"mine","event":"websocket:connected"}"#],
            Dialect::Vonage,
        ),
        (
            &[r#"{"version":"2","type":"open","id":"s","seq":1}"#],
            Dialect::AudioHook,
        ),
        (&[r#"{"type":"setup","sessionId":"V"}"#], Dialect::Relay),
        (
            &[r#"{"rawEvent":{"event":"start","start":{"callSid":"CA1"}}}"#],
            Dialect::Twilio,
        ),
        (&[r#"{"event":"telemetry"}"#, start], Dialect::Twilio),
    ];
    for (frames, dialect) in cases {
        assert_eq!(first_sure(frames, None), Verdict::Is(dialect), "{frames:?}");
    }
}

#[test]
fn a_route_decides_but_for_text_mode() {
    let start = r#"{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1"}}"#;
    for dialect in Dialect::ALL {
        assert_eq!(first_sure(&[start], Some(dialect)), Verdict::Is(dialect));
        let mut binary = Detector::new(Some(dialect));
        assert_eq!(
            binary.look(Incoming::Binary(&[0])),
            Ok(Verdict::Is(dialect))
        );
        assert_eq!(Dialect::named(dialect.name()), Some(dialect));
    }
    let setup = r#"{"type":"setup"}"#;
    for dialect in [Dialect::Twilio, Dialect::SignalWire, Dialect::Telnyx] {
        assert_eq!(
            first_sure(&[setup], Some(dialect)),
            Verdict::Is(Dialect::Relay)
        );
    }
    assert_eq!(
        first_sure(&[setup], Some(Dialect::Plivo)),
        Verdict::Is(Dialect::Plivo)
    );
    assert_eq!(Dialect::named("acme"), None);
}

#[test]
fn two_frames_that_say_nothing_are_enough() {
    let frames = [r#"{"event":"connected"}"#, r#"{"event":"media"}"#];
    assert_eq!(first_sure(&frames, None), Verdict::Unknown);
    assert_eq!(first_sure(&frames[..1], None), Verdict::More);
    let mut detector = Detector::new(None);
    assert_eq!(
        detector.look(Incoming::Text("[]")),
        Err(Refused::NotAnObject)
    );
    assert_eq!(detector.look(Incoming::Binary(&[1])), Ok(Verdict::Unknown));
    let large = "x".repeat(100_000);
    let refused = Detector::new(None).look(Incoming::Text(&large));
    assert_eq!(refused, Err(Refused::TooLarge { bytes: 100_000 }));
}
