//! The one clock of the gateway.
//! Held by `App`; tests move it by hand.
//! Never used inside `engine`, where time is an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// The system's time, plus what a test has added.
///
/// There are two times. [`Clock::now`] only ever goes on; [`Clock::utc`] is what the machine believes, and may be set
/// anew while the server runs. [`Clock::stepped`] tells how far it was.
///
/// One pointer: every session holds several.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    added_us: AtomicU64,
    stepped_us: AtomicI64,
    /// Both times when the clock was made.
    begun: (Instant, DateTime<Utc>),
}

impl Default for Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that the ban points to"
    )]
    fn default() -> Self {
        Self(Arc::new(Kept {
            added_us: AtomicU64::default(),
            stepped_us: AtomicI64::default(),
            begun: (Instant::now(), Utc::now()),
        }))
    }
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
        let stepped = TimeDelta::microseconds(self.0.stepped_us.load(Ordering::Relaxed));
        let now = Utc::now() + added + stepped;
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }

    /// Unix time in s.
    pub fn unix_s(&self) -> i64 {
        self.utc().timestamp()
    }

    /// How far the time of day was set forward (or back, when negative) since the clock was made; also what a machine
    /// slept. A time that is only slewed, as time services do, changes nothing here.
    pub fn stepped(&self) -> TimeDelta {
        self.utc() - self.unset()
    }

    /// The earlier of the time of day and of what it would be had nobody set it: what is thrown away for its age by
    /// this time is not thrown away because somebody set a clock.
    pub fn cautious_utc(&self) -> DateTime<Utc> {
        self.utc().min(self.unset())
    }

    /// The time of day as it was at the start, gone on.
    fn unset(&self) -> DateTime<Utc> {
        let (instant, utc) = self.0.begun;
        let passed = self.now().saturating_duration_since(instant);
        utc + TimeDelta::from_std(passed).unwrap_or_default()
    }

    /// Moves both times forward; for tests.
    pub fn advance(&self, by: Duration) {
        self.0.added_us.fetch_add(
            u64::try_from(by.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    /// Sets the time of day forward or back, as somebody who sets the machine's clock does; for tests.
    pub fn step(&self, by: TimeDelta) {
        let by_us = by.num_microseconds().unwrap_or_default();
        self.0.stepped_us.fetch_add(by_us, Ordering::Relaxed);
    }

    fn added(&self) -> Duration {
        Duration::from_micros(self.0.added_us.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_from_time_that_passes() {
        let clock = Clock::default();
        let about = |told: TimeDelta, hours: i64| {
            // both times are read one after the other
            (told - TimeDelta::hours(hours)).abs() < TimeDelta::minutes(5)
        };
        clock.advance(Duration::from_hours(5));
        assert!(about(clock.stepped(), 0), "{}", clock.stepped());
        clock.step(TimeDelta::hours(1));
        assert!(about(clock.stepped(), 1), "{}", clock.stepped());
        clock.step(TimeDelta::hours(-3));
        assert!(about(clock.stepped(), -2), "{}", clock.stepped());
    }

    #[test]
    fn a_clock_set_forward_makes_nothing_old() {
        let clock = Clock::default();
        let before = clock.utc();
        clock.step(TimeDelta::days(400));
        assert!(clock.utc() - before > TimeDelta::days(399));
        assert!(clock.cautious_utc() - before < TimeDelta::days(1));
        clock.step(TimeDelta::days(-500));
        assert!(before - clock.cautious_utc() > TimeDelta::days(99));
    }
}
