//! Two language models for one answer: where the first is slow to begin, the second is asked as well, and whoever begins
//! first is heard.
//! Made by the catalog for pipelines that set `hedge_ms`.
//! Never lets both be heard, and lets go of the slower one at once; what it did until then is paid for.

use std::{sync::Arc, time::Duration};

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

struct Race {
    first: Arc<GuardedLlm>,
    second: Arc<GuardedLlm>,
    after: Duration,
    watch: Watch,
}

impl Race {
    async fn run(self, request: LlmRequest, outbox: mpsc::Sender<LlmEvent>) {
        let Ok(mut first) = self.first.ask(request.clone()).await else {
            return;
        };
        let begun = tokio::select! {
            biased;
            event = first.events.recv() => event,
            () = sleep(self.after) => {
                let Ok(second) = self.second.ask(request).await else { return };
                let (event, winner, second_won) = faster(first, second).await;
                self.watch.tell(&Incident::Hedged {
                    provider: self.first.name(),
                    won: second_won,
                });
                first = winner;
                event
            }
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
            (first.events.recv().await, first, false)
        }
    }
}
