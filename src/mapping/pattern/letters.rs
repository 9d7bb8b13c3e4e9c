//! Which bytes some automata treat alike: of those it is enough to try one.

use super::language::{Delimiter, Language};
use std::collections::{HashMap, HashSet};

/// Bytes in classes.
pub(super) struct Letters([u32; 256]);

impl Letters {
    pub(super) fn new() -> Self {
        Self([0; 256])
    }

    /// Bytes of one class with different values are of different classes from now on.
    pub(super) fn refine(&mut self, value: impl Fn(u8) -> u32) {
        let mut known = HashMap::new();
        for (byte, class) in (0..=u8::MAX).zip(&mut self.0) {
            let count = known.len() as u32;
            *class = *known.entry((*class, value(byte))).or_insert(count);
        }
    }

    pub(super) fn tell_apart(&mut self, text: &Language, delimiter: Option<&Delimiter>) {
        if let Language::Table(table) = text {
            self.refine(|byte| u32::from(table.byte_classes().get(byte)));
        }
        for byte in delimiter.map_or(&[][..], |delimiter| &delimiter.text) {
            self.refine(|b| u32::from(b == *byte));
        }
    }

    /// One byte of each class, one that reads well where there is one.
    pub(super) fn examples(&self) -> Vec<u8> {
        let readable = (b'a'..=b'z').chain(b'0'..=b'9').chain(b'A'..=b'Z').chain(b'!'..=b'~');
        let mut seen = HashSet::new();
        readable.chain(0..=u8::MAX).filter(|byte| seen.insert(self.0[usize::from(*byte)])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Delimiter, Language, Letters};

    #[test]
    fn bytes_that_differ_are_told_apart_and_read_well() {
        let mut letters = Letters::new();
        assert_eq!(letters.examples(), b"a");
        letters.tell_apart(&Language::Any, Some(&Delimiter::new(b"a:a")));
        letters.refine(|byte| u32::from(byte.is_ascii_digit()));
        assert_eq!(letters.examples(), b"ab0:");
        letters.refine(|byte| u32::from(byte < 32));
        assert_eq!(letters.examples(), b"ab0:\0");
    }
}
