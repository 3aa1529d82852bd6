//! A reply as a context of Cartesia's (<https://docs.cartesia.ai/use-the-api/tts-websocket/contexts>).
//! Driven by the reply that speaks.
//! Never speaks into a context that may have expired: a pause begins a new one.

use engine::audio::b64;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::super::live::{Said, Voice};
use crate::{
    Kind, kept,
    ws::{Closing, Message},
};

/// A context expires 1 s after its last audio; what is sent behind that is refused. Half of it is for the way.
const FRESH: Duration = Duration::from_millis(500);

/// A connection to Cartesia.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Contexts that were begun on it.
    contexts: u64,
}

impl kept::Line for Line {}

#[derive(Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    context_id: Option<String>,
    data: Option<String>,
    #[serde(default)]
    status_code: u16,
}

/// One reply: a context, or several where it pauses.
#[derive(Debug)]
pub(crate) struct Context {
    /// What every message of the reply has.
    request: Value,
    id: Option<String>,
    /// Pieces that are not complete.
    open: usize,
    last: Instant,
}

impl Context {
    /// `request` has everything but the text and the context.
    pub(super) fn new(request: Value) -> Self {
        Self {
            request,
            id: None,
            open: 0,
            last: Instant::now(),
        }
    }

    fn say(&self, id: &str, transcript: &str, more: &[(&str, bool)]) -> String {
        let mut message = self.request.clone();
        message["context_id"] = json!(id);
        message["transcript"] = json!(transcript);
        for (flag, value) in more {
            message[*flag] = json!(value);
        }
        message.to_string()
    }
}

impl Voice for Context {
    type Line = Line;
    const REUSED: bool = true;

    fn begin(&mut self, _line: &mut Line) -> Vec<String> {
        self.id = None;
        self.open = 0;
        Vec::new()
    }

    fn piece(&mut self, line: &mut Line, text: &str) -> Vec<String> {
        let expired = self.open == 0 && self.last.elapsed() > FRESH;
        let id = self.id.take().filter(|_| !expired).unwrap_or_else(|| {
            line.contexts += 1;
            format!("reply-{}", line.contexts)
        });
        self.open += 1;
        self.last = Instant::now();
        // transcripts are joined as they are: the space keeps the words of two pieces apart
        let text = format!("{} ", text.trim());
        let texts = vec![
            self.say(&id, &text, &[("continue", true)]),
            // answered by `flush_done`, behind the last audio of the piece
            self.say(&id, "", &[("continue", true), ("flush", true)]),
        ];
        self.id = Some(id);
        texts
    }

    fn end(&mut self, _line: &mut Line) -> Vec<String> {
        let id = self.id.as_deref();
        id.map(|id| self.say(id, "", &[("continue", false)]))
            .into_iter()
            .collect()
    }

    fn take(
        &mut self,
        _line: &mut Line,
        message: &Message,
        said: &mut Vec<Said>,
    ) -> Result<(), Kind> {
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Kind::Protocol),
            Message::Closed(_) => return Ok(()),
        };
        let frame: Frame = serde_json::from_str(text).map_err(|_| Kind::Protocol)?;
        // a cancelled context goes on until what it was generating is complete
        if frame.context_id.is_some() && frame.context_id != self.id {
            return Ok(());
        }
        self.last = Instant::now();
        match frame.kind.as_str() {
            "chunk" => {
                let mut audio = Vec::new();
                let data = frame.data.ok_or(Kind::Protocol)?;
                b64::decode(&data, &mut audio).map_err(|_| Kind::Protocol)?;
                said.push(Said::Audio(audio));
            }
            "flush_done" if self.open > 0 => {
                self.open -= 1;
                said.push(Said::Done);
            }
            "done" => {
                self.open = 0;
                self.id = None;
                said.push(Said::AllDone);
            }
            "error" => return Err(kind_of(frame.status_code)),
            // timestamps, and what may be added
            _ => {}
        }
        Ok(())
    }

    fn cancel(&mut self, _line: &mut Line) -> Option<String> {
        let id = self.id.take()?;
        Some(json!({ "context_id": id, "cancel": true }).to_string())
    }

    fn closed(closing: &Closing) -> Kind {
        match closing.code {
            1008 => Kind::Rejected,
            _ => Kind::Unavailable,
        }
    }
}

fn kind_of(status: u16) -> Kind {
    match status {
        401..=403 => Kind::Unauthorized,
        429 => Kind::RateLimited,
        400..=499 => Kind::Rejected,
        _ => Kind::Unavailable,
    }
}
