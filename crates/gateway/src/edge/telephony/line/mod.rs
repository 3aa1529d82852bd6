//! A call while it lasts: one task between the carrier's socket and the session, and what is written down of it.
//! Started by `upgrade` once a stream is bound to its call; ends when either side hangs up, a limit is reached, or the server
//! stops.
//! Never lets a slow database or a slow model hold up a frame of sound, and never ends a call twice.

mod act;
mod keys;
mod part;
mod sound;
mod texts;
mod words;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::BytesMut;
use engine::call::disclosure::Disclosed;
use engine::call::dtmf::{Collector, Gather};
use engine::call::limits::Timers;
use engine::call::state::{HangupReason, Party};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;
use wire::realtime::session::TurnDetection;
use wire::telephony::{Codec, Say, Start};

use self::part::{ending, lost, part, shutdown};
use self::sound::{Ear, Sound};
use self::words::Words;
use super::bind::Bound;
use super::opening::{self, Gone, Opening};
use crate::App;
use crate::calls::{Book, Ending, Entry, Order};
use crate::edge::{self, Inbound, Outbound, Receiver, Sender};
use crate::session;

/// Sound of the caller's that waits for a session that does not take it, in frames of 20 ms: 5 s. Of more, the oldest is
/// dropped and counted (spec/telephony §4.4).
const WAITING_FRAMES: usize = 250;
/// How long a carrier may take a frame; one that does not has vanished.
const SENT_WITHIN: Duration = Duration::from_secs(10);
/// Pings keep proxies from closing the socket, and tell a carrier that has vanished (spec/telephony §8.6).
const PING_EVERY: Duration = Duration::from_secs(20);
/// A carrier that sends nothing at all for so long has vanished.
const SILENT_FOR: Duration = Duration::from_secs(65);
/// How long the last words may take, once the session or a limit has ended the call.
const LAST_WORDS_MS: u64 = 5000;
/// How long a good-bye may take, from the moment that it is asked for.
const GOODBYE_MS: u64 = 10_000;
/// What is kept for a good-bye of the time that the server has to stop, in ms.
const STOP_MS: u64 = GOODBYE_MS + 3000;
/// How long the session may take to say what was heard of words that were cut, at the end.
const HEARD_WITHIN: Duration = Duration::from_secs(1);
/// How long the session may take to end.
const SESSION_WITHIN: Duration = Duration::from_secs(5);
/// How long a carrier may take to see the close frame.
const LINGER: Duration = Duration::from_secs(1);

/// A call that is about to end.
#[derive(Debug)]
struct Leaving {
    ending: Ending,
    until_ms: u64,
    /// Words are on their way to be said, and have not begun.
    words: Awaited,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Nothing,
    Goodbye,
}

/// Whether a response is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replying {
    No,
    Yes,
}

/// Whether the caller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Quiet,
    Speaks,
}

/// The task of one call.
struct Line {
    app: Arc<App>,
    direction: &'static str,
    codec: Codec,
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    /// Frames that are written and wait to be sent.
    frames: Vec<Message>,
    out: BytesMut,
    to_session: Sender<Inbound>,
    waiting: VecDeque<Inbound>,
    from_session: Receiver<Outbound>,
    orders: mpsc::Receiver<Order>,
    closing: CancellationToken,
    book: Book,
    ear: Ear,
    sound: Sound,
    words: Words,
    timers: Timers,
    keys: Collector,
    caller: Caller,
    replying: Replying,
    leaving: Option<Leaving>,
    /// Whether the session has said its last word.
    session_over: bool,
    began: Instant,
    /// When sound came last, and up to when the carrier's clock had it, in ms.
    heard_at_ms: u64,
    heard_until_ms: Option<u64>,
    /// Silence that stands for sound which the carrier did not send, since it sent some last, in ms.
    filled: u64,
    /// Responses that are to be asked for once the one that is being made is done.
    owed_answers: u32,
    turn_detection: Option<TurnDetection>,
    /// When the caller stopped, while the answer is awaited.
    turn_ended_ms: Option<u64>,
    turns: Vec<crate::calls::book::Turn>,
}

/// Holds a call from its start to its end.
#[expect(
    clippy::too_many_lines,
    reason = "what a call holds is put together once"
)]
pub(super) async fn serve(app: Arc<App>, opening: Opening, start: Start, bound: Bound) {
    let (edge, line) = edge::connection(app.config.sessions.send_queue_events);
    let Bound {
        key,
        place,
        orders,
        call,
        closing,
        direction,
        max_call_s,
        instructions,
        opens,
    } = bound;
    let session_id = call.session.settings().id.clone();
    let words = Words::new(key.attempt);
    let mut book = Book::open(&app, key, session_id.clone());
    book.note(Entry::Live {
        stream_id: start.stream_id.clone(),
        carrier_call_id: start.call_id.clone(),
        session: session_id,
    });
    let Opening {
        socket,
        codec,
        early,
        gone,
        ..
    } = opening;
    let (sink, stream) = socket.split();
    let began = app.clock.now();
    let carrier = codec.dialect().name();
    app.metrics.calls().live(carrier, direction, 1);
    let mut task = Box::new(Line {
        ear: Ear::new(codec.format()),
        sound: Sound::new(&codec),
        words,
        timers: Timers::new(app.config.telephony.limits(max_call_s), 0),
        keys: Collector::new(Gather::default(), 0),
        caller: Caller::Quiet,
        replying: Replying::No,
        leaving: None,
        session_over: false,
        frames: Vec::new(),
        out: BytesMut::new(),
        to_session: line.inbound,
        waiting: VecDeque::new(),
        from_session: line.outbound,
        turns: Vec::new(),
        heard_at_ms: 0,
        heard_until_ms: None,
        filled: 0,
        owed_answers: 0,
        turn_detection: None,
        turn_ended_ms: None,
        app,
        direction,
        codec,
        sink,
        stream,
        orders,
        closing,
        book,
        began,
    });
    task.owed();
    task.begin(instructions, opens);
    for sound in early {
        let sound = task.ear.convert(&sound);
        task.hand_on(Inbound::Audio(sound));
    }
    let mut session = Box::pin(session::run(call, edge));
    let mut left = None;
    let ending = {
        let mut running = Box::pin(task.run(gone));
        loop {
            tokio::select! {
                biased;
                over = session.as_mut(), if left.is_none() => left = Some(over),
                ending = running.as_mut() => break ending,
            }
        }
    };
    let _ = line.left.send(crate::observe::Outcome::ClientClosed);
    Box::pin(part(task, place, ending, async move {
        if left.is_none() {
            // its end of the queue is gone with the line: it ends
            let _ = tokio::time::timeout(SESSION_WITHIN, session).await;
        }
    }))
    .await;
}

impl Line {
    /// Time of the call, in ms.
    fn now_ms(&self) -> u64 {
        let lasted = self.app.clock.now().saturating_duration_since(self.began);
        u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX)
    }

    /// Runs until the call is over, and says how it ended.
    async fn run(&mut self, gone: Gone) -> Ending {
        let ending = match gone {
            Gone::No => self.talk().await,
            // before the call began
            Gone::Closed => ending(HangupReason::CallerHangup, Party::Caller),
            Gone::Lost => lost(),
            Gone::Refused(code) => {
                self.close_code(code).await;
                ending(HangupReason::CarrierError, Party::System)
            }
        };
        let heard = self.tell_heard();
        let _ = tokio::time::timeout(HEARD_WITHIN, heard).await;
        self.finish(ending)
    }

    async fn talk(&mut self) -> Ending {
        let hard = self.app.lifecycle.hard().clone();
        let closing = self.closing.clone();
        let mut told_to_stop = false;
        let mut pings = interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_of = tokio::time::Instant::now();
        loop {
            if let Some(ending) = self.on_time() {
                return ending;
            }
            if !self.send_frames().await {
                return lost();
            }
            self.offer();
            let wake = self.next_ms();
            let wake = wake.map_or(Duration::from_millis(500), |at_ms| {
                Duration::from_millis(at_ms.saturating_sub(self.now_ms()).min(500))
            });
            let wake = tokio::time::Instant::now() + wake;
            tokio::select! {
                biased;
                () = hard.cancelled() => return shutdown(),
                () = closing.cancelled(), if !told_to_stop => {
                    told_to_stop = true;
                    self.told_to_stop();
                }
                order = self.orders.recv() => match order {
                    Some(Order::HangUp { say, reason, by }) => self.leave(say, ending(reason, by)),
                    Some(Order::Over) | None => return ending(HangupReason::CallerHangup, Party::Carrier),
                },
                news = self.from_session.recv(), if !self.session_over => match news {
                    Some(news) => self.on_news(news),
                    None => self.session_over = true,
                },
                message = self.stream.next() => match message {
                    None => return lost(),
                    Some(Err(_)) => {
                        self.app.metrics.calls().protocol_error(self.codec.dialect().name(), "broken");
                        self.close_code(1009).await;
                        return lost();
                    }
                    Some(Ok(Message::Close(_))) => return ending(HangupReason::CallerHangup, Party::Caller),
                    Some(Ok(message)) => {
                        heard_of = tokio::time::Instant::now();
                        if let Some(ending) = self.on_message(&message).await {
                            return ending;
                        }
                    }
                },
                _ = pings.tick() => {
                    if heard_of.elapsed() >= SILENT_FOR {
                        return lost();
                    }
                    self.frames.push(Message::Ping(bytes::Bytes::new()));
                }
                () = sleep_until(wake) => {}
            }
        }
    }

    /// When something has to be done by the clock.
    fn next_ms(&self) -> Option<u64> {
        let now_ms = self.now_ms();
        let others = [
            self.sound.next_ms(now_ms),
            self.timers.next_ms(),
            self.keys.due_ms(),
            self.leaving.as_ref().map(|leaving| leaving.until_ms),
        ];
        others.into_iter().flatten().min()
    }

    /// Sends what was written; false when the carrier does not take it.
    async fn send_frames(&mut self) -> bool {
        for frame in self.frames.drain(..) {
            let sent = tokio::time::timeout(SENT_WITHIN, self.sink.feed(frame)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return false;
            }
        }
        let sent = tokio::time::timeout(SENT_WITHIN, self.sink.flush()).await;
        matches!(sent, Ok(Ok(())))
    }

    async fn close_code(&mut self, code: u16) {
        let frame = CloseFrame {
            code,
            reason: "".into(),
        };
        let closed = self.sink.send(Message::Close(Some(frame)));
        let _ = tokio::time::timeout(LINGER, closed).await;
    }

    /// Something for the session: at once, or as soon as it takes it.
    fn hand_on(&mut self, message: Inbound) {
        let is_sound = matches!(message, Inbound::Audio(_));
        if is_sound && self.waiting.len() >= WAITING_FRAMES {
            let oldest = self
                .waiting
                .iter()
                .position(|it| matches!(it, Inbound::Audio(_)));
            if let Some(at) = oldest {
                self.waiting.remove(at);
                self.app.metrics.calls().sound_dropped(20);
            }
        }
        self.waiting.push_back(message);
        self.offer();
    }

    /// Offers the session what waits for it.
    fn offer(&mut self) {
        use tokio::sync::mpsc::error::TrySendError;
        while let Some(first) = self.waiting.pop_front() {
            match self.to_session.try_send(first) {
                Ok(()) => {}
                Err(TrySendError::Full(first)) => {
                    self.waiting.push_front(first);
                    return;
                }
                Err(TrySendError::Closed(_)) => {
                    self.waiting.clear();
                    return;
                }
            }
        }
    }

    /// Writes a frame down to be sent; what the dialect cannot say is told by false.
    fn say(&mut self, say: Say<'_>) -> bool {
        match self.codec.write(say, &mut self.out) {
            Ok(sent) => {
                let frame = opening::message(sent, &mut self.out);
                self.frames.push(frame);
                true
            }
            Err(unsayable) => {
                tracing::debug!(reason = %unsayable, "a carrier has no word for this");
                false
            }
        }
    }

    /// Writes down what the protocol demands as an answer.
    fn owed(&mut self) {
        while let Some(sent) = self.codec.owed(&mut self.out) {
            let frame = opening::message(sent, &mut self.out);
            self.frames.push(frame);
        }
    }

    /// Sees the caller off: says `words` first, if there are any, and waits until they are heard.
    fn leave(&mut self, words: Option<String>, ending: Ending) {
        let now_ms = self.now_ms();
        if self.leaving.is_some() {
            return;
        }
        let words = words.filter(|words| !words.trim().is_empty() && !self.session_over);
        let (wait_ms, awaited) = match words {
            Some(words) => {
                self.cut_short(now_ms);
                self.hand_on(Inbound::Say(words.into()));
                (GOODBYE_MS, Awaited::Goodbye)
            }
            None => (0, Awaited::Nothing),
        };
        self.leaving = Some(Leaving {
            ending,
            until_ms: now_ms + wait_ms,
            words: awaited,
        });
    }

    /// The server stops, or the tenant may not come in any more: the call may go on for a while.
    fn told_to_stop(&mut self) {
        if !self.app.lifecycle.stopping() {
            let words = self.app.config.telephony.goodbye.clone();
            self.leave(Some(words), ending(HangupReason::Blocked, Party::System));
            return;
        }
        let drain_ms = self.app.config.server.drain_s * 1000;
        let at_ms = self.now_ms() + drain_ms.saturating_sub(STOP_MS);
        self.timers.end_by(at_ms);
    }

    /// What is known at the end.
    fn finish(&mut self, mut ending: Ending) -> Ending {
        let mut turns = std::mem::take(&mut self.turns);
        self.words.close(&mut turns);
        for turn in turns {
            self.book.note(Entry::Turn(turn));
        }
        let now_ms = self.now_ms();
        let disclosed = self.words.disclosed(now_ms);
        ending.disclosed_ms = match disclosed {
            Disclosed::InTime { at_ms } | Disclosed::Late { at_ms } => Some(at_ms),
            Disclosed::NotYet | Disclosed::Missing => None,
        };
        if matches!(disclosed, Disclosed::Missing | Disclosed::Late { .. }) {
            self.app.metrics.calls().undisclosed();
            self.book.note(Entry::Event {
                kind: "not_disclosed",
                details: json!({ "at_ms": ending.disclosed_ms }),
            });
        }
        ending
    }
}
