//! Keys that an object has twice, at any depth. Looked for where a scan could not rule them out.

use super::DecodeError;
use super::path::{path_at, string_end};
use super::text::unescape;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Refuses a well-formed text in which any object has a key twice, in whatever spelling.
///
/// # Errors
/// `json_duplicate_key`, with the path of the second one.
pub(super) fn refuse_duplicates(text: &str) -> Result<(), DecodeError> {
    // Hashes, not keys: there may be millions, and they should take no more room than the text.
    let mut hashes: Vec<u64> = Vec::new();
    // Of each open level, its first hash and its place in the text. An array has no keys.
    let mut levels: Vec<(usize, usize)> = Vec::new();
    let mut walk = Walk { text, at: 0 };
    while let Some((at, token)) = walk.next() {
        match token {
            Token::Open => levels.push((hashes.len(), at)),
            Token::Key(raw) => hashes.push(hash(&unescape(raw))),
            Token::Close => {
                let Some((first, start)) = levels.pop() else { break };
                let keys = hashes.get_mut(first..).unwrap_or_default();
                keys.sort_unstable();
                for [one, other] in keys.array_windows() {
                    if one == other {
                        refuse_repeated(text, start, *one)?;
                    }
                }
                hashes.truncate(first);
            }
        }
    }
    Ok(())
}

/// Whether any object of a well-formed text has a key twice, in whatever spelling and at any depth.
pub fn has_duplicate_keys(text: &str) -> bool {
    refuse_duplicates(text).is_err()
}

/// Refuses the second of two equal keys with that hash in the object that starts at a place. Different keys may share it.
#[cold]
fn refuse_repeated(text: &str, start: usize, wanted: u64) -> Result<(), DecodeError> {
    let (mut depth, mut seen) = (0, Vec::new());
    let mut walk = Walk { text, at: start };
    while let Some((_, token)) = walk.next() {
        match token {
            Token::Open => depth += 1,
            Token::Close if depth == 1 => break,
            Token::Close => depth -= 1,
            Token::Key(raw) if depth == 1 => {
                let key = unescape(raw);
                if hash(&key) != wanted {
                    continue;
                }
                if seen.contains(&key) {
                    let error = DecodeError::new("json_duplicate_key", format!("an object has the key {key:?} twice"));
                    return Err(of_key(error, text.as_bytes(), walk.at));
                }
                seen.push(key);
            }
            Token::Key(_) => {}
        }
    }
    Ok(())
}

/// Refuses a text in which keys of one object are equal that were not before it was repaired. `before` is the text as it
/// was: a repair changes what is in strings, and adds or drops none of them.
///
/// # Errors
/// `duplicate_key_after_conversion`, with the path of the second one.
#[cold]
pub(super) fn refuse_made_equal(before: &str, after: &str) -> Result<(), DecodeError> {
    let (mut old, mut new) = (Walk { text: before, at: 0 }, Walk { text: after, at: 0 });
    // The keys of each open level, as they are now, with how they were written and whether they were repaired.
    let mut levels: Vec<HashMap<_, (&str, bool)>> = Vec::new();
    while let (Some((_, was)), Some((_, is))) = (old.next(), new.next()) {
        match (was, is) {
            (Token::Key(was), Token::Key(is)) => {
                let Some(keys) = levels.last_mut() else { break };
                let (key, repaired) = (unescape(is), was != is);
                match keys.insert(key.clone(), (was, repaired)) {
                    Some((other, other_repaired)) if other != was && (repaired || other_repaired) => {
                        let detail = format!("two keys of an object become the same key {key:?} by a repair");
                        let error = DecodeError::new("duplicate_key_after_conversion", detail);
                        return Err(of_key(error, after.as_bytes(), new.at));
                    }
                    _ => {}
                }
            }
            (Token::Open, _) => levels.push(HashMap::new()),
            _ => drop(levels.pop()),
        }
    }
    Ok(())
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Adds the path of the key that ends there.
#[cold]
fn of_key(mut error: DecodeError, bytes: &[u8], end: usize) -> DecodeError {
    // The path of what follows the colon is the key's.
    let colon = bytes.iter().skip(end).position(|byte| *byte == b':').map_or(end, |length| end + length);
    error.path = Some(path_at(bytes, colon + 1));
    error
}

enum Token<'a> {
    Open,
    Close,
    /// A key between its quotes, as it is written.
    Key(&'a str),
}

/// Where objects and arrays begin and end in a well-formed text, and the keys in between.
struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    /// The next token and where it starts.
    fn next(&mut self) -> Option<(usize, Token<'a>)> {
        let bytes = self.text.as_bytes();
        loop {
            let start = self.at;
            self.at += 1;
            match bytes.get(start)? {
                b'{' | b'[' => return Some((start, Token::Open)),
                b'}' | b']' => return Some((start, Token::Close)),
                b'"' => {
                    self.at = string_end(bytes, start);
                    if bytes.get(self.at..).unwrap_or_default().trim_ascii_start().starts_with(b":") {
                        let key = self.text.get(start + 1..self.at.saturating_sub(1)).unwrap_or_default();
                        return Some((start, Token::Key(key)));
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{has_duplicate_keys, refuse_duplicates};
    use crate::decode::scan;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_there_twice_in_any_spelling_and_at_any_depth() {
        for (text, path) in [
            (r#"{"a":1,"a":2}"#, "$.a"),
            (r#"{"a":1,"\u0061":2}"#, "$.a"),
            (r#"{"\u00e9":1,"é":2}"#, "$.é"),
            (r#"[{"x":1},{"x":{"y":1,"z":[{"k":"}"},{"k":0,"k" : 0}]}}]"#, "$[1].x.z[1].k"),
            (r#"{"a":{"b":1},"b":{"c":1,"d":2,"c":3}}"#, "$.b.c"),
        ] {
            assert_eq!(refuse_duplicates(text).unwrap_err().path.as_deref(), Some(path), "{text}");
            assert!(scan(text, &mut Vec::new()).unwrap().may_repeat, "{text}");
        }
        for text in
            [r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}"#, r#"["a","a"]"#, "{}", "1", r#"{"a":"\"a\":","":0}"#]
        {
            assert!(!has_duplicate_keys(text), "{text}");
        }
    }

    #[test]
    fn a_scan_doubts_what_it_has_no_room_for() {
        let object = |keys: usize| {
            let members: Vec<String> = (0..keys).map(|key| format!("\"k{key}\":{key}")).collect();
            format!("{{\"o\":{{{}}}}}", members.join(","))
        };
        let scanned = |text: &str| scan(text, &mut Vec::new()).unwrap().may_repeat;
        assert!(!scanned(&object(100)) && scanned(&object(1_000)));
        let deep = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        assert!(!scanned(&deep(30)) && scanned(&deep(300)));
        assert!(!has_duplicate_keys(&object(1_000)) && !has_duplicate_keys(&deep(300)));
    }

    proptest! {
        #[test]
        fn a_scan_never_misses_one(keys in prop::collection::vec("[ab]{0,2}|é|[a-z]{7,10}", 0..12), at in 0..4_usize) {
            let members: Vec<String> = keys.iter().map(|key| format!("\"{key}\":{{\"q\":[{{\"{key}\":1}}]}}")).collect();
            let text = format!("{}{{{}}}{}", "[".repeat(at), members.join(","), "]".repeat(at));
            let mut sorted = keys.clone();
            sorted.sort();
            sorted.dedup();
            let repeated = sorted.len() < keys.len();
            prop_assert_eq!(has_duplicate_keys(&text), repeated);
            prop_assert!(scan(&text, &mut Vec::new()).unwrap().may_repeat || !repeated);
        }
    }
}
