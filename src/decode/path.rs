//! JSON paths: `$.a.b` and `$["a b"]` in mappings, looked up over the original text; and the path of a place in a text.

use super::json::{Field, Kind, scan};
use super::text::unescape;

/// A path into an object: its keys from the top. Empty for `$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<String>);

impl JsonPath {
    /// Reads a path such as `$`, `$.a`, `$.a.b` or `$["a.b"].c`.
    ///
    /// # Errors
    /// Where the text is not of that form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a path such as `$.name` or `$[\"a name\"]`");
        let mut rest = text.strip_prefix('$').ok_or_else(wrong)?;
        let mut keys = Vec::new();
        while !rest.is_empty() {
            let (key, tail) = if let Some(tail) = rest.strip_prefix("[\"") {
                tail.split_once("\"]").ok_or_else(wrong)?
            } else {
                let tail = rest.strip_prefix('.').ok_or_else(wrong)?;
                tail.split_at(tail.find(['.', '[']).unwrap_or(tail.len()))
            };
            if key.is_empty() {
                return Err(wrong());
            }
            keys.push(key.to_owned());
            rest = tail;
        }
        Ok(Self(keys))
    }

    /// Looks the path up in a text whose top level was scanned into `fields`.
    pub fn find<'a>(&self, text: &'a str, fields: &[Field], escaped_keys: bool) -> Option<&'a str> {
        let (first, rest) = self.0.split_first()?;
        let mut value = lookup(text, fields, escaped_keys, first)?;
        for key in rest {
            if Kind::of(value) != Kind::Object {
                return None;
            }
            let mut inner = Vec::new();
            let scanned = scan(value, &mut inner).ok()?;
            value = lookup(value, &inner, scanned.escaped_keys, key)?;
        }
        Some(value)
    }
}

/// The value of a field of the top level: the last one of that key, as PostgreSQL's jsonb has it.
#[inline]
pub fn lookup<'a>(text: &'a str, fields: &[Field], escaped_keys: bool, key: &str) -> Option<&'a str> {
    let found = if escaped_keys {
        fields.iter().rev().find(|field| unescape(field.key.of(text)) == key)
    } else {
        let wanted = key.as_bytes();
        let bytes = text.as_bytes();
        fields.iter().rev().find(|field| {
            (field.key.end - field.key.start) as usize == wanted.len()
                && bytes.get(field.key.start as usize..field.key.end as usize) == Some(wanted)
        })
    };
    found.map(|field| field.value.of(text))
}

/// The path of the value that holds byte `offset`. Everything before it must be well-formed.
pub(super) fn path_at(bytes: &[u8], offset: usize) -> String {
    let mut steps: Vec<Step> = Vec::new();
    let mut at = 0;
    let mut key: Option<String> = None;
    while at < offset {
        match bytes.get(at) {
            Some(b'"') => {
                let end = string_end(bytes, at);
                if end > offset {
                    break;
                }
                key = Some(String::from_utf8_lossy(bytes.get(at + 1..end - 1).unwrap_or_default()).into_owned());
                at = end;
                continue;
            }
            Some(b':') => {
                if let Some(Step::Key(current)) = steps.last_mut() {
                    *current = key.take();
                }
            }
            Some(b'{') => steps.push(Step::Key(None)),
            Some(b'[') => steps.push(Step::Index(0)),
            Some(b'}' | b']') => {
                steps.pop();
            }
            Some(b',') => match steps.last_mut() {
                Some(Step::Index(index)) => *index += 1,
                Some(Step::Key(current)) => *current = None,
                None => {}
            },
            _ => {}
        }
        at += 1;
    }
    print(&steps)
}

enum Step {
    Key(Option<String>),
    Index(usize),
}

/// A path deeper than this is cut: it is for people.
const PRINTED_STEPS: usize = 20;

fn print(steps: &[Step]) -> String {
    let mut out = String::from("$");
    for step in steps.iter().take(PRINTED_STEPS) {
        match step {
            Step::Key(Some(key)) => push_key(&mut out, &unescape(key)),
            Step::Key(None) => {}
            Step::Index(index) => out.push_str(&format!("[{index}]")),
        }
    }
    if steps.len() > PRINTED_STEPS {
        out.push('…');
    }
    out
}

fn push_key(out: &mut String, key: &str) {
    if !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
        out.push('.');
        out.push_str(key);
    } else {
        out.push_str("[\"");
        out.push_str(key);
        out.push_str("\"]");
    }
}

/// The byte behind the closing quote of the string at `at`.
pub(super) fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'"' => return end + 1,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    bytes.len() + 1
}
