//! The files that generated documents name.

use super::Options;
use super::record::Generator;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// What [`write_files`] wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Writes the files of the first `count` documents below `root`: each at its document's `file_path`, of `file_size`
/// bytes, with contents that differ from file to file. Files that exist are written over.
///
/// # Errors
/// Where a folder or file can't be written.
pub fn write_files(root: &Path, options: &Options, count: u64) -> io::Result<Written> {
    let generator = Generator::new(options);
    let mut written = Written::default();
    for index in 0..count.min(options.documents) {
        let document = generator.document(index);
        fs::create_dir_all(root.join(&document.folder))?;
        let mut file = BufWriter::new(File::create(root.join(document.path()))?);
        let header = if document.filename.ends_with(".pdf") { "%PDF-1.4\n" } else { "" };
        let line = format!("{header}Contract {}, page by page, for a demonstration.\n", document.id);
        let mut left = usize::try_from(document.size).map_err(io::Error::other)?;
        while left > 0 {
            let part = line.as_bytes().get(..left.min(line.len())).unwrap_or_default();
            file.write_all(part)?;
            left -= part.len();
        }
        file.flush()?;
        written.files += 1;
        written.bytes += document.size;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_where_the_documents_say_and_as_long() {
        let root = tempfile::tempdir().unwrap();
        let options = Options::demo(3);
        let written = write_files(root.path(), &options, 9).unwrap();
        assert_eq!(written.files, 3);
        let generator = Generator::new(&options);
        let mut json = String::new();
        for index in 0..3 {
            generator.document_json(&generator.document(index), &mut json);
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            let file = fs::metadata(root.path().join(value["file_path"].as_str().unwrap())).unwrap();
            assert_eq!(file.len(), value["file_size"].as_u64().unwrap());
        }
    }
}
