//! A file of JSON, an object a line, that has its name only once it is whole. Uses `files`.

use super::files::make_dir;
use serde_json::Value;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The file while it is written, under another name in the same directory; it goes with the value that is dropped before
/// [`JsonLines::finish`].
#[derive(Debug)]
pub struct JsonLines {
    out: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl JsonLines {
    /// Begins the file `name` in `dir`, which is created (mode 0700) where it is missing. The file has mode 0600.
    ///
    /// # Errors
    /// Where the directory or the file cannot be created.
    pub fn create(dir: &Path, name: &str) -> io::Result<Self> {
        make_dir(dir)?;
        Ok(Self { out: BufWriter::new(NamedTempFile::new_in(dir)?), path: dir.join(name) })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn add(&mut self, line: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
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

/// Lines that are JSON already.
impl Write for JsonLines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.out.write(lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
