//! Reading rejects for people and for files: in full, page by page, or counted by reason.
//!
//! A ledger that no run of this version has brought up to date yet lacks columns: they are read as NULL.

use super::retry::chosen;
use crate::model::RedisKey;
use crate::postgres::query;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};
use std::collections::HashSet;

/// Which rejects by their state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhichState {
    /// Those that no retry has settled.
    #[default]
    Open,
    /// Those that a retry has settled.
    Closed,
    /// All.
    All,
}

/// Which rejects to read.
#[derive(Clone, Debug, Default)]
pub struct RejectFilter {
    /// The run, or the beginning of its id; `None` for the latest that is no retry. A retry stands for the run that it
    /// retries.
    pub run: Option<String>,
    /// One mapping only.
    pub mapping: Option<String>,
    /// These keys only; all where there are none.
    pub keys: Vec<Vec<u8>>,
    /// One reason only.
    pub reason: Option<String>,
    /// In which state.
    pub state: WhichState,
    /// Only those with a higher number.
    pub after: i64,
    /// At most so many.
    pub limit: i64,
}

/// A reject, as people see it.
#[derive(Clone, Debug)]
pub struct RejectEntry {
    /// Its number in the ledger.
    pub id: i64,
    /// The run that it belongs to.
    pub run: String,
    /// The phase in which it was found.
    pub phase: i32,
    /// The mapping.
    pub mapping: String,
    /// The target table.
    pub table: String,
    /// The key.
    pub key: RedisKey,
    /// The number of its database, where it is known.
    pub database: Option<i32>,
    /// Whether that is another one than the source's own.
    pub elsewhere: bool,
    /// The key's type in Redis.
    pub redis_type: String,
    /// The reason's code.
    pub reason: String,
    /// A sentence for people.
    pub detail: String,
    /// The place in the value.
    pub path: Option<String>,
    /// The target column.
    pub column: Option<String>,
    /// PostgreSQL's SQLSTATE.
    pub sqlstate: Option<String>,
    /// The value, where it was kept.
    pub value: Option<Vec<u8>>,
    /// The value's size in bytes.
    pub value_size: Option<i64>,
    /// The value's SHA-256, in hexadecimal.
    pub value_hash: Option<String>,
    /// Whether the value is a part of the key's; `None` where that is not known, or no value was read.
    pub value_part: Option<bool>,
    /// All of the value, where it is a part and all of it was kept.
    pub whole_value: Option<Vec<u8>>,
    /// What DUMP gave, where it was wanted and kept.
    pub dump: Option<Vec<u8>>,
    /// When Redis was to expire the key, Unix milliseconds.
    pub expires_at: Option<i64>,
    /// What else was read of the key, as JSON.
    pub facts: Option<String>,
    /// `open`, `pending` (its run was to try it again and did not come to it) or `closed`.
    pub state: String,
    /// How many runs came to the key.
    pub attempts: i32,
    /// When it was found, RFC 3339 in UTC.
    pub created_at: String,
    /// When a retry came to it last.
    pub tried_at: Option<String>,
    /// When a retry settled it.
    pub closed_at: Option<String>,
    /// That retry.
    pub closed_by: Option<String>,
}

/// Rejects of one mapping and reason.
#[derive(Clone, Debug)]
pub struct RejectGroup {
    /// The mapping.
    pub mapping: String,
    /// The reason's code.
    pub reason: String,
    /// How many.
    pub rejects: i64,
    /// The first of them: its key.
    pub key: RedisKey,
    /// The number of that key's database, where it is another one than the source's own.
    pub database: Option<i32>,
    /// What is said of it.
    pub detail: String,
}

/// Columns that a ledger of an older version may lack, with their types.
const LATER: [(&str, &str); 11] = [
    ("redis_db", "integer"),
    ("value_part", "boolean"),
    ("whole_value", "bytea"),
    ("dump", "bytea"),
    ("expires_at_ms", "bigint"),
    ("facts", "jsonb"),
    ("attempts", "integer"),
    ("tried_at", "timestamptz"),
    ("closed_at", "timestamptz"),
    ("closed_by", "uuid"),
    ("found_by", "uuid"),
];

/// A query of the rejects with all their columns, as `rejects`.
async fn all_columns(connection: &mut PgConnection) -> Result<String, Error> {
    let rows =
        query("SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = 'redis2pg.rejects'::regclass AND attnum > 0")
            .fetch_all(connection)
            .await?;
    let there: HashSet<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let missing = LATER.iter().filter(|(name, _)| !there.contains(*name));
    let missing: String = missing.map(|(name, column_type)| format!(", NULL::{column_type} AS {name}")).collect();
    Ok(format!("(SELECT r.*{missing} FROM redis2pg.rejects r)"))
}

/// What a filter says, as a condition; the parameters are bound by [`bound`].
fn filtered(filter: &RejectFilter) -> String {
    let state = match filter.state {
        WhichState::Open => " AND state <> 'closed'",
        WhichState::Closed => " AND state = 'closed'",
        WhichState::All => "",
    };
    format!(
        "run_id = {} AND ($2::text IS NULL OR mapping = $2) AND ($3::text IS NULL OR reason = $3) \
         AND ($4::bytea[] IS NULL OR key = ANY ($4)){state}",
        chosen("$1")
    )
}

fn bound(text: String, filter: &RejectFilter) -> sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments> {
    query(text)
        .bind(filter.run.as_deref())
        .bind(filter.mapping.as_deref())
        .bind(filter.reason.as_deref())
        .bind((!filter.keys.is_empty()).then_some(filter.keys.as_slice()))
}

/// The next rejects in order of writing: no more than the filter's limit, and no more than fit in `max_bytes` with their
/// values, but for a single one. None after the last.
///
/// # Errors
/// The server's.
pub async fn list_rejects(
    connection: &mut PgConnection,
    filter: &RejectFilter,
    max_bytes: i64,
) -> Result<Vec<RejectEntry>, Error> {
    let mut transaction = connection.begin().await?;
    let all = all_columns(&mut transaction).await?;
    // The sizes of values that are stored apart are known without reading them.
    let text = format!(
        "WITH page AS MATERIALIZED (SELECT id, coalesce(pg_catalog.octet_length(value), 0) + coalesce(pg_catalog.octet_length(whole_value), 0) \
         + coalesce(pg_catalog.octet_length(dump), 0) AS held FROM {all} j WHERE {} AND id > $5 ORDER BY id LIMIT $6), \
         few AS MATERIALIZED (SELECT id FROM (SELECT id, pg_catalog.sum(held) OVER (ORDER BY id) AS held, pg_catalog.row_number() OVER \
         (ORDER BY id) AS place FROM page) p WHERE held <= $7 OR place = 1) \
         SELECT id, run_id::text, phase, mapping, table_name, key, redis_db IS NOT NULL AS elsewhere, \
         coalesce(redis_db, (SELECT substring(s.source FROM '[0-9]+$')::int4 FROM redis2pg.runs s WHERE s.id = run_id)) \
         AS redis_db, redis_type, reason, detail, path, column_name, sqlstate, value, value_size, value_hash, value_part, \
         whole_value, dump, expires_at_ms, facts::text AS facts, state, coalesce(attempts, 1) AS attempts, \
         {} AS created_at, {} AS tried_at, {} AS closed_at, closed_by::text FROM {all} j JOIN few USING (id) ORDER BY id",
        filtered(filter),
        moment("created_at"),
        moment("tried_at"),
        moment("closed_at"),
    );
    let rows =
        bound(text, filter).bind(filter.after).bind(filter.limit).bind(max_bytes).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    rows.iter().map(reject_entry).collect()
}

fn moment(column: &str) -> String {
    format!("pg_catalog.to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
}

fn reject_entry(row: &PgRow) -> Result<RejectEntry, Error> {
    Ok(RejectEntry {
        id: row.try_get("id")?,
        run: row.try_get("run_id")?,
        phase: row.try_get("phase")?,
        mapping: row.try_get("mapping")?,
        table: row.try_get("table_name")?,
        key: RedisKey::new(row.try_get::<Vec<u8>, _>("key")?),
        database: row.try_get("redis_db")?,
        elsewhere: row.try_get("elsewhere")?,
        redis_type: row.try_get("redis_type")?,
        reason: row.try_get("reason")?,
        detail: row.try_get("detail")?,
        path: row.try_get("path")?,
        column: row.try_get("column_name")?,
        sqlstate: row.try_get("sqlstate")?,
        value: row.try_get("value")?,
        value_size: row.try_get("value_size")?,
        value_hash: row.try_get("value_hash")?,
        value_part: row.try_get("value_part")?,
        whole_value: row.try_get("whole_value")?,
        dump: row.try_get("dump")?,
        expires_at: row.try_get("expires_at_ms")?,
        facts: row.try_get("facts")?,
        state: row.try_get("state")?,
        attempts: row.try_get("attempts")?,
        created_at: row.try_get("created_at")?,
        tried_at: row.try_get("tried_at")?,
        closed_at: row.try_get("closed_at")?,
        closed_by: row.try_get("closed_by")?,
    })
}

/// The rejects that a filter takes, counted by mapping and reason, the most common first.
///
/// # Errors
/// The server's.
pub async fn group_rejects(connection: &mut PgConnection, filter: &RejectFilter) -> Result<Vec<RejectGroup>, Error> {
    let mut transaction = connection.begin().await?;
    let all = all_columns(&mut transaction).await?;
    let text = format!(
        "WITH g AS MATERIALIZED (SELECT mapping, reason, pg_catalog.count(*) AS rejects, pg_catalog.min(id) AS id FROM {all} j WHERE {} \
         GROUP BY mapping, reason) \
         SELECT g.mapping, g.reason, g.rejects, e.key, e.redis_db, e.detail FROM g JOIN {all} e USING (id) \
         ORDER BY g.rejects DESC, g.mapping, g.reason",
        filtered(filter)
    );
    let rows = bound(text, filter).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    let group = |row: &PgRow| {
        Ok(RejectGroup {
            mapping: row.try_get("mapping")?,
            reason: row.try_get("reason")?,
            rejects: row.try_get("rejects")?,
            key: RedisKey::new(row.try_get::<Vec<u8>, _>("key")?),
            database: row.try_get("redis_db")?,
            detail: row.try_get("detail")?,
        })
    };
    rows.iter().map(group).collect()
}

/// How many rejects a filter takes, whatever its limit.
///
/// # Errors
/// The server's.
pub async fn count_filtered(connection: &mut PgConnection, filter: &RejectFilter) -> Result<i64, Error> {
    let mut transaction = connection.begin().await?;
    let all = all_columns(&mut transaction).await?;
    let text = format!("SELECT pg_catalog.count(*) FROM {all} j WHERE {}", filtered(filter));
    let count = bound(text, filter).fetch_one(&mut *transaction).await?.try_get(0);
    transaction.commit().await?;
    count
}

/// How many rejects of a run are open, how many are closed, and how many of these were closed by hand; of a retry, those
/// that it closed itself are the second.
///
/// # Errors
/// The server's.
pub async fn count_rejects(connection: &mut PgConnection, run: &str) -> Result<(i64, i64, i64), Error> {
    let mut transaction = connection.begin().await?;
    let all = all_columns(&mut transaction).await?;
    let text = format!(
        "SELECT pg_catalog.count(*) FILTER (WHERE state <> 'closed'), pg_catalog.count(*) FILTER (WHERE state = 'closed' AND \
         (run_id = $1::text::uuid OR closed_by = $1::text::uuid)), pg_catalog.count(*) FILTER (WHERE state = 'closed' AND \
         run_id = $1::text::uuid AND closed_by IS NULL) FROM {all} j WHERE run_id = {}",
        chosen("$1")
    );
    let row = query(text).bind(run).fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
}
