//! `redis2pg runs`: its arguments, and the printing of runs as the ledger knows them.

use super::flags::{Ledger, SettingFlags};
use crate::config::{FlagValues, clean};
use crate::job::ledger::CleanupEntry;
use crate::model::{Class, RollbackAccount, Tally};
use crate::report::{plain_table, reasons, row_counts, tally_table};
use serde::Serialize;
use serde_json::Value;
use std::io::{self, Write};

/// Arguments of `runs`.
#[derive(Debug, clap::Args)]
pub struct RunsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RunsCommand,
}

/// What `runs` can do.
#[derive(Debug, clap::Subcommand)]
pub enum RunsCommand {
    /// List the latest hundred runs, the newest first
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        /// The connection.
        #[command(flatten)]
        settings: SettingFlags<Ledger>,
    },
    /// Show one run with its tally
    Show {
        /// The run's id, as `runs list` shows it, or its beginning [default: the latest]
        id: Option<String>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        /// The connection.
        #[command(flatten)]
        settings: SettingFlags<Ledger>,
    },
}

impl RunsArgs {
    pub(super) fn flags(&self) -> &FlagValues {
        match &self.command {
            RunsCommand::List { settings, .. } | RunsCommand::Show { settings, .. } => &settings.values,
        }
    }
}

/// One run, for printing.
#[derive(Clone, Debug, Serialize)]
pub struct RunView {
    /// Its id.
    pub id: String,
    /// `running`, `done`, `stopped`, `failed`, …
    pub state: String,
    /// The version that ran.
    pub version: String,
    /// When it began (RFC 3339).
    pub started: String,
    /// When it ended, where it did.
    pub ended: Option<String>,
    /// Where from, without a password.
    pub source: String,
    /// What it exited with.
    pub exit_code: Option<i32>,
    /// Why it did not go to its end.
    pub error: Option<String>,
    /// What became of its keys.
    pub tally: Tally,
    /// The run whose rejects it retries.
    pub retry_of: Option<String>,
    /// When it was rolled back (RFC 3339).
    pub rolled_back_at: Option<String>,
    /// What its rollback did so far; `None` where none began.
    pub rollback: Option<RollbackAccount>,
    /// What became of its rejects since; where one run is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejects: Option<RejectCounts>,
    /// What was found when it was validated last; where one run is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationView>,
    /// The cleanups by which keys of its rows may have gone from Redis, the latest first; where one run is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanups: Option<Vec<CleanupView>>,
}

/// A cleanup, for printing.
#[derive(Clone, Debug, Serialize)]
pub struct CleanupView {
    /// Its id.
    pub id: String,
    /// The run whose keys it deleted.
    pub run: String,
    /// `running`, `done`, `stopped`, `failed` or `abandoned`.
    pub state: String,
    /// When it began (RFC 3339).
    pub started: String,
    /// When it ended, where it did.
    pub ended: Option<String>,
    /// Keys that are gone by it, as far as is known.
    pub deleted: i64,
    /// Keys of which it is not known, since it was interrupted: the next cleanup settles them.
    pub unsettled: i64,
    /// The file that they were written to first.
    pub backup: Option<String>,
    /// The account at its end.
    pub account: Value,
}

impl From<CleanupEntry> for CleanupView {
    fn from(entry: CleanupEntry) -> Self {
        Self {
            id: entry.id,
            run: entry.run,
            state: entry.state,
            started: entry.started_at,
            ended: entry.finished_at,
            deleted: entry.deleted,
            unsettled: entry.unsettled,
            backup: entry.backup,
            account: serde_json::from_str(&entry.account).unwrap_or_default(),
        }
    }
}

impl CleanupView {
    /// In a line: when, how it ended, and how many keys are gone.
    fn line(&self) -> String {
        let unsettled = match self.unsettled {
            0 => String::new(),
            keys => format!(", and perhaps up to {keys} more: the next cleanup settles that"),
        };
        let backup = self.backup.as_ref().map(|path| format!("; backup {path}")).unwrap_or_default();
        format!("{}, {}: {} keys deleted from Redis{unsettled}{backup}", self.state, self.started, self.deleted)
    }
}

/// The last validation of a run, for printing.
#[derive(Clone, Debug, Serialize)]
pub struct ValidationView {
    /// When it ended (RFC 3339).
    pub ended: String,
    /// Whether it passed; null where it was stopped and had found nothing.
    pub passed: Option<bool>,
    /// Whether it came to its end.
    pub complete: bool,
    /// What was looked at.
    pub parts: Vec<String>,
    /// The share of keys that was looked at; null: all.
    pub sample: Option<String>,
    /// The pattern of keys that was looked at; null: all.
    pub keys: Option<String>,
    /// The counts by mapping.
    pub counts: Value,
    /// How many validations of the run there are.
    pub validations: i64,
}

impl ValidationView {
    /// In a line: what was found, and how many keys of each class that is not equal.
    fn line(&self) -> String {
        let found = match self.passed {
            Some(true) => "passed",
            Some(false) => "not passed",
            None => "stopped before its end",
        };
        let mut parts = Vec::new();
        for class in Class::ALL {
            let mappings = self.counts.as_object().into_iter().flat_map(|all| all.values());
            let count: i64 = mappings.filter_map(|counts| counts["keys"][class.name()].as_i64()).sum();
            if count > 0 {
                parts.push(format!("{count} {}", class.name()));
            }
        }
        let of = [&self.sample, &self.keys].into_iter().flatten().map(|part| format!(" of {part}"));
        format!("{found}{}, {}: {}", of.collect::<String>(), self.ended, parts.join(", "))
    }
}

/// Rejects of a run by state.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RejectCounts {
    /// Those that no retry has settled. Of a retry: those of the run that it retries.
    pub open: i64,
    /// Those that are closed. Of a retry: those that it has settled itself.
    pub closed: i64,
    /// Those among them that no retry closed, but a person.
    pub closed_by_hand: i64,
}

impl RunView {
    /// The state, for people: that of its rollback where there is one.
    fn shown_state(&self) -> String {
        let undone = match (&self.rolled_back_at, &self.rollback) {
            (Some(_), _) => ", rolled back",
            (None, Some(_)) => ", rolled back in part",
            (None, None) => "",
        };
        format!("{}{undone}", self.state)
    }

    /// What it exited with, for people.
    fn shown_exit(&self) -> String {
        self.exit_code.map_or_else(|| "-".to_owned(), |code| code.to_string())
    }
}

impl From<(i64, i64, i64)> for RejectCounts {
    fn from((open, closed, closed_by_hand): (i64, i64, i64)) -> Self {
        Self { open, closed, closed_by_hand }
    }
}

/// Writes runs as a table or as one JSON document.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_runs(out: &mut dyn Write, runs: &[RunView], json: bool) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, runs)?;
        return writeln!(out);
    }
    if runs.is_empty() {
        return writeln!(out, "There are no runs yet.");
    }
    let header = ["run", "state", "exit", "started", "ended", "matched", "inserted", "updated", "rejected", "retry of"];
    let rows = runs.iter().map(|run| {
        vec![
            clean(&run.id),
            clean(&run.shown_state()),
            run.shown_exit(),
            clean(&run.started),
            clean(run.ended.as_deref().unwrap_or("-")),
            run.tally.matched.to_string(),
            run.tally.inserted.to_string(),
            run.tally.updated.to_string(),
            run.tally.rejects().to_string(),
            run.retry_of.as_deref().map_or_else(|| "-".to_owned(), clean),
        ]
    });
    writeln!(out, "{}", plain_table(&header, rows))
}

/// Writes one run with its tally, for people or as one JSON document.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_run(out: &mut dyn Write, run: &RunView, json: bool) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, run)?;
        return writeln!(out);
    }
    let ended = run.ended.as_deref().unwrap_or("-");
    for (name, value) in [
        ("run", run.id.as_str()),
        ("state", &run.state),
        ("exit", &run.shown_exit()),
        ("version", &run.version),
        ("started", &run.started),
        ("ended", ended),
        ("source", &run.source),
        ("error", run.error.as_deref().unwrap_or("-")),
    ] {
        writeln!(out, "{name:<8} {}", clean(value))?;
    }
    if let Some(rollback) = &run.rollback {
        let (deleted, restored, kept) = rollback.totals();
        let when = run.rolled_back_at.as_deref().unwrap_or("not at its end: run it again");
        writeln!(out, "{:<8} {}: {deleted} rows deleted, {restored} restored, {kept} kept", "rollback", clean(when))?;
    }
    if let Some(of) = &run.retry_of {
        writeln!(out, "{:<8} {}", "retry of", clean(of))?;
    }
    if let Some(RejectCounts { open, closed, closed_by_hand }) = run.rejects {
        let by = if run.retry_of.is_some() { "it" } else { "retries" };
        let by_hand = if closed_by_hand > 0 { format!(", {closed_by_hand} closed by hand") } else { String::new() };
        writeln!(out, "{:<8} {open} open, {} closed by {by}{by_hand}", "rejects", closed - closed_by_hand)?;
    }
    if let Some(validation) = &run.validation {
        writeln!(out, "{:<8} {}", "validated", clean(&validation.line()))?;
    }
    for cleanup in run.cleanups.iter().flatten() {
        writeln!(out, "{:<8} {}", "cleanup", clean(&cleanup.line()))?;
    }
    if let Some(cleanups) = run.cleanups.as_ref().filter(|cleanups| cleanups.len() > 1) {
        let deleted: i64 = cleanups.iter().map(|cleanup| cleanup.deleted).sum();
        writeln!(out, "{:<8} {deleted} keys deleted from Redis by all of them", "cleanups")?;
    }
    writeln!(out, "{}", tally_table([("all", &run.tally)].into_iter(), false))?;
    if !run.tally.rows.is_empty() {
        writeln!(out, "rows: {}", row_counts(&run.tally.rows))?;
    }
    write!(out, "{}", reasons(&run.tally))?;
    if run.tally.rejects() > 0 {
        writeln!(out, "What was rejected, and why: redis2pg rejects list --run {}", clean(&run.id))?;
    }
    Ok(())
}
