//! The rollback of a run: whether it may be, the lease of the process that does it, and its account.
//!
//! The lease is renewed in each of the rollback's own transactions, by an update of the run's row that holds until they
//! end: whoever lost it to another process finds that out before anything else, and two never work side by side.

use super::run_tables::TABLES_LOCK;
use super::shards::{begin_held, holder_name};
use crate::model::RollbackAccount;
use crate::postgres::query;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};
use std::time::Duration;
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
    /// Whether a rollback has begun.
    pub begun: bool,
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
        "SELECT r.id::text, state = 'running' AND lease_expires_at > clock_timestamp() AS is_alive, \
         rollback_lease IS NOT NULL AS begun, \
         EXISTS (SELECT FROM redis2pg.batches b WHERE b.run_id = r.id AND b.committed_at > r.rolled_back_at) AS has_again, rollback::text AS account, \
         to_char(rolled_back_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS rolled_back_at, \
         n.noted, n.updated_unnoted \
         FROM redis2pg.runs r CROSS JOIN LATERAL (SELECT coalesce(sum(b.images), 0)::bigint AS noted, \
         coalesce(bool_or(b.images IS NULL AND (b.tally ->> 'updated')::bigint > 0), false) AS updated_unnoted \
         FROM redis2pg.batches b WHERE b.run_id = r.id) n WHERE starts_with(r.id::text, lower($1)) ORDER BY r.started_at DESC LIMIT 1",
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
            begun: row.try_get("begun")?,
            has_again: row.try_get("has_again")?,
            noted: row.try_get("noted")?,
            updated_unnoted: row.try_get("updated_unnoted")?,
        })
    })
    .transpose()
}

/// Other runs that changed or deleted rows which this run had written, and that are not rolled back: each with how many rows,
/// the latest first.
///
/// # Errors
/// The server's.
pub async fn changed_by(connection: &mut PgConnection, run: Uuid) -> Result<Vec<(String, i64)>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(
        "SELECT i.run_id::text, count(*) FROM redis2pg.before_images i JOIN redis2pg.runs r ON r.id = i.run_id \
         WHERE i.run_id <> $1::text::uuid AND r.rolled_back_at IS NULL AND (i.table_name, i.row_xmin) IN \
         (SELECT b.table_name, b.xid & 4294967295 FROM redis2pg.batches b WHERE b.run_id = $1::text::uuid) \
         GROUP BY i.run_id, r.started_at ORDER BY r.started_at DESC",
    )
    .bind(run.to_string())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Later runs, not rolled back, that found rows of this run's tables as they had to be: each with how many, the latest first.
///
/// # Errors
/// The server's.
pub async fn found_unchanged(connection: &mut PgConnection, run: Uuid) -> Result<Vec<(String, i64)>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(
        "SELECT r.id::text, sum((b.tally ->> 'unchanged')::bigint)::bigint FROM redis2pg.batches b \
         JOIN redis2pg.runs r ON r.id = b.run_id JOIN redis2pg.runs o ON o.id = $1::text::uuid \
         WHERE r.started_at > o.started_at AND r.rolled_back_at IS NULL \
         AND b.table_name IN (SELECT t.table_name FROM redis2pg.batches t WHERE t.run_id = o.id) GROUP BY r.id \
         HAVING sum((b.tally ->> 'unchanged')::bigint) > 0 ORDER BY r.started_at DESC",
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
        "SELECT g.table_name, g.keys, count(*) FROM (SELECT i.table_name, \
         ARRAY(SELECT k FROM jsonb_object_keys(i.row_key) k ORDER BY k) AS keys \
         FROM redis2pg.before_images i WHERE i.run_id = $1::text::uuid) g GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .bind(run.to_string())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}

/// What claiming a rollback came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollbackClaim {
    /// It may go.
    Ours,
    /// The run itself is at work.
    Running,
    /// Another process rolls it back.
    Busy,
    /// This other run is at work on a table of it.
    Writing(String),
    /// This cleanup deletes keys of its rows.
    Cleaning(String),
}

/// Claims the right to roll a run back. A run that was killed is locked out first: its process may only be suspended.
///
/// # Errors
/// The server's.
pub async fn claim_rollback(
    connection: &mut PgConnection,
    (run, lease, lease_time): (Uuid, Uuid, Duration),
) -> Result<RollbackClaim, Error> {
    let mut transaction = begin_held(connection, lease, lease_time).await?;
    query("SET LOCAL lock_timeout = '120s'").execute(&mut *transaction).await?;
    let row = query(
        "SELECT state = 'running' AS runs, state = 'running' AND lease_expires_at > clock_timestamp() AS is_alive, \
         lease::text AS lease, \
         coalesce(rollback_lease <> $2::text::uuid AND rollback_lease_expires_at > clock_timestamp(), false) AS is_busy \
         FROM redis2pg.runs WHERE id = $1::text::uuid FOR UPDATE",
    )
    .bind(run.to_string())
    .bind(lease.to_string())
    .fetch_one(&mut *transaction)
    .await?;
    if row.try_get("is_alive")? {
        transaction.rollback().await?;
        return Ok(RollbackClaim::Running);
    }
    if row.try_get("is_busy")? {
        transaction.rollback().await?;
        return Ok(RollbackClaim::Busy);
    }
    if let Some(other) = writing(&mut transaction, run).await? {
        transaction.rollback().await?;
        return Ok(RollbackClaim::Writing(other));
    }
    // Under the lock that it was looked under, as a cleanup that begins looks for a rollback.
    if let Some((cleanup, _)) = super::cleanup::at_work_of(&mut transaction, run).await? {
        transaction.rollback().await?;
        return Ok(RollbackClaim::Cleaning(cleanup));
    }
    if row.try_get("runs")? {
        let former = Uuid::parse_str(row.try_get("lease")?).map_err(|error| Error::Decode(error.into()))?;
        lock_out(&mut transaction, run, former).await?;
    }
    query(
        "UPDATE redis2pg.runs SET rollback_lease = $2::text::uuid, \
         rollback_lease_expires_at = clock_timestamp() + make_interval(secs => $3) WHERE id = $1::text::uuid",
    )
    .bind(run.to_string())
    .bind(lease.to_string())
    .bind(lease_time.as_secs_f64())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(RollbackClaim::Ours)
}

/// A run at work that writes to a table of this one. Whoever begins looks for a rollback under the same lock.
async fn writing(connection: &mut PgConnection, run: Uuid) -> Result<Option<String>, Error> {
    query("SELECT pg_advisory_xact_lock($1)").bind(TABLES_LOCK).execute(&mut *connection).await?;
    query(
        "SELECT r.id::text FROM redis2pg.runs r WHERE r.id <> $1::text::uuid AND r.state = 'running' \
         AND r.lease_expires_at > clock_timestamp() AND EXISTS (SELECT FROM redis2pg.run_tables t WHERE t.run_id = r.id \
         AND t.table_name IN (SELECT o.table_name FROM redis2pg.run_tables o WHERE o.run_id = $1::text::uuid \
         UNION ALL SELECT b.table_name FROM redis2pg.batches b WHERE b.run_id = $1::text::uuid)) LIMIT 1",
    )
    .bind(run.to_string())
    .fetch_optional(connection)
    .await?
    .map(|row| row.try_get(0))
    .transpose()
}

/// Ends what the run's own process may still have open, and keeps it from going on.
async fn lock_out(connection: &mut PgConnection, run: Uuid, former: Uuid) -> Result<(), Error> {
    query(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1 \
         AND datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()",
    )
    .bind(holder_name(former))
    .execute(&mut *connection)
    .await?;
    query("UPDATE redis2pg.shards SET lease = gen_random_uuid() WHERE run_id = $1::text::uuid")
        .bind(run.to_string())
        .execute(&mut *connection)
        .await?;
    query("UPDATE redis2pg.runs SET state = 'abandoned', lease = gen_random_uuid() WHERE id = $1::text::uuid")
        .bind(run.to_string())
        .execute(connection)
        .await
        .map(|_| ())
}

/// Takes part in the rollback's lease until the transaction ends, and renews it. Gives what was done so far; `None`: somebody
/// else has it now.
///
/// # Errors
/// The server's.
pub async fn hold_rollback(
    connection: &mut PgConnection,
    (run, lease, lease_time): (Uuid, Uuid, Duration),
) -> Result<Option<RollbackAccount>, Error> {
    let row = query(
        "UPDATE redis2pg.runs SET rollback_lease_expires_at = clock_timestamp() + make_interval(secs => $3) \
         WHERE id = $1::text::uuid AND rollback_lease = $2::text::uuid RETURNING rollback::text AS account",
    )
    .bind(run.to_string())
    .bind(lease.to_string())
    .bind(lease_time.as_secs_f64())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(account).transpose()
}

/// Writes what was done so far, in the transaction that did it: an answer that is lost is not counted twice.
///
/// # Errors
/// The server's.
pub async fn save_rollback(connection: &mut PgConnection, run: Uuid, account: &RollbackAccount) -> Result<(), Error> {
    let text = serde_json::to_string(account).map_err(|error| Error::Encode(error.into()))?;
    query("UPDATE redis2pg.runs SET rollback = $2::text::jsonb WHERE id = $1::text::uuid")
        .bind(run.to_string())
        .bind(text)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Gives the lease back; `done`: all that could be taken back is.
///
/// # Errors
/// The server's.
pub async fn release_rollback(
    connection: &mut PgConnection,
    (run, lease): (Uuid, Uuid),
    done: bool,
) -> Result<(), Error> {
    query(
        "UPDATE redis2pg.runs SET rollback_lease_expires_at = clock_timestamp(), \
         rolled_back_at = CASE WHEN $3 THEN clock_timestamp() ELSE rolled_back_at END \
         WHERE id = $1::text::uuid AND rollback_lease = $2::text::uuid",
    )
    .bind(run.to_string())
    .bind(lease.to_string())
    .bind(done)
    .execute(connection)
    .await
    .map(|_| ())
}

/// What was done so far; nothing where none began.
fn account(row: &PgRow) -> Result<RollbackAccount, Error> {
    let text: Option<String> = row.try_get("account")?;
    text.map_or_else(
        || Ok(RollbackAccount::default()),
        |text| serde_json::from_str(&text).map_err(|error| Error::Decode(error.into())),
    )
}

/// A table that a run wrote to, as its journal names it, and what the catalog knows of it: for runs of earlier versions, which
/// did not tell of their tables.
#[derive(Clone, Debug)]
pub struct JournalTable {
    /// As in the journal.
    pub name: String,
    /// The table, where there is one of that name.
    pub table: Option<(String, String)>,
    /// A mapping that wrote to it.
    pub mapping: String,
    /// Its primary key.
    pub primary_key: Vec<String>,
    /// Whether the ledger has lineage of its rows.
    pub has_lineage: bool,
    /// Whether it has a jsonb column named `metadata`.
    pub has_metadata: bool,
}

/// The tables that the journal of a run names.
///
/// # Errors
/// The server's.
pub async fn journal_tables(connection: &mut PgConnection, run: Uuid) -> Result<Vec<JournalTable>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(
        "SELECT b.table_name, b.mapping, n.nspname::text AS schema, c.relname::text AS name, \
         ARRAY(SELECT a.attname::text FROM pg_catalog.pg_index x, unnest(x.indkey) WITH ORDINALITY k (num, place), \
               pg_catalog.pg_attribute a WHERE x.indrelid = c.oid AND x.indisprimary AND a.attrelid = c.oid \
               AND a.attnum = k.num ORDER BY k.place) AS primary_key, \
         EXISTS (SELECT FROM redis2pg.loaded l WHERE l.table_name = b.table_name) AS has_lineage, \
         EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'metadata' \
                 AND a.atttypid = 'jsonb'::regtype AND NOT a.attisdropped) AS has_metadata \
         FROM (SELECT table_name, min(mapping) AS mapping FROM redis2pg.batches WHERE run_id = $1::text::uuid \
               GROUP BY table_name) b \
         LEFT JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace) \
         ON n.nspname || '.' || c.relname = b.table_name AND c.relkind IN ('r', 'p') ORDER BY 1",
    )
    .bind(run.to_string())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter()
        .map(|row| {
            let (schema, name): (Option<String>, Option<String>) = (row.try_get("schema")?, row.try_get("name")?);
            Ok(JournalTable {
                name: row.try_get("table_name")?,
                table: schema.zip(name),
                mapping: row.try_get("mapping")?,
                primary_key: row.try_get("primary_key")?,
                has_lineage: row.try_get("has_lineage")?,
                has_metadata: row.try_get("has_metadata")?,
            })
        })
        .collect()
}
