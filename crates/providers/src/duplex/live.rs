//! One conversation with a vendor that hears and speaks over a WebSocket.
//! Used by the vendors of this folder, each of which is an [`Upstream`].
//! Never holds more than its queues have room for: a session that does not listen is not read for.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use engine::{ask::DuplexCommand, session::ReplyId};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::Instrument as _;
use url::Url;

use crate::{
    Kind, Limits, ProviderError, failure,
    ports::{DUPLEX_BEHIND, DuplexEvent, DuplexStream, EVENT_BUFFER},
    ws::{Closing, Connection, Connector, Message},
};

/// A vendor that owes an answer and says nothing of it for so long is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(30);
/// A connection on which nothing came for so long is asked whether it still is one, and has as long to answer.
const PING: Duration = Duration::from_secs(20);
/// Commands taken over at once.
const BATCH: usize = 64;
/// Bytes of audio that are joined into one message, where several wait: 1.3 s of 24 kHz.
const JOINED_BYTES: usize = 64 * 1024;
/// Events that may wait for the session, beside those in its channel, before no more are read.
const WAITING_EVENTS: usize = 256;

/// What a vendor's words lead to: what is sent to it, and what the session hears.
#[derive(Debug, Default)]
pub(super) struct Out {
    /// Messages for the vendor, in order.
    pub(super) say: Vec<String>,
    /// Events for the session, in order.
    pub(super) tell: VecDeque<DuplexEvent>,
}

/// What a message was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// Part of what the vendor owes.
    Progress,
    /// Anything else.
    Aside,
}

/// A vendor's way of holding a conversation.
pub(super) trait Upstream: Send + 'static {
    /// What is sent when a connection is open.
    fn begin(&mut self) -> Vec<String>;
    /// Whether the vendor has taken the settings: [`DuplexEvent::Ready`] has been told, commands may come.
    fn is_ready(&self) -> bool;
    /// Puts a command into the vendor's words.
    fn obey(&mut self, command: DuplexCommand, out: &mut Out);
    /// Takes a message.
    ///
    /// Errors: why the conversation cannot go on over this connection.
    fn take(&mut self, text: &str, out: &mut Out) -> Result<Taken, ProviderError>;
    /// Whether commands must wait for what the vendor still has to say.
    fn waits(&self) -> bool {
        false
    }
    /// How long the vendor may be silent; absent while it owes nothing.
    fn patience(&self) -> Option<Duration>;
    /// Whether another connection is to be made, with other settings, and nobody needs to hear of it.
    fn begins_again(&self) -> bool {
        false
    }
    /// Why a connection of this age is better left now, while nothing is under way.
    fn leaves(&self, age: Duration) -> Option<ProviderError>;
    /// What a closing asks for.
    fn closed(&self, closing: &Closing) -> Kind;
}

/// A vendor to hold conversations with.
pub(super) struct Live {
    connector: Connector,
    limits: Limits,
    address: Url,
}

impl Live {
    pub(super) fn new(connector: Connector, limits: Limits, address: Url) -> Self {
        Self {
            connector,
            limits,
            address,
        }
    }

    /// Begins a conversation; it need not wait for the connection.
    pub(super) fn open<U: Upstream>(
        &self,
        upstream: impl FnOnce(mpsc::Sender<DuplexEvent>) -> U,
    ) -> DuplexStream {
        let (commands, inbox) = mpsc::channel(DUPLEX_BEHIND);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let conversation = Conversation {
            name: Arc::clone(self.connector.name()),
            connector: self.connector.clone(),
            limits: self.limits,
            address: self.address.clone(),
            upstream: upstream(outbox.clone()),
            inbox,
            outbox,
            waiting: VecDeque::new(),
            out: Out::default(),
            progress: Instant::now(),
        };
        // on the heap: it lasts as long as a call, and holds a whole vendor's protocol
        tokio::spawn(Box::pin(conversation.hold()).in_current_span());
        DuplexStream { commands, events }
    }
}

/// How a connection ends that did not fail.
enum End {
    /// Nobody listens any more.
    Unheard,
    /// Another one is wanted.
    Again,
}

enum Wake {
    Unheard,
    Told,
    Commands(usize),
    Message(Result<Message, ProviderError>),
    Due,
}

struct Conversation<U> {
    name: Arc<str>,
    connector: Connector,
    limits: Limits,
    address: Url,
    upstream: U,
    inbox: mpsc::Receiver<DuplexCommand>,
    outbox: mpsc::Sender<DuplexEvent>,
    /// Commands taken over that the vendor has not been told.
    waiting: VecDeque<DuplexCommand>,
    out: Out,
    /// When something of what is owed came last, or began to be owed.
    progress: Instant,
}

impl<U: Upstream> Conversation<U> {
    async fn hold(mut self) {
        loop {
            let connecting = self.connector.connect(&self.address);
            let connected = tokio::select! {
                biased;
                () = self.outbox.closed() => return,
                connected = connecting => connected,
            };
            let mut connection = match connected {
                Ok(connection) => connection,
                Err(error) => return self.lost(error).await,
            };
            match self.talk(&mut connection).await {
                Ok(End::Again) => {
                    tokio::spawn(connection.close(None).in_current_span());
                }
                Ok(End::Unheard) => return connection.close(None).await,
                Err(error) => {
                    tokio::spawn(connection.close(None).in_current_span());
                    return self.lost(error).await;
                }
            }
        }
    }

    /// What came before the end is still heard.
    async fn lost(self, error: ProviderError) {
        let last = DuplexEvent::Lost(error);
        for event in self.out.tell.into_iter().chain([last]) {
            if self.outbox.send(event).await.is_err() {
                return;
            }
        }
    }

    async fn talk(&mut self, connection: &mut Connection) -> Result<End, ProviderError> {
        let begun = Instant::now();
        for text in self.upstream.begin() {
            connection.send(text).await?;
        }
        let mut asked_at = None;
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let ready = self.upstream.is_ready();
            let due = self.due(connection, begun, asked_at);
            let heeds = ready && self.waiting.is_empty() && !self.upstream.waits();
            let wake = tokio::select! {
                () = self.outbox.closed() => Wake::Unheard,
                place = self.outbox.reserve(), if !self.out.tell.is_empty() => {
                    if let (Ok(place), Some(event)) = (place, self.out.tell.pop_front()) {
                        place.send(event);
                    }
                    Wake::Told
                }
                count = self.inbox.recv_many(&mut batch, BATCH), if heeds => Wake::Commands(count),
                message = connection.next(), if self.out.tell.len() < WAITING_EVENTS => {
                    Wake::Message(message)
                }
                () = sleep_until(due) => Wake::Due,
            };
            match wake {
                // the session hangs up by dropping either end
                Wake::Unheard | Wake::Commands(0) => return Ok(End::Unheard),
                Wake::Told => continue,
                Wake::Commands(_) => self.waiting.extend(batch.drain(..)),
                Wake::Message(message) => self.take(&message?)?,
                Wake::Due => {
                    self.overdue(connection, begun)?;
                    let quiet = connection.last_heard() + PING <= Instant::now();
                    if quiet && asked_at.is_none_or(|at| at <= connection.last_heard()) {
                        asked_at = Some(Instant::now());
                        connection.ping().await?;
                    }
                }
            }
            self.obey();
            for text in std::mem::take(&mut self.out.say) {
                connection.send(text).await?;
            }
            if self.upstream.begins_again() {
                return Ok(End::Again);
            }
            if let Some(error) = self.upstream.leaves(begun.elapsed()) {
                return Err(error);
            }
        }
    }

    /// Tells the vendor what it can be told by now.
    fn obey(&mut self) {
        while self.upstream.is_ready() && !self.upstream.waits() && !self.upstream.begins_again() {
            let Some(command) = self.next_command() else {
                return;
            };
            if let DuplexCommand::Cancel(reply) = command {
                self.out.tell.retain(|event| !is_part_of(event, reply));
            }
            let owed = self.upstream.patience().is_some();
            self.upstream.obey(command, &mut self.out);
            if !owed {
                self.progress = Instant::now();
            }
        }
    }

    /// The next command; audio that waits in a row is one.
    fn next_command(&mut self) -> Option<DuplexCommand> {
        let command = self.waiting.pop_front()?;
        let DuplexCommand::Audio(first) = command else {
            return Some(command);
        };
        let mut joined: Option<BytesMut> = None;
        while let Some(DuplexCommand::Audio(more)) = self.waiting.front() {
            let length = joined.as_ref().map_or(first.len(), BytesMut::len);
            if length + more.len() > JOINED_BYTES {
                break;
            }
            let joined = joined.get_or_insert_with(|| BytesMut::from(&first[..]));
            joined.extend_from_slice(more);
            self.waiting.pop_front();
        }
        let audio = joined.map_or(first, Bytes::from);
        Some(DuplexCommand::Audio(audio))
    }

    fn take(&mut self, message: &Message) -> Result<(), ProviderError> {
        let text = match message {
            Message::Closed(closing) => {
                return Err(closing.error(&self.name, self.upstream.closed(closing)));
            }
            Message::Text(text) => text.as_str(),
            // one vendor sends its JSON in binary frames
            Message::Binary(bytes) => std::str::from_utf8(bytes).map_err(|_| self.nonsense())?,
        };
        if self.upstream.take(text, &mut self.out)? == Taken::Progress {
            self.progress = Instant::now();
        }
        Ok(())
    }

    fn nonsense(&self) -> ProviderError {
        nonsense(&self.name)
    }

    /// When something must have come, or the connection must be asked.
    fn due(&self, connection: &Connection, begun: Instant, asked_at: Option<Instant>) -> Instant {
        let heard = connection.last_heard();
        let asked = asked_at.is_some_and(|at| at > heard);
        let alive = heard + if asked { 2 * PING } else { PING };
        let owed = if self.upstream.is_ready() {
            self.upstream.patience().map(|limit| self.progress + limit)
        } else {
            Some(begun + self.limits.first_event)
        };
        owed.map_or(alive, |owed| owed.min(alive))
    }

    /// Judges the silence.
    fn overdue(&self, connection: &Connection, begun: Instant) -> Result<(), ProviderError> {
        let now = Instant::now();
        let silent = |what, limit| Err(failure::silent(&self.name, what, limit));
        if !self.upstream.is_ready() && begun + self.limits.first_event <= now {
            let what = "the settings were not confirmed";
            return silent(what, self.limits.first_event);
        }
        if let Some(limit) = self.upstream.patience()
            && self.upstream.is_ready()
            && self.progress + limit <= now
        {
            return silent("nothing more of the answer came", limit);
        }
        if connection.last_heard() + 2 * PING <= now {
            return silent("nothing was heard, not even a pong,", 2 * PING);
        }
        Ok(())
    }
}

/// Whether an event is part of an answer, and not its end.
fn is_part_of(event: &DuplexEvent, wanted: ReplyId) -> bool {
    match event {
        DuplexEvent::Text { reply, .. }
        | DuplexEvent::Audio { reply, .. }
        | DuplexEvent::ToolCall { reply, .. }
        | DuplexEvent::ToolArguments { reply, .. } => *reply == wanted,
        _ => false,
    }
}

/// What no server of the protocol sends.
pub(super) fn nonsense(name: &str) -> ProviderError {
    let message = "the server sent what breaks the protocol";
    ProviderError::new(name.to_owned(), Kind::Protocol, message)
}
