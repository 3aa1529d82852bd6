//! `[dialling]`: who may be called, when, how often, and what is tried again.
//! Read by the dialler and by the routes that take calls in.
//! Never widens what a rule forbids: a call has to pass all of them.

use chrono::{NaiveDate, NaiveTime, TimeDelta, Timelike as _, Weekday};
use engine::call::gate::Rules;
use engine::call::number::Prefixes;
use engine::call::retry::{Ladder, Rung};
use engine::call::state::Outcome;
use engine::call::window::Window;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Config;
use super::check::{Problem, within};

/// What waits for a window to open begins within this time after it has.
const SPREAD: TimeDelta = TimeDelta::minutes(10);

/// `[dialling]`: calls that this server places. Law differs from country to country; the defaults are what the United States
/// allow for calls that want to sell something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in the file"
)]
pub struct Dialling {
    /// Whether this server places calls that wait; they are taken in either way, and one server that does is enough.
    pub enabled: bool,
    /// The carrier account that places calls which name none: one of `telephony.accounts`; the only one that can when unset.
    pub account: Option<String>,
    /// What numbers must begin with to be called, such as `+1`, `+1876` or, to forbid, `!+4470`. The longest that fits
    /// decides. `+1` alone means the United States, Canada and Puerto Rico without numbers that cost extra.
    pub allowed_prefixes: Vec<String>,
    /// From when on somebody may be called, by the clock where they are: `HH:MM`.
    pub opens: String,
    /// Until when, `HH:MM`; `24:00` is the end of the day.
    pub closes: String,
    /// On which days: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`; every day when empty.
    pub days: Vec<String>,
    /// On which dates nobody is called, `YYYY-MM-DD`.
    pub holidays: Vec<String>,
    /// Whether nobody is called of whom no consent to be called by an artificial voice is on file (`POST /v1/consents`).
    pub require_consent: bool,
    /// How often one number is dialled within 24 hours, by all calls to it together; 1 to 100.
    pub attempts_per_number_a_day: u32,
    /// How often one call is tried, 1 to 10.
    pub attempts: u32,
    /// How long after nobody answered, or the line was taken, in s.
    pub retry_no_answer_s: u64,
    /// How long after a machine answered, in s.
    pub retry_voicemail_s: u64,
    /// How long after the carrier could not place the call, in s; once.
    pub retry_failed_s: u64,
    /// How long it rings, in s, 5 to 120.
    pub ring_timeout_s: u32,
    /// Whether the carrier listens for answering machines: `off`, or `detect`. A call that is to leave a message waits for the
    /// end of the machine's greeting.
    pub machine_detection: String,
    /// The pipeline whose language model sums calls up; the default one when unset. Nothing is summed up when it is `none`.
    pub summary_pipeline: Option<String>,
}

impl Default for Dialling {
    fn default() -> Self {
        Self {
            enabled: true,
            account: None,
            allowed_prefixes: vec!["+1".to_owned()],
            opens: "08:00".to_owned(),
            closes: "21:00".to_owned(),
            days: Vec::new(),
            holidays: Vec::new(),
            require_consent: true,
            attempts_per_number_a_day: 3,
            attempts: 3,
            retry_no_answer_s: 7200,
            retry_voicemail_s: 14_400,
            retry_failed_s: 300,
            ring_timeout_s: 30,
            machine_detection: "detect".to_owned(),
            summary_pipeline: None,
        }
    }
}

impl Dialling {
    /// The rules that a call has to pass; those of a configuration that was checked.
    pub fn rules(&self) -> Rules {
        let prefixes = self.allowed_prefixes.iter().map(String::as_str);
        Rules {
            prefixes: Prefixes::new(prefixes).unwrap_or_default(),
            window: self.window().unwrap_or_default(),
            needs_consent: self.require_consent,
            attempts_a_day: self.attempts_per_number_a_day,
            spread: SPREAD,
        }
    }

    /// What is tried again, and when.
    pub fn ladder(&self) -> Ladder {
        let rung = |after, attempts, delay_s: u64| Rung {
            after,
            attempts,
            delay_ms: delay_s * 1000,
            jitter_ms: delay_s * 100,
        };
        Ladder {
            rungs: vec![
                rung(Outcome::NoAnswer, self.attempts, self.retry_no_answer_s),
                rung(Outcome::Busy, self.attempts, self.retry_no_answer_s),
                rung(Outcome::Voicemail, self.attempts, self.retry_voicemail_s),
                rung(Outcome::Failed, self.attempts.min(2), self.retry_failed_s),
            ],
            attempts: self.attempts,
            attempts_per_number_a_day: self.attempts_per_number_a_day,
            ..Ladder::default()
        }
    }

    /// Whether carriers listen for machines.
    pub fn detects_machines(&self) -> bool {
        self.machine_detection == "detect"
    }

    fn window(&self) -> Option<Window> {
        let window = Window::hours(minute(&self.opens)?, minute(&self.closes)?).ok()?;
        let window = if self.days.is_empty() {
            window
        } else {
            let days: Option<Vec<Weekday>> = self.days.iter().map(|day| weekday(day)).collect();
            window.on(days?)
        };
        let holidays: Option<Vec<NaiveDate>> =
            self.holidays.iter().map(|date| date.parse().ok()).collect();
        Some(window.except(holidays?))
    }
}

/// Minutes of the day.
fn minute(text: &str) -> Option<u16> {
    if text == "24:00" {
        return Some(24 * 60);
    }
    let time = NaiveTime::parse_from_str(text, "%H:%M").ok()?;
    u16::try_from(time.hour() * 60 + time.minute()).ok()
}

fn weekday(text: &str) -> Option<Weekday> {
    let known = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    known.contains(&text).then(|| text.parse().ok()).flatten()
}

/// The first value of this section that is not accepted.
pub(super) fn check(config: &Config) -> Result<(), Problem> {
    let own = &config.dialling;
    let problem = |key: &'static str, value: &str, expected: &'static str| {
        Err(Problem {
            key: key.into(),
            value: value.to_owned(),
            expected: expected.into(),
        })
    };
    if let Err(error) = Prefixes::new(own.allowed_prefixes.iter().map(String::as_str)) {
        return Err(Problem {
            key: "dialling.allowed_prefixes".into(),
            value: own.allowed_prefixes.join(","),
            expected: error.to_string().into(),
        });
    }
    for (key, value) in [
        ("dialling.opens", &own.opens),
        ("dialling.closes", &own.closes),
    ] {
        if minute(value).is_none() {
            return problem(key, value, "a time of day such as 08:00");
        }
    }
    if let Some(day) = own.days.iter().find(|day| weekday(day).is_none()) {
        return problem("dialling.days", day, "mon, tue, wed, thu, fri, sat or sun");
    }
    if let Some(date) = own
        .holidays
        .iter()
        .find(|date| date.parse::<NaiveDate>().is_err())
    {
        return problem("dialling.holidays", date, "dates such as 2026-12-25");
    }
    if own.window().is_none() {
        return problem(
            "dialling.closes",
            &own.closes,
            "a time after dialling.opens",
        );
    }
    if !["off", "detect"].contains(&own.machine_detection.as_str()) {
        return problem(
            "dialling.machine_detection",
            &own.machine_detection,
            "off or detect",
        );
    }
    within("dialling.attempts", own.attempts, 1..=10)?;
    within(
        "dialling.attempts_per_number_a_day",
        own.attempts_per_number_a_day,
        1..=100,
    )?;
    within("dialling.ring_timeout_s", own.ring_timeout_s, 5..=120)?;
    // a week, so that a typing error is not a call next year
    for (key, value) in [
        ("dialling.retry_no_answer_s", own.retry_no_answer_s),
        ("dialling.retry_voicemail_s", own.retry_voicemail_s),
        ("dialling.retry_failed_s", own.retry_failed_s),
    ] {
        within(key, value, 1..=604_800)?;
    }
    match &own.account {
        Some(name) if !config.telephony.accounts.contains_key(name) => {
            problem("dialling.account", name, "one of telephony.accounts")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(change: impl FnOnce(&mut Dialling)) -> Result<(), String> {
        let mut config = Config::default();
        change(&mut config.dialling);
        check(&config).map_err(|problem| problem.key.into_owned())
    }

    #[test]
    fn a_rule_that_cannot_be_kept_is_refused_by_name() {
        assert_eq!(checked(|_| {}), Ok(()));
        assert_eq!(checked(|own| own.closes = "24:00".to_owned()), Ok(()));
        let refused = |change: fn(&mut Dialling)| checked(change).unwrap_err();
        assert_eq!(refused(|own| own.opens = "8".to_owned()), "dialling.opens");
        assert_eq!(
            refused(|own| own.closes = "07:00".to_owned()),
            "dialling.closes"
        );
        assert_eq!(
            refused(|own| own.days = vec!["monday".to_owned()]),
            "dialling.days"
        );
        assert_eq!(
            refused(|own| own.holidays = vec!["xmas".to_owned()]),
            "dialling.holidays"
        );
        let prefixes = |own: &mut Dialling| own.allowed_prefixes = vec!["44".to_owned()];
        assert_eq!(refused(prefixes), "dialling.allowed_prefixes");
        assert_eq!(refused(|own| own.attempts = 0), "dialling.attempts");
        assert_eq!(
            refused(|own| own.ring_timeout_s = 4),
            "dialling.ring_timeout_s"
        );
        let detection = |own: &mut Dialling| own.machine_detection = "on".to_owned();
        assert_eq!(refused(detection), "dialling.machine_detection");
        assert_eq!(
            refused(|own| own.account = Some("x".to_owned())),
            "dialling.account"
        );
    }

    #[test]
    fn the_usual_rules_are_those_that_the_engine_promises() {
        assert_eq!(Dialling::default().ladder(), Ladder::default());
        assert_eq!(Dialling::default().rules().window, Window::default());
    }
}
