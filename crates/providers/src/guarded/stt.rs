//! Ears in a row. What a caller said is kept until it is understood: the next provider hears it from the beginning.
//! Opened by the session once per utterance.
//! Never keeps more than one utterance, nor more of that than a few minutes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::ask::{Hears, SttOptions};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tracing::Instrument as _;

use super::{
    Attempt, Job, Member, Row, Stage, Watch,
    bill::{Account, Bill},
    run,
};
use crate::{
    Kind, ProviderError, failure,
    ports::{EVENT_BUFFER, Stt, SttCommand, SttEvent, SttStream},
};

/// From the end of the utterance to its transcript, and for a connection to be made.
const LIMIT: Duration = Duration::from_secs(10);
/// Samples of one utterance that are kept for another provider: five minutes of 16 kHz, 9.6 MB.
const KEPT_SAMPLES: usize = 5 * 60 * 16_000;

/// Of what ears hear.
const SAMPLES_PER_MS: u64 = 16;
/// Commands that may wait for a provider, beside those it hears again: a minute of 20 ms frames. One that is further
/// behind will not catch up.
const BEHIND: usize = 3000;

/// Ears in a row.
pub struct GuardedStt(Arc<Row<dyn Stt>>);

impl GuardedStt {
    /// Asks `members` in this order.
    pub fn new(members: Vec<Arc<Member<dyn Stt>>>, watch: Watch) -> Self {
        Self(Arc::new(Row::new(members, Stage::Stt, watch)))
    }
}

#[async_trait]
impl Stt for GuardedStt {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn hears(&self) -> Hears {
        let mut members = self.0.members.iter();
        if members.all(|member| member.provider.hears() == Hears::Whole) {
            Hears::Whole
        } else {
            Hears::AsSpoken
        }
    }

    async fn open(&self, options: SttOptions) -> Result<SttStream, ProviderError> {
        let (commands, inbox) = mpsc::channel(EVENT_BUFFER);
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let mut hearing = Hearing {
            account: Account {
                session: options.session.clone(),
                turn: options.turn,
            },
            options,
            heard: Heard::default(),
            inbox,
            outbox,
        };
        let row = Arc::clone(&self.0);
        tokio::spawn(async move { run(&row, &mut hearing, LIMIT).await }.in_current_span());
        Ok(SttStream { commands, events })
    }

    fn prepare(&self, options: &SttOptions) {
        if let Some(first) = self.0.members.first() {
            first.provider.prepare(options);
        }
    }

    fn usable(&self) -> Result<(), ProviderError> {
        self.0.usable()
    }
}

/// How far the caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Speaking,
    Paused,
    Ended,
}

/// What was said so far, as the next provider needs to hear it.
#[derive(Default)]
struct Heard {
    audio: Vec<Arc<[i16]>>,
    samples: usize,
    phase: Phase,
    /// Part of it was not kept: nobody else can take over.
    incomplete: bool,
}

impl Heard {
    fn note(&mut self, command: &SttCommand) {
        match command {
            SttCommand::Audio(samples) => {
                self.samples += samples.len();
                if self.samples > KEPT_SAMPLES {
                    self.incomplete = true;
                    self.audio.clear();
                } else {
                    self.audio.push(Arc::clone(samples));
                }
            }
            SttCommand::Pause => self.phase = Phase::Paused,
            SttCommand::Resume => self.phase = Phase::Speaking,
            SttCommand::End => self.phase = Phase::Ended,
        }
    }

    fn again(&self) -> Vec<SttCommand> {
        let audio = self.audio.iter().cloned().map(SttCommand::Audio);
        let last = match self.phase {
            Phase::Speaking => None,
            Phase::Paused => Some(SttCommand::Pause),
            Phase::Ended => Some(SttCommand::End),
        };
        audio.chain(last).collect()
    }
}

/// What ears are paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paid {
    /// All that they hear.
    ByTime,
    /// The whole utterance so far, with every question.
    ByRequest,
}

/// How much one provider has to hear.
struct Ear {
    bill: Bill,
    paid: Paid,
    samples: u64,
    /// The end of the utterance needs no further question.
    asked: bool,
}

impl Ear {
    fn note(&mut self, command: &SttCommand) {
        match command {
            SttCommand::Audio(samples) => {
                self.samples += samples.len() as u64;
                if self.paid == Paid::ByTime {
                    self.bill.units.audio_ms = self.samples / SAMPLES_PER_MS;
                }
            }
            SttCommand::Resume => self.asked = false,
            SttCommand::Pause | SttCommand::End => {
                if self.paid == Paid::ByRequest && !self.asked {
                    self.bill.units.audio_ms += self.samples / SAMPLES_PER_MS;
                }
                self.asked = true;
            }
        }
    }
}

/// One utterance, whoever hears it.
struct Hearing {
    account: Account,
    options: SttOptions,
    heard: Heard,
    inbox: mpsc::Receiver<SttCommand>,
    outbox: mpsc::Sender<SttEvent>,
}

impl Job for Hearing {
    type Provider = dyn Stt;

    fn session(&self) -> &str {
        &self.account.session
    }

    fn unheard(&self) -> impl Future<Output = ()> + Send + 'static {
        let listener = self.outbox.clone();
        async move { listener.closed().await }
    }

    async fn attempt(&mut self, member: &Member<dyn Stt>, patience: Duration) -> Attempt {
        self.hear(member, patience).await
    }

    async fn hand_over(&mut self) -> bool {
        !self.heard.incomplete
    }

    async fn fail(&mut self, error: ProviderError) {
        // the session may have gone away meanwhile
        let _ = self.outbox.send(SttEvent::Failed(error)).await;
    }
}

impl Hearing {
    async fn hear(&mut self, member: &Member<dyn Stt>, patience: Duration) -> Attempt {
        let silent = |what| Attempt::Failed(failure::silent(&member.name, what, patience));
        let opening = member.provider.open(self.options.clone());
        let mut stream = match timeout(patience, opening).await {
            Err(_) => return silent("no connection was made"),
            Ok(Err(error)) => return Attempt::Failed(error),
            Ok(Ok(stream)) => stream,
        };
        let mut ear = Ear {
            bill: Bill::new(member, member.provider.model(), &self.account),
            paid: if member.provider.hears_by_request() {
                Paid::ByRequest
            } else {
                Paid::ByTime
            },
            samples: 0,
            asked: false,
        };
        let mut waiting: std::collections::VecDeque<SttCommand> = self.heard.again().into();
        let most_waiting = waiting.len() + BEHIND;
        let mut overdue = (self.heard.phase == Phase::Ended).then(|| Instant::now() + patience);
        let far = Instant::now() + Duration::from_hours(24);
        loop {
            tokio::select! {
                biased;
                event = stream.events.recv() => match event {
                    None => {
                        let message = "the stream ended without a transcript";
                        let name = member.name.to_string();
                        return Attempt::Failed(ProviderError::new(name, Kind::Protocol, message));
                    }
                    Some(SttEvent::Failed(error)) => return Attempt::Failed(error),
                    Some(event) => {
                        let last = matches!(event, SttEvent::Final { .. });
                        if self.outbox.send(event).await.is_err() {
                            return Attempt::Unheard;
                        }
                        if last {
                            return Attempt::Done;
                        }
                    }
                },
                place = stream.commands.reserve(), if !waiting.is_empty() => match place {
                    Ok(place) => {
                        if let Some(command) = waiting.pop_front() {
                            ear.note(&command);
                            place.send(command);
                        }
                    }
                    // what it still says is all there will be
                    Err(_) => waiting.clear(),
                },
                command = self.inbox.recv(), if self.heard.phase != Phase::Ended => {
                    let Some(command) = command else { return Attempt::Unheard };
                    self.heard.note(&command);
                    if self.heard.phase == Phase::Ended {
                        overdue = Some(Instant::now() + patience);
                    }
                    waiting.push_back(command);
                    if waiting.len() > most_waiting {
                        let message = "it takes no more audio";
                        let name = member.name.to_string();
                        return Attempt::Failed(ProviderError::new(name, Kind::Timeout, message));
                    }
                }
                () = tokio::time::sleep_until(overdue.unwrap_or(far)) => {
                    return silent("no transcript came");
                }
            }
        }
    }
}
