//! Rejects as JSON, one object each, and the report's `rejects.jsonl`. Uses `model` and `json_lines`.

use super::json_lines::JsonLines;
use crate::model::{Reject, Replay, Withheld};
use serde_json::{Map, Value};
use std::io;
use std::path::Path;

/// What the ledger says of a reject beside what was found.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The run that it belongs to.
    pub run: String,
    /// The phase in which it was found, from 1.
    pub phase: i32,
    /// The target table.
    pub table: String,
    /// `open`, `pending` or `closed`.
    pub state: String,
    /// How many runs came to the key.
    pub attempts: i32,
    /// When it was found, RFC 3339; so are the others.
    pub created_at: String,
    /// When a retry came to it last.
    pub tried_at: Option<String>,
    /// When a retry settled it.
    pub closed_at: Option<String>,
    /// That retry.
    pub closed_by: Option<String>,
}

/// A reject with all that is known of it.
#[derive(Clone, Copy, Debug)]
pub struct RejectLine<'a> {
    /// The mapping's name.
    pub mapping: &'a str,
    /// The reject, its value where it was kept.
    pub reject: &'a Reject,
    /// Size and hash of a value that was read, kept or not.
    pub withheld: Option<&'a Withheld>,
    /// What the ledger says of it; `None` of a dry run's.
    pub standing: Option<&'a Standing>,
}

impl RejectLine<'_> {
    /// As JSON. Keys and values that are not UTF-8 stand under `key_hex` and `value_hex`; a value beyond `value_cap` bytes
    /// is cut, which `value_truncated` says. Of a value that was not kept, size and hash are told.
    pub fn json(&self, value_cap: usize) -> Value {
        let Self { mapping, reject, withheld, standing } = self;
        let mut object = Map::new();
        put_bytes(&mut object, "key", reject.key.as_bytes(), usize::MAX);
        object.insert("database".to_owned(), reject.database.into());
        for (name, text) in [("mapping", *mapping), ("reason", &reject.reason), ("detail", &reject.detail)] {
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
        if let Some(replay) = &reject.replay {
            put_replay(&mut object, replay, value_cap);
        }
        if let Some(standing) = standing {
            put_standing(&mut object, standing);
        }
        object.into()
    }
}

/// Puts what it takes to load the key again.
fn put_replay(object: &mut Map<String, Value>, replay: &Replay, value_cap: usize) {
    object.insert("value_is".to_owned(), if replay.part { "part" } else { "whole" }.into());
    if let Some(whole) = &replay.whole {
        put_bytes(object, "whole_value", whole, value_cap);
    }
    object.insert("expires_at_ms".to_owned(), replay.expires_at.into());
    let Some(facts) = &replay.facts else { return };
    object.insert("facts".to_owned(), serde_json::to_value(&**facts).unwrap_or_default());
    if let Some(dump) = &facts.dump {
        object.insert("dump_hex".to_owned(), hex(dump.get(..value_cap).unwrap_or(dump)).into());
    }
}

fn put_standing(object: &mut Map<String, Value>, standing: &Standing) {
    let Standing { run, phase, table, state, attempts, created_at, tried_at, closed_at, closed_by } = standing;
    for (name, text) in [("run", run), ("table", table), ("state", state), ("created_at", created_at)] {
        object.insert(name.to_owned(), text.as_str().into());
    }
    for (name, number) in [("phase", phase), ("attempts", attempts)] {
        object.insert(name.to_owned(), (*number).into());
    }
    for (name, text) in [("tried_at", tried_at), ("closed_at", closed_at), ("closed_by", closed_by)] {
        object.insert(name.to_owned(), text.clone().into());
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key as JSON: text under `name`, or hexadecimal under `name_hex`.
pub fn key_json(name: &str, key: &[u8]) -> Map<String, Value> {
    let mut object = Map::new();
    put_bytes(&mut object, name, key, usize::MAX);
    object
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
        None => object.insert(format!("{name}_hex"), hex(cut).into()),
    };
}

/// Writes `rejects.jsonl` one reject at a time; it appears under its name with [`RejectsFile::finish`].
#[derive(Debug)]
pub struct RejectsFile {
    lines: JsonLines,
    value_cap: usize,
}

impl RejectsFile {
    /// Begins the file in `dir`, which is created (mode 0700) where it is missing. The file has mode 0600.
    ///
    /// # Errors
    /// Where the directory or the file cannot be created.
    pub fn create(dir: &Path, value_cap: u64) -> io::Result<Self> {
        let value_cap = usize::try_from(value_cap).unwrap_or(usize::MAX);
        Ok(Self { lines: JsonLines::create(dir, "rejects.jsonl")?, value_cap })
    }

    /// Adds one reject.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, line: &RejectLine<'_>) -> io::Result<()> {
        self.lines.add(&line.json(self.value_cap))
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
    use super::{RejectLine, RejectsFile};
    use crate::model::{RedisKey, Reject};
    use bytes::Bytes;
    use std::os::unix::fs::PermissionsExt;

    fn reject(key: &'static [u8], value: &'static [u8]) -> Reject {
        let reject = Reject::new(RedisKey::new(key), "json_syntax", "no object", Some(Bytes::from_static(value)));
        Reject { path: Some("$.title".to_owned()), ..reject }
    }

    fn line(reject: &Reject) -> RejectLine<'_> {
        RejectLine { mapping: "documents", reject, withheld: None, standing: None }
    }

    #[test]
    fn keys_and_values_that_are_not_text_are_hexadecimal() {
        let json = line(&reject(b"document:1", b"{}")).json(100);
        assert_eq!((json["key"].as_str(), json["value"].as_str()), (Some("document:1"), Some("{}")));
        assert_eq!((json["path"].as_str(), json["sqlstate"].is_null()), (Some("$.title"), true));
        let json = line(&reject(b"d\xff", b"\xfe\x00")).json(100);
        assert_eq!((json["key_hex"].as_str(), json["value_hex"].as_str()), (Some("64ff"), Some("fe00")));
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let json = line(&reject(b"k", "aé".as_bytes())).json(2);
        assert_eq!(json["value"], "a");
        assert_eq!((json["value_truncated"].as_bool(), json["value_bytes"].as_u64()), (Some(true), Some(3)));
    }

    #[test]
    fn the_file_is_private_and_appears_when_it_is_complete() {
        let Ok(dir) = tempfile::tempdir() else { panic!("a temporary directory") };
        let inner = dir.path().join("a/b");
        let Ok(mut file) = RejectsFile::create(&inner, 10) else { panic!("it begins") };
        assert!(file.write(&line(&reject(b"k1", b"1"))).is_ok());
        assert!(file.write(&line(&reject(b"k2", b"2"))).is_ok());
        let path = inner.join("rejects.jsonl");
        assert!(!path.exists());
        assert!(file.finish().is_ok());
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default().lines().count(), 2);
        let mode = |path: &std::path::Path| std::fs::metadata(path).map(|data| data.permissions().mode() & 0o777).ok();
        assert_eq!((mode(&path), mode(&inner)), (Some(0o600), Some(0o700)));
    }
}
