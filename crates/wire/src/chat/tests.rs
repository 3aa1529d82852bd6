//! The messages of chat rooms, as the original's clients send and read them.

use serde_json::{Value, json};

use super::*;

fn refused(frame: &str) -> Option<&'static str> {
    decode(frame.as_bytes()).unwrap_err().error()
}

#[test]
fn the_messages_of_the_original_are_read() {
    let said = decode(br#"{"type":"message","content":" Hi ","role":"USER","more":1}"#);
    let expected = Say {
        content: " Hi ".to_owned(),
        role: "USER".to_owned(),
        client_id: None,
    };
    assert_eq!(said, Ok((ChatClientMessage::Message(expected), None)));
    let typing = decode(br#"{"type":"typing","isTyping":true,"chatId":"c2"}"#);
    let expected = ChatClientMessage::Typing { is_typing: true };
    assert_eq!(typing, Ok((expected, Some("c2".to_owned()))));
    for (frame, expected) in [
        (
            r#"{"type":"agent_joined","agentId":"x"}"#,
            ChatClientMessage::AgentJoined,
        ),
        (r#"{"type":"ping"}"#, ChatClientMessage::Ping),
    ] {
        assert_eq!(decode(frame.as_bytes()), Ok((expected, None)));
    }
}

#[test]
fn what_the_original_refuses_is_refused_in_its_words() {
    for (frame, error) in [
        ("{", Some("Failed to process message")),
        ("null", Some("Failed to process message")),
        ("", Some("Failed to process message")),
        ("5", Some("Unknown message type")),
        ("[]", Some("Unknown message type")),
        ("{}", Some("Unknown message type")),
        (r#"{"type":7}"#, Some("Unknown message type")),
        (r#"{"type":"subscribe"}"#, Some("Unknown message type")),
        (r#"{"type":"message"}"#, Some("Missing content or role")),
        (
            r#"{"type":"message","content":"","role":"USER"}"#,
            Some("Missing content or role"),
        ),
        (
            r#"{"type":"message","content":"x","role":null}"#,
            Some("Missing content or role"),
        ),
        (r#"{"type":"typing","isTyping":"yes"}"#, None),
        (r#"{"type":"typing"}"#, None),
        (r#"{"type":"read"}"#, Some("Missing id")),
        (r#"{"type":"edit","id":"m"}"#, Some("Missing content")),
    ] {
        assert_eq!(refused(frame), error, "{frame}");
    }
    assert!(decode(&[0xff, 0xfe]).is_err());
    let long = format!(r#"{{"type":"read","id":"{}"}}"#, "x".repeat(300));
    assert_eq!(refused(&long), Some("Missing id"));
}

fn posted() -> ChatServerMessage {
    ChatServerMessage::Message {
        data: Posted {
            id: "m1".to_owned(),
            content: r#"a ,"antiphon":{"cursor":"9"} b"#.to_owned(),
            role: "user".to_owned(),
            timestamp: "2026-01-02T03:04:05.678Z".to_owned(),
            sender: Sender {
                id: "u1".to_owned(),
                name: Some("Ann".to_owned()),
                ..Sender::default()
            },
            updated_at: None,
        },
        timestamp: "2026-01-02T03:04:05.700Z".to_owned(),
    }
}

#[test]
fn a_message_has_the_shape_and_the_order_of_the_original() {
    let expected = concat!(
        r#"{"type":"message","data":{"id":"m1","content":"a ,\"antiphon\":{\"cursor\":\"9\"} b","role":"user","#,
        r#""timestamp":"2026-01-02T03:04:05.678Z","sender":{"id":"u1","name":"Ann","email":null,"avatar":null}},"#,
        r#""timestamp":"2026-01-02T03:04:05.700Z"}"#
    );
    assert_eq!(text(&posted()), expected);
    assert_eq!(text(&ChatServerMessage::Pong), r#"{"type":"pong"}"#);
    let connected = ChatServerMessage::Connected {
        chat_id: "c".to_owned(),
        timestamp: "T".to_owned(),
    };
    let expected = r#"{"type":"connected","chatId":"c","timestamp":"T"}"#;
    assert_eq!(text(&connected), expected);
    let wrapped: Value = serde_json::from_str(&in_room("a\"b", expected)).unwrap();
    let expected = json!({"type": "room", "chatId": "a\"b", "event": {"type": "connected", "chatId": "c", "timestamp": "T"}});
    assert_eq!(wrapped, expected);
}

#[test]
fn what_is_published_comes_back_without_its_mark() {
    let text = text(&posted());
    let sent = Mark {
        cursor: "17-0".to_owned(),
        prev: "16-3".to_owned(),
        via: "node_a.7".to_owned(),
        key: "m:m1".to_owned(),
    };
    let published = mark(&text, &sent);
    let seen = read(&published).unwrap();
    assert_eq!((&*seen.text, seen.mark.as_ref()), (&*text, Some(&sent)));
    assert_eq!(seen.kind.as_deref(), Some("message"));
    assert_eq!(seen.key.as_deref(), Some("m:m1"));
    // readable for a server of the original: one more member, behind its own
    let value: Value = serde_json::from_str(&published).unwrap();
    assert_eq!(value["data"]["id"], "m1");
}

#[test]
fn foreign_publications_are_passed_on_as_they_are() {
    for (payload, kind, key) in [
        (
            r#"{"type":"message_updated","data":{"id":"m","updatedAt":"T"}}"#,
            Some("message_updated"),
            Some("u:m:T"),
        ),
        (
            r#"{"type":"agent_joined","data":{"agentId":"a","timestamp":"T"}}"#,
            Some("agent_joined"),
            Some("j:a:T"),
        ),
        (
            r#"{"type":"ticket_created","data":[1, 2]}"#,
            Some("ticket_created"),
            None,
        ),
        (r#"{"data":7}"#, None, None),
        (r#"["x"]"#, None, None),
        ("5", None, None),
        (r#"{"type":"message","data":"text"}"#, Some("message"), None),
    ] {
        let seen = read(payload).unwrap();
        let found = (&*seen.text, seen.kind.as_deref(), seen.key.as_deref());
        assert_eq!(found, (payload, kind, key));
        assert!(seen.mark.is_none());
    }
    assert!(read("{").is_none() && read("").is_none());
}

#[test]
fn extras_are_asked_for_by_name() {
    let asked = ChatExtras::parse("presence, read").unwrap();
    assert!(asked.has(ChatExtra::Presence) && asked.has(ChatExtra::Read));
    assert!(!asked.has(ChatExtra::Delta));
    let all = ChatExtras::parse("all").unwrap();
    assert!(ChatExtra::ALL.into_iter().all(|extra| all.has(extra)));
    assert_eq!(ChatExtras::parse("typing"), Err("typing"));
}
