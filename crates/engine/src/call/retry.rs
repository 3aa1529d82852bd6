//! Whether a call is tried again after an attempt, and when: a table by what came of the attempt.
//! Asked by the gateway when an attempt has ended.
//! Never decides the hour: what it says is brought into the calling window by [`super::window`].

use serde::{Deserialize, Serialize};

use super::state::{HangupReason, Outcome};

/// What to do after an attempt that had this outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// The outcome.
    pub after: Outcome,
    /// Attempts of the call at most, those with other outcomes included.
    pub attempts: u32,
    /// Pause before the next, in ms.
    pub delay_ms: u64,
    /// Up to so much longer, in ms, so that what failed together is not tried together.
    pub jitter_ms: u64,
}

/// The rules. An outcome without a rung is final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ladder {
    /// One for each outcome that is tried again.
    pub rungs: Vec<Rung>,
    /// Attempts of one call, whatever came of them.
    pub attempts: u32,
    /// Attempts at one number within 24 hours, of all calls to it.
    pub attempts_per_number_a_day: u32,
    /// Who hangs up within this time of answering did not want the call, in ms.
    pub declined_within_ms: u64,
}

const MINUTE_MS: u64 = 60_000;

impl Default for Ladder {
    /// Nobody there, or the line taken: after 2 h. A machine: after 4 h. The carrier failed: once, after 5 min.
    fn default() -> Self {
        let rung = |after, attempts, delay_ms| Rung {
            after,
            attempts,
            delay_ms,
            jitter_ms: delay_ms / 10,
        };
        Self {
            rungs: vec![
                rung(Outcome::NoAnswer, 3, 120 * MINUTE_MS),
                rung(Outcome::Busy, 3, 120 * MINUTE_MS),
                rung(Outcome::Voicemail, 3, 240 * MINUTE_MS),
                rung(Outcome::Failed, 2, 5 * MINUTE_MS),
            ],
            attempts: 3,
            attempts_per_number_a_day: 3,
            declined_within_ms: 10_000,
        }
    }
}

/// An attempt that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Which, from 1.
    pub number: u32,
    /// What came of it; see [`Ladder::outcome`].
    pub outcome: Outcome,
    /// Why it ended.
    pub reason: Option<HangupReason>,
    /// Attempts at the same number within the last 24 hours, this one included.
    pub to_number_today: u32,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is tried again, not before so many ms from now.
    Again {
        /// In ms.
        after_ms: u64,
    },
    /// It is not.
    Final(Why),
}

/// Why a call is not tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its outcome is no reason to.
    Settled,
    /// It was tried as often as the table says.
    Attempts,
    /// This number was called as often as may be in a day.
    NumberToday,
    /// The person must not be called, or there is no such number.
    Forbidden,
}

impl Ladder {
    /// What came of an attempt that has ended, from what was noted of it and from how long was talked: nothing when
    /// somebody answered, and the summary has to say.
    pub fn outcome(
        &self,
        noted: Option<Outcome>,
        reason: Option<HangupReason>,
        talked_ms: Option<u64>,
    ) -> Option<Outcome> {
        let from_reason = match reason? {
            HangupReason::CallerHangup => match talked_ms {
                Some(talked_ms) if talked_ms < self.declined_within_ms => Some(Outcome::Declined),
                // somebody was there to hang up, also where nobody noted when they answered: they are not called again
                // for want of an answer
                Some(_) | None => None,
            },
            HangupReason::AgentEnd | HangupReason::MaxDuration => None,
            HangupReason::Inactivity
            | HangupReason::UpstreamError
            | HangupReason::StreamLost
            | HangupReason::Shutdown => Some(Outcome::Incomplete),
            HangupReason::Voicemail => Some(Outcome::Voicemail),
            HangupReason::Transfer => Some(Outcome::Transferred),
            HangupReason::Dnc | HangupReason::Rejected => Some(Outcome::Declined),
            HangupReason::CarrierError | HangupReason::InvalidNumber | HangupReason::Blocked => {
                Some(Outcome::Failed)
            }
            HangupReason::Busy => Some(Outcome::Busy),
            HangupReason::NoAnswer => Some(Outcome::NoAnswer),
        };
        noted.or(from_reason)
    }

    /// Whether the call is tried again. `chance` is any number, drawn by whoever asks.
    pub fn next(&self, attempt: Attempt, chance: u64) -> Next {
        use HangupReason::{Blocked, Dnc, InvalidNumber, Rejected};
        if let Some(Dnc | InvalidNumber | Blocked | Rejected) = attempt.reason {
            return Next::Final(Why::Forbidden);
        }
        // somebody of ours has ended it, rung or not: what the carrier makes of that is no reason
        if attempt.reason == Some(HangupReason::AgentEnd) {
            return Next::Final(Why::Settled);
        }
        let Some(rung) = self.rungs.iter().find(|rung| rung.after == attempt.outcome) else {
            return Next::Final(Why::Settled);
        };
        if attempt.number >= rung.attempts.min(self.attempts) {
            return Next::Final(Why::Attempts);
        }
        if attempt.to_number_today >= self.attempts_per_number_a_day {
            return Next::Final(Why::NumberToday);
        }
        let jitter_ms = chance % rung.jitter_ms.saturating_add(1);
        Next::Again {
            after_ms: rung.delay_ms.saturating_add(jitter_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attempt(number: u32, outcome: Outcome) -> Attempt {
        Attempt {
            number,
            outcome,
            reason: None,
            to_number_today: 1,
        }
    }

    #[test]
    fn the_table_says_when() {
        let ladder = Ladder::default();
        let hours = |after_ms: Next| match after_ms {
            Next::Again { after_ms } => Some(after_ms / MINUTE_MS),
            Next::Final(_) => None,
        };
        for (outcome, first, second, third) in [
            (Outcome::NoAnswer, Some(120), Some(120), None),
            (Outcome::Busy, Some(120), Some(120), None),
            (Outcome::Voicemail, Some(240), Some(240), None),
            (Outcome::Failed, Some(5), None, None),
            (Outcome::Declined, None, None, None),
            (Outcome::Incomplete, None, None, None),
            (Outcome::GoalAchieved, None, None, None),
            (Outcome::Transferred, None, None, None),
            (Outcome::Error, None, None, None),
        ] {
            let after = [1, 2, 3].map(|number| hours(ladder.next(attempt(number, outcome), 0)));
            assert_eq!(after, [first, second, third], "{outcome:?}");
        }
    }

    #[test]
    fn a_number_is_left_alone_for_the_day_and_for_good() {
        let ladder = Ladder::default();
        let often = Attempt {
            to_number_today: 3,
            ..attempt(1, Outcome::NoAnswer)
        };
        assert_eq!(ladder.next(often, 0), Next::Final(Why::NumberToday));
        let forbidden = Attempt {
            reason: Some(HangupReason::Dnc),
            ..attempt(1, Outcome::Voicemail)
        };
        assert_eq!(ladder.next(forbidden, 0), Next::Final(Why::Forbidden));
        // somebody of ours has hung up: whatever the carrier calls that
        for outcome in [Outcome::NoAnswer, Outcome::Failed, Outcome::Busy] {
            let ended = Attempt {
                reason: Some(HangupReason::AgentEnd),
                ..attempt(1, outcome)
            };
            assert_eq!(ladder.next(ended, 0), Next::Final(Why::Settled));
        }
    }

    #[test]
    fn who_hangs_up_at_once_did_not_want_it() {
        let ladder = Ladder::default();
        let hangup = Some(HangupReason::CallerHangup);
        assert_eq!(
            ladder.outcome(None, hangup, Some(9_999)),
            Some(Outcome::Declined)
        );
        assert_eq!(ladder.outcome(None, hangup, Some(10_000)), None);
        assert_eq!(ladder.outcome(None, hangup, None), None);
        let noted = Some(Outcome::Voicemail);
        assert_eq!(ladder.outcome(noted, hangup, Some(5)), noted);
        assert_eq!(ladder.outcome(None, None, None), None);
        for (reason, outcome) in [
            (HangupReason::UpstreamError, Some(Outcome::Incomplete)),
            (HangupReason::AgentEnd, None),
            (HangupReason::Busy, Some(Outcome::Busy)),
        ] {
            assert_eq!(ladder.outcome(None, Some(reason), Some(60_000)), outcome);
        }
    }

    proptest! {
        #[test]
        fn it_ends(outcomes in proptest::collection::vec(0..Outcome::ALL.len(), 50), chance: u64) {
            let ladder = Ladder::default();
            let mut number = 1;
            for outcome in outcomes {
                match ladder.next(attempt(number, Outcome::ALL[outcome]), chance) {
                    Next::Again { after_ms } => {
                        prop_assert!((300_000..=264 * MINUTE_MS).contains(&after_ms));
                        number += 1;
                    }
                    Next::Final(_) => break,
                }
            }
            prop_assert!(number <= ladder.attempts);
        }
    }
}
