//! All that a mapping says about its keys: patterns that take them, and patterns that exclude some.

use super::overlap::{Common, Overlap};
use super::{Captures, Pattern, SEPARATOR};
use crate::mapping::MappingSpec;
use crate::model::RedisKey;

/// The longest separator, in bytes.
const MAX_SEPARATOR: usize = 16;

/// Which keys a mapping takes. All its patterns have the same captures.
#[derive(Clone, Debug)]
pub struct KeySet {
    /// At least one.
    patterns: Vec<Pattern>,
    excludes: Vec<Pattern>,
    /// Whether it takes what no other set takes: it is asked last.
    unmatched: bool,
}

/// Why a mapping does not take a key that looks like one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// One of its exclusions takes it.
    Excluded,
    /// It has the literal text of a pattern, and the patterns do not take it: a capture has another shape.
    Refused,
}

impl KeySet {
    /// Reads `match`, `exclude` and `separator` of a mapping.
    ///
    /// # Errors
    /// As [`Pattern::parse_with`]; where there is no pattern, captures differ between patterns, or the separator is
    /// empty or too long.
    pub fn parse(spec: &MappingSpec) -> Result<Self, String> {
        let separator = spec.separator.as_deref().unwrap_or(SEPARATOR);
        if separator.is_empty() || separator.len() > MAX_SEPARATOR {
            return Err(format!("`separator` must be a text of 1 to {MAX_SEPARATOR} bytes"));
        }
        let parse = |text: &String| Pattern::parse_with(text, separator);
        let patterns = spec.matches.iter().map(parse).collect::<Result<Vec<_>, _>>();
        let mut patterns = patterns.map_err(|why| format!("`match`: {why}"))?;
        let excludes = spec.exclude.iter().map(parse).collect::<Result<Vec<_>, _>>();
        let excludes = excludes.map_err(|why| format!("`exclude`: {why}"))?;
        let Some(names) = patterns.first().map(|first| first.names.clone()) else {
            return Err("`match` names no pattern".to_owned());
        };
        for pattern in &mut patterns {
            if !pattern.reorder(&names) {
                return Err(format!(
                    "`match`: `{}` must have the same captures as the first pattern ({})",
                    pattern.text,
                    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                ));
            }
        }
        Ok(Self { patterns, excludes, unmatched: spec.unmatched })
    }

    /// The patterns, in their order.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter()
    }

    /// The patterns of keys that are not the mapping's although it would take them.
    pub fn excluding(&self) -> impl Iterator<Item = &Pattern> {
        self.excludes.iter()
    }

    /// The first pattern: its captures are those of all.
    pub(in crate::mapping) fn first(&self) -> &Pattern {
        &self.patterns[0]
    }

    /// Whether the mapping takes a key.
    #[inline]
    pub fn matches(&self, key: &[u8]) -> bool {
        self.unmatched || self.patterns.iter().any(|pattern| pattern.matches(key)) && !self.excludes(key)
    }

    /// What the captures take of a key, by the first pattern that takes it.
    #[inline]
    pub(in crate::mapping) fn captures(&self, key: &[u8]) -> Option<Captures> {
        if self.unmatched {
            return Some(Captures::default());
        }
        self.patterns.iter().find_map(|pattern| pattern.captures(key)).filter(|_| !self.excludes(key))
    }

    #[inline]
    fn excludes(&self, key: &[u8]) -> bool {
        self.excludes.iter().any(|pattern| pattern.matches(key))
    }

    /// Why it does not take a key, where the key looks like one of its own. For keys that it does not take.
    pub fn miss(&self, key: &[u8]) -> Option<Miss> {
        if self.unmatched {
            None
        } else if self.excludes(key) {
            Some(Miss::Excluded)
        } else if self.patterns.iter().any(|pattern| pattern.has_landmark() && pattern.glob_matches(key)) {
            Some(Miss::Refused)
        } else {
            None
        }
    }

    /// The keys that a reference may stand for: one of each pattern that it fits, in their order.
    pub(in crate::mapping) fn build(&self, reference: &str) -> Vec<RedisKey> {
        let built = self.patterns.iter().filter_map(|pattern| pattern.build(reference));
        built.filter(|key| !self.excludes(key.as_bytes())).collect()
    }

    /// A key that both take. What takes the keys of no other has none in common with any.
    pub(in crate::mapping) fn overlap(&self, other: &Self) -> Overlap {
        if self.unmatched || other.unmatched {
            return Overlap::Never;
        }
        let excludes: Vec<&Pattern> = self.excludes.iter().chain(&other.excludes).collect();
        let pairs = self.patterns.iter().flat_map(|left| other.patterns.iter().map(move |right| (left, right)));
        pairs.fold(Overlap::Never, |known, (left, right)| {
            known.or(|| Common { left, right, excludes: excludes.clone(), differing: false }.find())
        })
    }

    /// Whether what is excluded leaves it no key at all.
    pub(in crate::mapping) fn takes_nothing(&self) -> bool {
        let left = |pattern| Common {
            left: pattern,
            right: pattern,
            excludes: self.excludes.iter().collect(),
            differing: false,
        };
        !self.excludes.is_empty() && self.patterns.iter().all(|pattern| left(pattern).find() == Overlap::Never)
    }

    /// A key that two of the patterns read differently, with those two.
    pub(in crate::mapping) fn ambiguity(&self) -> (Overlap, Option<(&Pattern, &Pattern)>) {
        let mut unknown = false;
        for (index, right) in self.patterns.iter().enumerate() {
            for left in self.patterns.iter().take(index) {
                let excludes = self.excludes.iter().collect();
                match (Common { left, right, excludes, differing: true }.find()) {
                    Overlap::Never => {}
                    Overlap::Unknown => unknown = true,
                    found => return (found, Some((left, right))),
                }
            }
        }
        (if unknown { Overlap::Unknown } else { Overlap::Never }, None)
    }

    /// Two patterns that read this key differently.
    pub(in crate::mapping) fn disagreement(&self, key: &[u8]) -> Option<(&Pattern, &Pattern)> {
        let mut read = self.patterns.iter().filter_map(|pattern| Some((pattern, pattern.captures(key)?.texts(key))));
        let (first, texts) = read.next()?;
        read.find(|(_, other)| *other != texts).map(|(other, _)| (first, other))
    }
}

#[cfg(test)]
mod tests {
    use super::{KeySet, Miss, Overlap};
    use crate::mapping::{MappingSpec, parse_mappings};

    fn spec(settings: &str) -> MappingSpec {
        let text = format!("[[mapping]]\nname = \"m\"\ninto = \"a.b\"\nkey = []\n{settings}");
        parse_mappings(&text).unwrap().remove(0)
    }

    fn set(settings: &str) -> KeySet {
        KeySet::parse(&spec(settings)).unwrap()
    }

    #[test]
    fn several_patterns_have_their_captures_by_name() {
        let set = set(r#"match = ["{a}:{b}:x", "y:{b}-{a}"]"#);
        let texts = |key: &'static [u8]| set.captures(key).map(|captures| captures.texts(key));
        assert_eq!(texts(b"1:2:x"), Some(vec![&b"1"[..], b"2"]));
        assert_eq!(texts(b"y:2-1"), Some(vec![&b"1"[..], b"2"]));
        assert_eq!(texts(b"y:2"), None);
    }

    #[test]
    fn what_an_exclusion_takes_is_not_the_mappings() {
        let set = set("match = \"user:{id..}\"\nexclude = [\"user:{id}:lock\"]");
        assert!(set.matches(b"user:1") && set.matches(b"user:1:2:lock"));
        assert!(!set.matches(b"user:1:lock") && set.captures(b"user:1:lock").is_none());
        assert_eq!(set.miss(b"user:1:lock"), Some(Miss::Excluded));
    }

    #[test]
    fn an_exclusion_that_leaves_nothing_is_known() {
        let nothing = |settings| set(settings).takes_nothing();
        assert!(nothing("match = \"user:{id}\"\nexclude = [\"user:{id..}\"]"));
        assert!(nothing("match = [\"a:{id}\", \"b:{id}\"]\nexclude = [\"a:{x}\", \"b:{x..}\"]"));
        assert!(!nothing("match = [\"a:{id}\", \"b:{id}\"]\nexclude = [\"a:{x}\"]"));
        assert!(!nothing("match = \"user:{id..}\"\nexclude = [\"user:{id}\"]"), "user:a:b is left");
        assert!(!nothing("match = \"user:{id}\""));
    }

    #[test]
    fn keys_that_nearly_match_are_known() {
        let set = set(r#"match = ["document:{id:uuid}", "paper:{id:uuid}"]"#);
        assert_eq!(set.miss(b"document:1"), Some(Miss::Refused));
        assert_eq!(set.miss(b"paper:"), Some(Miss::Refused));
        assert_eq!(set.miss(b"documents:1"), None);
    }

    #[test]
    fn a_key_that_shares_no_more_than_separators_with_a_pattern_does_not_look_like_its_own() {
        for settings in ["match = \"{kind}:{id:int}\"", "match = \"{id:uuid}\"", "match = \"{a:int}:{b}-{c}\""] {
            assert_eq!(set(settings).miss(b"cache:views:a-b"), None, "{settings}");
        }
        for settings in
            ["match = \"{id:int}:views:a-b\"", "match = \"{a}:views:{id:int}\"", "match = \"cache:{id:int}\""]
        {
            assert_eq!(set(settings).miss(b"cache:views:a-b"), Some(Miss::Refused), "{settings}");
        }
    }

    #[test]
    fn a_reference_stands_for_a_key_of_each_pattern_that_it_fits() {
        let set = set("match = [\"user:{id:int}\", \"account:{id}\", \"a:{id..}\"]\nexclude = [\"a:7\"]");
        let keys = |text: &str| set.build(text).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(keys("7"), ["user:7", "account:7"]);
        assert_eq!(keys("x:y"), ["a:x:y"]);
        assert_eq!(keys(""), [""; 0]);
    }

    #[test]
    fn patterns_of_one_mapping_may_share_keys_that_they_read_alike() {
        assert_eq!(set(r#"match = ["u:{id}", "u:{id..}"]"#).ambiguity().0, Overlap::Never);
        let set = set(r#"match = ["u:{id..}", "v:{id}", "u:x:{id}"]"#);
        let (Overlap::Key(key), Some((one, two))) = set.ambiguity() else { panic!("u:x:a is read in two ways") };
        assert_eq!((key.to_string().as_str(), one.text(), two.text()), ("u:x:a", "u:{id..}", "u:x:{id}"));
        assert!(set.disagreement(b"u:x:a").is_some() && set.disagreement(b"u:a").is_none());
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        for (settings, why) in [
            ("match = []", "no pattern"),
            ("match = [\"a:{x}\", \"b:{y}\"]", "same captures"),
            ("match = [\"a:{x}\", \"b:{x}:{y}\"]", "same captures"),
            ("match = [\"a:{x}:{y}\", \"b:{x}\"]", "same captures"),
            ("match = [\"a\", \"b:{x}\"]", "same captures"),
            ("match = \"a\"\nexclude = [\"{\"]", "`exclude`: "),
            ("match = \"a\"\nseparator = \"\"", "`separator`"),
            ("match = \"a\"\nseparator = \"12345678901234567\"", "`separator`"),
        ] {
            let refused = KeySet::parse(&spec(settings));
            assert!(refused.as_ref().is_err_and(|said| said.contains(why)), "{settings}: {refused:?}");
        }
    }
}
