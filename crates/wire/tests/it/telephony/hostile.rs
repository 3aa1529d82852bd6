//! What strangers send: too large, too deep, too many; and what every dialect does with it alike.

use wire::telephony::limits::{MAX_FRAME_BYTES, MAX_ID_BYTES, MAX_PARAMETERS};
use wire::telephony::{Codec, Dialect, Heard, Ignored, Incoming, Media, Payload, Refused, Track};

fn minimal_start(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Twilio | Dialect::SignalWire => {
            r#"{"event":"start","start":{"streamSid":"s","callSid":"c"}}"#
        }
        Dialect::Telnyx => r#"{"event":"start","stream_id":"s","start":{"call_control_id":"c"}}"#,
        Dialect::Plivo => r#"{"event":"start","start":{"streamId":"s","callId":"c"}}"#,
        Dialect::Exotel => r#"{"event":"start","start":{"stream_sid":"s","call_sid":"c"}}"#,
        Dialect::Vonage => {
            r#"{"event":"websocket:connected","content-type":"audio/l16;rate=16000"}"#
        }
        Dialect::AudioHook => {
            r#"{"version":"2","id":"s","type":"open","seq":1,"parameters":{"conversationId":"c","media":[{"type":"audio","format":"PCMU","channels":["external"],"rate":8000}]}}"#
        }
        Dialect::Relay => r#"{"type":"setup","sessionId":"s","callSid":"c"}"#,
    }
}

/// A codec of each dialect, once before and once after its start.
fn codecs() -> Vec<Codec> {
    let mut all: Vec<Codec> = Dialect::ALL.into_iter().map(Codec::new).collect();
    for dialect in Dialect::ALL {
        let mut live = Codec::new(dialect);
        let heard = live.read(Incoming::Text(minimal_start(dialect)));
        assert!(matches!(heard, Ok(Heard::Start(_))), "{dialect}: {heard:?}");
        all.push(live);
    }
    all
}

#[test]
fn a_frame_that_is_too_large_is_refused_before_it_is_parsed() {
    // no JSON at all: had it been parsed, it would have been refused as that
    let (megabyte, huge) = ("x".repeat(1_000_000), "x".repeat(10_000_000));
    for mut codec in codecs() {
        // after its start Vonage reads text, too; AudioHook's and the others' limits are the same
        for text in [&megabyte, &huge] {
            let bytes = text.len();
            let refused = Refused::TooLarge { bytes };
            assert_eq!(codec.read(Incoming::Text(text)), Err(refused));
            assert_eq!(codec.read(Incoming::Binary(text.as_bytes())), Err(refused));
            assert!(refused.ends_the_stream());
            assert_eq!(refused.close_code(), 1009);
        }
        assert_eq!(codec.counters().refused, 4);
    }
}

#[test]
fn the_largest_frame_is_read() {
    let mut codec = Codec::new(Dialect::Twilio);
    let start = minimal_start(Dialect::Twilio);
    assert!(codec.read(Incoming::Text(start)).is_ok());
    let around = r#"{"event":"media","media":{"payload":""}}"#.len();
    let payload = "A".repeat(MAX_FRAME_BYTES - around);
    let text = format!(r#"{{"event":"media","media":{{"payload":"{payload}"}}}}"#);
    assert_eq!(text.len(), MAX_FRAME_BYTES);
    let heard = codec.read(Incoming::Text(&text)).expect("it fits");
    assert!(matches!(heard, Heard::Media(_)), "{heard:?}");
}

#[test]
fn deep_nesting_neither_panics_nor_starts_anything() {
    let depth = MAX_FRAME_BYTES / 2 - 20;
    let arrays = format!(r#"{{"event":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let objects = format!(r#"{{"parameters":{}"#, r#"{"a":"#.repeat(depth / 3));
    let unknown = format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    for mut codec in codecs() {
        for text in [&arrays, &objects, &unknown] {
            let heard = codec.read(Incoming::Text(text));
            let harmless = matches!(heard, Ok(Heard::Ignored(_)) | Err(Refused::NotJson { .. }));
            assert!(harmless, "{}: {heard:?}", codec.dialect());
        }
    }
}

#[test]
fn every_dialect_bears_the_same_rubbish() {
    let rubbish = [
        "",
        " ",
        "\0",
        "{",
        "[]",
        "1",
        "true",
        "{\"event\":\u{1}}",
        r#"{"event":"\ud800"}"#,
        r#"{"event":1e999}"#,
        r#"{"type":[],"event":{},"start":7,"media":null,"seq":-1}"#,
    ];
    for mut codec in codecs() {
        for text in rubbish {
            let heard = codec.read(Incoming::Text(text));
            match heard {
                Ok(Heard::Ignored(_)) => {}
                Err(refused) => assert!(!refused.ends_the_stream(), "{text}: {refused}"),
                Ok(other) => panic!("{}: {text}: {other:?}", codec.dialect()),
            }
        }
        let counters = codec.counters();
        assert_eq!(counters.ignored + counters.refused, rubbish.len() as u64);
    }
}

#[test]
fn a_second_start_changes_nothing() {
    for dialect in Dialect::ALL {
        let mut codec = Codec::new(dialect);
        assert!(codec.read(Incoming::Text(minimal_start(dialect))).is_ok());
        let again = codec.read(Incoming::Text(minimal_start(dialect)));
        assert_eq!(again, Ok(Heard::Ignored(Ignored::SecondStart)), "{dialect}");
    }
}

#[test]
fn starts_with_too_much_in_them_are_refused() {
    let many: Vec<String> = (0..=MAX_PARAMETERS)
        .map(|index| format!(r#""p{index}":"v""#))
        .collect();
    let many = many.join(",");
    let long = "x".repeat(3_000);
    let id = "x".repeat(MAX_ID_BYTES + 1);
    let start = |ids: &str, parameters: &str| {
        format!(r#"{{"event":"start","start":{{{ids},"customParameters":{{{parameters}}}}}}}"#)
    };
    let good = r#""streamSid":"s","callSid":"c""#;
    let cases = [
        (start(good, &many), Refused::Parameters),
        (
            start(good, &format!(r#""p":"{long}""#)),
            Refused::Parameters,
        ),
        (
            start(&format!(r#""streamSid":"s","callSid":"{id}""#), ""),
            Refused::BadIdentity("callSid"),
        ),
    ];
    for (text, refused) in cases {
        let mut codec = Codec::new(Dialect::Twilio);
        assert_eq!(codec.read(Incoming::Text(&text)), Err(refused));
        assert!(refused.ends_the_stream());
        assert_eq!(refused.close_code(), 1008);
    }
}

#[test]
fn numbers_that_do_not_rise_are_counted_and_passed_on() {
    let mut codec = Codec::new(Dialect::Twilio);
    let start = r#"{"event":"start","sequenceNumber":"1","start":{"streamSid":"s","callSid":"c"}}"#;
    assert!(codec.read(Incoming::Text(start)).is_ok());
    for number in [2, 5, 4, 5, 6, u64::MAX] {
        let text = format!(
            r#"{{"event":"media","sequenceNumber":"{number}","media":{{"payload":"/w=="}}}}"#
        );
        let heard = codec.read(Incoming::Text(&text)).expect("a frame");
        assert!(matches!(heard, Heard::Media(Media { .. })), "{heard:?}");
    }
    let counters = codec.counters();
    assert_eq!(counters.media, 6);
    assert_eq!(counters.missing, 2 + (u64::MAX - 7));
    assert_eq!(counters.disordered, 2);
}

#[test]
fn any_byte_is_mulaw_and_the_payload_is_borrowed() {
    use base64::Engine as _;
    let sound: Vec<u8> = (0..=255).collect();
    let payload = base64::engine::general_purpose::STANDARD.encode(&sound);
    let text = format!(r#"{{"event":"media","media":{{"payload":"{payload}"}}}}"#);
    let mut codec = Codec::new(Dialect::Twilio);
    assert!(
        codec
            .read(Incoming::Text(minimal_start(Dialect::Twilio)))
            .is_ok()
    );
    let Ok(Heard::Media(media)) = codec.read(Incoming::Text(&text)) else {
        panic!("no media");
    };
    assert_eq!(media.track, Track::Inbound);
    let Payload::Base64(std::borrow::Cow::Borrowed(borrowed)) = media.payload else {
        panic!("copied: {media:?}");
    };
    assert!(text.as_bytes().as_ptr_range().contains(&borrowed.as_ptr()));
    let mut out = Vec::new();
    assert_eq!(codec.decode(&media, &mut out), Ok(()));
    assert_eq!(out, sound);
}
