//! Any bytes as frames of a chat room's client, and as what somebody has published to a room.
//! Run by `cargo fuzz run chat`; see fuzz/README.md.
//! Never judges words: it looks for panics, and for marks that cannot be taken off again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::chat::{ChatExtras, Mark, decode, mark, read};

fuzz_target!(|data: &[u8]| {
    if let Ok((message, room)) = decode(data) {
        assert!(room.is_none_or(|room| !room.is_empty()));
        let again = serde_json::to_vec(&message).expect("a message is JSON");
        assert_eq!(decode(&again).map(|(message, _)| message), Ok(message));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = ChatExtras::parse(text);
    let Some(seen) = read(text) else {
        return;
    };
    assert!(serde_json::from_str::<serde_json::Value>(&seen.text).is_ok() || seen.text.len() > 128);
    let ours = Mark {
        cursor: "1-0".to_owned(),
        prev: String::new(),
        via: "n.1".to_owned(),
        key: "k".to_owned(),
    };
    // only an object with a `type` is ever published by us
    if seen.kind.is_some() && seen.mark.is_none() && !text.contains("antiphon") {
        let published = mark(&seen.text, &ours);
        let back = read(&published).expect("what was JSON is JSON");
        assert_eq!((back.text, back.mark), (seen.text, Some(ours)));
    }
});
