//! `redis2pg validate`: its arguments and its help.

use super::flags::{Comparing, SettingFlags};
use crate::job::ValidateRequest;

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct ValidateArgs {
    /// The run's id, or its beginning [default: the latest of the same source and mappings]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// These mappings only, by name; several separated by commas
    #[arg(long = "phase", value_name = "NAME", value_delimiter = ',')]
    pub phases: Vec<String>,
    /// Print the result as one JSON document to stdout
    #[arg(long)]
    pub json: bool,
    /// The settings that it takes.
    #[command(flatten)]
    pub settings: SettingFlags<Comparing>,
}

impl ValidateArgs {
    pub(super) fn request(&self) -> ValidateRequest {
        ValidateRequest::new(self.run.clone(), self.phases.clone())
    }
}

const HELP: &str = "\
Reads Redis once more through the same mappings, and compares with the rows in PostgreSQL. Neither Redis nor \
your tables are changed; the result is noted in the ledger.

Examples:
  All of it:
    redis2pg validate --from redis://cache:6379/0 --to postgres://me@db/app --preset contract-reviewer
  A twentieth of the keys, the same ones every time:
    redis2pg validate … --sample 5%
  Documents alone, with a report that names every key that is not equal:
    redis2pg validate … --phase documents --report ./validation

Exit codes, the first that applies:
  1  an error in redis2pg itself
  2  usage, settings, rights, tables, no such run, or no matching key
  5  Redis failed
  6  PostgreSQL failed
  7  stopped before the end
  4  keys are missing, different or orphaned (with --strict: stale, newer, extra or expired too)
  0  passed";
