//! `redis2pg restore`: its arguments, the question before it, and what is printed of it.

use super::dispatch::{Ended, block_on};
use super::flags::{Restoring, SettingFlags};
use super::write_failure;
use crate::config::{FlagValues, Raw, Settings, clean};
use crate::flow::Stop;
use crate::job::{self, BackupContents, BackupEntry, RestoreProgress, RestoreRequest, RestoreStanding, Restored};
use crate::model::{Exit, Failure, Finding, LeftKey, Side};
use crate::report::{
    ContentsFacts, LogGate, contents_json, contents_text, entry_json, entry_line, init_log, restore_json,
    restore_summary,
};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct RestoreArgs {
    /// The backup
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// The Redis to restore into, as redis://[user[:password]@]host[:port][/database]: with a database, all keys go there
    #[arg(long, value_name = "URL", required_unless_present = "list")]
    pub to: Option<String>,
    /// The keys of this database of the file only
    #[arg(long, value_name = "N")]
    pub database: Option<u8>,
    /// Replace keys that are there with something else
    #[arg(long)]
    pub replace: bool,
    /// Restore what is whole of a file that is damaged
    #[arg(long)]
    pub salvage: bool,
    /// Make keys again by ordinary commands, also where the server would take their dumps
    #[arg(long)]
    pub logical: bool,
    /// Say what is in the file, and restore nothing; with --keys the keys too
    #[arg(long, conflicts_with_all = ["replace", "logical", "to"])]
    pub list: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub json: bool,
    /// The connection, and how it is asked for.
    #[command(flatten)]
    pub settings: SettingFlags<Restoring>,
}

impl RestoreArgs {
    /// The settings given as flags: the Redis that is restored into is the one of `[source]`.
    pub(super) fn flags(&self) -> FlagValues {
        let mut flags = self.settings.values.clone();
        if let Some(url) = &self.to {
            flags.values.insert("source.url", Raw::Text(url.clone()));
        }
        flags
    }

    /// Findings on the settings, with that Redis by the name under which it was given here.
    pub(super) fn named(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        for finding in findings.iter_mut().filter(|finding| self.to.is_some() && finding.subject == "source.url") {
            finding.subject = "--to".to_owned();
            finding.place = None;
            finding.hint = "One server: redis://[user[:password]@]host[:port][/database], rediss:// for TLS, or \
                            redis+unix:///path/to/socket."
                .to_owned();
        }
        findings
    }

    fn request(&self) -> RestoreRequest {
        let Self { file, database, replace, salvage, logical, .. } = self;
        RestoreRequest {
            file: file.clone(),
            database: *database,
            replace: *replace,
            salvage: *salvage,
            logical: *logical,
        }
    }
}

const HELP: &str = "\
Examples:
  What is in a file:
    redis2pg restore --file cache.backup --list
  What would be done, without writing:
    redis2pg restore --file cache.backup --to redis://cache:6379 --dry-run
  All of it, each key into the database that it was in:
    redis2pg restore --file cache.backup --to redis://cache:6379
  Some keys of database 0, into database 5:
    redis2pg restore --file cache.backup --to redis://cache:6379/5 --database 0 --keys 'session:*'

The whole file is checked first. A key that is there already is left alone, unless --replace says otherwise: then it asks on a \
terminal, and needs --yes elsewhere. A restore that was interrupted is run again: what is there already counts as equal.

The settings of [source] but for its URL are those of the Redis that is restored into, its password among them.

Exit codes:
  0  done; keys that were there or have expired were left out on purpose; the question was answered with no
  2  usage, a file that is damaged or no backup, a missing right, no matching key (unless --allow-empty), or no --yes
  3  done, but for keys that could not be restored, or that --salvage found no more of
  5  Redis failed: unreachable, a replica, out of memory
  7  stopped before the end; the same command goes on";

/// So often a line tells how far it is.
const TELL: Duration = Duration::from_secs(5);

/// Keys that are named in the text.
const SHOWN: usize = 20;

/// Does it.
pub(super) fn run_restore(
    args: &RestoreArgs,
    settings: &Settings,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, Ended> {
    init_log(&settings.log, &LogGate::default(), false)?;
    let request = args.request();
    if args.list {
        return list(args.json, settings, &request, out, err);
    }
    if request.replace && !settings.run.dry_run && !settings.run.yes {
        if !io::stdin().is_terminal() {
            let message = "a restore with --replace asks before it writes, and there is no terminal";
            let hint = "Look with --dry-run what it would do, then give --yes.";
            return Err(Failure::usage(Side::Settings, message, hint).into());
        }
        let mut ahead = settings.clone();
        (ahead.run.dry_run, ahead.run.report) = (true, None);
        let planned = work(&ahead, &request, err)?;
        if planned.failure.is_some() || planned.account.total().replaced == 0 && planned.account.total().restored == 0 {
            return print(args.json, &planned, out, err);
        }
        write_done(err, &planned)?;
        let server = settings.source.url.as_ref().map(ToString::to_string).unwrap_or_default();
        write!(err, "Do that in {}? [y/N] ", clean(&server))?;
        err.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            writeln!(err, "Nothing was done.")?;
            return Ok(Exit::Done);
        }
    }
    let done = work(settings, &request, err)?;
    print(args.json, &done, out, err)
}

/// Says now and then how far it is, and at once what a person should know.
fn teller(err: &mut dyn Write) -> impl FnMut(&RestoreProgress) {
    let mut last = Instant::now();
    move |progress| {
        if let RestoreProgress::Notice(text) = progress {
            let _ = writeln!(err, "note: {}", clean(text));
        }
        if last.elapsed() < TELL {
            return;
        }
        last = Instant::now();
        let _ = match progress {
            RestoreProgress::Checking { bytes, of } => {
                writeln!(err, "the file is checked: {} of {} MiB", bytes >> 20, of >> 20)
            }
            RestoreProgress::Restoring { keys, of } => writeln!(err, "{keys} of {of} keys so far"),
            RestoreProgress::Notice(_) => Ok(()),
        };
    }
}

fn work(settings: &Settings, request: &RestoreRequest, err: &mut dyn Write) -> Result<Restored, Failure> {
    let mut tell = teller(err);
    block_on(async {
        let stop = Stop::new();
        // Without a handler a signal ends the process at once, which the next attempt survives.
        let _signals = stop.listen_for_signals();
        job::restore(settings, request, &stop, &mut tell).await
    })?
}

fn print(json: bool, done: &Restored, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit, Ended> {
    if json {
        serde_json::to_writer_pretty(&mut *out, &restore_json(&done.facts(), &done.account))
            .map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        match done.standing {
            RestoreStanding::Planned => {
                writeln!(out, "Dry run: nothing is written. Restoring {} into {} …", done.file, done.target)?;
            }
            RestoreStanding::Done => writeln!(out, "{} is restored into {}.", done.file, done.target)?,
            RestoreStanding::Stopped => writeln!(out, "The restore of {} did not come to its end.", done.file)?,
        }
        write_done(out, done)?;
    }
    if let Some(failure) = &done.failure {
        let _ = write_failure(err, failure);
    }
    Ok(done.exit())
}

/// Says what is in the file; with a pattern the keys too.
fn list(
    json: bool,
    settings: &Settings,
    request: &RestoreRequest,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, Ended> {
    let names_keys = settings.run.keys.is_some();
    let (mut tell, mut lines, mut wrote) = (teller(err), 0_u64, Ok(()));
    if json && names_keys {
        // What is damaged is told before the first byte of a document, not in the middle of it.
        read(settings, request, &mut tell, &mut |_| {})?;
    }
    let mut name = |entry: &BackupEntry| {
        if !names_keys || wrote.is_err() {
            return;
        }
        let head = if lines == 0 { "{ \"entries\": [\n" } else { ",\n" };
        wrote = if json { write!(out, "{head}{}", entry_json(entry)) } else { writeln!(out, "{}", entry_line(entry)) };
        lines += 1;
    };
    let contents = read(settings, request, &mut tell, &mut name)?;
    wrote?;
    let facts = ContentsFacts {
        file: &request.file,
        header: &contents.header,
        keys: &contents.keys,
        superseded: contents.superseded,
        torn: contents.torn,
        damage: &contents.damage,
    };
    if json {
        // The keys stand first: they are written as they are read.
        let text = serde_json::to_string_pretty(&contents_json(&facts)).map_err(io::Error::from)?;
        let rest = if names_keys { text.strip_prefix('{').unwrap_or_default() } else { text.as_str() };
        let joint = match (names_keys, lines) {
            (false, _) => "",
            (true, 0) => "{ \"entries\": [],",
            (true, _) => "\n],",
        };
        writeln!(out, "{joint}{rest}")?;
    } else {
        write!(out, "{}", clean_lines(&contents_text(&facts)))?;
    }
    Ok(if contents.damage.is_empty() { Exit::Done } else { Exit::Rejects })
}

/// Reads a file to its end; `key` hears of the keys in it.
fn read(
    settings: &Settings,
    request: &RestoreRequest,
    tell: &mut dyn FnMut(&RestoreProgress),
    key: &mut dyn FnMut(&BackupEntry),
) -> Result<BackupContents, Ended> {
    Ok(block_on(async {
        let stop = Stop::new();
        let _signals = stop.listen_for_signals();
        job::contents(settings, request, &stop, tell, key)
    })??)
}

/// Text of several lines, each safe for a terminal: what a file says of itself may be anything.
fn clean_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", clean(line))).collect()
}

/// The account, the notices, what was lost of the file, and some of the keys that are not as the file has them.
fn write_done(out: &mut dyn Write, done: &Restored) -> io::Result<()> {
    write!(out, "{}", restore_summary(&done.account, done.standing == RestoreStanding::Planned))?;
    for notice in done.damage.iter().chain(&done.notices) {
        writeln!(out, "note: {}", clean(notice))?;
    }
    for LeftKey { database, key, reason, detail } in done.left.iter().take(SHOWN) {
        let detail = if detail.is_empty() { String::new() } else { format!(" ({})", clean(detail)) };
        writeln!(out, "not restored: {key} in database {database}: {reason}{detail}")?;
    }
    Ok(())
}
