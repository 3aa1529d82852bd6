//! Two language models for one answer: where the first is slow to begin, the second is asked as well, and whoever begins
//! first is heard.
//! Made by the catalog for pipelines that set `hedge_ms`.
//! Never lets both be heard, and lets go of the slower one at once; what it did until then is paid for. Never asks a
//! model twice at the same time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use engine::ask::LlmRequest;
use tokio::{sync::mpsc, time::sleep};
use tracing::Instrument as _;

use super::{GuardedLlm, Incident, Member, Watch};
use crate::{
    ProviderError,
    ports::{EVENT_BUFFER, Llm, LlmEvent, LlmStream},
};

/// Language models in a row, of which the second does not wait for the first to fail.
pub struct HedgedLlm {
    first: Arc<GuardedLlm>,
    second: Arc<GuardedLlm>,
    after: Duration,
    watch: Watch,
}

impl HedgedLlm {
    /// Asks `members` in this order, those behind the first as soon as it has not begun within `after`; `None` where
    /// there is nobody behind it.
    pub fn new(members: &[Arc<Member<dyn Llm>>], after: Duration, watch: Watch) -> Option<Self> {
        let (_, rest) = members.split_first().filter(|(_, rest)| !rest.is_empty())?;
        Some(Self {
            first: Arc::new(GuardedLlm::new(members.to_vec(), watch.clone())),
            second: Arc::new(GuardedLlm::new(rest.to_vec(), watch.clone())),
            after,
            watch,
        })
    }
}

#[async_trait]
impl Llm for HedgedLlm {
    fn name(&self) -> &str {
        self.first.name()
    }

    async fn ask(&self, request: LlmRequest) -> Result<LlmStream, ProviderError> {
        let (outbox, events) = mpsc::channel(EVENT_BUFFER);
        let race = Race {
            first: Arc::clone(&self.first),
            second: Arc::clone(&self.second),
            after: self.after,
            watch: self.watch.clone(),
        };
        let race = async move {
            let listener = outbox.clone();
            tokio::select! {
                biased;
                () = listener.closed() => {}
                () = race.run(request, outbox) => {}
            }
        };
        tokio::spawn(race.in_current_span());
        Ok(LlmStream { events })
    }

    fn warm(&self, request: &LlmRequest) {
        self.first.warm(request);
    }

    fn usable(&self) -> Result<(), ProviderError> {
        self.first.usable()
    }
}

/// Who asks the models behind the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// The row, because the first one failed or rests.
    Row,
    /// The hedge, because the first one is slow.
    Hedge,
}

/// The models behind the first, for one answer: whoever takes them first, asks them.
#[derive(Debug, Clone, Default)]
pub(super) struct Others(Arc<Mutex<Option<Asker>>>);

impl Others {
    /// Whether `asker` may ask them, now and from now on.
    pub(super) fn take(&self, asker: Asker) -> bool {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *taken.get_or_insert(asker) == asker
    }

    /// They have failed: whoever wants to may try again.
    fn give_back(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

struct Race {
    first: Arc<GuardedLlm>,
    second: Arc<GuardedLlm>,
    after: Duration,
    watch: Watch,
}

impl Race {
    async fn run(self, request: LlmRequest, outbox: mpsc::Sender<LlmEvent>) {
        let others = Others::default();
        let mut first = self.first.ask_unless_taken(request.clone(), others.clone());
        let in_time = tokio::select! {
            biased;
            event = first.events.recv() => Some(event),
            () = sleep(self.after) => None,
        };
        let begun = match in_time {
            Some(event) => event,
            None if others.take(Asker::Hedge) => {
                let second = self.second.ask_unless_taken(request, Others::default());
                let (event, winner, second_won) = faster(first, second, &others).await;
                self.watch.tell(&Incident::Hedged {
                    provider: self.first.name(),
                    won: second_won,
                });
                first = winner;
                event
            }
            // the first has failed meanwhile, and they are asked in its place
            None => first.events.recv().await,
        };
        let Some(event) = begun else { return };
        if outbox.send(event).await.is_err() {
            return;
        }
        while let Some(event) = first.events.recv().await {
            if outbox.send(event).await.is_err() {
                return;
            }
        }
    }
}

/// The first event of whoever begins first; a failure counts only where the other fails as well.
async fn faster(
    mut first: LlmStream,
    mut second: LlmStream,
    others: &Others,
) -> (Option<LlmEvent>, LlmStream, bool) {
    let is_beginning =
        |event: &Option<LlmEvent>| !matches!(event, None | Some(LlmEvent::Failed(_)));
    tokio::select! {
        biased;
        event = first.events.recv() => {
            if is_beginning(&event) {
                return (event, first, false);
            }
            (second.events.recv().await, second, true)
        }
        event = second.events.recv() => {
            if is_beginning(&event) {
                return (event, second, true);
            }
            others.give_back();
            (first.events.recv().await, first, false)
        }
    }
}
