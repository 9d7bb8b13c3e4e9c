//! Backups: what is in the file, and what becomes of it when Redis, the disk or the process ends in between.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod before_run;
mod ended;
mod fields;
mod large;
mod live;
mod modules;
mod rights;
#[path = "../support/mod.rs"]
mod support;
mod types;
mod void;

use redis2pg::backup::{Entry, Reader, verify};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{Case, Client, Ended, Entries, entries_of};
use tempfile::TempDir;

/// A Redis database of the test's own, and no PostgreSQL.
pub(crate) fn case() -> Case {
    Case::with_ends(&support::redis_database(), "")
}

/// A backup that has ended.
pub(crate) struct Done {
    ended: Ended,
    pub(crate) file: PathBuf,
    // It goes with the last who looks at the file.
    _dir: TempDir,
}

impl Deref for Done {
    type Target = Ended;

    fn deref(&self) -> &Ended {
        &self.ended
    }
}

impl Done {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        Self { ended: self.ended.exits(code), ..self }
    }

    /// The file, whole, and its entries by database and key.
    #[track_caller]
    pub(crate) fn entries(&self) -> Entries {
        let summary = verify(Reader::open(&self.file).unwrap(), |_| ()).unwrap();
        assert!(summary.complete);
        let entries = entries_of(&self.file);
        assert_eq!(summary.keys.total(), self.count("kept"));
        entries
    }

    /// The only entry of a key.
    #[track_caller]
    pub(crate) fn entry(&self, key: &str) -> Entry {
        let mut entries = self.entries();
        let of_key: Vec<_> = entries.extract_if(.., |(_, name), _| name == key).flat_map(|(_, parts)| parts).collect();
        let [entry] = <[Entry; 1]>::try_from(of_key).unwrap_or_else(|of_key| panic!("{key}: {} entries", of_key.len()));
        entry
    }
}

/// `backup` of a database into a directory of its own.
pub(crate) fn command(case: &Case, file: &Path, args: &[&str]) -> Command {
    let mut command = case.command();
    command.args(["backup", "--json", "--from", &case.source, "--file"]).arg(file).args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Backs up and waits for the end.
pub(crate) fn backup(case: &Case, args: &[&str]) -> Done {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.backup");
    let output = command(case, &file, args).output().unwrap();
    Done { ended: Ended::of(&output), file, _dir: dir }
}

/// Sets so many strings of 100 bytes and a bit.
pub(crate) fn fill(redis: &mut Client, count: usize) -> BTreeMap<String, String> {
    let pairs: Vec<_> = (0..count).map(|n| (format!("key:{n:06}"), format!("{n:0>100}"))).collect();
    redis.set_many(&pairs);
    pairs.into_iter().collect()
}

/// Puts a dump under another key.
pub(crate) fn restore(redis: &mut Client, key: &str, dump: &[u8]) {
    assert_eq!(redis.answer(&[b"RESTORE", key.as_bytes(), b"0", dump, b"REPLACE"]), "+OK");
}
