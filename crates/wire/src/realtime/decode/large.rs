//! Looks at frames too long to be parsed into a value, without keeping what is in them.
//! Asked by [`super::check_size`] only.
//! Never allocates more than one string of the frame.

use std::borrow::Cow;

use serde::Deserialize;

/// An append and nothing else: any further key could hold what takes a multiple of its length in memory.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Append<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(rename = "audio", borrow)]
    _audio: Cow<'a, str>,
    #[serde(rename = "event_id", default, borrow)]
    _event_id: Option<Cow<'a, str>>,
}

/// The head of any event; all other keys are read over.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default, borrow)]
    event_id: Option<Cow<'a, str>>,
}

pub(super) fn is_append(text: &str) -> bool {
    serde_json::from_str::<Append<'_>>(text)
        .is_ok_and(|append| append.kind == "input_audio_buffer.append")
}

pub(super) fn event_id(text: &str) -> Option<String> {
    // serde reads a struct from an array, too
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let head: Head<'_> = serde_json::from_str(text).ok()?;
    head.event_id.map(Cow::into_owned)
}
