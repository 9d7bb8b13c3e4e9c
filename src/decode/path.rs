//! JSON paths: `$.a.b[0]` and `$["a b"]` in mappings, looked up over the original text; and the path of a place in a text.

use super::elements::element;
use super::json::scan;
use super::scanned::{Field, Kind};
use super::text::unescape;
use std::borrow::Cow;

/// A path into a value: its keys and indexes from the top. Empty for `$`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<PathStep>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum PathStep {
    Key(String),
    /// From 0, or from the end where negative.
    Index(i64),
}

impl JsonPath {
    /// Reads a path such as `$`, `$.a`, `$.a.b`, `$["a.b"].c`, `$.a[0]` or `$[-1].a` (the last element). What stands in
    /// quotes is escaped as in JSON.
    ///
    /// # Errors
    /// Where the text is not of that form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let hint = if text.contains('\\') { "; in quotes, a quote is `\\\"` and a backslash `\\\\`" } else { "" };
            format!("`{text}` is not a path such as `$.name`, `$[\"a name\"]` or `$.list[0]`{hint}")
        };
        let mut rest = text.strip_prefix('$').ok_or_else(wrong)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, tail) = PathStep::parse(rest).ok_or_else(wrong)?;
            steps.push(step);
            rest = tail;
        }
        Ok(Self(steps))
    }

    /// The key that it begins with; `None` for `$`, and where it begins with an index.
    pub fn first_key(&self) -> Option<&str> {
        match self.0.first()? {
            PathStep::Key(key) => Some(key),
            PathStep::Index(_) => None,
        }
    }

    /// The key that it is, where it is a key at the top and nothing more.
    pub fn only_key(&self) -> Option<&str> {
        self.first_key().filter(|_| self.0.len() == 1)
    }

    /// Whether it begins with an index.
    pub fn begins_with_index(&self) -> bool {
        matches!(self.0.first(), Some(PathStep::Index(_)))
    }

    /// Looks the path up in a text whose top level was scanned into `fields`.
    pub fn find<'a>(&self, text: &'a str, fields: &[Field], escaped_keys: bool) -> Option<&'a str> {
        let Some((first, rest)) = self.0.split_first() else { return Some(text.trim_ascii()) };
        let mut value = match first {
            PathStep::Key(key) => lookup(text, fields, escaped_keys, key)?,
            PathStep::Index(index) => element(text.trim_ascii(), *index)?,
        };
        for step in rest {
            value = step.find(value)?;
        }
        Some(value)
    }
}

impl PathStep {
    /// Reads the step at the start of `text`; gives what follows it.
    fn parse(text: &str) -> Option<(Self, &str)> {
        let (step, tail) = if text.starts_with("[\"") {
            let (quoted, tail) = text.split_at_checked(string_end(text.as_bytes(), 1))?;
            (Self::Key(unquoted(quoted.get(1..)?)?.into_owned()), tail.strip_prefix(']')?)
        } else if let Some(tail) = text.strip_prefix('[') {
            let (index, tail) = tail.split_once(']')?;
            let digits = index.strip_prefix('-').filter(|digits| *digits != "0").unwrap_or(index);
            let number = digits.bytes().all(|byte| byte.is_ascii_digit());
            (Self::Index(index.parse().ok().filter(|_| number)?), tail)
        } else {
            let tail = text.strip_prefix('.')?;
            let (key, tail) = tail.split_at(tail.find(['.', '[']).unwrap_or(tail.len()));
            (Self::Key(key.to_owned()), tail)
        };
        (step != Self::Key(String::new())).then_some((step, tail))
    }

    fn find<'a>(&self, value: &'a str) -> Option<&'a str> {
        match self {
            Self::Index(index) => element(value, *index),
            Self::Key(_) if Kind::of(value) != Kind::Object => None,
            Self::Key(key) => {
                let mut inner = Vec::new();
                let scanned = scan(value, &mut inner).ok()?;
                lookup(value, &inner, scanned.escaped_keys, key)
            }
        }
    }
}

/// What a string of JSON stands for, its quotes included; `None` where an escape is none of JSON's.
fn unquoted(quoted: &str) -> Option<Cow<'_, str>> {
    if quoted.contains('\\') {
        return serde_json::from_str(quoted).ok().map(Cow::Owned);
    }
    quoted.get(1..quoted.len().checked_sub(1)?).map(Cow::Borrowed)
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

/// Appends the step to a key, as a mapping has it.
pub fn push_key(out: &mut String, key: &str) {
    if !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
        out.push('.');
        out.push_str(key);
    } else {
        out.push_str("[\"");
        for c in key.chars() {
            match c {
                '"' | '\\' | '\n' | '\r' | '\t' => out.extend(c.escape_default()),
                c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => out.push(c),
            }
        }
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

#[cfg(test)]
mod tests {
    use super::JsonPath;
    use crate::decode::decode;

    fn find(path: &str, text: &str) -> Option<String> {
        let mut fields = Vec::new();
        let decoded = decode(text.as_bytes(), &mut fields).unwrap();
        let path = JsonPath::parse(path).unwrap();
        path.find(decoded.text, &fields, decoded.scanned.escaped_keys).map(str::to_owned)
    }

    #[test]
    fn keys_and_indexes_lead_into_objects_and_arrays() {
        let text = r#" {"a":{"b":[{"c":1.10},[2,3]],"x y":"\u00e9"},"l":[], "\u0062":[7], "n":null} "#;
        for (path, found) in [
            ("$.a.b[0].c", Some("1.10")),
            ("$.a.b[-1][0]", Some("2")),
            ("$.a.b[1][-1]", Some("3")),
            ("$[\"a\"][\"x y\"]", Some(r#""\u00e9""#)),
            ("$[\"a\"].b[1]", Some("[2,3]")),
            ("$.b[0]", Some("7")),
            ("$.n", Some("null")),
            ("$", Some(text.trim())),
            ("$.l[0]", None),
            ("$.l[-1]", None),
            ("$.a.b[2]", None),
            ("$.a[0]", None),
            ("$.a.b.c", None),
            ("$.n.x", None),
            ("$.n[0]", None),
            ("$[0]", None),
            ("$.missing[0]", None),
        ] {
            assert_eq!(find(path, text).as_deref(), found, "{path}");
        }
    }

    #[test]
    fn keys_in_quotes_are_escaped_as_in_json() {
        let text = r#"{"a\"b":1,"a\\b":2,"a\"]b":3,"\u00e9\n":4,"a\tb":5}"#;
        for (path, found) in [
            (r#"$["a\"b"]"#, Some("1")),
            (r#"$["a\\b"]"#, Some("2")),
            (r#"$["a\"]b"]"#, Some("3")),
            (r#"$["\u00e9\n"]"#, Some("4")),
            ("$[\"a\tb\"]", Some("5")),
            (r#"$["b"]"#, None),
        ] {
            assert_eq!(find(path, text).as_deref(), found, "{path}");
        }
        for text in [r#"$["a\b""#, r#"$["a\qb"]"#, r#"$["a"b"]"#, r#"$["a\"]"#, r#"$["\ud800"]"#] {
            assert!(JsonPath::parse(text).is_err(), "{text}");
        }
        assert!(JsonPath::parse(r#"$["C:\dir"]"#).unwrap_err().contains("a backslash"));
    }

    #[test]
    fn what_is_printed_of_a_key_is_read_again() {
        for key in ["a", "a b", "a\"b", "a\\b", "a\n\u{1}\u{7f}", "\"]", "é", "\u{2028}"] {
            let mut path = String::from("$");
            super::push_key(&mut path, key);
            assert_eq!(JsonPath::parse(&path).unwrap().first_key(), Some(key), "{path}");
            assert!(!path.chars().any(char::is_control), "{path:?}");
        }
    }

    #[test]
    fn an_array_at_the_top_is_entered_by_index_only() {
        let text = "\n[{\"x\":\"😀\"}, [\"\\ud83d\\ude00\"]]\n";
        assert_eq!(find("$[0].x", text).as_deref(), Some("\"😀\""));
        assert_eq!(find("$[-1][0]", text).as_deref(), Some(r#""\ud83d\ude00""#));
        assert_eq!((find("$.x", text), find("$[2]", text), find("$[0]", "5")), (None, None, None));
    }

    #[test]
    fn a_path_says_what_it_begins_with() {
        let path = |text: &str| JsonPath::parse(text).unwrap();
        assert_eq!((path("$.a[0]").first_key(), path("$[\"a b\"]").first_key()), (Some("a"), Some("a b")));
        assert_eq!((path("$[0].a").first_key(), path("$").first_key()), (None, None));
        assert!(path("$[0].a").begins_with_index() && !path("$.a[0]").begins_with_index());
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in
            ["", "a", "$a", "$.", "$..a", "$.a.", "$[", "$[]", "$[a]", "$[+1]", "$[-0]", "$[- 1]", "$[1", "$[\"\"]"]
        {
            assert!(JsonPath::parse(text).is_err(), "{text}");
        }
        assert!(JsonPath::parse("$[99999999999999999999]").is_err());
    }
}
