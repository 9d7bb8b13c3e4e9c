//! Reading the ledger for people: `runs` and `rejects`.

use super::retry::chosen;
use crate::model::{RedisKey, Tally};
use crate::postgres::query;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};

/// A run, as people see it.
#[derive(Clone, Debug)]
pub struct RunEntry {
    /// Its id.
    pub id: String,
    /// `running`, `done`, `stopped`, `failed` or `abandoned`.
    pub state: String,
    /// Source identity.
    pub source: String,
    /// Version of the tool.
    pub version: String,
    /// When it first started, RFC 3339 in UTC.
    pub started_at: String,
    /// When it ended.
    pub finished_at: Option<String>,
    /// The exit code.
    pub exit_code: Option<i32>,
    /// Why it ended, where it failed.
    pub error: Option<String>,
    /// The totals at its end.
    pub tally: Tally,
    /// The settings, as JSON text.
    pub settings: String,
}

const RUN: &str = "SELECT id::text, state, source, version, settings::text AS settings, tally::text AS tally, exit_code, \
    error, to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS started_at, \
    to_char(finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS finished_at FROM redis2pg.runs";

/// The runs, latest first.
///
/// # Errors
/// The server's.
pub async fn list_runs(connection: &mut PgConnection, limit: i64) -> Result<Vec<RunEntry>, Error> {
    let text = format!("{RUN} AS r ORDER BY r.started_at DESC LIMIT $1");
    let mut transaction = connection.begin().await?;
    let rows = query(text).bind(limit).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    rows.iter().map(run_entry).collect()
}

/// The run whose id begins with `id`; the latest where `id` is `None`.
///
/// # Errors
/// The server's.
pub async fn show_run(connection: &mut PgConnection, id: Option<&str>) -> Result<Option<RunEntry>, Error> {
    let text = format!("{RUN} AS r WHERE starts_with(id::text, $1) ORDER BY r.started_at DESC LIMIT 1");
    let mut transaction = connection.begin().await?;
    let row = query(text).bind(id.unwrap_or_default()).fetch_optional(&mut *transaction).await?;
    transaction.commit().await?;
    row.as_ref().map(run_entry).transpose()
}

fn run_entry(row: &PgRow) -> Result<RunEntry, Error> {
    let tally: String = row.try_get("tally")?;
    Ok(RunEntry {
        id: row.try_get("id")?,
        state: row.try_get("state")?,
        source: row.try_get("source")?,
        version: row.try_get("version")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        exit_code: row.try_get("exit_code")?,
        error: row.try_get("error")?,
        tally: serde_json::from_str(&tally).unwrap_or_default(),
        settings: row.try_get("settings")?,
    })
}

/// Which rejects to list.
#[derive(Clone, Debug, Default)]
pub struct RejectFilter {
    /// The run, or the beginning of its id; `None` for the latest.
    pub run: Option<String>,
    /// One mapping only.
    pub mapping: Option<String>,
    /// One key only.
    pub key: Option<Vec<u8>>,
    /// One reason only.
    pub reason: Option<String>,
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
    /// The mapping.
    pub mapping: String,
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
}

/// The number at the end of a source's identity is its database.
///
/// A ledger that no run of this version has brought up to date yet has no `redis_db`: it is asked for by way of JSON.
const REJECT: &str = "SELECT id, d.named IS NOT NULL AS elsewhere, coalesce(d.named, (SELECT \
    substring(s.source FROM '[0-9]+$')::int4 FROM redis2pg.runs s WHERE s.id = run_id)) AS redis_db, mapping, key, redis_type, reason, detail, path, \
    column_name, sqlstate, value, value_size, value_hash FROM redis2pg.rejects j \
    CROSS JOIN LATERAL (SELECT (to_jsonb(j.*) ->> 'redis_db')::int4 AS named) d";

/// Rejects in order of writing.
///
/// # Errors
/// The server's.
pub async fn list_rejects(connection: &mut PgConnection, filter: &RejectFilter) -> Result<Vec<RejectEntry>, Error> {
    let text = format!(
        "{REJECT} WHERE run_id = {} AND ($2::text IS NULL OR mapping = $2) \
         AND ($3::text IS NULL OR reason = $3) AND j.id > $5 AND ($6::bytea IS NULL OR key = $6) ORDER BY j.id LIMIT $4",
        chosen("$1")
    );
    let mut transaction = connection.begin().await?;
    let rows = query(text)
        .bind(filter.run.as_deref())
        .bind(filter.mapping.as_deref())
        .bind(filter.reason.as_deref())
        .bind(filter.limit)
        .bind(filter.after)
        .bind(filter.key.as_deref())
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    rows.iter().map(reject_entry).collect()
}

fn reject_entry(row: &PgRow) -> Result<RejectEntry, Error> {
    Ok(RejectEntry {
        id: row.try_get("id")?,
        mapping: row.try_get("mapping")?,
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
    })
}
