//! Backups that are put back: each key as it was, none over another, whatever comes in between; and files that are damaged.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "the seed of what failed is to be known")]

mod damaged;
mod data;
mod databases;
mod existing;
mod killed;
mod made;
mod redis;
mod refused;
#[path = "../support/mod.rs"]
mod support;
mod types;

use redis::Redis;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::Case;
use tempfile::TempDir;

/// A Redis database of the test's own, and a directory for its files.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) dir: TempDir,
}

/// What a command came to.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) json: Value,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stderr, self.stdout);
        self
    }

    /// A number of the account.
    #[track_caller]
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.json[name].as_u64().unwrap_or_else(|| panic!("no {name}: {}\n{}", self.stdout, self.stderr))
    }

    /// Keys that were kept or failed for a reason.
    pub(crate) fn reason(&self, kind: &str, reason: &str) -> u64 {
        self.json[kind][reason].as_u64().unwrap_or(0)
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::at(support::redis_database())
    }

    /// On a server of the test's own.
    pub(crate) fn at(url: String) -> Self {
        Self { url, dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn redis(&self) -> Redis {
        Redis::open(&self.url)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("cache.backup")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Case::with_ends(&self.url, "").command();
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        done(&self.command(args).output().unwrap())
    }

    /// Backs the database up.
    #[track_caller]
    pub(crate) fn backup(&self) -> Done {
        let file = self.file();
        self.run(&["backup", "--json", "--from", &self.url, "--file", file.to_str().unwrap()]).exits(0)
    }

    /// `restore` of the file into the database.
    pub(crate) fn restore(&self, args: &[&str]) -> Done {
        self.restore_from(&self.file(), &self.url, args)
    }

    /// `restore` of a file into a Redis.
    pub(crate) fn restore_from(&self, file: &Path, to: &str, args: &[&str]) -> Done {
        let head = ["restore", "--json", "--file", file.to_str().unwrap(), "--to", to];
        self.run(&[&head, args].concat())
    }

    /// `restore --list`.
    pub(crate) fn list(&self, args: &[&str]) -> Done {
        let file = self.file();
        self.run(&[&["restore", "--list", "--json", "--file", file.to_str().unwrap()], args].concat())
    }
}

/// What a command came to.
pub(crate) fn done(output: &std::process::Output) -> Done {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    Done {
        code: output.status.code().unwrap_or(-1),
        json: serde_json::from_str(&stdout).unwrap_or_default(),
        stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
