//! Reading runs for people.

use crate::model::Tally;
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
    /// The run whose rejects it retries.
    pub retry_of: Option<String>,
    /// When it was rolled back, RFC 3339 in UTC.
    pub rolled_back_at: Option<String>,
    /// What its rollback did so far, as JSON text; `None` where none began.
    pub rollback: Option<String>,
}

/// A ledger that no run of this version has brought up to date yet knows no retries: they are asked for by way of JSON.
const RUN: &str = "SELECT id::text, pg_catalog.to_jsonb(r.*) ->> 'retry_of' AS retry_of, \
    pg_catalog.to_jsonb(r.*) ->> 'rollback' AS rollback, pg_catalog.to_char((pg_catalog.to_jsonb(r.*) ->> 'rolled_back_at')::timestamptz \
    AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS rolled_back_at, state, source, version, settings::text AS settings, tally::text AS tally, exit_code, \
    error, pg_catalog.to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS started_at, \
    pg_catalog.to_char(finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS finished_at FROM redis2pg.runs AS r";

/// The runs, latest first.
///
/// # Errors
/// The server's.
pub async fn list_runs(connection: &mut PgConnection, limit: i64) -> Result<Vec<RunEntry>, Error> {
    let text = format!("{RUN} ORDER BY r.started_at DESC LIMIT $1");
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
    let text = format!(
        "{RUN} WHERE pg_catalog.starts_with(id::text, pg_catalog.lower($1)) ORDER BY r.started_at DESC LIMIT 1"
    );
    let mut transaction = connection.begin().await?;
    let row = query(text).bind(id.unwrap_or_default()).fetch_optional(&mut *transaction).await?;
    transaction.commit().await?;
    row.as_ref().map(run_entry).transpose()
}

/// The ids that begin with `id`, the latest first.
///
/// # Errors
/// The server's.
pub async fn runs_named(connection: &mut PgConnection, id: &str) -> Result<Vec<String>, Error> {
    let mut transaction = connection.begin().await?;
    let rows =
        query("SELECT id::text FROM redis2pg.runs WHERE pg_catalog.starts_with(id::text, pg_catalog.lower($1)) ORDER BY started_at DESC")
            .bind(id)
            .fetch_all(&mut *transaction)
            .await?;
    transaction.commit().await?;
    rows.iter().map(|row| row.try_get(0)).collect()
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
        retry_of: row.try_get("retry_of")?,
        rolled_back_at: row.try_get("rolled_back_at")?,
        rollback: row.try_get("rollback")?,
    })
}
