//! `redis2pg rejects`: its arguments. What each command does is in `command`, how rejects are printed in `print`, and their values
//! in `value`.

mod command;
mod print;
mod value;

pub(super) use command::run as run_rejects;
pub use print::{RejectForm, RejectView, write_groups, write_rejects};

use super::flags::{Everything, Ledger, SettingFlags};
use crate::config::FlagValues;
use crate::job::RetryRequest;
use crate::job::ledger::{RejectFilter, RetryFilter, WhichState};
use crate::model::RedisKey;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Arguments of `rejects`.
#[derive(Debug, clap::Args)]
pub struct RejectsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RejectsCommand,
}

/// What the reading commands take.
#[derive(Debug, clap::Args)]
pub struct RejectsFilter {
    /// Rejects of this run, or of the one that it retries [default: the latest that is no retry]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Only this reason, such as json_syntax
    #[arg(long, value_name = "REASON")]
    pub reason: Option<String>,
    /// Only rejects of this mapping
    #[arg(long, value_name = "NAME")]
    pub mapping: Option<String>,
    /// Only those that no retry has settled, only those that one has, or all
    #[arg(long, value_name = "STATE", value_enum, default_value_t)]
    pub state: StateArg,
    /// The connection.
    #[command(flatten)]
    pub settings: SettingFlags<Ledger>,
}

/// `--state`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum StateArg {
    /// What no retry has settled.
    #[default]
    Open,
    /// What a retry has settled.
    Closed,
    /// Both.
    All,
}

/// What `rejects` can do.
#[derive(Debug, clap::Subcommand)]
pub enum RejectsCommand {
    /// Count the rejects by mapping and reason, each with an example
    List {
        /// List the single keys instead, one a line
        #[arg(long)]
        keys: bool,
        /// How many keys at most
        #[arg(long, value_name = "NUMBER", default_value_t = 100, requires = "keys")]
        limit: u32,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        /// Which.
        #[command(flatten)]
        filter: RejectsFilter,
    },
    /// Show rejects in full: reason, place, and the value as it was read
    Show {
        /// Only this key, as it is or as it is printed (\xff for a byte)
        key: Option<OsString>,
        /// How many at most
        #[arg(long, value_name = "NUMBER", default_value_t = 10)]
        limit: u32,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
        /// Which.
        #[command(flatten)]
        filter: RejectsFilter,
    },
    /// Write all that is known of the rejects as JSON, one a line
    Export {
        /// Into this file, mode 0600, instead of stdout
        #[arg(long, value_name = "PATH")]
        file: Option<PathBuf>,
        /// Replace the file where it exists
        #[arg(long, requires = "file")]
        overwrite: bool,
        /// Which.
        #[command(flatten)]
        filter: RejectsFilter,
    },
    /// Take the open rejects of a run once more, as the settings say now: what is loaded is closed
    #[command(after_help = RETRY)]
    Retry(Box<RetryArgs>),
}

/// Arguments of `rejects retry`.
#[derive(Debug, clap::Args)]
pub struct RetryArgs {
    /// Only these keys, as they are or as they are printed (\xff for a byte)
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
It takes the settings of `run`: the same source, target and mappings, mended where they were at fault. A key that has gone \
from Redis is loaded from the value that the ledger kept of it.

Exit codes are those of `run`; 3 as long as any reject of that run is open, taken or not.";

impl RejectsArgs {
    pub(super) fn flags(&self) -> &FlagValues {
        match &self.command {
            RejectsCommand::List { filter, .. }
            | RejectsCommand::Show { filter, .. }
            | RejectsCommand::Export { filter, .. } => &filter.settings.values,
            RejectsCommand::Retry(args) => &args.settings.values,
        }
    }
}

impl RejectsFilter {
    /// Which rejects are meant.
    pub fn wanted(&self, key: Option<&OsString>, limit: i64) -> RejectFilter {
        RejectFilter {
            run: self.run.clone(),
            mapping: self.mapping.clone(),
            keys: key.map(|key| meant(key.as_bytes())).unwrap_or_default(),
            reason: self.reason.clone(),
            state: match self.state {
                StateArg::Open => WhichState::Open,
                StateArg::Closed => WhichState::Closed,
                StateArg::All => WhichState::All,
            },
            after: 0,
            limit,
        }
    }
}

/// The keys that a person may mean: the one of these bytes, and the one that is printed like this.
fn meant(given: &[u8]) -> Vec<Vec<u8>> {
    let printed = RedisKey::printed_as(given).map(|key| key.as_bytes().to_vec());
    [given.to_vec()].into_iter().chain(printed).collect()
}

impl RetryArgs {
    /// What is to be retried.
    pub fn request(&self) -> RetryRequest {
        let keys = self.keys.iter().map(|key| key.as_bytes().to_vec()).collect();
        let filter = RetryFilter { reason: self.reason.clone(), mapping: self.mapping.clone(), keys };
        RetryRequest { run: self.run.clone(), filter }
    }
}
