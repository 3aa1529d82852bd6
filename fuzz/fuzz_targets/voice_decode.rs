//! Any bytes as text frames of the app voice socket, one per line.
//! Run by `cargo fuzz run voice_decode`; see fuzz/README.md.
//! Never needs a seed, but finds more with the frames of a real app.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::voice::client::MAX_TEXT_BYTES;
use wire::voice::{ClientMessage, Refused, decode};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    text.lines().for_each(frame);
});

fn frame(text: &str) {
    match decode(text) {
        Ok(message) => {
            assert!(text.len() <= MAX_TEXT_BYTES);
            if let ClientMessage::SessionStart(start) = message {
                for field in [&start.user_id, &start.conversation_id, &start.auth_token] {
                    let empty = field.as_ref().is_some_and(|text| text.trim().is_empty());
                    assert!(!empty, "{start:?}");
                }
            }
        }
        Err(refused) => {
            let said = refused.to_string();
            assert!(!said.is_empty());
            // what is said back is bounded, whatever came
            assert!(said.len() < text.len() + 1_024, "an error that grows: {said}");
            if let Refused::TooLarge(size) = refused {
                assert!(size > MAX_TEXT_BYTES);
            }
        }
    }
}
