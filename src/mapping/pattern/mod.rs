//! Which keys a mapping takes: literal text with captures, read on bytes.
//!
//! `parse` reads what a person wrote, `matching` reads keys by it, `build` makes a key of it, `glob` says it to Redis,
//! `shape` knows what a capture may hold. `overlap` finds a key that two patterns would both take, by the `automaton` of each,
//! which reads by `language` and `letters`. `key_set` puts several patterns and exclusions together.

mod automaton;
mod build;
mod glob;
mod key_set;
mod language;
mod letters;
mod matching;
mod overlap;
mod parse;
#[cfg(test)]
mod properties;
mod shape;

pub use key_set::{KeySet, Miss};
pub(super) use matching::Captures;
pub(super) use overlap::Overlap;
pub use parse::escape_literal;

use memchr::memmem::Finder;
use shape::Regex;

/// How many captures a pattern may have.
const MAX_CAPTURES: usize = 16;

/// What separates the segments of a key where a mapping does not say otherwise.
pub(super) const SEPARATOR: &str = ":";

/// A compiled key pattern. A key is read from left to right and in one way only.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As it was written.
    text: String,
    parts: Vec<Part>,
    /// The captures' names, by slot.
    names: Vec<String>,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Capture(Capture),
}

/// One capture: where its text is kept, how far it reaches, and what the text must be.
#[derive(Clone, Debug)]
struct Capture {
    slot: usize,
    reach: Reach,
    regex: Option<Regex>,
}

/// How far a capture reaches.
#[derive(Clone, Debug)]
enum Reach {
    /// Up to the first occurrence of a text, which must be there.
    Until(Box<Finder<'static>>),
    /// To the end of the key, which must not have the separator in it.
    Segment(Box<Finder<'static>>),
    /// To the end of the key.
    Rest,
    /// The 36 characters of a UUID.
    Uuid,
    /// A minus sign if there is one, and all the digits.
    Int,
}

impl Pattern {
    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The captures' names in the order of their slots.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The literal text that it begins with; empty where it begins with a capture.
    pub fn prefix(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(literal)) => literal,
            _ => "",
        }
    }

    /// The literal text that it ends with; empty where it ends with a capture.
    fn suffix(&self) -> &str {
        match self.parts.last() {
            Some(Part::Literal(literal)) => literal,
            _ => "",
        }
    }

    /// Whether its literal text tells its keys from others: it begins or ends with some, or has a letter or digit in between. A
    /// separator alone is in most keys.
    fn has_landmark(&self) -> bool {
        let says = |part: &Part| matches!(part, Part::Literal(text) if text.chars().any(char::is_alphanumeric));
        !self.prefix().is_empty() || !self.suffix().is_empty() || self.parts.iter().any(says)
    }

    /// Gives the captures the slots that they have in `names`. `false` where the names are not the same.
    fn reorder(&mut self, names: &[String]) -> bool {
        let place = |name: &String| names.iter().position(|known| known == name);
        let Some(places) = self.names.iter().map(place).collect::<Option<Vec<_>>>() else { return false };
        for part in &mut self.parts {
            if let Part::Capture(capture) = part {
                capture.slot = places.get(capture.slot).copied().unwrap_or(capture.slot);
            }
        }
        let same = self.names.len() == names.len();
        self.names = names.to_vec();
        same
    }
}
