//! `redis2pg rejects`: its arguments, and the printing of rejects as the ledger knows them.

use super::failure::clean;
use super::flags::{Everything, Ledger, SettingFlags};
use crate::config::FlagValues;
use crate::job::RetryRequest;
use crate::job::ledger::KeptReject;
use crate::ledger::RetryFilter;
use crate::model::{RedisKey, Reject, Withheld};
use crate::report::{cell, plain_table, reject_json};
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

/// Arguments of `rejects`.
#[derive(Debug, clap::Args)]
pub struct RejectsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RejectsCommand,
}

/// What both commands take.
#[derive(Debug, clap::Args)]
pub struct RejectsFilter {
    /// Rejects of this run [default: the latest]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Only this reason, such as json_syntax
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
    /// The connection.
    #[command(flatten)]
    pub settings: SettingFlags<Ledger>,
}

/// What `rejects` can do.
#[derive(Debug, clap::Subcommand)]
pub enum RejectsCommand {
    /// List the rejected keys, one a line with its reason
    List {
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: u32,
        /// Which.
        #[command(flatten)]
        filter: RejectsFilter,
    },
    /// Take the open rejects of a run once more, as the settings say now: what is loaded is closed
    #[command(after_help = RETRY)]
    Retry(Box<RetryArgs>),
    /// Show rejects in full: reason, place, and the value as it was read
    Show {
        /// Only this key
        key: Option<String>,
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value_t = 10)]
        limit: u32,
        /// Which.
        #[command(flatten)]
        filter: RejectsFilter,
    },
}

/// Arguments of `rejects retry`.
#[derive(Debug, clap::Args)]
pub struct RetryArgs {
    /// Only these keys
    #[arg(value_name = "KEY")]
    pub keys: Vec<OsString>,
    /// Rejects of this run, or of the one that it retries [default: the latest that is no retry]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Only this reason, such as json_syntax
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// Only rejects of this mapping
    #[arg(long, value_name = "NAME")]
    pub mapping: Option<String>,
    /// Print the report as one JSON document to stdout
    #[arg(long)]
    pub json: bool,
    /// All settings.
    #[command(flatten)]
    pub settings: SettingFlags<Everything>,
}

const RETRY: &str = "\
It takes the settings of `run`: the same source, target and mappings, mended where they were at fault. A key that has gone
from Redis is loaded from the value that the ledger kept of it.

Exit codes are those of `run`; 3 as long as any reject of that run is open, taken or not.";

impl RejectsArgs {
    pub(super) fn flags(&self) -> &FlagValues {
        match &self.command {
            RejectsCommand::List { filter, .. } | RejectsCommand::Show { filter, .. } => &filter.settings.values,
            RejectsCommand::Retry(args) => &args.settings.values,
        }
    }
}

impl RetryArgs {
    /// What is to be retried.
    pub fn request(&self) -> RetryRequest {
        let keys = self.keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        let filter = RetryFilter { reason: self.reason.clone(), mapping: self.mapping.clone(), keys };
        RetryRequest { run: self.run.clone(), filter }
    }
}

/// The most characters of a key in a table.
const KEY_WIDTH: usize = 80;
/// The most characters of a detail in a table.
const DETAIL_WIDTH: usize = 200;

/// One reject, for printing.
#[derive(Clone, Debug)]
pub struct RejectView {
    /// The mapping's name.
    pub mapping: String,
    /// The reject, its value where it is kept.
    pub reject: Reject,
    /// Size and hash of a value that was read, kept or not.
    pub withheld: Option<Withheld>,
    /// Whether the number of its database stands beside the key.
    pub names_database: bool,
}

impl From<KeptReject> for RejectView {
    fn from(kept: KeptReject) -> Self {
        let KeptReject { mapping, reject, withheld, elsewhere } = kept;
        Self { mapping, reject, withheld, names_database: elsewhere }
    }
}

impl RejectView {
    /// The key, with its database where that is not the source's own.
    fn key(&self) -> String {
        match self.reject.database.filter(|_| self.names_database) {
            Some(number) => format!("{} (database {number})", self.reject.key),
            None => self.reject.key.to_string(),
        }
    }
}

/// Writes rejects as a table (`full` false), in full, or as one JSON document.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_rejects(out: &mut dyn Write, rejects: &[RejectView], full: bool, json: bool) -> io::Result<()> {
    if json {
        let one = |view: &RejectView| reject_json(&view.mapping, &view.reject, view.withheld.as_ref(), usize::MAX);
        let all: Vec<_> = rejects.iter().map(one).collect();
        serde_json::to_writer_pretty(&mut *out, &all)?;
        return writeln!(out);
    }
    if full {
        return rejects.iter().try_for_each(|view| write_one(out, view));
    }
    let rows = rejects.iter().map(|view| {
        let RejectView { mapping, reject, .. } = view;
        let (key, detail) = (cell(&view.key(), KEY_WIDTH), cell(&clean(&reject.detail), DETAIL_WIDTH));
        let column = reject.column.as_deref().map_or_else(|| "-".to_owned(), clean);
        vec![key, clean(mapping), column, clean(&reject.reason), detail]
    });
    writeln!(out, "{}", plain_table(&["key", "mapping", "column", "reason", "detail"], rows))
}

/// What to say where nothing was found.
pub(super) fn nothing_found(filter: &RejectsFilter, of_key: bool) -> String {
    let RejectsFilter { run, reason, .. } = filter;
    if !of_key && reason.is_none() {
        return "There are no rejects.".to_owned();
    }
    let what = if of_key { "There is no reject of that key" } else { "There are no rejects" };
    let reason = reason.as_ref().map(|reason| format!(" with the reason {}", clean(reason))).unwrap_or_default();
    let run = run.as_ref().map_or_else(|| "the latest run".to_owned(), |run| format!("run {}", clean(run)));
    format!("{what}{reason} in {run}.")
}

/// A value that is text as it is, but for control characters; any other as keys are printed, invalid bytes escaped.
fn printed(value: &bytes::Bytes) -> String {
    let Ok(text) = std::str::from_utf8(value) else { return RedisKey::new(value.clone()).to_string() };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

fn write_one(out: &mut dyn Write, view: &RejectView) -> io::Result<()> {
    let RejectView { mapping, reject, withheld, .. } = view;
    writeln!(out, "{}", view.key())?;
    writeln!(out, "  mapping   {}", clean(mapping))?;
    writeln!(out, "  reason    {}", clean(&reject.reason))?;
    writeln!(out, "  detail    {}", clean(&reject.detail))?;
    for (name, value) in [("path", &reject.path), ("column", &reject.column), ("sqlstate", &reject.sqlstate)] {
        if let Some(value) = value {
            writeln!(out, "  {name:<9} {}", clean(value))?;
        }
    }
    writeln!(out, "  type      {}", clean(&reject.redis_type))?;
    match (&reject.value, withheld) {
        (Some(value), _) => writeln!(out, "  value     {}\n", printed(value)),
        (None, Some(Withheld { bytes, sha256 })) => {
            writeln!(
                out,
                "  value     (not kept: {bytes} bytes, more than errors.value_cap; SHA-256 {})\n",
                clean(sha256)
            )
        }
        (None, None) => writeln!(out, "  value     (none was read)\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::{RejectView, write_rejects};
    use crate::model::{RedisKey, Reject};
    use bytes::Bytes;

    fn written(key: &str, value: &'static [u8], full: bool) -> String {
        let value = Some(Bytes::from_static(value));
        let reject = Reject { value, ..Reject::new(RedisKey::new(key.to_owned()), "number", "d".repeat(500), None) };
        let view = RejectView { mapping: "m".to_owned(), reject, withheld: None, names_database: false };
        let mut out = Vec::new();
        let other = RejectView { reject: Reject::new(RedisKey::new("b"), "number", "d", None), ..view.clone() };
        assert!(write_rejects(&mut out, &[view, other], full, false).is_ok());
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn one_long_key_does_not_pad_every_line() {
        let key = "k".repeat(100_000);
        let text = written(&key, b"", false);
        assert!(text.len() < 1500 && text.contains("kkk…") && text.contains("ddd…"), "{}", text.len());
        assert!(written(&key, b"", true).contains(&key), "in full it is whole");
    }

    #[test]
    fn a_line_names_the_column_that_had_no_place_for_the_value() {
        let reject =
            Reject { column: Some("age".into()), ..Reject::new(RedisKey::new("a"), "number", "no number", None) };
        let view = RejectView { mapping: "m".to_owned(), reject, withheld: None, names_database: false };
        let mut out = Vec::new();
        assert!(write_rejects(&mut out, &[view], false, false).is_ok());
        let words: Vec<String> = String::from_utf8_lossy(&out).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words[..5], ["key", "mapping", "column", "reason", "detail"]);
        assert_eq!(words[5..8], ["a", "m", "age"]);
    }

    #[test]
    fn a_value_stands_as_it_is_but_for_control_characters() {
        let text = written(r"a\b", b"{\"path\":\"C:\\x\"}\x1b[31m", true);
        assert!(text.starts_with(r"a\\b"), "{text}");
        assert!(text.contains(r#"value     {"path":"C:\x"}\u{1b}[31m"#), "{text}");
        assert!(written("a", b"\xff\\", true).contains(r"value     \xff\\"));
    }
}
