//! The file `kept.jsonl`: each key that stayed, and why.

use crate::model::KeptKey;
use crate::report::json_lines::JsonLines;
use crate::report::rejects::key_json;
use serde_json::Value;
use std::io;
use std::path::Path;

pub(super) fn kept_key_json(kept: &KeptKey) -> Value {
    let mut object = key_json("key", kept.key.as_bytes());
    object.insert("mapping".to_owned(), kept.mapping.clone().into());
    object.insert("database".to_owned(), kept.database.into());
    object.insert("reason".to_owned(), kept.reason.into());
    object.insert("detail".to_owned(), kept.detail.clone().into());
    object.into()
}

/// Writes `kept.jsonl`, a key that stayed a line; it appears under its name with [`KeptKeysFile::finish`].
#[derive(Debug)]
pub struct KeptKeysFile {
    lines: JsonLines,
}

impl KeptKeysFile {
    /// Begins the file in `dir`, which is created (mode 0700) where it is missing. The file has mode 0600.
    ///
    /// # Errors
    /// Where the directory or the file cannot be created.
    pub fn create(dir: &Path) -> io::Result<Self> {
        Ok(Self { lines: JsonLines::create(dir, "kept.jsonl")? })
    }

    /// Adds one key.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, kept: &KeptKey) -> io::Result<()> {
        self.lines.add(&kept_key_json(kept))
    }

    /// Gives the file its name, in the place of an older one.
    ///
    /// # Errors
    /// Where the file cannot be written or renamed.
    pub fn finish(self) -> io::Result<()> {
        self.lines.finish()
    }
}
