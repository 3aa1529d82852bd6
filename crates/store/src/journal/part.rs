//! One tenant's part of what the journal delivers, on its way into the database.
//! Used by the delivery alone.
//! Never gives a change up because others in its part are refused.

use std::time::Duration;

use crate::seal::KeyError;
use crate::sql::items::Entry;
use crate::{Sql, StoreError};

/// Attempts before a refusal counts as one for good.
const TRIES: u32 = 3;
/// How long whoever keeps the keys may take while others wait for their turn.
pub(super) const KEY_WITHIN: Duration = Duration::from_secs(1);

/// What became of a part.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It is there, without what is refused for good.
    Written(Vec<Refused>),
    /// The tenant's key cannot be had.
    Keyless(KeyError),
    /// The database did not take it, this time.
    Failed(String),
}

/// A change that the database refuses for good.
#[derive(Debug)]
pub(super) struct Refused {
    /// Its place among the entries.
    pub(super) at: usize,
    pub(super) reason: String,
}

/// Writes `entries` of `tenant`; `failures` attempts went before.
pub(super) async fn write(sql: &Sql, tenant: &str, entries: &[Entry], failures: u32) -> Outcome {
    let entries: Vec<&Entry> = entries.iter().collect();
    let written = async {
        if entries.iter().any(|entry| entry.is_sealed()) {
            sql.can_seal(tenant, KEY_WITHIN).await?;
        }
        match sql.write_changes(tenant, &entries).await {
            Err(error) if failures >= TRIES && is_refusal(&error) => {
                without_refused(sql, tenant, &entries).await
            }
            written => written.map(|()| Vec::new()),
        }
    };
    match written.await {
        Ok(refused) => Outcome::Written(refused),
        Err(StoreError::Keys(error)) => Outcome::Keyless(error),
        Err(error) => Outcome::Failed(told(&error)),
    }
}

/// Finds what the database refuses by halves, so that everything else arrives, in order.
async fn without_refused(
    sql: &Sql,
    tenant: &str,
    entries: &[&Entry],
) -> Result<Vec<Refused>, StoreError> {
    let mut refused = Vec::new();
    let mut rest = vec![(0, entries)];
    while let Some((at, part)) = rest.pop() {
        match sql.write_changes(tenant, part).await {
            Ok(()) => {}
            Err(error) if !is_refusal(&error) => return Err(error),
            Err(error) if part.len() == 1 => refused.push(Refused {
                at,
                reason: told(&error),
            }),
            Err(_) => {
                let (first, second) = part.split_at(part.len() / 2);
                rest.push((at + first.len(), second));
                rest.push((at, first));
            }
        }
    }
    Ok(refused)
}

/// Whether the database understood and will refuse the same again.
fn is_refusal(error: &StoreError) -> bool {
    let StoreError::Query { source, .. } = error else {
        return false;
    };
    match source.as_database_error() {
        // of PostgreSQL: data that does not fit, a rule that it breaks. SQLite's codes are numbers: 19 is a broken rule
        Some(said) => said.code().is_some_and(|code| {
            code.starts_with("22") && code.len() == 5
                || code.starts_with("23") && code.len() == 5
                || code.parse::<u32>().is_ok_and(|code| code & 0xff == 19)
        }),
        None => matches!(source, sqlx::Error::Encode(_)),
    }
}

fn told(error: &StoreError) -> String {
    use std::error::Error as _;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
