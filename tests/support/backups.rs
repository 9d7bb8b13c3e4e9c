//! Backup files, read and made by hand; and what a command came to that is told as JSON.

use redis2pg::backup::{Entry, Found, Header, Reader, Writer, encode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

/// What a command came to that prints one JSON document.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) json: Value,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        Self {
            code: output.status.code().unwrap_or(-1),
            json: serde_json::from_str(&stdout).unwrap_or_default(),
            stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails the test unless it ended so.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stderr, self.stdout);
        self
    }

    /// A number of the account.
    #[track_caller]
    pub(crate) fn count(&self, name: &str) -> u64 {
        let number = self.json[name].as_u64();
        assert!(number.is_some(), "no {name}: {}\n{}", self.stdout, self.stderr);
        number.unwrap_or_default()
    }

    /// Keys that were kept or failed for a reason.
    pub(crate) fn reason(&self, kind: &str, reason: &str) -> u64 {
        self.json[kind][reason].as_u64().unwrap_or(0)
    }
}

/// The entries of a file by database and key, a key's parts one behind the other.
pub(crate) type Entries = BTreeMap<(u8, String), Vec<Entry>>;

/// The entries of a whole file.
pub(crate) fn entries_of(file: &Path) -> Entries {
    let (mut reader, mut entries) = (Reader::open(file).expect("a backup"), Entries::new());
    while let Some(found) = reader.read().expect("a whole piece") {
        put(found, &mut entries);
    }
    entries
}

/// What can be had of a file that is not whole; nothing where there is no such file.
pub(crate) fn salvaged_of(file: &Path) -> Entries {
    let mut entries = Entries::new();
    let Ok(mut reader) = Reader::open_damaged(file) else { return entries };
    while let Ok(Some(found)) = reader.read() {
        put(found, &mut entries);
    }
    entries
}

fn put(found: Found, entries: &mut Entries) {
    if let Found::Entry { entry, .. } = found {
        entries.entry((entry.database, entry.key.to_string())).or_default().push(entry);
    }
}

/// Writes a file with these entries.
pub(crate) fn made(file: &Path, header: &Header, entries: &[Entry]) {
    let mut writer = Writer::create(file, header).expect("begin a backup");
    for block in encode(entries).expect("entries of a bearable size") {
        writer.append(&block).expect("write a block");
    }
    writer.finish().expect("end a backup");
}
