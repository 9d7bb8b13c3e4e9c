//! Validations: the run that is meant, the runs whose rows go with it, and what was found.

use super::retry::{RetryOf, chosen};
use crate::postgres::query;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};
use uuid::Uuid;

/// A run whose rows can be validated.
#[derive(Clone, Debug)]
pub struct Validatable {
    /// Which it is.
    pub of: RetryOf,
    /// Where its keys came from.
    pub source: String,
    /// The hash of its mappings.
    pub mapping_hash: String,
    /// When it began, RFC 3339 in UTC.
    pub started_at: String,
    /// Whether a process is at work on it now.
    pub is_alive: bool,
    /// Whether it went to its end.
    pub is_done: bool,
    /// The pattern of the keys that it took, where it took some only.
    pub keys: Option<String>,
    /// Whether it took a part of the keys that cannot be told again: so many, or those of a list.
    pub is_partial: bool,
    /// The mappings that it skipped; of the latest run those that no run like it has taken either.
    pub skipped: Vec<String>,
    /// Whether it was undone.
    pub is_rolled_back: bool,
}

/// The run whose id begins with `id`; where it is a retry, the one that it retries. Without an id: the latest of this source and
/// these mappings that wrote or found anything, was not undone, is no retry, and took all keys or those of the pattern `keys`.
///
/// Ledgers that no run of this version has brought up to date know neither retries nor what was undone: those are asked for by
/// way of JSON.
///
/// # Errors
/// The server's.
pub async fn to_validate(
    connection: &mut PgConnection,
    id: Option<&str>,
    (source, mapping_hash, keys): (&str, &str, Option<&str>),
) -> Result<Option<Validatable>, Error> {
    let latest = "(SELECT n.id FROM redis2pg.runs n WHERE n.source = $2 AND n.mapping_hash = $3 \
                  AND pg_catalog.to_jsonb(n.*) ->> 'retry_of' IS NULL AND pg_catalog.to_jsonb(n.*) ->> 'rolled_back_at' IS NULL \
                  AND (n.state = 'done' OR EXISTS (SELECT FROM redis2pg.batches b WHERE b.run_id = n.id)) \
                  AND coalesce(n.settings -> 'run' ->> 'limit', n.settings -> 'run' ->> 'keys_from') IS NULL \
                  AND coalesce(n.settings -> 'run' ->> 'keys' = $4, n.settings -> 'run' ->> 'keys' IS NULL) \
                  ORDER BY n.started_at DESC LIMIT 1)";
    let mut transaction = connection.begin().await?;
    let row = query(format!(
        "SELECT r.id::text, r.source, r.mapping_hash, r.state = 'running' AND r.lease_expires_at > pg_catalog.clock_timestamp() AS is_alive, \
         r.state = 'done' AS is_done, \
         pg_catalog.to_char(r.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS started_at, \
         substring(r.source FROM '/([0-9]+)$')::int4 AS own, r.settings -> 'run' ->> 'keys' AS keys, \
         coalesce(r.settings -> 'run' ->> 'limit', r.settings -> 'run' ->> 'keys_from') IS NOT NULL AS is_partial, \
         ARRAY(SELECT s.name FROM pg_catalog.jsonb_array_elements_text(coalesce(r.settings -> 'phases' -> 'skip', '[]'::jsonb)) s (name) \
         WHERE $1::text IS NOT NULL OR NOT EXISTS (SELECT FROM redis2pg.runs n WHERE n.source = r.source \
         AND n.mapping_hash = r.mapping_hash AND pg_catalog.to_jsonb(n.*) ->> 'retry_of' IS NULL \
         AND pg_catalog.to_jsonb(n.*) ->> 'rolled_back_at' IS NULL AND EXISTS (SELECT FROM redis2pg.batches b WHERE b.run_id = n.id) \
         AND NOT coalesce(n.settings -> 'phases' -> 'skip', '[]'::jsonb) ? s.name)) AS skipped, \
         pg_catalog.to_jsonb(r.*) ->> 'rolled_back_at' IS NOT NULL AS is_rolled_back FROM redis2pg.runs r \
         WHERE r.id = CASE WHEN $1::text IS NULL THEN {latest} ELSE {} END",
        chosen("$1")
    ))
    .bind(id)
    .bind(source)
    .bind(mapping_hash)
    .bind(keys)
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    row.as_ref().map(validatable).transpose()
}

/// A run of the same source with other mappings.
#[derive(Clone, Debug)]
pub struct OtherRun {
    /// Its id.
    pub id: String,
    /// When it began, as [`Validatable::started_at`] has it.
    pub started_at: String,
}

/// The latest run of this source with other mappings than these that wrote or found anything, was not undone, and is no retry.
///
/// # Errors
/// The server's.
pub async fn other_run(
    connection: &mut PgConnection,
    (source, mapping_hash): (&str, &str),
) -> Result<Option<OtherRun>, Error> {
    let mut transaction = connection.begin().await?;
    let row = query(
        "SELECT n.id::text, pg_catalog.to_char(n.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS started_at \
         FROM redis2pg.runs n WHERE n.source = $1 AND n.mapping_hash <> $2 \
         AND pg_catalog.to_jsonb(n.*) ->> 'retry_of' IS NULL AND pg_catalog.to_jsonb(n.*) ->> 'rolled_back_at' IS NULL \
         AND (n.state = 'done' OR EXISTS (SELECT FROM redis2pg.batches b WHERE b.run_id = n.id)) \
         ORDER BY n.started_at DESC LIMIT 1",
    )
    .bind(source)
    .bind(mapping_hash)
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    row.map(|row| Ok(OtherRun { id: row.try_get("id")?, started_at: row.try_get("started_at")? })).transpose()
}

fn validatable(row: &PgRow) -> Result<Validatable, Error> {
    let (id, own): (String, Option<i32>) = (row.try_get("id")?, row.try_get("own")?);
    let run = Uuid::parse_str(&id).map_err(|error| Error::Decode(error.into()))?;
    Ok(Validatable {
        of: RetryOf { run, own_database: own.and_then(|own| u8::try_from(own).ok()) },
        source: row.try_get("source")?,
        mapping_hash: row.try_get("mapping_hash")?,
        started_at: row.try_get("started_at")?,
        is_alive: row.try_get("is_alive")?,
        is_done: row.try_get("is_done")?,
        keys: row.try_get("keys")?,
        is_partial: row.try_get("is_partial")?,
        skipped: row.try_get("skipped")?,
        is_rolled_back: row.try_get("is_rolled_back")?,
    })
}

/// A run, those of the same source and mappings before it, and the retries of all of them: a row that it found as it should
/// be, one of these may have written.
///
/// # Errors
/// The server's.
pub async fn runs_like(connection: &mut PgConnection, run: Uuid) -> Result<Vec<Uuid>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(
        "WITH a AS (SELECT o.id FROM redis2pg.runs r JOIN redis2pg.runs o ON o.id = r.id OR o.source = r.source \
         AND o.mapping_hash = r.mapping_hash AND o.started_at <= r.started_at WHERE r.id = $1::text::uuid) \
         SELECT n.id::text FROM redis2pg.runs n WHERE n.id IN (SELECT a.id FROM a) \
         OR (pg_catalog.to_jsonb(n.*) ->> 'retry_of')::uuid IN (SELECT a.id FROM a)",
    )
    .bind(run.to_string())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.rollback().await?;
    let read = |row: &PgRow| Uuid::parse_str(row.try_get("id")?).map_err(|error| Error::Decode(error.into()));
    rows.iter().map(read).collect()
}

/// What is kept of a validation.
#[derive(Clone, Debug)]
pub struct Recorded<'a> {
    /// Made by the client, so that a second attempt writes nothing more.
    pub id: Uuid,
    /// The run.
    pub run: Uuid,
    /// When it began and ended (RFC 3339).
    pub started: &'a str,
    /// See `started`.
    pub ended: &'a str,
    /// What was looked at.
    pub parts: &'a [&'static str],
    /// The share of keys that was looked at; `None`: all.
    pub sample: Option<&'a str>,
    /// The pattern of keys that was looked at.
    pub keys: Option<&'a str>,
    /// Whether whatever is not equal fails.
    pub strict: bool,
    /// Whether it came to its end.
    pub complete: bool,
    /// Whether it passed, where that is known.
    pub passed: Option<bool>,
    /// The counts by mapping, as JSON.
    pub counts: &'a str,
    /// What the run exits with now, where it is of its end.
    pub exit_code: Option<u8>,
}

/// Keeps what a validation found.
///
/// # Errors
/// The server's.
pub async fn record_validation(connection: &mut PgConnection, recorded: &Recorded<'_>) -> Result<(), Error> {
    let mut transaction = connection.begin().await?;
    query(
        "INSERT INTO redis2pg.validations (id, run_id, version, started_at, finished_at, parts, sample, keys, strict, complete, \
         passed, counts) VALUES ($1::text::uuid, $2::text::uuid, $3, $4::text::timestamptz, $5::text::timestamptz, $6, $7, \
         $8, $9, $10, $11, $12::text::jsonb) ON CONFLICT (id) DO NOTHING",
    )
    .bind(recorded.id.to_string())
    .bind(recorded.run.to_string())
    .bind(env!("CARGO_PKG_VERSION"))
    .bind(recorded.started)
    .bind(recorded.ended)
    .bind(recorded.parts)
    .bind(recorded.sample)
    .bind(recorded.keys)
    .bind(recorded.strict)
    .bind(recorded.complete)
    .bind(recorded.passed)
    .bind(recorded.counts)
    .execute(&mut *transaction)
    .await?;
    if let Some(exit_code) = recorded.exit_code {
        query("UPDATE redis2pg.runs SET exit_code = $2 WHERE id = $1::text::uuid AND state = 'done'")
            .bind(recorded.run.to_string())
            .bind(i32::from(exit_code))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

/// A validation, as people see it.
#[derive(Clone, Debug)]
pub struct ValidationEntry {
    /// When it ended, RFC 3339 in UTC.
    pub finished_at: String,
    /// What was looked at.
    pub parts: Vec<String>,
    /// The share of keys, where it was not all of them.
    pub sample: Option<String>,
    /// The pattern of keys, where it was not all of them.
    pub keys: Option<String>,
    /// Whether it came to its end.
    pub complete: bool,
    /// Whether it passed.
    pub passed: Option<bool>,
    /// The counts by mapping, as JSON text.
    pub counts: String,
    /// How many validations of the run there are.
    pub validations: i64,
}

/// The latest validation of a run. None in a ledger that no run of this version has brought up to date yet, or that this role may
/// not read.
///
/// # Errors
/// The server's.
pub async fn last_validation(connection: &mut PgConnection, run: &str) -> Result<Option<ValidationEntry>, Error> {
    let mut transaction = connection.begin().await?;
    let readable = query("SELECT coalesce(pg_catalog.has_table_privilege(pg_catalog.to_regclass('redis2pg.validations'), 'SELECT'), false)")
        .fetch_one(&mut *transaction)
        .await?
        .try_get(0)?;
    let row = match readable {
        false => None,
        true => query(
            "SELECT pg_catalog.to_char(finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS finished_at, parts, \
                 sample, keys, complete, passed, counts::text AS counts, pg_catalog.count(*) OVER () AS validations \
                 FROM redis2pg.validations WHERE run_id = $1::text::uuid ORDER BY started_at DESC LIMIT 1",
        )
        .bind(run)
        .fetch_optional(&mut *transaction)
        .await?,
    };
    transaction.rollback().await?;
    let read = |row: PgRow| {
        Ok(ValidationEntry {
            finished_at: row.try_get("finished_at")?,
            parts: row.try_get("parts")?,
            sample: row.try_get("sample")?,
            keys: row.try_get("keys")?,
            complete: row.try_get("complete")?,
            passed: row.try_get("passed")?,
            counts: row.try_get("counts")?,
            validations: row.try_get("validations")?,
        })
    };
    row.map(read).transpose()
}
