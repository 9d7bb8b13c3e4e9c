//! Cleanups: who may delete keys from Redis now, and what one came to. `at_work` has those that are at it, `batches` the keys that went,
//! `files` the backups that they went by, `read` what others ask of them.

mod at_work;
mod batches;
mod files;
mod read;

pub use at_work::cleanup_at_work;
pub(super) use at_work::{Whose, at_work};
pub use batches::{
    CleanupBatch, Settlement, Unsettled, batch_keys, begin_cleanup_batch, settle_cleanup_batch, unsettled,
};
pub use files::{CleanupFile, cleanup_files, forgo_cleanup_files, keys_beyond, seal_cleanup_file};
pub use read::{Cleanable, CleanupEntry, any_cleaned, cleanable, cleaned_among, cleaned_of_source, cleanups_of};

use super::rollback::{HELD, take_from_sleepers};
use super::run_tables::TABLES_LOCK;
use super::schema::LOCK;
use super::shards::begin_held;
use crate::postgres::query;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::time::Duration;
use uuid::Uuid;

/// By what right a process deletes keys: the cleanup, the process's token, and how long that lasts without being renewed.
pub type CleanupLease = (Uuid, Uuid, Duration);

/// What a cleanup is, for the ledger. Holds no secret.
#[derive(Clone, Debug)]
pub struct NewCleanup {
    /// Its id, its token, and how long the lease lasts.
    pub lease: CleanupLease,
    /// The run whose keys are deleted.
    pub run: Uuid,
    /// The runs whose rows count.
    pub runs: Vec<String>,
    /// The source, as the ledger has it.
    pub source: String,
    /// The settings as JSON, without secrets.
    pub settings: String,
    /// The file that keys are written to before they go.
    pub backup: Option<String>,
    /// The id of that file.
    pub backup_id: Option<String>,
}

/// What claiming a cleanup came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CleanupClaim {
    /// It may go.
    Ours,
    /// This run reads from the same Redis, or writes rows that count.
    Running(String),
    /// This run is being rolled back, or was.
    Undone(String),
    /// Another cleanup is at work on the same Redis.
    Cleaning(String),
}

/// A source without its database, as an expression.
pub(super) fn place(source: &str) -> String {
    format!("pg_catalog.regexp_replace({source}, '/[0-9]+$', '')")
}

/// Claims the right to delete keys. May be called again where the answer was lost. Cleanups of the same Redis whose processes
/// are gone are locked out.
///
/// # Errors
/// The server's.
pub async fn claim_cleanup(connection: &mut PgConnection, new: &NewCleanup) -> Result<CleanupClaim, Error> {
    let (id, lease, lease_time) = new.lease;
    let mut transaction = begin_held(connection, lease, lease_time).await?;
    // In this order: whoever begins a run holds the first, whoever begins a rollback the second.
    for lock in [LOCK, TABLES_LOCK] {
        query("SELECT pg_catalog.pg_advisory_xact_lock($1)").bind(lock).execute(&mut *transaction).await?;
    }
    query("SET LOCAL lock_timeout = '120s'").execute(&mut *transaction).await?;
    let ours = query("SELECT 1 FROM redis2pg.cleanups WHERE id = $1::text::uuid AND lease = $2::text::uuid")
        .bind(id.to_string())
        .bind(lease.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
    if ours.is_some() {
        transaction.rollback().await?;
        return Ok(CleanupClaim::Ours);
    }
    if let Some(other) = in_the_way(&mut transaction, new).await? {
        transaction.rollback().await?;
        return Ok(other);
    }
    write_claim(&mut transaction, new).await?;
    transaction.commit().await?;
    Ok(CleanupClaim::Ours)
}

/// Writes this one down.
async fn write_claim(connection: &mut PgConnection, new: &NewCleanup) -> Result<(), Error> {
    // Where a file is gone on with that had its end mark, it has none now; and whoever missed it was too early.
    query(
        "UPDATE redis2pg.cleanups SET backup_whole = false, backup_forgone = false \
         WHERE backup_id = $1 AND (backup_whole OR backup_forgone)",
    )
    .bind(new.backup_id.as_deref())
    .execute(&mut *connection)
    .await?;
    insert(connection, new).await
}

async fn insert(connection: &mut PgConnection, new: &NewCleanup) -> Result<(), Error> {
    let (id, lease, lease_time) = new.lease;
    query(
        "INSERT INTO redis2pg.cleanups (id, run_id, runs, source, version, settings, backup, backup_id, state, lease, \
         lease_expires_at) VALUES ($1::text::uuid, $2::text::uuid, $3::text[]::uuid[], $4, $5, $6::text::jsonb, $7, $8, \
         'running', $9::text::uuid, pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $10))",
    )
    .bind(id.to_string())
    .bind(new.run.to_string())
    .bind(&new.runs)
    .bind(&new.source)
    .bind(env!("CARGO_PKG_VERSION"))
    .bind(&new.settings)
    .bind(new.backup.as_deref())
    .bind(new.backup_id.as_deref())
    .bind(lease.to_string())
    .bind(lease_time.as_secs_f64())
    .execute(connection)
    .await
    .map(|_| ())
}

/// What keeps a cleanup from beginning. Cleanups whose processes are gone are locked out.
async fn in_the_way(connection: &mut PgConnection, new: &NewCleanup) -> Result<Option<CleanupClaim>, Error> {
    // A rollback that did nothing yet may only be suspended: it must not wake up beside the cleanup.
    take_from_sleepers(connection, &new.runs).await?;
    let undone = query(format!(
        "SELECT id::text FROM redis2pg.runs WHERE id = ANY ($1::text[]::uuid[]) \
         AND (rolled_back_at IS NOT NULL OR rollback IS NOT NULL OR {HELD}) LIMIT 1"
    ))
    .bind(&new.runs)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = undone {
        return Ok(Some(CleanupClaim::Undone(row.try_get(0)?)));
    }
    let running = query(format!(
        "SELECT id::text FROM redis2pg.runs WHERE state = 'running' AND lease_expires_at > pg_catalog.clock_timestamp() \
         AND ({} = {} OR id = ANY ($2::text[]::uuid[])) LIMIT 1",
        place("source"),
        place("$1::text")
    ))
    .bind(&new.source)
    .bind(&new.runs)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = running {
        return Ok(Some(CleanupClaim::Running(row.try_get(0)?)));
    }
    let cleaning = at_work(connection, Whose::Redis(&new.source)).await?;
    Ok(cleaning.map(|(id, _)| CleanupClaim::Cleaning(id)))
}

/// Renews the lease. `false`: it is not ours any more.
///
/// # Errors
/// The server's.
pub async fn renew_cleanup(
    connection: &mut PgConnection,
    (id, lease, lease_time): CleanupLease,
) -> Result<bool, Error> {
    let mut transaction = begin_held(connection, lease, lease_time).await?;
    let done = query(
        "UPDATE redis2pg.cleanups SET lease_expires_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3) \
         WHERE id = $1::text::uuid AND lease = $2::text::uuid AND state = 'running'",
    )
    .bind(id.to_string())
    .bind(lease.to_string())
    .bind(lease_time.as_secs_f64())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// How a cleanup ended.
#[derive(Clone, Debug)]
pub struct CleanupEnd {
    /// `done`, `stopped` or `failed`.
    pub state: &'static str,
    /// What it exits with.
    pub exit_code: u8,
    /// Why it did not go to its end.
    pub error: Option<String>,
    /// The account, as JSON.
    pub account: String,
}

/// What came of writing the end of a cleanup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanupFinish {
    /// It is written.
    Now,
    /// It was written already, by an attempt whose answer was lost.
    Before,
    /// The lease is not ours any more; nothing is written.
    TakenOver,
}

/// Writes how a cleanup ended and gives the lease back, inside the caller's transaction.
///
/// # Errors
/// The server's.
pub async fn finish_cleanup(
    connection: &mut PgConnection,
    (id, lease, _): CleanupLease,
    end: &CleanupEnd,
) -> Result<CleanupFinish, Error> {
    let done = query(
        "UPDATE redis2pg.cleanups SET state = $3, exit_code = $4, error = $5, account = $6::text::jsonb, finished_at = pg_catalog.now(), \
         lease_expires_at = pg_catalog.now() WHERE id = $1::text::uuid AND lease = $2::text::uuid AND state = 'running'",
    )
    .bind(id.to_string())
    .bind(lease.to_string())
    .bind(end.state)
    .bind(i32::from(end.exit_code))
    .bind(end.error.as_deref())
    .bind(&end.account)
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(CleanupFinish::Now);
    }
    let is_ours =
        query("SELECT EXISTS (SELECT FROM redis2pg.cleanups WHERE id = $1::text::uuid AND lease = $2::text::uuid)")
            .bind(id.to_string())
            .bind(lease.to_string())
            .fetch_one(connection)
            .await?;
    Ok(if is_ours.try_get(0)? { CleanupFinish::Before } else { CleanupFinish::TakenOver })
}
