//! Whatever comes, nothing panics and nothing illegal goes out; what goes out comes back as it was.

use base64::Engine as _;
use bytes::BytesMut;
use proptest::prelude::*;
use serde_json::Value;
use wire::telephony::detect::Detector;
use wire::telephony::{Codec, Dialect, Format, Heard, Incoming, Say, Sent, Unsayable};

fn dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(Dialect::ALL.to_vec())
}

/// Text that a parser of these dialects does not turn away at once: known keys with any values.
fn frame() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "start",
        "media",
        "mark",
        "dtmf",
        "stop",
        "connected",
        "setup",
        "prompt",
        "interrupt",
        "open",
        "close",
        "ping",
        "websocket:connected",
        "websocket:notify",
        "playedStream",
        "2",
        "s",
        "1",
        "PT1.5S",
        "audio/l16;rate=8000",
        "AQID",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "event",
        "type",
        "version",
        "id",
        "seq",
        "start",
        "media",
        "mark",
        "dtmf",
        "stop",
        "name",
        "payload",
        "parameters",
        "streamSid",
        "callSid",
        "stream_id",
        "call_control_id",
        "streamId",
        "callId",
        "stream_sid",
        "call_sid",
        "sessionId",
        "conversationId",
        "digit",
        "timestamp",
        "sequenceNumber",
        "sequence_number",
        "customParameters",
        "extra_headers",
        "content-type",
        "rawEvent",
        "reason",
        "mediaFormat",
        "encoding",
        "sampleRate",
        "voicePrompt",
        "last",
    ]);
    let value = leaf.prop_recursive(4, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone().prop_map(str::to_owned), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop_oneof![value.prop_map(|value| value.to_string()), any::<String>()]
}

/// The events that may go out, by dialect (spec/telephony §2.3, §3.1).
fn legal(dialect: Dialect, frame: &Value) -> bool {
    let word = |key: &str| frame[key].as_str().unwrap_or_default().to_owned();
    match dialect {
        Dialect::Twilio | Dialect::Telnyx | Dialect::Exotel => {
            ["media", "mark", "clear"].contains(&word("event").as_str())
        }
        Dialect::SignalWire => ["media", "mark", "clear", "dtmf"].contains(&word("event").as_str()),
        Dialect::Plivo => {
            ["playAudio", "checkpoint", "clearAudio", "sendDTMF"].contains(&word("event").as_str())
        }
        Dialect::Vonage => ["clear", "notify"].contains(&word("action").as_str()),
        Dialect::AudioHook => {
            ["opened", "pong", "updated", "closed", "event", "disconnect"]
                .contains(&word("type").as_str())
                && frame.get("position").is_none()
        }
        Dialect::Relay => {
            ["text", "play", "sendDigits", "language", "end"].contains(&word("type").as_str())
        }
    }
}

fn check_sent(dialect: Dialect, sent: Sent, out: &BytesMut) {
    if sent == Sent::Binary {
        assert!(matches!(dialect, Dialect::Vonage | Dialect::AudioHook));
        return;
    }
    let frame: Value = serde_json::from_slice(out).expect("our frames are JSON");
    assert!(legal(dialect, &frame), "{dialect}: {frame}");
}

const MULAW_STARTS: [(Dialect, &str); 4] = [
    (
        Dialect::Twilio,
        r#"{"event":"start","start":{"streamSid":"s","callSid":"c"}}"#,
    ),
    (
        Dialect::SignalWire,
        r#"{"event":"start","start":{"streamSid":"s","callSid":"c"}}"#,
    ),
    (
        Dialect::Telnyx,
        r#"{"event":"start","start":{"call_control_id":"c"}}"#,
    ),
    (
        Dialect::Plivo,
        r#"{"event":"start","start":{"streamId":"s","callId":"c"}}"#,
    ),
];

proptest! {
    #[test]
    fn any_frames_in_any_order_are_borne(
        dialect in dialect(),
        frames in prop::collection::vec(frame(), 1..8),
        noise in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let (mut codec, mut out, mut sound) = (Codec::new(dialect), BytesMut::new(), Vec::new());
        let mut detector = Detector::new(None);
        let mut frames: Vec<Incoming<'_>> = frames.iter().map(|text| Incoming::Text(text)).collect();
        frames.push(Incoming::Binary(&noise));
        for incoming in frames {
            let _ = detector.look(incoming);
            if let Ok(Heard::Media(media)) = codec.read(incoming) {
                let _ = codec.decode(&media, &mut sound);
            }
            while let Some(sent) = codec.owed(&mut out) {
                check_sent(dialect, sent, &out);
            }
            for say in [Say::Audio(&noise), Say::Mark(1), Say::Clear, Say::Dtmf("1"), Say::Text(
                wire::telephony::Words { token: "x", last: true },
            )] {
                if let Ok(sent) = codec.write(say, &mut out) {
                    check_sent(dialect, sent, &out);
                } else {
                    prop_assert!(out.is_empty());
                }
            }
        }
    }

    /// Our frames, sent back to us as the carrier's, hold the same sound.
    #[test]
    fn sound_survives_the_way_out_and_back(
        which in 0..MULAW_STARTS.len(),
        sound in prop::collection::vec(any::<u8>(), 160..4_000),
    ) {
        let (dialect, start) = MULAW_STARTS[which];
        let (mut codec, mut out, mut back) = (Codec::new(dialect), BytesMut::new(), Vec::new());
        prop_assert!(matches!(codec.read(Incoming::Text(start)), Ok(Heard::Start(_))));
        prop_assert_eq!(codec.write(Say::Audio(&sound), &mut out), Ok(Sent::Text));
        let text = std::str::from_utf8(&out).expect("UTF-8");
        let echoed = text.replace("playAudio", "media");
        let Ok(Heard::Media(media)) = codec.read(Incoming::Text(&echoed)) else {
            return Err(TestCaseError::fail(echoed));
        };
        prop_assert_eq!(codec.decode(&media, &mut back), Ok(()));
        prop_assert_eq!(&back, &sound);
        let frame: Value = serde_json::from_str(text).expect("JSON");
        let payload = frame["media"]["payload"].as_str().expect("a payload");
        let strict = base64::engine::general_purpose::STANDARD.decode(payload);
        prop_assert_eq!(strict.as_deref(), Ok(&sound[..]));
    }

    /// Whatever is to be sent, the buffer that was large enough stays where it is.
    #[test]
    fn a_frame_of_sound_needs_no_new_memory(sound in prop::collection::vec(any::<u8>(), 160)) {
        let (mut codec, mut out) = (Codec::new(Dialect::Twilio), BytesMut::with_capacity(512));
        prop_assert!(codec.read(Incoming::Text(MULAW_STARTS[0].1)).is_ok());
        let (place, room) = (out.as_ptr(), out.capacity());
        for _ in 0..3 {
            prop_assert_eq!(codec.write(Say::Audio(&sound), &mut out), Ok(Sent::Text));
            prop_assert_eq!((out.as_ptr(), out.capacity()), (place, room));
        }
    }

    /// Each mark that was sent comes back once, as played before the last clear or not.
    #[test]
    fn marks_keep_their_fate(before in 1..20_u64, after in 0..20_u64) {
        let (mut codec, mut out) = (Codec::new(Dialect::Twilio), BytesMut::new());
        prop_assert!(codec.read(Incoming::Text(MULAW_STARTS[0].1)).is_ok());
        for mark in 1..=before {
            prop_assert!(codec.write(Say::Mark(mark), &mut out).is_ok());
        }
        prop_assert!(codec.write(Say::Clear, &mut out).is_ok());
        for mark in before + 1..=before + after {
            prop_assert!(codec.write(Say::Mark(mark), &mut out).is_ok());
        }
        let last = codec.write(Say::Mark(before), &mut out);
        prop_assert_eq!(last, Err(Unsayable::MarkOrder { last: before + after }));
        for mark in 1..=before + after {
            let text = format!(r#"{{"event":"mark","mark":{{"name":"{mark}"}}}}"#);
            let heard = codec.read(Incoming::Text(&text));
            let Ok(Heard::Mark(echo)) = heard else {
                return Err(TestCaseError::fail(format!("{mark}: {heard:?}")));
            };
            prop_assert_eq!((echo.mark, echo.played), (mark, mark > before));
        }
    }

    #[test]
    fn names_of_formats_are_read_without_panic(name in ".{0,24}", rate in any::<Option<u64>>()) {
        if let Some(format) = Format::named(&name, rate) {
            prop_assert!(Format::ALL.contains(&format));
        }
    }
}
