//! What a retry reads: the run whose rejects it takes, which of them are open, and the values that were kept with them.

use super::resume::differing;
use crate::model::{Database, KeyFacts, RedisKey, UnixMillis};
use crate::postgres::query;
use bytes::Bytes;
use serde_json::value::RawValue;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The run whose rejects are retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryOf {
    /// Its id.
    pub run: Uuid,
    /// The number of its source's own database, whose keys name none.
    pub own_database: Option<u8>,
}

impl RetryOf {
    /// How that run names a database.
    pub fn named(&self, database: Database) -> Option<i32> {
        match self.own_database {
            Some(own) => (own != database.number).then_some(i32::from(database.number)),
            None => database.named(),
        }
    }
}

/// Which open rejects are taken.
#[derive(Clone, Debug, Default)]
pub struct RetryFilter {
    /// One reason only.
    pub reason: Option<String>,
    /// One mapping only, by the name that the reject has.
    pub mapping: Option<String>,
    /// These keys only; all where there are none.
    pub keys: Vec<Vec<u8>>,
}

/// The run that is retried, as the ledger has it.
#[derive(Debug)]
pub struct Origin {
    /// Which it is.
    pub of: RetryOf,
    /// Where its keys came from.
    pub source: String,
    /// Whether a process is at work on it now.
    pub is_alive: bool,
    /// Whether it is rolled back, or a rollback has begun.
    pub is_undone: bool,
    mappings: BTreeMap<String, Box<RawValue>>,
}

impl Origin {
    /// The mappings, by name, that are other ones now, were added or are gone; `ours` are their hashes.
    pub fn differing(&self, ours: &BTreeMap<String, String>) -> Vec<String> {
        differing(ours, &self.mappings)
    }
}

/// The run whose id begins with `id`, or the latest that is no retry; where it is a retry, the one that it retries.
///
/// # Errors
/// The server's.
pub async fn origin(connection: &mut PgConnection, id: Option<&str>) -> Result<Option<Origin>, Error> {
    let mut transaction = connection.begin().await?;
    let row = query(format!(
        "SELECT id::text, source, mappings::text AS mappings, state = 'running' AND lease_expires_at > pg_catalog.clock_timestamp() \
         AS is_alive, pg_catalog.to_jsonb(runs.*) ->> 'rolled_back_at' IS NOT NULL OR pg_catalog.to_jsonb(runs.*) ->> 'rollback' IS NOT NULL \
         OR coalesce((pg_catalog.to_jsonb(runs.*) ->> 'rollback_lease_expires_at')::timestamptz > pg_catalog.clock_timestamp(), \
         false) AS is_undone, substring(source FROM '/([0-9]+)$')::int4 AS own FROM redis2pg.runs WHERE id = {}",
        chosen("$1")
    ))
    .bind(id)
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let read = |row: PgRow| {
        let (id, mappings): (String, String) = (row.try_get("id")?, row.try_get("mappings")?);
        let own: Option<i32> = row.try_get("own")?;
        let run = Uuid::parse_str(&id).map_err(|error| Error::Decode(error.into()))?;
        Ok(Origin {
            of: RetryOf { run, own_database: own.and_then(|own| u8::try_from(own).ok()) },
            source: row.try_get("source")?,
            is_alive: row.try_get("is_alive")?,
            is_undone: row.try_get("is_undone")?,
            mappings: serde_json::from_str(&mappings).unwrap_or_default(),
        })
    };
    row.map(read).transpose()
}

/// The id of the run that a person means by the beginning of an id in parameter `id`, or by none: never a retry.
///
/// A ledger that no run of this version has brought up to date yet knows no retries: they are asked for by way of JSON.
pub(super) fn chosen(id: &str) -> String {
    format!(
        "(SELECT coalesce((pg_catalog.to_jsonb(n.*) ->> 'retry_of')::uuid, n.id) FROM redis2pg.runs n \
         WHERE CASE WHEN {id}::text IS NULL THEN pg_catalog.to_jsonb(n.*) ->> 'retry_of' IS NULL \
         ELSE pg_catalog.starts_with(n.id::text, pg_catalog.lower({id}::text)) END \
         ORDER BY n.started_at DESC LIMIT 1)"
    )
}

/// An open reject's key.
#[derive(Clone, Debug)]
pub struct OpenKey {
    /// The place of the reject in the order of writing.
    pub id: i64,
    /// The key.
    pub key: RedisKey,
}

/// The part of a condition that a filter stands for; its values are the parameters from `first` on.
fn filtered(first: usize) -> String {
    let [reason, mapping, keys] = [first, first + 1, first + 2];
    format!(
        "(${reason}::text IS NULL OR reason = ${reason}) AND (${mapping}::text IS NULL OR mapping = ${mapping}) \
         AND (${keys}::bytea[] IS NULL OR key_hash = ANY (ARRAY(SELECT pg_catalog.sha256(k) FROM pg_catalog.unnest(${keys}::bytea[]) k)))"
    )
}

impl RetryFilter {
    fn keys(&self) -> Option<&[Vec<u8>]> {
        (!self.keys.is_empty()).then_some(&self.keys)
    }

    /// Takes those of its keys that the run does not hold for printed ones, where they can be. Gives whether any is.
    pub fn read_printed(&mut self, unheld: &[RedisKey]) -> bool {
        let mut any = false;
        for key in &mut self.keys {
            let is_unheld = unheld.iter().any(|unheld| unheld.as_bytes() == key.as_slice());
            if let Some(printed) = is_unheld.then(|| RedisKey::printed_as(key)).flatten() {
                *key = printed.as_bytes().to_vec();
                any = true;
            }
        }
        any
    }

    /// Whether it leaves any out.
    pub fn is_partial(&self) -> bool {
        self.reason.is_some() || self.mapping.is_some() || !self.keys.is_empty()
    }
}

/// What a filter names that a run does not have.
#[derive(Clone, Debug)]
pub struct Unheld {
    /// Whether the run has a reject with the reason, open or closed; so too where none is named.
    pub has_reason: bool,
    /// The same of the mapping.
    pub has_mapping: bool,
    /// The keys that have no open reject.
    pub keys: Vec<RedisKey>,
}

/// What the filter names that the run does not have.
///
/// # Errors
/// The server's.
pub async fn unheld(connection: &mut PgConnection, run: Uuid, filter: &RetryFilter) -> Result<Unheld, Error> {
    let mut transaction = connection.begin().await?;
    let row = query(
        "SELECT $2::text IS NULL OR EXISTS (SELECT FROM redis2pg.rejects WHERE run_id = $1::text::uuid AND reason = $2) AS reason, \
         $3::text IS NULL OR EXISTS (SELECT FROM redis2pg.rejects WHERE run_id = $1::text::uuid AND mapping = $3) AS mapping, \
         ARRAY(SELECT k FROM pg_catalog.unnest($4::bytea[]) WITH ORDINALITY u (k, place) WHERE NOT EXISTS (SELECT FROM redis2pg.rejects r \
         WHERE r.run_id = $1::text::uuid AND r.key_hash = pg_catalog.sha256(k) AND r.state <> 'closed') ORDER BY place) AS keys",
    )
    .bind(run.to_string())
    .bind(filter.reason.as_deref())
    .bind(filter.mapping.as_deref())
    .bind(&filter.keys)
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let keys: Vec<Vec<u8>> = row.try_get("keys")?;
    Ok(Unheld {
        has_reason: row.try_get("reason")?,
        has_mapping: row.try_get("mapping")?,
        keys: keys.into_iter().map(RedisKey::new).collect(),
    })
}

/// How many rejects of a run are open, of those that the filter takes.
///
/// # Errors
/// The server's.
pub async fn open_count(connection: &mut PgConnection, run: Uuid, filter: &RetryFilter) -> Result<i64, Error> {
    let mut transaction = connection.begin().await?;
    let count = query(format!(
        "SELECT pg_catalog.count(*) FROM redis2pg.rejects WHERE run_id = $1::text::uuid AND state <> 'closed' AND {}",
        filtered(2)
    ))
    .bind(run.to_string())
    .bind(filter.reason.as_deref())
    .bind(filter.mapping.as_deref())
    .bind(filter.keys())
    .fetch_one(&mut *transaction)
    .await?
    .try_get(0);
    transaction.commit().await?;
    count
}

/// How many rejects of a run are open of keys in other databases than these.
///
/// # Errors
/// The server's.
pub async fn open_elsewhere(connection: &mut PgConnection, of: RetryOf, databases: &[Database]) -> Result<i64, Error> {
    let named: Vec<i32> = databases.iter().map(|database| of.named(*database).unwrap_or(-1)).collect();
    let mut transaction = connection.begin().await?;
    let count = query(
        "SELECT pg_catalog.count(*) FROM redis2pg.rejects WHERE run_id = $1::text::uuid AND state <> 'closed' \
         AND coalesce(redis_db, -1) <> ALL ($2)",
    )
    .bind(of.run.to_string())
    .bind(named)
    .fetch_one(&mut *transaction)
    .await?
    .try_get(0);
    transaction.commit().await?;
    count
}

/// The place of the last reject of a run in the order of writing; 0 where there is none.
///
/// # Errors
/// The server's.
pub async fn last_reject(connection: &mut PgConnection, run: Uuid) -> Result<i64, Error> {
    let mut transaction = connection.begin().await?;
    let last = query("SELECT coalesce(pg_catalog.max(id), 0) FROM redis2pg.rejects WHERE run_id = $1::text::uuid")
        .bind(run.to_string())
        .fetch_one(&mut *transaction)
        .await?
        .try_get(0);
    transaction.commit().await?;
    last
}

/// The next open rejects of keys of one database that the filter takes, behind `after` up to `until`, in order of writing.
///
/// # Errors
/// The server's.
pub async fn open_page(
    connection: &mut PgConnection,
    (of, database): (RetryOf, Database),
    filter: &RetryFilter,
    (after, until): (i64, i64),
    limit: i64,
) -> Result<Vec<OpenKey>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(format!(
        "SELECT id, key FROM redis2pg.rejects WHERE run_id = $1::text::uuid AND state <> 'closed' \
         AND redis_db IS NOT DISTINCT FROM $2::int4 AND id > $3 AND id <= $4 AND {} ORDER BY id LIMIT $5",
        filtered(6)
    ))
    .bind(of.run.to_string())
    .bind(of.named(database))
    .bind(after)
    .bind(until)
    .bind(limit)
    .bind(filter.reason.as_deref())
    .bind(filter.mapping.as_deref())
    .bind(filter.keys())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let read =
        |row: &PgRow| Ok(OpenKey { id: row.try_get("id")?, key: RedisKey::new(row.try_get::<Vec<u8>, _>("key")?) });
    rows.iter().map(read).collect()
}

/// What was kept of a rejected key's value.
#[derive(Clone, Debug)]
pub struct KeptValue {
    /// What TYPE answered.
    pub redis_type: String,
    /// All of the value; `None` where it was not kept, or only a part of it.
    pub value: Option<Bytes>,
    /// When Redis was to expire the key.
    pub expires_at: Option<UnixMillis>,
    /// What else was read of it, its dump among it.
    pub facts: KeyFacts,
    /// Whether it is known to be all of the value. Ledgers of older versions do not say so.
    pub is_whole: bool,
}

/// What was kept with the open rejects of some keys of one database, from their front: as many as fit in `max_bytes`, and
/// at least one; `None` for a key that has none.
///
/// # Errors
/// The server's.
pub async fn kept_values(
    connection: &mut PgConnection,
    (of, database): (RetryOf, Database),
    keys: &[RedisKey],
    max_bytes: i64,
) -> Result<Vec<Option<KeptValue>>, Error> {
    let keys: Vec<&[u8]> = keys.iter().map(RedisKey::as_bytes).collect();
    let mut transaction = connection.begin().await?;
    let upgraded = query(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = 'redis2pg.rejects'::regclass AND attname = 'whole_value')",
    )
    .fetch_one(&mut *transaction)
    .await?
    .try_get(0)?;
    let more = if upgraded {
        "r.value_part, r.whole_value, r.dump, r.expires_at_ms, r.facts"
    } else {
        "NULL::boolean AS value_part, NULL::bytea AS whole_value, NULL::bytea AS dump, NULL::bigint AS expires_at_ms, \
         NULL::jsonb AS facts"
    };
    // The sizes of values that are stored apart are known without reading them.
    let rows = query(format!(
        "WITH k AS (SELECT DISTINCT ON (u.place) u.place, r.id, r.redis_type, r.value, {more} \
         FROM pg_catalog.unnest($2::bytea[]) WITH ORDINALITY u (key, place) \
         LEFT JOIN redis2pg.rejects r ON r.run_id = $1::text::uuid AND r.key_hash = pg_catalog.sha256(u.key) \
         AND r.key_hash = ANY (ARRAY(SELECT pg_catalog.sha256(k) FROM pg_catalog.unnest($2::bytea[]) k)) \
         AND r.redis_db IS NOT DISTINCT FROM $3::int4 AND r.state <> 'closed' ORDER BY u.place, r.id DESC), \
         s AS (SELECT *, pg_catalog.sum(coalesce(pg_catalog.octet_length(value), 0) + coalesce(pg_catalog.octet_length(whole_value), 0) \
         + coalesce(pg_catalog.octet_length(dump), 0)) OVER (ORDER BY place) AS held FROM k) \
         SELECT place, id, redis_type, value_part, CASE WHEN value_part THEN whole_value ELSE value END AS value, dump, \
         expires_at_ms, facts::text AS facts FROM s WHERE held <= $4 OR place = 1 ORDER BY place"
    ))
    .bind(of.run.to_string())
    .bind(keys)
    .bind(of.named(database))
    .bind(max_bytes)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(kept_value).collect()
}

fn kept_value(row: &PgRow) -> Result<Option<KeptValue>, Error> {
    let Some(_) = row.try_get::<Option<i64>, _>("id")? else { return Ok(None) };
    let facts: Option<String> = row.try_get("facts")?;
    let facts: Option<KeyFacts> =
        facts.map(|text| serde_json::from_str(&text)).transpose().map_err(|error| Error::Decode(error.into()))?;
    let dump: Option<Vec<u8>> = row.try_get("dump")?;
    let value: Option<Vec<u8>> = row.try_get("value")?;
    Ok(Some(KeptValue {
        redis_type: row.try_get("redis_type")?,
        value: value.map(Bytes::from),
        expires_at: row.try_get("expires_at_ms")?,
        facts: KeyFacts { dump: dump.map(Bytes::from), from_ledger: true, ..facts.unwrap_or_default() },
        is_whole: row.try_get::<Option<bool>, _>("value_part")?.is_some(),
    }))
}
