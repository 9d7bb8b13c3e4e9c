//! Reading the ledger for the command line: `runs` and `rejects`.

use super::setup;
use crate::config::Settings;
use crate::ledger::{self, RejectEntry, RejectFilter, RunEntry};
use crate::model::{Failure, Reject, Side, Withheld};
use crate::postgres::failure;
use bytes::Bytes;
use sqlx::postgres::PgConnection;
use std::borrow::Cow;

/// The runs, latest first.
///
/// # Errors
/// The target cannot be reached, or has no ledger.
pub async fn runs(settings: &Settings, limit: i64) -> Result<Vec<RunEntry>, Failure> {
    let mut connection = open(settings).await?;
    ledger::list_runs(&mut connection, limit).await.map_err(|error| failure("reading the runs", error))
}

/// One run by its id or the beginning of it.
///
/// # Errors
/// As [`runs`]; there is none of that id.
pub async fn run(settings: &Settings, id: Option<&str>) -> Result<RunEntry, Failure> {
    let mut connection = open(settings).await?;
    let run = ledger::show_run(&mut connection, id).await.map_err(|error| failure("reading the run", error))?;
    run.ok_or_else(|| no_such_run(id))
}

/// Why there is no run of that id, or none at all.
pub(super) fn no_such_run(id: Option<&str>) -> Failure {
    let message = id.map_or_else(|| "there are no runs yet".to_owned(), |id| format!("there is no run {id}"));
    Failure::usage(Side::Settings, message, "See `redis2pg runs list`.")
}

/// A reject that the ledger holds.
pub struct KeptReject {
    /// The mapping's name.
    pub mapping: String,
    /// The reject, its value where it was kept.
    pub reject: Reject,
    /// Size and hash of the value, where one was read.
    pub withheld: Option<Withheld>,
    /// Whether its key is in another database than the source's own.
    pub elsewhere: bool,
}

/// Rejects in order of writing.
///
/// # Errors
/// As [`runs`].
pub async fn rejects(settings: &Settings, filter: &RejectFilter) -> Result<Vec<KeptReject>, Failure> {
    let mut connection = open(settings).await?;
    let entries =
        ledger::list_rejects(&mut connection, filter).await.map_err(|error| failure("reading the rejects", error))?;
    Ok(entries.into_iter().map(kept).collect())
}

/// A reject of the ledger as it was made.
pub(super) fn kept(entry: RejectEntry) -> KeptReject {
    let withheld = entry.value_size.zip(entry.value_hash).map(|(bytes, sha256)| Withheld { bytes, sha256 });
    let reject = Reject {
        key: entry.key,
        database: entry.database.and_then(|number| u8::try_from(number).ok()),
        reason: Cow::Owned(entry.reason),
        detail: entry.detail,
        path: entry.path,
        column: entry.column,
        sqlstate: entry.sqlstate,
        redis_type: Cow::Owned(entry.redis_type),
        value: entry.value.map(Bytes::from),
        withheld: None,
        replay: None,
    };
    KeptReject { mapping: entry.mapping, reject, withheld, elsewhere: entry.elsewhere }
}

async fn open(settings: &Settings) -> Result<PgConnection, Failure> {
    let mut connection = setup::target(settings)?.connect().await?;
    let there = ledger::exists(&mut connection).await.map_err(|error| failure("looking for the ledger", error))?;
    if there { Ok(connection) } else { Err(without_ledger()) }
}

/// No run has written into this database.
pub(super) fn without_ledger() -> Failure {
    Failure::usage(
        Side::Postgres,
        "this database has no ledger (schema redis2pg): no run has written here",
        "Check the database in target.url / --to.",
    )
}
