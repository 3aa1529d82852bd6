//! Values that belong to this installation and are made on first use.
//! Used by the gateway for the key of API-key checksums.
//! Never changes a value once it is written.

use super::{Scope, Sql};
use crate::StoreError;

impl Sql {
    /// The value called `name`; `fresh` is stored and returned when there is none yet.
    /// Two processes that start at the same time agree on one value.
    ///
    /// # Errors
    /// [`StoreError::Query`], [`StoreError::Unreachable`].
    pub async fn installation_value(
        &self,
        name: &str,
        fresh: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        let action = "agree on an installation value";
        work!(self, Write, Scope::Installation, action, |on| {
            sqlx::query(
                "INSERT INTO installation (name, value) VALUES ($1, $2) \
                 ON CONFLICT (name) DO NOTHING",
            )
            .bind(name)
            .bind(fresh)
            .execute(&mut *on)
            .await?;
            sqlx::query_scalar("SELECT value FROM installation WHERE name = $1")
                .bind(name)
                .fetch_one(on)
                .await
        })
    }
}
