//! The Redis keys that rows were made from.

use super::Undo;
use super::restore::set_merge_joins;
use crate::postgres::query;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// A row, and what it was made from.
#[derive(Clone, Debug)]
pub struct RowOrigin {
    /// The row's key.
    pub row_key: String,
    /// The Redis key; `None`: it is not told.
    pub redis_key: Option<Vec<u8>>,
    /// Its database, where it is not the source's own.
    pub database: Option<String>,
}

impl Undo<'_> {
    /// What the rows of these keys were made from, as they are now; nothing of those that are not there.
    ///
    /// # Errors
    /// The server's.
    pub async fn origins(&self, connection: &mut PgConnection, keys: &[&str]) -> Result<Vec<RowOrigin>, Error> {
        let table = self.table;
        let (key, database, join) = table.redis_key();
        set_merge_joins(connection, false).await?;
        let rows = query(format!(
            "SELECT r.key AS row_key, {key} AS redis_key, {database} AS redis_db FROM pg_catalog.unnest($1::text[]) r (key) \
             CROSS JOIN LATERAL {} JOIN {} t ON {}{join}",
            table.key_record("r.key::jsonb"),
            table.only(),
            table.key_join(),
        ))
        .bind(keys)
        .fetch_all(connection)
        .await?;
        let origin = |row: &sqlx::postgres::PgRow| {
            Ok(RowOrigin {
                row_key: row.try_get("row_key")?,
                redis_key: row.try_get("redis_key")?,
                database: row.try_get("redis_db")?,
            })
        };
        rows.iter().map(origin).collect()
    }
}
