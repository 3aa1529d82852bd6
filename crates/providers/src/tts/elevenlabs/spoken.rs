//! What is said to a voice of `ElevenLabs`, and which of the pieces its audio is.
//! Driven by the reply that speaks.
//! Never takes a flush for an end: nothing answers it, so the characters in the timings are counted.
//!
//! Audio comes with the characters it is of (`sync_alignment`). A piece is complete when as many of them have come as
//! it has, spaces apart: those are added and dropped at will. Where a count should ever fall short, the next piece or
//! the end of the reply makes up for it.

use std::collections::VecDeque;

use engine::audio::b64;
use serde::Deserialize;
use serde_json::json;

use super::super::live::{Said, Voice};
use crate::{
    Kind, failure, kept,
    ws::{Closing, Message},
};

/// A connection to `ElevenLabs`; it has no past.
#[derive(Debug, Default)]
pub(crate) struct Line;

impl kept::Line for Line {}

#[derive(Deserialize)]
struct Frame {
    audio: Option<String>,
    #[serde(rename = "isFinal")]
    is_final: Option<bool>,
    alignment: Option<Alignment>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Alignment {
    #[serde(default)]
    chars: Vec<String>,
}

/// One reply.
#[derive(Debug)]
pub(crate) struct Spoken {
    speed: Option<f64>,
    begun: bool,
    /// Characters that are missing of each piece that is not complete.
    missing: VecDeque<usize>,
}

impl Spoken {
    /// `speed` is between 0.7 and 1.2, or the natural one.
    pub(super) fn new(speed: Option<f64>) -> Self {
        Self {
            speed,
            begun: false,
            missing: VecDeque::new(),
        }
    }

    fn heard(&mut self, mut chars: usize, said: &mut Vec<Said>) {
        while let Some(missing) = self.missing.front_mut() {
            if chars < *missing {
                *missing -= chars;
                return;
            }
            chars -= *missing;
            self.missing.pop_front();
            said.push(Said::Done);
        }
    }
}

impl Voice for Spoken {
    type Line = Line;
    const REUSED: bool = false;

    fn begin(&mut self, _line: &mut Line) -> Vec<String> {
        *self = Self::new(self.speed);
        Vec::new()
    }

    fn piece(&mut self, _line: &mut Line, text: &str) -> Vec<String> {
        let mut texts = Vec::new();
        if !self.begun {
            self.begun = true;
            // the settings come with the first message, whose text is one space; sent with the first piece, for it
            // starts the clock of the inactivity timeout
            let mut first = json!({ "text": " " });
            if let Some(speed) = self.speed {
                first["voice_settings"] = json!({ "speed": speed });
            }
            texts.push(first.to_string());
        }
        self.missing.push_back(characters(text));
        // a text ends with a space, so that words of two messages stay apart
        let piece = json!({ "text": format!("{} ", text.trim()), "flush": true });
        texts.push(piece.to_string());
        texts
    }

    fn end(&mut self, _line: &mut Line) -> Vec<String> {
        vec![json!({ "text": "" }).to_string()]
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
        if let Some(error) = &frame.error {
            return Err(kind_of(error));
        }
        if let Some(audio) = frame.audio.filter(|audio| !audio.is_empty()) {
            let mut bytes = Vec::new();
            b64::decode(&audio, &mut bytes).map_err(|_| Kind::Protocol)?;
            said.push(Said::Audio(bytes));
        }
        if let Some(alignment) = frame.alignment {
            let chars = alignment.chars.iter().map(|chars| characters(chars)).sum();
            self.heard(chars, said);
        }
        if frame.is_final == Some(true) {
            self.missing.clear();
            said.push(Said::AllDone);
        }
        Ok(())
    }

    fn cancel(&mut self, _line: &mut Line) -> Option<String> {
        None
    }

    /// Errors come as messages first; a connection that was silent for too long is closed with 1008 as well.
    fn closed(_closing: &Closing) -> Kind {
        Kind::Unavailable
    }
}

fn characters(text: &str) -> usize {
    text.chars().filter(|c| !c.is_whitespace()).count()
}

/// What a word such as `voice_id_does_not_exist` asks for.
fn kind_of(error: &str) -> Kind {
    match error {
        "input_timeout_exceeded" => Kind::Unavailable,
        _ if error.contains("does_not_exist") || error.contains("not_allowed") => Kind::Rejected,
        _ if error.contains("concurrent") => Kind::RateLimited,
        "system_busy" => Kind::Overloaded,
        _ => failure::error_kind(&json!({ "code": error })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(spoken: &mut Spoken, value: &serde_json::Value) -> Result<Vec<Said>, Kind> {
        let mut said = Vec::new();
        let message = Message::Text(value.to_string().into());
        spoken.take(&mut Line, &message, &mut said).map(|()| said)
    }

    #[test]
    fn pieces_end_where_their_characters_do() {
        let mut spoken = Spoken::new(None);
        for text in ["Hi you.", "Ok?"] {
            spoken.piece(&mut Line, text);
        }
        let audio = |chars: &[&str]| json!({ "audio": "AAA=", "isFinal": null, "alignment": { "chars": chars } });
        let sound = || Said::Audio(vec![0, 0]);
        let first = take(&mut spoken, &audio(&[" ", "H", "i", " "])).unwrap();
        assert_eq!(first, [sound()]);
        let second = take(&mut spoken, &audio(&["y", "o", "u", ".", " "])).unwrap();
        assert_eq!(second, [sound(), Said::Done]);
        // without timings, the end of the reply is the end of the piece
        let silent = json!({ "audio": "AAA=", "alignment": null });
        assert_eq!(take(&mut spoken, &silent).unwrap(), [sound()]);
        let last = json!({ "audio": null, "isFinal": true });
        assert_eq!(take(&mut spoken, &last).unwrap(), [Said::AllDone]);
    }

    #[test]
    fn errors_tell_what_to_do() {
        for (word, kind) in [
            ("invalid_api_key", Kind::Unauthorized),
            ("quota_exceeded", Kind::Unauthorized),
            ("too_many_concurrent_requests", Kind::RateLimited),
            ("voice_id_does_not_exist", Kind::Rejected),
            ("invalid_input_message", Kind::Rejected),
            ("input_timeout_exceeded", Kind::Unavailable),
        ] {
            let error = json!({ "message": "m", "error": word, "code": 1008 });
            assert_eq!(take(&mut Spoken::new(None), &error), Err(kind), "{word}");
        }
        assert_eq!(
            take(&mut Spoken::new(None), &json!([])),
            Err(Kind::Protocol)
        );
    }
}
