//! Backups that are put back: each key as it was, none over another, whatever comes in between; and files that are damaged.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod damaged;
mod data;
mod databases;
mod existing;
mod killed;
mod made;
mod played;
mod redis;
mod refused;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod tls;
mod types;

use redis::Redis;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Case, Ended};
use tempfile::TempDir;

/// A Redis database of the test's own, and a directory for its files.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) dir: TempDir,
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

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        Ended::of(&self.command(args).output().unwrap())
    }

    /// Backs the database up.
    #[track_caller]
    pub(crate) fn backup(&self) -> Ended {
        let file = self.file();
        self.run(&["backup", "--json", "--from", &self.url, "--file", file.to_str().unwrap()]).exits(0)
    }

    /// `restore` of the file into the database.
    pub(crate) fn restore(&self, args: &[&str]) -> Ended {
        self.restore_from(&self.file(), &self.url, args)
    }

    /// `restore` of a file into a Redis.
    pub(crate) fn restore_from(&self, file: &Path, to: &str, args: &[&str]) -> Ended {
        let head = ["restore", "--json", "--file", file.to_str().unwrap(), "--to", to];
        self.run(&[&head, args].concat())
    }

    /// `restore --list`.
    pub(crate) fn list(&self, args: &[&str]) -> Ended {
        let file = self.file();
        self.run(&[&["restore", "--list", "--json", "--file", file.to_str().unwrap()], args].concat())
    }
}
