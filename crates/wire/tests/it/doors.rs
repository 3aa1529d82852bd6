//! What must hold for any bytes at the doors of apps, rooms and surveys: the same as the fuzz targets look for, in every run of the tests.

use proptest::prelude::*;
use wire::chat::{ChatExtras, Mark, decode as decode_chat, mark, read};
use wire::voice::client::MAX_TEXT_BYTES;
use wire::voice::{ClientMessage, Refused, decode as decode_voice};

/// JSON that is nearly a message, and now and then something else entirely.
fn frame(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    let word = move || {
        prop_oneof![
            8 => prop::sample::select(words).prop_map(str::to_owned),
            1 => any::<String>(),
        ]
    };
    let leaf = prop_oneof![
        4 => word().prop_map(serde_json::Value::from),
        1 => any::<i64>().prop_map(serde_json::Value::from),
        1 => any::<bool>().prop_map(serde_json::Value::from),
        1 => Just(serde_json::Value::Null),
    ];
    let value = leaf.prop_recursive(3, 16, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map(word(), inner, 0..6)
                .prop_map(|it| serde_json::Value::Object(it.into_iter().collect())),
        ]
    });
    prop_oneof![
        8 => value.prop_map(|it| it.to_string()),
        1 => any::<String>(),
    ]
}

const CHAT: &[&str] = &[
    "type",
    "message",
    "content",
    "role",
    "USER",
    "AGENT",
    "typing",
    "isTyping",
    "agent_joined",
    "ping",
    "clientId",
    "chatId",
    "history",
    "before",
    "limit",
    "edit",
    "id",
    "read",
    "follow",
    "token",
    "since",
    "data",
    "timestamp",
    "antiphon",
    "cursor",
    "prev",
    "via",
    "key",
    "message_updated",
    "updatedAt",
];
const VOICE: &[&str] = &[
    "type",
    "session_start",
    "authToken",
    "conversationId",
    "userId",
    "audioMessages",
    "both",
    "tts_audio",
    "audioFormat",
    "mp3",
    "model",
    "voice",
    "language",
    "ping",
    "mute",
    "unmute",
    "interrupt",
    "session_end",
    " ",
];

proptest! {
    #[test]
    fn whatever_a_client_of_a_room_sends_is_a_message_or_refused(text in frame(CHAT)) {
        if let Ok((message, room)) = decode_chat(text.as_bytes()) {
            prop_assert!(room.is_none_or(|room| !room.is_empty()));
            let again = serde_json::to_vec(&message).expect("a message is JSON");
            prop_assert_eq!(decode_chat(&again).map(|(message, _)| message), Ok(message));
        }
        let _ = ChatExtras::parse(&text);
    }

    #[test]
    fn whatever_is_published_to_a_room_is_read_and_a_mark_comes_off_again(text in frame(CHAT)) {
        if let Some(seen) = read(&text)
            && seen.kind.is_some()
            && seen.mark.is_none()
            && !text.contains("antiphon")
        {
            let ours = Mark {
                cursor: "1-0".to_owned(),
                prev: String::new(),
                via: "n.1".to_owned(),
                key: "k".to_owned(),
            };
            let published = mark(&seen.text, &ours);
            let back = read(&published).expect("what was JSON is JSON");
            prop_assert_eq!((back.text, back.mark), (seen.text, Some(ours)));
        }
    }

    #[test]
    fn whatever_an_app_sends_is_a_message_or_refused_in_few_words(text in frame(VOICE)) {
        match decode_voice(&text) {
            Ok(message) => {
                prop_assert!(text.len() <= MAX_TEXT_BYTES);
                if let ClientMessage::SessionStart(start) = message {
                    for field in [&start.user_id, &start.conversation_id, &start.auth_token] {
                        let empty = field.as_ref().is_some_and(|text| text.trim().is_empty());
                        prop_assert!(!empty, "{start:?}");
                    }
                }
            }
            Err(refused) => {
                let said = refused.to_string();
                prop_assert!(!said.is_empty() && said.len() < text.len() + 1_024, "{said}");
                if let Refused::TooLarge(size) = refused {
                    prop_assert!(size > MAX_TEXT_BYTES);
                }
            }
        }
    }

    #[test]
    fn any_bytes_at_all_end_nothing(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = decode_chat(&bytes);
        let _ = wire::survey::requested(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = decode_voice(&text);
        let _ = read(&text);
    }
}
