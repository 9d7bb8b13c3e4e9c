//! The rollback of a run: the lease of the process that does it, and its account.
//!
//! The lease is renewed in each of the rollback's own transactions, by an update of the run's row that holds until they
//! end: whoever lost it to another process finds that out before anything else, and two never work side by side.

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
pub(super) fn account(row: &PgRow) -> Result<RollbackAccount, Error> {
    let text: Option<String> = row.try_get("account")?;
    text.map_or_else(
        || Ok(RollbackAccount::default()),
        |text| serde_json::from_str(&text).map_err(|error| Error::Decode(error.into())),
    )
}
