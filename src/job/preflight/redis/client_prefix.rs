//! Keys with something before what a mapping expects: clients such as Laravel's put a prefix of their own before every
//! key, and the mapping that leaves it out matches nothing.

use crate::mapping::{KeySet, Pattern, escape_literal};
use crate::model::RedisKey;
use memchr::memmem;
use std::fmt;

/// A key that a mapping would take without the text before it. Shown as a hint for a person.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prefixed {
    mapping: String,
    /// The prefix, and what the pattern begins with.
    begins: String,
    /// The pattern with the prefix before it.
    pattern: String,
}

impl Prefixed {
    /// The prefix of a key, where a mapping would take what comes after it.
    pub(super) fn find(key: &RedisKey, sets: &[(String, KeySet)]) -> Option<Self> {
        let patterns = sets.iter().flat_map(|(name, set)| set.patterns().map(move |pattern| (name.as_str(), pattern)));
        patterns.into_iter().find_map(|(name, pattern)| {
            let at = prefix_length(key.as_bytes(), pattern)?;
            let before = std::str::from_utf8(key.as_bytes().get(..at)?).ok()?;
            let begins = RedisKey::new(format!("{before}{}", pattern.prefix())).to_string();
            let pattern = format!("{}{}", escape_literal(before), pattern.text());
            Some(Self { mapping: name.to_owned(), begins, pattern })
        })
    }
}

impl Prefixed {
    /// The name of the mapping.
    pub(super) fn mapping(&self) -> &str {
        &self.mapping
    }

    /// The prefix, and what the pattern begins with.
    pub(super) fn begins(&self) -> &str {
        &self.begins
    }
}

/// How much of the key comes before a key of the pattern. A pattern that begins with a capture takes prefixes anyway.
fn prefix_length(key: &[u8], pattern: &Pattern) -> Option<usize> {
    let begins = pattern.prefix();
    if begins.is_empty() {
        return None;
    }
    let mut places = memmem::find_iter(key, begins).filter(|at| is_behind_separator(key, *at));
    places.find(|at| key.get(*at..).is_some_and(|rest| pattern.matches(rest)))
}

/// Whether what stands before that place ends in something that separates: `lb:1` is no `b:1` with a prefix.
fn is_behind_separator(key: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| key.get(before));
    before.is_some_and(|byte| b":_.-/|".contains(byte))
}

impl fmt::Display for Prefixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mapping, begins, pattern } = self;
        let pattern = toml::Value::String(pattern.clone());
        write!(
            f,
            "The client's prefix: keys like `{begins}…` look like mapping {mapping} with a prefix before it; \
             write match = {pattern}."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Prefixed;
    use crate::mapping::{KeySet, parse_mappings};
    use crate::model::RedisKey;

    fn hint(pattern: &str, key: &[u8]) -> Option<String> {
        let text = format!("[[mapping]]\nname = \"documents\"\nmatch = '{pattern}'\ninto = \"a.b\"\nkey = []");
        let set = KeySet::parse(&parse_mappings(&text).unwrap()[0]).unwrap();
        Prefixed::find(&RedisKey::new(key.to_vec()), &[("documents".to_owned(), set)]).map(|found| found.to_string())
    }

    #[test]
    fn a_prefix_is_recognised_and_what_to_write_is_said() {
        for (pattern, key, begins, write) in [
            (
                "document:{id}",
                "laravel_database_document:1",
                "laravel_database_document:",
                "laravel_database_document:{id}",
            ),
            ("document:{id..}", "app::app:document:1:2", "app::app:document:", "app::app:document:{id..}"),
            ("d:{id}", "{tag}:d:1", "{tag}:d:", "{{tag}}:d:{id}"),
            ("d:{id:int}", "d:d:1", "d:d:", "d:d:{id:int}"),
        ] {
            let hint = hint(pattern, key.as_bytes()).unwrap();
            let begin = format!("keys like `{begins}…` look like mapping documents with a prefix before it");
            assert!(hint.contains(&begin), "{hint}");
            assert!(hint.ends_with(&format!("write match = \"{write}\".")), "{hint}");
        }
        assert!(hint("d:{id}", b"a\":d:1").unwrap().ends_with(r#"write match = 'a":d:{id}'."#));
    }

    #[test]
    fn a_prefix_is_not_guessed() {
        assert_eq!(hint("document:{id}", b"documents:1"), None);
        assert_eq!(hint("document:{id:uuid}", b"x:document:1"), None);
        assert_eq!(hint("{kind}:{id}", b"x:y:z"), None);
        assert_eq!(hint("b:{id}", b"lb:1"), None);
        assert_eq!(hint("document:{id}", b"mydocument:1"), None);
        assert_eq!(hint("document:{id}", b"\xff:document:1"), None);
    }
}
