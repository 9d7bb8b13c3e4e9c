//! Rejects: every key that was not loaded, with what is needed to see why and to load it later.
//!
//! A reject belongs to the run that found it. A run that retries those of another one closes what it loads, in the rows'
//! transaction, and writes what it rejects again where it was.

use super::reject_columns::Columns;
use super::shards::ShardId;
use crate::model::{Counts, Database, RedisKey, Reject, TableName};
use crate::postgres::query;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};
use uuid::Uuid;

/// A reject as it is written.
#[derive(Clone, Debug)]
pub struct Rejected<'a> {
    /// The reject.
    pub reject: &'a Reject,
    /// Whether the run tries it again.
    pub pending: bool,
    /// What was counted of the key's rows, where it is several.
    pub rows: Counts,
}

/// A reject that was taken back.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The key.
    pub key: RedisKey,
    /// Why it was rejected.
    pub reason: String,
    /// What was counted of the key's rows, where it is several.
    pub rows: Counts,
    /// Whether this run's books count it.
    pub counted: bool,
}

/// What the ledger knows of a key that was rejected.
#[derive(Clone, Debug)]
pub struct Known {
    /// The key.
    pub key: RedisKey,
    /// Why it was rejected.
    pub reason: String,
    /// Whether this run's books count it.
    pub counted: bool,
    /// Whether a retry has settled it.
    pub closed: bool,
    /// Of a key that is several rows the elements that were rejected, as [`crate::model::Replay::elements`] has them; `None` where they
    /// are not known or not asked for.
    pub elements: Option<Vec<u8>>,
}

/// Writes rejects inside the caller's transaction. A key that was rejected before in this run is written over; in a retry
/// one that the retried run had rejected.
///
/// Values above `value_cap` bytes are kept as size and hash only.
///
/// # Errors
/// The server's.
pub async fn record(
    connection: &mut PgConnection,
    shard: ShardId,
    (mapping, table, database): (&str, &TableName, Database),
    rejects: &[Rejected<'_>],
    value_cap: usize,
) -> Result<(), Error> {
    // A statement with some hundred rejects at a time keeps its parameters small.
    for chunk in rejects.chunks(500) {
        let mut columns = Columns::default();
        // One statement must not meet a key twice: the last wins.
        let mut seen = std::collections::HashSet::new();
        for rejected in chunk.iter().rev() {
            if seen.insert(&rejected.reject.key) {
                columns.push(rejected, value_cap)?;
            }
        }
        columns.write(connection, shard, (mapping, table, database)).await?;
    }
    Ok(())
}

/// Takes back the rejects of keys that are judged anew, inside the caller's transaction. Gives those that there were.
///
/// An ordinary run forgets them. In a retry those of `settled` keys are closed, and those of keys that are `rejected` again
/// stay where they are, to be written over.
///
/// # Errors
/// The server's.
pub async fn resolve(
    connection: &mut PgConnection,
    shard: ShardId,
    (mapping, database): (&str, Database),
    (settled, rejected): (&[&RedisKey], &[&RedisKey]),
) -> Result<Vec<Removed>, Error> {
    if shard.retry_of.is_some() {
        let mut taken = close(connection, shard, database, settled).await?;
        taken.extend(reopen(connection, shard, database, rejected).await?);
        return Ok(taken);
    }
    let keys: Vec<&[u8]> = settled.iter().chain(rejected).map(|key| key.as_bytes()).collect();
    let removed = query(
        "DELETE FROM redis2pg.rejects WHERE run_id = $1::text::uuid AND mapping = $2 \
         AND key_hash = ANY (ARRAY(SELECT pg_catalog.sha256(k) FROM pg_catalog.unnest($3::bytea[]) k)) \
         AND redis_db IS NOT DISTINCT FROM $4::int4 \
         RETURNING key, reason, rows::text AS rows, found_by IS NULL AS counted",
    )
    .bind(shard.run.to_string())
    .bind(mapping)
    .bind(keys)
    .bind(database.named())
    .fetch_all(connection)
    .await?;
    removed.iter().map(taken_back).collect()
}

/// Closes the open rejects of keys that a retry has settled.
async fn close(
    connection: &mut PgConnection,
    shard: ShardId,
    database: Database,
    keys: &[&RedisKey],
) -> Result<Vec<Removed>, Error> {
    let set = "state = 'closed', closed_at = pg_catalog.now(), closed_by = $2::text::uuid, counted_by = NULL, ";
    take_back(connection, shard, (database, keys), set).await
}

/// Takes the rejects of keys out of a retry's books; they stay open.
///
/// # Errors
/// The server's.
pub async fn reopen(
    connection: &mut PgConnection,
    shard: ShardId,
    database: Database,
    keys: &[&RedisKey],
) -> Result<Vec<Removed>, Error> {
    take_back(connection, shard, (database, keys), "state = 'open', counted_by = NULL, ").await
}

/// Opens the rejects again that this retry has closed of these keys, inside the caller's transaction, which takes their rows back. A
/// key goes with its database as the retry names it.
///
/// # Errors
/// The server's.
pub async fn reopen_closed(
    connection: &mut PgConnection,
    retry: Uuid,
    keys: &[(Vec<u8>, Option<String>)],
) -> Result<(), Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let (keys, databases): (Vec<&[u8]>, Vec<Option<&str>>) =
        keys.iter().map(|(key, database)| (key.as_slice(), database.as_deref())).unzip();
    // Where none is named it is the source's own.
    let number = |database: &str, source: &str| format!("coalesce({database}, substring({source} FROM '/([0-9]+)$'))");
    query(format!(
        "UPDATE redis2pg.rejects r SET state = 'open', closed_at = NULL, closed_by = NULL \
         FROM redis2pg.runs n, redis2pg.runs o, unnest($2::bytea[], $3::text[]) k (key, database) \
         WHERE n.id = $1::text::uuid AND o.id = n.retry_of AND r.run_id = o.id AND r.closed_by = n.id AND r.state = 'closed' \
         AND r.key_hash = pg_catalog.sha256(k.key) AND {} IS NOT DISTINCT FROM {}",
        number("r.redis_db::text", "o.source"),
        number("k.database", "n.source")
    ))
    .bind(retry.to_string())
    .bind(keys)
    .bind(databases)
    .execute(connection)
    .await
    .map(|_| ())
}

/// Opens all rejects of a table again that this retry has closed.
///
/// # Errors
/// The server's.
pub async fn reopen_closed_of(connection: &mut PgConnection, retry: Uuid, table: &str) -> Result<(), Error> {
    query(
        "UPDATE redis2pg.rejects SET state = 'open', closed_at = NULL, closed_by = NULL \
         WHERE run_id = (SELECT n.retry_of FROM redis2pg.runs n WHERE n.id = $1::text::uuid) \
         AND closed_by = $1::text::uuid AND state = 'closed' AND table_name = $2",
    )
    .bind(retry.to_string())
    .bind(table)
    .execute(connection)
    .await
    .map(|_| ())
}

/// Notes that a retry came to these keys and could not judge them; their rejects stay as they are.
///
/// # Errors
/// The server's.
pub async fn touch(
    connection: &mut PgConnection,
    shard: ShardId,
    database: Database,
    keys: &[&RedisKey],
) -> Result<(), Error> {
    take_back(connection, shard, (database, keys), "").await.map(|_| ())
}

/// Changes the rejects of keys that are not closed, and notes the attempt, which counts once a run.
async fn take_back(
    connection: &mut PgConnection,
    shard: ShardId,
    (database, keys): (Database, &[&RedisKey]),
    set: &str,
) -> Result<Vec<Removed>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
    let removed = query(format!(
        "UPDATE redis2pg.rejects r SET {set}tried_by = $2::text::uuid, tried_at = pg_catalog.now(), \
         attempts = r.attempts + (r.tried_by IS DISTINCT FROM $2::text::uuid)::int4 \
         FROM (SELECT id, rows, counted_by FROM redis2pg.rejects WHERE run_id = $1::text::uuid \
         AND key_hash = ANY (ARRAY(SELECT pg_catalog.sha256(k) FROM pg_catalog.unnest($3::bytea[]) k)) \
         AND redis_db IS NOT DISTINCT FROM $4::int4 AND state <> 'closed' FOR UPDATE) old WHERE r.id = old.id \
         RETURNING r.key, r.reason, old.rows::text AS rows, \
         coalesce(old.counted_by = $2::text::uuid, false) AS counted"
    ))
    .bind(shard.home().to_string())
    .bind(shard.run.to_string())
    .bind(keys)
    .bind(shard.named(database))
    .fetch_all(connection)
    .await?;
    removed.iter().map(taken_back).collect()
}

fn taken_back(row: &PgRow) -> Result<Removed, Error> {
    let rows: Option<String> = row.try_get("rows")?;
    let rows = rows.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| Error::Decode(error.into()))?;
    Ok(Removed {
        key: RedisKey::new(row.try_get::<Vec<u8>, _>("key")?),
        reason: row.try_get("reason")?,
        rows: rows.unwrap_or_default(),
        counted: row.try_get("counted")?,
    })
}

/// What is known of those among these keys of a mapping that were rejected in this run, or by whatever mapping in the one
/// that it retries. `elements`: whether to tell which elements were; a ledger that is not up to date does not know.
///
/// # Errors
/// The server's.
pub async fn known(
    connection: &mut PgConnection,
    shard: ShardId,
    (mapping, database): (&str, Database),
    keys: &[RedisKey],
    elements: bool,
) -> Result<Vec<Known>, Error> {
    let keys: Vec<&[u8]> = keys.iter().map(RedisKey::as_bytes).collect();
    let mut transaction = connection.begin().await?;
    let elements = if elements { "elements" } else { "NULL::bytea AS elements" };
    let rows = query(format!(
        "SELECT key, reason, {elements}, state = 'closed' AS closed, \
         CASE WHEN $4::text IS NULL THEN found_by IS NULL ELSE coalesce(counted_by = $4::text::uuid, false) END AS counted \
         FROM redis2pg.rejects WHERE run_id = $1::text::uuid \
         AND key_hash = ANY (ARRAY(SELECT pg_catalog.sha256(k) FROM pg_catalog.unnest($2::bytea[]) k)) \
         AND redis_db IS NOT DISTINCT FROM $3::int4 \
         AND ($4::text IS NOT NULL OR mapping = $5)",
    ))
    .bind(shard.home().to_string())
    .bind(keys)
    .bind(shard.named(database))
    .bind(shard.counter())
    .bind(mapping)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let known = |row: &PgRow| {
        Ok(Known {
            key: RedisKey::new(row.try_get::<Vec<u8>, _>("key")?),
            reason: row.try_get("reason")?,
            counted: row.try_get("counted")?,
            closed: row.try_get("closed")?,
            elements: row.try_get("elements")?,
        })
    };
    rows.iter().map(known).collect()
}
