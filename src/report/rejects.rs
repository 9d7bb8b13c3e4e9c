//! `rejects.jsonl`: one JSON object a reject. Uses `model`; writes one file.

use crate::model::{Reject, Withheld};
use serde_json::{Map, Value};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A reject as JSON. Keys and values that are not UTF-8 stand under `key_hex` and `value_hex`; a value beyond
/// `value_cap` bytes is cut, which `value_truncated` says. Of a value that was not kept, `withheld` tells size and hash.
pub fn reject_json(mapping: &str, reject: &Reject, withheld: Option<&Withheld>, value_cap: usize) -> Value {
    let mut object = Map::new();
    put_bytes(&mut object, "key", reject.key.as_bytes(), usize::MAX);
    object.insert("database".to_owned(), reject.database.into());
    for (name, text) in [("mapping", mapping), ("reason", &reject.reason), ("detail", &reject.detail)] {
        object.insert(name.to_owned(), text.into());
    }
    for (name, text) in [("path", &reject.path), ("column", &reject.column), ("sqlstate", &reject.sqlstate)] {
        object.insert(name.to_owned(), text.clone().into());
    }
    object.insert("redis_type".to_owned(), reject.redis_type.as_ref().into());
    match &reject.value {
        Some(value) => {
            object.insert("value_bytes".to_owned(), value.len().into());
            object.insert("value_truncated".to_owned(), (value.len() > value_cap).into());
            put_bytes(&mut object, "value", value, value_cap);
        }
        None => {
            object.insert("value".to_owned(), Value::Null);
            if let Some(withheld) = withheld.or(reject.withheld.as_ref()) {
                object.insert("value_bytes".to_owned(), withheld.bytes.into());
                object.insert("value_sha256".to_owned(), withheld.sha256.as_str().into());
            }
        }
    }
    object.into()
}

/// Puts at most `cap` bytes under `name`, or as hexadecimal under `name_hex`. Whole characters only.
fn put_bytes(object: &mut Map<String, Value>, name: &str, bytes: &[u8], cap: usize) {
    let cut = bytes.get(..cap).unwrap_or(bytes);
    let text = match std::str::from_utf8(cut) {
        Ok(text) => Some(text),
        // The cut may have split a character, of at most four bytes.
        Err(error) if cut.len() < bytes.len() && error.error_len().is_none() => {
            cut.get(..error.valid_up_to()).and_then(|valid| std::str::from_utf8(valid).ok())
        }
        Err(_) => None,
    };
    match text {
        Some(text) => object.insert(name.to_owned(), text.into()),
        None => {
            let hex = cut.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            object.insert(format!("{name}_hex"), hex.into())
        }
    };
}

/// Writes `rejects.jsonl` one reject at a time; it appears under its name with [`RejectsFile::finish`].
#[derive(Debug)]
pub struct RejectsFile {
    out: BufWriter<NamedTempFile>,
    path: PathBuf,
    value_cap: usize,
}

impl RejectsFile {
    /// Begins the file in `dir`, which is created (mode 0700) where it is missing. The file has mode 0600.
    ///
    /// # Errors
    /// Where the directory or the file cannot be created.
    pub fn create(dir: &Path, value_cap: u64) -> io::Result<Self> {
        super::files::make_dir(dir)?;
        let out = BufWriter::new(NamedTempFile::new_in(dir)?);
        Ok(Self { out, path: dir.join("rejects.jsonl"), value_cap: usize::try_from(value_cap).unwrap_or(usize::MAX) })
    }

    /// Adds one reject.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, mapping: &str, reject: &Reject, withheld: Option<&Withheld>) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, &reject_json(mapping, reject, withheld, self.value_cap))?;
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

#[cfg(test)]
mod tests {
    use super::{RejectsFile, reject_json};
    use crate::model::{RedisKey, Reject};
    use bytes::Bytes;
    use std::os::unix::fs::PermissionsExt;

    fn reject(key: &'static [u8], value: &'static [u8]) -> Reject {
        let reject = Reject::new(RedisKey::new(key), "json_syntax", "no object", Some(Bytes::from_static(value)));
        Reject { path: Some("$.title".to_owned()), ..reject }
    }

    #[test]
    fn keys_and_values_that_are_not_text_are_hexadecimal() {
        let json = reject_json("documents", &reject(b"document:1", b"{}"), None, 100);
        assert_eq!((json["key"].as_str(), json["value"].as_str()), (Some("document:1"), Some("{}")));
        assert_eq!((json["path"].as_str(), json["sqlstate"].is_null()), (Some("$.title"), true));
        let json = reject_json("documents", &reject(b"d\xff", b"\xfe\x00"), None, 100);
        assert_eq!((json["key_hex"].as_str(), json["value_hex"].as_str()), (Some("64ff"), Some("fe00")));
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let json = reject_json("documents", &reject(b"k", "aé".as_bytes()), None, 2);
        assert_eq!(json["value"], "a");
        assert_eq!((json["value_truncated"].as_bool(), json["value_bytes"].as_u64()), (Some(true), Some(3)));
    }

    #[test]
    fn the_file_is_private_and_appears_when_it_is_complete() {
        let Ok(dir) = tempfile::tempdir() else { panic!("a temporary directory") };
        let inner = dir.path().join("a/b");
        let Ok(mut file) = RejectsFile::create(&inner, 10) else { panic!("it begins") };
        assert!(file.write("documents", &reject(b"k1", b"1"), None).is_ok());
        assert!(file.write("documents", &reject(b"k2", b"2"), None).is_ok());
        let path = inner.join("rejects.jsonl");
        assert!(!path.exists());
        assert!(file.finish().is_ok());
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default().lines().count(), 2);
        let mode = |path: &std::path::Path| std::fs::metadata(path).map(|data| data.permissions().mode() & 0o777).ok();
        assert_eq!((mode(&path), mode(&inner)), (Some(0o600), Some(0o700)));
    }
}
