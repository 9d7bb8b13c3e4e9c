//! A pattern as Redis's globs can say it: every capture is a `*`.

use super::{Part, Pattern};
use memchr::memmem;

impl Pattern {
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
                Part::Capture(_) => glob.push('*'),
            }
        }
        glob
    }

    /// Whether the glob lets a key through.
    pub fn glob_matches(&self, key: &[u8]) -> bool {
        let mut rest = key;
        let mut open = false;
        let last = self.parts.len().saturating_sub(1);
        for (index, part) in self.parts.iter().enumerate() {
            let Part::Literal(literal) = part else {
                open = true;
                continue;
            };
            let literal = literal.as_bytes();
            // After a `*` the leftmost place leaves the most for what follows; the last literal must be the key's end.
            let at = match (open, index == last) {
                (false, _) => rest.starts_with(literal).then_some(0),
                (true, true) => rest.ends_with(literal).then(|| rest.len() - literal.len()),
                (true, false) => memmem::find(rest, literal),
            };
            let Some(tail) = at.and_then(|at| rest.get(at + literal.len()..)) else { return false };
            (rest, open) = (tail, false);
        }
        open || rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn characters_that_mean_something_to_redis_are_escaped() {
        let glob = |text: &str| Pattern::parse(text).unwrap().glob();
        assert_eq!(glob("document[x]:{id}"), r"document\[x\]:*");
        assert_eq!(glob(r"d\e*?^-:{id:uuid}:{{x}}"), r"d\\e\*\?\^\-:*:{x}");
        assert_eq!(glob(""), "");
    }

    #[test]
    fn the_glob_lets_more_through_than_the_pattern() {
        let passes = |text: &str, key: &[u8]| Pattern::parse(text).unwrap().glob_matches(key);
        assert!(passes("document:{id}", b"document:1:meta") && passes("document:{id}", b"document:"));
        assert!(!passes("document:{id}", b"documents:1") && !passes("document:{id}", b"document"));
        assert!(passes("a:{x}:m", b"a::m:m") && !passes("a:{x}:m", b"a:m"));
        assert!(passes("{a}-{b}-c", b"---c") && !passes("{a}-{b}-c", b"-c"));
        assert!(passes("", b"") && !passes("", b"x") && passes("{a}", b"\xff"));
    }
}
