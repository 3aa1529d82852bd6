//! Voices in a row. A reply whose voice breaks off is spoken on by the next, from the first word that was not said.
//! Opened by the session once per reply.
//! Never says a word twice, at the price of the one in which the first voice broke off.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::ask::{AnotherVoice, SpeakOptions};
use engine::speech::unspoken;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tracing::Instrument as _;

use super::{
    Attempt, Job, Member, Row, Stage, Watch,
    bill::{Account, Bill},
    feed::{Feed, characters},
    run,
};
use crate::{
    Kind, ProviderError, failure,
    ports::{EVENT_BUFFER, Piece, Tts, TtsEvent, TtsStream, VoiceInfo},
};

/// From a piece to its first audio, between two slices of it, and for all the gaps that the caller hears because speech
/// arrives slower than real time.
const LIMIT: Duration = Duration::from_secs(10);
/// Pieces that may wait for a voice: as many as the session hands out, which does not listen while it waits for room.
const WAITING_PIECES: usize = 512;
/// Pieces that may be unfinished: speech that is so far behind its text will not catch up. They are taken until then,
/// for a session that waits for room does not listen.
const UNFINISHED_PIECES: usize = 2 * WAITING_PIECES;
/// Length of a character until the voice has said enough to tell, in ms: about 15 characters a second.
const MS_PER_CHAR: u64 = 65;

/// Voices in a row.
pub struct GuardedTts {
    row: Arc<Row<dyn Tts>>,
    /// What [`Tts::voice_names`] tells, shared by all sessions.
    names: Option<Arc<[String]>>,
}

impl GuardedTts {
    /// Asks `members` in this order.
    pub fn new(members: Vec<Arc<Member<dyn Tts>>>, watch: Watch) -> Self {
        let names = names(&members);
        let row = Arc::new(Row::new(members, Stage::Tts, watch));
        Self { row, names }
    }
}

/// Every name that one of them knows, those of the first first.
fn names(members: &[Arc<Member<dyn Tts>>]) -> Option<Arc<[String]>> {
    let mut names: Vec<String> = Vec::new();
    for member in members {
        for name in member.provider.voice_names()?.iter() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    Some(names.into())
}

#[async_trait]
impl Tts for GuardedTts {
    fn name(&self) -> &str {
        self.row.name()
    }

    fn voices(&self) -> Vec<VoiceInfo> {
        let first = self.row.members.first();
        first.map_or_else(Vec::new, |member| member.provider.voices())
    }

    fn voice_names(&self) -> Option<Arc<[String]>> {
        self.names.clone()
    }

    async fn open(&self, options: SpeakOptions) -> Result<TtsStream, ProviderError> {
        let (pieces, inbox) = mpsc::channel(WAITING_PIECES);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let mut speaking = Speaking {
            account: Account {
                session: options.session.clone(),
                turn: options.turn,
            },
            options,
            unfinished: VecDeque::new(),
            spoken_ms: 0,
            chars_done: 0,
            ms_done: 0,
            inbox: Some(inbox),
            outbox,
        };
        let row = Arc::clone(&self.row);
        tokio::spawn(async move { run(&row, &mut speaking, LIMIT).await }.in_current_span());
        Ok(TtsStream { pieces, events })
    }

    fn prepare(&self, options: &SpeakOptions) {
        if let Some(first) = self.row.members.first() {
            first.provider.prepare(options);
        }
    }

    fn usable(&self) -> Result<(), ProviderError> {
        self.row.usable()
    }
}

/// One reply, whoever speaks it.
struct Speaking {
    account: Account,
    options: SpeakOptions,
    /// Pieces that are not spoken to their end, the first of them perhaps in part.
    unfinished: VecDeque<Piece>,
    /// Audio of the first of them that the session has, in ms.
    spoken_ms: u64,
    /// Characters and ms of the pieces spoken whole, for the pace of this voice.
    chars_done: u64,
    ms_done: u64,
    /// Closed when no more text will come.
    inbox: Option<mpsc::Receiver<Piece>>,
    outbox: mpsc::Sender<TtsEvent>,
}

impl Job for Speaking {
    type Provider = dyn Tts;

    fn session(&self) -> &str {
        &self.account.session
    }

    fn unheard(&self) -> impl Future<Output = ()> + Send + 'static {
        let listener = self.outbox.clone();
        async move { listener.closed().await }
    }

    async fn attempt(&mut self, member: &Member<dyn Tts>, patience: Duration) -> Attempt {
        self.speak(member, patience).await
    }

    async fn hand_over(&mut self) -> bool {
        self.skip_what_was_said().await
    }

    async fn taken_over(&mut self, from: &str, to: &str, why: &ProviderError) {
        let voice = AnotherVoice {
            from: from.to_owned(),
            to: to.to_owned(),
            reason: why.code().to_owned(),
        };
        // a session that has gone away is noticed by whoever speaks
        let _ = self.outbox.send(TtsEvent::Another(voice.into())).await;
    }

    async fn fail(&mut self, error: ProviderError) {
        // the session may have gone away meanwhile
        let _ = self.outbox.send(TtsEvent::Failed(error)).await;
    }
}

impl Speaking {
    async fn speak(&mut self, member: &Member<dyn Tts>, patience: Duration) -> Attempt {
        let name = || member.name.to_string();
        let silent = |what| Attempt::Failed(failure::silent(&member.name, what, patience));
        let opening = member.provider.open(self.options.clone());
        let stream = match timeout(patience, opening).await {
            Err(_) => return silent("no speech came"),
            Ok(Err(error)) => return Attempt::Failed(error),
            Ok(Ok(stream)) => stream,
        };
        let model = member.provider.model(&self.options.voice);
        let mut bill = Bill::new(member, model, &self.account);
        let mut events = stream.events;
        let mut feed = Feed::new(stream.pieces, self.unfinished.clone());
        let mut heard = false;
        let mut overdue = Instant::now() + patience;
        // when the caller will have waited for so long in all, gaps in the speech added up
        let mut trickles: Option<Instant> = None;
        loop {
            if self.inbox.is_none() {
                feed.end();
            }
            tokio::select! {
                biased;
                // text first: events may come without a pause
                piece = receive(&mut self.inbox), if self.inbox.is_some() => match piece {
                    None => self.inbox = None,
                    Some(_) if self.unfinished.len() >= UNFINISHED_PIECES => {
                        let message = "the reply is longer than speech keeps up with";
                        return Attempt::Overflowed(ProviderError::new(name(), Kind::Overloaded, message));
                    }
                    Some(piece) => {
                        if self.unfinished.is_empty() {
                            overdue = Instant::now() + patience;
                        }
                        self.unfinished.push_back(piece.clone());
                        feed.push(piece);
                    }
                },
                taken = feed.advance(), if feed.is_busy() => bill.units.characters += taken,
                event = events.recv() => {
                    overdue = Instant::now() + patience;
                    let event = match event {
                        None if self.unfinished.is_empty() && self.inbox.is_none() => return Attempt::Done,
                        None => {
                            let message = "the stream ended before everything was said";
                            return Attempt::Failed(ProviderError::new(name(), Kind::Protocol, message));
                        }
                        Some(TtsEvent::Failed(error)) => {
                            if !heard {
                                // it refused: nobody charges for that
                                bill.units.characters = 0;
                            }
                            return Attempt::Failed(error);
                        }
                        Some(event) => event,
                    };
                    heard = true;
                    if let TtsEvent::Audio { index, .. } | TtsEvent::PieceDone { index } = &event {
                        bill.units.characters += feed.speaks(*index);
                    }
                    let arrived = Instant::now();
                    let before = *trickles.get_or_insert(arrived + patience);
                    let length = self.note(&event);
                    bill.units.speech_ms += length.as_millis() as u64;
                    if self.outbox.send(event).await.is_err() {
                        return Attempt::Unheard;
                    }
                    // a session that takes its time is no fault of the voice, nor is text that is still to come
                    trickles = (!self.unfinished.is_empty())
                        .then(|| before + length + arrived.elapsed());
                }
                () = tokio::time::sleep_until(overdue), if !self.unfinished.is_empty() => {
                    return silent("no speech came");
                }
                () = tokio::time::sleep_until(trickles.unwrap_or(overdue)), if trickles.is_some() => {
                    return silent("the speech did not keep up");
                }
            }
        }
    }

    /// Takes note of what is handed on; the length of its audio.
    fn note(&mut self, event: &TtsEvent) -> Duration {
        let mut ms = 0;
        match event {
            TtsEvent::Audio {
                rate_hz, samples, ..
            } => {
                ms = samples.len() as u64 * 1000 / u64::from((*rate_hz).max(1));
                self.spoken_ms += ms;
            }
            TtsEvent::PieceDone { .. } => {
                if let Some(piece) = self.unfinished.pop_front() {
                    self.chars_done += characters(&piece);
                    self.ms_done += self.spoken_ms;
                }
                self.spoken_ms = 0;
            }
            TtsEvent::Another(_) | TtsEvent::Failed(_) => {}
        }
        Duration::from_millis(ms)
    }

    /// Cuts what was said off the piece that broke off; `false` when nobody listens any more.
    async fn skip_what_was_said(&mut self) -> bool {
        let spoken_ms = std::mem::take(&mut self.spoken_ms);
        let pace = self
            .ms_done
            .checked_div(self.chars_done)
            .filter(|pace| *pace > 0);
        let Some(piece) = self.unfinished.front_mut().filter(|_| spoken_ms > 0) else {
            return true;
        };
        let rest = unspoken(&piece.text, spoken_ms, pace.unwrap_or(MS_PER_CHAR)).to_owned();
        if rest.chars().any(char::is_alphanumeric) {
            piece.text = rest;
            return true;
        }
        let index = piece.index;
        self.unfinished.pop_front();
        self.outbox
            .send(TtsEvent::PieceDone { index })
            .await
            .is_ok()
    }
}

async fn receive(inbox: &mut Option<mpsc::Receiver<Piece>>) -> Option<Piece> {
    match inbox {
        Some(inbox) => inbox.recv().await,
        None => None,
    }
}
