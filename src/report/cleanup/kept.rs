//! The file `kept.jsonl`: each key that stayed, and why.

use crate::model::KeptKey;
use crate::report::files::make_dir;
use crate::report::rejects::key_json;
use serde_json::Value;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

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
    out: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl KeptKeysFile {
    /// Begins the file in `dir`, which is created (mode 0700) where it is missing. The file has mode 0600.
    ///
    /// # Errors
    /// Where the directory or the file cannot be created.
    pub fn create(dir: &Path) -> io::Result<Self> {
        make_dir(dir)?;
        Ok(Self { out: BufWriter::new(NamedTempFile::new_in(dir)?), path: dir.join("kept.jsonl") })
    }

    /// Adds one key.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, kept: &KeptKey) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, &kept_key_json(kept))?;
        self.out.write_all(b"\n")
    }

    /// Gives the file its name, in the place of an older one.
    ///
    /// # Errors
    /// Where the file cannot be written or renamed.
    pub fn finish(self) -> io::Result<()> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}
