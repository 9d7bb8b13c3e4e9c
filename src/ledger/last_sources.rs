//! Where the rows of a mapping were read from last.

use crate::postgres::{milliseconds, query};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};
use std::time::Duration;

/// The last run that wrote rows of a mapping into its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSource {
    /// The mapping's name.
    pub mapping: String,
    /// The source of that run, as in [`super::NewRun::source`].
    pub source: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
}

/// Of each mapping, by name and table, the last run that committed a batch of it; none of those that had no run. Nothing
/// where there is no ledger, or this role may not read it, or has to wait for it longer than `lock_timeout`.
///
/// # Errors
/// The connection's.
pub async fn last_sources(
    connection: &mut PgConnection,
    (mappings, tables): (&[String], &[String]),
    lock_timeout: Duration,
) -> Result<Vec<LastSource>, Error> {
    let mut transaction = connection.begin().await?;
    query(format!("SET LOCAL lock_timeout = {}", milliseconds(lock_timeout))).execute(&mut *transaction).await?;
    let there =
        query("SELECT pg_catalog.to_regclass('redis2pg.batches') IS NOT NULL").fetch_one(&mut *transaction).await;
    let found = match there.and_then(|row| row.try_get(0)) {
        Ok(true) => {
            query(
                "SELECT m.name, l.source, pg_catalog.to_char(l.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS started_at \
                 FROM unnest($1::text[], $2::text[]) AS m (name, into_table) CROSS JOIN LATERAL \
                 (SELECT r.source, r.started_at FROM redis2pg.runs r \
                 WHERE pg_catalog.to_jsonb(r.*) ->> 'rolled_back_at' IS NULL AND EXISTS (SELECT FROM redis2pg.batches b \
                 WHERE b.run_id = r.id AND b.mapping = m.name AND b.table_name = m.into_table) \
                 ORDER BY r.started_at DESC LIMIT 1) l ORDER BY m.name",
            )
            .bind(mappings)
            .bind(tables)
            .fetch_all(&mut *transaction)
            .await
        }
        Ok(false) => Ok(Vec::new()),
        Err(error) => Err(error),
    };
    transaction.rollback().await?;
    match found {
        Ok(rows) => rows
            .iter()
            .map(|row| {
                Ok(LastSource {
                    mapping: row.try_get("name")?,
                    source: row.try_get("source")?,
                    started_at: row.try_get("started_at")?,
                })
            })
            .collect(),
        Err(Error::Database(_)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
