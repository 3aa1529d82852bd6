//! Where a call is, what came of it, and why and by whom it ended: three things that are never mixed.
//! Applied by the gateway to carrier callbacks and to its own doings before `store` writes them.
//! Never goes back: what comes late, twice or in the wrong order changes nothing.

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Makes an enum of words: `name`, `parse` and the list of all.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// As it is stored and sent.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The one of this name.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(
    /// Where a call is. Of two states of one attempt the one with the higher [`CallState::rank`] counts.
    CallState {
        /// Waits for somebody to place it.
        Queued = "queued",
        /// Waits for its time.
        Scheduled = "scheduled",
        /// The carrier has been asked.
        Dialing = "dialing",
        /// It rings.
        Ringing = "ringing",
        /// Somebody, or something, answered.
        Live = "live",
        /// We are hanging up.
        Ending = "ending",
        /// It is over.
        Ended = "ended",
        /// It was called off before it was placed.
        Cancelled = "cancelled",
        /// It must not be placed.
        Blocked = "blocked",
    }
);

impl CallState {
    /// Grows in a call's life; states in which nothing more comes have the highest.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Queued => 0,
            Self::Scheduled => 1,
            Self::Dialing => 2,
            Self::Ringing => 3,
            Self::Live => 4,
            Self::Ending => 5,
            Self::Ended | Self::Cancelled | Self::Blocked => 6,
        }
    }

    /// Whether nothing more comes.
    pub const fn is_over(self) -> bool {
        self.rank() == 6
    }

    /// Whether the carrier has not been asked yet, so that the call can still be called off.
    pub const fn is_before_dialing(self) -> bool {
        self.rank() < Self::Dialing.rank()
    }

    /// Whether `next` may take this state's place.
    pub const fn may_become(self, next: Self) -> bool {
        match next {
            // afterwards it is a hang-up
            Self::Cancelled | Self::Blocked => self.is_before_dialing(),
            _ => next.rank() > self.rank(),
        }
    }
}

words!(
    /// What came of a call.
    Outcome {
        /// What it was for was reached.
        GoalAchieved = "goal_achieved",
        /// Nobody answered.
        NoAnswer = "no_answer",
        /// The line was taken.
        Busy = "busy",
        /// A machine answered.
        Voicemail = "voicemail",
        /// The person did not want it.
        Declined = "declined",
        /// It broke off before it was done.
        Incomplete = "incomplete",
        /// Somebody else took it over.
        Transferred = "transferred",
        /// The carrier could not place it.
        Failed = "failed",
        /// We made a mistake.
        Error = "error",
    }
);

words!(
    /// Why a call ended.
    HangupReason {
        /// The other side hung up.
        CallerHangup = "caller_hangup",
        /// The agent said good-bye.
        AgentEnd = "agent_end",
        /// It had lasted as long as a call may.
        MaxDuration = "max_duration",
        /// Nobody had said anything for long.
        Inactivity = "inactivity",
        /// A machine had answered.
        Voicemail = "voicemail",
        /// It was passed on.
        Transfer = "transfer",
        /// The person asked never to be called again.
        Dnc = "dnc",
        /// A provider of speech or language was lost.
        UpstreamError = "upstream_error",
        /// The carrier failed.
        CarrierError = "carrier_error",
        /// The carrier's stream of audio broke.
        StreamLost = "stream_lost",
        /// The call was refused.
        Rejected = "rejected",
        /// The line was taken.
        Busy = "busy",
        /// Nobody answered.
        NoAnswer = "no_answer",
        /// There is no such number.
        InvalidNumber = "invalid_number",
        /// A rule forbids it.
        Blocked = "blocked",
        /// This server was going down.
        Shutdown = "shutdown",
    }
);

words!(
    /// Who ended a call.
    Party {
        /// The person on the telephone.
        Caller = "caller",
        /// The agent.
        Agent = "agent",
        /// This server.
        System = "system",
        /// The carrier.
        Carrier = "carrier",
    }
);

/// Where one call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which attempt at reaching somebody, from 1.
    pub attempt: u32,
    /// Where it is.
    pub state: CallState,
    /// What came of it; nothing until it has ended, and then not always at once.
    pub outcome: Option<Outcome>,
    /// Why it ended, and who ended it. The first to say so is believed.
    pub ended_by: Option<(HangupReason, Party)>,
}

/// News of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Of which attempt.
    pub attempt: u32,
    /// Where the call is now.
    pub state: CallState,
    /// What came of it, where the news says so.
    pub outcome: Option<Outcome>,
    /// Why it ends, and who ends it, where the news says so.
    pub ended_by: Option<(HangupReason, Party)>,
}

impl Step {
    /// The call is here now, and that is all.
    pub const fn to(attempt: u32, state: CallState) -> Self {
        Self {
            attempt,
            state,
            outcome: None,
            ended_by: None,
        }
    }

    /// The call ends for this reason.
    #[must_use]
    pub const fn because(mut self, reason: HangupReason, by: Party) -> Self {
        self.ended_by = Some((reason, by));
        self
    }
}

impl Progress {
    /// A call that waits for its first attempt.
    pub const fn queued() -> Self {
        Self {
            attempt: 1,
            state: CallState::Queued,
            outcome: None,
            ended_by: None,
        }
    }

    /// How it stands after `step`; `None` when that changes nothing: it came late, twice, or of an earlier attempt.
    /// News of the next attempt begin it, once this one has ended.
    #[must_use]
    pub fn after(self, step: Step) -> Option<Self> {
        if step.attempt < self.attempt {
            return None;
        }
        if step.attempt > self.attempt {
            // the next one waits to be placed, and only once this one is over: a person on the line is not called again
            let follows = self.state == CallState::Ended && step.attempt == self.attempt + 1;
            if !follows || !matches!(step.state, CallState::Queued | CallState::Scheduled) {
                return None;
            }
            return Some(Self {
                attempt: step.attempt,
                state: step.state,
                outcome: step.outcome,
                ended_by: step.ended_by,
            });
        }
        if !self.state.may_become(step.state) {
            return None;
        }
        Some(Self {
            attempt: self.attempt,
            state: step.state,
            outcome: self.outcome.or(step.outcome),
            ended_by: self.ended_by.or(step.ended_by),
        })
    }
}

/// What a carrier says of a call, in the words that all of them come down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CarrierStatus {
    /// It is being placed.
    Initiated,
    /// It rings.
    Ringing,
    /// It was answered.
    InProgress,
    /// It was answered and is over.
    Completed,
    /// The line was taken.
    Busy,
    /// Nobody answered.
    NoAnswer,
    /// It was refused at the other end.
    Rejected,
    /// It could not be placed.
    Failed,
    /// Whoever placed it took it back before it was answered.
    Canceled,
}

impl CarrierStatus {
    /// The meaning of a carrier's word; `None` for words that say nothing of where a call is. Twilio, SignalWire,
    /// Telnyx, Plivo and Vonage use different words for the same.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "queued" | "initiated" | "started" | "call.initiated" => Self::Initiated,
            "ringing" | "early-media" => Self::Ringing,
            "in-progress" | "answered" | "call.answered" => Self::InProgress,
            "completed" | "disconnected" | "call.hangup" => Self::Completed,
            "busy" => Self::Busy,
            "no-answer" | "timeout" | "unanswered" => Self::NoAnswer,
            "rejected" => Self::Rejected,
            "failed" => Self::Failed,
            "canceled" | "cancelled" | "cancel" => Self::Canceled,
            _ => return None,
        })
    }

    /// What it means for the call's attempt.
    pub const fn step(self, attempt: u32) -> Step {
        let (state, outcome, ended_by) = match self {
            Self::Initiated => (CallState::Dialing, None, None),
            Self::Ringing => (CallState::Ringing, None, None),
            Self::InProgress => (CallState::Live, None, None),
            // what came of it is for the summary to say; if it was us who hung up, that was noted before
            Self::Completed => (
                CallState::Ended,
                None,
                Some((HangupReason::CallerHangup, Party::Caller)),
            ),
            Self::Busy => (
                CallState::Ended,
                Some(Outcome::Busy),
                Some((HangupReason::Busy, Party::Carrier)),
            ),
            Self::NoAnswer => (
                CallState::Ended,
                Some(Outcome::NoAnswer),
                Some((HangupReason::NoAnswer, Party::Carrier)),
            ),
            Self::Rejected => (
                CallState::Ended,
                Some(Outcome::Declined),
                Some((HangupReason::Rejected, Party::Caller)),
            ),
            Self::Failed => (
                CallState::Ended,
                Some(Outcome::Failed),
                Some((HangupReason::CarrierError, Party::Carrier)),
            ),
            Self::Canceled => (
                CallState::Ended,
                Some(Outcome::Failed),
                Some((HangupReason::CarrierError, Party::System)),
            ),
        };
        Step {
            attempt,
            state,
            outcome,
            ended_by,
        }
    }
}

/// The one word that LeadFlip knows for a call.
pub const fn legacy_status(state: CallState, outcome: Option<Outcome>) -> &'static str {
    match (outcome, state) {
        (Some(Outcome::NoAnswer | Outcome::Busy), _) => "no_answer",
        // it has no word for a call that somebody else took over
        (Some(Outcome::Transferred), _) | (None, CallState::Ended) => "completed",
        (Some(outcome), _) => outcome.name(),
        (None, CallState::Dialing) => "initiating",
        (None, CallState::Live | CallState::Ending) => "in_progress",
        // nobody was called
        (None, CallState::Blocked) => CallState::Cancelled.name(),
        (None, state) => state.name(),
    }
}
