//! Every setting of this version: its type, default, names and reason, in one table. Uses `value`, `layers`.

use super::choice::{Compression, LogFormat, LogLevel, Progress, Staging, UnmatchedKeys};
use super::delete_limit::DeleteLimit;
use super::keys::Key;
use super::layers::{Layers, MappingTable, Origin};
use super::max_rejects::MaxRejects;
use super::percent::Percent;
use super::secret::{Secret, SecretUrl};
use super::units::{ByteSize, Span};
use super::value::SettingValue;
use crate::model::Finding;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Declares the sections: a struct for each, the table of keys, and how both are filled and shown.
///
/// `name: Type = "default", "flag", check;` where an empty default means "not set" and an empty flag "no flag".
macro_rules! sections {
    ($($(#[doc = $sdoc:literal])+ $Section:ident $section:ident {
        $($(#[doc = $doc:literal])+ $name:ident: $ty:ty = $default:literal, $flag:literal, $check:expr;)+
    })+) => {
        $(
            $(#[doc = $sdoc])+
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section { $($(#[doc = $doc])+ pub $name: $ty),+ }

            impl $Section {
                fn build(layers: &Layers, findings: &mut Vec<Finding>) -> Self {
                    Self { $($name: layers.read(
                        concat!(stringify!($section), ".", stringify!($name)), $check, findings)),+ }
                }

                fn show(&self) -> Vec<(&'static str, Value)> {
                    vec![$((concat!(stringify!($section), ".", stringify!($name)), self.$name.show())),+]
                }
            }
        )+

        /// Every setting, in the order of the file.
        pub static KEYS: &[Key] = &[$($(Key {
            path: concat!(stringify!($section), ".", stringify!($name)),
            section: stringify!($section),
            name: stringify!($name),
            flag: $flag,
            default: $default,
            kind: <$ty as SettingValue>::KIND,
            doc: concat!($($doc, "\n"),+),
        },)+)+];

        /// Every section, in the order of the file, with what it is for.
        pub static SECTIONS: &[(&str, &str)] = &[$((stringify!($section), concat!($($sdoc, "\n"),+))),+];

        /// All settings of a run, checked.
        #[derive(Clone, Debug)]
        pub struct Settings {
            $($(#[doc = $sdoc])+ pub $section: $Section,)+
            /// The mappings: the preset's, with those of the file over them. Not understood here.
            pub mappings: Vec<MappingTable>,
            /// Where each setting's value came from, by `section.name`.
            pub origins: BTreeMap<&'static str, Origin>,
        }

        impl Settings {
            /// Builds every section; what is wrong goes to `findings`.
            pub(super) fn build(layers: Layers, findings: &mut Vec<Finding>) -> Self {
                $(let $section = $Section::build(&layers, findings);)+
                let origins = layers.origins();
                Self { $($section,)+ mappings: layers.mappings, origins }
            }

            /// Every setting by `section.name` with its value for people and reports: without secrets.
            pub fn shown(&self) -> Vec<(&'static str, Value)> {
                let mut all = Vec::with_capacity(KEYS.len());
                $(all.extend(self.$section.show());)+
                all
            }
        }
    };
}

/// No further check.
fn any<T>(_: &T) -> Result<(), String> {
    Ok(())
}

fn between(low: u64, high: u64) -> impl Fn(&u64) -> Result<(), String> {
    move |value| match *value {
        value if value < low || value > high => Err(format!("{value} is outside {low} to {high}")),
        _ => Ok(()),
    }
}

fn size_from(low: u64) -> impl Fn(&ByteSize) -> Result<(), String> {
    move |value| match value.0 {
        bytes if bytes < low => Err(format!("{value} is too small; at least {}", ByteSize(low))),
        _ => Ok(()),
    }
}

fn positive(value: &Span) -> Result<(), String> {
    if value.0.is_zero() { Err("must be longer than 0".to_owned()) } else { Ok(()) }
}

fn lease_length(value: &Span) -> Result<(), String> {
    let seconds = value.0.as_secs();
    if (2..=3600).contains(&seconds) { Ok(()) } else { Err(format!("{value} is outside 2s to 1h")) }
}

fn limit_of_one(value: &Option<u64>) -> Result<(), String> {
    if *value == Some(0) { Err("0 keys is no run; leave it out for no limit".to_owned()) } else { Ok(()) }
}

fn qualified() -> impl Fn(&String) -> Result<(), String> {
    |name| match name.split_once('.') {
        Some((schema, table)) if !schema.is_empty() && !table.is_empty() => Ok(()),
        _ => Err(format!("\"{name}\" is not of the form schema.table")),
    }
}

fn scheme(url: &Option<SecretUrl>, taken: &[&str], refused: &[&str]) -> Result<(), String> {
    match url {
        Some(url) if !taken.contains(&url.scheme()) && !refused.contains(&url.scheme()) => {
            Err(format!("is not a URL of a kind known here; write {}://", taken.join("://, ")))
        }
        _ => Ok(()),
    }
}

fn redis_scheme(url: &Option<SecretUrl>) -> Result<(), String> {
    let taken = ["redis", "rediss", "redis+unix", "redis-cluster", "rediss-cluster"];
    // Why these are refused is said later, by what knows servers.
    scheme(url, &taken, &["redis-sentinel", "rediss-sentinel"])
}

fn postgres_scheme(url: &Option<SecretUrl>) -> Result<(), String> {
    scheme(url, &["postgres", "postgresql"], &[])
}

sections! {
    /// The Redis end.
    Source source {
        /// Redis: redis://[user[:password]@]host[:port][/database], rediss:// for TLS, redis+unix:///path/to/socket; a
        /// Redis Cluster: redis-cluster://[user[:password]@]host[:port][,host[:port]…], rediss-cluster:// for TLS.
        /// REDIS_URL is asked when nothing else names it.
        url: Option<SecretUrl> = "", "from", redis_scheme;
        /// User name, over the one in the URL.
        username: Option<String> = "", "source-username", any;
        /// Password, over the one in the URL. No flag: a command line can be read by everybody on the machine.
        password: Option<Secret> = "", "", any;
        /// File that holds the password; one line break at its end is left out.
        password_file: Option<PathBuf> = "", "source-password-file", any;
        /// Logical database, over the one in the URL.
        database: Option<u32> = "", "source-database", any;
        /// How long one attempt to connect may take. Enough for a TLS handshake with a busy server far away.
        connect_timeout: Span = "10s", "connect-timeout", positive;
        /// How long Redis may take to answer one command. Long, since a page of large values on a slow line is no failure.
        command_timeout: Span = "30s", "command-timeout", positive;
        /// How often a lost connection is tried again before the run ends with exit 5. Pauses grow, so that
        /// ten attempts are meant to outlast a restart or a failover.
        reconnect_attempts: u64 = "10", "reconnect-attempts", between(0, 10_000);
        /// How long a Redis that answers LOADING, since it still reads its data from disk, is waited for before the run
        /// ends with exit 5. That takes the longer the more it holds: minutes for tens of gigabytes.
        loading_timeout: Span = "10m", "loading-timeout", any;
        /// COUNT of each SCAN. Redis serves nobody else while it answers one: large enough to need few round trips, small
        /// enough not to be noticed.
        scan_count: u64 = "1000", "scan-count", between(1, 100_000);
        /// PEM file of the authority that signed the server's certificate, instead of the system's store.
        ca_file: Option<PathBuf> = "", "source-ca-file", any;
        /// What --resume knows a Redis Cluster by, since its nodes come and go. Without it the first host and port in
        /// source.url.
        cluster_name: Option<String> = "", "cluster-name", any;
    }
    /// The PostgreSQL end.
    Target target {
        /// PostgreSQL: postgres://user[:password]@host[:port]/database[?sslmode=verify-full&sslrootcert=…].
        /// DATABASE_URL is asked when nothing else names it.
        url: Option<SecretUrl> = "", "to", postgres_scheme;
        /// Password, over the one in the URL and ~/.pgpass. No flag: a command line can be read by everybody.
        password: Option<Secret> = "", "", any;
        /// File that holds the password; one line break at its end is left out.
        password_file: Option<PathBuf> = "", "target-password-file", any;
        /// How long a statement waits for a lock. Short: the application that uses the tables comes first.
        lock_timeout: Span = "10s", "lock-timeout", any;
        /// How long one statement may run; 0 for no limit. A batch is small: five minutes mean that something
        /// hangs.
        statement_timeout: Span = "5m", "statement-timeout", any;
        /// Compression of large values that are loaded. lz4 loads a tenth to a fifth faster; the server must have
        /// it.
        compression: Compression = "default", "compression", any;
        /// auto copies straight into a table that was empty at the start; always goes through a staging table.
        staging: Staging = "auto", "staging", any;
        /// Create the tables of the preset, of mappings with `create`, and the archive's, where they are missing, and their
        /// schemas. What exists is never altered.
        create_schema: bool = "true", "create-schema", any;
        /// How long one batch is tried again before the run ends with exit 6. Outlasts a restart of the server.
        retry_deadline: Span = "2m", "retry-deadline", positive;
    }
    /// How much at once, and how fast.
    Flow flow {
        /// Bytes in flight between reading and COMMIT. The process itself comes on top of it.
        memory: ByteSize = "64MiB", "memory", size_from(1 << 20);
        /// Rows in a batch at most. 3,500 to 5,000 were the fastest; 2,000 wait for commits, 8,000 for being filled.
        batch_rows: u64 = "3500", "batch-rows", between(1, 1_000_000);
        /// Bytes in a batch at most. A quarter of the memory, so that one batch fills while others are written; where it
        /// is not set, it shrinks with the memory.
        batch_bytes: ByteSize = "16MiB", "batch-bytes", size_from(64 << 10);
        /// How long a batch may wait to be filled. Two seconds keep a slow stream visible in the target.
        batch_age: Span = "2s", "batch-age", positive;
        /// Connections that write at the same time. Two are faster than one; a third gains nothing on two cores.
        writers: u64 = "2", "writers", between(1, 64);
        /// Keys of later phases that are kept aside on disk during the first scan; beyond it, or with 0, Redis is
        /// scanned again for each phase.
        spill_limit: ByteSize = "256MiB", "spill-limit", any;
        /// Keys read from Redis in a second at most; 0 for no limit.
        max_keys_per_second: u64 = "0", "max-keys-per-second", between(0, 4_000_000_000);
        /// Bytes read from Redis in a second at most; 0 for no limit.
        max_bytes_per_second: ByteSize = "0", "max-bytes-per-second", any;
        /// How long a run that died keeps others from the same target. Renewed at a third of it.
        lease: Span = "15s", "lease", lease_length;
    }
    /// What happens to records that cannot be loaded.
    Errors errors {
        /// More rejects than this stop the run, resumable, with exit 7: a number such as 100, or a share such as 5% of the
        /// keys that have an outcome, judged from 1,000 keys on and at the end of each phase; 0 for no limit.
        max_rejects: MaxRejects = "0", "max-rejects", any;
        /// Go on after a reject; false stops the run at the first one, resumable, with exit 7.
        continue_on_error: bool = "true", "continue-on-error", any;
        /// Bytes of a rejected value that are kept with the reject. Enough to see what is wrong; values can be huge.
        value_cap: ByteSize = "64KiB", "value-cap", any;
    }
    /// Which parts run.
    Phases phases {
        /// Mappings that are switched off, by name; as a flag or a variable sessions,analyses, in a file ["sessions", "analyses"].
        skip: Vec<String> = "", "skip", any;
    }
    /// What one run does.
    Run run {
        /// A ready-made set of mappings; `redis2pg config presets` lists them.
        preset: Option<String> = "", "preset", any;
        /// Keys to take at most of each mapping in each database, for a trial on a part.
        limit: Option<u64> = "", "limit", limit_of_one;
        /// Only keys that match this glob pattern, such as document:a*.
        keys: Option<String> = "", "keys", any;
        /// Only the keys in this file, one a line.
        keys_from: Option<PathBuf> = "", "keys-from", any;
        /// Read, check and count, and write nothing anywhere.
        dry_run: bool = "false", "dry-run", any;
        /// Rows that a dry run shows of each mapping.
        sample_rows: u64 = "3", "sample-rows", between(0, 1_000);
        /// Go on where an earlier run with the same source, target and mappings stopped.
        resume: bool = "false", "resume", any;
        /// Directory for the report's files; those of a run are report.json, summary.txt and rejects.jsonl.
        report: Option<PathBuf> = "", "report", any;
        /// Directory for a backup of Redis, made before the first write; a dry run and a retry make none.
        backup: Option<PathBuf> = "", "backup", any;
        /// No matching key at all is a success, not exit 2.
        allow_empty: bool = "false", "allow-empty", any;
        /// Keys that no mapping takes: ignore counts them; error ends the run with exit 2 once all others are loaded, where
        /// those that `exclude` names, or a mapping that is switched off, do not count; archive keeps them in archive.table.
        unmatched: UnmatchedKeys = "ignore", "unmatched", any;
        /// After a complete run, delete rows of this tool whose key is gone from Redis and that nobody changed since; the
        /// rows of keys that expired stay.
        delete_gone: bool = "false", "delete-gone", any;
        /// With run.delete_gone: delete the rows of keys that expired as well, and those of which nothing tells whether
        /// they did.
        delete_expired: bool = "false", "delete-expired", any;
        /// Where more rows than this would be deleted by run.delete_gone, none is, and the run ends with exit 2: a number, or
        /// a share of the rows of this tool: 0 lets none go, 100% all. A Redis that was emptied must not empty the tables.
        delete_gone_limit: DeleteLimit = "50%", "delete-gone-limit", any;
        /// Answer yes to every question, for unattended runs.
        yes: bool = "false", "yes", any;
    }
    /// How rows are compared with Redis, by `validate` and at the end of a run.
    Validation validation {
        /// Validate at the end of a run, but for dry runs, retries and what was stopped; differences end it with exit 4.
        after_run: bool = "true", "validate-after-run", any;
        /// Compare the rows, column by column.
        content: bool = "true", "validate-content", any;
        /// Look whether the rows that others refer to are there.
        relationships: bool = "true", "validate-relationships", any;
        /// The share of keys that is looked at, such as 5%, by a hash of the key: the same ones every time.
        sample: Percent = "100%", "sample", any;
        /// Whatever is not equal ends it with exit 4, but for known rejects: what is stale, newer, extra or expired too.
        strict: bool = "false", "strict", any;
        /// How often a key is read before it is told that it is not equal: a cache that is alive changes meanwhile.
        rounds: u64 = "3", "validate-rounds", between(1, 20);
        /// By how much a time of expiry may be off: a TTL is measured, not stored.
        ttl_tolerance: Span = "1s", "ttl-tolerance", any;
    }
    /// Deleting keys from Redis whose rows are equal, by `cleanup` and at the end of a run.
    Cleanup cleanup {
        /// Keys deleted in a second at most; 0 for no limit. 20,000 take a tenth to a fifth of one server's time: an application
        /// that still reads there, replicas and the append-only file keep up.
        keys_per_second: u64 = "20000", "cleanup-keys-per-second", between(0, 4_000_000_000);
        /// File that each key is written to, and flushed, before it is deleted; it must not exist. {run} in it stands for the
        /// run's id.
        backup: Option<PathBuf> = "", "cleanup-backup", any;
        /// Clean up at the end of a run whose validation has passed; with run.yes, else it is told and not done.
        after_run: bool = "false", "cleanup-after-run", any;
        /// Mappings, by name, whose lists may go although their rows are known by places in the list: what is pushed afterwards
        /// begins at place 0 again, and the next run puts it into the rows of what was deleted.
        positional: Vec<String> = "", "cleanup-positional", any;
        /// Columns, as mapping.column, that need not give back what their values say: one that rounds keeps no key, and one with
        /// ignore_changes is not compared. What they do not have is lost with the keys.
        lossy: Vec<String> = "", "cleanup-lossy", any;
    }
    /// Where keys go that no mapping takes, with run.unmatched = "archive".
    Archive archive {
        /// The table, as schema.table. It is made where it is missing, unless target.create_schema is off.
        table: String = "public.redis_archive", "archive-table", qualified();
    }
    /// Log and progress, both on stderr.
    Log log {
        /// How much is logged.
        level: LogLevel = "info", "log-level", any;
        /// The form of a log line; auto is text on a terminal and JSON elsewhere.
        format: LogFormat = "auto", "log-format", any;
        /// File to log to instead of stderr; it is appended to. Notices that are shown on the way go into it as well.
        file: Option<PathBuf> = "", "log-file", any;
        /// How progress is shown; auto is bars on a terminal and a line every few seconds elsewhere.
        progress: Progress = "auto", "progress", any;
    }
}
