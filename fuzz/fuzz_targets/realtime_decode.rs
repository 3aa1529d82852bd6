//! Any bytes as frames of the realtime protocol, one per line as in recordings.
//! Run by `cargo fuzz run realtime_decode`; see fuzz/README.md.
//! Never needs a seed, but finds more with the frames of real clients.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use wire::realtime::client::ClientAction;
use wire::realtime::session::SessionKind;
use wire::realtime::{beta, decode, fast};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    text.lines().for_each(frame);
});

fn frame(text: &str) {
    let decoded = decode::client_event(text);
    if let Err(refused) = &decoded {
        let error = &refused.error;
        assert!(
            error.code.is_some() && !error.message.is_empty(),
            "{error:?}"
        );
        assert!(
            error.message.len() < text.len() + 1_024,
            "an error that grows: {error:?}"
        );
    }
    if let Some(append) = fast::append(text) {
        match &decoded {
            Ok(event) => {
                assert_eq!(event.event_id.as_deref(), append.event_id);
                assert!(
                    matches!(event.action, ClientAction::AudioAppend(_)),
                    "{event:?}"
                );
            }
            Err(refused) => {
                assert_eq!(refused.error.param.as_deref(), Some("audio"), "{refused:?}");
            }
        }
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return;
    };
    let ga = beta::client_to_ga(value.clone());
    let _ = decode::client_value(&ga);
    assert!(beta::server_to_beta(value.clone()).len() <= 2);
    let _ = wire::rest::client_secrets::decode(&value);
    let _ = wire::rest::speech::decode(&value);
    let _ = wire::rest::sessions::decode(value, SessionKind::Transcription);
}
