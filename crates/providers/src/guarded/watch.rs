//! What happens to providers, and who is told: incidents, and work that is not told of yet.
//! Filled by the rows of `guarded`; read by the gateway's metering and metrics.
//! Never blocks: whoever is told is called from the providers' tasks.

use std::sync::Arc;

use engine::meter::Units;
use tokio::sync::watch;

/// A stage of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Speech to text.
    Stt,
    /// The language model.
    Llm,
    /// Text to speech.
    Tts,
    /// Speech to speech.
    Duplex,
}

impl Stage {
    /// Name in metrics and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stt => "stt",
            Self::Llm => "llm",
            Self::Tts => "tts",
            Self::Duplex => "duplex",
        }
    }
}

/// What happens to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident<'a> {
    /// It failed too often and is left alone.
    Opened {
        /// Its stage.
        stage: Stage,
        /// Its name.
        provider: &'a str,
    },
    /// It answered again.
    Closed {
        /// Its stage.
        stage: Stage,
        /// Its name.
        provider: &'a str,
    },
    /// Another one took over.
    FailedOver {
        /// The session's id, or the request's.
        session: &'a str,
        /// Its stage.
        stage: Stage,
        /// Who failed.
        from: &'a str,
        /// Who took over.
        to: &'a str,
    },
    /// It was slow to begin, and another one was asked as well.
    Hedged {
        /// Its name.
        provider: &'a str,
        /// Whether the other one began first.
        won: bool,
    },
    /// It was made to do something, which its vendor will charge for.
    Used {
        /// The session's id, or the request's.
        session: &'a str,
        /// The session's turn.
        turn: u32,
        /// Its stage.
        stage: Stage,
        /// Its name, without a model.
        provider: &'a str,
        /// The model; empty where there is only one.
        model: &'a str,
        /// What it did.
        units: Units,
    },
}

/// Pieces of work that have begun and of which nobody was told yet; clones count the same.
#[derive(Debug, Clone)]
pub struct OpenWork(watch::Sender<usize>);

impl OpenWork {
    /// Waits until there is none.
    pub async fn none(&self) {
        let mut open = self.0.subscribe();
        // the sender is here
        let _ = open.wait_for(|open| *open == 0).await;
    }

    pub(super) fn begin(&self) {
        self.0.send_modify(|open| *open += 1);
    }

    pub(super) fn end(&self) {
        self.0.send_modify(|open| *open -= 1);
    }
}

impl Default for OpenWork {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

/// Who is told of incidents; called from the providers' tasks, so it must not block.
#[derive(Clone)]
pub struct Watch {
    told: Arc<dyn Fn(&Incident<'_>) + Send + Sync>,
    pub(super) open: OpenWork,
}

impl Watch {
    /// Calls `told` for every incident.
    pub fn new(told: impl Fn(&Incident<'_>) + Send + Sync + 'static) -> Self {
        Self {
            told: Arc::new(told),
            open: OpenWork::default(),
        }
    }

    /// Counts in `open` what has begun and is not told yet.
    #[must_use]
    pub fn counting(self, open: OpenWork) -> Self {
        Self { open, ..self }
    }

    pub(super) fn tell(&self, incident: &Incident<'_>) {
        (self.told)(incident);
    }
}

impl Default for Watch {
    /// Tells nobody.
    fn default() -> Self {
        Self::new(|_| {})
    }
}
