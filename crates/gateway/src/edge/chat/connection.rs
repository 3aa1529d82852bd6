//! One socket in a chat room, from `connected` to its close.
//! Run by [`super::upgrade`] once a token was found good.
//! Never looks at a second message before the first is done, except at `ping`; never keeps a client that does not read.
//!
//! What a client's messages do runs in a task of its own, one after the other: a client that does not read holds up its own
//! socket, and never a transaction that one of its messages has begun.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use wire::chat::{ChatClientMessage, ChatExtras, ChatServerMessage, decode, text};

use super::allowance::Allowance;
use super::desk::Desk;
use super::identity::Identity;
use super::replay::{Missed, missed};
use super::room::{CatchingUp, Member, Out};
use super::times::iso;
use super::{Entered, upgrade::Wish};
use crate::App;
use crate::auth::jwt::LEEWAY;
use crate::config::ChatExpiry;
use crate::edge::realtime::linger;
use crate::edge::{Receiver, queue};
use crate::observe::Event;

/// Messages of a client that wait for the one before; then the socket is not read, and TCP slows the client down.
const WAITING: usize = 32;
/// Frames handed to the kernel at once.
const AT_ONCE: usize = 64;
/// How long a client may take no bytes.
const STUCK_FOR: Duration = Duration::from_secs(10);

/// Close codes: RFC 6455 §7.4.1, and those of the original.
const GOING_AWAY: u16 = 1001;
const POLICY: u16 = 1008;
const TOO_BIG: u16 = 1009;
const EXPIRED: u16 = 4002;

/// How a socket ends.
enum End {
    /// With this close frame.
    Close(u16, &'static str),
    /// The client has closed it.
    Closed,
    /// Without a word: the client does not answer, or is gone.
    Lost,
}

/// What happens next.
enum Step {
    Frame(Option<Result<Message, axum::Error>>),
    Out(Option<Out>),
    /// Whether the task has come to its end.
    Worked(bool),
    Time,
    Leave,
}

/// A socket and all that belongs to it.
struct Connection {
    socket: WebSocket,
    out: Receiver<Out>,
    desk: Arc<Desk>,
    allowance: Allowance,
    /// Read and not begun.
    waiting: VecDeque<(ChatClientMessage, Option<String>)>,
    /// What the message before them does.
    work: Option<JoinHandle<()>>,
    /// Whether anything was heard since the last ping.
    alive: bool,
    ping_at: Instant,
    expires_at: Option<Instant>,
}

/// Runs a socket to its end.
pub(super) async fn run(
    app: Arc<App>,
    socket: WebSocket,
    identity: Identity,
    wish: Wish,
    _entered: Entered,
) {
    let (extras, unknown) = match ChatExtras::parse(&wish.events) {
        Ok(extras) => (extras, None),
        Err(unknown) => (ChatExtras::default(), Some(unknown.to_owned())),
    };
    let (queue, out) = queue(app.config.chat.send_queue_messages);
    let number = app.chat.hub.number();
    let member = Member {
        number,
        user: identity.user.as_str().into(),
        extras,
        follows: false,
        queue: queue.clone(),
        catching_up: wish.since.is_some().then(|| Box::new(CatchingUp::begin())),
    };
    // from here on what is told waits in the queue, behind what is sent first
    let room = app.chat.hub.enter(&identity.chat, member).await;
    let missed = match &wish.since {
        Some(since) => {
            let missed = missed(&app, &room.id, since).await;
            room.replayed(number, &missed.keys);
            while let Some(text) = room.next_held(number) {
                if queue.try_send(Out::Text(text)).is_err() {
                    queue.send_last(Out::TooSlow);
                    break;
                }
            }
            Some(missed)
        }
        None => None,
    };
    let expires_at = expiry(&app, &identity);
    let ping_every = Duration::from_secs(app.config.chat.ping_s);
    let connection = Connection {
        socket,
        out,
        allowance: Allowance::new(app.config.chat.messages_per_minute),
        desk: Arc::new(Desk {
            app,
            identity: Arc::new(identity),
            extras,
            number,
            queue,
            room,
            followed: std::sync::Mutex::default(),
        }),
        waiting: VecDeque::new(),
        work: None,
        alive: true,
        ping_at: Instant::now() + ping_every,
        expires_at,
    };
    Box::pin(connection.live(missed, unknown, ping_every)).await;
}

/// When the token is no longer good, where that ends the socket.
pub(super) fn expiry(app: &App, identity: &Identity) -> Option<Instant> {
    let chat = &app.config.chat;
    let exp = identity
        .expires_at
        .filter(|_| chat.on_expiry == ChatExpiry::Close)?;
    // clocks may be so far apart: who would be let in is let stay
    let left = (exp + LEEWAY - app.clock.utc()).to_std();
    // over already, where that is negative
    Some(Instant::now() + left.unwrap_or_default())
}

impl Connection {
    async fn live(mut self, missed: Option<Missed>, unknown: Option<String>, every: Duration) {
        let end = match self.greet(missed, unknown).await {
            Ok(()) => self.converse(every).await,
            Err(end) => end,
        };
        let Self {
            mut socket,
            out,
            desk,
            waiting,
            work,
            ..
        } = self;
        // nobody takes an answer any more; what waits for a place in the queue ends here
        drop(out);
        // what it was about to say is said or not: it is not cut in the middle
        if let Some(work) = work {
            let _ = work.await;
        }
        // and what was read is done: the client has no reason to say it again
        for (message, chat) in waiting {
            if tells_others(&message) {
                desk.take(message, chat).await;
            }
        }
        desk.leave().await;
        match end {
            End::Close(code, reason) => {
                let reason = reason.into();
                let frame = Message::Close(Some(CloseFrame { code, reason }));
                let sent = timeout(STUCK_FOR, socket.send(frame)).await;
                if matches!(sent, Ok(Ok(()))) {
                    linger(socket).await;
                }
            }
            // who closes is answered with a close (RFC 6455 §5.5.1), which goes out when the socket is read on
            End::Closed => linger(socket).await,
            End::Lost => {}
        }
    }

    /// `connected`, and what was missed.
    async fn greet(&mut self, missed: Option<Missed>, unknown: Option<String>) -> Result<(), End> {
        let connected = ChatServerMessage::Connected {
            chat_id: self.desk.identity.chat.clone(),
            timestamp: iso(self.desk.app.clock.utc()),
        };
        let mut first = vec![Utf8Bytes::from(text(&connected))];
        if let Some(missed) = missed {
            let replayed = ChatServerMessage::Replayed {
                count: missed.texts.len(),
                complete: missed.complete,
            };
            first.extend(missed.texts.into_iter().map(Utf8Bytes::from));
            first.push(text(&replayed).into());
        }
        if let Some(unknown) = unknown {
            let error = ChatServerMessage::Error {
                error: "Unknown event name".to_owned(),
                message: Some(format!(
                    "there is no event {unknown}; there are presence, read, message_delta, handover and all"
                )),
                client_id: None,
            };
            first.push(text(&error).into());
        }
        self.send(first).await
    }

    async fn converse(&mut self, every: Duration) -> End {
        let soft = self.desk.app.lifecycle.soft().clone();
        loop {
            let ends = [self.expires_at, self.desk.followed_until()];
            let at = ends.into_iter().flatten().fold(self.ping_at, Instant::min);
            let step = tokio::select! {
                () = soft.cancelled() => Step::Leave,
                done = next(&mut self.work) => Step::Worked(done),
                out = self.out.recv() => Step::Out(out),
                frame = self.socket.next(), if self.waiting.len() < WAITING => Step::Frame(frame),
                () = sleep_until(at) => Step::Time,
            };
            let done = match step {
                Step::Leave => Err(End::Close(GOING_AWAY, "Server shutting down")),
                Step::Worked(done) => {
                    self.work = None;
                    if !done {
                        self.desk.refuse("Failed to process message", None, None);
                    }
                    self.begin();
                    Ok(())
                }
                Step::Out(Some(Out::Text(first))) => self.send_all(first).await,
                Step::Out(Some(Out::TooSlow)) => Err(self.too_slow()),
                Step::Out(None) => Err(End::Lost),
                Step::Frame(frame) => self.hear(frame),
                Step::Time => self.tick(every).await,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Looks at a frame.
    fn hear(&mut self, frame: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) if is_too_big(&error) => {
                return Err(End::Close(TOO_BIG, "message_too_big: send it in parts"));
            }
            Some(Err(_)) | None => return Err(End::Lost),
        };
        self.alive = true;
        match frame {
            Message::Text(text) => self.understand(text.as_bytes()),
            Message::Binary(bytes) => self.understand(&bytes),
            Message::Close(_) => return Err(End::Closed),
            Message::Ping(_) | Message::Pong(_) => {}
        }
        Ok(())
    }

    fn understand(&mut self, frame: &[u8]) {
        let now_ms = self.desk.app.clock.utc().timestamp_millis().unsigned_abs();
        if !self.allowance.frame(now_ms) {
            // an answer to each would be another flood
            return;
        }
        match decode(frame) {
            Ok((ChatClientMessage::Ping, _)) => self.desk.answer(&ChatServerMessage::Pong),
            Ok((message, chat)) => {
                if let Err(wait_s) = self.may_say(&message, now_ms) {
                    let why = format!("too many messages; send it again in {wait_s} s");
                    let (error, client_id) = match message {
                        ChatClientMessage::Message(say) => {
                            ("Failed to send message", say.client_id)
                        }
                        ChatClientMessage::History { .. } => ("Failed to read the history", None),
                        ChatClientMessage::Follow { .. } => ("Cannot follow this chat", None),
                        _ => ("Failed to send message", None),
                    };
                    self.desk.refuse(error, Some(why), client_id);
                    return;
                }
                self.waiting.push_back((message, chat));
                self.begin();
            }
            Err(refused) => {
                if let Some(error) = refused.error() {
                    self.desk.refuse(error, None, None);
                }
            }
        }
    }

    /// Counts what is told to others, and what has much to be read.
    fn may_say(&mut self, message: &ChatClientMessage, now_ms: u64) -> Result<(), u64> {
        match message {
            ChatClientMessage::Message(_)
            | ChatClientMessage::Edit { .. }
            | ChatClientMessage::AgentJoined
            | ChatClientMessage::HandOver { .. }
            | ChatClientMessage::Release => self.allowance.message(now_ms),
            ChatClientMessage::History { .. }
            | ChatClientMessage::Follow { since: Some(_), .. } => self.allowance.question(now_ms),
            _ => Ok(()),
        }
    }

    /// Does the next thing that the client wants, unless one is being done.
    fn begin(&mut self) {
        if self.work.is_some() {
            return;
        }
        if let Some((message, chat)) = self.waiting.pop_front() {
            let desk = Arc::clone(&self.desk);
            let lifecycle = desk.app.lifecycle.clone();
            let work = lifecycle.spawn(async move { desk.take(message, chat).await });
            self.work = Some(work);
        }
    }

    /// Sends what waits, many frames at once.
    async fn send_all(&mut self, first: Utf8Bytes) -> Result<(), End> {
        let mut texts = Vec::with_capacity(4);
        texts.push(first);
        let mut slow = false;
        while texts.len() < AT_ONCE {
            match self.out.recv().now_or_never() {
                Some(Some(Out::Text(text))) => texts.push(text),
                Some(Some(Out::TooSlow)) => {
                    slow = true;
                    break;
                }
                Some(None) | None => break,
            }
        }
        self.send(texts).await?;
        if slow { Err(self.too_slow()) } else { Ok(()) }
    }

    async fn send(&mut self, texts: Vec<Utf8Bytes>) -> Result<(), End> {
        for text in texts {
            // the patience is for one frame: what was missed may be much
            let fed = timeout(STUCK_FOR, self.socket.feed(Message::Text(text))).await;
            self.sent(&fed)?;
        }
        let flushed = timeout(STUCK_FOR, self.socket.flush()).await;
        self.sent(&flushed)
    }

    fn sent(&self, sent: &Result<Result<(), axum::Error>, Elapsed>) -> Result<(), End> {
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Lost),
            Err(Elapsed { .. }) => {
                self.note_slow();
                Err(End::Lost)
            }
        }
    }

    fn too_slow(&self) -> End {
        self.note_slow();
        End::Close(POLICY, "slow_consumer: come back and read faster")
    }

    fn note_slow(&self) {
        self.desk.app.metrics.emit(&Event::SlowClientClosed {
            session: &self.desk.identity.chat,
        });
    }

    /// Asks for a sign of life, and sees whether the token is still good.
    async fn tick(&mut self, every: Duration) -> Result<(), End> {
        let now = Instant::now();
        if self.expires_at.is_some_and(|at| at <= now) {
            return Err(End::Close(EXPIRED, "Token expired"));
        }
        if self.desk.followed_until().is_some_and(|at| at <= now) {
            Desk::leave_expired(&self.desk);
        }
        if now < self.ping_at {
            return Ok(());
        }
        // who has more waiting than is read is alive, and its pong is not seen yet
        let is_read = self.waiting.len() < WAITING;
        if !std::mem::replace(&mut self.alive, false) && is_read {
            return Err(End::Lost);
        }
        self.ping_at = now + every;
        let ping = self.socket.send(Message::Ping(Bytes::new()));
        match timeout(STUCK_FOR, ping).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Lost),
        }
    }
}

/// Whether the work has come to its end; never when there is none.
async fn next(work: &mut Option<JoinHandle<()>>) -> bool {
    match work {
        Some(work) => work.await.is_ok(),
        None => std::future::pending().await,
    }
}

/// Whether a message has an effect on anybody but its client.
const fn tells_others(message: &ChatClientMessage) -> bool {
    !matches!(
        message,
        ChatClientMessage::Follow { .. }
            | ChatClientMessage::Unfollow
            | ChatClientMessage::History { .. }
            | ChatClientMessage::Ping
            | ChatClientMessage::Typing { .. }
    )
}

/// Whether a frame was larger than is taken (tungstenite's capacity error).
fn is_too_big(error: &axum::Error) -> bool {
    error.to_string().contains("too long")
}

/// Refuses a client after the upgrade, with a close frame that it gets to see.
pub(super) async fn refuse(
    mut socket: WebSocket,
    (code, reason): (u16, &'static str),
    wait: Duration,
) {
    if !wait.is_zero() {
        sleep(wait).await;
    }
    let reason = reason.into();
    let frame = Message::Close(Some(CloseFrame { code, reason }));
    if matches!(timeout(STUCK_FOR, socket.send(frame)).await, Ok(Ok(()))) {
        linger(socket).await;
    }
}
