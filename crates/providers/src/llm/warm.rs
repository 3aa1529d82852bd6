//! Opens connections ahead, so that no handshake falls into a turn.
//! Called by the vendors when somebody begins to speak.
//! Never opens one where a question was asked a moment ago: its connection still waits.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use reqwest::RequestBuilder;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{http, vendor::Vendor};

/// A connection waits for so long at least; the pool and most servers keep it for longer.
const WARM: Duration = Duration::from_secs(25);

/// When a connection was used last.
#[derive(Debug, Default)]
pub(super) struct Warmth(Mutex<Option<Instant>>);

impl Warmth {
    /// A question is asked.
    pub(super) fn used(&self) {
        self.is_cold();
    }

    /// Whether no connection waits; whoever is told so opens one.
    pub(super) fn is_cold(&self) -> bool {
        let now = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.replace(now);
        last.is_none_or(|last| now.duration_since(last) > WARM)
    }
}

/// Opens a connection in a task of its own, by a question that is only a check.
pub(super) fn connect(vendor: &Vendor, question: RequestBuilder) {
    let vendor = vendor.clone();
    let asking = async move {
        if let Err(error) = http::check(&vendor, question, None).await {
            tracing::debug!(%error, "no connection opened ahead");
        }
    };
    tokio::spawn(asking.in_current_span());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_cools_down() {
        let warmth = Warmth::default();
        assert!(warmth.is_cold());
        assert!(!warmth.is_cold());
        tokio::time::advance(WARM).await;
        warmth.used();
        tokio::time::advance(WARM).await;
        assert!(!warmth.is_cold());
        tokio::time::advance(WARM + Duration::from_millis(1)).await;
        assert!(warmth.is_cold());
    }
}
