//! Runs: who may load a mapping now, and which run a resume goes on with.

use super::cleanup::{self, Whose};
use super::resume::{Resumable, resumable, take_over};
use super::schema::LOCK;
use super::shards::begin_held;
use crate::postgres::query;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// What a run is, for the ledger. Holds no secret.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id, unless it goes on with an earlier one.
    pub id: Uuid,
    /// A token of this process.
    pub lease: Uuid,
    /// How long the lease lasts without being renewed.
    pub lease_time: Duration,
    /// Source identity: host, port, database.
    pub source: String,
    /// Hash of the mappings.
    pub mapping_hash: String,
    /// The hash of each mapping by name, so that a refusal can say which differs.
    pub mappings: BTreeMap<String, String>,
    /// The settings as JSON, without secrets.
    pub settings: String,
    /// Version of the tool.
    pub version: String,
    /// The run whose rejects this one retries.
    pub retry_of: Option<Uuid>,
}

/// What starting a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// It may go.
    Started(Started),
    /// Another process is at it.
    Busy {
        /// That run.
        run: Uuid,
        /// When its lease ends unless it is renewed.
        expires_in: Duration,
    },
    /// Asked to resume, and a rollback of the last run is not at its end.
    HalfUndone {
        /// That run.
        run: Uuid,
    },
    /// A cleanup is at work on the same Redis.
    Cleaning {
        /// That cleanup.
        cleanup: String,
        /// When its lease ends unless it is renewed.
        expires_in: Duration,
    },
    /// Asked to resume, and the only unfinished run has other mappings.
    OtherMapping {
        /// That run.
        run: Uuid,
        /// The mappings that differ, were added or are gone.
        differing: Vec<String>,
    },
}

/// A run that may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Its id.
    pub run: Uuid,
    /// Whether it goes on with an earlier one.
    pub resumed: bool,
}

/// Claims the right to load. With `resume`, goes on with the last run of the same source and mappings, where that one
/// did not end; without, such a run is marked abandoned. May be called again where the answer was lost: what this
/// process has claimed already stays claimed.
///
/// # Errors
/// The server's.
pub async fn start(connection: &mut PgConnection, new: &NewRun, resume: bool) -> Result<Start, Error> {
    let mut transaction = begin_held(connection, new.lease, new.lease_time).await?;
    query("SELECT pg_catalog.pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    // Whoever holds the lease's row may be suspended in its transaction; its server ends that some time.
    query("SET LOCAL lock_timeout = '120s'").execute(&mut *transaction).await?;
    if let Some(claimed) = claimed(&mut transaction, new).await? {
        transaction.rollback().await?;
        return Ok(Start::Started(claimed));
    }
    if let Some(busy) = busy(&mut transaction, new).await? {
        // Explicitly: a transaction that is dropped is rolled back with the next use only, and this one holds a lock.
        transaction.rollback().await?;
        return Ok(busy);
    }
    if let Some((cleanup, expires_in)) = cleanup::at_work(&mut transaction, Whose::Redis(&new.source)).await? {
        transaction.rollback().await?;
        return Ok(Start::Cleaning { cleanup, expires_in });
    }
    if let Some(retried) = new.retry_of
        && let Some(busy) = at_work(&mut transaction, retried).await?
    {
        transaction.rollback().await?;
        return Ok(busy);
    }
    let start = match if resume { resumable(&mut transaction, new).await? } else { Resumable::Nothing } {
        Resumable::Run(run) => match at_work(&mut transaction, run).await? {
            Some(busy) => {
                transaction.rollback().await?;
                return Ok(busy);
            }
            None => match take_over(&mut transaction, new, run).await? {
                Some(started) => Start::Started(started),
                None => {
                    transaction.rollback().await?;
                    return Ok(Start::HalfUndone { run });
                }
            },
        },
        Resumable::HalfUndone(run) => {
            transaction.rollback().await?;
            return Ok(Start::HalfUndone { run });
        }
        Resumable::Other { run, differing } => {
            transaction.rollback().await?;
            return Ok(Start::OtherMapping { run, differing });
        }
        Resumable::Nothing => Start::Started(insert(&mut transaction, new).await?),
    };
    transaction.commit().await?;
    Ok(start)
}

/// The run that this process has claimed in an attempt whose answer was lost.
async fn claimed(connection: &mut PgConnection, new: &NewRun) -> Result<Option<Started>, Error> {
    let row = query("SELECT id::text FROM redis2pg.runs WHERE lease = $1::text::uuid AND state = 'running'")
        .bind(new.lease.to_string())
        .fetch_optional(connection)
        .await?;
    row.map(|row| run_id(&row).map(|run| Started { run, resumed: run != new.id })).transpose()
}

async fn busy(connection: &mut PgConnection, new: &NewRun) -> Result<Option<Start>, Error> {
    let row = query(
        "SELECT id::text, extract(epoch FROM lease_expires_at - pg_catalog.clock_timestamp())::float8 AS left_s \
         FROM redis2pg.runs WHERE mapping_hash = $1 AND state = 'running' AND lease_expires_at > pg_catalog.clock_timestamp()",
    )
    .bind(&new.mapping_hash)
    .fetch_optional(connection)
    .await?;
    row.map(busy_run).transpose()
}

fn busy_run(row: PgRow) -> Result<Start, Error> {
    let left: f64 = row.try_get("left_s")?;
    Ok(Start::Busy { run: run_id(&row)?, expires_in: Duration::from_secs_f64(left.clamp(0.0, 86_400.0)) })
}

/// Who is at work on a run or on its rejects, with whatever mappings.
async fn at_work(connection: &mut PgConnection, run: Uuid) -> Result<Option<Start>, Error> {
    let row = query(
        "SELECT id::text, extract(epoch FROM lease_expires_at - pg_catalog.clock_timestamp())::float8 AS left_s \
         FROM redis2pg.runs WHERE (id = $1::text::uuid OR retry_of = $1::text::uuid) AND state = 'running' \
         AND lease_expires_at > pg_catalog.clock_timestamp() LIMIT 1",
    )
    .bind(run.to_string())
    .fetch_optional(connection)
    .await?;
    row.map(busy_run).transpose()
}

/// Whether a run of these mappings holds its lease.
///
/// # Errors
/// The server's.
pub async fn is_busy(connection: &mut PgConnection, new: &NewRun) -> Result<bool, Error> {
    let mut transaction = connection.begin().await?;
    let busy = busy(&mut transaction, new).await?.is_some();
    transaction.commit().await?;
    Ok(busy)
}

/// Locks out and marks as abandoned what other processes that are gone have left running on these mappings, or on the run
/// that is retried.
pub(super) async fn abandon_others(connection: &mut PgConnection, new: &NewRun, run: Uuid) -> Result<(), Error> {
    query(
        "UPDATE redis2pg.shards s SET lease = pg_catalog.gen_random_uuid() FROM redis2pg.runs r \
         WHERE r.id = s.run_id AND (r.mapping_hash = $1 OR r.id = $3::text::uuid OR r.retry_of = $3::text::uuid) \
         AND r.state = 'running' AND r.id <> $2::text::uuid",
    )
    .bind(&new.mapping_hash)
    .bind(run.to_string())
    .bind(new.retry_of.map(|run| run.to_string()))
    .execute(&mut *connection)
    .await?;
    query(
        "UPDATE redis2pg.runs SET state = 'abandoned' WHERE state = 'running' AND id <> $2::text::uuid \
         AND (mapping_hash = $1 OR id = $3::text::uuid OR retry_of = $3::text::uuid)",
    )
    .bind(&new.mapping_hash)
    .bind(run.to_string())
    .bind(new.retry_of.map(|run| run.to_string()))
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert(connection: &mut PgConnection, new: &NewRun) -> Result<Started, Error> {
    abandon_others(connection, new, new.id).await?;
    query(
        "INSERT INTO redis2pg.runs (id, state, source, mapping_hash, mappings, settings, version, lease, lease_expires_at, \
         retry_of) VALUES ($1::text::uuid, 'running', $2, $3, $4::text::jsonb, $5::text::jsonb, $6, $7::text::uuid, \
                 pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $8), $9::text::uuid)",
    )
    .bind(new.id.to_string())
    .bind(&new.source)
    .bind(&new.mapping_hash)
    .bind(serde_json::to_string(&new.mappings).unwrap_or_else(|_| "{}".to_owned()))
    .bind(&new.settings)
    .bind(&new.version)
    .bind(new.lease.to_string())
    .bind(new.lease_time.as_secs_f64())
    .bind(new.retry_of.map(|run| run.to_string()))
    .execute(connection)
    .await?;
    Ok(Started { run: new.id, resumed: false })
}

/// Renews the lease. `false`: it is not ours any more, somebody took the run over.
///
/// # Errors
/// The server's.
pub async fn renew(connection: &mut PgConnection, run: Uuid, lease: Uuid, time: Duration) -> Result<bool, Error> {
    let mut transaction = begin_held(connection, lease, time).await?;
    let done = query(
        "UPDATE redis2pg.runs SET lease_expires_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3) \
         WHERE id = $1::text::uuid AND lease = $2::text::uuid AND state = 'running'",
    )
    .bind(run.to_string())
    .bind(lease.to_string())
    .bind(time.as_secs_f64())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}

pub(super) fn run_id(row: &PgRow) -> Result<Uuid, Error> {
    let text: String = row.try_get("id")?;
    Uuid::parse_str(&text).map_err(|error| Error::Decode(error.into()))
}
