//! One utterance heard by a vendor that listens over a WebSocket while it is spoken.
//! Used by the streaming vendors of this folder, each of which is an [`Ear`].
//! Never loses audio to a connection: what was said is kept until it is understood.
//!
//! A pause is answered early: everything up to it is sent, and the vendor is told to make up its mind. What comes
//! after it is held back. Nothing but silence follows a pause that holds, so that at the end of the utterance the
//! transcript is there already; when the caller goes on, the held audio follows, and nobody has heard it twice.

use std::{pin::Pin, sync::Arc};

use engine::{ask::SttOptions, audio::pcm};
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until},
};
use tracing::Instrument as _;
use url::Url;

use super::{MAX_SAMPLES, SAMPLES_PER_MS};
use crate::{
    Kind, Limits, ProviderError, failure,
    kept::{Held, Kept, Line},
    ports::{EVENT_BUFFER, SttCommand, SttEvent, SttStream},
    ws::{Closing, Connector, Message},
};

/// Messages sent in a row before answers are read: a vendor that is not listened to stops listening.
const BURST: usize = 16;

/// A connection over which an end mark was not answered for so long serves nobody else.
const STALLED: Duration = Duration::from_secs(2);

/// What a message brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing of interest.
    Nothing,
    /// The text has changed.
    Text,
    /// All that was sent before the last end mark has been transcribed.
    Settled,
}

/// A vendor's way of telling what it hears: one utterance over one connection.
pub(super) trait Ear: Send + 'static {
    /// What must be known of the connection's past.
    type Line: Line;
    /// Samples that a message must have at least, and may have at most.
    const MESSAGE: (usize, usize);
    /// The message that asks for a final transcript of what was sent.
    const END: &'static str;

    /// An utterance begins.
    fn begin(line: &Self::Line) -> Self;
    /// When so many more samples may be sent; absent for a vendor that takes them as fast as they come.
    fn due(_line: &Self::Line, _samples: usize) -> Option<Instant> {
        None
    }
    /// Samples were sent.
    fn sent(&mut self, line: &mut Self::Line, samples: usize);
    /// The end mark was sent.
    fn asked(&mut self, line: &Self::Line);
    /// Takes a message.
    ///
    /// Errors: the kind of failure that the vendor tells of; [`Kind::Protocol`] for what its contract does not have.
    fn take(&mut self, message: &str) -> Result<Heard, Kind>;
    /// All text of the utterance so far.
    fn text(&self) -> String;
    /// How long an end mark that may stay unanswered is waited for; absent while an answer must come.
    fn grace(&self, line: &Self::Line) -> Option<Duration>;
    /// What a closing asks for.
    fn closed(closing: &Closing) -> Kind;
}

/// A vendor that listens.
pub(super) struct Live<E: Ear> {
    kept: Kept<E::Line>,
    name: Arc<str>,
    limits: Limits,
}

impl<E: Ear> Live<E> {
    pub(super) fn new(connector: Connector, limits: Limits) -> Self {
        Self {
            name: Arc::clone(connector.name()),
            kept: Kept::new(connector),
            limits,
        }
    }

    /// Opens a connection for the session's next utterance.
    pub(super) fn prepare(&self, session: &str, address: Url) {
        self.kept.prepare(session, address);
    }

    /// Begins an utterance; it need not wait for the connection.
    pub(super) fn open(&self, options: SttOptions, address: Url) -> SttStream {
        let (commands, inbox) = mpsc::channel(EVENT_BUFFER);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let kept = self.kept.clone();
        let (session, own) = (options.session.clone(), address.clone());
        let opening = Box::pin(async move { kept.take(&session, &own).await });
        let utterance = Utterance::<E> {
            kept: self.kept.clone(),
            name: Arc::clone(&self.name),
            limits: self.limits,
            address,
            session: options.session,
            events: outbox,
            samples: Vec::new(),
            sent: 0,
            pause: None,
            ended: None,
            mark: Mark::Unasked,
            text: String::new(),
            connections: 1,
            link: Link::Opening(opening),
        };
        tokio::spawn(utterance.listen(inbox).in_current_span());
        SttStream { commands, events }
    }
}

type Opening<L> = Pin<Box<dyn Future<Output = Result<Held<L>, ProviderError>> + Send>>;

enum Link<E: Ear> {
    Opening(Opening<E::Line>),
    Open(Box<Held<E::Line>>, E),
}

/// Something that happened to the connection.
enum News<L> {
    Opened(Box<Held<L>>),
    Message(Message),
}

impl<E: Ear> Link<E> {
    async fn news(&mut self) -> Result<News<E::Line>, ProviderError> {
        match self {
            Self::Opening(opening) => Ok(News::Opened(Box::new(opening.await?))),
            Self::Open(held, _) => Ok(News::Message(held.next().await?)),
        }
    }
}

/// How far the vendor is with the end mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unasked,
    Asked(Instant),
    Settled,
}

/// When there is more to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// As soon as answers have been read.
    Now,
    /// When the vendor takes more.
    At(Instant),
}

/// What the listening task woke up for.
enum Wake<L> {
    Unheard,
    Command(Option<SttCommand>),
    News(Result<News<L>, ProviderError>),
    Overdue,
    Behind,
}

struct Utterance<E: Ear> {
    kept: Kept<E::Line>,
    name: Arc<str>,
    limits: Limits,
    address: Url,
    session: String,
    events: mpsc::Sender<SttEvent>,
    /// Everything the caller said.
    samples: Vec<i16>,
    /// Samples that the connection in use has.
    sent: usize,
    /// Samples at the pause that still holds.
    pause: Option<usize>,
    /// When the utterance was complete.
    ended: Option<Instant>,
    mark: Mark,
    /// What was told last.
    text: String,
    /// Connections that were opened for it, the kept one included.
    connections: u8,
    link: Link<E>,
}

impl<E: Ear> Utterance<E> {
    async fn listen(mut self, mut inbox: mpsc::Receiver<SttCommand>) {
        match self.hear(&mut inbox).await {
            Ok(true) => {
                let last = SttEvent::Final {
                    text: std::mem::take(&mut self.text),
                    audio_ms: (self.samples.len() / SAMPLES_PER_MS) as u64,
                    logprobs: Vec::new(),
                };
                // the session may have gone away meanwhile
                let _ = self.events.send(last).await;
                self.part().await;
            }
            Ok(false) => self.part().await,
            Err(error) => {
                let _ = self.events.send(SttEvent::Failed(error)).await;
                if let Link::Open(held, _) = self.link {
                    held.close();
                }
            }
        }
    }

    /// Hears the utterance to its end; `false` when nobody wants to know any more.
    async fn hear(
        &mut self,
        inbox: &mut mpsc::Receiver<SttCommand>,
    ) -> Result<bool, ProviderError> {
        let listener = self.events.clone();
        let mut behind = None;
        loop {
            if self.ended.is_some() && (self.samples.is_empty() || self.mark == Mark::Settled) {
                return Ok(true);
            }
            let overdue = self.overdue();
            let wake = tokio::select! {
                biased;
                () = listener.closed() => Wake::Unheard,
                command = inbox.recv(), if self.ended.is_none() => Wake::Command(command),
                news = self.link.news() => Wake::News(news),
                () = sleep_until(overdue.unwrap_or_else(Instant::now)), if overdue.is_some() => Wake::Overdue,
                () = go_on(behind) => Wake::Behind,
            };
            let told = match wake {
                Wake::Unheard | Wake::Command(None) => return Ok(false),
                Wake::Command(Some(command)) => self.obey(command).map(|()| None)?,
                Wake::News(Err(error)) => self.lost(error).map(|()| None)?,
                Wake::News(Ok(News::Opened(held))) => {
                    let ear = E::begin(&held.line);
                    self.link = Link::Open(held, ear);
                    None
                }
                Wake::News(Ok(News::Message(message))) => self.take(&message)?,
                Wake::Overdue => self.patience_ends()?,
                Wake::Behind => None,
            };
            behind = match self.catch_up().await {
                Ok(behind) => behind,
                Err(error) => self.lost(error).map(|()| None)?,
            };
            if let Some(text) = told
                && self.events.send(SttEvent::Partial { text }).await.is_err()
            {
                return Ok(false);
            }
        }
    }

    fn obey(&mut self, command: SttCommand) -> Result<(), ProviderError> {
        match command {
            SttCommand::Audio(samples) => {
                if self.samples.len() + samples.len() > MAX_SAMPLES {
                    let message = "the utterance is longer than 30 minutes";
                    return Err(self.error(Kind::Rejected, message));
                }
                self.samples.extend_from_slice(&samples);
            }
            SttCommand::Pause if self.samples.is_empty() => {}
            SttCommand::Pause => {
                self.pause = Some(self.samples.len());
                self.mark = Mark::Unasked;
            }
            SttCommand::Resume => {
                self.pause = None;
                self.mark = Mark::Unasked;
            }
            SttCommand::End => self.ended = Some(Instant::now()),
        }
        Ok(())
    }

    /// Takes what the vendor says; the text, where it is to be told.
    fn take(&mut self, message: &Message) -> Result<Option<String>, ProviderError> {
        if let Link::Open(held, _) = &mut self.link {
            held.line.overhear(message);
        }
        let text = match message {
            Message::Closed(closing) => {
                let error = closing.error(&self.name, E::closed(closing));
                return self.lost(error).map(|()| None);
            }
            Message::Binary(_) => return Err(self.nonsense()),
            Message::Text(text) => text,
        };
        let Link::Open(_, ear) = &mut self.link else {
            return Ok(None);
        };
        let (heard, text) = match ear.take(text) {
            Ok(heard) => (heard, ear.text()),
            Err(Kind::Protocol) => return Err(self.nonsense()),
            Err(kind) => return Err(self.error(kind, "the server broke off with an error")),
        };
        match (heard, self.mark) {
            // what a pause that still holds has brought stays
            (Heard::Nothing, _) | (_, Mark::Settled) => Ok(None),
            (Heard::Settled, Mark::Asked(_)) => Ok(self.settle()),
            (Heard::Settled | Heard::Text, _) => {
                if text == self.text {
                    return Ok(None);
                }
                self.text.clone_from(&text);
                Ok(Some(text))
            }
        }
    }

    /// The vendor has made up its mind about all that it was asked for.
    fn settle(&mut self) -> Option<String> {
        if let Link::Open(_, ear) = &self.link {
            self.text = ear.text();
        }
        self.mark = Mark::Settled;
        self.ended.is_none().then(|| self.text.clone())
    }

    /// Sends what may be sent, and the end mark behind it where one is due; when to go on, where some of it is left.
    async fn catch_up(&mut self) -> Result<Option<Behind>, ProviderError> {
        let Link::Open(held, ear) = &mut self.link else {
            return Ok(None);
        };
        let (fewest, most) = E::MESSAGE;
        let until = self.pause.unwrap_or(self.samples.len());
        let complete = self.pause.is_some() || self.ended.is_some();
        let mut burst = 0;
        while self.sent < until {
            if burst == BURST {
                return Ok(Some(Behind::Now));
            }
            burst += 1;
            let count = (until - self.sent).min(most);
            if count < fewest && !complete {
                break;
            }
            let due = E::due(&held.line, count.max(fewest));
            if let Some(due) = due.filter(|due| *due > Instant::now()) {
                return Ok(Some(Behind::At(due)));
            }
            let mut bytes = Vec::with_capacity(count.max(fewest) * 2);
            pcm::write_le(&self.samples[self.sent..self.sent + count], &mut bytes);
            // silence fills up a message that would be too short
            bytes.resize(count.max(fewest) * 2, 0);
            held.send_binary(bytes).await?;
            self.sent += count;
            ear.sent(&mut held.line, count.max(fewest));
        }
        if complete && self.mark == Mark::Unasked && self.sent > 0 {
            held.send(E::END.to_owned()).await?;
            ear.asked(&held.line);
            self.mark = Mark::Asked(Instant::now());
        }
        Ok(None)
    }

    /// When waiting for the answer to the end mark ends; for a chance to send one, if the caller waits already.
    fn overdue(&self) -> Option<Instant> {
        match self.mark {
            Mark::Asked(since) => Some(since + self.grace().unwrap_or(self.limits.first_event)),
            Mark::Unasked => self.ended.map(|since| since + self.limits.first_event),
            Mark::Settled => None,
        }
    }

    fn grace(&self) -> Option<Duration> {
        match &self.link {
            Link::Open(held, ear) if self.mark != Mark::Unasked => ear.grace(&held.line),
            _ => None,
        }
    }

    fn patience_ends(&mut self) -> Result<Option<String>, ProviderError> {
        if self.grace().is_some() {
            return Ok(self.settle());
        }
        let what = "no transcript came";
        Err(failure::silent(&self.name, what, self.limits.first_event))
    }

    /// Opens another connection for one that was lost, once in an utterance; it hears everything again.
    fn lost(&mut self, error: ProviderError) -> Result<(), ProviderError> {
        let opening = matches!(self.link, Link::Opening(_));
        if opening || self.connections > 1 || error.kind != Kind::Unavailable {
            return Err(error);
        }
        tracing::debug!(%error, "reopening the connection of an utterance");
        self.connections += 1;
        self.sent = 0;
        if self.mark != Mark::Settled {
            self.mark = Mark::Unasked;
        }
        let (kept, address) = (self.kept.clone(), self.address.clone());
        self.link = Link::Opening(Box::pin(async move { kept.open(&address).await }));
        Ok(())
    }

    /// Keeps the connection for the next utterance, unless it stalls.
    async fn part(self) {
        let unfinished = self.sent > 0 && self.mark == Mark::Unasked;
        let stalled = matches!(self.mark, Mark::Asked(since) if since.elapsed() > STALLED);
        let held = match self.link {
            Link::Opening(opening) => opening.await.ok(),
            Link::Open(held, _) if stalled => return held.close(),
            Link::Open(mut held, _) if unfinished => {
                // what was given up must not run into what comes next
                let flushed = held.send(E::END.to_owned()).await;
                flushed.is_ok().then_some(*held)
            }
            Link::Open(held, _) => Some(*held),
        };
        if let Some(held) = held {
            self.kept.put(&self.session, held);
        }
    }

    fn nonsense(&self) -> ProviderError {
        self.error(Kind::Protocol, "the server sent what breaks the protocol")
    }

    fn error(&self, kind: Kind, message: &str) -> ProviderError {
        ProviderError::new(self.name.to_string(), kind, message)
    }
}

/// Returns when there is more to send; never, where there is not.
async fn go_on(behind: Option<Behind>) {
    match behind {
        None => std::future::pending().await,
        Some(Behind::Now) => {}
        Some(Behind::At(due)) => sleep_until(due).await,
    }
}
