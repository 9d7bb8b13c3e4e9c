//! The keys that go: written, and flushed, before the first of them does; afterwards those are taken out that stayed.

use super::CleanupLease;
use super::read::key_hash;
use crate::ledger::shards::begin_held;
use crate::model::{BackupExtent, RedisKey};
use crate::postgres::{CopyBuffer, copy_tuples, push_field, query};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};
use uuid::Uuid;

/// Keys that go together.
#[derive(Clone, Copy, Debug)]
pub struct CleanupBatch<'a> {
    /// Made by the client.
    pub id: Uuid,
    /// The mapping that took them.
    pub mapping: &'a str,
    /// The number of their database.
    pub database: u8,
    /// The keys.
    pub keys: &'a [RedisKey],
    /// How far the backup is on disk that has them, where there is one.
    pub saved: Option<&'a BackupExtent>,
}

/// Takes part in the cleanup's lease until the transaction ends. `false`: somebody else has it now.
async fn hold(connection: &mut PgConnection, (id, lease, _): CleanupLease) -> Result<bool, Error> {
    let row = query(
        "SELECT 1 FROM redis2pg.cleanups WHERE id = $1::text::uuid AND lease = $2::text::uuid AND state = 'running' \
         FOR KEY SHARE",
    )
    .bind(id.to_string())
    .bind(lease.to_string())
    .fetch_optional(connection)
    .await?;
    Ok(row.is_some())
}

/// Writes which keys are about to go. Once this is answered, it is on disk, and so is every row that was committed before:
/// `synchronous_commit` is on, and the log is flushed in its order. `false`: the lease is lost.
///
/// # Errors
/// The server's. May be called again.
pub async fn begin_cleanup_batch(
    connection: &mut PgConnection,
    lease: CleanupLease,
    batch: &CleanupBatch<'_>,
) -> Result<bool, Error> {
    let mut transaction = begin_held(connection, lease.1, lease.2).await?;
    query("SET LOCAL synchronous_commit = on").execute(&mut *transaction).await?;
    if !hold(&mut transaction, lease).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    let made = query(
        "INSERT INTO redis2pg.cleanup_batches (id, cleanup_id, mapping, redis_db, keys, backup_bytes, backup_digest) \
         VALUES ($1::text::uuid, $2::text::uuid, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
    )
    .bind(batch.id.to_string())
    .bind(lease.0.to_string())
    .bind(batch.mapping)
    .bind(i32::from(batch.database))
    .bind(batch.keys.len() as i64)
    .bind(batch.saved.map(|saved| i64::try_from(saved.bytes).unwrap_or(i64::MAX)))
    .bind(batch.saved.map(|saved| saved.digest.as_str()))
    .execute(&mut *transaction)
    .await?;
    // Otherwise an earlier attempt was committed, and its answer was lost.
    if made.rows_affected() == 1 {
        copy_keys(&mut transaction, batch).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// Sends the keys by COPY: as two arrays in an INSERT they took the server a third longer. In the order of their index, which
/// spares it a sixth.
async fn copy_keys(connection: &mut PgConnection, batch: &CleanupBatch<'_>) -> Result<(), Error> {
    let copy = "COPY redis2pg.cleaned_keys (batch_id, key_hash, key) FROM STDIN (FORMAT binary)";
    let mut keys: Vec<(i64, &[u8])> = batch.keys.iter().map(|key| (key_hash(key.as_bytes()), key.as_bytes())).collect();
    keys.sort_unstable();
    let mut buffer = CopyBuffer::default();
    copy_tuples(connection, &mut buffer, copy, keys.into_iter(), |chunk, (hash, key)| {
        chunk.extend_from_slice(&3_i16.to_be_bytes());
        push_field(chunk, batch.id.as_bytes());
        push_field(chunk, &hash.to_be_bytes());
        push_field(chunk, key);
    })
    .await
    .map(|_| ())
}

/// What became of a batch.
#[derive(Clone, Debug)]
pub struct Settlement<'a> {
    /// The batch: this cleanup's, or one that an earlier one left.
    pub batch: Uuid,
    /// How many of its keys are gone.
    pub deleted: i64,
    /// How many of them are there, and may have been deleted and made anew: they remain among the keys that went, so that rows of those that
    /// are gone are kept.
    pub anew: i64,
    /// Those that stayed.
    pub stayed: Vec<&'a RedisKey>,
    /// Those of which it is not known. They become a batch of their own, which is not settled.
    pub unknown: Vec<&'a RedisKey>,
}

/// Writes what became of a batch. `false`: the lease is lost, and nothing is written.
///
/// # Errors
/// The server's. May be called again.
pub async fn settle_cleanup_batch(
    connection: &mut PgConnection,
    lease: CleanupLease,
    settlement: &Settlement<'_>,
) -> Result<bool, Error> {
    let mut transaction = begin_held(connection, lease.1, lease.2).await?;
    if !hold(&mut transaction, lease).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    // Where an earlier attempt was committed, and its answer was lost, all of this was done by it. Done once more now, it could take out what
    // another batch has written of a key since.
    if !settle(&mut transaction, settlement).await? {
        transaction.commit().await?;
        return Ok(true);
    }
    if !settlement.unknown.is_empty() {
        set_apart(&mut transaction, settlement.batch, &settlement.unknown).await?;
    }
    let Settlement { batch, stayed, .. } = settlement;
    if !stayed.is_empty() {
        let (hashes, keys) = hashed(stayed.iter().copied());
        query(
            "DELETE FROM redis2pg.cleaned_keys WHERE batch_id = $1::text::uuid AND key_hash = ANY ($2::bigint[]) \
             AND key = ANY ($3::bytea[])",
        )
        .bind(batch.to_string())
        .bind(hashes)
        .bind(keys)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// `false`: it is settled already; the answer to an earlier attempt was lost.
async fn settle(connection: &mut PgConnection, settlement: &Settlement<'_>) -> Result<bool, Error> {
    let settled = query(
        "UPDATE redis2pg.cleanup_batches SET settled_at = pg_catalog.now(), deleted = $2, keys = keys - $3, anew = $4 \
         WHERE id = $1::text::uuid AND settled_at IS NULL",
    )
    .bind(settlement.batch.to_string())
    .bind(settlement.deleted)
    .bind(settlement.unknown.len() as i64)
    .bind(settlement.anew)
    .execute(connection)
    .await?;
    Ok(settled.rows_affected() == 1)
}

/// Makes a batch of its own of some keys of a batch.
async fn set_apart(connection: &mut PgConnection, batch: Uuid, unknown: &[&RedisKey]) -> Result<(), Error> {
    let (hashes, keys) = hashed(unknown.iter().copied());
    query(
        "WITH made AS (INSERT INTO redis2pg.cleanup_batches (id, cleanup_id, mapping, redis_db, keys, begun_at, backup_bytes, \
             backup_digest) \
           SELECT pg_catalog.gen_random_uuid(), b.cleanup_id, b.mapping, b.redis_db, pg_catalog.cardinality($3::bytea[]), \
             b.begun_at, b.backup_bytes, b.backup_digest \
           FROM redis2pg.cleanup_batches b WHERE b.id = $1::text::uuid RETURNING id) \
         UPDATE redis2pg.cleaned_keys SET batch_id = made.id FROM made WHERE batch_id = $1::text::uuid \
         AND key_hash = ANY ($2::bigint[]) AND key = ANY ($3::bytea[])",
    )
    .bind(batch.to_string())
    .bind(hashes)
    .bind(keys)
    .execute(connection)
    .await
    .map(|_| ())
}

fn hashed<'k>(keys: impl IntoIterator<Item = &'k RedisKey>) -> (Vec<i64>, Vec<&'k [u8]>) {
    keys.into_iter().map(|key| (key_hash(key.as_bytes()), key.as_bytes())).unzip()
}

/// A batch of a cleanup that was interrupted: nobody knows which of its keys are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// The batch.
    pub batch: Uuid,
    /// The cleanup.
    pub cleanup: Uuid,
    /// The number of the keys' database.
    pub database: u8,
}

/// The batches that earlier cleanups of the Redis of this source left so.
///
/// # Errors
/// The server's.
pub async fn unsettled(connection: &mut PgConnection, source: &str) -> Result<Vec<Unsettled>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(format!(
        "SELECT b.id::text, b.cleanup_id::text, b.redis_db FROM redis2pg.cleanup_batches b \
         JOIN redis2pg.cleanups c ON c.id = b.cleanup_id WHERE b.settled_at IS NULL AND c.state <> 'running' \
         AND {} = {} ORDER BY b.begun_at",
        super::place("c.source"),
        super::place("$1::text")
    ))
    .bind(source)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(left).collect()
}

fn left(row: &PgRow) -> Result<Unsettled, Error> {
    let id = |name: &str| {
        let text: String = row.try_get(name)?;
        Uuid::parse_str(&text).map_err(|error| Error::Decode(error.into()))
    };
    let database = u8::try_from(row.try_get::<i32, _>("redis_db")?).unwrap_or(u8::MAX);
    Ok(Unsettled { batch: id("id")?, cleanup: id("cleanup_id")?, database })
}

/// The keys of a batch that is not settled.
///
/// # Errors
/// The server's.
pub async fn batch_keys(connection: &mut PgConnection, batch: Uuid) -> Result<Vec<RedisKey>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query("SELECT key FROM redis2pg.cleaned_keys WHERE batch_id = $1::text::uuid")
        .bind(batch.to_string())
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    rows.iter().map(|row| row.try_get::<Vec<u8>, _>(0).map(RedisKey::new)).collect()
}
