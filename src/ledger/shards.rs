//! Shards: how far the scan of one logical database got in one phase, and the lease that fences a worker which lost it.

use super::retry::RetryOf;
use crate::model::{Database, Exit, Failure, Side, Unmatched};
use crate::postgres::{READ_COMMITTED, literal, milliseconds, query, script};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Postgres, Row, Transaction};
use std::time::Duration;
use uuid::Uuid;

/// Which shard of which phase of which run, and by what right.
#[derive(Clone, Copy, Debug)]
pub struct ShardId {
    /// The run.
    pub run: Uuid,
    /// The phase, from 1.
    pub phase: u32,
    /// The shard, from 0.
    pub shard: u32,
    /// The token of the process that may write.
    pub lease: Uuid,
    /// The run whose rejects this one retries; `None`: it is no retry.
    pub retry_of: Option<RetryOf>,
}

impl ShardId {
    /// The run that its rejects belong to.
    pub(super) fn home(&self) -> Uuid {
        self.retry_of.map_or(self.run, |retried| retried.run)
    }

    /// How the rejects' run names a database: not at all where it is its source's own.
    pub(super) fn named(&self, database: Database) -> Option<i32> {
        self.retry_of.map_or_else(|| database.named(), |retried| retried.named(database))
    }

    /// What its rejects are marked by while its books count them: the run, where it is a retry.
    pub(super) fn counter(&self) -> Option<String> {
        self.retry_of.map(|_| self.run.to_string())
    }
}

/// Where a scan goes on: every page below `watermark` is settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Counts the scans of the shard: each restart begins a new one.
    pub epoch: u32,
    /// The `run_id` of the Redis server that `cursor` belongs to.
    pub server_run_id: Option<String>,
    /// The first page that is not settled.
    pub watermark: u64,
    /// The SCAN cursor that asks for that page.
    pub cursor: String,
    /// The keys that no mapping took in the pages below the watermark.
    pub unmatched: Unmatched,
    /// Every page is settled.
    pub scanned: bool,
    /// The phase is done, its retries too.
    pub complete: bool,
}

/// A shard as the ledger holds it.
#[derive(Clone, Debug)]
pub struct Shard {
    /// The phase.
    pub phase: u32,
    /// The shard: see [`crate::model::Database::shard`].
    pub shard: u32,
    /// Whether the phase scanned Redis, or was fed from keys set aside.
    pub scans: bool,
    /// How far it got.
    pub checkpoint: Checkpoint,
}

/// Makes the shard's row where it is missing. `false`: the run is not ours any more.
///
/// # Errors
/// The server's.
pub async fn open(
    connection: &mut PgConnection,
    id: ShardId,
    lease_time: Duration,
    scans: bool,
) -> Result<bool, Error> {
    let mut transaction = begin_held(connection, id.lease, lease_time).await?;
    query(
        "INSERT INTO redis2pg.shards (run_id, phase, shard, lease, scans) \
         SELECT r.id, $2, $3, r.lease, $5 FROM redis2pg.runs r \
         WHERE r.id = $1::text::uuid AND r.lease = $4::text::uuid FOR UPDATE \
         ON CONFLICT (run_id, phase, shard) DO UPDATE SET scans = excluded.scans \
         WHERE redis2pg.shards.lease = excluded.lease",
    )
    .bind(id.run.to_string())
    .bind(id.phase.cast_signed())
    .bind(id.shard.cast_signed())
    .bind(id.lease.to_string())
    .bind(scans)
    .execute(&mut *transaction)
    .await?;
    let held = fence(&mut transaction, id).await?;
    transaction.commit().await?;
    Ok(held)
}

/// The `application_name` of a transaction that takes part in a lease, by which a successor finds and ends it.
pub fn holder_name(lease: Uuid) -> String {
    format!("redis2pg {lease}")
}

/// Why one who lost the lease to another process cannot go on.
pub fn taken_over() -> Failure {
    Failure::new(
        Exit::Stopped,
        Side::Postgres,
        "another process took this run over; nothing more is written here",
        "`redis2pg runs list` shows which. If this process was suspended for long, that is why; if nothing is at work any more, the same command \
         goes on (a run: with --resume).",
    )
}

/// How long a transaction that takes part in a lease may stand idle before the server ends it: its process hangs, and
/// its locks must not keep a successor out for ever.
pub fn idle_timeout(lease_time: Duration) -> Duration {
    (lease_time * 4).max(Duration::from_secs(15))
}

/// Begins a transaction of the holder of a lease: a successor can end it, and it ends by itself where its process hangs.
///
/// # Errors
/// The server's.
pub async fn begin_held(
    connection: &mut PgConnection,
    lease: Uuid,
    lease_time: Duration,
) -> Result<Transaction<'_, Postgres>, Error> {
    let mut transaction = connection.begin().await?;
    let settings = format!(
        "{READ_COMMITTED}SET LOCAL application_name = {}; {}",
        literal(&holder_name(lease)),
        idle_setting(idle_timeout(lease_time)),
    );
    script(settings).execute(&mut *transaction).await?;
    Ok(transaction)
}

/// Has the server end the transaction where it stands idle for so long: a client that vanished without a word must not
/// keep its locks from the attempt that follows.
///
/// # Errors
/// The server's.
pub async fn end_where_idle(connection: &mut PgConnection, timeout: Duration) -> Result<(), Error> {
    script(idle_setting(timeout)).execute(connection).await.map(|_| ())
}

fn idle_setting(timeout: Duration) -> String {
    format!("SET LOCAL idle_in_transaction_session_timeout = {}", milliseconds(timeout))
}

/// Takes part in the shard's lease until the transaction ends. `false`: somebody else has it now.
///
/// # Errors
/// The server's.
pub async fn fence(connection: &mut PgConnection, id: ShardId) -> Result<bool, Error> {
    let row = query(
        "SELECT 1 FROM redis2pg.shards WHERE run_id = $1::text::uuid AND phase = $2 AND shard = $3 \
         AND lease = $4::text::uuid FOR KEY SHARE",
    )
    .bind(id.run.to_string())
    .bind(id.phase.cast_signed())
    .bind(id.shard.cast_signed())
    .bind(id.lease.to_string())
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

/// Writes how far the shard got. Called with what is settled already: never ahead of the journal.
///
/// # Errors
/// The server's.
pub async fn save(
    connection: &mut PgConnection,
    id: ShardId,
    lease_time: Duration,
    at: &Checkpoint,
) -> Result<bool, Error> {
    let mut transaction = begin_held(connection, id.lease, lease_time).await?;
    let state = if at.complete {
        "complete"
    } else if at.scanned {
        "scanned"
    } else {
        "open"
    };
    // Once a second: in brief. Plain counts always serialise.
    let unmatched = serde_json::to_string(&at.unmatched.in_brief()).unwrap_or_else(|_| "{}".to_owned());
    let done = query(
        "UPDATE redis2pg.shards SET epoch = $5, server_run_id = $6, watermark = $7, cursor = $8, unmatched = $9, \
         unmatched_keys = $11::text::jsonb, \
         state = CASE WHEN state = 'complete' OR (state = 'scanned' AND $10 = 'open') THEN state ELSE $10 END WHERE run_id = $1::text::uuid AND phase = $2 AND shard = $3 AND lease = $4::text::uuid",
    )
    .bind(id.run.to_string())
    .bind(id.phase.cast_signed())
    .bind(id.shard.cast_signed())
    .bind(id.lease.to_string())
    .bind(at.epoch.cast_signed())
    .bind(at.server_run_id.as_deref())
    .bind(at.watermark.cast_signed())
    .bind(if at.cursor.is_empty() { "0" } else { &at.cursor })
    .bind(at.unmatched.keys.cast_signed())
    .bind(state)
    .bind(unmatched)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// The run's shards, by phase; none where the run is new.
///
/// # Errors
/// The server's.
pub async fn load_all_if(connection: &mut PgConnection, run: Uuid, resumed: bool) -> Result<Vec<Shard>, Error> {
    if !resumed {
        return Ok(Vec::new());
    }
    let mut transaction = connection.begin().await?;
    let rows = query(
        "SELECT phase, shard, scans, epoch, server_run_id, watermark, cursor, unmatched, unmatched_keys::text AS unmatched_keys, \
         state FROM redis2pg.shards \
         WHERE run_id = $1::text::uuid ORDER BY phase, shard",
    )
    .bind(run.to_string())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter()
        .map(|row| {
            let state: String = row.try_get("state")?;
            Ok(Shard {
                phase: row.try_get::<i32, _>("phase")?.cast_unsigned(),
                shard: row.try_get::<i32, _>("shard")?.cast_unsigned(),
                scans: row.try_get("scans")?,
                checkpoint: Checkpoint {
                    epoch: row.try_get::<i32, _>("epoch")?.cast_unsigned(),
                    server_run_id: row.try_get("server_run_id")?,
                    watermark: row.try_get::<i64, _>("watermark")?.cast_unsigned(),
                    cursor: row.try_get("cursor")?,
                    unmatched: unmatched(row)?,
                    scanned: state != "open",
                    complete: state == "complete",
                },
            })
        })
        .collect()
}

/// What is known of a shard's unmatched keys. The column with their number is older than what tells more of them.
fn unmatched(row: &PgRow) -> Result<Unmatched, Error> {
    let known = serde_json::from_str(row.try_get("unmatched_keys")?);
    let mut unmatched: Unmatched = known.map_err(|error| Error::Decode(Box::new(error)))?;
    unmatched.keys = row.try_get::<i64, _>("unmatched")?.cast_unsigned();
    Ok(unmatched)
}
