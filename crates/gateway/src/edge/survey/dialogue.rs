//! One dialogue from its first frame to its last.
//! Run by `upgrade` in a task of its own, which owns the dialogue and its socket.
//! Never reads what is typed next before what was typed is answered, and never answers before the step is kept.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use engine::guard::{Rate, Window};
use engine::survey::dialogue::Kept;
use engine::survey::{Dialect, Dialogue, Input, Output, Phrase};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use store::live::surveys::Held;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite;
use wire::ids::Ids;

use crate::App;
use crate::survey::{Conversation, Place};

/// Between two pings (spec/chat-voice-survey A9).
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long a client may take to see the close frame.
const LINGER: Duration = Duration::from_secs(1);
/// How long the kernel may take a frame from us: a client that reads nothing for so long is gone.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// RFC 6455 §7.4.1: the server goes away; a frame was too large.
const GOING_AWAY: u16 = 1001;
const TOO_LARGE: u16 = 1009;
/// What `resume` asks for a new secret with.
const NEW: &str = "new";

/// A dialogue and what it is led with.
pub(super) struct Talk {
    app: Arc<App>,
    dialogue: Dialogue,
    of: Conversation,
    /// Where it is kept, for a client that may come back.
    held: Option<Held>,
    /// When it closes by itself.
    close_at: Option<Instant>,
    window: Window,
}

/// What is kept of a dialogue between two connections.
#[derive(Serialize, Deserialize)]
struct Saved {
    dialect: String,
    response: String,
    dialogue: Kept,
}

/// What a new connection begins with.
pub(super) struct First {
    said: Vec<String>,
    /// The dialogue has not been opened yet.
    is_new: bool,
}

/// How a dialogue ended.
struct End {
    close: Option<(u16, &'static str)>,
    outcome: &'static str,
}

impl End {
    const fn closing(code: u16, reason: &'static str, outcome: &'static str) -> Self {
        Self {
            close: Some((code, reason)),
            outcome,
        }
    }

    const fn gone(outcome: &'static str) -> Self {
        Self {
            close: None,
            outcome,
        }
    }
}

impl Talk {
    /// A new dialogue, or the one that `resume` leads back to.
    pub(super) async fn begin(
        app: Arc<App>,
        dialect: Dialect,
        resume: Option<String>,
        ip: Option<std::net::IpAddr>,
    ) -> (Self, First) {
        let mut said = Vec::new();
        let manner = app.survey.manner(dialect);
        let session = |secret: &str| manner.locale.fill(Phrase::Session, &[("session", secret)]);
        let of = Conversation {
            dialect,
            response: Ids::seeded(app.seed()).next("resp"),
            ip,
        };
        let mut talk = Self {
            dialogue: Dialogue::new(Arc::clone(&manner)),
            of,
            held: None,
            close_at: None,
            window: Window::default(),
            app,
        };
        let Some(resume) = resume else {
            return (talk, First { said, is_new: true });
        };
        if resume != NEW
            && let Some(again) = talk.come_back(&resume).await
        {
            said.push(session(&resume));
            said.extend(again);
            return (
                talk,
                First {
                    said,
                    is_new: false,
                },
            );
        }
        // one that is unknown or too old begins anew, which its client sees by the other secret
        if let Some(secret) = secret() {
            talk.held = Some(talk.app.survey.live().begin(&secret));
            said.push(session(&secret));
        }
        (talk, First { said, is_new: true })
    }

    /// Takes the dialogue over that is kept under `secret`; what is said to its client then.
    async fn come_back(&mut self, secret: &str) -> Option<Vec<String>> {
        let desk = &self.app.survey;
        let taken = desk.live().take(desk.tenant(), secret, self.times()).await;
        let (held, progress) = taken
            .inspect_err(|error| {
                tracing::warn!(error = %crate::auth::chain(error), "cannot look for a survey's dialogue");
            })
            .ok()??;
        let saved: Saved = serde_json::from_str(&progress.content).ok()?;
        let dialect = Dialect::parse(&saved.dialect)?;
        let mut out = Vec::new();
        self.dialogue = Dialogue::recall(desk.manner(dialect), saved.dialogue, &mut out);
        self.of.dialect = dialect;
        self.of.response = saved.response;
        self.held = Some(held);
        let mut said = Vec::new();
        for output in out {
            match output {
                Output::Say(text) => said.push(text),
                Output::CloseIn(ms) => self.close_in(ms),
                Output::Ask(_) | Output::Close { .. } => {}
            }
        }
        Some(said)
    }

    fn close_in(&mut self, ms: u64) {
        self.close_at = Some(Instant::now() + Duration::from_millis(ms));
    }

    /// Now, and until when the dialogue is kept.
    fn times(&self) -> (chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::Utc>) {
        let now = self.app.clock.utc();
        let ttl = Duration::from_secs(self.app.config.survey.session_ttl_s);
        (now, now + ttl)
    }

    /// Hands an input in; what is to be said, and the end if it is one.
    async fn step(&mut self, input: Input<'_>) -> (Vec<String>, Option<End>) {
        let now_ms = self.app.clock.utc().timestamp_millis().unsigned_abs();
        let (mut out, mut said, mut end) = (Vec::new(), Vec::new(), None);
        self.dialogue.on(input, now_ms, &mut out);
        let mut out = VecDeque::from(out);
        while let Some(output) = out.pop_front() {
            match output {
                Output::Say(text) => said.push(text),
                Output::Ask(ask) => {
                    let answer = Box::pin(self.app.survey.answer(&self.of, ask)).await;
                    let mut more = Vec::new();
                    self.dialogue.on(answer, now_ms, &mut more);
                    out.extend(more);
                }
                Output::CloseIn(ms) => self.close_in(ms),
                Output::Close { code, reason } => {
                    end = Some(End::closing(code, reason, outcome(reason)));
                }
            }
        }
        match (&self.held, end.is_some()) {
            (None, _) => {}
            (Some(held), true) => {
                let desk = &self.app.survey;
                // what is left ends by itself in time
                let _ = desk.live().forget(desk.tenant(), held).await;
            }
            (Some(_), false) => {
                if !self.keep().await {
                    end = Some(End::closing(1000, "Continued elsewhere", "moved"));
                    said.clear();
                }
            }
        }
        (said, end)
    }

    /// Keeps where the dialogue stands; false when its client goes on elsewhere.
    async fn keep(&self) -> bool {
        let Some(held) = &self.held else {
            return true;
        };
        let saved = Saved {
            dialect: self.of.dialect.name().to_owned(),
            response: self.of.response.clone(),
            dialogue: self.dialogue.kept(),
        };
        // strings, numbers and lists: always text
        let content = serde_json::to_string(&saved).unwrap_or_default();
        let desk = &self.app.survey;
        let kept = desk
            .live()
            .keep(desk.tenant(), held, &content, self.times());
        match Box::pin(kept).await {
            Ok(is_ours) => is_ours,
            Err(error) => {
                // the dialogue goes on here; only who loses this connection begins anew
                tracing::warn!(error = %crate::auth::chain(&error), "cannot keep a survey's dialogue");
                true
            }
        }
    }

    /// What is answered to a frame.
    async fn hear(&mut self, text: &str) -> (Vec<String>, Option<End>) {
        let now_ms = self.app.clock.utc().timestamp_millis().unsigned_abs();
        let rate = Rate::per_minute(self.app.config.survey.frames_per_minute);
        if self.window.take(rate, 1, now_ms).is_err() {
            let manner = self.app.survey.manner(self.of.dialect);
            return (vec![manner.locale.plain(Phrase::TooFast).to_owned()], None);
        }
        self.step(Input::Said(text)).await
    }
}

/// What the end of a dialogue is counted as.
fn outcome(reason: &str) -> &'static str {
    match reason {
        "User requested disconnect" => "quit",
        "" => "no_survey",
        _ => "completed",
    }
}

/// The dialogue from its first frame to its last.
pub(super) async fn converse(mut talk: Talk, first: First, mut socket: WebSocket, place: Place) {
    let metrics = talk.app.metrics.clone();
    metrics.dialogue_begun();
    let end = lead(&mut talk, first, &mut socket).await;
    metrics.dialogue_ended(end.outcome);
    drop((talk, place));
    let Some((code, reason)) = end.close else {
        return;
    };
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    let closing = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // a client that does not answer the close is left
    let _ = tokio::time::timeout(LINGER, closing).await;
}

async fn lead(talk: &mut Talk, first: First, socket: &mut WebSocket) -> End {
    let (mut said, mut end) = (first.said, None);
    if first.is_new {
        let (opened, ended) = talk.step(Input::Opened).await;
        said.extend(opened);
        end = ended;
    }
    let idle = Duration::from_secs(talk.app.config.survey.idle_s);
    let (mut heard_at, mut ping_at) = (Instant::now(), Instant::now() + PING_EVERY);
    let stopping = talk.app.lifecycle.soft().clone();
    loop {
        for text in said.drain(..) {
            if !send(socket, Message::Text(text.into())).await {
                return End::gone("lost");
            }
        }
        if let Some(end) = end.take() {
            return end;
        }
        let wake_at = talk
            .close_at
            .map_or(ping_at, |at| at.min(ping_at))
            .min(heard_at + idle);
        let heard = tokio::select! {
            () = stopping.cancelled() => {
                return End::closing(GOING_AWAY, "Server shutting down", "shutdown");
            }
            () = tokio::time::sleep_until(wake_at) => None,
            heard = socket.next() => Some(heard),
        };
        let now = Instant::now();
        let Some(heard) = heard else {
            if talk.close_at.is_some_and(|at| at <= now) {
                (said, end) = talk.step(Input::Due).await;
            } else if heard_at + idle <= now {
                return End::gone("unresponsive");
            } else {
                ping_at = now + PING_EVERY;
                if !send(socket, Message::Ping(Bytes::new())).await {
                    return End::gone("lost");
                }
            }
            continue;
        };
        heard_at = now;
        match heard {
            None => return End::gone("left"),
            Some(Ok(Message::Close(_))) => {
                // who closes is answered with a close (RFC 6455 §5.5.1), which goes out when the socket is read on
                let answered = async { while let Some(Ok(_)) = socket.next().await {} };
                let _ = tokio::time::timeout(LINGER, answered).await;
                return End::gone("left");
            }
            Some(Err(error)) => {
                if is_too_large(error) {
                    return End::closing(TOO_LARGE, "Frame too large", "too_large");
                }
                return End::gone("lost");
            }
            Some(Ok(Message::Text(text))) => (said, end) = talk.hear(&text).await,
            Some(Ok(Message::Binary(bytes))) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                (said, end) = talk.hear(&text).await;
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
        }
    }
}

async fn send(socket: &mut WebSocket, message: Message) -> bool {
    let sent = tokio::time::timeout(WRITE_WITHIN, socket.send(message)).await;
    matches!(sent, Ok(Ok(())))
}

/// Whether the socket library refused a frame for its size.
fn is_too_large(error: axum::Error) -> bool {
    let error = error.into_inner().downcast::<tungstenite::Error>();
    error.is_ok_and(|error| matches!(*error, tungstenite::Error::Capacity(_)))
}

/// Something that nobody guesses; `None` when the system gives no random numbers.
fn secret() -> Option<String> {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).ok()?;
    Some(format!("svy_{}", URL_SAFE_NO_PAD.encode(bytes)))
}
