//! What requests over REST make providers do: stored like the work of sessions, and not remembered here.
//! Kept by [`super::Meter`]; opened by the routes that ask providers.
//! Never forgets a request at once: work that is cut off when it ends is told of a moment later.

use std::collections::{HashMap, VecDeque};

use engine::meter::Units;

use super::ledger::Ledger;
use super::{Meter, Used};

/// Ended requests whose late work still counts.
const PARTED: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Requests {
    open: HashMap<String, Ledger>,
    /// Ended ones, the oldest first.
    parted: VecDeque<String>,
}

impl Requests {
    pub(super) fn add(&mut self, account: &str, ledger: Ledger) {
        self.open.insert(account.to_owned(), ledger);
    }

    pub(super) fn find(&mut self, account: &str) -> Option<&mut Ledger> {
        self.open.get_mut(account)
    }

    fn part(&mut self, account: &str) {
        self.parted.push_back(account.to_owned());
        if self.parted.len() > PARTED
            && let Some(oldest) = self.parted.pop_front()
        {
            self.open.remove(&oldest);
        }
    }
}

/// A request whose work is counted and stored.
#[derive(Debug)]
pub struct Billed {
    meter: Meter,
    account: String,
}

impl Billed {
    pub(super) fn new(meter: Meter, account: &str) -> Self {
        Self {
            meter,
            account: account.to_owned(),
        }
    }

    /// Enters so many milliseconds of sound that `provider` has heard, which does not tell by itself.
    pub(crate) fn heard(&self, provider: &str, audio_ms: u64) {
        self.meter.note(&Used {
            session: &self.account,
            turn: 0,
            stage: "stt",
            provider,
            model: "",
            units: Units {
                audio_ms,
                ..Units::default()
            },
        });
    }
}

impl Drop for Billed {
    fn drop(&mut self) {
        self.meter.books().requests.part(&self.account);
    }
}
