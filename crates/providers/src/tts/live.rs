//! One reply spoken by a vendor that takes text and gives audio over a WebSocket.
//! Used by the streaming vendors of this folder, each of which is a [`Voice`].
//! Never says a word twice: a lost connection is opened again only where the piece had not begun.

use std::{collections::VecDeque, pin::Pin, sync::Arc};

use engine::ask::SpeakOptions;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, sleep_until},
};
use tracing::Instrument as _;
use url::Url;

use super::{
    WAITING_PIECES, has_words,
    mouth::{Mouth, Unheard},
};
use crate::{
    Kind, Limits, ProviderError, failure,
    kept::{Held, Kept, Line},
    ports::{EVENT_BUFFER, Piece, TtsStream},
    ws::{Closing, Connector, Message},
};

/// A connection over which nothing came for so long, though something was asked for, serves nobody else.
const STALLED: Duration = Duration::from_secs(2);

/// What a message brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Audio of the piece that is being spoken: little-endian samples, cut anywhere.
    Audio(Vec<u8>),
    /// The piece that was being spoken is complete.
    Done,
    /// So is every piece that was sent.
    AllDone,
}

/// A vendor's way of speaking: one reply over one connection.
pub(super) trait Voice: Send + 'static {
    /// What must be known of the connection's past.
    type Line: Line;
    /// Whether a connection serves more than one reply.
    const REUSED: bool;

    /// What is sent when the reply gets its connection, or another one: nothing that was sent before counts then.
    fn begin(&mut self, line: &mut Self::Line) -> Vec<String>;
    /// What is sent for a piece.
    fn piece(&mut self, line: &mut Self::Line, text: &str) -> Vec<String>;
    /// What is sent behind the last piece.
    fn end(&mut self, _line: &mut Self::Line) -> Vec<String> {
        Vec::new()
    }
    /// When something is due that could not be sent at once.
    fn due(&self, _line: &Self::Line) -> Option<Instant> {
        None
    }
    /// What is due.
    fn overdue(&mut self, _line: &mut Self::Line) -> Vec<String> {
        Vec::new()
    }
    /// Pieces that may be with the vendor at the same time. Two: the second keeps it busy, more would be speech that
    /// a barge-in throws away.
    fn room(&self) -> usize {
        2
    }
    /// Takes a message.
    ///
    /// Errors: the kind of failure that the vendor tells of; [`Kind::Protocol`] for what its contract does not have.
    fn take(
        &mut self,
        line: &mut Self::Line,
        message: &Message,
        said: &mut Vec<Said>,
    ) -> Result<(), Kind>;
    /// What tells the vendor to stop in the middle of a reply; absent where only closing does.
    fn cancel(&mut self, line: &mut Self::Line) -> Option<String>;
    /// What a closing asks for.
    fn closed(closing: &Closing) -> Kind;
}

/// A vendor that speaks.
pub(super) struct Live<L: Line> {
    kept: Kept<L>,
    name: Arc<str>,
    limits: Limits,
}

impl<L: Line> Live<L> {
    pub(super) fn new(connector: Connector, limits: Limits) -> Self {
        Self {
            name: Arc::clone(connector.name()),
            kept: Kept::new(connector),
            limits,
        }
    }

    /// Opens a connection for the session's next reply.
    pub(super) fn prepare(&self, session: &str, address: Url) {
        self.kept.prepare(session, address);
    }

    /// Begins a reply; `rate_hz` is that of the audio that comes.
    pub(super) fn open<V: Voice<Line = L>>(
        &self,
        options: &SpeakOptions,
        address: Url,
        rate_hz: u32,
        voice: V,
    ) -> TtsStream {
        let (pieces, inbox) = mpsc::channel(WAITING_PIECES);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let kept = self.kept.clone();
        let (session, own) = (options.session.clone(), address.clone());
        let opening = Box::pin(async move { kept.take(&session, &own).await });
        let reply = Reply {
            kept: self.kept.clone(),
            name: Arc::clone(&self.name),
            limits: self.limits,
            address,
            session: options.session.clone(),
            voice,
            mouth: Mouth::new(outbox, rate_hz),
            unfinished: VecDeque::new(),
            sent: 0,
            text: Text::Coming,
            used: false,
            connections: 1,
            quiet_since: Instant::now(),
            link: Link::Opening(opening),
        };
        tokio::spawn(reply.speak(inbox).in_current_span());
        TtsStream { pieces, events }
    }
}

type Opening<L> = Pin<Box<dyn Future<Output = Result<Held<L>, ProviderError>> + Send>>;

enum Link<L> {
    Opening(Opening<L>),
    Open(Box<Held<L>>),
}

enum News<L> {
    Opened(Box<Held<L>>),
    Message(Message),
}

impl<L: Line> Link<L> {
    async fn news(&mut self) -> Result<News<L>, ProviderError> {
        match self {
            Self::Opening(opening) => Ok(News::Opened(Box::new(opening.await?))),
            Self::Open(held) => Ok(News::Message(held.next().await?)),
        }
    }
}

enum Wake<L> {
    Unheard,
    Piece(Option<Piece>),
    News(Result<News<L>, ProviderError>),
    Due,
    Overdue,
}

/// Why a reply ends before its last piece.
enum Stop {
    Unheard,
    Failed(ProviderError),
}

impl From<Unheard> for Stop {
    fn from(_: Unheard) -> Self {
        Self::Unheard
    }
}

impl From<ProviderError> for Stop {
    fn from(error: ProviderError) -> Self {
        Self::Failed(error)
    }
}

/// Whether more text will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Coming,
    Ended,
    /// The connection in use has been told.
    EndSent,
}

struct Reply<V: Voice> {
    kept: Kept<V::Line>,
    name: Arc<str>,
    limits: Limits,
    address: Url,
    session: String,
    voice: V,
    mouth: Mouth,
    /// Pieces that are not spoken to their end, in order.
    unfinished: VecDeque<Piece>,
    /// How many of them the connection in use has.
    sent: usize,
    text: Text,
    /// Whether the connection in use has had anything to do.
    used: bool,
    /// Connections that were opened for it, the kept one included.
    connections: u8,
    /// When anything came last, or was asked for.
    quiet_since: Instant,
    link: Link<V::Line>,
}

impl<V: Voice> Reply<V> {
    async fn speak(mut self, mut inbox: mpsc::Receiver<Piece>) {
        match self.pieces(&mut inbox).await {
            Ok(()) => self.part(true).await,
            Err(Stop::Unheard) => {
                let complete = self.sent == 0;
                self.part(complete).await;
            }
            Err(Stop::Failed(error)) => {
                self.mouth.fail(error).await;
                if let Link::Open(held) = self.link {
                    held.close();
                }
            }
        }
    }

    async fn pieces(&mut self, inbox: &mut mpsc::Receiver<Piece>) -> Result<(), Stop> {
        loop {
            self.pass_over_silence().await?;
            if self.text != Text::Coming && self.unfinished.is_empty() {
                return Ok(());
            }
            let room = self.text == Text::Coming && self.unfinished.len() < self.voice.room();
            let due = match &self.link {
                Link::Open(held) => self.voice.due(&held.line),
                Link::Opening(_) => None,
            };
            let waiting = matches!(self.link, Link::Open(_)) && !self.unfinished.is_empty();
            let limit = if self.mouth.begun {
                self.limits.between_events
            } else {
                self.limits.first_event
            };
            let overdue = self.quiet_since + limit;
            let unheard = self.mouth.closed();
            let wake = tokio::select! {
                biased;
                () = unheard => Wake::Unheard,
                piece = inbox.recv(), if room => Wake::Piece(piece),
                news = self.link.news() => Wake::News(news),
                () = sleep_until(due.unwrap_or(overdue)), if due.is_some() => Wake::Due,
                () = sleep_until(overdue), if waiting => Wake::Overdue,
            };
            match wake {
                Wake::Unheard => return Err(Stop::Unheard),
                Wake::Piece(None) => self.text = Text::Ended,
                Wake::Piece(Some(piece)) => {
                    if self.unfinished.is_empty() {
                        self.quiet_since = Instant::now();
                    }
                    self.unfinished.push_back(piece);
                }
                Wake::News(Err(error)) => self.lost(error)?,
                Wake::News(Ok(News::Opened(held))) => self.opened(held).await?,
                Wake::News(Ok(News::Message(message))) => self.take(&message).await?,
                Wake::Due => {
                    if let Link::Open(held) = &mut self.link {
                        let texts = self.voice.overdue(&mut held.line);
                        self.send(texts).await?;
                    }
                }
                Wake::Overdue => {
                    return Err(failure::silent(&self.name, "no more speech came", limit).into());
                }
            }
            self.catch_up().await?;
        }
    }

    /// Pieces without anything to pronounce are done when it is their turn; no vendor is asked for them.
    async fn pass_over_silence(&mut self) -> Result<(), Stop> {
        while self
            .unfinished
            .front()
            .is_some_and(|piece| !has_words(&piece.text))
        {
            self.finish_first().await?;
        }
        Ok(())
    }

    async fn finish_first(&mut self) -> Result<(), Stop> {
        if let Some(piece) = self.unfinished.pop_front() {
            self.sent = self.sent.saturating_sub(1);
            self.mouth.done(piece.index).await?;
        }
        Ok(())
    }

    async fn opened(&mut self, mut held: Box<Held<V::Line>>) -> Result<(), Stop> {
        let texts = self.voice.begin(&mut held.line);
        self.link = Link::Open(held);
        self.quiet_since = Instant::now();
        self.send(texts).await
    }

    /// Sends the pieces that the connection does not have yet, and the end behind the last.
    async fn catch_up(&mut self) -> Result<(), Stop> {
        while self.sent < self.unfinished.len() {
            let Link::Open(held) = &mut self.link else {
                return Ok(());
            };
            let text = &self.unfinished[self.sent].text;
            let texts = if has_words(text) {
                self.voice.piece(&mut held.line, text)
            } else {
                Vec::new()
            };
            self.sent += 1;
            self.used |= !texts.is_empty();
            self.send(texts).await?;
        }
        if let Link::Open(held) = &mut self.link
            && self.text == Text::Ended
            && self.used
        {
            self.text = Text::EndSent;
            let texts = self.voice.end(&mut held.line);
            self.send(texts).await?;
        }
        Ok(())
    }

    async fn send(&mut self, texts: Vec<String>) -> Result<(), Stop> {
        for text in texts {
            let Link::Open(held) = &mut self.link else {
                return Ok(());
            };
            if let Err(error) = held.send(text).await {
                return self.lost(error).map_err(Stop::from);
            }
        }
        Ok(())
    }

    async fn take(&mut self, message: &Message) -> Result<(), Stop> {
        if let Message::Closed(closing) = message {
            let error = closing.error(&self.name, V::closed(closing));
            return self.lost(error).map_err(Stop::from);
        }
        let Link::Open(held) = &mut self.link else {
            return Ok(());
        };
        let mut said = Vec::new();
        self.voice
            .take(&mut held.line, message, &mut said)
            .map_err(|kind| match kind {
                Kind::Protocol => {
                    let message = "the server sent what breaks the protocol";
                    ProviderError::new(self.name.to_string(), kind, message)
                }
                kind => {
                    let message = "the server broke off with an error";
                    ProviderError::new(self.name.to_string(), kind, message)
                }
            })?;
        for said in said {
            self.quiet_since = Instant::now();
            match said {
                Said::Audio(bytes) => {
                    // what comes behind the last piece belongs to nobody
                    if let Some(index) = self.unfinished.front().map(|piece| piece.index) {
                        let played = self.mouth.play(index, &bytes).await;
                        // it may have taken its time: that of the session
                        self.quiet_since = Instant::now();
                        played?;
                    }
                }
                Said::Done => {
                    self.finish_first().await?;
                    self.pass_over_silence().await?;
                }
                Said::AllDone => {
                    while self.sent > 0 {
                        self.finish_first().await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Opens another connection for one that was lost, once in a reply, if nothing of the piece was heard yet.
    fn lost(&mut self, error: ProviderError) -> Result<(), ProviderError> {
        let opening = matches!(self.link, Link::Opening(_));
        if opening || self.connections > 1 || self.mouth.begun || error.kind != Kind::Unavailable {
            return Err(error);
        }
        tracing::debug!(%error, "reopening the connection of a reply");
        self.connections += 1;
        self.sent = 0;
        if self.text == Text::EndSent {
            self.text = Text::Ended;
        }
        self.used = false;
        let (kept, address) = (self.kept.clone(), self.address.clone());
        self.link = Link::Opening(Box::pin(async move { kept.open(&address).await }));
        Ok(())
    }

    /// Keeps the connection for the next reply, or opens another for it.
    async fn part(mut self, complete: bool) {
        let held = match self.link {
            Link::Opening(opening) => opening.await.ok(),
            Link::Open(held) => Some(*held),
        };
        let Some(mut held) = held else {
            return;
        };
        let cancel = (!complete).then(|| self.voice.cancel(&mut held.line));
        let stalled = !complete && self.quiet_since.elapsed() > STALLED;
        let reusable = match cancel {
            _ if stalled => false,
            None => true,
            Some(None) => false,
            Some(Some(text)) => held.send(text).await.is_ok(),
        };
        if reusable && (V::REUSED || !self.used) {
            self.kept.put(&self.session, held);
        } else {
            held.close();
            self.kept.prepare(&self.session, self.address);
        }
    }
}
