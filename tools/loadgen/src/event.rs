//! The few things a caller needs to know about a server event.
//! `caller` reads every frame through it.
//! It never decodes audio: its length is enough.

use serde::Deserialize;

/// What is read of an event; everything else is skipped.
#[derive(Debug, Deserialize)]
pub(crate) struct Event<'a> {
    /// `response.done` and so on.
    #[serde(rename = "type")]
    pub(crate) kind: &'a str,
    /// Base64 of audio, or text.
    #[serde(default, borrow)]
    delta: Option<std::borrow::Cow<'a, str>>,
    /// What the caller or the assistant said.
    #[serde(default)]
    pub(crate) transcript: Option<String>,
    /// Where speech began, in ms of the caller's audio, padding included.
    #[serde(default)]
    pub(crate) audio_start_ms: Option<u64>,
    #[serde(default)]
    response: Option<Response>,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Response {
    #[serde(default)]
    status: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

impl<'a> Event<'a> {
    /// Reads `text`; `None` is no event of this protocol.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Bytes of audio in this event.
    pub(crate) fn audio_bytes(&self) -> u64 {
        let text = self.delta.as_deref().unwrap_or_default();
        let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
        (text.len() / 4 * 3).saturating_sub(padding) as u64
    }

    /// `status` of the response in this event.
    pub(crate) fn status(&self) -> &str {
        let response = self.response.as_ref();
        response
            .and_then(|response| response.status.as_deref())
            .unwrap_or_default()
    }

    /// What an `error` says.
    pub(crate) fn refusal(&self) -> &str {
        self.error
            .as_ref()
            .map_or("no reason given", |error| &error.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_audio_is_known_without_decoding_it() {
        let read = |delta: &str| {
            let text =
                format!("{{\"type\":\"response.output_audio.delta\",\"delta\":\"{delta}\"}}");
            Event::read(&text).map(|event| event.audio_bytes())
        };
        assert_eq!(read("AAAA"), Some(3));
        assert_eq!(read("AAA="), Some(2));
        assert_eq!(read("AA=="), Some(1));
        assert_eq!(read(""), Some(0));
    }

    #[test]
    fn a_response_tells_its_status_and_an_error_its_reason() {
        let done = Event::read(r#"{"type":"response.done","response":{"status":"cancelled"}}"#);
        assert_eq!(done.as_ref().map(Event::status), Some("cancelled"));
        let error = Event::read(r#"{"type":"error","error":{"message":"no"}}"#);
        assert_eq!(error.as_ref().map(Event::refusal), Some("no"));
    }
}
