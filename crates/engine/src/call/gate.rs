//! May this call be placed now, later, or never? All rules in one place, in one order.
//! Asked by the gateway when a call is stored and again when it is due.
//! Never asks anything itself: what is on file about the person is an argument, and so are the time and a chance.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::number::{E164, Prefixes};
use super::window::Window;

/// A rule that forbids a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The person must not be called.
    DoNotCall,
    /// No consent is on file.
    NoConsent,
    /// The number was dialled as often as may be in a day.
    Limit,
    /// There is no hour at which the person may be called, wherever they are.
    Window,
    /// The number is none, or numbers like it may not be called.
    Number,
}

impl Rule {
    /// As it is stored and shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DoNotCall => "blocked_dnc",
            Self::NoConsent => "blocked_no_consent",
            Self::Limit => "blocked_limit",
            Self::Window => "blocked_window",
            Self::Number => "blocked_number",
        }
    }
}

/// What an installation allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Which numbers may be called.
    pub prefixes: Prefixes,
    /// When people may be called.
    pub window: Window,
    /// Whether nobody is called who has not agreed to it.
    pub needs_consent: bool,
    /// How often one number is dialled within 24 hours.
    pub attempts_a_day: u32,
    /// What waits for a window to open begins within this time after.
    pub spread: TimeDelta,
}

/// What somebody has said about being called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Never to be called; that counts before all else.
    Never,
    /// That they agree.
    Agreed,
    /// Nothing.
    Unknown,
}

/// What is known of a call that is to be placed.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Whom it calls.
    pub number: &'a E164,
    /// Where they may be: what the asker says, else what the number says.
    pub zones: &'a [Tz],
    /// What they have said about being called.
    pub wish: Wish,
    /// How often the number was dialled within the last 24 hours.
    pub attempts_today: u32,
}

/// What is to be done with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Place it.
    Open,
    /// Not before this.
    Later(DateTime<Utc>),
    /// Never.
    Closed(Rule),
}

impl Rules {
    /// What is to be done with a call at `now`. `chance` is any number, drawn by whoever asks.
    pub fn judge(&self, facts: &Facts<'_>, now: DateTime<Utc>, chance: u64) -> Gate {
        if !self.prefixes.allow(facts.number) {
            return Gate::Closed(Rule::Number);
        }
        if facts.wish == Wish::Never {
            return Gate::Closed(Rule::DoNotCall);
        }
        if self.needs_consent && facts.wish == Wish::Unknown {
            return Gate::Closed(Rule::NoConsent);
        }
        if facts.attempts_today >= self.attempts_a_day {
            return Gate::Closed(Rule::Limit);
        }
        let spread = (self.spread, chance);
        match self.window.next_opening_spread(facts.zones, now, spread) {
            None => Gate::Closed(Rule::Window),
            Some(opening) if opening <= now => Gate::Open,
            Some(opening) => Gate::Later(opening),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::super::zones;
    use super::*;

    fn rules() -> Rules {
        Rules {
            prefixes: Prefixes::new(["+1"]).unwrap(),
            window: Window::default(),
            needs_consent: true,
            attempts_a_day: 3,
            spread: TimeDelta::minutes(10),
        }
    }

    #[test]
    fn the_first_rule_that_forbids_is_named() {
        let number = E164::parse("+14155550100").unwrap();
        let zones = zones::of(&number);
        let fine = Facts {
            number: &number,
            zones: &zones,
            wish: Wish::Agreed,
            attempts_today: 2,
        };
        // 10:00 and 4:00 in San Francisco
        let day = Utc.with_ymd_and_hms(2026, 11, 22, 18, 0, 0).unwrap();
        let night = Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap();
        let judge = |facts: &Facts<'_>, now| rules().judge(facts, now, 61_000);
        assert_eq!(judge(&fine, day), Gate::Open);
        let eight = Utc.with_ymd_and_hms(2026, 11, 22, 16, 1, 1).unwrap();
        assert_eq!(judge(&fine, night), Gate::Later(eight));
        let german = E164::parse("+4930123456").unwrap();
        for (facts, rule) in [
            (
                Facts {
                    number: &german,
                    ..fine
                },
                Rule::Number,
            ),
            (
                Facts {
                    wish: Wish::Never,
                    ..fine
                },
                Rule::DoNotCall,
            ),
            (
                Facts {
                    wish: Wish::Unknown,
                    ..fine
                },
                Rule::NoConsent,
            ),
            (
                Facts {
                    attempts_today: 3,
                    ..fine
                },
                Rule::Limit,
            ),
            (Facts { zones: &[], ..fine }, Rule::Window),
        ] {
            // also at night: what is forbidden does not wait for the morning
            assert_eq!(judge(&facts, night), Gate::Closed(rule));
        }
        let without = Rules {
            needs_consent: false,
            ..rules()
        };
        let nothing = Facts {
            wish: Wish::Unknown,
            ..fine
        };
        assert_eq!(without.judge(&nothing, day, 0), Gate::Open);
    }
}
