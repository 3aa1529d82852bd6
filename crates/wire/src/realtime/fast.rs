//! The two messages that are nearly all traffic, without detours: the audio append is borrowed
//! from its frame, audio deltas are written straight into the outgoing text.
//! Called by the realtime edge per frame; whatever `append` does not take goes to `decode`.
//! Never reports an error: a frame it does not know is the slow path's.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::ServerEvent;
use super::decode::{MAX_APPEND_BYTES, MAX_EVENT_ID, decoded_len};

/// An `input_audio_buffer.append`, borrowed from its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Append<'a> {
    /// Base64 of at most [`MAX_APPEND_BYTES`]; not yet known to be valid.
    pub audio: &'a str,
    /// The client's own `event_id`.
    pub event_id: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    audio: &'a str,
    #[serde(default, borrow)]
    event_id: Option<&'a str>,
}

/// Reads `text` when it is exactly an append with known keys and nothing escaped; anything else,
/// broken or merely unusual, is `None` and belongs to [`super::decode::client_event`].
pub fn append(text: &str) -> Option<Append<'_>> {
    // serde reads a struct from an array, too
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let frame: Frame<'_> = serde_json::from_str(text).ok()?;
    let fits = frame.kind == "input_audio_buffer.append"
        && decoded_len(frame.audio) <= MAX_APPEND_BYTES
        && frame.event_id.is_none_or(|id| id.len() <= MAX_EVENT_ID);
    fits.then_some(Append {
        audio: frame.audio,
        event_id: frame.event_id,
    })
}

/// Appends `event` to `out` as one JSON object that begins with `event_id`. The exception is
/// `input_audio_buffer.dtmf_event_received`, which has none (spec/realtime §1.1).
///
/// `event_id` must need no JSON escaping, as the ids of [`crate::ids::Ids`] never do.
pub fn write_event(event: &ServerEvent, event_id: &str, out: &mut String) {
    if matches!(event, ServerEvent::DtmfReceived { .. }) {
        write_json(event, out);
        return;
    }
    out.push_str("{\"event_id\":\"");
    out.push_str(event_id);
    out.push('"');
    if let ServerEvent::OutputAudioDelta {
        response_id,
        item_id,
        output_index,
        content_index,
        delta,
    } = event
    {
        out.push_str(",\"type\":\"response.output_audio.delta\",\"response_id\":");
        write_json(response_id, out);
        out.push_str(",\"item_id\":");
        write_json(item_id, out);
        // writing to a `String` cannot fail
        let _ = write!(
            out,
            ",\"output_index\":{output_index},\"content_index\":{content_index},\"delta\":\""
        );
        STANDARD.encode_string(&delta.0, out);
        out.push_str("\"}");
        return;
    }
    let body = out.len();
    write_json(event, out);
    // the object was opened before `event_id`, so the event's own brace becomes the comma
    out.replace_range(body..=body, ",");
}

/// Serialises `value` at the end of `out`.
fn write_json<T: serde::Serialize + ?Sized>(value: &T, out: &mut String) {
    let mut bytes = std::mem::take(out).into_bytes();
    #[expect(
        clippy::expect_used,
        reason = "these types have string keys only and a Vec never refuses bytes"
    )]
    serde_json::to_writer(&mut bytes, value).expect("server events serialise");
    #[expect(
        clippy::expect_used,
        reason = "serde_json writes UTF-8 and `out` was a string"
    )]
    let text = String::from_utf8(bytes).expect("JSON is UTF-8");
    *out = text;
}

#[cfg(test)]
mod tests;
