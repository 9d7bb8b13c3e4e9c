//! `redis2pg run`: its arguments and its help.

use super::flags::{Everything, SettingFlags};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct RunArgs {
    /// All settings.
    #[command(flatten)]
    pub settings: SettingFlags<Everything>,
    /// Print the report as one JSON document to stdout
    #[arg(long)]
    pub json: bool,
}

const HELP: &str = "\
Examples:
  Look first, write nothing:
    redis2pg run --from redis://cache:6379/0 --to postgres://me@db/app --preset contract-reviewer --dry-run
  A trial on a part:
    redis2pg run … --limit 1000 --keys 'document:a*'
  Overnight, unattended, gently, with a report:
    redis2pg run --config night.toml --yes --max-keys-per-second 5000 --report /var/log/redis2pg
  With a backup of Redis before the first write:
    redis2pg run … --backup /var/backups/redis2pg
  A second run, which also deletes rows whose keys were deleted since:
    redis2pg run … --delete-gone
  It was interrupted; go on where it stopped:
    redis2pg run … --resume

Passwords: in REDIS2PG_SOURCE_PASSWORD and REDIS2PG_TARGET_PASSWORD, in a file (--source-password-file, \
--target-password-file), in ~/.pgpass, or in the URL.

Exit codes:
  0  done
  1  an error in redis2pg itself
  2  usage, settings, a missing right, table or column, another run at work, no matching key at all, keys that no \
     mapping takes with --unmatched error, or more rows to delete than --delete-gone-limit allows
  3  done, with rejects: `redis2pg rejects list` says why, `redis2pg rejects retry` takes them once more
  4  all is loaded, and the validation at the end found rows that are missing, different or orphaned
  5  Redis failed
  6  PostgreSQL failed (unreachable, read-only, disk full)
  7  stopped before the end (signal, too many rejects); --resume goes on";
