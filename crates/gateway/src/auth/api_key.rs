//! API keys: made, and verified without letting strangers burn the CPU.
//! Used by `authenticate` and by the command line's `keys`.
//! Never stores or logs a key; it is shown once, when it is made.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use aws_lc_rs::{constant_time, hmac, rand};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use store::live::Facts;
use store::live::facts::Change;
use store::{ApiKey, NewApiKey, Rotation, Sql, StoreError, TenantLimits, TenantStatus};
use tokio::sync::Semaphore;

use super::cache::{Cache, Fingerprint, Known};
use super::records::{Record, Records};
use super::{
    Allowance, AuthError, DEFAULT_PLAN, DEFAULT_PROJECT, DEFAULT_TENANT, Principal, Scopes,
    key_text,
};
use crate::audit::Actor;
use crate::clock::Clock;
use crate::config::Secret;
use crate::observe::Metrics;

/// Argon2id runs at the same time: each holds 19 MiB and a core for about 20 ms.
const HASHERS: usize = 2;

/// Memory of Argon2id in KiB, passes, lanes (spec/dependencies §5: 19 MiB, t=2, p=1).
const ARGON2: (u32, u32, u32) = (19_456, 2, 1);

/// `last_used_at` is written at most so often.
const TOUCH_EVERY: TimeDelta = TimeDelta::seconds(60);

/// Keys of one tenant that work at the same time. Two that are made at once may both be the last.
pub const MAX_KEYS: i64 = 1000;

/// Name of the checksum key among the installation's values.
const CHECKSUM_VALUE: &str = "api_key_checksum";

/// Key id of the bootstrap key.
const BOOTSTRAP_ID: &str = "bootstrap";

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Whose it is.
    pub tenant: String,
    /// The project it is to belong to.
    pub project: String,
    /// What its owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it ends by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key that was just made: the only time its text exists.
#[derive(Debug)]
pub struct MintedKey {
    /// Public id.
    pub id: String,
    /// The whole key.
    pub text: Secret,
}

/// The keys of this server.
pub struct ApiKeys {
    sql: Sql,
    clock: Clock,
    checksum_key: hmac::Key,
    fingerprint_key: hmac::Key,
    bootstrap: Option<Fingerprint>,
    cache: Cache,
    records: Records,
    hashers: Arc<Semaphore>,
    /// Verified for ids that do not exist, so that they take as long as ids that do.
    dummy_hash: Arc<str>,
}

impl std::fmt::Debug for ApiKeys {
    /// Everything in here is secret or dull.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeys").finish_non_exhaustive()
    }
}

impl ApiKeys {
    /// Reads the installation's checksum key, making it on first start.
    ///
    /// # Errors
    /// [`AuthError::Store`], or [`AuthError::Hashing`] when the system gives no randomness.
    pub async fn open(
        sql: Sql,
        clock: Clock,
        bootstrap: Option<&Secret>,
    ) -> Result<Self, AuthError> {
        let checksum_bytes = sql
            .installation_value(CHECKSUM_VALUE, &random_bytes()?)
            .await?;
        let checksum_key = hmac::Key::new(hmac::HMAC_SHA256, &checksum_bytes);
        let fingerprint_key = hmac::Key::new(hmac::HMAC_SHA256, &random_bytes()?);
        let dummy = key_text::random_text(43)?;
        let dummy_hash = tokio::task::spawn_blocking(move || hash(&dummy))
            .await
            .map_err(|_| AuthError::Hashing)??;
        Ok(Self {
            bootstrap: bootstrap.map(|key| fingerprint(&fingerprint_key, key.reveal())),
            records: Records::new(
                sql.clone(),
                Facts::none(),
                Metrics::default(),
                &checksum_key,
            ),
            sql,
            clock,
            checksum_key,
            fingerprint_key,
            cache: Cache::default(),
            hashers: Arc::new(Semaphore::new(HASHERS)),
            dummy_hash: dummy_hash.into(),
        })
    }

    /// These keys, with what all servers know of them: of each other's changes they hear through `facts`, and who had an
    /// answer is counted in `metrics`.
    #[must_use]
    pub fn sharing(mut self, facts: Facts, metrics: Metrics) -> Self {
        self.records = Records::new(self.sql.clone(), facts, metrics, &self.checksum_key);
        self
    }

    /// Makes and stores a key.
    ///
    /// # Errors
    /// [`AuthError::Store`] or [`AuthError::Hashing`].
    pub async fn create(&self, new: &NewKey, by: &Actor) -> Result<MintedKey, AuthError> {
        let (minted, hash) = self.mint().await?;
        let now = self.clock.utc();
        let scopes = new.scopes.names();
        let key = NewApiKey {
            id: &minted.id,
            tenant: &new.tenant,
            project: &new.project,
            name: &new.name,
            scopes: &scopes,
            hash: &hash,
            created_at: now,
            expires_at: new.expires_at,
        };
        let mut act = by.act(now, "key.create", &minted.id);
        act.after = Some(json!({
            "name": new.name, "project": new.project, "scopes": scopes,
            "expires_at": new.expires_at.map(|at| at.timestamp()),
        }));
        self.sql.create_key(&key, &act).await?;
        Ok(minted)
    }

    /// Makes a key of the same name and scopes in the place of `old`, which goes on working for `grace`; `None` when
    /// it does not work any more.
    ///
    /// # Errors
    /// [`AuthError::Store`] or [`AuthError::Hashing`].
    pub async fn rotate(
        &self,
        old: &ApiKey,
        grace: TimeDelta,
        by: &Actor,
    ) -> Result<Option<MintedKey>, AuthError> {
        let (minted, hash) = self.mint().await?;
        let now = self.clock.utc();
        let rotation = Rotation {
            old: &old.id,
            old_ends_at: now + grace,
            new: NewApiKey {
                id: &minted.id,
                tenant: &old.tenant,
                project: &old.project,
                name: &old.name,
                scopes: &old.scopes,
                hash: &hash,
                created_at: now,
                expires_at: None,
            },
        };
        let mut act = by.act(now, "key.rotate", &old.id);
        act.before = Some(json!({ "expires_at": old.expires_at.map(|at| at.timestamp()) }));
        act.after = Some(json!({
            "expires_at": rotation.old_ends_at.timestamp(), "replaced_by": minted.id,
        }));
        let change = self.records.changing(&old.id).await;
        let is_done = self.sql.rotate_key(&rotation, &act).await;
        self.cache.forget(&old.id);
        let is_done = self.told((&old.id, change), is_done).await?;
        Ok(is_done.then_some(minted))
    }

    /// All keys of `tenant`, oldest first.
    ///
    /// # Errors
    /// [`AuthError::Store`].
    pub async fn list(&self, tenant: &str) -> Result<Vec<ApiKey>, AuthError> {
        Ok(self.sql.list_keys(tenant).await?)
    }

    /// The key of `tenant` with this public id; another tenant's is as one that does not exist.
    ///
    /// # Errors
    /// [`AuthError::Store`].
    pub async fn find(&self, tenant: &str, id: &str) -> Result<Option<ApiKey>, AuthError> {
        let found = self.sql.find_key(id).await?;
        Ok(found.filter(|key| key.tenant == tenant))
    }

    /// Whether `tenant` has as many keys that work as it may have.
    ///
    /// # Errors
    /// [`AuthError::Store`].
    pub async fn is_full(&self, tenant: &str) -> Result<bool, AuthError> {
        let active = self.sql.count_active_keys(tenant, self.clock.utc()).await?;
        Ok(active >= MAX_KEYS)
    }

    /// Makes a key of `tenant` open nothing from now on; false when it has no such key that works.
    ///
    /// # Errors
    /// [`AuthError::Store`].
    pub async fn revoke(&self, tenant: &str, id: &str, by: &Actor) -> Result<bool, AuthError> {
        let mut act = by.act(self.clock.utc(), "key.revoke", id);
        act.after = Some(json!({ "revoked_at": act.at.timestamp() }));
        let change = self.records.changing(id).await;
        let is_done = self.sql.revoke_key(tenant, id, &act).await;
        self.cache.forget(id);
        Ok(self.told((id, change), is_done).await?)
    }

    /// Says that a key was changed. Where nobody knows whether it was, nothing is known of it until the announcement of
    /// the change has run out: the database may still do it.
    async fn told<T>(
        &self,
        (id, change): (&str, Change),
        done: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if done.is_ok() {
            self.records.changed(id, change).await;
        }
        done
    }

    /// The text of a new key and the hash of its secret; nothing is stored.
    ///
    /// # Errors
    /// [`AuthError::Hashing`].
    pub async fn mint(&self) -> Result<(MintedKey, String), AuthError> {
        let text = key_text::mint(&self.checksum_key)?;
        let parts = key_text::parse(&self.checksum_key, &text)?;
        let secret = parts.secret.to_owned();
        let hash = self.blocking(move || hash(&secret)).await??;
        let minted = MintedKey {
            id: parts.id.to_owned(),
            text: Secret::new(text.as_str()),
        };
        Ok((minted, hash))
    }

    /// Says whose key `text` is.
    ///
    /// A key seen in the last 5 minutes costs one HMAC, any other one Argon2 run; a text that is no key of this
    /// installation costs one HMAC and no more.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn verify(&self, text: &str) -> Result<Principal, AuthError> {
        let print = fingerprint(&self.fingerprint_key, text);
        if let Some(bootstrap) = &self.bootstrap
            && constant_time::verify_slices_are_equal(bootstrap, &print).is_ok()
        {
            return Ok(bootstrap_principal());
        }
        let parts = key_text::parse(&self.checksum_key, text)?;
        match self.cache.get(&print, self.clock.now()) {
            Some(Known::Fresh(principal)) => {
                self.records.in_process();
                Ok(principal)
            }
            Some(Known::Stale(principal)) => self.recheck(&print, principal).await,
            None => self.verify_slowly(parts, print).await,
        }
    }

    /// Whether this key was found right in the last minutes. Asks nobody.
    pub(super) fn knows(&self, text: &str) -> bool {
        let print = fingerprint(&self.fingerprint_key, text);
        let is_bootstrap =
            |own: &Fingerprint| constant_time::verify_slices_are_equal(own, &print).is_ok();
        self.bootstrap.as_ref().is_some_and(is_bootstrap)
            || self.cache.get(&print, self.clock.now()).is_some()
    }

    /// How much whoever has the key of that public id may have at this time.
    ///
    /// # Errors
    /// [`AuthError::Revoked`] when the key opens nothing any more, [`AuthError::Suspended`], [`AuthError::Store`].
    pub async fn allowance(&self, id: &str) -> Result<Allowance, AuthError> {
        if id == BOOTSTRAP_ID && self.bootstrap.is_some() {
            return Ok(bootstrap_principal().allowance);
        }
        let standing = self.records.standing(id, self.clock.utc()).await?;
        let standing = standing.filter(|standing| standing.key_works);
        let standing = standing.ok_or(AuthError::Revoked)?;
        allowed(standing.status, standing.plan, standing.limits)
    }

    /// How much a tenant may have at this time that comes without a key, such as by a telephone number of its own.
    ///
    /// # Errors
    /// [`AuthError::Revoked`] where there is no such tenant, [`AuthError::Suspended`], [`AuthError::Store`].
    pub async fn allowance_of(&self, tenant: &str) -> Result<Allowance, AuthError> {
        let found = self.sql.find_tenant(tenant).await?;
        match found {
            Some(found) => allowed(found.status, found.plan, found.limits),
            None if tenant == DEFAULT_TENANT => Ok(bootstrap_principal().allowance),
            None => Err(AuthError::Revoked),
        }
    }

    async fn recheck(&self, print: &Fingerprint, known: Principal) -> Result<Principal, AuthError> {
        // from before the question: what changes while it is answered counts as changed afterwards
        let asked = self.clock.now();
        match self.allowance(&known.key_id).await {
            Ok(allowance) => {
                let principal = Principal { allowance, ..known };
                self.cache.checked(print, &principal, asked);
                Ok(principal)
            }
            Err(AuthError::Store(error)) => Err(AuthError::Store(error)),
            Err(refused) => {
                self.cache.remove(print);
                Err(refused)
            }
        }
    }

    async fn verify_slowly(
        &self,
        parts: key_text::KeyText<'_>,
        print: Fingerprint,
    ) -> Result<Principal, AuthError> {
        let record = self.records.key(parts.id).await?;
        let stored: Arc<str> = record.as_ref().map_or_else(
            || Arc::clone(&self.dummy_hash),
            |record| record.hash.as_str().into(),
        );
        let secret = Secret::new(parts.secret);
        let right = self.blocking(move || matches(&stored, &secret)).await?;
        let Some(record) = record.filter(|_| right) else {
            return Err(AuthError::Wrong);
        };
        if record.revoked_at.is_some() {
            return Err(AuthError::Revoked);
        }
        if record.has_ended(self.clock.utc()) {
            return Err(AuthError::Expired);
        }
        let asked = self.clock.now();
        let allowance = self.allowance(parts.id).await?;
        self.touch(parts.id, &record).await;
        let principal = Principal {
            allowance,
            tenant: record.tenant,
            project: record.project,
            key_id: parts.id.to_owned(),
            scopes: Scopes::from_names(&record.scopes),
            stored_session: None,
        };
        self.cache.put(print, principal.clone(), asked);
        Ok(principal)
    }

    /// Notes that a key was used. A database that is away keeps nobody out whose key is known.
    async fn touch(&self, id: &str, record: &Record) {
        let now = self.clock.utc();
        let last = record.last_used_at;
        if last.is_none_or(|last| now - last >= TOUCH_EVERY)
            && let Err(error) = self.sql.touch_key(&record.tenant, id, now).await
        {
            let error = super::chain(&error);
            tracing::warn!(key_id = id, error, "cannot note that a key was used");
        }
    }

    /// Runs Argon2 off the async threads, at most [`HASHERS`] at a time.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AuthError> {
        let permit = Arc::clone(&self.hashers)
            .acquire_owned()
            .await
            .map_err(|_| AuthError::Hashing)?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
        .map_err(|_| AuthError::Hashing)
    }
}

/// What a tenant in this state may have.
fn allowed(
    status: TenantStatus,
    plan: String,
    limits: TenantLimits,
) -> Result<Allowance, AuthError> {
    match status {
        TenantStatus::Active => Ok(Allowance { plan, limits }),
        TenantStatus::Suspended => Err(AuthError::Suspended),
        TenantStatus::Deleted => Err(AuthError::Revoked),
    }
}

fn bootstrap_principal() -> Principal {
    Principal {
        tenant: DEFAULT_TENANT.to_owned(),
        project: DEFAULT_PROJECT.to_owned(),
        allowance: Allowance {
            plan: DEFAULT_PLAN.to_owned(),
            limits: TenantLimits::default(),
        },
        key_id: BOOTSTRAP_ID.to_owned(),
        scopes: Scopes::full(),
        stored_session: None,
    }
}

fn random_bytes() -> Result<[u8; 32], AuthError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| AuthError::Hashing)?;
    Ok(bytes)
}

fn fingerprint(key: &hmac::Key, text: &str) -> Fingerprint {
    let mut print = Fingerprint::default();
    print.copy_from_slice(hmac::sign(key, text.as_bytes()).as_ref());
    print
}

fn argon2() -> Result<Argon2<'static>, AuthError> {
    let (memory_kib, passes, lanes) = ARGON2;
    let params = Params::new(memory_kib, passes, lanes, None).map_err(|_| AuthError::Hashing)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(secret: &str) -> Result<String, AuthError> {
    let hash = argon2()?
        .hash_password(secret.as_bytes())
        .map_err(|_| AuthError::Hashing)?;
    Ok(hash.to_string())
}

fn matches(stored: &str, secret: &Secret) -> bool {
    let Ok(hash) = PasswordHash::new(stored) else {
        return false;
    };
    argon2().is_ok_and(|argon2| {
        argon2
            .verify_password(secret.reveal().as_bytes(), &hash)
            .is_ok()
    })
}

#[cfg(test)]
mod tests;
