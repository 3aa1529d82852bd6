use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::realtime::AudioBytes;

#[test]
fn an_append_is_borrowed() {
    let text = r#"{"type":"input_audio_buffer.append","audio":"AQID"}"#;
    let expected = Append {
        audio: "AQID",
        event_id: None,
    };
    assert_eq!(append(text), Some(expected));
    let text = r#" { "event_id" : "e1", "audio" : "AQID" , "type":"input_audio_buffer.append" } "#;
    let found = append(text).expect("an append");
    assert_eq!(found.event_id, Some("e1"));
    let frame = text.as_bytes().as_ptr_range();
    assert!(frame.contains(&found.audio.as_ptr()), "copied");
}

#[test]
fn everything_else_takes_the_slow_path() {
    let slow = [
        r#"{"type":"input_audio_buffer.commit"}"#,
        r#"{"type":"input_audio_buffer.commit","audio":"AQID"}"#,
        r#"{"type":"input_audio_buffer.append"}"#,
        r#"{"type":"input_audio_buffer.append","audio":null}"#,
        r#"{"type":"input_audio_buffer.append","audio":"AQID","extra":1}"#,
        r#"{"type":"input_audio_buffer.append","audio":"AQ\/D"}"#,
        r#"{"type":"input_audio_buffer.append","audio":"AQID","event_id":"\u0041"}"#,
        r#"{"type":"input_audio_buffer.append","audio":"AQID","audio":"AQID"}"#,
        r#"{"type":"input_audio_buffer.append","audio":"AQID"} trailing"#,
        r#"["input_audio_buffer.append","AQID",null]"#,
        "",
        "null",
    ];
    for text in slow {
        assert_eq!(append(text), None, "{text}");
    }
    let long_id = format!(
        r#"{{"type":"input_audio_buffer.append","audio":"AQID","event_id":"{}"}}"#,
        "x".repeat(MAX_EVENT_ID + 1)
    );
    assert_eq!(append(&long_id), None);
    let long_audio = format!(
        r#"{{"type":"input_audio_buffer.append","audio":"{}"}}"#,
        "A".repeat(MAX_APPEND_BYTES / 3 * 4 + 4)
    );
    assert_eq!(append(&long_audio), None);
}

#[test]
fn written_events_begin_with_their_id() {
    let mut out = String::from("kept ");
    write_event(&ServerEvent::AudioCleared, "event_1", &mut out);
    assert_eq!(
        out,
        r#"kept {"event_id":"event_1","type":"input_audio_buffer.cleared"}"#
    );
}

#[test]
fn an_audio_delta_is_written_as_serde_would() {
    let event = ServerEvent::OutputAudioDelta {
        response_id: "resp_1".into(),
        item_id: "item \"quoted\"".into(),
        output_index: 1,
        content_index: 2,
        delta: AudioBytes(Bytes::from_static(&[0, 255, 7, 9])),
    };
    let mut out = String::new();
    write_event(&event, "event_1", &mut out);
    let mut expected = json!(event);
    expected["event_id"] = json!("event_1");
    let written: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(written, expected);
}

#[test]
fn a_pressed_key_has_no_id() {
    let event = ServerEvent::DtmfReceived {
        event: "9".into(),
        received_at: 1_700_000_000,
    };
    let mut out = String::new();
    write_event(&event, "event_1", &mut out);
    let written: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(written, json!(event));
    assert_eq!(written.get("event_id"), None);
}
