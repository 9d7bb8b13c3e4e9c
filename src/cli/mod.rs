//! The command line: what can be typed, and how results are printed. Uses `config`, `job`,
//! `model` and `report`.

mod backup;
mod cleanup;
mod config;
mod demo;
mod dispatch;
mod failure;
mod flags;
mod outlet;
mod rejects;
mod restore;
mod rollback;
mod run;
mod runs;
mod validate;

pub use backup::{BackupArgs, DatabaseArg};
pub use cleanup::CleanupArgs;
pub use config::{CheckArgs, CheckView, ConfigArgs, ConfigCommand, ShowArgs, check, preset_text, presets, show};
pub use demo::DemoArgs;
pub use dispatch::main;
pub use failure::write_failure;
pub use flags::{BackingUp, Cleaning, Comparing, Everything, Ledger, Restoring, Scope, SettingFlags, Undoing};
pub use rejects::{
    RejectForm, RejectView, RejectsArgs, RejectsCommand, RejectsFilter, RetryArgs, StateArg, write_groups,
    write_rejects,
};
pub use restore::RestoreArgs;
pub use rollback::RollbackArgs;
pub use run::RunArgs;
pub use runs::{CleanupView, RejectCounts, RunView, RunsArgs, RunsCommand, ValidationView, write_run, write_runs};
pub use validate::ValidateArgs;

use crate::config::{FlagValues, scrub};
use crate::model::Exit;
use clap::Parser;
use std::ffi::OsString;

/// Moves a Redis cache into PostgreSQL: fast, in flat memory, resumable, with books that balance.
#[derive(Debug, Parser)]
#[command(name = "redis2pg", version, propagate_version = true, max_term_width = 110, after_help = START)]
pub struct Cli {
    /// The job.
    #[command(subcommand)]
    pub command: Command,
}

const START: &str = "\
Start here:
  redis2pg run --from redis://localhost --to postgres://localhost/app --preset contract-reviewer --dry-run
It reads and checks everything, writes nothing, and says what would happen.";

/// The jobs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Move keys from Redis into PostgreSQL
    Run(Box<RunArgs>),
    /// Compare the rows in PostgreSQL with what Redis holds
    Validate(Box<ValidateArgs>),
    /// Delete the keys from Redis that PostgreSQL holds, each compared once more as it goes
    Cleanup(Box<CleanupArgs>),
    /// Take back what a run wrote: delete what it inserted, put back what it changed
    Rollback(Box<RollbackArgs>),
    /// Write keys of Redis into a file, from which they can be put back
    Backup(Box<BackupArgs>),
    /// Put the keys of a backup back into Redis, or say what is in it
    Restore(Box<RestoreArgs>),
    /// Show earlier runs
    Runs(RunsArgs),
    /// Show the keys that could not be loaded, and why
    Rejects(RejectsArgs),
    /// Show and check the settings, list the presets
    Config(ConfigArgs),
    /// See how it works: made-up documents, moved between throw-away servers of its own
    Demo(Box<DemoArgs>),
}

impl Command {
    /// The settings given as flags.
    pub fn flags(&self) -> &FlagValues {
        match self {
            Self::Run(args) => &args.settings.values,
            Self::Validate(args) => &args.settings.values,
            Self::Cleanup(args) => &args.settings.values,
            Self::Rollback(args) => &args.settings.values,
            Self::Backup(args) => &args.settings.values,
            Self::Restore(args) => &args.settings.values,
            Self::Runs(args) => args.flags(),
            Self::Rejects(args) => args.flags(),
            Self::Config(args) => args.flags(),
            Self::Demo(_) => {
                static NONE: FlagValues = FlagValues { config: None, values: std::collections::BTreeMap::new() };
                &NONE
            }
        }
    }
}

/// Why parsing ended: help or version were asked for, or a usage error.
#[derive(Debug)]
pub struct ParseEnd {
    /// What to print; passwords in URLs are hidden, whatever was typed.
    pub text: String,
    /// To stdout (help, version) or to stderr.
    pub to_stdout: bool,
    /// What to exit with.
    pub exit: Exit,
}

/// Reads the command line; the first argument is the program's name.
///
/// # Errors
/// Help, version or a usage error, ready to print.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, ParseEnd> {
    Cli::try_parse_from(args).map_err(|error| {
        let to_stdout = !error.use_stderr();
        let text = error.render().to_string();
        // Help holds nothing that was typed, and its examples of URLs are to be read.
        let text = if to_stdout { text } else { scrub(&text).into_owned() };
        ParseEnd { text, to_stdout, exit: if to_stdout { Exit::Done } else { Exit::Usage } }
    })
}

#[cfg(test)]
mod tests {
    use super::{Cli, Command, parse};
    use crate::config::Raw;
    use crate::model::Exit;
    use clap::CommandFactory;

    fn args(line: &str) -> Vec<std::ffi::OsString> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_settings() {
        let Ok(cli) = parse(args("redis2pg run --from redis://h --dry-run --yes=false --skip a --skip b,c")) else {
            panic!("it parses")
        };
        let values = &cli.command.flags().values;
        assert!(matches!(cli.command, Command::Run(_)));
        assert_eq!(values.get("source.url"), Some(&Raw::Text("redis://h".into())));
        assert_eq!(values.get("run.dry_run"), Some(&Raw::Text("true".into())));
        assert_eq!(values.get("run.yes"), Some(&Raw::Text("false".into())));
        assert_eq!(values.get("phases.skip"), Some(&Raw::Text("a,b,c".into())));
        assert_eq!(values.len(), 4);
    }

    #[test]
    fn a_usage_error_exits_with_2_and_hides_passwords() {
        for line in ["redis2pg run redis://u:hunter2@h", "redis2pg run --form redis://u:hunter2@h", "redis2pg"] {
            let Err(end) = parse(args(line)) else { panic!("{line} is refused") };
            assert_eq!((end.exit, end.to_stdout), (Exit::Usage, false), "{line}");
            assert!(!end.text.contains("hunter2"), "{}", end.text);
        }
        let Err(end) = parse(args("redis2pg run --help")) else { panic!("help ends parsing") };
        assert_eq!((end.exit, end.to_stdout), (Exit::Done, true));
        assert!(end.text.contains("redis://[user[:password]@]host"), "{}", end.text);
        let archive = end.text.split("\nArchive:\n").nth(1).expect("a heading of its own");
        assert!(archive.trim_start().starts_with("--archive-table"), "{archive}");
        assert!(end.text.contains("Exit codes") && end.text.contains("--max-keys-per-second"), "{}", end.text);
    }
}
