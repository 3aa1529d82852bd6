//! On whose tab a session's or a request's work counts.
//! Kept by [`super::Meter`]; tabs are `quota`'s.
//! Never forgets one at once: work that is cut off when its session ends is told of a moment later. Only the session itself
//! is told of nothing after its end.

use std::collections::{HashMap, VecDeque};

use super::Meter;
use crate::quota::Tab;

/// Ended sessions and requests whose late work still counts.
const PARTED: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Tabs {
    open: HashMap<String, Tab>,
    /// Ended ones, the oldest first.
    parted: VecDeque<String>,
}

impl Tabs {
    pub(super) fn add(&mut self, session: &str, tab: Tab) {
        if self.open.insert(session.to_owned(), tab).is_some() {
            // it goes on: that it ended once must not end its tab
            self.parted.retain(|parted| parted != session);
        }
    }

    pub(super) fn find(&self, session: &str) -> Option<Tab> {
        self.open.get(session).cloned()
    }

    pub(super) fn part(&mut self, session: &str) {
        self.parted.push_back(session.to_owned());
        if self.parted.len() > PARTED
            && let Some(oldest) = self.parted.pop_front()
        {
            self.open.remove(&oldest);
        }
    }
}

/// A session or a request whose work counts on a tab.
#[derive(Debug)]
pub struct Attached {
    meter: Meter,
    session: String,
    tab: Tab,
}

impl Attached {
    pub(super) fn new(meter: Meter, session: &str, tab: Tab) -> Self {
        Self {
            meter,
            session: session.to_owned(),
            tab,
        }
    }

    /// The tab.
    pub(crate) const fn tab(&self) -> &Tab {
        &self.tab
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.tab.hush();
        self.meter.detach(&self.session);
    }
}
