//! Text that is shown: no secret in it, and nothing that a terminal would act on.

use super::scrub;
use std::char::EscapeDefault;

/// Text from elsewhere, safe for a terminal: passwords hidden, control characters escaped, on one line. Of what was made safe already it
/// changes nothing.
pub fn clean(text: &str) -> String {
    escaped(&scrub(text))
}

/// Our own words, safe for a terminal. Not scrubbed: nothing that was typed is in a hint, and its examples of URLs are
/// to be read.
pub fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { Escaped::Yes(c.escape_default()) } else { Escaped::No(Some(c)) })
        .collect()
}

/// A character as it is, or escaped.
enum Escaped {
    Yes(EscapeDefault),
    No(Option<char>),
}

impl Iterator for Escaped {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self {
            Self::Yes(escape) => escape.next(),
            Self::No(c) => c.take(),
        }
    }
}
