//! Values that belong to this installation and are made on first use.
//! Used by the gateway for the key of API-key checksums.
//! Never changes a value once it is written.

use super::{Sql, query};
use crate::StoreError;

impl Sql {
    /// The value called `name`; `fresh` is stored and returned when there is none yet.
    /// Two processes that start at the same time agree on one value.
    ///
    /// # Errors
    /// [`StoreError::Query`].
    pub async fn installation_value(
        &self,
        name: &str,
        fresh: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        sqlx::query(
            "INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
        )
        .bind(name)
        .bind(fresh)
        .execute(&self.writer)
        .await
        .map_err(query("write an installation value"))?;
        sqlx::query_scalar("SELECT value FROM installation WHERE name = $1")
            .bind(name)
            .fetch_one(&self.writer)
            .await
            .map_err(query("read an installation value"))
    }
}
