//! Providers in a row: who is asked, who takes over, and that nothing is said or heard twice.
//! The providers here do what their script says; time is paused, so an hour of silence is free.

mod bills;
mod duplex;
mod llm;
mod speech;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use providers::{
    Kind, ProviderError,
    guarded::{Incident, Watch},
};

/// What a provider does, one entry per question; the last one for all that follow.
pub(crate) struct Script<A> {
    name: &'static str,
    acts: Vec<A>,
    asked: AtomicUsize,
}

impl<A> Script<A> {
    fn new(name: &'static str, acts: Vec<A>) -> Arc<Self> {
        Arc::new(Self {
            name,
            acts,
            asked: AtomicUsize::new(0),
        })
    }

    fn next(&self) -> &A {
        let at = self.asked.fetch_add(1, Ordering::Relaxed);
        &self.acts[at.min(self.acts.len() - 1)]
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn failure(name: &'static str, kind: Kind) -> ProviderError {
    ProviderError::new(name, kind, "as the script says")
}

/// A watch that writes down what it is told.
pub(crate) fn written() -> (Watch, Arc<Mutex<Vec<String>>>) {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let book = Arc::clone(&lines);
    let watch = Watch::new(move |incident| {
        let line = match incident {
            Incident::Opened { stage, provider } => format!("{} {provider} rests", stage.name()),
            Incident::Closed { stage, provider } => format!("{} {provider} is back", stage.name()),
            Incident::FailedOver {
                stage, from, to, ..
            } => {
                format!("{} {from} -> {to}", stage.name())
            }
            Incident::Hedged { provider, won } => {
                format!(
                    "llm {provider} hedged, {}",
                    if *won { "second won" } else { "first won" }
                )
            }
            Incident::Used { .. } => return,
        };
        book.lock().unwrap().push(line);
    });
    (watch, lines)
}
