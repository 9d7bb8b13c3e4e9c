//! Keys that an object has twice, at any depth: looked for only where a mapping refuses them.

use super::DecodeError;
use super::path::{path_at, string_end};
use super::text::unescape;
use std::borrow::Cow;
use std::collections::HashSet;

/// Refuses a well-formed text in which any object has a key twice, in whatever spelling.
///
/// # Errors
/// `json_duplicate_key`, with the path of the second one.
pub(super) fn refuse_duplicates(text: &str) -> Result<(), DecodeError> {
    let bytes = text.as_bytes();
    // The keys of each open level; an array has none.
    let mut levels: Vec<HashSet<Cow<'_, str>>> = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => levels.push(HashSet::new()),
            b'}' | b']' => {
                levels.pop();
            }
            b'"' => {
                let end = string_end(bytes, at);
                let is_key = bytes.get(end..).unwrap_or_default().trim_ascii_start().starts_with(b":");
                let key = unescape(text.get(at + 1..end - 1).unwrap_or_default());
                if is_key && levels.last_mut().is_some_and(|keys| !keys.insert(key.clone())) {
                    return Err(duplicate(bytes, &key, end));
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Whether any object of a well-formed text has a key twice, in whatever spelling and at any depth.
pub fn has_duplicate_keys(text: &str) -> bool {
    refuse_duplicates(text).is_err()
}

#[cold]
fn duplicate(bytes: &[u8], key: &str, end: usize) -> DecodeError {
    let mut error = DecodeError::new("json_duplicate_key", format!("an object has the key {key:?} twice"));
    // The path of what follows the colon is the key's.
    let colon = bytes.iter().skip(end).position(|byte| *byte == b':').map_or(end, |length| end + length);
    error.path = Some(path_at(bytes, colon + 1));
    error
}
