//! Writing what happened in sessions: many changes of one tenant in one transaction, with a statement a kind and not one a change.
//! Called by the journal's delivery.
//! Never writes anything twice: a change that is written again changes nothing.

mod rounds;
mod rows;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::Datelike as _;
use sqlx::AssertSqlSafe;
use sqlx::error::DatabaseError;

use self::rounds::{PutRow, Round, SettingsRow, rounds};
use self::rows::parts;
use super::items::{self, Change, Entry};
use super::{Scope, Sql, sessions};
use crate::StoreError;

const REMOVED: &str = "DELETE FROM conversation_items \
     WHERE tenant = $1 AND session_at = $2 AND session = $3 AND id = $4 \
     AND revision < $5";

/// A round with what of it is stored sealed.
struct Sealed<'a> {
    round: Round<'a>,
    settings: Vec<Vec<u8>>,
    puts: Vec<Vec<u8>>,
}

/// Runs one of the statements of [`rows`] for all rows: `$bind` binds what a row has to the query.
macro_rules! write_rows {
    ($on:ident, $tenant:expr, $texts:ident, $rows:expr, |$query:ident, $row:ident| $bind:expr) => {
        for part in parts($rows) {
            // made of constants and a number
            let text = AssertSqlSafe(rows::$texts.text(part.len()));
            let mut $query = sqlx::query(text).bind($tenant);
            for $row in part {
                $query = $bind;
            }
            $query.execute(&mut *$on).await?;
        }
    };
}

impl Sql {
    /// Writes what happened in sessions of one tenant, in this order, all or nothing. What is already written and what
    /// belongs to a session that was deleted changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn write_changes(&self, tenant: &str, entries: &[&Entry]) -> Result<(), StoreError> {
        let mut sealed = Vec::new();
        for round in rounds(entries) {
            sealed.push(self.sealed(tenant, round).await?);
        }
        let refused = match self.try_write_changes(tenant, &sealed).await {
            Err(StoreError::Query { action, source }) => (action, source),
            done => return done,
        };
        let (action, source) = refused;
        match source.as_database_error().and_then(DatabaseError::code) {
            // PostgreSQL: no partition for the month, which may be long past or has just begun
            Some(code) if code == "23514" => self.make_months_of(entries).await?,
            // a session was deleted between two statements
            Some(code) if code == "23503" => {}
            _ => return Err(StoreError::Query { action, source }),
        }
        self.try_write_changes(tenant, &sealed).await
    }

    async fn make_months_of(&self, entries: &[&Entry]) -> Result<(), StoreError> {
        let (mut said, mut used) = (BTreeMap::new(), BTreeMap::new());
        for entry in entries {
            let (months, at) = match &entry.change {
                Change::Put { .. } => (&mut said, entry.session.started_at()),
                Change::Used(piece) => (&mut used, piece.at),
                _ => continue,
            };
            months.insert((at.year(), at.month()), at);
        }
        for at in said.into_values() {
            self.make_months(at, 0).await?;
        }
        for at in used.into_values() {
            self.make_usage_months(at, 0).await?;
        }
        Ok(())
    }

    /// What of a round is stored sealed.
    async fn sealed<'a>(&self, tenant: &str, round: Round<'a>) -> Result<Sealed<'a>, StoreError> {
        let mut settings = Vec::with_capacity(round.settings.len());
        for row in &round.settings {
            let spot = [row.session.id.as_str()];
            let spot = sessions::spot(tenant, &spot);
            settings.push(self.seal(spot, row.settings).await?);
        }
        let mut puts = Vec::with_capacity(round.puts.len());
        for row in &round.puts {
            let spot = [row.session.id.as_str(), row.item];
            let spot = items::spot(tenant, &spot);
            puts.push(self.seal(spot, row.content).await?);
        }
        Ok(Sealed {
            round,
            settings,
            puts,
        })
    }

    async fn try_write_changes(
        &self,
        tenant: &str,
        sealed: &[Sealed<'_>],
    ) -> Result<(), StoreError> {
        let action = "write what was said";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            for sealed in sealed {
                let round = &sealed.round;
                let rows: Vec<(&SettingsRow<'_>, &Vec<u8>)> =
                    round.settings.iter().zip(&sealed.settings).collect();
                write_rows!(on, tenant, SETTINGS, &rows, |query, row| query
                    .bind(&row.0.session.id)
                    .bind(row.0.session.started_at())
                    .bind(row.0.project)
                    .bind(row.0.model)
                    .bind(row.1)
                    .bind(row.0.revision));
                let rows: Vec<(&PutRow<'_>, &Vec<u8>)> =
                    round.puts.iter().zip(&sealed.puts).collect();
                write_rows!(on, tenant, PUT, &rows, |query, row| query
                    .bind(&row.0.session.id)
                    .bind(row.0.session.started_at())
                    .bind(row.0.item)
                    .bind(row.0.position)
                    .bind(row.0.revision)
                    .bind(row.0.created_at)
                    .bind(row.1));
                write_rows!(on, tenant, USED, &round.used, |query, row| bind_piece!(
                    query, row.0, row.1
                ));
                write_rows!(on, tenant, ANSWERED, &round.answered, |query, row| query
                    .bind(row.session)
                    .bind(row.run)
                    .bind(i64::from(row.turn))
                    .bind(row.response));
                // a client takes few items back, and a join would look for them in every month
                for row in &round.removed {
                    sqlx::query(REMOVED)
                        .bind(tenant)
                        .bind(row.session.started_at())
                        .bind(&row.session.id)
                        .bind(row.item)
                        .bind(row.revision)
                        .execute(&mut *on)
                        .await?;
                }
                write_rows!(on, tenant, ENDED, &round.ended, |query, row| query
                    .bind(row.session)
                    .bind(row.at)
                    .bind(row.outcome)
                    .bind(row.revision));
            }
            Ok(())
        })
    }

    /// Makes sure that what `tenant` says can be sealed, by asking for its key where it is not open; whoever keeps the keys may
    /// take as long as `within`. Without keys nothing is sealed.
    ///
    /// # Errors
    /// [`StoreError::Keys`] when its key cannot be had, [`StoreError::Query`], [`StoreError::Unreachable`].
    pub(crate) async fn can_seal(&self, tenant: &str, within: Duration) -> Result<(), StoreError> {
        match self.keys.source() {
            None => Ok(()),
            Some(source) => self.sealing_key(source, tenant, within).await.map(drop),
        }
    }
}

impl Entry {
    /// Whether something of it is stored sealed.
    pub(crate) const fn is_sealed(&self) -> bool {
        matches!(self.change, Change::Settings { .. } | Change::Put { .. })
    }
}
