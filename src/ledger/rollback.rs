//! The rollback of a run: the lease of the process that does it, and its account.
//!
//! The lease is renewed beside the rollback's transactions. Each of them takes part in it as the last thing that it does, by an
//! update of the run's row that holds until it ends: whoever lost it commits nothing more, and two never work side by side.
//! Who begins anything in the same tables takes the token from a rollback whose lease is over: its process may only be
//! suspended.

use super::cleanup::{self, Whose};
use super::run_tables::TABLES_LOCK;
use super::shards::{begin_held, holder_name};
use crate::model::RollbackAccount;
use crate::postgres::query;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Error, Row};
use std::time::Duration;
use uuid::Uuid;

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

/// A rollback's lease that was neither given back nor taken away, as a condition on `redis2pg.runs`.
pub(super) const HELD: &str = "rollback_lease IS NOT NULL AND rollback_lease_expires_at > 'epoch'";

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
    // Whoever begins a run looks for a rollback under the same lock, and changes the row under it.
    query("SELECT pg_catalog.pg_advisory_xact_lock($1)").bind(TABLES_LOCK).execute(&mut *transaction).await?;
    // Under the lock under which a cleanup that begins looks for a rollback; and before the run's row, as whoever begins a run locks them.
    if let Some((cleanup, _)) = cleanup::at_work(&mut transaction, Whose::Run(run)).await? {
        transaction.rollback().await?;
        return Ok(RollbackClaim::Cleaning(cleanup));
    }
    end_sleepers(&mut transaction, &[run.to_string()]).await?;
    let row = query(
        "SELECT state = 'running' AS runs, state = 'running' AND lease_expires_at > pg_catalog.clock_timestamp() AS is_alive, \
         lease::text AS lease, \
         coalesce(rollback_lease <> $2::text::uuid AND rollback_lease_expires_at > pg_catalog.clock_timestamp(), false) AS is_busy \
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
    if row.try_get("runs")? {
        let former = Uuid::parse_str(row.try_get("lease")?).map_err(|error| Error::Decode(error.into()))?;
        lock_out(&mut transaction, run, former).await?;
    }
    query(
        "UPDATE redis2pg.runs SET rollback_lease = $2::text::uuid, \
         rollback_lease_expires_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3) WHERE id = $1::text::uuid",
    )
    .bind(run.to_string())
    .bind(lease.to_string())
    .bind(lease_time.as_secs_f64())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(RollbackClaim::Ours)
}

/// A run at work that writes to a table of this one. Under the lock of the tables.
async fn writing(connection: &mut PgConnection, run: Uuid) -> Result<Option<String>, Error> {
    query(
        "SELECT r.id::text FROM redis2pg.runs r WHERE r.id <> $1::text::uuid AND r.state = 'running' \
         AND r.lease_expires_at > pg_catalog.clock_timestamp() AND EXISTS (SELECT FROM redis2pg.run_tables t WHERE t.run_id = r.id \
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
        "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity WHERE application_name = $1 \
         AND datname = pg_catalog.current_database() AND usename = current_user AND pid <> pg_catalog.pg_backend_pid()",
    )
    .bind(holder_name(former))
    .execute(&mut *connection)
    .await?;
    query("UPDATE redis2pg.shards SET lease = pg_catalog.gen_random_uuid() WHERE run_id = $1::text::uuid")
        .bind(run.to_string())
        .execute(&mut *connection)
        .await?;
    query(
        "UPDATE redis2pg.runs SET state = 'abandoned', lease = pg_catalog.gen_random_uuid() WHERE id = $1::text::uuid",
    )
    .bind(run.to_string())
    .execute(connection)
    .await
    .map(|_| ())
}

/// Ends the transactions of those who hold a lease on one of these runs that is over, the run's own or a rollback's: their
/// processes are suspended, or have gone without a word.
async fn end_sleepers(connection: &mut PgConnection, runs: &[String]) -> Result<(), Error> {
    query(
        "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(a.pid)) FROM pg_catalog.pg_stat_activity a JOIN redis2pg.runs r \
         ON a.application_name = 'redis2pg ' || r.rollback_lease::text AND r.rollback_lease_expires_at <= pg_catalog.clock_timestamp() \
         OR a.application_name = 'redis2pg ' || r.lease::text AND r.state = 'running' AND r.lease_expires_at <= pg_catalog.clock_timestamp() \
         WHERE r.id = ANY ($1::text[]::uuid[]) AND a.datname = pg_catalog.current_database() AND a.usename = current_user \
         AND a.pid <> pg_catalog.pg_backend_pid()",
    )
    .bind(runs)
    .execute(connection)
    .await
    .map(|_| ())
}

/// Takes the token from rollbacks of these runs whose lease is over: should they wake up, they do nothing more. Under the lock of
/// the tables; what is [`HELD`] after it is at work.
pub(super) async fn take_from_sleepers(connection: &mut PgConnection, runs: &[String]) -> Result<(), Error> {
    if runs.is_empty() {
        return Ok(());
    }
    query("SET LOCAL lock_timeout = '120s'").execute(&mut *connection).await?;
    end_sleepers(connection, runs).await?;
    // Waits for a transaction that takes part in the lease already: what that commits was there before.
    query(
        "UPDATE redis2pg.runs SET rollback_lease = NULL WHERE id = ANY ($1::text[]::uuid[]) AND rollback_lease IS NOT NULL \
         AND rollback_lease_expires_at <= pg_catalog.clock_timestamp()",
    )
    .bind(runs)
    .execute(connection)
    .await
    .map(|_| ())
}

/// Whether the rollback is still this process's, without waiting for anybody. What it gives may be over at once: see
/// [`hold_rollback`].
///
/// # Errors
/// The server's.
pub async fn is_rollback_held(
    connection: &mut PgConnection,
    (run, lease, _): (Uuid, Uuid, Duration),
) -> Result<bool, Error> {
    let row = query("SELECT 1 FROM redis2pg.runs WHERE id = $1::text::uuid AND rollback_lease = $2::text::uuid")
        .bind(run.to_string())
        .bind(lease.to_string())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Renews the lease, unless it was given back: the renewal runs beside the transaction that does so. `false`: it is not ours any more.
///
/// # Errors
/// The server's.
pub async fn renew_rollback(
    connection: &mut PgConnection,
    (run, lease, lease_time): (Uuid, Uuid, Duration),
) -> Result<bool, Error> {
    let mut transaction = begin_held(connection, lease, lease_time).await?;
    let done = query(format!(
        "UPDATE redis2pg.runs SET rollback_lease_expires_at = CASE WHEN {HELD} \
         THEN pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3) ELSE rollback_lease_expires_at END \
         WHERE id = $1::text::uuid AND rollback_lease = $2::text::uuid"
    ))
    .bind(run.to_string())
    .bind(lease.to_string())
    .bind(lease_time.as_secs_f64())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// Takes part in the rollback's lease until the transaction ends, and renews it: as late as can be, since the renewal beside it
/// waits for the transaction from here on. Gives what was done so far; `None`: somebody else has it now, and the transaction must
/// not be committed.
///
/// # Errors
/// The server's.
pub async fn hold_rollback(
    connection: &mut PgConnection,
    (run, lease, lease_time): (Uuid, Uuid, Duration),
) -> Result<Option<RollbackAccount>, Error> {
    let row = query(
        "UPDATE redis2pg.runs SET rollback_lease_expires_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3) \
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

/// Gives the lease back; `done`: all that could be taken back is. The token stays, so that an attempt whose answer was lost can be
/// repeated.
///
/// # Errors
/// The server's.
pub async fn release_rollback(
    connection: &mut PgConnection,
    (run, lease): (Uuid, Uuid),
    done: bool,
) -> Result<(), Error> {
    query(
        "UPDATE redis2pg.runs SET rollback_lease_expires_at = 'epoch', \
         rolled_back_at = CASE WHEN $3 THEN pg_catalog.clock_timestamp() ELSE rolled_back_at END \
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
pub(super) fn account(row: &PgRow) -> Result<RollbackAccount, Error> {
    let text: Option<String> = row.try_get("account")?;
    text.map_or_else(
        || Ok(RollbackAccount::default()),
        |text| serde_json::from_str(&text).map_err(|error| Error::Decode(error.into())),
    )
}
