//! The one clock of the gateway.
//! Held by `App`; tests move it by hand.
//! Never used inside `engine`, where time is an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// The system's time, plus what a test has added.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    added_us: Arc<AtomicU64>,
}

impl Clock {
    /// Monotonic time.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that the ban points to"
    )]
    pub fn now(&self) -> Instant {
        Instant::now() + self.added()
    }

    /// Time of day, in whole microseconds: all that PostgreSQL keeps.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that the ban points to"
    )]
    pub fn utc(&self) -> DateTime<Utc> {
        let added = TimeDelta::from_std(self.added()).unwrap_or_default();
        let now = Utc::now() + added;
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }

    /// Unix time in s.
    pub fn unix_s(&self) -> i64 {
        self.utc().timestamp()
    }

    /// Moves both times forward; for tests.
    pub fn advance(&self, by: Duration) {
        self.added_us.fetch_add(
            u64::try_from(by.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    fn added(&self) -> Duration {
        Duration::from_micros(self.added_us.load(Ordering::Relaxed))
    }
}
