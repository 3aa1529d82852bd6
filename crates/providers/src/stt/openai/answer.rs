//! Reads a transcript out of an answer: JSON, or an event stream
//! (<https://platform.openai.com/docs/api-reference/audio/transcript-text-delta-event>).
//! Called for every request of an utterance.
//! Never takes the beginning of a transcript for the whole.

use reqwest::{Response, header::CONTENT_TYPE};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use crate::{Kind, ProviderError, Vendor, failure, sse::SseReader};

/// Longest answer, in bytes: an hour of speech has about 60 kB of text, and ten times that with its tokens.
const ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// What was said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Transcript {
    pub(super) text: String,
    /// Tokens with their natural-log probabilities; empty where unknown.
    pub(super) logprobs: Vec<(String, f32)>,
}

/// Both the whole answer and the last event of a stream.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "type", default)]
    kind: String,
    text: Option<String>,
    #[serde(default)]
    logprobs: Option<Vec<Token>>,
}

#[derive(Deserialize)]
struct Token {
    token: String,
    logprob: f32,
}

impl Answer {
    fn transcript(self) -> Option<Transcript> {
        let logprobs = self.logprobs.unwrap_or_default().into_iter();
        Some(Transcript {
            text: self.text?.trim().to_owned(),
            logprobs: logprobs.map(|token| (token.token, token.logprob)).collect(),
        })
    }
}

/// Reads `response` up to the transcript.
///
/// Errors: [`Kind::Protocol`] for an answer without one, [`Kind::Unavailable`] for one that breaks off,
/// [`Kind::Timeout`] for one that stops.
pub(super) async fn read(
    vendor: &Vendor,
    mut response: Response,
) -> Result<Transcript, ProviderError> {
    let kind = response.headers().get(CONTENT_TYPE);
    let streamed = kind
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.starts_with("text/event-stream"));
    let mut reading = if streamed {
        Reading::Events(SseReader::new(ANSWER_BYTES))
    } else {
        Reading::Whole(Vec::new())
    };
    // for the whole answer: it is short, so what trickles is as good as silent
    let limit = vendor.limits.first_event;
    let deadline = Instant::now() + limit;
    loop {
        let chunk = timeout_at(deadline, response.chunk())
            .await
            .map_err(|_| failure::silent(&vendor.name, "no transcript came", limit))?
            .map_err(|error| failure::of_transport(&vendor.name, &error))?;
        let taken = match &chunk {
            Some(chunk) => reading.take(chunk),
            None => reading.end(),
        };
        match taken {
            Ok(Some(transcript)) => return Ok(transcript),
            Ok(None) if chunk.is_some() => {}
            Ok(None) => {
                let message = "the answer broke off before the transcript was complete";
                return Err(vendor.error(Kind::Unavailable, message));
            }
            Err(kind) => {
                let message = "the server sent no transcript";
                return Err(vendor.error(kind, message));
            }
        }
    }
}

enum Reading {
    Whole(Vec<u8>),
    Events(SseReader),
}

impl Reading {
    fn take(&mut self, bytes: &[u8]) -> Result<Option<Transcript>, Kind> {
        match self {
            Self::Whole(whole) if whole.len() + bytes.len() > ANSWER_BYTES => Err(Kind::Protocol),
            Self::Whole(whole) => {
                whole.extend_from_slice(bytes);
                Ok(None)
            }
            Self::Events(reader) => {
                let mut events = Vec::new();
                let pushed = reader.push(bytes, &mut events);
                pushed.map_err(|_| Kind::Protocol)?;
                for event in events {
                    if event.data.trim() == "[DONE]" {
                        continue;
                    }
                    let error = event.event == "error";
                    let event: Answer =
                        serde_json::from_str(&event.data).map_err(|_| Kind::Protocol)?;
                    match event.kind.as_str() {
                        "transcript.text.done" => {
                            return event.transcript().map(Some).ok_or(Kind::Protocol);
                        }
                        "error" => return Err(Kind::Unavailable),
                        _ if error => return Err(Kind::Unavailable),
                        // the deltas come once more, in one piece, at the end
                        _ => {}
                    }
                }
                Ok(None)
            }
        }
    }

    fn end(&mut self) -> Result<Option<Transcript>, Kind> {
        let Self::Whole(whole) = self else {
            return Ok(None);
        };
        let answer: Answer = serde_json::from_slice(whole).map_err(|_| Kind::Protocol)?;
        answer.transcript().map(Some).ok_or(Kind::Protocol)
    }
}
