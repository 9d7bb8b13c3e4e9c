//! Reading the ledger for the command line: `runs` and `rejects`.

use super::setup;
use crate::config::Settings;
use crate::ledger::{self, RejectEntry};
use crate::model::{Failure, KeyFacts, Reject, Replay, Side, Withheld};
use crate::postgres::failure;
use crate::report::{RejectLine, Standing};
use bytes::Bytes;
use sqlx::postgres::PgConnection;
use std::borrow::Cow;
use std::sync::Arc;

pub use crate::ledger::{CleanupEntry, RejectFilter, RejectGroup, RetryFilter, RunEntry, ValidationEntry, WhichState};

/// The most runs that a message names.
const NAMED: usize = 10;

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
    if let Some(id) = id {
        let named = ledger::runs_named(&mut connection, id).await.map_err(|error| failure("reading the run", error))?;
        names_one(id, &named)?;
    }
    let run = ledger::show_run(&mut connection, id).await.map_err(|error| failure("reading the run", error))?;
    run.ok_or_else(|| no_such_run(id))
}

/// The beginning of an id names one run, or none: ids that were made within a minute begin alike.
///
/// # Errors
/// It names several, or is empty.
pub(super) fn names_one(id: &str, named: &[String]) -> Result<(), Failure> {
    if id.is_empty() {
        let hint = "`redis2pg runs list` has the ids; where one may be left out, that means the latest run.";
        return Err(Failure::usage(Side::Settings, "an empty id names no run", hint));
    }
    if named.len() < 2 {
        return Ok(());
    }
    let mut message = format!("{} runs begin with {id}: {}", named.len(), named[..named.len().min(NAMED)].join(", "));
    if named.len() > NAMED {
        message.push_str(", …");
    }
    Err(Failure::usage(Side::Settings, message, "Give more of the id of the one that is meant."))
}

/// Why there is no run of that id, or none at all.
pub(super) fn no_such_run(id: Option<&str>) -> Failure {
    let message = id.map_or_else(|| "there are no runs yet".to_owned(), |id| format!("there is no run {id}"));
    Failure::usage(Side::Settings, message, "See `redis2pg runs list`.")
}

/// What was found when a run was validated last.
///
/// # Errors
/// As [`runs`].
pub async fn last_validation(settings: &Settings, run: &str) -> Result<Option<ValidationEntry>, Failure> {
    let mut connection = open(settings).await?;
    ledger::last_validation(&mut connection, run).await.map_err(|error| failure("reading the validation", error))
}

/// The cleanups by which keys of a run's rows may have gone from Redis, the latest first.
///
/// # Errors
/// As [`runs`].
pub async fn cleanups(settings: &Settings, run: &str) -> Result<Vec<CleanupEntry>, Failure> {
    let mut connection = open(settings).await?;
    ledger::cleanups_of(&mut connection, run).await.map_err(|error| failure("reading the cleanups", error))
}

/// How many rejects of a run are open, closed, and closed by hand among them; of a retry: are open in all, and were closed
/// by it.
///
/// # Errors
/// As [`runs`].
pub async fn reject_counts(settings: &Settings, run: &str) -> Result<(i64, i64, i64), Failure> {
    let mut connection = open(settings).await?;
    ledger::count_rejects(&mut connection, run).await.map_err(|error| failure("counting the rejects", error))
}

/// A reject that the ledger holds.
#[derive(Clone, Debug)]
pub struct KeptReject {
    /// The reject, its value where it was kept.
    pub reject: Reject,
    /// Size and hash of the value, where one was read.
    pub withheld: Option<Withheld>,
    /// Whether its key is in another database than the source's own.
    pub elsewhere: bool,
    /// What the ledger says beside it.
    pub standing: Standing,
    /// The mapping's name.
    pub mapping: String,
    id: i64,
}

impl KeptReject {
    /// As a file has it.
    pub fn line(&self) -> RejectLine<'_> {
        RejectLine {
            mapping: &self.mapping,
            reject: &self.reject,
            withheld: self.withheld.as_ref(),
            standing: Some(&self.standing),
        }
    }
}

/// Bytes of values that are read at once.
pub(super) const PAGE_BYTES: i64 = 4 << 20;
/// Rejects that are read at once.
pub(super) const PAGE: i64 = 500;

/// Gives rejects in order of writing to `take`, as many as the filter says, with bounded memory; it gives how many there
/// were.
///
/// # Errors
/// As [`runs`]; those of `take`.
pub async fn rejects<E: From<Failure>>(
    settings: &Settings,
    filter: &RejectFilter,
    mut take: impl FnMut(KeptReject) -> Result<(), E>,
) -> Result<u64, E> {
    let mut connection = open(settings).await?;
    let (mut filter, mut count) = (filter.clone(), 0);
    let mut left = filter.limit;
    while left > 0 {
        filter.limit = left.min(PAGE);
        let page = ledger::list_rejects(&mut connection, &filter, PAGE_BYTES).await;
        let page = page.map_err(|error| failure("reading the rejects", error))?;
        if page.is_empty() {
            break;
        }
        for entry in page {
            let kept = kept(entry);
            filter.after = kept.id;
            take(kept)?;
            (left, count) = (left - 1, count + 1);
        }
    }
    Ok(count)
}

/// How many rejects a filter takes, whatever its limit.
///
/// # Errors
/// As [`runs`].
pub async fn reject_count(settings: &Settings, filter: &RejectFilter) -> Result<i64, Failure> {
    let mut connection = open(settings).await?;
    let count = ledger::count_filtered(&mut connection, filter).await;
    count.map_err(|error| failure("counting the rejects", error))
}

/// Rejects counted by mapping and reason.
///
/// # Errors
/// As [`runs`].
pub async fn reject_groups(settings: &Settings, filter: &RejectFilter) -> Result<Vec<RejectGroup>, Failure> {
    let mut connection = open(settings).await?;
    ledger::group_rejects(&mut connection, filter).await.map_err(|error| failure("reading the rejects", error))
}

/// A reject of the ledger as it was made.
pub(super) fn kept(entry: RejectEntry) -> KeptReject {
    let withheld = entry.value_size.zip(entry.value_hash).map(|(bytes, sha256)| Withheld { bytes, sha256 });
    let facts = entry.facts.as_deref().and_then(|text| serde_json::from_str::<KeyFacts>(text).ok());
    let dump = entry.dump.map(Bytes::from);
    let facts = (facts.is_some() || dump.is_some()).then(|| KeyFacts { dump, ..facts.unwrap_or_default() });
    let replay = entry.value_part.map(|part| Replay {
        expires_at: entry.expires_at,
        facts: facts.map(Arc::new),
        part,
        element: None,
        elements: None,
        whole: entry.whole_value.map(Bytes::from),
    });
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
        replay: replay.map(Box::new),
        rivals: None,
    };
    let standing = Standing {
        run: entry.run,
        phase: entry.phase,
        table: entry.table,
        state: entry.state,
        attempts: entry.attempts,
        created_at: entry.created_at,
        tried_at: entry.tried_at,
        closed_at: entry.closed_at,
        closed_by: entry.closed_by,
    };
    KeptReject { mapping: entry.mapping, reject, withheld, elsewhere: entry.elsewhere, standing, id: entry.id }
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
