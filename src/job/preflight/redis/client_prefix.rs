//! Keys with something before what a mapping expects: clients such as Laravel's put a prefix of their own before every
//! key, and the mapping that leaves it out matches nothing.

use crate::mapping::{KeySet, Pattern, escape_literal};
use crate::model::RedisKey;
use memchr::memmem;

/// Keys that a mapping would take without the text before them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prefixed {
    mapping: String,
    /// The prefix, and what the pattern begins with.
    begins: String,
    matches: Settings,
    excludes: Settings,
}

/// Patterns of a mapping: as they are, and with the prefix before them.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    own: Vec<String>,
    prefixed: Vec<String>,
}

impl Prefixed {
    /// The prefix of a key, where a mapping would take what comes after it.
    pub(super) fn find(key: &RedisKey, sets: &[(String, KeySet)]) -> Option<Self> {
        sets.iter().find_map(|(name, set)| {
            let (at, pattern) =
                set.patterns().find_map(|pattern| Some((prefix_length(key.as_bytes(), pattern, set)?, pattern)))?;
            let before = std::str::from_utf8(key.as_bytes().get(..at)?).ok()?;
            let begins = RedisKey::new(format!("{before}{}", pattern.prefix())).to_string();
            let matches = Settings::of(set.patterns(), before);
            let excludes = Settings::of(set.excluding(), before);
            Some(Self { mapping: name.to_owned(), begins, matches, excludes })
        })
    }

    /// The name of the mapping.
    pub(super) fn mapping(&self) -> &str {
        &self.mapping
    }

    /// The prefix, and what the pattern begins with.
    pub(super) fn begins(&self) -> &str {
        &self.begins
    }

    /// What to write, for a person. `has_own`: the mapping takes other keys as it is, and is to go on with them.
    pub(super) fn hint(&self, has_own: bool) -> String {
        let Self { mapping, begins, matches, excludes } = self;
        let matches = matches.toml("match", has_own).unwrap_or_default();
        let excludes = excludes.toml("exclude", has_own).map(|excludes| format!(" and {excludes}"));
        format!(
            "The client's prefix: keys like `{begins}…` look like mapping {mapping} with a prefix before it; write \
             {matches}{}.",
            excludes.unwrap_or_default()
        )
    }
}

impl Settings {
    fn of<'p>(patterns: impl Iterator<Item = &'p Pattern>, before: &str) -> Self {
        let own: Vec<String> = patterns.map(|pattern| pattern.text().to_owned()).collect();
        let prefixed = own.iter().map(|text| format!("{}{text}", escape_literal(before))).collect();
        Self { own, prefixed }
    }

    /// As a setting in a file; `None` where there are no patterns.
    fn toml(&self, name: &str, with_own: bool) -> Option<String> {
        let mut all: Vec<&String> = if with_own { self.own.iter().collect() } else { Vec::new() };
        for text in &self.prefixed {
            if !all.contains(&text) {
                all.push(text);
            }
        }
        let text = |text: &&String| toml::Value::String((*text).clone());
        let value = match all.as_slice() {
            [] => return None,
            [one] => text(one),
            all => toml::Value::Array(all.iter().map(text).collect()),
        };
        Some(format!("{name} = {value}"))
    }
}

/// How much of the key comes before a key that this pattern takes, and the mapping with it. A pattern that begins with a
/// capture takes prefixes anyway.
fn prefix_length(key: &[u8], pattern: &Pattern, set: &KeySet) -> Option<usize> {
    let begins = pattern.prefix();
    if begins.is_empty() {
        return None;
    }
    let mut places = memmem::find_iter(key, begins).filter(|at| is_behind_separator(key, *at));
    places.find(|at| key.get(*at..).is_some_and(|rest| pattern.matches(rest) && set.matches(rest)))
}

/// Whether what stands before that place ends in something that separates: `lb:1` is no `b:1` with a prefix.
fn is_behind_separator(key: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| key.get(before));
    before.is_some_and(|byte| b":_.-/|".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::Prefixed;
    use crate::mapping::{KeySet, parse_mappings};
    use crate::model::RedisKey;

    fn set(settings: &str) -> KeySet {
        let text = format!("[[mapping]]\nname = \"documents\"\n{settings}\ninto = \"a.b\"\nkey = []");
        KeySet::parse(&parse_mappings(&text).unwrap()[0]).unwrap()
    }

    fn found(settings: &str, key: &[u8]) -> Option<Prefixed> {
        Prefixed::find(&RedisKey::new(key.to_vec()), &[("documents".to_owned(), set(settings))])
    }

    fn hint(pattern: &str, key: &[u8]) -> Option<String> {
        found(&format!("match = '{pattern}'"), key).map(|found| found.hint(false))
    }

    #[test]
    fn what_the_hint_says_can_be_written_and_takes_the_keys_of_all_patterns_and_no_excluded_ones() {
        let settings = "match = ['doc:{id}', 'paper:{id:int}']\nexclude = ['doc:{id}-lock']";
        assert_eq!(found(settings, b"app{1}:doc:7-lock"), None, "the mapping would not take it either");
        let prefixed = found(settings, b"app{1}:doc:7").unwrap();
        for has_own in [false, true] {
            let hint = prefixed.hint(has_own);
            let written =
                hint.split_once("; write ").unwrap().1.trim_end_matches('.').replace(" and exclude", "\nexclude");
            let set = set(&written);
            for rest in ["doc:7", "paper:7"] {
                assert!(set.matches(format!("app{{1}}:{rest}").as_bytes()), "{hint}");
                assert_eq!(set.matches(rest.as_bytes()), has_own, "{hint}");
            }
            for not in ["app{1}:doc:7-lock", "doc:7-lock", "app{1}:paper:x"] {
                assert!(!set.matches(not.as_bytes()), "{not}: {hint}");
            }
        }
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
