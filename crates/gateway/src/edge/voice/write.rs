//! What happens in the session to messages for the app.
//! Runs beside the reader and the session in the connection's task.
//! Never reorders: what was said first is sent first, sound included.

mod reply;

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::SinkExt as _;
use futures_util::stream::SplitSink;
use tokio::time::{Instant, MissedTickBehavior, sleep_until};
use wire::realtime::client::ClientAction;
use wire::realtime::server::LogProb;
use wire::realtime::{ClientEvent, ErrorBody, ServerEvent};
use wire::voice::{AudioMessages, ServerMessage, Status, code, write};

use self::reply::Reply;
pub(super) use self::reply::Told;
use super::book::{Book, Line};
use super::read::{Note, Notes};
use super::refusal::Refusal;
use super::renewal::Renewal;
use super::speech::Packing;
use crate::clock::Clock;
use crate::edge::{Closing, Inbound, Outbound, Receiver, Sender};
use crate::observe::{Event, Metrics, Outcome, Stage};
use crate::quota::purse::{Purse, Standing};

/// Pings keep proxies from closing a quiet connection and tell a vanished app.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Close codes of RFC 6455 §7.4.1.
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;

/// The connection cannot be written to any more.
pub(super) struct Broken;

impl From<axum::Error> for Broken {
    fn from(_: axum::Error) -> Self {
        Self
    }
}

/// Where the writer goes on.
enum Next {
    Outbound(Option<Outbound>),
    Note(Option<Note>),
    Ping,
    Spent,
    TokenOver,
}

/// Whether the app was told that its budget is nearly used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Warning {
    Unsaid,
    Said,
}

/// By what speech is cut into stretches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// By sentences, as they were given to a voice.
    Sentences,
    /// By time: a model speaks by itself and tells of no sentences.
    Time,
}

/// The way to an app.
pub(super) struct Writer {
    pub(super) socket: SplitSink<WebSocket, Message>,
    pub(super) outbound: Receiver<Outbound>,
    pub(super) notes: Notes,
    /// To the session, for what the app asks of it.
    pub(super) inbound: Sender<Inbound>,
    pub(super) pen: Pen,
}

/// What a writer knows.
pub(super) struct Pen {
    /// As the app knows the session.
    pub(super) session_id: String,
    /// As everybody else does.
    pub(super) session: String,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
    pub(super) messages: AudioMessages,
    pub(super) packing: Packing,
    pub(super) purse: Purse,
    pub(super) book: Book,
    pub(super) renewal: Renewal,
    /// Longest session, in s.
    pub(super) max_s: u64,
    pub(super) status: Status,
    pub(super) muted: bool,
    pub(super) warning: Warning,
    pub(super) cut: Cut,
    pub(super) reply: Option<Reply>,
    /// Stretches of speech so far.
    pub(super) sentences: u64,
    pub(super) told: Told,
}

impl Writer {
    /// Writes until the connection ends; how.
    pub(super) async fn write(&mut self) -> Outcome {
        match self.run().await {
            Ok(outcome) => outcome,
            Err(Broken) => Outcome::ConnectionLost,
        }
    }

    async fn run(&mut self) -> Result<Outcome, Broken> {
        let mut pings = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut spent = self.pen.purse.changes();
        let mut reading = true;
        loop {
            let token_over = self.pen.renewal.deadline(&self.pen.clock);
            let next = tokio::select! {
                biased;
                () = sleep_until(token_over) => Next::TokenOver,
                note = self.notes.recv(), if reading => Next::Note(note),
                next = self.outbound.recv() => Next::Outbound(next),
                Ok(()) = spent.changed() => Next::Spent,
                _ = pings.tick() => Next::Ping,
            };
            let ended = match next {
                Next::Outbound(next) => self.outbound(next).await?,
                Next::Note(Some(note)) => self.note(note).await?,
                Next::Note(None) => {
                    reading = false;
                    None
                }
                Next::Ping => {
                    let ping = Message::Ping(bytes::Bytes::new());
                    self.socket.send(ping).await?;
                    None
                }
                Next::Spent => self.spent().await?,
                Next::TokenOver => {
                    if self.pen.renewal.is_over(&self.pen.clock) {
                        self.refuse(Refusal::invalid()).await?;
                        Some(Outcome::Expired)
                    } else {
                        None
                    }
                }
            };
            if let Some(outcome) = ended {
                return Ok(outcome);
            }
        }
    }

    async fn outbound(&mut self, next: Option<Outbound>) -> Result<Option<Outcome>, Broken> {
        match next {
            None => Ok(Some(Outcome::ClientClosed)),
            Some(Outbound::FirstAudio(since)) => {
                if let Some(reply) = &mut self.pen.reply {
                    reply.asked_at = Some(since);
                }
                Ok(None)
            }
            Some(Outbound::Event(event, _room)) => self.event(*event).await,
            Some(Outbound::Close(closing)) => self.close(*closing).await.map(Some),
        }
    }

    /// The session closes the connection.
    async fn close(&mut self, closing: Closing) -> Result<Outcome, Broken> {
        match closing {
            // the one close without an error and with this code: the session has lasted as long as it may
            Closing {
                error: None,
                code: GOING_AWAY,
                ..
            } => {
                self.refuse(Refusal::duration(self.pen.max_s)).await?;
                Ok(Outcome::Expired)
            }
            Closing {
                error,
                code,
                reason,
            } => {
                if let Some(error) = error {
                    let name = error.code.as_deref().unwrap_or_default().to_uppercase();
                    self.say(&ServerMessage::error(&name, error.message))
                        .await?;
                } else if code == NORMAL {
                    self.say_end().await?;
                }
                self.close_frame(code, reason).await?;
                Ok(Outcome::ClientClosed)
            }
        }
    }

    async fn note(&mut self, note: Note) -> Result<Option<Outcome>, Broken> {
        match note {
            Note::Say(message) => self.say(&message).await?,
            Note::Muted(muted) => {
                self.pen.muted = muted;
                self.show_status().await?;
            }
            Note::Interrupt => self.interrupt(),
            Note::StartAgain(start) => match self.pen.renewal.renew(*start).await {
                Ok(()) => self.say(&self.pen.started()).await?,
                Err(sentence) => {
                    let error = ServerMessage::error(code::ALREADY_STARTED, sentence);
                    self.say(&error).await?;
                }
            },
            Note::End => {
                self.finish("Session ended").await?;
                return Ok(Some(Outcome::ClientClosed));
            }
            Note::Idle => {
                self.finish("Inactivity timeout").await?;
                return Ok(Some(Outcome::Unresponsive));
            }
        }
        Ok(None)
    }

    /// Whoever speaks stops, and the conversation goes on from what the caller has heard.
    fn interrupt(&mut self) {
        let heard = self.pen.told.heard(self.pen.clock.now());
        let mut actions = Vec::new();
        if self.pen.reply.is_some() {
            actions.push(ClientAction::ResponseCancel { response_id: None });
        }
        if let Some((item_id, audio_end_ms)) = heard {
            actions.push(ClientAction::ItemTruncate {
                item_id,
                content_index: 0,
                audio_end_ms,
            });
        }
        self.pen.told.silence();
        for action in actions {
            let event = ClientEvent {
                event_id: None,
                action,
            };
            // an app that interrupts more often than the session listens is heard the next time
            let _ = self.inbound.try_send(Inbound::Event(Box::new(event), None));
        }
    }

    /// The end that the app asks for.
    async fn finish(&mut self, reason: &'static str) -> Result<(), Broken> {
        self.say_end().await?;
        self.close_frame(NORMAL, reason.to_owned()).await
    }

    async fn say_end(&mut self) -> Result<(), Broken> {
        let spent = self.pen.purse.spent();
        let end = ServerMessage::SessionEnd {
            duration: self.pen.book.lasted_ms(),
            metrics: self.pen.told.metrics(spent.units.audio_ms),
            cost: spent.dollars(),
        };
        self.say(&end).await
    }

    async fn refuse(&mut self, refusal: Refusal) -> Result<(), Broken> {
        if let ServerMessage::Error { message, .. } = &refusal.message {
            self.pen.book.failed(message);
        }
        self.say(&refusal.message).await?;
        self.close_frame(refusal.code, refusal.reason.to_owned())
            .await
    }

    async fn close_frame(&mut self, code: u16, reason: String) -> Result<(), Broken> {
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        Ok(self.socket.send(Message::Close(Some(frame))).await?)
    }

    /// Something was paid for: the app is warned, or it is over.
    async fn spent(&mut self) -> Result<Option<Outcome>, Broken> {
        match self.pen.purse.standing() {
            Standing::Plenty => Ok(None),
            Standing::Near => {
                self.warn().await?;
                Ok(None)
            }
            // an answer that has begun is heard to its end
            Standing::UsedUp if self.pen.reply.is_some() => Ok(None),
            Standing::UsedUp => self.used_up().await.map(Some),
        }
    }

    /// Nothing is left of the session's budget.
    async fn used_up(&mut self) -> Result<Outcome, Broken> {
        let dollars = self.pen.purse.spent().dollars();
        let sentence = format!("Budget limit exceeded: ${dollars:.2}");
        self.refuse(Refusal::budget(sentence, dollars)).await?;
        Ok(Outcome::Expired)
    }

    async fn warn(&mut self) -> Result<(), Broken> {
        if self.pen.warning == Warning::Said {
            return Ok(());
        }
        self.pen.warning = Warning::Said;
        let spent = self.pen.purse.spent().dollars();
        let limit = self.pen.purse.limit_dollars();
        let limit = if limit.fract() == 0.0 {
            format!("{limit:.0}")
        } else {
            format!("{limit:.2}")
        };
        let warning = ServerMessage::Warning {
            message: format!("Approaching budget limit: ${spent:.2} / ${limit}"),
            code: code::BUDGET_WARNING,
            cost: Some(spent),
        };
        self.say(&warning).await
    }

    pub(super) async fn say(&mut self, message: &ServerMessage) -> Result<(), Broken> {
        let text = self.pen.text(message);
        Ok(self.socket.send(Message::Text(text.into())).await?)
    }

    async fn show(&mut self, status: Status) -> Result<(), Broken> {
        if self.pen.status == status {
            return Ok(());
        }
        self.pen.status = status;
        self.pen.book.status(status);
        self.show_status().await
    }

    async fn show_status(&mut self) -> Result<(), Broken> {
        let message = ServerMessage::Status {
            status: self.pen.status,
            muted: self.pen.muted,
        };
        self.say(&message).await
    }

    async fn event(&mut self, event: ServerEvent) -> Result<Option<Outcome>, Broken> {
        match event {
            ServerEvent::SessionCreated { .. } => {
                self.say(&self.pen.started()).await?;
                self.show_status().await?;
            }
            ServerEvent::SpeechStarted { .. } => {
                // what was still being played is cut by the session itself
                self.pen.told.silence();
                self.show(Status::Transcribing).await?;
            }
            ServerEvent::TranscriptPartial { text, .. } => {
                let partial = ServerMessage::PartialTranscript {
                    text,
                    confidence: 1.0,
                };
                self.say(&partial).await?;
            }
            ServerEvent::TranscriptionCompleted {
                transcript,
                logprobs,
                ..
            } => self.transcribed(transcript, logprobs.as_deref()).await?,
            ServerEvent::TranscriptionFailed { error, .. } => {
                let sentence = format!("STT error: {}", error.message);
                self.failed(code::STT_ERROR, sentence).await?;
            }
            ServerEvent::Error { error } => self.error(error).await?,
            ServerEvent::ResponseCreated { response } => {
                self.pen.reply = Some(Reply::new(&response.id, self.pen.clock.now()));
                self.say(&ServerMessage::AiThinking {}).await?;
                self.show(Status::Thinking).await?;
            }
            ServerEvent::OutputTranscriptDelta { delta, .. }
            | ServerEvent::OutputTextDelta { delta, .. } => self.words(delta).await?,
            ServerEvent::OutputAudioDelta { item_id, delta, .. } => {
                self.sound(item_id, &delta.0).await?;
            }
            ServerEvent::SpeechPiece { text, .. } => self.piece(text).await?,
            ServerEvent::OutputAudioDone { .. } => self.piece(String::new()).await?,
            ServerEvent::ResponseDone { response } => return self.replied(&response).await,
            _ => {}
        }
        Ok(None)
    }

    async fn transcribed(
        &mut self,
        text: String,
        logprobs: Option<&[LogProb]>,
    ) -> Result<(), Broken> {
        if text.trim().is_empty() {
            if self.pen.reply.is_none() {
                self.show(Status::Listening).await?;
            }
            return Ok(());
        }
        let confidence = confidence(logprobs);
        self.pen.book.write(Line::user(text.clone(), confidence));
        let transcript = ServerMessage::FinalTranscript { text, confidence };
        self.say(&transcript).await
    }

    /// Something of the pipeline failed; the call goes on.
    async fn failed(&mut self, code: &str, sentence: String) -> Result<(), Broken> {
        self.pen.book.failed(&sentence);
        self.say(&ServerMessage::error(code, sentence)).await
    }

    async fn error(&mut self, error: ErrorBody) -> Result<(), Broken> {
        let name = error.code.unwrap_or_default();
        match name.as_str() {
            "stt_degraded" => {
                let sentence = format!("STT error: {}", error.message);
                self.failed(code::STT_ERROR, sentence).await
            }
            "llm_degraded" => {
                let sentence = format!("AI error: {}", error.message);
                self.failed(code::LLM_ERROR, sentence).await
            }
            "tts_degraded" => {
                let sentence = format!("TTS error: {}", error.message);
                self.failed(code::TTS_ERROR, sentence).await
            }
            // an interruption that came when nobody spoke any more, or when all of it had been heard; and the end of a
            // session, which the close says in this door's own words
            "session_expired" | "response_cancel_not_active" | "item_already_truncated" | "" => {
                Ok(())
            }
            _ => self.failed(&name.to_uppercase(), error.message).await,
        }
    }

    fn note_heard(&self, since: std::time::Instant) {
        self.pen.metrics.emit(&Event::TurnStage {
            session: &self.pen.session,
            stage: Stage::Heard,
            after: self.pen.clock.now().saturating_duration_since(since),
        });
    }
}

impl Pen {
    fn text(&self, message: &ServerMessage) -> String {
        let now_ms = self.clock.utc().timestamp_millis();
        write(message, &self.session_id, now_ms)
    }

    fn started(&self) -> ServerMessage {
        ServerMessage::SessionStarted {
            status: "ready",
            audio_format: self.packing.name(),
        }
    }
}

/// How sure transcription is: the mean probability of its tokens. One that tells none has no doubts that we know of.
fn confidence(logprobs: Option<&[LogProb]>) -> f64 {
    let tokens = logprobs.unwrap_or_default();
    if tokens.is_empty() {
        return 1.0;
    }
    let sum: f64 = tokens.iter().map(|token| token.logprob.exp()).sum();
    (sum / tokens.len() as f64).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_is_the_mean_probability_of_the_tokens() {
        let token = |logprob: f64| LogProb {
            token: "a".to_owned(),
            logprob,
            bytes: Vec::new(),
        };
        assert!((confidence(None) - 1.0).abs() < 1e-9);
        let two = [token(0.0), token(0.5_f64.ln())];
        assert!((confidence(Some(&two)) - 0.75).abs() < 1e-9);
    }
}
