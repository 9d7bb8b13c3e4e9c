//! `redis2pg rollback`: its arguments, the question before it, and what is printed of it.

use super::dispatch::{Ended, block_on};
use super::flags::{SettingFlags, Undoing};
use super::write_failure;
use crate::config::{Settings, clean};
use crate::flow::Stop;
use crate::job::{self, Progress, RollbackRequest, RollbackStanding, RolledBack};
use crate::model::{Exit, Failure, RedisKey, Side};
use crate::report::{LogGate, init_log, kept_json, rollback_json, rollback_summary};
use std::io::{self, BufRead, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Arguments of `rollback`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct RollbackArgs {
    /// The run's id, as `runs list` shows it, or its beginning
    #[arg(long, value_name = "ID")]
    pub run: String,
    /// Take back rows that were changed or deleted since as well; never those that others refer to
    #[arg(long)]
    pub force: bool,
    /// Take it back although a cleanup deleted keys of its rows from Redis: they were put back, or nobody needs them. --force does
    /// that, too
    #[arg(long)]
    pub despite_cleanup: bool,
    /// Print one JSON document to stdout
    #[arg(long)]
    pub json: bool,
    /// The connection, and how it is asked for.
    #[command(flatten)]
    pub settings: SettingFlags<Undoing>,
}

const HELP: &str = "\
Rows that the run inserted are deleted; rows that it changed or deleted are put back as they were. Kept, counted and listed are \
rows that somebody changed or deleted since, and rows that others refer to. On a terminal it shows first what it would do, and \
asks; elsewhere it needs --yes (or --dry-run, which writes nothing).

A rollback that was interrupted goes on when it is run again.

Exit codes:
  0  done, rows that were kept on purpose included; the question was answered with no; there was nothing to do
  2  no such run, it is at work, a later run changed its rows, a cleanup deleted keys of them, a table is gone, a missing right, or no --yes
  6  PostgreSQL failed
  7  stopped before the end; the same command goes on";

/// So often a line tells how far it is.
const TELL: Duration = Duration::from_secs(5);

/// Kept rows that are printed.
const SHOWN: usize = 20;

/// Does it.
pub(super) fn run_rollback(
    args: &RollbackArgs,
    settings: &Settings,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, Ended> {
    init_log(&settings.log, &LogGate::default(), false)?;
    let request = RollbackRequest {
        run: args.run.clone(),
        force: args.force,
        despite_cleanup: args.despite_cleanup || args.force,
    };
    if !settings.run.dry_run && !settings.run.yes {
        if !io::stdin().is_terminal() {
            let hint = "Look with --dry-run what it would do, then give --yes.";
            return Err(Failure::usage(
                Side::Settings,
                "a rollback asks before it writes, and there is no terminal",
                hint,
            )
            .into());
        }
        let mut ahead = settings.clone();
        (ahead.run.dry_run, ahead.run.report) = (true, None);
        let planned = work(&ahead, &request, err)?;
        if planned.failure.is_some() || planned.standing != RollbackStanding::Planned {
            return print(args.json, &planned, out, err);
        }
        write_planned(err, &planned)?;
        let server = settings.target.url.as_ref().map(ToString::to_string).unwrap_or_default();
        write!(err, "Take run {} back in {}? [y/N] ", planned.run, clean(&server))?;
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

fn work(settings: &Settings, request: &RollbackRequest, err: &mut dyn Write) -> Result<RolledBack, Failure> {
    let mut last = Instant::now();
    let mut tell = |progress: &Progress| {
        if last.elapsed() >= TELL {
            last = Instant::now();
            let Progress { table, deleted, restored, kept } = progress;
            let _ = writeln!(err, "{}: {deleted} deleted, {restored} restored, {kept} kept so far", clean(table));
        }
    };
    block_on(async {
        let stop = Stop::new();
        // Without a handler a signal ends the process at once, which the ledger survives.
        let _signals = stop.listen_for_signals();
        job::rollback(settings, request, &stop, &mut tell).await
    })?
}

fn print(json: bool, done: &RolledBack, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit, Ended> {
    if json {
        let mut value = rollback_json(&done.run, done.standing.name(), &done.account);
        let samples = done.samples.iter().map(|(table, row)| kept_json(table, row));
        value["samples"] = samples.collect();
        value["notices"] = done.notices.clone().into();
        serde_json::to_writer_pretty(&mut *out, &value).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        match done.standing {
            RollbackStanding::Before => writeln!(out, "Run {} was rolled back before; nothing was done.", done.run)?,
            RollbackStanding::Planned => writeln!(out, "Dry run: nothing is written. Rolling back run {} …", done.run)?,
            RollbackStanding::Done => writeln!(out, "Run {} is rolled back.", done.run)?,
            RollbackStanding::Stopped => writeln!(out, "The rollback of run {} did not come to its end.", done.run)?,
        }
        write_planned(out, done)?;
    }
    if let Some(failure) = &done.failure {
        let _ = write_failure(err, failure);
    }
    Ok(done.exit())
}

/// The account, the notices, and some of the rows that are kept.
fn write_planned(out: &mut dyn Write, done: &RolledBack) -> io::Result<()> {
    write!(out, "{}", rollback_summary(&done.account, done.standing == RollbackStanding::Planned))?;
    for notice in &done.notices {
        writeln!(out, "note: {}", clean(notice))?;
    }
    for (table, row) in done.samples.iter().take(SHOWN) {
        let key = row.redis_key.as_ref().map(|key| format!(" of {}", RedisKey::new(key.clone()))).unwrap_or_default();
        let detail = if row.detail.is_empty() { String::new() } else { format!(" ({})", row.detail) };
        writeln!(
            out,
            "kept: {} {}{}: {}{}",
            clean(table),
            clean(&row.row_key),
            clean(&key),
            row.reason,
            clean(&detail)
        )?;
    }
    Ok(())
}
