//! The settings as flags: made from the table of keys, so that every setting has one. Uses `config` and clap.

use crate::config::{FlagValues, KEYS, Key, Raw};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::PathBuf;

/// Which settings a subcommand takes as flags.
pub trait Scope {
    /// Whether this one.
    fn takes(key: &Key) -> bool;
}

/// Every setting.
#[derive(Clone, Debug)]
pub struct Everything;

impl Scope for Everything {
    fn takes(_: &Key) -> bool {
        true
    }
}

/// The PostgreSQL connection and the log: what commands on the ledger need.
#[derive(Clone, Debug)]
pub struct Ledger;

impl Scope for Ledger {
    fn takes(key: &Key) -> bool {
        matches!(key.path, "target.url" | "target.password_file" | "target.lock_timeout" | "target.statement_timeout")
            || key.section == "log" && key.name != "progress"
    }
}

/// What a rollback needs: the PostgreSQL connection, how patient it is, and how it is asked for.
#[derive(Clone, Debug)]
pub struct Undoing;

impl Scope for Undoing {
    fn takes(key: &Key) -> bool {
        Ledger::takes(key)
            || matches!(key.path, "target.retry_deadline" | "flow.lease" | "run.dry_run" | "run.yes" | "run.report")
    }
}

/// Whether a setting matters where rows are loaded alone.
fn is_of_load(key: &Key) -> bool {
    matches!(
        key.path,
        "run.sample_rows"
            | "run.resume"
            | "run.backup"
            | "run.delete_gone"
            | "run.delete_expired"
            | "cleanup.after_run"
    )
}

/// What a validation takes: all but what only a load or a cleanup knows. It writes nothing that a dry run would not, and asks nothing. Its warning
/// goes by how many rows a load may delete.
#[derive(Clone, Debug)]
pub struct Comparing;

impl Scope for Comparing {
    fn takes(key: &Key) -> bool {
        !is_of_load(key)
            && !matches!(key.section, "cleanup" | "backup")
            && !matches!(key.path, "run.dry_run" | "run.yes" | "target.staging" | "target.compression")
    }
}

/// What a cleanup takes: all but what only a load knows.
#[derive(Clone, Debug)]
pub struct Cleaning;

impl Scope for Cleaning {
    fn takes(key: &Key) -> bool {
        // `--backup FILE` is the command's own; how many rows may go is no matter of keys.
        !is_of_load(key)
            && (!matches!(key.section, "errors" | "validation" | "backup") || key.path == "validation.ttl_tolerance")
            && !matches!(key.path, "cleanup.backup" | "run.delete_gone_limit")
    }
}

/// What a backup needs: Redis, which keys, and how fast.
#[derive(Clone, Debug)]
pub struct BackingUp;

impl Scope for BackingUp {
    fn takes(key: &Key) -> bool {
        let flow = ["flow.memory", "flow.max_keys_per_second", "flow.max_bytes_per_second"];
        key.section == "source"
            || flow.contains(&key.path)
            || matches!(key.path, "run.keys" | "run.keys_from" | "run.allow_empty")
            || key.section == "log" && key.name != "progress"
    }
}

/// What a restore needs: the Redis that it writes, which keys, how fast, and how it is asked for. `--to` names the Redis.
#[derive(Clone, Debug)]
pub struct Restoring;

impl Scope for Restoring {
    fn takes(key: &Key) -> bool {
        let not_here = ["source.url", "source.database", "source.scan_count", "source.cluster_name"];
        key.section == "source" && !not_here.contains(&key.path)
            || matches!(key.path, "flow.max_keys_per_second" | "flow.max_bytes_per_second")
            || matches!(key.path, "run.keys" | "run.dry_run" | "run.yes" | "run.report" | "run.allow_empty")
            || key.section == "log" && key.name != "progress"
    }
}

/// The flags of a scope, and `--config`.
#[derive(Clone, Debug)]
pub struct SettingFlags<S> {
    /// What was given.
    pub values: FlagValues,
    scope: PhantomData<S>,
}

impl<S: Scope> SettingFlags<S> {
    fn args() -> impl Iterator<Item = Arg> {
        KEYS.iter().filter(|key| !key.flag.is_empty() && S::takes(key)).map(arg)
    }
}

impl<S: Scope> Args for SettingFlags<S> {
    fn augment_args(command: Command) -> Command {
        let config =
            Arg::new("config").long("config").value_name("FILE").value_parser(clap::value_parser!(PathBuf)).help(
                "Configuration file (TOML); `config show --defaults` prints one to start from [env: REDIS2PG_CONFIG]",
            );
        command.arg(config).args(Self::args())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<S: Scope> FromArgMatches for SettingFlags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut values = BTreeMap::new();
        for key in KEYS.iter().filter(|key| !key.flag.is_empty() && S::takes(key)) {
            let given = matches
                .try_get_many::<String>(key.path)
                .map_err(|error| clap::Error::raw(ErrorKind::UnknownArgument, error.to_string()))?;
            if let Some(given) = given {
                let given: Vec<&str> = given.map(String::as_str).collect();
                values.insert(key.path, Raw::Text(given.join(",")));
            }
        }
        let config = matches.get_one::<PathBuf>("config").cloned();
        Ok(Self { values: FlagValues { config, values }, scope: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of one setting. Its value is checked with all the other layers, never by clap, which would quote it.
fn arg(key: &'static Key) -> Arg {
    let default = if key.default.is_empty() { String::new() } else { format!(" [default: {}]", key.default) };
    let env = key.short_env().unwrap_or_else(|| key.env());
    let arg = Arg::new(key.path)
        .long(key.flag)
        .help(format!("{}{default} [env: {env}]", key.summary()))
        .help_heading(heading(key.section))
        .value_name(key.kind);
    match key.kind {
        "BOOL" => arg.num_args(0..=1).require_equals(true).default_missing_value("true").action(ArgAction::Set),
        "NAME,…" => arg.action(ArgAction::Append),
        _ => arg.action(ArgAction::Set).allow_hyphen_values(true),
    }
}

fn heading(section: &str) -> &'static str {
    match section {
        "source" => "Redis",
        "target" => "PostgreSQL",
        "flow" => "Memory and speed",
        "errors" => "Rejects",
        "phases" | "run" => "What to run",
        "validation" => "Validation",
        "cleanup" => "Cleanup",
        "archive" => "Archive",
        _ => "Log and progress",
    }
}
