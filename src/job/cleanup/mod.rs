//! `cleanup`, and what a run does of it at its end: keys are deleted from Redis whose rows are equal.
//!
//! Redis is read once more through the same stages as for a validation (`cleaning`), and compared (`sorter` takes what is equal);
//! beside that, what is equal is deleted (`delete`), by a lease (`lease`) and within a time (`pace`; `pulse`: whether the process ran all that time), once the ledger and the
//! backup (`backup`; `rounds`: which keys go with which) have it. `refuse` says whether it may be, `claim` makes it this process's, `settle` ends what an interrupted
//! one began, `account` counts (`reason`: why a key stays), `learned` has what is learned on the way, and `finish` closes it.

mod account;
mod backup;
mod claim;
mod cleaning;
mod delete;
mod finish;
mod learned;
mod lease;
mod lost;
mod pace;
mod pulse;
mod reason;
mod refuse;
mod rounds;
mod settle;
mod sorter;
mod work;

pub(super) use sorter::Sorter;

use super::close::{report_unwritable, said};
use super::key_list::KeyList;
use super::migrate::End;
use crate::config::Settings;
use crate::flow::Stop;
use crate::model::{Cleanup, Exit, Failure};
use crate::report::{self, Books, CleanupFacts, Renderer};
use finish::finish;
use learned::Learned;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use uuid::Uuid;
use work::execute;

/// Events waiting to be counted and shown.
const EVENTS: usize = 1024;

/// What somebody wants to be cleaned up.
#[derive(Clone, Debug, Default)]
pub struct CleanupRequest {
    /// The run, or the beginning of its id; `None`: the latest of the same source and mappings.
    pub run: Option<String>,
    /// The file that keys are written to before they go, over `cleanup.backup`.
    pub backup: Option<PathBuf>,
}

/// What a cleanup came to.
pub struct Cleaned {
    /// What to exit with.
    pub exit: Exit,
    /// Why it did not go to its end, if it did not.
    pub failure: Option<Failure>,
    /// What was done, where anything was looked at.
    pub cleanup: Option<Cleanup>,
    /// What the report says beside it.
    pub facts: CleanupFacts,
}

/// Deletes the keys of a run from Redis that PostgreSQL holds, and writes the report. With `run.dry_run` it only looks. Ends by
/// itself or when `stop` is raised.
pub async fn cleanup(settings: &Settings, request: &CleanupRequest, renderer: Renderer, stop: Stop) -> Cleaned {
    let keys = match &settings.run.keys_from {
        Some(path) => KeyList::open(path, &stop).await.map(|keys| Some(Arc::new(keys))),
        None => Ok(None),
    };
    let (found, notices) = match keys {
        Ok(keys) => work(settings, request, keys, Some(renderer), &stop).await,
        Err(failure) => (Found { cleanup: None, failure: Some(failure) }, Vec::new()),
    };
    let exit = found.exit();
    let Found { cleanup, failure } = found;
    let error = failure.as_ref().map(said);
    let facts = CleanupFacts { exit_code: exit.code(), error, settings: settings.redacted_json(), notices };
    let mut cleaned = Cleaned { exit, failure, cleanup, facts };
    if let Some(dir) = &settings.run.report
        && let Err(error) = report::write_cleanup(dir, &cleaned.facts, cleaned.cleanup.as_ref())
    {
        let failure = report_unwritable(dir, &error);
        cleaned.exit = cleaned.exit.or_worse(failure.exit);
        cleaned.failure.get_or_insert(failure);
    }
    cleaned
}

/// Cleans up at the end of a run: gives what was done, and what a person should know.
pub(super) async fn at_end(
    settings: &Settings,
    run: Uuid,
    keys: Option<Arc<KeyList>>,
    stop: &Stop,
) -> (Found, Vec<String>) {
    let request = CleanupRequest { run: Some(run.to_string()), backup: None };
    work(settings, &request, keys, None, stop).await
}

/// What was done, and why no more.
pub(super) struct Found {
    pub(super) cleanup: Option<Cleanup>,
    pub(super) failure: Option<Failure>,
}

impl Found {
    /// What it comes to, by itself.
    pub(super) fn exit(&self) -> Exit {
        match (&self.failure, &self.cleanup) {
            (Some(failure), _) => failure.exit,
            (None, Some(cleanup)) if cleanup.complete => Exit::Done,
            (None, _) => Exit::Stopped,
        }
    }
}

/// Does it. `renderer`: who shows how far it is.
async fn work(
    settings: &Settings,
    request: &CleanupRequest,
    keys: Option<Arc<KeyList>>,
    renderer: Option<Renderer>,
    stop: &Stop,
) -> (Found, Vec<String>) {
    let started = now();
    let (events, told) = mpsc::channel(EVENTS);
    let books = tokio::spawn(async move {
        match renderer {
            Some(renderer) => report::drive(told, renderer).await,
            None => count(told).await,
        }
    });
    let mut learned = Learned::default();
    let ended = execute((settings, request), (keys, stop), events, &mut learned).await;
    let books = books.await.unwrap_or_else(|_| Books::new(Instant::now()));
    let notices = books.notices().0.to_vec();
    let (complete, failure) = match ended {
        Ok(end) => (end == End::Complete, None),
        Err(failure) => (false, Some(failure)),
    };
    if learned.account.is_none() {
        return (Found { cleanup: None, failure }, notices);
    }
    let found = finish((settings, stop), learned, &books, (started, complete), failure).await;
    (found, notices)
}

/// Counts events that nobody is shown.
async fn count(mut events: mpsc::Receiver<crate::model::Event>) -> Books {
    let mut books = Books::new(Instant::now());
    while let Some(event) = events.recv().await {
        books.apply(&event, Instant::now());
    }
    books
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
