//! Leaves a provider alone that keeps failing, and finds out with one question whether it is back.
//! One per provider and stage, shared by all sessions.
//! It never counts a rate limit as a failure: a provider that says when to come back is well.

/// When a breaker opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Rest before the next question, in ms.
    pub rest_ms: u64,
}

impl Default for BreakerPolicy {
    /// Five failures, 30 s.
    fn default() -> Self {
        Self {
            failures: 5,
            rest_ms: 30_000,
        }
    }
}

/// Whether a question may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Ask.
    Ask,
    /// Ask: the outcome decides whether others may.
    Probe,
    /// Leave it alone.
    Rest {
        /// For how long yet, in ms.
        for_ms: u64,
    },
}

/// A circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: State,
    /// The provider asked to be left alone until then.
    limited_until_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until_ms: u64 },
    HalfOpen { since_ms: u64 },
}

impl Breaker {
    /// A breaker of a provider of which nothing is known.
    pub const fn new(policy: BreakerPolicy) -> Self {
        Self {
            policy,
            state: State::Closed { failures: 0 },
            limited_until_ms: 0,
        }
    }

    /// Whether a question may be asked at `now_ms`. Every [`Admission::Ask`] and [`Admission::Probe`] is followed by
    /// one of [`Self::succeeded`], [`Self::failed`], [`Self::limited`] or [`Self::abandoned`].
    pub fn admit(&mut self, now_ms: u64) -> Admission {
        if now_ms < self.limited_until_ms {
            return Admission::Rest {
                for_ms: self.limited_until_ms - now_ms,
            };
        }
        // a probe whose outcome never came does not keep the provider out for ever
        let opens_at_ms = match self.state {
            State::Closed { .. } => return Admission::Ask,
            State::Open { until_ms } => until_ms,
            State::HalfOpen { since_ms } => since_ms + self.policy.rest_ms,
        };
        if now_ms < opens_at_ms {
            return Admission::Rest {
                for_ms: opens_at_ms - now_ms,
            };
        }
        self.state = State::HalfOpen { since_ms: now_ms };
        Admission::Probe
    }

    /// An answer came.
    pub fn succeeded(&mut self) {
        self.state = State::Closed { failures: 0 };
    }

    /// No answer came, or none that could be used. Tells whether this is what opened the breaker.
    pub fn failed(&mut self, now_ms: u64) -> bool {
        let open = State::Open {
            until_ms: now_ms + self.policy.rest_ms,
        };
        match self.state {
            State::Closed { failures } if failures + 1 < self.policy.failures => {
                self.state = State::Closed {
                    failures: failures + 1,
                };
                false
            }
            State::Closed { .. } => {
                self.state = open;
                true
            }
            State::HalfOpen { .. } => {
                self.state = open;
                false
            }
            // asked before it opened; the rest is not prolonged for that
            State::Open { .. } => false,
        }
    }

    /// The provider is well and asked to be left alone for `retry_after_ms`.
    pub fn limited(&mut self, now_ms: u64, retry_after_ms: u64) {
        self.limited_until_ms = self.limited_until_ms.max(now_ms + retry_after_ms);
        if let State::HalfOpen { .. } = self.state {
            self.succeeded();
        }
    }

    /// Nobody waited for the answer any more.
    pub fn abandoned(&mut self, now_ms: u64) {
        if let State::HalfOpen { .. } = self.state {
            self.state = State::Open { until_ms: now_ms };
        }
    }

    /// Whether it has opened and no answer has come since.
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    /// Whether questions are kept away at `now_ms`.
    pub fn is_resting(&self, now_ms: u64) -> bool {
        let open = match self.state {
            State::Closed { .. } => false,
            State::Open { until_ms } => now_ms < until_ms,
            State::HalfOpen { since_ms } => now_ms < since_ms + self.policy.rest_ms,
        };
        open || now_ms < self.limited_until_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(times: u32) -> Breaker {
        let mut breaker = Breaker::new(BreakerPolicy::default());
        for _ in 0..times {
            assert_eq!(breaker.admit(1000), Admission::Ask);
            breaker.failed(1000);
        }
        breaker
    }

    #[test]
    fn it_opens_at_the_fifth_failure_in_a_row() {
        let mut breaker = failing(4);
        assert_eq!(breaker.admit(1000), Admission::Ask);
        assert!(breaker.failed(1000));
        assert_eq!(breaker.admit(1001), Admission::Rest { for_ms: 29_999 });
        assert!(breaker.is_resting(30_999) && !breaker.is_resting(31_000));
    }

    #[test]
    fn a_success_in_between_begins_the_count_anew() {
        let mut breaker = failing(4);
        breaker.succeeded();
        assert!(!breaker.failed(1000));
        assert_eq!(breaker.admit(1000), Admission::Ask);
    }

    #[test]
    fn one_probe_decides() {
        let mut breaker = failing(5);
        assert_eq!(breaker.admit(31_000), Admission::Probe);
        assert_eq!(breaker.admit(31_001), Admission::Rest { for_ms: 29_999 });
        assert!(!breaker.failed(31_500));
        assert_eq!(breaker.admit(61_499), Admission::Rest { for_ms: 1 });
        assert_eq!(breaker.admit(61_500), Admission::Probe);
        breaker.succeeded();
        assert_eq!(breaker.admit(61_501), Admission::Ask);
    }

    #[test]
    fn a_probe_nobody_waited_for_leaves_its_place_to_the_next() {
        let mut breaker = failing(5);
        assert_eq!(breaker.admit(31_000), Admission::Probe);
        breaker.abandoned(31_200);
        assert_eq!(breaker.admit(31_200), Admission::Probe);
        // one that is never heard of again does not close the door for ever
        assert_eq!(breaker.admit(61_200), Admission::Probe);
    }

    #[test]
    fn late_failures_do_not_prolong_the_rest() {
        let mut breaker = failing(5);
        assert!(!breaker.failed(20_000));
        assert_eq!(breaker.admit(31_000), Admission::Probe);
    }

    #[test]
    fn a_rate_limit_is_honoured_and_is_no_failure() {
        let mut breaker = failing(4);
        breaker.limited(1000, 2500);
        assert_eq!(breaker.admit(3000), Admission::Rest { for_ms: 500 });
        assert_eq!(breaker.admit(3500), Admission::Ask);
        breaker.limited(3500, 100);
        let mut probed = failing(5);
        assert_eq!(probed.admit(31_000), Admission::Probe);
        probed.limited(31_000, 1000);
        assert_eq!(probed.admit(32_000), Admission::Ask);
    }
}
