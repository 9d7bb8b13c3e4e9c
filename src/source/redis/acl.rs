//! The key patterns of a user, as ACL GETUSER tells them, and whether they take all keys of a glob.

use super::bytes_of;
use fred::types::Resp3Frame;

/// The patterns of keys that a user may read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRights {
    /// Globs, without what says that they are for reading.
    patterns: Vec<String>,
}

impl KeyRights {
    /// Whether there is no key that the user may read.
    pub fn is_none(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether one of the patterns is known to take every key of a glob in which only `*` means something else than
    /// itself, and stands for a byte or more. `false` where that cannot be told.
    pub fn cover(&self, glob: &str) -> bool {
        let keys = tokens(glob);
        self.patterns.iter().any(|pattern| takes_all(pattern.as_bytes(), &keys))
    }
}

/// The patterns, as a person reads them.
impl std::fmt::Display for KeyRights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let patterns: Vec<String> = self.patterns.iter().map(|pattern| format!("~{pattern}")).collect();
        f.write_str(&patterns.join(" "))
    }
}

/// What an answer to ACL GETUSER says of keys to read: of the user's own rights, and of its selectors that let it read.
pub(super) fn rights_of(reply: &Resp3Frame) -> Option<KeyRights> {
    let mut rights = KeyRights { patterns: patterns(member(reply, "keys")?) };
    if let Some(Resp3Frame::Array { data, .. }) = member(reply, "selectors") {
        for selector in data {
            let commands = member(selector, "commands").and_then(text).unwrap_or_default();
            if ["+@all", "+@read", "+mget", "allcommands"].iter().any(|sign| commands.contains(sign)) {
                rights.patterns.extend(member(selector, "keys").map(patterns).unwrap_or_default());
            }
        }
    }
    Some(rights)
}

/// The value behind a name in an answer that is a list of names and values.
fn member<'a>(reply: &'a Resp3Frame, name: &str) -> Option<&'a Resp3Frame> {
    match reply {
        Resp3Frame::Array { data, .. } => data
            .chunks_exact(2)
            .find_map(|pair| if text(&pair[0]).is_some_and(|known| known == name) { pair.get(1) } else { None }),
        Resp3Frame::Map { data, .. } => {
            data.iter().find_map(|(known, value)| text(known).is_some_and(|known| known == name).then_some(value))
        }
        _ => None,
    }
}

/// The patterns that let keys be read. Redis 7 tells them as a text with signs, Redis 6 as a list without.
fn patterns(keys: &Resp3Frame) -> Vec<String> {
    match keys {
        Resp3Frame::Array { data, .. } => data.iter().filter_map(text).collect(),
        text_of => {
            let all = text(text_of).unwrap_or_default();
            all.split(' ').filter_map(readable).map(str::to_owned).collect()
        }
    }
}

/// The glob of `~glob`, `%R~glob` or `%RW~glob`; `%W~glob` lets no key be read.
fn readable(pattern: &str) -> Option<&str> {
    let (sign, glob) = pattern.split_once('~')?;
    (sign.is_empty() || sign.contains('R')).then_some(glob)
}

fn text(frame: &Resp3Frame) -> Option<String> {
    bytes_of(frame.clone()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// A piece of the keys that are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// This byte.
    Byte(u8),
    /// One byte, whichever.
    Any,
    /// Bytes, whichever, as many as there are.
    Many,
}

fn tokens(glob: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut bytes = glob.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' => tokens.extend([Token::Any, Token::Many]),
            b'\\' => tokens.extend(bytes.next().map(Token::Byte)),
            byte => tokens.push(Token::Byte(byte)),
        }
    }
    tokens
}

/// Whether a glob takes all texts that the tokens stand for. What it is not sure of, it denies.
fn takes_all(glob: &[u8], keys: &[Token]) -> bool {
    match (glob, keys) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            takes_all(rest, keys) || keys.split_first().is_some_and(|(_, behind)| takes_all(glob, behind))
        }
        ([b'?', rest @ ..], [Token::Byte(_) | Token::Any, behind @ ..]) => takes_all(rest, behind),
        ([b'\\', byte, rest @ ..], [Token::Byte(key), behind @ ..]) => byte == key && takes_all(rest, behind),
        // A class takes some bytes: not worth more than a doubt.
        ([b'[', ..], _) => false,
        ([byte, rest @ ..], [Token::Byte(key), behind @ ..]) => byte == key && takes_all(rest, behind),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyRights, rights_of};
    use fred::types::Resp3Frame;

    fn bulk(text: &str) -> Resp3Frame {
        Resp3Frame::BlobString { data: text.to_owned().into(), attributes: None }
    }

    fn list(data: Vec<Resp3Frame>) -> Resp3Frame {
        Resp3Frame::Array { data, attributes: None }
    }

    #[test]
    fn patterns_are_read_with_their_signs_and_from_selectors_that_read() {
        let selector = |commands, keys| list(vec![bulk("commands"), bulk(commands), bulk("keys"), bulk(keys)]);
        let reply = list(vec![
            bulk("passwords"),
            list(vec![bulk("hash")]),
            bulk("keys"),
            bulk("~a:* %R~b:* %W~c:* %RW~d:*"),
            bulk("selectors"),
            list(vec![selector("-@all +@read", "~e:*"), selector("-@all +set", "~f:*")]),
        ]);
        assert_eq!(rights_of(&reply).unwrap().to_string(), "~a:* ~b:* ~d:* ~e:*");
        let six = list(vec![bulk("keys"), list(vec![bulk("a:*"), bulk("*")])]);
        assert_eq!(rights_of(&six).unwrap().to_string(), "~a:* ~*");
        assert!(rights_of(&list(vec![bulk("keys"), bulk("")])).unwrap().is_none());
        assert_eq!(rights_of(&list(vec![bulk("flags"), bulk("on")])), None);
    }

    #[test]
    fn a_pattern_covers_a_glob_where_that_is_certain() {
        let cover = |pattern: &str, glob: &str| KeyRights { patterns: vec![pattern.to_owned()] }.cover(glob);
        for (pattern, glob) in [
            ("*", "document:*"),
            ("document:*", "document:*"),
            ("doc*", "document:*"),
            ("doc*:*", "document:*"),
            ("document:?*", "document:*"),
            ("*:*:meta", "a:*:meta"),
            (r"a\*b*", r"a\*b:*"),
            ("exact", "exact"),
        ] {
            assert!(cover(pattern, glob), "{pattern} {glob}");
        }
        for (pattern, glob) in [
            ("document:a*", "document:*"),
            ("document:??*", "document:*"),
            ("documents:*", "document:*"),
            ("document:[a-z]*", "document:*"),
            ("a:*", "*"),
            ("exact", "exact:*"),
            ("", "a"),
        ] {
            assert!(!cover(pattern, glob), "{pattern} {glob}");
        }
    }
}
