//! The table of data keys, and the sealing of columns with them.
//! Used by the modules of tables that hold what was said.
//! Never stores a data key unwrapped.

use std::sync::Arc;
use std::time::Duration;

use super::{Db, Scope, Sql};
use crate::StoreError;
use crate::seal::{self, DataKey, KeyError, KeySource, Spot};

/// Data keys looked at in one go.
const PAGE: i64 = 500;

/// How long whoever wraps keys may take where nothing else waits for it; he has limits of his own.
const KEY_WITHIN: Duration = Duration::from_secs(30);

type Found = (String, i64, String);

async fn in_time<T>(
    within: Duration,
    work: impl Future<Output = Result<T, KeyError>>,
) -> Result<T, KeyError> {
    let silence = |_| KeyError::Silent(within.as_millis());
    tokio::time::timeout(within, work).await.map_err(silence)?
}

impl Sql {
    /// Whether what is said is sealed before it is stored.
    pub fn seals(&self) -> bool {
        self.keys.source().is_some()
    }

    /// Whether what is said lies plain in a database that others look after as well: PostgreSQL without keys.
    pub fn needs_seal(&self) -> bool {
        matches!(self.db, Db::Postgres(_)) && !self.seals()
    }

    /// Wraps every data key with the newest key that is not wrapped by it, and says how many those were.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`], [`StoreError::Keys`].
    pub async fn renew_data_keys(&self) -> Result<u64, StoreError> {
        let Some(source) = self.keys.source() else {
            return Ok(0);
        };
        let (mut renewed, mut last) = (0, (String::new(), 0));
        loop {
            let page = self.data_keys_after(&last).await?;
            let Some((tenant, number, _)) = page.last() else {
                return Ok(renewed);
            };
            last = (tenant.clone(), *number);
            for found in page {
                if let Some(anew) = source.renew(&found.2).await? {
                    renewed += u64::from(self.replace_data_key(&found, &anew).await?);
                }
            }
        }
    }

    /// Whether something of `tenant` can be sealed without asking anybody.
    pub(crate) fn has_key(&self, tenant: &str) -> bool {
        !self.seals()
            || self
                .keys
                .last(tenant)
                .is_some_and(|(_, key)| !key.is_used_up())
    }

    /// Seals `text` for `spot`; plain as it is when there are no keys.
    pub(super) async fn seal(&self, spot: Spot<'_>, text: &str) -> Result<Vec<u8>, StoreError> {
        let Some(source) = self.keys.source() else {
            return Ok(text.as_bytes().to_vec());
        };
        let (number, key) = self.sealing_key(source, spot.tenant, KEY_WITHIN).await?;
        Ok(seal::seal(number, &key, spot, text.as_bytes())?)
    }

    /// The data key that seals what `tenant` says now, and its number; whoever wraps keys may take as long as `within`.
    pub(super) async fn sealing_key(
        &self,
        source: &KeySource,
        tenant: &str,
        within: Duration,
    ) -> Result<(u32, Arc<DataKey>), StoreError> {
        let used = match self.keys.last(tenant) {
            Some((number, key)) if !key.is_used_up() => return Ok((number, key)),
            Some((number, _)) => number,
            None => 0,
        };
        self.next_data_key(source, tenant, (used, within)).await
    }

    /// The text behind a stored value of `spot`.
    pub(super) async fn unseal(
        &self,
        spot: Spot<'_>,
        stored: Vec<u8>,
    ) -> Result<Vec<u8>, StoreError> {
        let Some(number) = seal::sealed_with(&stored)? else {
            return Ok(stored);
        };
        let source = self.keys.source().ok_or(KeyError::NoKeys)?;
        let key = if let Some(key) = self.keys.find(spot.tenant, number) {
            key
        } else {
            let wrapped = self.data_key(spot.tenant, number).await?;
            let wrapped = wrapped.ok_or(KeyError::Damaged)?;
            let key = Arc::new(source.unwrap(&wrapped).await?);
            self.keys.keep(spot.tenant, number, &key);
            key
        };
        Ok(seal::open(&key, spot, &stored)?)
    }

    /// The tenant's last data key, which is made when there is none after `used`.
    async fn next_data_key(
        &self,
        source: &KeySource,
        tenant: &str,
        (used, within): (u32, Duration),
    ) -> Result<(u32, Arc<DataKey>), StoreError> {
        let (number, wrapped) = if let Some(found) = self.last_data_key(tenant, used).await? {
            found
        } else {
            let wrapped = in_time(within, source.wrap(&seal::fresh_key()?)).await?;
            // whoever was faster has made it
            self.add_data_key(tenant, used + 1, &wrapped).await?
        };
        let key = Arc::new(in_time(within, source.unwrap(&wrapped)).await?);
        self.keys.keep_last(tenant, number, &key);
        Ok((number, key))
    }

    async fn last_data_key(
        &self,
        tenant: &str,
        after: u32,
    ) -> Result<Option<(u32, String)>, StoreError> {
        let action = "find a data key";
        let found: Option<(i64, String)> =
            work!(self, Read, Scope::Tenant(tenant), action, |on| {
                sqlx::query_as(
                    "SELECT number, wrapped FROM data_keys WHERE tenant = $1 AND number > $2 \
                     ORDER BY number DESC LIMIT 1",
                )
                .bind(tenant)
                .bind(i64::from(after))
                .fetch_optional(on)
                .await
            })?;
        Ok(match found {
            None => None,
            Some((number, wrapped)) => Some((
                u32::try_from(number).map_err(|_| KeyError::Damaged)?,
                wrapped,
            )),
        })
    }

    async fn data_key(&self, tenant: &str, number: u32) -> Result<Option<String>, StoreError> {
        let action = "find a data key";
        work!(self, Read, Scope::Tenant(tenant), action, |on| {
            sqlx::query_scalar("SELECT wrapped FROM data_keys WHERE tenant = $1 AND number = $2")
                .bind(tenant)
                .bind(i64::from(number))
                .fetch_optional(on)
                .await
        })
    }

    async fn add_data_key(
        &self,
        tenant: &str,
        number: u32,
        wrapped: &str,
    ) -> Result<(u32, String), StoreError> {
        let action = "add a data key";
        let kept = work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "INSERT INTO data_keys (tenant, number, wrapped) VALUES ($1, $2, $3) \
                 ON CONFLICT (tenant, number) DO NOTHING",
            )
            .bind(tenant)
            .bind(i64::from(number))
            .bind(wrapped)
            .execute(&mut *on)
            .await?;
            sqlx::query_scalar("SELECT wrapped FROM data_keys WHERE tenant = $1 AND number = $2")
                .bind(tenant)
                .bind(i64::from(number))
                .fetch_one(on)
                .await
        })?;
        Ok((number, kept))
    }

    async fn data_keys_after(&self, last: &(String, i64)) -> Result<Vec<Found>, StoreError> {
        let action = "list data keys";
        work!(self, Read, Scope::Maintenance, action, |on| {
            sqlx::query_as(
                "SELECT tenant, number, wrapped FROM data_keys WHERE (tenant, number) > ($1, $2) \
                 ORDER BY tenant, number LIMIT $3",
            )
            .bind(&last.0)
            .bind(last.1)
            .bind(PAGE)
            .fetch_all(on)
            .await
        })
    }

    /// Puts `anew` in the place of a key that nobody has replaced meanwhile.
    async fn replace_data_key(
        &self,
        (tenant, number, wrapped): &Found,
        anew: &str,
    ) -> Result<bool, StoreError> {
        let action = "wrap a data key anew";
        work!(self, Write, Scope::Tenant(tenant), action, |on| {
            sqlx::query(
                "UPDATE data_keys SET wrapped = $4 \
                 WHERE tenant = $1 AND number = $2 AND wrapped = $3",
            )
            .bind(tenant)
            .bind(number)
            .bind(wrapped)
            .bind(anew)
            .execute(on)
            .await
            .map(|done| done.rows_affected() == 1)
        })
    }
}
