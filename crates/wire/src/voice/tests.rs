use serde_json::{Value, json};

use super::client::MAX_TEXT_BYTES;
use super::*;

fn read(message: &ServerMessage) -> Value {
    serde_json::from_str(&write(message, "s-1", 1_700_000_000_000)).unwrap()
}

#[test]
fn a_start_is_read_as_the_app_writes_it() {
    let text = r#"{"type":"session_start","userId":"u","conversationId":"","authToken":"a.b.c"}"#;
    let Ok(ClientMessage::SessionStart(start)) = decode(text) else {
        panic!("{text}");
    };
    assert_eq!(start.auth_token.as_deref(), Some("a.b.c"));
    assert_eq!(start.conversation_id, None);
    assert_eq!(start.audio_messages, AudioMessages::Both);
    assert_eq!(start.audio_format, AudioWish::Auto);
    let own = r#"{"type":"session_start","audioMessages":"audio_chunk","audioFormat":"pcm","authToken":null}"#;
    let Ok(ClientMessage::SessionStart(start)) = decode(own) else {
        panic!("{own}");
    };
    assert_eq!(start.audio_messages, AudioMessages::AudioChunk);
    assert_eq!(start.audio_format, AudioWish::Pcm);
    assert_eq!(start.auth_token, None);
}

#[test]
fn control_messages_need_a_type_and_nothing_else() {
    for (kind, message) in [
        ("ping", ClientMessage::Ping),
        ("mute", ClientMessage::Mute),
        ("unmute", ClientMessage::Unmute),
        ("interrupt", ClientMessage::Interrupt),
        ("session_end", ClientMessage::SessionEnd),
    ] {
        let text = json!({ "type": kind, "timestamp": 1, "more": [] }).to_string();
        assert_eq!(decode(&text), Ok(message), "{kind}");
    }
}

#[test]
fn what_is_not_understood_says_why() {
    for (text, expected) in [
        ("", Refused::NoObject),
        ("hello", Refused::NoObject),
        ("[]", Refused::NoObject),
        ("{}", Refused::NoType),
        (r#"{"type":7}"#, Refused::NoType),
        (
            r#"{"type":"dance"}"#,
            Refused::UnknownType("dance".to_owned()),
        ),
    ] {
        assert_eq!(decode(text), Err(expected), "{text}");
    }
    assert_eq!(
        Refused::UnknownType("dance".to_owned()).to_string(),
        "Unknown message type: dance"
    );
    let long = format!(r#"{{"type":"{}"}}"#, "x".repeat(MAX_TEXT_BYTES));
    assert!(matches!(decode(&long), Err(Refused::TooLarge(_))));
    let long = format!(r#"{{"type":"{}"}}"#, "x".repeat(5000));
    assert_eq!(decode(&long), Err(Refused::UnknownType("x".repeat(64))));
    for wrong in [
        r#"{"type":"session_start","authToken":7}"#,
        r#"{"type":"session_start","audioFormat":"ogg"}"#,
    ] {
        assert!(matches!(decode(wrong), Err(Refused::Invalid(_))), "{wrong}");
    }
}

#[test]
fn every_message_has_a_type_a_session_and_a_time() {
    let read = read(&ServerMessage::AudioReceived {
        size: 4096,
        total_chunks: 10,
    });
    let expected = json!({ "type": "audio_received", "sessionId": "s-1", "size": 4096, "totalChunks": 10,
        "timestamp": 1_700_000_000_000_i64 });
    assert_eq!(read, expected);
}

#[test]
fn names_of_fields_are_the_app_s() {
    for (message, field) in [
        (
            ServerMessage::AudioChunk {
                audio: String::new(),
                sentence_index: 3,
                format: "wav",
            },
            "sentenceIndex",
        ),
        (
            ServerMessage::AiResponseChunk {
                text: "a".to_owned(),
                full_text: "aa".to_owned(),
            },
            "fullText",
        ),
        (
            ServerMessage::SessionEnd {
                duration: 1,
                metrics: Metrics::default(),
                cost: 0.0,
            },
            "metrics",
        ),
    ] {
        assert!(read(&message).get(field).is_some(), "{message:?}");
    }
    let metrics = serde_json::to_value(Metrics::default()).unwrap();
    for name in ["sttDuration", "llmLatency", "ttsLatency", "totalLatency"] {
        assert_eq!(metrics[name], 0);
    }
    let error = read(&ServerMessage::error(
        code::AUTH_REQUIRED,
        "Authentication required",
    ));
    assert_eq!(error["code"], "AUTH_REQUIRED");
    assert!(error.get("clearSession").is_none() && error.get("comingSoon").is_none());
    let speaking = ServerMessage::Status {
        status: Status::Speaking,
        muted: false,
    };
    assert_eq!(read(&speaking)["status"], "speaking");
}
