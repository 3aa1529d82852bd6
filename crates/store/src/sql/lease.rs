//! Taking rows to work on: who takes them has them for a while, and who does not come back loses them.
//! Used by the outbox and by the queue of telephone calls.
//! Never gives a row to two at a time.

use chrono::{DateTime, TimeDelta, Utc};

/// Who takes rows, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease<'a> {
    /// Who.
    pub owner: &'a str,
    /// Now.
    pub now: DateTime<Utc>,
    /// Afterwards the rows are free for others.
    pub until: DateTime<Utc>,
    /// How many rows at most.
    pub limit: u32,
}

/// How often and when something is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Pause after the first failure; twice as long after each further one.
    pub first: TimeDelta,
    /// No pause is longer.
    pub longest: TimeDelta,
    /// After so many tries it is given up.
    pub tries: u32,
}

impl Retries {
    /// The pause after this many tries.
    pub fn pause(&self, tries: i64) -> TimeDelta {
        let doublings = u32::try_from(tries.saturating_sub(1).clamp(0, 30)).unwrap_or(30);
        let pause = self.first.checked_mul(1_i32 << doublings.min(30));
        pause.unwrap_or(self.longest).min(self.longest)
    }
}

/// The two texts of a claim, for SQLite and for PostgreSQL: `$due` selects tenant and id of the rows that may be taken, `$take`
/// says of which table and what changes, `$give` what is returned of them.
///
/// What keeps two claims of PostgreSQL apart is the lock; SQLite has one writer at a time. Materialized, because a plan that
/// looks for the due ones twice would lock more than it was asked for.
macro_rules! claim {
    (WITH $before:literal, $due:literal OF $locked:literal, $take:literal, $give:literal) => {
        $crate::sql::lease::Claim {
            sqlite: claim!(@text $before, $due, "", $take, $give),
            postgres: claim!(@text $before, $due, concat!(" FOR UPDATE", $locked, " SKIP LOCKED"), $take, $give),
        }
    };
    (@text $before:literal, $due:literal, $lock:expr, $take:literal, $give:literal) => {
        concat!(
            "WITH ", $before, "due AS MATERIALIZED (", $due, $lock, ") UPDATE ", $take,
            " WHERE (tenant, id) IN (SELECT tenant, id FROM due) RETURNING ", $give
        )
    };
}

/// A claim in the words of either database.
pub(super) struct Claim {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

impl super::Sql {
    /// The text for this database.
    pub(super) const fn claim(&self, claim: &Claim) -> &'static str {
        match self.db {
            super::Db::Sqlite(_) => claim.sqlite,
            super::Db::Postgres(_) => claim.postgres,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let retries = Retries {
            first: TimeDelta::seconds(1),
            longest: TimeDelta::seconds(10),
            tries: 9,
        };
        let pauses: Vec<i64> = [0, 1, 2, 3, 4, 5, 40, i64::MAX]
            .map(|tries| retries.pause(tries).num_seconds())
            .to_vec();
        assert_eq!(pauses, [1, 1, 2, 4, 8, 10, 10, 10]);
    }
}
