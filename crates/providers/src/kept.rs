//! Connections that outlive one utterance or reply: one per session waits, alive, for the next.
//! Used by the vendors that speak over a WebSocket, so that no handshake falls into a turn.
//! Never keeps more than [`KEPT`] of them, nor one that nobody used for [`IDLE`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};
use tracing::Instrument as _;
use url::Url;

use crate::{
    ProviderError,
    ws::{Connection, Connector, Message},
};

/// Connections of one vendor that may wait at the same time; the one that waits longest gives way.
const KEPT: usize = 512;
/// A connection that nobody used for so long is closed.
const IDLE: Duration = Duration::from_mins(1);

/// What a vendor's protocol asks of a connection that lasts, and what must be known of its past.
pub(crate) trait Line: Default + Send + 'static {
    /// What is said when nothing else was sent for so long.
    const KEEP_ALIVE: Option<(Duration, &'static str)> = None;
    /// The last word before a connection is closed.
    const FAREWELL: Option<&'static str> = None;

    /// Takes note of what comes while nobody uses the connection, and where it is listened to.
    fn overhear(&mut self, _message: &Message) {}
}

/// A connection with what is known of its past.
#[derive(Debug)]
pub(crate) struct Held<L> {
    connection: Connection,
    pub(crate) line: L,
    address: Url,
}

impl<L: Line> Held<L> {
    /// The next message; giving up on the call loses none. While it waits, the connection is kept alive.
    ///
    /// Errors: as [`Connection::next`] and [`Connection::send`].
    pub(crate) async fn next(&mut self) -> Result<Message, ProviderError> {
        let Some((period, word)) = L::KEEP_ALIVE else {
            return self.connection.next().await;
        };
        loop {
            let overdue = self.connection.last_sent() + period;
            tokio::select! {
                biased;
                message = self.connection.next() => return message,
                () = sleep_until(overdue) => self.connection.send(word.to_owned()).await?,
            }
        }
    }

    /// Sends a text frame.
    ///
    /// Errors: as [`Connection::send`].
    pub(crate) async fn send(&mut self, text: String) -> Result<(), ProviderError> {
        self.connection.send(text).await
    }

    /// Sends a binary frame.
    ///
    /// Errors: as [`Connection::send`].
    pub(crate) async fn send_binary(&mut self, bytes: Vec<u8>) -> Result<(), ProviderError> {
        self.connection.send_binary(bytes).await
    }

    /// Closes the connection in a task of its own.
    pub(crate) fn close(self) {
        tokio::spawn(self.connection.close(L::FAREWELL).in_current_span());
    }
}

/// The connections of one vendor that wait, by session.
pub(crate) struct Kept<L>(Arc<Inner<L>>);

impl<L> Clone for Kept<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<L> {
    connector: Connector,
    slots: Mutex<Slots<L>>,
}

struct Slots<L> {
    by_session: HashMap<String, Slot<L>>,
    next: u64,
}

/// A connection that waits, or is being opened, in a task of its own.
struct Slot<L> {
    /// Higher for those that came later.
    number: u64,
    address: Url,
    recall: oneshot::Sender<()>,
    handover: oneshot::Receiver<Result<Held<L>, ProviderError>>,
}

/// The ends of a slot that its task has.
struct Duty<L> {
    session: String,
    number: u64,
    recall: oneshot::Receiver<()>,
    handover: oneshot::Sender<Result<Held<L>, ProviderError>>,
}

impl<L: Line> Kept<L> {
    /// Nothing yet; connections are opened by `connector`.
    pub(crate) fn new(connector: Connector) -> Self {
        let slots = Slots {
            by_session: HashMap::new(),
            next: 0,
        };
        Self(Arc::new(Inner {
            connector,
            slots: Mutex::new(slots),
        }))
    }

    /// Opens a connection for a session that has none to this address, in a task of its own.
    pub(crate) fn prepare(&self, session: &str, address: Url) {
        let waits = |slot: &Slot<L>| slot.address == address;
        if session.is_empty() || self.0.slots().by_session.get(session).is_some_and(waits) {
            return;
        }
        let duty = self.0.add(session, address.clone());
        let inner = Arc::clone(&self.0);
        let opening = async move {
            match inner.open(address).await {
                Ok(held) => inner.wait(held, duty).await,
                Err(error) => {
                    // whoever waits for it hears of it; nobody else asks a second time
                    if !inner.forget(&duty) {
                        let _ = duty.handover.send(Err(error));
                    }
                }
            }
        };
        tokio::spawn(opening.in_current_span());
    }

    /// The session's connection to this address, or a new one.
    ///
    /// Errors: as [`Connector::connect`].
    pub(crate) async fn take(
        &self,
        session: &str,
        address: &Url,
    ) -> Result<Held<L>, ProviderError> {
        let slot = self.0.slots().by_session.remove(session);
        // dropping a slot of another address says that it is not wanted any more
        if let Some(slot) = slot.filter(|slot| slot.address == *address)
            && slot.recall.send(()).is_ok()
            && let Ok(held) = slot.handover.await
        {
            return held;
        }
        self.0.open(address.clone()).await
    }

    /// A new connection, whether one waits or not.
    ///
    /// Errors: as [`Connector::connect`].
    pub(crate) async fn open(&self, address: &Url) -> Result<Held<L>, ProviderError> {
        self.0.open(address.clone()).await
    }

    /// Keeps a connection for the session's next utterance or reply; what belongs to no session has none.
    pub(crate) fn put(&self, session: &str, held: Held<L>) {
        if session.is_empty() {
            return held.close();
        }
        let duty = self.0.add(session, held.address.clone());
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move { inner.wait(held, duty).await }.in_current_span());
    }
}

impl<L: Line> Inner<L> {
    fn slots(&self) -> MutexGuard<'_, Slots<L>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn open(&self, address: Url) -> Result<Held<L>, ProviderError> {
        let connection = self.connector.connect(&address).await?;
        Ok(Held {
            connection,
            line: L::default(),
            address,
        })
    }

    /// A slot for the session; what was in it before is let go, as is the oldest of too many.
    fn add(&self, session: &str, address: Url) -> Duty<L> {
        let (recall, recalled) = oneshot::channel();
        let (handover, handed_over) = oneshot::channel();
        let mut slots = self.slots();
        let number = slots.next;
        slots.next += 1;
        if slots.by_session.len() >= KEPT && !slots.by_session.contains_key(session) {
            let by_age = slots.by_session.iter().min_by_key(|(_, slot)| slot.number);
            if let Some(oldest) = by_age.map(|(session, _)| session.clone()) {
                slots.by_session.remove(&oldest);
            }
        }
        let slot = Slot {
            number,
            address,
            recall,
            handover: handed_over,
        };
        slots.by_session.insert(session.to_owned(), slot);
        Duty {
            session: session.to_owned(),
            number,
            recall: recalled,
            handover,
        }
    }

    /// Removes the slot, if it is still there; `false` when somebody has asked for the connection.
    fn forget(&self, duty: &Duty<L>) -> bool {
        let mut slots = self.slots();
        let own = |slot: &Slot<L>| slot.number == duty.number;
        if slots.by_session.get(&duty.session).is_some_and(own) {
            slots.by_session.remove(&duty.session);
            return true;
        }
        false
    }

    /// Keeps a connection alive until somebody wants it, nobody has for too long, or it is closed.
    async fn wait(&self, mut held: Held<L>, mut duty: Duty<L>) {
        let end = Instant::now() + IDLE;
        let wanted = loop {
            tokio::select! {
                biased;
                wanted = &mut duty.recall => break wanted.is_ok(),
                message = held.next() => match message {
                    Ok(Message::Closed(_)) | Err(_) => {
                        // whoever asked meanwhile finds nothing handed over, and opens another
                        self.forget(&duty);
                        return;
                    }
                    Ok(message) => held.line.overhear(&message),
                },
                () = sleep_until(end) => if self.forget(&duty) {
                    break false;
                } else {
                    break duty.recall.await.is_ok();
                },
            }
        };
        if !wanted {
            return held.close();
        }
        if let Err(Ok(unwanted)) = duty.handover.send(Ok(held)) {
            unwanted.close();
        }
    }
}

impl<L> std::fmt::Debug for Kept<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
