//! When somebody may be called: hours of the day where they are, days of the week, and no holidays.
//! Asked by the gateway when a call is stored and again when it is placed.
//! Never counts in another zone than the called party's, and when that is in doubt in all that it may be.

use std::collections::BTreeSet;

use chrono::{
    DateTime, Datelike as _, Days, LocalResult, NaiveDate, TimeDelta, TimeZone as _, Timelike as _,
    Utc, Weekday,
};
use chrono_tz::Tz;

#[cfg(test)]
mod tests;

/// Minutes in a day.
const DAY_MIN: u16 = 24 * 60;

/// How many days ahead an opening is looked for.
const AHEAD_DAYS: u64 = 400;

/// A number that may be in more zones than this may be anywhere: nobody calls it without being told where it is.
const ZONES_MAX: usize = 8;

/// Hours and days in which calls may be placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    opens_min: u16,
    closes_min: u16,
    /// Bit 0 is Monday.
    days: u8,
    holidays: BTreeSet<NaiveDate>,
}

/// Hours that are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a calling window must open before it closes, at minutes of the day from 0 to 1440")]
pub struct NoHours;

impl Default for Window {
    /// From 8:00 to 21:00 on every day: what the law of the United States allows for solicitation.
    fn default() -> Self {
        Self {
            opens_min: 8 * 60,
            closes_min: 21 * 60,
            days: 0b111_1111,
            holidays: BTreeSet::new(),
        }
    }
}

impl Window {
    /// Open from one minute of the day until before another, on every day.
    ///
    /// # Errors
    /// [`NoHours`] when it would never be open.
    pub fn hours(opens_min: u16, closes_min: u16) -> Result<Self, NoHours> {
        if opens_min >= closes_min || closes_min > DAY_MIN {
            return Err(NoHours);
        }
        Ok(Self {
            opens_min,
            closes_min,
            ..Self::default()
        })
    }

    /// Only on these days of the week.
    #[must_use]
    pub fn on(mut self, days: impl IntoIterator<Item = Weekday>) -> Self {
        let bits = days.into_iter();
        self.days = bits.fold(0, |bits, day| bits | 1 << day.num_days_from_monday());
        self
    }

    /// Not on these dates, as they are where the called party is.
    #[must_use]
    pub fn except(mut self, holidays: impl IntoIterator<Item = NaiveDate>) -> Self {
        self.holidays.extend(holidays);
        self
    }

    /// Only when both are open: a tenant may narrow what the law leaves, and never widen it. `None` when they never are.
    #[must_use]
    pub fn within(&self, other: &Self) -> Option<Self> {
        let opens_min = self.opens_min.max(other.opens_min);
        let closes_min = self.closes_min.min(other.closes_min);
        let days = self.days & other.days;
        (opens_min < closes_min && days != 0).then(|| Self {
            opens_min,
            closes_min,
            days,
            holidays: self.holidays.union(&other.holidays).copied().collect(),
        })
    }

    /// Whether somebody who is in one of `zones` may be called at `at`. Nobody who may be nowhere.
    pub fn is_open(&self, zones: &[Tz], at: DateTime<Utc>) -> bool {
        !zones.is_empty() && zones.iter().all(|zone| self.is_open_in(*zone, at))
    }

    fn is_open_in(&self, zone: Tz, at: DateTime<Utc>) -> bool {
        let there = zone.from_utc_datetime(&at.naive_utc());
        let minute = (there.hour() * 60 + there.minute()) as u16;
        self.is_day(there.date_naive()) && (self.opens_min..self.closes_min).contains(&minute)
    }

    fn is_day(&self, date: NaiveDate) -> bool {
        let bit = 1 << date.weekday().num_days_from_monday();
        self.days & bit != 0 && !self.holidays.contains(&date)
    }

    /// The first moment from `from` on at which somebody in one of `zones` may be called: `from` itself while the
    /// window is open. `None` when there is none within the next year: a number that may be anywhere in the world has no
    /// hour that is right everywhere.
    pub fn next_opening(&self, zones: &[Tz], from: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if zones.is_empty() || zones.len() > ZONES_MAX {
            return None;
        }
        let until = from.checked_add_days(Days::new(AHEAD_DAYS))?;
        let mut at = from;
        // each round takes the latest of the zones' openings, which no earlier moment can be
        while at <= until {
            let mut latest = at;
            for zone in zones {
                latest = latest.max(self.opening_in(*zone, at)?);
            }
            if latest == at {
                return Some(at);
            }
            at = latest;
        }
        None
    }

    /// As [`Self::next_opening`]; when it is not open now, up to `spread` later, so that what waited for the
    /// opening does not all begin in its first second. `chance` is any number, drawn by whoever asks.
    pub fn next_opening_spread(
        &self,
        zones: &[Tz],
        from: DateTime<Utc>,
        (spread, chance): (TimeDelta, u64),
    ) -> Option<DateTime<Utc>> {
        let opening = self.next_opening(zones, from)?;
        let most = u64::try_from(spread.num_milliseconds()).unwrap_or(0);
        if opening == from || most == 0 {
            return Some(opening);
        }
        let later = opening + TimeDelta::milliseconds((chance % most) as i64);
        // zones that share a few minutes only leave no room to spread in
        Some(if self.is_open(zones, later) {
            later
        } else {
            opening
        })
    }

    /// The first moment from `at` on at which the window is open in `zone`.
    fn opening_in(&self, zone: Tz, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.is_open_in(zone, at) {
            return Some(at);
        }
        let today = zone.from_utc_datetime(&at.naive_utc()).date_naive();
        for ahead in 0..AHEAD_DAYS {
            let date = today.checked_add_days(Days::new(ahead))?;
            if !self.is_day(date) {
                continue;
            }
            if let Some(opening) = self.opening_on(zone, date, at) {
                return Some(opening);
            }
        }
        None
    }

    /// The first moment from `at` on at which the window is open on `date`. A clock that is put forward may jump over
    /// the opening, and one that is put back may show it twice.
    fn opening_on(&self, zone: Tz, date: NaiveDate, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let midnight = date.and_hms_opt(0, 0, 0)?;
        for minute in self.opens_min..self.closes_min {
            let local = midnight + TimeDelta::minutes(i64::from(minute));
            let (first, second) = match zone.from_local_datetime(&local) {
                LocalResult::None => continue,
                LocalResult::Single(only) => (only, only),
                LocalResult::Ambiguous(first, second) => (first, second),
            };
            for moment in [first, second] {
                let moment = moment.with_timezone(&Utc);
                if moment >= at {
                    return Some(moment);
                }
            }
        }
        None
    }
}
