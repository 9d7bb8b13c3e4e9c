//! `redis2pg cleanup`: its arguments, the questions before it, and what is printed of it.

use super::dispatch::{Ended, block_on};
use super::flags::{Cleaning, SettingFlags};
use super::write_failure;
use crate::config::{Settings, clean};
use crate::flow::Stop;
use crate::job::{self, Cleaned, CleanupRequest};
use crate::model::Exit;
use crate::report::{LogGate, Renderer, cleanup_report, cleanup_text, counted, init_log};
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

/// Arguments of `cleanup`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct CleanupArgs {
    /// The run's id, or its beginning [default: the latest of the same source and mappings]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Write each key to this file, and flush it, before it is deleted; it must not exist [env: REDIS2PG_CLEANUP_BACKUP]
    #[arg(long, value_name = "FILE")]
    pub backup: Option<PathBuf>,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub json: bool,
    /// The settings that it takes.
    #[command(flatten)]
    pub settings: SettingFlags<Cleaning>,
}

const HELP: &str = "\
Deletes keys from Redis whose rows in PostgreSQL have just been compared and are equal, and that still hold what was compared at \
the moment of their deletion. Everything else stays, and is counted by reason. Without --yes nothing is deleted: on a terminal it \
shows first what it would do, and asks twice; elsewhere it only shows that.

Examples:
  What would be deleted:
    redis2pg cleanup --from redis://cache:6379/0 --to postgres://me@db/app --preset contract-reviewer --dry-run
  A hundred keys of each mapping, with a backup:
    redis2pg cleanup … --limit 100 --backup trial.backup --yes
  Overnight, gently:
    redis2pg cleanup --config night.toml --backup /backups/cache.backup --cleanup-keys-per-second 2000 --yes

A cleanup that was interrupted goes on when it is run again, and settles first what the other may have deleted.

Exit codes:
  0  done, keys that were kept included; the question was answered with no; nothing was deleted as --yes was not given
  1  an error in redis2pg itself, such as an account that does not balance
  2  usage, settings, a missing right; a run that is alive, not complete, or rolled back; a Redis that is a cluster, a replica or too \
old; a backup that exists already, is not as it was left, or cannot be written (a full disk)
  5  Redis failed
  6  PostgreSQL failed
  7  stopped before the end; the same command goes on";

/// Does it.
pub(super) fn run_cleanup(
    args: &CleanupArgs,
    settings: &Settings,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, Ended> {
    let gate = LogGate::default();
    init_log(&settings.log, &gate, true)?;
    let request = CleanupRequest { run: args.run.clone(), backup: args.backup.clone() };
    if settings.run.dry_run || settings.run.yes {
        let done = work(settings, &request, &gate)?;
        return print(args.json, &done, out, err);
    }
    let asks = io::stdin().is_terminal();
    let mut ahead = settings.clone();
    ahead.run.dry_run = true;
    if asks {
        ahead.run.report = None;
    }
    let planned = work(&ahead, &request, &gate)?;
    let Some(found) = planned.cleanup.as_ref().filter(|_| planned.failure.is_none() && planned.exit == Exit::Done)
    else {
        return print(args.json, &planned, out, err);
    };
    let keys = found.account.would_delete;
    if !asks {
        let exit = print(args.json, &planned, out, err)?;
        writeln!(err, "Nothing was deleted: there is no terminal to ask on. --yes deletes these keys.")?;
        return Ok(exit);
    }
    write!(err, "{}", cleanup_text(found))?;
    if keys == 0 {
        writeln!(err, "There is nothing to delete.")?;
        return Ok(Exit::Done);
    }
    if !agreed(keys, settings, &request, err)? {
        writeln!(err, "Nothing was deleted.")?;
        return Ok(Exit::Done);
    }
    let done = work(settings, &request, &gate)?;
    print(args.json, &done, out, err)
}

/// Asks twice: whether, and for the number of keys. It names the server that loses them, and what will be left of them.
fn agreed(keys: i64, settings: &Settings, request: &CleanupRequest, err: &mut dyn Write) -> io::Result<bool> {
    let server = settings.source.url.as_ref().map(ToString::to_string).unwrap_or_default();
    match request.backup.as_ref().or(settings.cleanup.backup.as_ref()) {
        Some(file) => writeln!(err, "Each is written to {} first.", clean(&file.display().to_string()))?,
        None => {
            writeln!(err, "No backup is written (--backup FILE): after that the rows are all that is left of them.")?
        }
    }
    write!(err, "Delete {} from {}? [y/N] ", counted(keys, "key"), clean(&server))?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if !matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        return Ok(false);
    }
    write!(err, "To be sure, type the number of keys: ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let agreed = answer.trim().parse() == Ok(keys);
    if !agreed {
        writeln!(err, "That is not the number: it is {keys}.")?;
    }
    Ok(agreed)
}

fn work(settings: &Settings, request: &CleanupRequest, gate: &LogGate) -> Result<Cleaned, Ended> {
    let renderer = Renderer::new(settings.log.progress, io::stderr().is_terminal(), gate);
    let done = block_on(async {
        let stop = Stop::new();
        // Without a handler a signal ends the process at once, which the ledger survives.
        let _signals = stop.listen_for_signals();
        job::cleanup(settings, request, renderer, stop).await
    })?;
    Ok(done)
}

fn print(json: bool, done: &Cleaned, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit, Ended> {
    if json {
        let report = cleanup_report(&done.facts, done.cleanup.as_ref());
        serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else if let Some(cleanup) = &done.cleanup {
        write!(out, "{}", cleanup_text(cleanup))?;
    }
    if let Some(failure) = &done.failure {
        let _ = write_failure(err, failure);
    }
    Ok(done.exit)
}
