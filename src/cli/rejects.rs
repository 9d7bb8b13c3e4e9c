//! `redis2pg rejects`: its arguments, and the printing of rejects as the ledger knows them.

use super::failure::clean;
use super::flags::{Ledger, SettingFlags};
use crate::config::FlagValues;
use crate::job::ledger::KeptReject;
use crate::model::{Reject, Withheld};
use crate::report::{plain_table, reject_json};
use std::io::{self, Write};

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

impl RejectsArgs {
    /// Which rejects were asked for.
    pub fn filter(&self) -> &RejectsFilter {
        match &self.command {
            RejectsCommand::List { filter, .. } | RejectsCommand::Show { filter, .. } => filter,
        }
    }

    pub(super) fn flags(&self) -> &FlagValues {
        &self.filter().settings.values
    }
}

/// One reject, for printing.
#[derive(Clone, Debug)]
pub struct RejectView {
    /// The mapping's name.
    pub mapping: String,
    /// The reject, its value where it is kept.
    pub reject: Reject,
    /// Size and hash of a value that was read, kept or not.
    pub withheld: Option<Withheld>,
}

impl From<KeptReject> for RejectView {
    fn from(kept: KeptReject) -> Self {
        Self { mapping: kept.mapping, reject: kept.reject, withheld: kept.withheld }
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
    if rejects.is_empty() {
        return writeln!(out, "There are no rejects.");
    }
    if full {
        return rejects.iter().try_for_each(|view| write_one(out, view));
    }
    let rows = rejects.iter().map(|RejectView { mapping, reject, .. }| {
        vec![reject.key.to_string(), clean(mapping), clean(&reject.reason), clean(&reject.detail)]
    });
    writeln!(out, "{}", plain_table(&["key", "mapping", "reason", "detail"], rows))
}

fn write_one(out: &mut dyn Write, RejectView { mapping, reject, withheld }: &RejectView) -> io::Result<()> {
    writeln!(out, "{}", reject.key)?;
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
        // A value is printed as a key is: control characters and invalid bytes escaped.
        (Some(value), _) => writeln!(out, "  value     {}\n", crate::model::RedisKey::new(value.clone())),
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
