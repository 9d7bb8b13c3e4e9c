//! The backups that keys went by: how far each was on disk by then. What a file lacks of that is in no other.

use super::{CleanupLease, place};
use crate::ledger::shards::begin_held;
use crate::model::BackupExtent;
use crate::postgres::query;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};

/// A backup by which keys went, or were about to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupFile {
    /// The id in each of its frames, in hexadecimal.
    pub id: String,
    /// The name that it gets at its end, as the last cleanup had it that wrote it.
    pub path: String,
    /// The run whose keys the last of them deleted.
    pub run: String,
    /// How far it was on disk at least.
    pub extent: BackupExtent,
    /// The keys that are gone by it, and those of which that is not known.
    pub keys: i64,
    /// Whether its end mark is on disk, so that it has its name, or is about to get it.
    pub is_whole: bool,
    /// Whether a cleanup that came to its end has said that it was not there any more, not at its end.
    pub is_forgone: bool,
}

/// The backups by which keys of the Redis of this source went, the latest first. Not told of ledgers' earlier versions.
///
/// # Errors
/// The server's.
pub async fn cleanup_files(connection: &mut PgConnection, source: &str) -> Result<Vec<CleanupFile>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(format!(
        "SELECT f.id, f.path, f.run, f.is_whole, f.is_forgone, n.bytes, n.digest, n.keys FROM ( \
           SELECT c.backup_id AS id, (pg_catalog.array_agg(c.backup ORDER BY c.started_at DESC))[1] AS path, \
             (pg_catalog.array_agg(c.run_id::text ORDER BY c.started_at DESC))[1] AS run, pg_catalog.bool_or(c.backup_whole) AS is_whole, pg_catalog.bool_or(c.backup_forgone) AS is_forgone, pg_catalog.max(c.started_at) AS at \
           FROM redis2pg.cleanups c WHERE c.backup_id IS NOT NULL AND {} = {} GROUP BY c.backup_id) f \
         CROSS JOIN LATERAL ( \
           SELECT pg_catalog.max(b.backup_bytes) AS bytes, \
             (pg_catalog.array_agg(b.backup_digest ORDER BY b.backup_bytes DESC))[1] AS digest, \
             pg_catalog.sum(coalesce(b.deleted + b.anew, b.keys))::bigint AS keys \
           FROM redis2pg.cleanup_batches b JOIN redis2pg.cleanups c ON c.id = b.cleanup_id \
           WHERE c.backup_id = f.id AND b.backup_bytes IS NOT NULL AND coalesce(b.deleted + b.anew, b.keys) > 0) n \
         WHERE n.keys > 0 ORDER BY f.at DESC",
        place("c.source"),
        place("$1::text")
    ))
    .bind(source)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(file).collect()
}

fn file(row: &PgRow) -> Result<CleanupFile, Error> {
    let bytes = u64::try_from(row.try_get::<i64, _>("bytes")?).unwrap_or(0);
    Ok(CleanupFile {
        id: row.try_get("id")?,
        path: row.try_get("path")?,
        run: row.try_get("run")?,
        extent: BackupExtent { bytes, digest: row.try_get("digest")? },
        keys: row.try_get("keys")?,
        is_whole: row.try_get("is_whole")?,
        is_forgone: row.try_get("is_forgone")?,
    })
}

/// How many keys went by what a backup had beyond this byte, those among them of which that is not known.
///
/// # Errors
/// The server's.
pub async fn keys_beyond(connection: &mut PgConnection, (file, bytes): (&str, u64)) -> Result<i64, Error> {
    let mut transaction = connection.begin().await?;
    let keys = query(
        "SELECT coalesce(pg_catalog.sum(coalesce(b.deleted + b.anew, b.keys)), 0)::bigint FROM redis2pg.cleanup_batches b \
         JOIN redis2pg.cleanups c ON c.id = b.cleanup_id WHERE c.backup_id = $1 AND b.backup_bytes > $2",
    )
    .bind(file)
    .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
    .fetch_one(&mut *transaction)
    .await?
    .try_get(0);
    transaction.commit().await?;
    keys
}

/// Writes that the backup of a cleanup is whole, and only gets its name from now on; or, not `whole`, that it did not get that after
/// all. `false`: the lease is lost.
///
/// # Errors
/// The server's. May be called again.
pub async fn seal_cleanup_file(
    connection: &mut PgConnection,
    (id, lease, lease_time): CleanupLease,
    whole: bool,
) -> Result<bool, Error> {
    let mut transaction = begin_held(connection, lease, lease_time).await?;
    let done = query(
        "UPDATE redis2pg.cleanups SET backup_whole = $3 \
         WHERE id = $1::text::uuid AND lease = $2::text::uuid AND state = 'running'",
    )
    .bind(id.to_string())
    .bind(lease.to_string())
    .bind(whole)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}

/// Writes that backups with these ids were not there any more, inside the caller's transaction: that has been said, and nobody waits for
/// them by their names.
///
/// # Errors
/// The server's.
pub async fn forgo_cleanup_files(connection: &mut PgConnection, ids: &[String]) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    query("UPDATE redis2pg.cleanups SET backup_forgone = true WHERE backup_id = ANY ($1) AND NOT backup_forgone")
        .bind(ids)
        .execute(connection)
        .await
        .map(|_| ())
}
