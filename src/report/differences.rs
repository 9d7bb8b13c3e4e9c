//! Keys that are not equal, as JSON and as `differences.jsonl`. Uses `json_lines` and `rejects`.

use super::json_lines::JsonLines;
use super::rejects::key_json;
use crate::model::Discrepancy;
use serde_json::{Value, json};
use std::io;
use std::path::Path;

/// A key that is not equal, as it stands in `report.json` and in the file.
pub(super) fn discrepancy_json(mapping: &str, found: &Discrepancy) -> Value {
    let mut object = key_json("key", found.key.as_bytes());
    object.insert("mapping".to_owned(), mapping.into());
    object.insert("database".to_owned(), found.database.into());
    object.insert("class".to_owned(), found.class.name().into());
    object.insert("element".to_owned(), found.element.clone().into());
    object.insert("detail".to_owned(), found.detail.clone().into());
    object.insert("columns".to_owned(), found.columns.clone().into());
    object.insert("values".to_owned(), json!(found.values));
    object.into()
}

/// Writes `differences.jsonl`, a key that is not equal a line; it appears under its name with [`DifferencesFile::finish`].
#[derive(Debug)]
pub struct DifferencesFile {
    lines: JsonLines,
}

impl DifferencesFile {
    /// Begins the file in `dir`, which is created (mode 0700) where it is missing. The file has mode 0600.
    ///
    /// # Errors
    /// Where the directory or the file cannot be created.
    pub fn create(dir: &Path) -> io::Result<Self> {
        Ok(Self { lines: JsonLines::create(dir, "differences.jsonl")? })
    }

    /// Adds one key.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, mapping: &str, found: &Discrepancy) -> io::Result<()> {
        self.lines.add(&discrepancy_json(mapping, found))
    }

    /// Gives the file its name, in the place of an older one.
    ///
    /// # Errors
    /// Where the file cannot be written or renamed.
    pub fn finish(self) -> io::Result<()> {
        self.lines.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::DifferencesFile;
    use crate::model::{Class, Discrepancy, MappingId, RedisKey};

    #[test]
    fn the_file_has_a_line_for_each_key() {
        let found = Discrepancy {
            mapping: MappingId(0),
            database: 2,
            key: RedisKey::new("d:1"),
            class: Class::Missing,
            element: Some("element 3".into()),
            detail: String::new(),
            columns: Vec::new(),
            values: Vec::new(),
        };
        let dir = tempfile::tempdir().unwrap();
        let mut file = DifferencesFile::create(dir.path()).unwrap();
        file.write("documents", &found).unwrap();
        file.finish().unwrap();
        let text = std::fs::read_to_string(dir.path().join("differences.jsonl")).unwrap();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["key"], &line["class"], &line["database"]), (&"d:1".into(), &"missing".into(), &2.into()));
        assert_eq!((&line["mapping"], &line["element"]), (&"documents".into(), &"element 3".into()));
    }
}
