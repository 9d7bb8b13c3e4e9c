//! Rejects: every key that was not loaded, with what is needed to see why and to load it later.

use super::shards::ShardId;
use crate::model::{Counts, Database, RedisKey, Reject, TableName, sha256_hex};
use crate::postgres::query;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};

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

/// A reject that was removed.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The key.
    pub key: RedisKey,
    /// Why it was rejected.
    pub reason: String,
    /// What was counted of the key's rows, where it is several.
    pub rows: Counts,
}

/// A reject that the run itself will try again, once more parents are there.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Its place in the order of writing.
    pub id: i64,
    /// The key.
    pub key: RedisKey,
}

/// Writes rejects inside the caller's transaction. A key that was rejected before in this run is written over.
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
        columns.insert(connection, shard, (mapping, table, database)).await?;
    }
    Ok(())
}

#[derive(Default)]
struct Columns {
    key: Vec<Vec<u8>>,
    redis_type: Vec<String>,
    reason: Vec<String>,
    detail: Vec<String>,
    path: Vec<Option<String>>,
    column: Vec<Option<String>>,
    sqlstate: Vec<Option<String>>,
    value: Vec<Option<Vec<u8>>>,
    size: Vec<Option<i64>>,
    hash: Vec<Option<String>>,
    state: Vec<String>,
    rows: Vec<Option<String>>,
}

impl Columns {
    fn push(&mut self, rejected: &Rejected<'_>, value_cap: usize) -> Result<(), Error> {
        let Rejected { reject, pending, rows } = rejected;
        let rows = (!rows.is_empty()).then(|| serde_json::to_string(rows)).transpose();
        self.rows.push(rows.map_err(|error| Error::Encode(error.into()))?);
        self.key.push(reject.key.as_bytes().to_vec());
        self.redis_type.push(reject.redis_type.to_string());
        self.reason.push(reject.reason.to_string());
        // PostgreSQL's text cannot hold a NUL.
        self.detail.push(reject.detail.replace('\0', "\u{fffd}"));
        self.path.push(reject.path.as_ref().map(|path| path.replace('\0', "\u{fffd}")));
        self.column.push(reject.column.clone());
        self.sqlstate.push(reject.sqlstate.clone());
        let value = reject.value.as_ref();
        self.value.push(value.filter(|value| value.len() <= value_cap).map(|value| value.to_vec()));
        let withheld = reject.withheld.as_ref();
        let size = value.map(|value| value.len().try_into().unwrap_or(i64::MAX));
        self.size.push(size.or(withheld.map(|withheld| withheld.bytes)));
        let hash = value.map(|value| sha256_hex(value));
        self.hash.push(hash.or_else(|| withheld.map(|withheld| withheld.sha256.clone())));
        self.state.push(if *pending { "pending" } else { "open" }.to_owned());
        Ok(())
    }

    async fn insert(
        &self,
        connection: &mut PgConnection,
        shard: ShardId,
        (mapping, table, database): (&str, &TableName, Database),
    ) -> Result<(), Error> {
        query(
            "INSERT INTO redis2pg.rejects (run_id, phase, mapping, table_name, redis_db, key, redis_type, reason, detail, \
             path, column_name, sqlstate, value, value_size, value_hash, state, rows) \
             SELECT $1::text::uuid, $2, $3, $4, $17::int4, u.* FROM unnest($5::bytea[], $6::text[], $7::text[], $8::text[], \
             $9::text[], $10::text[], $11::text[], $12::bytea[], $13::bigint[], $14::text[], $15::text[], \
             $16::text[]::jsonb[]) u \
             ON CONFLICT (run_id, mapping, key_hash, (coalesce(redis_db, -1))) DO UPDATE SET redis_type = excluded.redis_type, \
             reason = excluded.reason, detail = excluded.detail, path = excluded.path, \
             column_name = excluded.column_name, sqlstate = excluded.sqlstate, value = excluded.value, \
             value_size = excluded.value_size, value_hash = excluded.value_hash, state = excluded.state, \
             rows = excluded.rows",
        )
        .bind(shard.run.to_string())
        .bind(shard.phase.cast_signed())
        .bind(mapping)
        .bind(table.to_string())
        .bind(&self.key)
        .bind(&self.redis_type)
        .bind(&self.reason)
        .bind(&self.detail)
        .bind(&self.path)
        .bind(&self.column)
        .bind(&self.sqlstate)
        .bind(&self.value)
        .bind(&self.size)
        .bind(&self.hash)
        .bind(&self.state)
        .bind(&self.rows)
        .bind(database.named())
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Removes the rejects of keys that are tried again, inside the caller's transaction. Gives those that there were.
///
/// # Errors
/// The server's.
pub async fn resolve(
    connection: &mut PgConnection,
    shard: ShardId,
    (mapping, database): (&str, Database),
    keys: &[&RedisKey],
) -> Result<Vec<Removed>, Error> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes()).collect();
    let removed = query(
        "DELETE FROM redis2pg.rejects WHERE run_id = $1::text::uuid AND mapping = $2 \
         AND key_hash = ANY (ARRAY(SELECT sha256(k) FROM unnest($3::bytea[]) k)) \
         AND coalesce(redis_db, -1) = coalesce($4::int4, -1) RETURNING key, reason, rows::text AS rows",
    )
    .bind(shard.run.to_string())
    .bind(mapping)
    .bind(keys)
    .bind(database.named())
    .fetch_all(connection)
    .await?;
    let counts = |text: String| serde_json::from_str(&text).map_err(|error| Error::Decode(error.into()));
    let read = |row: &PgRow| {
        let rows: Option<String> = row.try_get("rows")?;
        let rows = rows.map(counts).transpose()?.unwrap_or_default();
        Ok(Removed { key: RedisKey::new(row.try_get::<Vec<u8>, _>("key")?), reason: row.try_get("reason")?, rows })
    };
    removed.iter().map(read).collect()
}

/// The next pending rejects of a phase and mapping, of keys of one database, behind `after` up to `until`, in order of
/// writing.
///
/// # Errors
/// The server's.
pub async fn pending_page(
    connection: &mut PgConnection,
    shard: ShardId,
    (mapping, database): (&str, Database),
    (after, until): (i64, i64),
    limit: i64,
) -> Result<Vec<Pending>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(
        "SELECT id, key FROM redis2pg.rejects WHERE run_id = $1::text::uuid AND phase = $2 AND mapping = $3 \
         AND state = 'pending' AND id > $4 AND id <= $6 AND redis_db IS NOT DISTINCT FROM $7::int4 ORDER BY id LIMIT $5",
    )
    .bind(shard.run.to_string())
    .bind(shard.phase.cast_signed())
    .bind(mapping)
    .bind(after)
    .bind(limit)
    .bind(until)
    .bind(database.named())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(pending).collect()
}

fn pending(row: &PgRow) -> Result<Pending, Error> {
    Ok(Pending { id: row.try_get("id")?, key: RedisKey::new(row.try_get::<Vec<u8>, _>("key")?) })
}

/// How many rejects of a phase and these mappings are pending, of keys of one database, and the place of the last one.
///
/// # Errors
/// The server's.
pub async fn pending_count(
    connection: &mut PgConnection,
    shard: ShardId,
    (mappings, database): (&[String], Database),
) -> Result<(i64, Option<i64>), Error> {
    let mut transaction = connection.begin().await?;
    let row = query(
        "SELECT count(*) AS count, max(id) AS last FROM redis2pg.rejects WHERE run_id = $1::text::uuid \
         AND phase = $2 AND mapping = ANY ($3) AND state = 'pending' AND redis_db IS NOT DISTINCT FROM $4::int4",
    )
    .bind(shard.run.to_string())
    .bind(shard.phase.cast_signed())
    .bind(mappings)
    .bind(database.named())
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok((row.try_get("count")?, row.try_get("last")?))
}

/// The pending rejects at these places, in their order.
///
/// # Errors
/// The server's.
pub async fn pending_by_id(connection: &mut PgConnection, shard: ShardId, ids: &[i64]) -> Result<Vec<Pending>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(
        "SELECT r.id, r.key FROM unnest($2::bigint[]) WITH ORDINALITY u (id, place) JOIN redis2pg.rejects r USING (id) \
         WHERE r.run_id = $1::text::uuid AND r.state = 'pending' ORDER BY u.place",
    )
    .bind(shard.run.to_string())
    .bind(ids)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(pending).collect()
}

/// Those of these keys of a mapping whose reject is pending, sorted.
///
/// # Errors
/// The server's.
pub async fn pending_among(
    connection: &mut PgConnection,
    shard: ShardId,
    (mapping, database): (&str, Database),
    keys: &[RedisKey],
) -> Result<Vec<RedisKey>, Error> {
    let keys: Vec<&[u8]> = keys.iter().map(RedisKey::as_bytes).collect();
    let mut transaction = connection.begin().await?;
    let rows = query(
        "SELECT key FROM redis2pg.rejects WHERE run_id = $1::text::uuid AND mapping = $2 AND state = 'pending' \
         AND redis_db IS NOT DISTINCT FROM $4::int4 AND key_hash = ANY (ARRAY(SELECT sha256(k) FROM unnest($3::bytea[]) k))",
    )
    .bind(shard.run.to_string())
    .bind(mapping)
    .bind(keys)
    .bind(database.named())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let mut found: Vec<RedisKey> =
        rows.iter().map(|row| Ok(RedisKey::new(row.try_get::<Vec<u8>, _>("key")?))).collect::<Result<_, Error>>()?;
    found.sort();
    Ok(found)
}

/// The reasons for which these keys of a mapping were rejected in this run.
///
/// # Errors
/// The server's.
pub async fn reasons_of(
    connection: &mut PgConnection,
    shard: ShardId,
    (mapping, database): (&str, Database),
    keys: &[RedisKey],
) -> Result<Vec<(RedisKey, String)>, Error> {
    let keys: Vec<&[u8]> = keys.iter().map(RedisKey::as_bytes).collect();
    let mut transaction = connection.begin().await?;
    let rows = query(
        "SELECT key, reason FROM redis2pg.rejects WHERE run_id = $1::text::uuid AND mapping = $2 \
         AND key_hash = ANY (ARRAY(SELECT sha256(k) FROM unnest($3::bytea[]) k)) \
         AND coalesce(redis_db, -1) = coalesce($4::int4, -1)",
    )
    .bind(shard.run.to_string())
    .bind(mapping)
    .bind(keys)
    .bind(database.named())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(|row| Ok((RedisKey::new(row.try_get::<Vec<u8>, _>("key")?), row.try_get("reason")?))).collect()
}
