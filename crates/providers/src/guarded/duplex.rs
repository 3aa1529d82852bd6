//! Speech-to-speech models in a row: the first that lets a conversation begin, has it.
//! Opened by the session at its beginning, and again whenever the connection is lost.
//! Never moves a conversation that has begun: the session knows what was said and heard, and tells it anew.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::ask::{DuplexCommand, DuplexItem, DuplexOptions};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::Instrument as _;

use super::{Member, Row, Stage, Watch, answers::Answers};
use crate::{
    Kind, ProviderError, failure,
    ports::{DUPLEX_BEHIND, Duplex, DuplexEvent, DuplexStream, EVENT_BUFFER},
};

/// For the settings of a connection to be taken, where nobody else is left to ask.
const LIMIT: Duration = Duration::from_secs(10);
/// Nobody waits longer for a conversation to begin, however many there are to ask.
const GIVE_UP: Duration = Duration::from_secs(10);
/// The first and the longest rest before the row is asked again.
const REST: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));
/// A connection that is lost sooner had never been one.
const PROVEN_AFTER: Duration = Duration::from_secs(5);

/// Speech-to-speech models in a row.
pub struct GuardedDuplex(Arc<Row<dyn Duplex>>);

impl GuardedDuplex {
    /// Asks `members` in this order.
    pub fn new(members: Vec<Arc<Member<dyn Duplex>>>, watch: Watch) -> Self {
        Self(Arc::new(Row::new(members, Stage::Duplex, watch)))
    }
}

#[async_trait]
impl Duplex for GuardedDuplex {
    fn name(&self) -> &str {
        self.0.name()
    }

    async fn open(
        &self,
        options: DuplexOptions,
        history: Vec<DuplexItem>,
    ) -> Result<DuplexStream, ProviderError> {
        let (commands, inbox) = mpsc::channel(DUPLEX_BEHIND);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let conversing = Conversing {
            row: Arc::clone(&self.0),
            options,
            history,
            inbox,
            outbox,
        };
        tokio::spawn(conversing.converse().in_current_span());
        Ok(DuplexStream { commands, events })
    }

    fn usable(&self) -> Result<(), ProviderError> {
        self.0.usable()
    }
}

/// One connection's worth of conversation, whoever has it.
struct Conversing {
    row: Arc<Row<dyn Duplex>>,
    options: DuplexOptions,
    history: Vec<DuplexItem>,
    /// What is said while nobody is ready waits in here: it is not taken out before.
    inbox: mpsc::Receiver<DuplexCommand>,
    outbox: mpsc::Sender<DuplexEvent>,
}

impl Conversing {
    async fn converse(mut self) {
        let begun = Instant::now();
        let mut rest = REST.0;
        let error = loop {
            let error = match self.find().await {
                Found::Nobody(error) => error,
                Found::Unheard => return,
                Found::Somebody(member, stream) => return self.pass_on(&member, stream).await,
            };
            let wait = error.retry_after.unwrap_or_default().max(rest);
            if is_hopeless(&error) || begun.elapsed() + wait >= GIVE_UP {
                break error;
            }
            tokio::select! {
                biased;
                () = self.outbox.closed() => return,
                () = sleep(rest) => {}
            }
            rest = (rest * 2).min(REST.1);
        };
        // the session may have gone away meanwhile
        let _ = self.outbox.send(DuplexEvent::Lost(error)).await;
    }

    /// Asks all of them once, in turn.
    async fn find(&mut self) -> Found {
        let row = Arc::clone(&self.row);
        let mut at = 0;
        let mut last: Option<Arc<str>> = None;
        let mut worth: Option<ProviderError> = None;
        loop {
            let (place, member) = match row.next(at) {
                Ok(next) => next,
                Err(refused) => return Found::Nobody(worth.unwrap_or(refused)),
            };
            if let Some(from) = &last {
                row.failed_over(&self.options.session, from, &member.name);
            }
            let patience = row.patience(place, LIMIT);
            let opened = tokio::select! {
                biased;
                () = self.outbox.closed() => None,
                opened = self.open(member, patience) => Some(opened),
            };
            match opened {
                None => {
                    member.abandoned();
                    return Found::Unheard;
                }
                Some(Ok(stream)) => return Found::Somebody(Arc::clone(member), stream),
                Some(Err(error)) => {
                    member.failed(&error);
                    last = Some(Arc::clone(&member.name));
                    // one that may pass is worth more than one that will not
                    if worth.as_ref().is_none_or(is_hopeless) {
                        worth = Some(error);
                    }
                    at = place + 1;
                }
            }
        }
    }

    /// A conversation whose settings were taken within `patience`.
    async fn open(
        &self,
        member: &Member<dyn Duplex>,
        patience: Duration,
    ) -> Result<DuplexStream, ProviderError> {
        let ready = async {
            let opening = member
                .provider
                .open(self.options.clone(), self.history.clone());
            let mut stream = opening.await?;
            match stream.events.recv().await {
                Some(DuplexEvent::Ready) => Ok(stream),
                Some(DuplexEvent::Lost(error)) => Err(error),
                _ => {
                    let message = "the stream did not begin with its readiness";
                    let name = member.name.to_string();
                    Err(ProviderError::new(name, Kind::Protocol, message))
                }
            }
        };
        timeout(patience, ready).await.unwrap_or_else(|_| {
            let what = "no conversation began";
            Err(failure::silent(&member.name, what, patience))
        })
    }

    /// Hands over in both directions until either side is gone.
    async fn pass_on(mut self, member: &Member<dyn Duplex>, mut stream: DuplexStream) {
        let proven = Instant::now() + PROVEN_AFTER;
        let mut judged = false;
        let mut event = Some(DuplexEvent::Ready);
        let mut command = None;
        let mut is_heard = true;
        let mut answers = Answers::new(member, &self.options, &self.history);
        loop {
            tokio::select! {
                () = self.outbox.closed() => break,
                place = self.outbox.reserve(), if event.is_some() => match (place, event.take()) {
                    (Ok(place), Some(event)) => {
                        let last = matches!(event, DuplexEvent::Lost(_));
                        place.send(event);
                        if last {
                            return;
                        }
                    }
                    _ => break,
                },
                heard = stream.events.recv(), if event.is_none() => {
                    let heard = heard.unwrap_or_else(|| {
                        let message = "the stream ended without a word";
                        let name = member.name.to_string();
                        DuplexEvent::Lost(ProviderError::new(name, Kind::Protocol, message))
                    });
                    if !judged && let Some(verdict) = verdict(&heard) {
                        judged = true;
                        match verdict {
                            Ok(()) => member.succeeded(),
                            Err(error) => member.failed(error),
                        }
                    }
                    answers.heard(&heard);
                    event = Some(heard);
                }
                // a stream that takes no more commands says why in its last event
                place = stream.commands.reserve(), if command.is_some() => {
                    match (place, command.take()) {
                        (Ok(place), Some(command)) => place.send(command),
                        _ => is_heard = false,
                    }
                }
                told = self.inbox.recv(), if command.is_none() && is_heard => {
                    match told {
                        Some(told) => {
                            answers.told(&told);
                            command = Some(told);
                        }
                        // the session hangs up by dropping either end
                        None => break,
                    }
                }
                () = sleep_until(proven), if !judged => {
                    judged = true;
                    member.succeeded();
                }
            }
        }
        if !judged {
            // it was ready: that is all that was asked of it
            member.succeeded();
        }
    }
}

/// Whether asking again will not help.
fn is_hopeless(error: &ProviderError) -> bool {
    matches!(error.kind, Kind::Unauthorized | Kind::Rejected)
}

/// What an event says of whoever sent it.
fn verdict(event: &DuplexEvent) -> Option<Result<(), &ProviderError>> {
    match event {
        DuplexEvent::Lost(error) | DuplexEvent::Failed { error, .. } => Some(Err(error)),
        DuplexEvent::Done { .. } => Some(Ok(())),
        _ => None,
    }
}

/// Who has the conversation.
enum Found {
    Somebody(Arc<Member<dyn Duplex>>, DuplexStream),
    Nobody(ProviderError),
    Unheard,
}
