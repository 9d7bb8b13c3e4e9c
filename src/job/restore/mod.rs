//! `restore`: the keys of a backup go back into a Redis. The file is checked as a whole first; `check` does that, `work` the
//! rest, with `parts` for keys that come in several pieces.

mod check;
mod contents;
mod left;
mod notices;
mod page;
mod parts;
mod repeats;
mod work;

pub use contents::{BackupContents, contents};

use super::close::report_unwritable;
use super::setup;
use crate::backup::{Header, ReadError, Reader};
use crate::config::Settings;
use crate::flow::Stop;
use crate::model::{Event, Exit, Failure, LeftKey, RedisKey, RedisTypes, RestoreAccount, Side, glob_matches};
use crate::report::{RestoreFacts, probe_report_dir, write_restore};
use crate::source::redis::{RedisSource, SourceSettings};
use check::Checked;
use left::LeftKeys;
use std::fs::File;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use work::Work;

/// Notices of the connection that wait to be told.
const NOTICES: usize = 64;

/// What is restored.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// The backup.
    pub file: PathBuf,
    /// The database of the file whose keys are meant; `None`: all.
    pub database: Option<u8>,
    /// Whether keys that are there with something else are replaced.
    pub replace: bool,
    /// Whether what is whole of a damaged file is restored.
    pub salvage: bool,
    /// Whether dumps are left aside where a key has another form.
    pub logical: bool,
}

/// Where a restore stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A dry run: this is what would be done.
    Planned,
    /// It is done.
    Done,
    /// It did not come to its end; the same command goes on.
    Stopped,
}

/// What a restore came to.
#[derive(Debug)]
pub struct Restored {
    /// The file, for people.
    pub file: String,
    /// The Redis, without secrets.
    pub target: String,
    /// Where it stands.
    pub standing: Standing,
    /// Keys of the file that were asked for.
    pub matched: u64,
    /// What became of them.
    pub account: RestoreAccount,
    /// Some of the keys that are not as the file has them.
    pub left: Vec<LeftKey>,
    /// What is damaged in the file.
    pub damage: Vec<String>,
    /// What else is to be known.
    pub notices: Vec<String>,
    /// Why it did not come to its end.
    pub failure: Option<Failure>,
}

impl Restored {
    /// What to exit with.
    pub fn exit(&self) -> Exit {
        match &self.failure {
            Some(failure) => failure.exit,
            None if self.account.total().failed() > 0 || !self.damage.is_empty() => Exit::Rejects,
            None => Exit::Done,
        }
    }

    /// What a report says of it.
    pub fn facts(&self) -> RestoreFacts<'_> {
        RestoreFacts {
            file: &self.file,
            target: &self.target,
            state: match self.standing {
                Standing::Planned => "planned",
                Standing::Done => "done",
                Standing::Stopped => "stopped",
            },
            exit_code: self.exit().code(),
            matched: self.matched,
            damage: &self.damage,
            notices: &self.notices,
            left: &self.left,
            error: self.failure.as_ref().map(|failure| failure.message.clone()),
        }
    }
}

/// How far it is.
#[derive(Clone, Debug)]
pub enum Progress {
    /// The file is checked: bytes so far, and all.
    Checking {
        /// Bytes that were read.
        bytes: u64,
        /// Bytes of the file.
        of: u64,
    },
    /// Keys are restored.
    Restoring {
        /// Keys with an outcome.
        keys: u64,
        /// All that were asked for.
        of: u64,
    },
    /// Something that a person should know now.
    Notice(String),
}

/// Which keys of a file are meant.
pub(super) struct Chosen<'a> {
    pattern: Option<&'a str>,
    database: Option<u8>,
}

impl Chosen<'_> {
    fn has(&self, database: u8, key: &RedisKey) -> bool {
        self.database.is_none_or(|chosen| chosen == database)
            && self.pattern.is_none_or(|glob| glob_matches(glob.as_bytes(), key.as_bytes()))
    }
}

/// A backup that is open.
pub(super) struct Backup<'a> {
    file: File,
    path: &'a Path,
    salvage: bool,
}

impl<'a> Backup<'a> {
    fn open(request: &'a RestoreRequest) -> Result<Self, Failure> {
        let path = request.file.as_path();
        let unreadable = |error| ReadError::from(error).failure(path);
        // Opening a pipe would wait for whoever writes into it.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            let message =
                format!("{} is no file: a backup is read twice, from its beginning to its end", path.display());
            return Err(Failure::usage(Side::Settings, message, "Name the file that `redis2pg backup` wrote."));
        }
        Ok(Self { file: File::open(path).map_err(unreadable)?, path, salvage: request.salvage })
    }

    /// Reads it from its beginning: the same file, whatever has its name by now.
    fn reader(&self) -> Result<Reader<File>, Failure> {
        let file = self.file.try_clone().map_err(ReadError::from);
        let reader = file.and_then(|mut file| {
            std::io::Seek::rewind(&mut file)?;
            if self.salvage { Reader::salvage(file) } else { Reader::new(file) }
        });
        reader.map_err(|error| self.failure(&error))
    }

    fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |facts| facts.len())
    }

    fn failure(&self, error: &ReadError) -> Failure {
        error.failure(self.path)
    }
}

/// Restores as the settings say: as a dry run, with a report, as fast as they allow. `tell` hears how far it is.
///
/// # Errors
/// What forbids it. What ends it once it has begun is in what it gives.
pub async fn restore(
    settings: &Settings,
    request: &RestoreRequest,
    stop: &Stop,
    tell: &mut dyn FnMut(&Progress),
) -> Result<Restored, Failure> {
    if let Some(dir) = &settings.run.report {
        probe_report_dir(dir, true).map_err(|error| report_unwritable(dir, &error))?;
    }
    let target =
        SourceSettings { stop: stop.clone(), match_keys: None, ..setup::source_settings(settings).map_err(of_target)? };
    if target.names_cluster() {
        let message = format!("{} is a cluster, and keys cannot be restored there yet", target.display());
        return Err(Failure::usage(Side::Settings, message, "Name a single primary with redis:// or rediss://."));
    }
    let chosen = Chosen { pattern: settings.run.keys.as_deref(), database: request.database };
    let backup = Backup::open(request)?;
    let checked = check::check(&backup, &chosen, stop, tell)?;
    let into = into(&target, &checked)?;
    // Of a damaged file nothing whole may be left to salvage: that is told as its damage is.
    if checked.matched() == 0 && checked.damage.is_empty() && !settings.run.allow_empty {
        let message = format!("no key of {} is asked for", backup.path.display());
        let hint = "See what is in it with --list; with --allow-empty that is no error.";
        return Err(Failure::usage(Side::Settings, message, hint));
    }
    let (events, mut heard) = mpsc::channel(NOTICES);
    let redis = RedisSource::connect(&target, Some(events.clone())).await.map_err(of_target)?;
    let left = LeftKeys::new(settings.run.report.as_deref())?;
    let mut work = Work::new(settings, request, (&backup, &checked, chosen), (redis, into), left);
    let mut hear = |progress: Option<&Progress>| {
        while let Ok(event) = heard.try_recv() {
            if let Event::Notice(text) = event {
                tell(&Progress::Notice(text));
            }
        }
        if let Some(progress) = progress {
            tell(progress);
        }
    };
    let end = work.run(stop, &mut |progress| hear(Some(progress))).await.map_err(of_target);
    hear(None);
    drop(events);
    let mut restored = work.end(end).await?;
    restored.damage = checked.damage;
    if let Some(dir) = &settings.run.report {
        write_restore(dir, &restored.facts(), &restored.account).map_err(|error| report_unwritable(dir, &error))?;
    }
    Ok(restored)
}

/// The database that all keys go into; `None`: each into its own.
fn into(target: &SourceSettings, checked: &Checked) -> Result<Option<u8>, Failure> {
    let Some(into) = target.named_database() else { return Ok(None) };
    let from: Vec<String> = checked.keys.0.keys().map(ToString::to_string).collect();
    if from.len() > 1 {
        let message = format!(
            "the file has keys of the databases {}, and --to names one database, {into}: two keys could have one name",
            from.join(", ")
        );
        let hint =
            "Choose one by --database N; or name none in --to, so that each key goes into the database it was in.";
        return Err(Failure::usage(Side::Settings, message, hint));
    }
    Ok(Some(into))
}

/// Whether keys of a backup go back by their dumps into a server of this kind and version: of the same, they do.
fn is_same_kind(header: &Header, redis: &RedisSource) -> bool {
    let release = |version: &str| version.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    let Some(server) = redis.server() else { return false };
    let same_version = match (&header.redis_version, &server.version) {
        (Some(of_file), Some(here)) => release(of_file) == release(here),
        _ => false,
    };
    same_version && header.flavour.as_deref() == Some(server.flavour.as_str())
}

/// What a Redis is said to be wrong with, where it is the one that is restored into: `--to` names it.
fn of_target(mut failure: Failure) -> Failure {
    for text in [&mut failure.message, &mut failure.hint] {
        for name in ["source.url / --from", "source.url"] {
            *text = text.replace(name, "--to");
        }
    }
    failure
}

/// The types that may have to be made by commands.
fn built(checked: &Checked) -> Option<RedisTypes> {
    let types: RedisTypes = checked.built.iter().copied().collect();
    (!checked.built.is_empty()).then_some(types)
}
