//! Reading keys by a pattern: the hot path, once for each key listed. Nothing is allocated here.

use super::shape::{int_length, uuid_length};
use super::{Capture, MAX_CAPTURES, Part, Pattern, Reach};

/// What a key's captures took, as ranges of the key's bytes, by slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::mapping) struct Captures {
    ranges: [(u32, u32); MAX_CAPTURES],
    count: usize,
}

impl Captures {
    /// The text of capture `index` in the key.
    pub(in crate::mapping) fn text(self, key: &str, index: usize) -> &str {
        let (start, end) = self.ranges.get(index).copied().unwrap_or_default();
        key.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Whether any capture took nothing.
    pub(in crate::mapping) fn any_empty(self) -> bool {
        self.ranges.iter().take(self.count).any(|(start, end)| start == end)
    }

    /// What each capture took of the key.
    pub(super) fn texts<'k>(&self, key: &'k [u8]) -> Vec<&'k [u8]> {
        let ranges = self.ranges.iter().take(self.count);
        ranges.map(|(start, end)| key.get(*start as usize..*end as usize).unwrap_or_default()).collect()
    }
}

impl Pattern {
    /// Whether a key is of this pattern.
    #[inline]
    pub fn matches(&self, key: &[u8]) -> bool {
        self.read(key, |_, _, _| ())
    }

    /// What the captures take of a key of this pattern; a capture may be empty.
    #[inline]
    pub(super) fn captures(&self, key: &[u8]) -> Option<Captures> {
        let mut captures = Captures { count: self.names.len(), ..Captures::default() };
        let taken = self.read(key, |slot, start, end| {
            if let Some(range) = captures.ranges.get_mut(slot) {
                *range = (start as u32, end as u32);
            }
        });
        taken.then_some(captures)
    }

    #[inline]
    fn read(&self, key: &[u8], mut take: impl FnMut(usize, usize, usize)) -> bool {
        let mut at = 0;
        for part in &self.parts {
            let Some(rest) = key.get(at..) else { return false };
            at += match part {
                Part::Literal(literal) if rest.starts_with(literal.as_bytes()) => literal.len(),
                Part::Literal(_) => return false,
                Part::Capture(capture) => {
                    let Some(length) = capture.length(rest) else { return false };
                    take(capture.slot, at, at + length);
                    length
                }
            };
        }
        at == key.len()
    }
}

impl Capture {
    /// How much it takes of what is left of a key.
    #[inline]
    fn length(&self, rest: &[u8]) -> Option<usize> {
        let length = match &self.reach {
            Reach::Rest => rest.len(),
            Reach::Until(text) => text.find(rest)?,
            Reach::Segment(separator) if separator.find(rest).is_none() => rest.len(),
            Reach::Segment(_) => return None,
            Reach::Uuid => uuid_length(rest)?,
            Reach::Int => int_length(rest)?,
        };
        match &self.regex {
            Some(regex) => rest.get(..length).filter(|text| regex.takes(text)).map(|_| length),
            None => Some(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Pattern;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    fn read<'k>(pattern: &Pattern, key: &'k str) -> Option<Vec<&'k str>> {
        let texts = pattern.captures(key.as_bytes())?.texts(key.as_bytes());
        Some(texts.into_iter().map(|text| std::str::from_utf8(text).unwrap()).collect())
    }

    fn captured<'k>(text: &str, key: &'k str) -> Option<Vec<&'k str>> {
        read(&pattern(text), key)
    }

    #[test]
    fn k01_and_k02_the_mapping_says_whether_an_id_may_hold_the_delimiter() {
        assert_eq!(captured("document:{id}", "document:1"), Some(vec!["1"]));
        assert_eq!(captured("document:{id}", "document:1:meta"), None);
        assert_eq!(captured("document:{id..}", "document:urn:isbn:9780"), Some(vec!["urn:isbn:9780"]));
        assert_eq!(captured("document:{id..}", "documents:2"), None);
        assert_eq!(captured("document:{id..}", "document:"), Some(vec![""]));
        assert_eq!(captured("a:{id}:meta", "a:7:meta"), Some(vec!["7"]));
        assert_eq!(captured("a:{id}:meta", "a:7:lock"), None);
        assert_eq!(captured("a:{id}:meta", "a:7:8:meta"), None);
        assert!(pattern("document:{id..}").matches(b"document:\xff\x00"));
    }

    #[test]
    fn k03_k07_and_k08_literal_text_is_literal() {
        assert_eq!(captured("document[x]:{id}", "document[x]:1"), Some(vec!["1"]));
        assert_eq!(captured("document[x]:{id}", "documentx:1"), None);
        assert_eq!(captured("{{tenant1}}:document:{id..}", "{tenant1}:document:7"), Some(vec!["7"]));
        assert_eq!(captured("{{{tenant}}}:document:{id}", "{tenant1}:document:7"), Some(vec!["tenant1", "7"]));
        assert_eq!(captured("{{{tenant}}}:document:{id}", "{user:1}:document:7"), Some(vec!["user:1", "7"]));
        assert!(!pattern("").matches(b"x"));
        assert!(pattern("").matches(b""));
    }

    #[test]
    fn a_capture_ends_at_the_first_occurrence_of_what_follows() {
        assert_eq!(captured("{a}-{b}", "x-y-z"), Some(vec!["x", "y-z"]));
        assert_eq!(captured("{a}-{b}", "x:1-y"), Some(vec!["x:1", "y"]));
        assert_eq!(captured("{a}-{b}", "x-y:z"), None);
        assert_eq!(captured("{a}--{b}", "x-y--z"), Some(vec!["x-y", "z"]));
        assert_eq!(captured("{a}é{b..}", "xéyéz"), Some(vec!["x", "yéz"]));
        assert_eq!(captured("x{a}", "x"), Some(vec![""]));
        let with = |separator: &str, text: &str| Pattern::parse_with(text, separator).unwrap();
        assert_eq!(read(&with("-", "{a}-{b}"), "x-y-z"), None);
        assert_eq!(read(&with("/", "{a}/{b}"), "x:1/y:2"), Some(vec!["x:1", "y:2"]));
        assert_eq!(read(&with("::", "a::{b}::{c}"), "a::x:y::z"), Some(vec!["x:y", "z"]));
    }

    #[test]
    fn shapes_are_looked_at() {
        let uuid = "01234567-89AB-4def-8012-3456789abcde";
        let key = format!("d:{uuid}");
        assert_eq!(captured("d:{id:uuid}", &key), Some(vec![uuid]));
        assert_eq!(captured("d:{id:uuid}", "d:1"), None);
        assert_eq!(captured("d:{id:uuid}", &format!("{key}0")), None);
        let key = format!("d:{uuid}-7");
        assert_eq!(captured("d:{id:uuid}-{n:int}", &key), Some(vec![uuid, "7"]));
        assert_eq!(captured("n:{a:int}-{b:int}", "n:-5--3"), Some(vec!["-5", "-3"]));
        assert_eq!(captured("n:{a:int}", "n:5x"), None);
        assert_eq!(captured(r"d:{day:/\d{4}-\d\d/}:{n}", "d:2024-01:x"), Some(vec!["2024-01", "x"]));
        assert_eq!(captured(r"d:{day:/\d{4}-\d\d/}:{n}", "d:2024-1:x"), None);
        assert_eq!(captured("d:{id:/[a-z:]+/}", "d:a:b"), Some(vec!["a:b"]), "an expression may take the separator");
        assert_eq!(captured(r"p:{path:/[a-z\/]+/}", "p:a/b"), Some(vec!["a/b"]));
    }

    #[test]
    fn there_can_be_many_captures() {
        let text: Vec<String> = (0..16).map(|n| format!("{{c{n}}}")).collect();
        let key: Vec<String> = (0..16).map(|n| n.to_string()).collect();
        let read = captured(&text.join(":"), &key.join(":")).map(|texts| texts.join(":"));
        assert_eq!(read, Some(key.join(":")));
    }
}
