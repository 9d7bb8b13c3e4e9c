//! Whether a run may be rolled back: how it stands, which runs came after it, and what images it left.

use super::rollback::account;
use crate::model::RollbackAccount;
use crate::postgres::query;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};
use uuid::Uuid;

/// A run that may be rolled back, or not.
#[derive(Clone, Debug)]
pub struct Undoable {
    /// The run.
    pub run: Uuid,
    /// Whether a process holds its lease.
    pub is_alive: bool,
    /// When it was rolled back, RFC 3339 in UTC.
    pub rolled_back_at: Option<String>,
    /// What was done so far.
    pub account: RollbackAccount,
    /// Whether it retried rejects of another run.
    pub retries: bool,
    /// Whether rows became the run's again since: another run's rollback put them back.
    pub has_again: bool,
    /// How many before-images its journal says that it took.
    pub noted: i64,
    /// Whether it updated rows, in a version that did not note how many images it took.
    pub updated_unnoted: bool,
}

/// Reads what is known of a run.
///
/// # Errors
/// The server's.
pub async fn undoable(connection: &mut PgConnection, id: &str) -> Result<Option<Undoable>, Error> {
    let mut transaction = connection.begin().await?;
    let row = query(
        "SELECT r.id::text, state = 'running' AND lease_expires_at > pg_catalog.clock_timestamp() AS is_alive, \
         r.retry_of IS NOT NULL AS retries, \
         EXISTS (SELECT FROM redis2pg.batches b WHERE b.run_id = r.id AND b.committed_at > r.rolled_back_at) AS has_again, rollback::text AS account, \
         pg_catalog.to_char(rolled_back_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS rolled_back_at, \
         n.noted, n.updated_unnoted \
         FROM redis2pg.runs r CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.sum(b.images), 0)::bigint AS noted, \
         coalesce(pg_catalog.bool_or(b.images IS NULL AND (b.tally ->> 'updated')::bigint > 0), false) AS updated_unnoted \
         FROM redis2pg.batches b WHERE b.run_id = r.id) n WHERE pg_catalog.starts_with(r.id::text, \
         pg_catalog.lower($1)) ORDER BY r.started_at DESC LIMIT 1",
    )
    .bind(id)
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    row.map(|row| {
        Ok(Undoable {
            run: super::runs::run_id(&row)?,
            is_alive: row.try_get("is_alive")?,
            rolled_back_at: row.try_get("rolled_back_at")?,
            account: account(&row)?,
            retries: row.try_get("retries")?,
            has_again: row.try_get("has_again")?,
            noted: row.try_get("noted")?,
            updated_unnoted: row.try_get("updated_unnoted")?,
        })
    })
    .transpose()
}

/// The journal's row `b` is of this cluster's numbers, as a condition: after a restore from a dump its number may be that of any
/// transaction, and it speaks of no row.
const OF_NOW: &str = "b.xmin::text::bigint = (b.xid & 4294967295)";

/// Other runs that changed or deleted rows which this run had written, and that are not rolled back: each with how many rows,
/// the latest first.
///
/// # Errors
/// The server's.
pub async fn changed_by(connection: &mut PgConnection, run: Uuid) -> Result<Vec<(String, i64)>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(format!(
        "SELECT i.run_id::text, pg_catalog.count(*) FROM redis2pg.before_images i JOIN redis2pg.runs r ON r.id = i.run_id \
         WHERE i.run_id <> $1::text::uuid AND r.rolled_back_at IS NULL AND (i.table_name, i.row_xmin) IN \
         (SELECT b.table_name, b.xid & 4294967295 FROM redis2pg.batches b WHERE b.run_id = $1::text::uuid AND {OF_NOW}) \
         GROUP BY i.run_id, r.started_at ORDER BY r.started_at DESC"
    ))
    .bind(run.to_string())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Those of some runs of which this run changed rows in its turn, itself or by way of others that are not rolled back: none of them can
/// be the first that is.
///
/// # Errors
/// The server's.
pub async fn in_a_circle(connection: &mut PgConnection, run: Uuid, others: &[String]) -> Result<Vec<String>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(format!(
        "WITH RECURSIVE edges AS MATERIALIZED (SELECT DISTINCT b.run_id AS early, i.late FROM \
         (SELECT DISTINCT i.run_id AS late, i.table_name, i.row_xmin FROM redis2pg.before_images i \
         JOIN redis2pg.runs r ON r.id = i.run_id WHERE r.rolled_back_at IS NULL) i \
         JOIN redis2pg.batches b ON (b.xid & 4294967295) = i.row_xmin AND b.table_name = i.table_name AND b.run_id <> i.late AND {OF_NOW}), \
         reach (start, run) AS (SELECT early, late FROM edges WHERE early = ANY ($2::text[]::uuid[]) \
         UNION SELECT reach.start, edges.late FROM reach JOIN edges ON edges.early = reach.run) \
         SELECT DISTINCT start::text FROM reach WHERE run = $1::text::uuid ORDER BY 1"
    ))
    .bind(run.to_string())
    .bind(others)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Later runs, not rolled back, that found rows of this run's tables as they had to be: each with how many, the latest first.
///
/// # Errors
/// The server's.
pub async fn found_unchanged(connection: &mut PgConnection, run: Uuid) -> Result<Vec<(String, i64)>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(
        "SELECT r.id::text, pg_catalog.sum((b.tally ->> 'unchanged')::bigint)::bigint FROM redis2pg.batches b \
         JOIN redis2pg.runs r ON r.id = b.run_id JOIN redis2pg.runs o ON o.id = $1::text::uuid \
         WHERE r.started_at > o.started_at AND r.rolled_back_at IS NULL \
         AND b.table_name IN (SELECT t.table_name FROM redis2pg.batches t WHERE t.run_id = o.id) GROUP BY r.id \
         HAVING pg_catalog.sum((b.tally ->> 'unchanged')::bigint) > 0 ORDER BY r.started_at DESC",
    )
    .bind(run.to_string())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The before-images of a run: table, key columns in the order of their names, and how many there are.
///
/// # Errors
/// The server's.
pub async fn image_tables(connection: &mut PgConnection, run: Uuid) -> Result<Vec<(String, Vec<String>, i64)>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(
        "SELECT g.table_name, g.keys, pg_catalog.count(*) FROM (SELECT i.table_name, \
         ARRAY(SELECT k FROM pg_catalog.jsonb_object_keys(i.row_key) k ORDER BY k) AS keys \
         FROM redis2pg.before_images i WHERE i.run_id = $1::text::uuid) g GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .bind(run.to_string())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}
