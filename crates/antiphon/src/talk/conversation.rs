//! What happened in a conversation, from the server's events and the times they came at.
//! `client` feeds it; `report` and the waterfall read it.
//! It never waits and never reads a clock: the time of each event is an argument.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// When the stages of the last turn were reached, since the connection opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stages {
    /// The last loud sample of the question left this machine.
    pub(super) speech_end: Option<Duration>,
    /// `input_audio_buffer.speech_stopped`: the server decided that the turn is over.
    pub(super) turn_decided: Option<Duration>,
    /// The transcript of the question arrived.
    pub(super) transcript: Option<Duration>,
    /// `response.created`.
    pub(super) response: Option<Duration>,
    /// First words of the answer as text.
    pub(super) first_text: Option<Duration>,
    /// First sound of the answer.
    pub(super) first_audio: Option<Duration>,
    /// `response.done`.
    pub(super) done: Option<Duration>,
}

/// A conversation as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// Transcripts of what this side said, turn by turn.
    pub(super) heard: Vec<String>,
    /// Text of the last answer.
    pub(super) said: String,
    /// Sound of the last answer, mono at 24 kHz.
    pub(super) answer: Vec<i16>,
    /// Item of the last answer.
    pub(super) item: Option<String>,
    /// Times of the last turn.
    pub(super) stages: Stages,
    /// Half a sample that a delta ended with.
    half: Option<u8>,
    /// Turns the server opened for which no transcript has come.
    transcripts_due: usize,
    /// Whether somebody speaks, or an answer is due or under way.
    turn: Turn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Turn {
    #[default]
    Quiet,
    Speaking,
    AnswerDue,
    Answered,
}

/// What an event asks of the client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: go on.
    On,
    /// The session stands and has our settings.
    Configured,
    /// An answer begins.
    Began,
    /// Somebody began to speak: what is still being played is to stop.
    SpokenOver,
    /// The server refused something, in its own words.
    Refused(String),
}

impl Conversation {
    /// Takes one server event that came `at` since the connection opened.
    pub(super) fn on(&mut self, event: &Value, at: Duration) -> Step {
        match event["type"].as_str().unwrap_or_default() {
            "session.updated" => return Step::Configured,
            "error" => return Step::Refused(refusal(&event["error"])),
            "input_audio_buffer.speech_started" => {
                self.turn = Turn::Speaking;
                return Step::SpokenOver;
            }
            "input_audio_buffer.speech_stopped" => self.turn_decided(at),
            "conversation.item.input_audio_transcription.completed" => {
                self.heard.push(text(&event["transcript"]));
                self.transcript_came(at);
            }
            "conversation.item.input_audio_transcription.failed" => self.transcript_came(at),
            "response.created" => {
                self.stages.response = Some(at);
                self.said.clear();
                self.answer.clear();
                self.half = None;
                self.item = None;
                return Step::Began;
            }
            "response.output_audio_transcript.delta" | "response.output_text.delta" => {
                self.stages.first_text.get_or_insert(at);
                self.said
                    .push_str(event["delta"].as_str().unwrap_or_default());
            }
            "response.output_audio.delta" => {
                self.stages.first_audio.get_or_insert(at);
                self.item = event["item_id"].as_str().map(str::to_owned);
                self.sound(event["delta"].as_str().unwrap_or_default());
            }
            "response.done" => return self.response_done(&event["response"], at),
            _ => {}
        }
        Step::On
    }

    /// Notes that the last loud sample of the question was sent.
    pub(super) fn speech_sent(&mut self, at: Duration) {
        self.stages.speech_end = Some(at);
    }

    /// Whether the last turn has been answered and everything said has been transcribed.
    pub(super) fn is_over(&self) -> bool {
        self.turn == Turn::Answered && self.transcripts_due == 0
    }

    fn turn_decided(&mut self, at: Duration) {
        let speech_end = self.stages.speech_end;
        self.stages = Stages {
            speech_end,
            turn_decided: Some(at),
            ..Stages::default()
        };
        self.transcripts_due += 1;
        self.turn = Turn::AnswerDue;
    }

    fn transcript_came(&mut self, at: Duration) {
        self.stages.transcript = Some(at);
        self.transcripts_due = self.transcripts_due.saturating_sub(1);
    }

    fn response_done(&mut self, response: &Value, at: Duration) -> Step {
        match response["status"].as_str() {
            // somebody spoke again: the next turn's answer is the one to wait for
            Some("cancelled") => Step::On,
            Some("failed") => Step::Refused(refusal(&response["status_details"]["error"])),
            _ => {
                self.stages.done = Some(at);
                if self.turn == Turn::AnswerDue {
                    self.turn = Turn::Answered;
                }
                Step::On
            }
        }
    }

    fn sound(&mut self, delta: &str) {
        let Ok(bytes) = STANDARD.decode(delta) else {
            return;
        };
        let mut bytes = self.half.take().into_iter().chain(bytes);
        while let Some(low) = bytes.next() {
            match bytes.next() {
                Some(high) => self.answer.push(i16::from_le_bytes([low, high])),
                None => self.half = Some(low),
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// An error object in one line.
fn refusal(error: &Value) -> String {
    let message = error["message"].as_str().unwrap_or("no reason given");
    match error["code"].as_str() {
        Some(code) => format!("{message} ({code})"),
        None => message.to_owned(),
    }
}
