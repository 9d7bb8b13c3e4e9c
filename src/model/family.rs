//! Families of keys: what is told of keys that nobody knows one by one.

use super::RedisKey;
use bytes::Bytes;
use std::fmt;

/// The longest name of a family, in bytes of the key.
const LONGEST: usize = 40;

/// The first segment of a key. Keys without a separator are a family each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Family<'k> {
    begins: &'k [u8],
    goes_on: bool,
}

impl<'k> Family<'k> {
    /// The family of a key: all up to the first `:` or `/`, cut to a readable length.
    pub fn of(key: &'k [u8]) -> Self {
        let end = memchr::memchr2(b':', b'/', key).filter(|at| *at > 0).map(|at| at + 1);
        let length = end.unwrap_or(key.len());
        if length <= LONGEST {
            return Self { begins: key.get(..length).unwrap_or(key), goes_on: end.is_some() };
        }
        // Not within a character.
        let is_inside = |at: &usize| key.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
        let cut = (LONGEST - 3..=LONGEST).rev().find(|at| !is_inside(at)).unwrap_or(LONGEST);
        Self { begins: key.get(..cut).unwrap_or(key), goes_on: true }
    }
}

/// As a pattern for people, such as `document:*`.
impl fmt::Display for Family<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", RedisKey::new(Bytes::copy_from_slice(self.begins)))?;
        if self.goes_on { f.write_str("*") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::Family;

    fn family(key: impl AsRef<[u8]>) -> String {
        Family::of(key.as_ref()).to_string()
    }

    #[test]
    fn families_are_first_segments() {
        assert_eq!(family("document:a:b"), "document:*");
        assert_eq!(family("a/b:c"), "a/*");
        assert_eq!(family("plain"), "plain");
        assert_eq!(family(":x"), ":x");
        assert_eq!(family(""), "");
        assert_eq!(family(b"\xff:1"), r"\xff:*");
    }

    #[test]
    fn long_ones_are_cut_between_characters() {
        assert_eq!(family("x".repeat(40)), "x".repeat(40));
        assert_eq!(family("x".repeat(41)), format!("{}*", "x".repeat(40)));
        assert_eq!(family(format!("{}é:1", "x".repeat(39))), format!("{}*", "x".repeat(39)));
        assert_eq!(family([0x80; 50]), format!("{}*", r"\x80".repeat(40)));
    }
}
