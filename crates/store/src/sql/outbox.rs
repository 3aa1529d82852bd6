//! The outbox: what has to be done outside because something changed here.
//! Put in by functions of other tables, in the transaction of their change; claimed and done by whoever works it off.
//! Never gives a piece of work to two at a time, and never forgets one that was not done.
//!
//! Who claims has it for a while (the lease). Who does not come back in that time loses it to the next: work is done at
//! least once, and the outside tells doubles apart by the effect's id.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use super::calls::spot;
use super::lease::{Claim, Retries};
use super::{Scope, Sql};
use crate::StoreError;
use crate::seal::KeyError;

/// Something to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEffect {
    /// Names it among the tenant's; one that is there already is not put in again.
    pub id: String,
    /// What kind of work it is, such as `webhook`.
    pub topic: String,
    /// What the worker needs to know, as JSON.
    pub payload: String,
    /// Not before this.
    pub due_at: DateTime<Utc>,
}

/// An effect that somebody has claimed, or that is given up.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Effect {
    /// Whose.
    pub tenant: String,
    /// Names it among the tenant's.
    pub id: String,
    /// What kind of work.
    pub topic: String,
    /// What the worker needs to know, as JSON.
    pub payload: String,
    /// How often it was claimed, this time included.
    pub tries: i64,
    /// What went wrong the last time.
    pub problem: Option<String>,
}

/// What becomes of work that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterFailure {
    /// It is tried again then.
    Again(DateTime<Utc>),
    /// It was tried often enough; it stays where it is, dead, until somebody looks.
    Dead,
    /// It is no longer this owner's: the lease was over, and another has it or has done it.
    NotOurs,
}

/// The claim. A tenant's effects stand in a row of their own, behind those of it that somebody has claimed; the first of each
/// come before the second of any, so that whoever is slow to take what is brought delays nobody else.
const CLAIM: Claim = claim!(
    WITH "busy AS MATERIALIZED (SELECT tenant, COUNT(*) AS claimed FROM outbox \
         WHERE state = 'waiting' AND due_at > $3 AND topic = $4 AND owner IS NOT NULL GROUP BY tenant), \
     ranked AS MATERIALIZED (SELECT o.tenant AS tenant, o.id AS id, o.due_at AS due_at, \
         COALESCE(b.claimed, 0) + ROW_NUMBER() OVER (PARTITION BY o.tenant ORDER BY o.due_at, o.id) AS turn \
         FROM outbox o LEFT JOIN busy b ON b.tenant = o.tenant \
         WHERE o.state = 'waiting' AND o.due_at <= $3 AND o.topic = $4), ",
    "SELECT o.tenant, o.id FROM outbox o JOIN ranked r ON r.tenant = o.tenant AND r.id = o.id \
     WHERE o.state = 'waiting' AND o.due_at <= $3 AND o.topic = $4 \
     ORDER BY r.turn, r.due_at, o.tenant, o.id LIMIT $5" OF " OF o",
    "outbox SET owner = $1, tries = tries + 1, due_at = $2",
    "tenant, id, topic, payload, tries, problem"
);

/// Puts effects in, in the transaction of a piece of [`work!`].
macro_rules! put_effects {
    ($on:ident, $tenant:expr, $effects:expr, $now:expr) => {{
        let effects: &[$crate::sql::outbox::NewEffect] = $effects;
        for effect in effects {
            sqlx::query(
                "INSERT INTO outbox (tenant, id, topic, payload, state, tries, due_at, created_at) \
                 VALUES ($1, $2, $3, $4, 'waiting', 0, $5, $6) ON CONFLICT (tenant, id) DO NOTHING",
            )
            .bind($tenant)
            .bind(&effect.id)
            .bind(&effect.topic)
            .bind(&effect.payload)
            .bind(effect.due_at)
            .bind($now)
            .execute(&mut *$on)
            .await?;
        }
    }};
}

/// What a payload begins with that lies sealed.
const SEALED: &str = "sealed:";

impl Sql {
    /// The same effect with its payload sealed, when there are keys: for payloads with what was said or a number in them.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn sealed_effect(
        &self,
        tenant: &str,
        mut effect: NewEffect,
    ) -> Result<NewEffect, StoreError> {
        if self.keys.source().is_some() {
            let row = [effect.id.as_str()];
            let spot = spot(tenant, "outbox", &row);
            let sealed = self.seal(spot, &effect.payload).await?;
            effect.payload = format!("{SEALED}{}", STANDARD.encode(sealed));
        }
        Ok(effect)
    }

    /// What the worker needs to know, however it lies.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn effect_payload(&self, effect: &Effect) -> Result<String, StoreError> {
        let Some(sealed) = effect.payload.strip_prefix(SEALED) else {
            return Ok(effect.payload.clone());
        };
        let row = [effect.id.as_str()];
        let stored = STANDARD.decode(sealed).map_err(|_| KeyError::Damaged)?;
        let opened = self.unseal(spot(&effect.tenant, "outbox", &row), stored);
        // it was text when it was sealed
        Ok(String::from_utf8_lossy(&opened.await?).into_owned())
    }

    /// Puts effects of `tenant` in that belong to no other change of the database.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn put_effects(
        &self,
        tenant: &str,
        effects: &[NewEffect],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        work!(self, Write, Scope::Tenant(tenant), "put work in", |on| {
            put_effects!(on, tenant, effects, now);
            Ok(())
        })
    }

    /// Gives `owner` up to `limit` effects of a topic that are due, of all tenants, until `lease_until`.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn claim_effects(
        &self,
        (topic, owner): (&str, &str),
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<Effect>, StoreError> {
        let claim = self.claim(&CLAIM);
        work!(self, Write, Scope::Outbox, "claim work", |on| {
            sqlx::query_as(claim)
                .bind(owner)
                .bind(lease_until)
                .bind(now)
                .bind(topic)
                .bind(i64::from(limit))
                .fetch_all(on)
                .await
        })
    }

    /// Says that `owner` has done an effect; false when it is no longer the owner's.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn effect_done(
        &self,
        effect: &Effect,
        owner: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let scope = Scope::Tenant(&effect.tenant);
        work!(self, Write, scope, "note work that is done", |on| {
            sqlx::query(
                "UPDATE outbox SET state = 'done', ended_at = $5, problem = NULL \
                 WHERE tenant = $1 AND id = $2 AND owner = $3 AND tries = $4 AND state = 'waiting'",
            )
            .bind(&effect.tenant)
            .bind(&effect.id)
            .bind(owner)
            .bind(effect.tries)
            .bind(now)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }

    /// Says that `owner` could not do an effect and why, and what becomes of it.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn effect_failed(
        &self,
        (effect, owner): (&Effect, &str),
        problem: &str,
        now: DateTime<Utc>,
        retries: Retries,
    ) -> Result<AfterFailure, StoreError> {
        let dead = effect.tries >= i64::from(retries.tries);
        let again = now + retries.pause(effect.tries);
        let (state, ended_at) = if dead {
            ("dead", Some(now))
        } else {
            ("waiting", None)
        };
        let scope = Scope::Tenant(&effect.tenant);
        let ours = work!(self, Write, scope, "note work that failed", |on| {
            sqlx::query(
                "UPDATE outbox SET state = $5, due_at = $6, problem = $7, ended_at = $8, owner = NULL \
                 WHERE tenant = $1 AND id = $2 AND owner = $3 AND tries = $4 AND state = 'waiting'",
            )
            .bind(&effect.tenant)
            .bind(&effect.id)
            .bind(owner)
            .bind(effect.tries)
            .bind(state)
            .bind(again)
            .bind(problem)
            .bind(ended_at)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })?;
        Ok(match (ours, dead) {
            (false, _) => AfterFailure::NotOurs,
            (true, true) => AfterFailure::Dead,
            (true, false) => AfterFailure::Again(again),
        })
    }

    /// Up to `limit` effects of `tenant` that were given up, in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn dead_effects(&self, tenant: &str, limit: u32) -> Result<Vec<Effect>, StoreError> {
        work!(self, Read, Scope::Tenant(tenant), "list dead work", |on| {
            sqlx::query_as(
                "SELECT tenant, id, topic, payload, tries, problem FROM outbox \
                 WHERE tenant = $1 AND state = 'dead' ORDER BY id LIMIT $2",
            )
            .bind(tenant)
            .bind(i64::from(limit))
            .fetch_all(on)
            .await
        })
    }

    /// Lets an effect that was given up be tried again from the beginning; false when there is no such.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn revive_effect(
        &self,
        tenant: &str,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        work!(self, Write, Scope::Tenant(tenant), "revive work", |on| {
            sqlx::query(
                "UPDATE outbox SET state = 'waiting', tries = 0, due_at = $3, ended_at = NULL \
                 WHERE tenant = $1 AND id = $2 AND state = 'dead'",
            )
            .bind(tenant)
            .bind(id)
            .bind(now)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }
}
