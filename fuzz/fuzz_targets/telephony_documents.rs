//! Any bytes as a carrier's callback, and any text in an answer document.
//! Run by `cargo fuzz run telephony_documents`; see fuzz/README.md.
//! Never judges what a carrier means: it looks for panics, lost words and documents that no parser reads.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire::telephony::Dialect;
use wire::telephony::answer::{Markup, Relay, Speech, Step, Stream, document, exotel, ncco};
use wire::telephony::callback::{CallStatus, Callback, Fields};

fuzz_target!(|data: &[u8]| {
    let Some((choice, rest)) = data.split_first() else {
        return;
    };
    for fields in [Fields::form(rest), Fields::json(rest)].iter().flatten() {
        for dialect in Dialect::ALL {
            let report = Callback::read(dialect, fields);
            if let Some(CallStatus::Other(word)) = report.status {
                let kept = fields.pairs().iter().any(|(_, value)| *value == word);
                assert!(kept, "a word of nobody's: {word}");
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(rest) {
        answer(*choice, text);
    }
});

fn answer(choice: u8, text: &str) {
    let (name, value) = text.split_at(text.ceil_char_boundary(text.len() / 2));
    let parameters = [("callId", text), (name, value)];
    let stream = Stream {
        url: "wss://example.com/x",
        parameters: &parameters,
        ..Stream::default()
    };
    let speech = Speech {
        text,
        voice: Some(name),
        language: Some(value),
    };
    let relay = Relay {
        url: stream.url,
        welcome: Some(text),
        ..Relay::default()
    };
    let markup = [
        Markup::Twilio,
        Markup::SignalWire,
        Markup::Telnyx,
        Markup::Plivo,
    ][usize::from(choice) % 4];
    for step in [
        Step::Say(speech),
        Step::Stream(stream),
        Step::Relay(relay),
        Step::Redirect(text),
        Step::Keys(text),
    ] {
        if let Ok(xml) = document(markup, &[step]) {
            roxmltree::Document::parse(&xml).expect("a parser reads what we write");
        }
        if let Ok(actions) = ncco(&[step]) {
            serde_json::from_str::<serde_json::Value>(&actions).expect("JSON");
        }
    }
    if let Ok(address) = exotel(&stream) {
        serde_json::from_str::<serde_json::Value>(&address).expect("JSON");
    }
}
