//! What others ask of cleanups: whether a run's keys may be deleted, which keys were, and what is told of it.

use super::place;
use crate::model::RedisKey;
use crate::postgres::{query, script};
use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};
use std::collections::HashSet;
use uuid::Uuid;

/// What the ledger knows a key by: the first 8 bytes of its SHA-256.
pub(super) fn key_hash(key: &[u8]) -> i64 {
    let hash: [u8; 32] = Sha256::digest(key).into();
    hash.first_chunk::<8>().map_or(0, |first| i64::from_be_bytes(*first))
}

/// Whether keys of a run may be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleanable {
    /// Where its keys came from.
    pub source: String,
    /// The state: `done`, `stopped`, …
    pub state: String,
    /// Whether it came to the end of every scan. A run of a pattern leaves no checkpoint: its state alone tells.
    pub is_complete: bool,
    /// Whether a rollback of it has begun, or was done.
    pub is_undone: bool,
    /// It, and those of the same source and mappings before it with their retries, of which none took part in a rollback: a row
    /// that one of these wrote counts.
    pub runs: Vec<String>,
    /// How many of its rejects are open.
    pub open_rejects: i64,
}

/// Reads it.
///
/// # Errors
/// The server's; there must be such a run.
pub async fn cleanable(connection: &mut PgConnection, run: Uuid) -> Result<Cleanable, Error> {
    let mut transaction = connection.begin().await?;
    let row = query(
        "WITH a AS (SELECT o.id FROM redis2pg.runs r JOIN redis2pg.runs o ON o.id = r.id OR o.source = r.source \
         AND o.mapping_hash = r.mapping_hash AND o.started_at <= r.started_at WHERE r.id = $1::text::uuid) \
         SELECT r.source, r.state, r.state = 'done' AND (r.settings -> 'run' ->> 'keys' IS NOT NULL \
         OR EXISTS (SELECT FROM redis2pg.shards s WHERE s.run_id = r.id) \
         AND NOT EXISTS (SELECT FROM redis2pg.shards s WHERE s.run_id = r.id AND s.state <> 'complete')) AS is_complete, \
         r.rolled_back_at IS NOT NULL OR r.rollback IS NOT NULL \
         OR coalesce(r.rollback_lease_expires_at > pg_catalog.clock_timestamp(), false) AS is_undone, \
         ARRAY(SELECT n.id::text FROM redis2pg.runs n WHERE n.source = r.source \
         AND (n.id IN (SELECT a.id FROM a) OR n.retry_of IN (SELECT a.id FROM a)) \
         AND n.rolled_back_at IS NULL AND n.rollback IS NULL \
         AND coalesce(n.rollback_lease_expires_at <= pg_catalog.clock_timestamp(), true)) AS runs, \
         (SELECT pg_catalog.count(*) FROM redis2pg.rejects x WHERE x.run_id = r.id AND x.state <> 'closed') AS open_rejects \
         FROM redis2pg.runs r WHERE r.id = $1::text::uuid",
    )
    .bind(run.to_string())
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(Cleanable {
        source: row.try_get("source")?,
        state: row.try_get("state")?,
        is_complete: row.try_get("is_complete")?,
        is_undone: row.try_get("is_undone")?,
        runs: row.try_get("runs")?,
        open_rejects: row.try_get("open_rejects")?,
    })
}

/// Set for a transaction in which few of very many keys are looked up: a planner that knows nothing of them yet may read all. Without
/// sequential scans its costs are such that it would compile each statement, which took 0.4 s.
const BY_INDEX: &str = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off; SET LOCAL jit = off";

/// The tables that say which keys went.
const OF_KEYS: [&str; 3] = ["cleanups", "cleanup_batches", "cleaned_keys"];

/// Whether this role may read all of some tables of the ledger; not one that is not there yet.
async fn may_read(connection: &mut PgConnection, tables: &[&str]) -> Result<bool, Error> {
    query(
        "SELECT coalesce(pg_catalog.bool_and(pg_catalog.has_table_privilege(pg_catalog.to_regclass('redis2pg.' || t.name), \
         'SELECT')), false) FROM pg_catalog.unnest($1::text[]) t (name)",
    )
    .bind(tables)
    .fetch_one(connection)
    .await?
    .try_get(0)
}

/// Whether any cleanup has deleted a key: else none needs to be looked for.
///
/// # Errors
/// The server's.
pub async fn any_cleaned(connection: &mut PgConnection) -> Result<bool, Error> {
    let mut transaction = connection.begin().await?;
    let any = may_read(&mut transaction, &OF_KEYS).await?
        && query("SELECT EXISTS (SELECT FROM redis2pg.cleaned_keys)").fetch_one(&mut *transaction).await?.try_get(0)?;
    transaction.commit().await?;
    Ok(any)
}

/// Which of some keys a cleanup deleted, by their places: each with the run that wrote its row, which must have begun before. A run whose
/// rows counted for the cleanup was there before it, whatever the server's clock said then.
/// None in a ledger that knows no cleanups yet, or that this role may not read.
///
/// # Errors
/// The server's.
pub async fn cleaned_among(
    connection: &mut PgConnection,
    of: (&str, u8),
    keys: &[(RedisKey, String)],
) -> Result<HashSet<usize>, Error> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let mut transaction = connection.begin().await?;
    let found = match may_read(&mut transaction, &OF_KEYS).await? {
        true => look_up(&mut transaction, of, keys).await?,
        false => HashSet::new(),
    };
    transaction.rollback().await?;
    Ok(found)
}

/// Keys are looked up one by one, by the index, and so are the runs: after a cleanup there are as many keys as there were in Redis. A key
/// that came back and was deleted again is there for each time; one that is late enough is enough.
async fn look_up(
    connection: &mut PgConnection,
    (source, database): (&str, u8),
    keys: &[(RedisKey, String)],
) -> Result<HashSet<usize>, Error> {
    script(BY_INDEX).execute(&mut *connection).await?;
    // What names no run, such as nothing, is of one that began before all others.
    let run = |run: &String| Uuid::parse_str(run).ok().map(|run| run.to_string());
    let rows = query(format!(
        "SELECT k.place - 1 AS place FROM ROWS FROM (pg_catalog.unnest($3::bigint[]), pg_catalog.unnest($4::bytea[]), \
         pg_catalog.unnest($5::text[])) WITH ORDINALITY k (hash, key, run, place) \
         LEFT JOIN redis2pg.runs r ON r.id = k.run::uuid WHERE EXISTS (SELECT FROM redis2pg.cleaned_keys d \
         JOIN redis2pg.cleanup_batches b ON b.id = d.batch_id JOIN redis2pg.cleanups c ON c.id = b.cleanup_id \
         WHERE d.key_hash = k.hash AND d.key = k.key AND b.redis_db = $2 AND {} = {} \
         AND (c.started_at >= coalesce(r.started_at, '-infinity') OR r.id = ANY (c.runs)) OFFSET 0)",
        place("c.source"),
        place("$1::text")
    ))
    .bind(source)
    .bind(i32::from(database))
    .bind(keys.iter().map(|(key, _)| key_hash(key.as_bytes())).collect::<Vec<_>>())
    .bind(keys.iter().map(|(key, _)| key.as_bytes()).collect::<Vec<_>>())
    .bind(keys.iter().map(|(_, of)| run(of)).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let place = |row: &PgRow| Ok(usize::try_from(row.try_get::<i64, _>("place")?).unwrap_or(usize::MAX));
    rows.iter().map(place).collect()
}

/// The same, where the keys are of the source that a run reads.
///
/// # Errors
/// The server's.
pub async fn cleaned_of_source(
    connection: &mut PgConnection,
    (run, database): (Uuid, u8),
    keys: &[(RedisKey, String)],
) -> Result<HashSet<usize>, Error> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let of = "SELECT source FROM redis2pg.runs WHERE id = $1::text::uuid";
    let source: Option<String> = query(of)
        .bind(run.to_string())
        .fetch_optional(&mut *connection)
        .await?
        .map(|row| row.try_get(0))
        .transpose()?;
    match source {
        Some(source) => cleaned_among(connection, (&source, database), keys).await,
        None => Ok(HashSet::new()),
    }
}

/// A cleanup, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupEntry {
    /// Its id.
    pub id: String,
    /// The run whose keys it deleted.
    pub run: String,
    /// `running`, `done`, `stopped`, `failed` or `abandoned`.
    pub state: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Keys that are gone by it, as far as is known.
    pub deleted: i64,
    /// Keys of which it is not known, since it was interrupted: the next cleanup settles them.
    pub unsettled: i64,
    /// The file that they were written to first.
    pub backup: Option<String>,
    /// The account, as JSON text.
    pub account: String,
}

/// The cleanups by which keys of this run's rows may have gone, the latest first. None in a ledger that knows none yet, or that
/// this role may not read.
///
/// # Errors
/// The server's.
pub async fn cleanups_of(connection: &mut PgConnection, run: &str) -> Result<Vec<CleanupEntry>, Error> {
    let mut transaction = connection.begin().await?;
    let readable = may_read(&mut transaction, &["cleanups", "cleanup_batches"]).await?;
    let rows = match readable {
        false => Vec::new(),
        true => {
            query(
                "SELECT c.id::text, c.run_id::text AS run, c.state, c.backup, c.account::text AS account, \
             pg_catalog.to_char(c.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS started_at, \
             pg_catalog.to_char(c.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS finished_at, \
             coalesce(pg_catalog.sum(b.deleted), 0)::bigint AS deleted, \
             coalesce(pg_catalog.sum(b.keys) FILTER (WHERE b.settled_at IS NULL), 0)::bigint AS unsettled \
             FROM redis2pg.cleanups c LEFT JOIN redis2pg.cleanup_batches b ON b.cleanup_id = c.id \
             WHERE $1::text::uuid = ANY (c.runs) GROUP BY c.id ORDER BY c.started_at DESC",
            )
            .bind(run)
            .fetch_all(&mut *transaction)
            .await?
        }
    };
    transaction.rollback().await?;
    rows.iter().map(entry).collect()
}

fn entry(row: &PgRow) -> Result<CleanupEntry, Error> {
    Ok(CleanupEntry {
        id: row.try_get("id")?,
        run: row.try_get("run")?,
        state: row.try_get("state")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        deleted: row.try_get("deleted")?,
        unsettled: row.try_get("unsettled")?,
        backup: row.try_get("backup")?,
        account: row.try_get("account")?,
    })
}

#[cfg(test)]
mod tests {
    use super::key_hash;

    #[test]
    fn a_key_is_known_by_the_start_of_its_sha256() {
        // sha256("abc") begins with ba7816bf8f01cfea.
        assert_eq!(key_hash(b"abc"), 0xba78_16bf_8f01_cfea_u64.cast_signed());
    }
}
