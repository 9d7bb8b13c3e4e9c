//! Rejects that wait: children whose parent was not there, which the run itself tries again at the end of their phase.

use super::shards::ShardId;
use crate::model::{Database, RedisKey};
use crate::postgres::query;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};

/// A reject that the run itself will try again, once more parents are there.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Its place in the order of writing.
    pub id: i64,
    /// The key.
    pub key: RedisKey,
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
         AND state = 'pending' AND id > $4 AND id <= $6 AND redis_db IS NOT DISTINCT FROM $7::int4 \
         AND counted_by IS NOT DISTINCT FROM $8::text::uuid ORDER BY id LIMIT $5",
    )
    .bind(shard.home().to_string())
    .bind(shard.phase.cast_signed())
    .bind(mapping)
    .bind(after)
    .bind(limit)
    .bind(until)
    .bind(shard.named(database))
    .bind(shard.counter())
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
        "SELECT pg_catalog.count(*) AS count, pg_catalog.max(id) AS last FROM redis2pg.rejects WHERE run_id = $1::text::uuid \
         AND phase = $2 AND mapping = ANY ($3) AND state = 'pending' AND redis_db IS NOT DISTINCT FROM $4::int4 \
         AND counted_by IS NOT DISTINCT FROM $5::text::uuid",
    )
    .bind(shard.home().to_string())
    .bind(shard.phase.cast_signed())
    .bind(mappings)
    .bind(shard.named(database))
    .bind(shard.counter())
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
        "SELECT r.id, r.key FROM pg_catalog.unnest($2::bigint[]) WITH ORDINALITY u (id, place) JOIN redis2pg.rejects r USING (id) \
         WHERE r.run_id = $1::text::uuid AND r.state = 'pending' ORDER BY u.place",
    )
    .bind(shard.home().to_string())
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
         AND counted_by IS NOT DISTINCT FROM $5::text::uuid AND redis_db IS NOT DISTINCT FROM $4::int4 \
         AND key_hash = ANY (ARRAY(SELECT pg_catalog.sha256(k) FROM pg_catalog.unnest($3::bytea[]) k))",
    )
    .bind(shard.home().to_string())
    .bind(mapping)
    .bind(keys)
    .bind(shard.named(database))
    .bind(shard.counter())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let mut found: Vec<RedisKey> =
        rows.iter().map(|row| Ok(RedisKey::new(row.try_get::<Vec<u8>, _>("key")?))).collect::<Result<_, Error>>()?;
    found.sort();
    Ok(found)
}
