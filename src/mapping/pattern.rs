//! Key patterns: literal text with captures, matched on bytes, and built back into a key.
//!
//! `{id..}` takes all the rest of the key, `{id}` one segment (no colon); `{{` and `}}` are literal braces. A segment
//! must be followed by a colon or the end, and the rest must come last, so that a key can be read in one way only.

use crate::model::RedisKey;

/// How many captures a pattern may have.
pub(super) const MAX_CAPTURES: usize = 4;

/// A compiled key pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Segment(String),
    Rest(String),
}

/// What a key's captures took, as ranges of the key's bytes, in the pattern's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Captures {
    ranges: [(u32, u32); MAX_CAPTURES],
    count: usize,
}

impl Captures {
    /// The text of capture `index` in the key.
    pub(super) fn text(self, key: &str, index: usize) -> &str {
        let (start, end) = self.ranges.get(index).copied().unwrap_or_default();
        key.get(start as usize..end as usize).unwrap_or_default()
    }

    /// Whether any capture took nothing.
    pub(super) fn any_empty(self) -> bool {
        self.ranges.iter().take(self.count).any(|(start, end)| start == end)
    }

    fn take(&mut self, start: usize, end: usize) {
        if let Some(range) = self.ranges.get_mut(self.count) {
            *range = (start as u32, end as u32);
            self.count += 1;
        }
    }
}

impl Pattern {
    /// Reads a pattern such as `document:{id..}`.
    ///
    /// # Errors
    /// Where a brace is not closed, a capture has no name or one that is taken, or a key could be read in two ways.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(tail) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
                literal.push(c);
                rest = tail;
            } else if let Some(tail) = rest.strip_prefix('{') {
                let (name, tail) = tail.split_once('}').ok_or_else(|| format!("`{text}`: a `{{` is not closed"))?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(match name.strip_suffix("..") {
                    Some(name) => Part::Rest(name.to_owned()),
                    None => Part::Segment(name.to_owned()),
                });
                rest = tail;
            } else if c == '}' {
                return Err(format!("`{text}`: a `}}` closes nothing (`}}}}` is a literal one)"));
            } else {
                literal.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        let pattern = Self { parts };
        pattern.check(text).map(|()| pattern)
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let names: Vec<&str> = self.names().collect();
        if names.len() > MAX_CAPTURES {
            return Err(format!("`{text}`: more than {MAX_CAPTURES} captures"));
        }
        for (index, name) in names.iter().enumerate() {
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(format!("`{text}`: `{name}` is no name for a capture"));
            }
            if names.iter().take(index).any(|earlier| earlier == name) {
                return Err(format!("`{text}`: the capture `{name}` is there twice"));
            }
        }
        for pair in self.parts.windows(2) {
            match pair {
                [Part::Rest(name), _] => return Err(format!("`{text}`: nothing can follow `{{{name}..}}`")),
                [Part::Segment(name), Part::Literal(next)] if !next.starts_with(':') => {
                    return Err(format!("`{text}`: `{{{name}}}` must be followed by a colon or the end"));
                }
                [Part::Segment(name), Part::Segment(_) | Part::Rest(_)] => {
                    return Err(format!("`{text}`: nothing tells where `{{{name}}}` ends"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The captures' names in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Segment(name) | Part::Rest(name) => Some(name.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// Whether a key is of this pattern.
    pub fn matches(&self, key: &[u8]) -> bool {
        self.captures(key).is_some()
    }

    /// What the captures take of a key of this pattern; a capture may be empty.
    #[inline]
    pub(super) fn captures(&self, key: &[u8]) -> Option<Captures> {
        let mut captures = Captures::default();
        let mut at = 0;
        for part in &self.parts {
            let rest = key.get(at..)?;
            match part {
                Part::Literal(literal) => {
                    if !rest.starts_with(literal.as_bytes()) {
                        return None;
                    }
                    at += literal.len();
                }
                Part::Segment(_) => {
                    let end = at + memchr::memchr(b':', rest).unwrap_or(rest.len());
                    captures.take(at, end);
                    at = end;
                }
                Part::Rest(_) => {
                    captures.take(at, key.len());
                    at = key.len();
                }
            }
        }
        (at == key.len()).then_some(captures)
    }

    /// The key whose one capture is `text`; `None` where there are more captures, or where it would be read otherwise.
    pub(super) fn build(&self, text: &str) -> Option<RedisKey> {
        if text.is_empty() || self.names().count() != 1 {
            return None;
        }
        let key: String = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Literal(literal) => literal.as_str(),
                Part::Segment(_) | Part::Rest(_) => text,
            })
            .collect();
        let same = self.captures(key.as_bytes())?.text(&key, 0) == text;
        same.then(|| RedisKey::new(key.into_bytes()))
    }

    /// A glob for `SCAN … MATCH` that lets every key of this pattern through (and some others: check with `matches`).
    pub fn glob(&self) -> String {
        let mut glob = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => {
                    for c in literal.chars() {
                        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
                            glob.push('\\');
                        }
                        glob.push(c);
                    }
                }
                Part::Segment(_) | Part::Rest(_) => glob.push('*'),
            }
        }
        glob
    }

    /// Whether some key is of both patterns.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (left, right) = (self.tokens(), other.tokens());
        let width = right.len() + 1;
        let mut seen = vec![false; (left.len() + 1) * width];
        let mut open = vec![(0, 0)];
        while let Some((i, j)) = open.pop() {
            let Some(seen) = seen.get_mut(i * width + j).filter(|seen| !**seen) else { continue };
            *seen = true;
            match (left.get(i), right.get(j)) {
                (None, None) => return true,
                (Some(a), b) if a.repeats() => {
                    // A capture takes nothing, or a byte that the other side takes as well.
                    open.push((i + 1, j));
                    match b {
                        Some(b) if b.repeats() => open.push((i, j + 1)),
                        Some(b) if a.takes(b) => open.push((i, j + 1)),
                        _ => {}
                    }
                }
                (a, Some(b)) if b.repeats() => {
                    open.push((i, j + 1));
                    if a.is_some_and(|a| b.takes(a)) {
                        open.push((i + 1, j));
                    }
                }
                (Some(a), Some(b)) if a == b => open.push((i + 1, j + 1)),
                _ => {}
            }
        }
        false
    }

    fn tokens(&self) -> Vec<Token> {
        let mut tokens = Vec::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => tokens.extend(literal.bytes().map(Token::Byte)),
                Part::Segment(_) => tokens.push(Token::NoColon),
                Part::Rest(_) => tokens.push(Token::Any),
            }
        }
        tokens
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    Byte(u8),
    NoColon,
    Any,
}

impl Token {
    fn repeats(self) -> bool {
        !matches!(self, Self::Byte(_))
    }

    fn takes(self, other: &Self) -> bool {
        match (self, other) {
            (Self::NoColon, Self::Byte(byte)) => *byte != b':',
            (Self::Any, _) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    fn captured(text: &str, key: &str) -> Option<String> {
        pattern(text).captures(key.as_bytes()).map(|captures| captures.text(key, 0).to_owned())
    }

    #[test]
    fn k01_and_k02_the_mapping_says_whether_an_id_may_hold_the_delimiter() {
        assert_eq!(captured("document:{id}", "document:1").as_deref(), Some("1"));
        assert_eq!(captured("document:{id}", "document:1:meta"), None);
        assert_eq!(captured("document:{id..}", "document:urn:isbn:9780").as_deref(), Some("urn:isbn:9780"));
        assert_eq!(captured("document:{id..}", "documents:2"), None);
        assert_eq!(captured("document:{id..}", "document:").as_deref(), Some(""));
        assert_eq!(captured("a:{id}:meta", "a:7:meta").as_deref(), Some("7"));
        assert_eq!(captured("a:{id}:meta", "a:7:lock"), None);
        assert!(pattern("document:{id..}").matches(b"document:\xff\x00"));
    }

    #[test]
    fn k03_and_k07_prefixes_are_literal() {
        assert_eq!(captured("document[x]:{id}", "document[x]:1").as_deref(), Some("1"));
        assert_eq!(captured("document[x]:{id}", "documentx:1"), None);
        assert_eq!(pattern("document[x]:{id}").glob(), r"document\[x\]:*");
        assert_eq!(captured("{{tenant1}}:document:{id..}", "{tenant1}:document:7").as_deref(), Some("7"));
        assert!(!pattern("").matches(b"x"));
        assert!(pattern("").matches(b""));
    }

    #[test]
    fn overlaps_are_found() {
        let overlap = |a: &str, b: &str| {
            let found = pattern(a).overlaps(&pattern(b));
            assert_eq!(pattern(b).overlaps(&pattern(a)), found, "{a} {b}");
            found
        };
        assert!(overlap("document:{id..}", "document:{id}:meta"));
        assert!(overlap("document:{id..}", "document:{a}"));
        assert!(overlap("{a}:x", "b:{c}"));
        assert!(overlap("{a..}", "session:{id}"));
        assert!(overlap("a:{b}:{c..}", "a:{b}:x:y"));
        assert!(!overlap("document:{id}", "document:{id}:meta"));
        assert!(!overlap("document:{id..}", "documents:{id..}"));
        assert!(!overlap("{a}:x", "b:{c}:y"));
    }

    #[test]
    fn keys_are_built_back_where_they_would_be_read_the_same() {
        let built = |text: &str, id: &str| pattern(text).build(id).map(|key| key.to_string());
        assert_eq!(built("document:{id..}", "a:b").as_deref(), Some("document:a:b"));
        assert_eq!(built("document:{id}", "a:b"), None);
        assert_eq!(built("t:{id}:meta", "7").as_deref(), Some("t:7:meta"));
        assert_eq!(built("document:{id..}", ""), None);
        assert_eq!(built("{a}:{b}", "7"), None);
    }

    #[test]
    fn patterns_that_cannot_be_read_in_one_way_are_refused() {
        for text in ["a:{id", "a}", "{a..}:x", "{a}x", "{a}{b}", "{}", "{a b}", "{a}:{a}", "{a}:{b}:{c}:{d}:{e}"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
