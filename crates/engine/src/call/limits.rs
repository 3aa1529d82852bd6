//! How long a call may last, and how long nobody may speak in it.
//! Asked by the task of a call: it does what is due and sleeps until the next is.
//! Never ends a call itself, and says each thing once.

/// The limits, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Since the answer: the model is told that time is running out.
    pub warn_ms: u64,
    /// Since the answer: good-bye is said.
    pub goodbye_ms: u64,
    /// Since the answer: the call is ended.
    pub hangup_ms: u64,
    /// Without a word from either side until the other is asked whether they are there.
    pub silence_ms: u64,
    /// How often they are asked before the call is ended.
    pub prompts: u32,
}

impl Default for Limits {
    /// 4:30, 4:50, 5:00; 30 s, once.
    fn default() -> Self {
        Self {
            warn_ms: 270_000,
            goodbye_ms: 290_000,
            hangup_ms: 300_000,
            silence_ms: 30_000,
            prompts: 1,
        }
    }
}

impl Limits {
    /// As the default, for calls that may last `hangup_ms`; a call too short for a warning gets none.
    #[must_use]
    pub fn lasting(hangup_ms: u64) -> Self {
        Self {
            warn_ms: hangup_ms.saturating_sub(30_000),
            goodbye_ms: hangup_ms.saturating_sub(10_000),
            hangup_ms,
            ..Self::default()
        }
    }
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Tell the model that time is running out.
    Warn,
    /// Say good-bye.
    Goodbye,
    /// End the call: it has lasted as long as it may.
    HangUp,
    /// Ask whether somebody is there.
    Prompt,
    /// End the call: nobody is.
    GiveUp,
}

/// The clocks of one call. Times are in ms of any one clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timers {
    limits: Limits,
    answered_ms: u64,
    /// What of warning, good-bye and end has been said.
    told: u8,
    /// Since when nobody speaks; nothing while somebody does.
    quiet_since_ms: Option<u64>,
    prompts: u32,
}

impl Timers {
    /// A call that was answered at `now_ms`.
    pub const fn new(limits: Limits, now_ms: u64) -> Self {
        Self {
            limits,
            answered_ms: now_ms,
            told: 0,
            quiet_since_ms: Some(now_ms),
            prompts: 0,
        }
    }

    /// The caller does something: speaks, or presses a key. They are there.
    pub const fn caller_active(&mut self, now_ms: u64) {
        self.prompts = 0;
        self.quiet_since_ms = Some(now_ms);
    }

    /// Either side has begun to speak; silence counts from [`Self::quiet`] on.
    pub const fn speaking(&mut self) {
        self.quiet_since_ms = None;
    }

    /// Nobody speaks any more: what the agent said has been played, or the caller has stopped.
    pub const fn quiet(&mut self, now_ms: u64) {
        self.quiet_since_ms = Some(now_ms);
    }

    /// Nobody speaks at `now_ms`; when somebody did a moment ago, silence counts from here.
    pub const fn resting(&mut self, now_ms: u64) {
        if self.quiet_since_ms.is_none() {
            self.quiet_since_ms = Some(now_ms);
        }
    }

    /// The call is to be over soon after `at_ms`, for a reason of ours: good-bye is said then, unless it was due earlier.
    pub fn end_by(&mut self, at_ms: u64) {
        let lasted_ms = at_ms.saturating_sub(self.answered_ms);
        let farewell_ms = self.limits.hangup_ms.saturating_sub(self.limits.goodbye_ms);
        self.limits.goodbye_ms = self.limits.goodbye_ms.min(lasted_ms);
        let hangup_ms = self.limits.goodbye_ms + farewell_ms;
        self.limits.hangup_ms = self.limits.hangup_ms.min(hangup_ms);
    }

    /// What is due at `now_ms`, the most final first; ask again until nothing is.
    pub fn due(&mut self, now_ms: u64) -> Option<Due> {
        let lasted_ms = now_ms.saturating_sub(self.answered_ms);
        for (rank, at_ms, due) in self.ladder() {
            if lasted_ms >= at_ms && self.told < rank {
                self.told = rank;
                return Some(due);
            }
        }
        // whoever is being seen off is not asked whether they are there
        if self.told >= 2 || now_ms < self.silent_at_ms()? {
            return None;
        }
        self.quiet_since_ms = Some(now_ms);
        self.prompts += 1;
        if self.prompts > self.limits.prompts {
            self.told = 3;
            return Some(Due::GiveUp);
        }
        Some(Due::Prompt)
    }

    /// When something will be due next.
    pub fn next_ms(&self) -> Option<u64> {
        let steps = self.ladder();
        let waiting = steps.iter().filter(|(rank, ..)| *rank > self.told);
        let ladder = waiting.map(|(_, at_ms, _)| self.answered_ms.saturating_add(*at_ms));
        let silence = if self.told >= 2 {
            None
        } else {
            self.silent_at_ms()
        };
        ladder.chain(silence).min()
    }

    fn silent_at_ms(&self) -> Option<u64> {
        let since_ms = self.quiet_since_ms?;
        Some(since_ms.saturating_add(self.limits.silence_ms))
    }

    /// Most final first: who comes late to several says only that one.
    const fn ladder(&self) -> [(u8, u64, Due); 3] {
        [
            (3, self.limits.hangup_ms, Due::HangUp),
            (2, self.limits.goodbye_ms, Due::Goodbye),
            (1, self.limits.warn_ms, Due::Warn),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn five_minutes_are_announced_and_end() {
        let mut timers = Timers::new(Limits::default(), 1000);
        timers.speaking();
        let mut said = Vec::new();
        for second in 0..310 {
            while let Some(due) = timers.due(1000 + second * 1000) {
                said.push((second, due));
            }
        }
        assert_eq!(
            said,
            [(270, Due::Warn), (290, Due::Goodbye), (300, Due::HangUp)]
        );
        assert_eq!(timers.next_ms(), None);
    }

    #[test]
    fn who_says_nothing_is_asked_once_and_then_left() {
        let mut timers = Timers::new(Limits::default(), 0);
        assert_eq!(timers.next_ms(), Some(30_000));
        assert_eq!(timers.due(29_999), None);
        assert_eq!(timers.due(30_000), Some(Due::Prompt));
        // the question itself takes three seconds
        timers.speaking();
        assert_eq!(timers.next_ms(), Some(270_000));
        timers.quiet(33_000);
        assert_eq!(timers.due(62_999), None);
        assert_eq!(timers.due(63_000), Some(Due::GiveUp));
        assert_eq!((timers.due(999_999), timers.next_ms()), (None, None));
    }

    #[test]
    fn who_answers_is_asked_again_another_time() {
        let mut timers = Timers::new(Limits::default(), 0);
        assert_eq!(timers.due(30_000), Some(Due::Prompt));
        timers.caller_active(31_000);
        assert_eq!(timers.due(60_999), None);
        assert_eq!(timers.due(61_000), Some(Due::Prompt));
        // whoever comes late says the last thing only
        assert_eq!(timers.due(295_000), Some(Due::Goodbye));
        assert_eq!(timers.due(295_000), None);
    }

    #[test]
    fn a_call_can_be_ended_earlier_and_never_later() {
        let mut timers = Timers::new(Limits::default(), 0);
        timers.speaking();
        timers.end_by(20_000);
        assert_eq!(timers.due(19_999), None);
        assert_eq!(timers.due(20_000), Some(Due::Goodbye));
        timers.end_by(400_000);
        assert_eq!(timers.due(30_000), Some(Due::HangUp));
    }

    #[test]
    fn silence_counts_from_when_it_began() {
        let mut timers = Timers::new(Limits::default(), 0);
        timers.speaking();
        timers.resting(5000);
        timers.resting(9000);
        assert_eq!(timers.next_ms(), Some(35_000));
    }

    #[test]
    fn a_short_call_has_the_same_end() {
        let limits = Limits::lasting(60_000);
        let mut timers = Timers::new(limits, 0);
        timers.speaking();
        let due: Vec<_> = [30_000, 50_000, 60_000].map(|at| timers.due(at)).to_vec();
        assert_eq!(
            due,
            [Some(Due::Warn), Some(Due::Goodbye), Some(Due::HangUp)]
        );
    }

    proptest! {
        #[test]
        fn something_is_due_at_the_time_it_names(steps in proptest::collection::vec((0_u8..3, 0_u64..40_000), 0..60)) {
            let mut timers = Timers::new(Limits::default(), 0);
            let mut now = 0;
            for (what, after) in steps {
                now += after;
                match what {
                    0 => timers.caller_active(now),
                    1 => timers.speaking(),
                    _ => timers.quiet(now),
                }
                while timers.due(now).is_some() {}
                if let Some(next) = timers.next_ms() {
                    prop_assert!(next > now);
                    prop_assert_eq!(timers.clone().due(next - 1), None);
                    prop_assert!(timers.clone().due(next).is_some());
                } else {
                    prop_assert_eq!(timers.told, 3);
                }
            }
        }
    }
}
