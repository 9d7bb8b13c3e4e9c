//! `backup`: keys of Redis into a file, in flat memory; and the backup that a run makes before its first write.

mod before_run;
mod header;
mod lanes;
mod take;
mod writing;

pub(super) use before_run::before_run;
pub(super) use header::header;

use super::key_list::KeyList;
use super::preflight::redis::judge_server;
use super::setup;
use crate::config::Settings;
use crate::flow::Stop;
use crate::model::{BackupAccount, Event, Exit, Failure, Side};
use crate::source::redis::{RedisSource, SourceSettings};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use take::Taking;
use tokio::sync::mpsc;

/// Events that wait to be told.
const EVENTS: usize = 256;
/// How often it is told how far it is.
const TELL: Duration = Duration::from_millis(500);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct BackupRequest {
    /// Where the backup goes.
    pub file: PathBuf,
    /// Which logical databases.
    pub databases: BackupDatabases,
}

/// Which logical databases a backup has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BackupDatabases {
    /// The source's own: the one of its URL.
    #[default]
    Own,
    /// All that hold keys.
    All,
    /// These.
    These(BTreeSet<u8>),
}

/// How far a backup is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupProgress {
    /// Keys that were listed.
    pub listed: u64,
    /// Keys in the file.
    pub kept: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Keys that the databases hold, where that is known and all are taken.
    pub expected: Option<u64>,
}

/// What a backup came to.
#[derive(Debug)]
pub struct BackedUp {
    /// Whether the file is there and whole.
    pub complete: bool,
    /// The server, without credentials.
    pub source: String,
    /// What became of the keys.
    pub account: BackupAccount,
    /// What a person should know.
    pub notices: Vec<String>,
    /// Why there is no file.
    pub failure: Option<Failure>,
    /// How long it took.
    pub took: Duration,
}

impl BackedUp {
    /// What to exit with: 3 where keys are left out that are there.
    pub fn exit(&self) -> Exit {
        match &self.failure {
            Some(failure) => failure.exit,
            None if !self.complete => Exit::Stopped,
            None if self.account.left_out() > 0 => Exit::Rejects,
            None => Exit::Done,
        }
    }
}

/// Writes keys of Redis into a file. Ends early when `stop` is raised. `tell` hears how far it is.
///
/// # Errors
/// What forbids it before the first key is read; what comes later is in what is given.
pub async fn backup(
    settings: &Settings,
    request: &BackupRequest,
    stop: &Stop,
    tell: &mut dyn FnMut(&BackupProgress),
) -> Result<BackedUp, Failure> {
    let began = Instant::now();
    let source = SourceSettings { stop: stop.clone(), ..setup::source_settings(settings)? };
    setup::key_file(settings)?;
    let keys = match &settings.run.keys_from {
        Some(path) => Some(Arc::new(KeyList::open(path, stop).await?)),
        None => None,
    };
    let (events, mut told) = mpsc::channel(EVENTS);
    // Kept to the end: a source sends to it only as long as somebody holds it.
    let redis = RedisSource::connect(&source, Some(events.clone())).await?;
    let mut notices = judge_server(&redis)?;
    notices.extend(keys.as_ref().and_then(|keys| keys.notice()));
    let sources = databases(&redis, &request.databases).await?;
    let (header, untold) = header(&redis, "backup", &sources.iter().collect::<Vec<_>>(), settings).await?;
    notices.extend(untold);
    let taking = Taking::new(settings, stop.clone(), sources, keys);
    let outcome = telling(&taking, taking.take(&request.file, &header), tell).await;
    taking.close().await;
    redis.close().await;
    drop(events);
    while let Ok(event) = told.try_recv() {
        if let Event::Notice(text) = event {
            notices.push(text);
        }
    }
    Ok(BackedUp {
        complete: matches!(outcome, Ok(true)),
        source: redis.display(),
        account: taking.account(),
        notices,
        failure: outcome.err(),
        took: began.elapsed(),
    })
}

/// Waits for the end of a backup, and tells meanwhile how far it is.
async fn telling<T>(taking: &Taking<'_>, work: impl Future<Output = T>, tell: &mut dyn FnMut(&BackupProgress)) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            outcome = &mut work => return outcome,
            () = tokio::time::sleep(TELL) => tell(&taking.progress()),
        }
    }
}

/// Connects to the databases that are asked for.
async fn databases(redis: &RedisSource, asked: &BackupDatabases) -> Result<Vec<RedisSource>, Failure> {
    let numbers = match asked {
        BackupDatabases::Own => BTreeSet::from([redis.database()]),
        BackupDatabases::All => redis.filled_databases().await?.into_iter().collect(),
        BackupDatabases::These(numbers) => numbers.clone(),
    };
    let mut sources = Vec::new();
    for number in numbers {
        let own = number == redis.database();
        sources.push(if own { redis.clone() } else { redis.with_database(number).await? });
    }
    Ok(sources)
}

/// No key at all.
fn empty(settings: &Settings) -> Failure {
    let message = match &settings.run.keys {
        Some(pattern) => format!("no key matches {pattern:?}: there is nothing to back up"),
        None => "there is no key to back up".to_owned(),
    };
    Failure::usage(Side::Redis, message, "Check --from, its database, and --keys; --allow-empty makes an empty backup.")
}
