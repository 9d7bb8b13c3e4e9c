//! The second, slower pass: rewrites a JSON text that the scanner has refused, as far as the mapping asks for it.
//!
//! It reads the text as JSON, token by token, so that `\\u0000` (a backslash, then text) and `"NaN"` stay as they are.
//! What it writes is scanned again: it repairs three things and proves nothing.

use super::error::{FOUR_DIGITS, Fault, FaultKind, nonfinite};
use super::{NonfinitePolicy, NulPolicy, Policies};

/// Rewrites a text; the names of the policies that acted go to `altered`.
///
/// # Errors
/// The first NUL or half surrogate pair that no policy covers, by its place in `text`; and an escape without all of its
/// digits, which it could get from what stands behind a NUL that is taken out.
pub(super) fn repair(text: &str, policies: &Policies, altered: &mut Vec<&'static str>) -> Result<String, Fault> {
    let mut repair = Repair { text, out: String::with_capacity(text.len()), policies, altered };
    let mut at = 0;
    while at < text.len() {
        at = match text.as_bytes().get(at) {
            Some(b'"') => repair.string(at)?,
            Some(b'N' | b'I' | b'-') => repair.token(at),
            _ => repair.plain(at, b"\"NI-"),
        };
    }
    Ok(repair.out)
}

struct Repair<'a> {
    text: &'a str,
    out: String,
    policies: &'a Policies,
    altered: &'a mut Vec<&'static str>,
}

impl Repair<'_> {
    fn rest(&self, at: usize) -> &[u8] {
        self.text.as_bytes().get(at..).unwrap_or_default()
    }

    fn note(&mut self, policy: &'static str) {
        if !self.altered.contains(&policy) {
            self.altered.push(policy);
        }
    }

    /// Copies from `at` up to the next of the bytes `until`, at least one byte; gives where that is.
    fn plain(&mut self, at: usize, until: &[u8]) -> usize {
        // The byte at `at` may be the start of a longer character: what stops is ASCII, so the cut falls between two.
        let behind = self.text.as_bytes().iter().skip(at + 1).position(|byte| until.contains(byte));
        let end = behind.map_or(self.text.len(), |length| at + 1 + length);
        self.out.push_str(self.text.get(at..end).unwrap_or_default());
        end
    }

    /// A number that JSON does not have, outside of strings. One that a colon follows is a key: no key is made up.
    fn token(&mut self, at: usize) -> usize {
        let (Some(policy), Some(token)) = (self.policies.nonfinite, nonfinite(self.rest(at))) else {
            return self.plain(at, b"\"NI-");
        };
        if self.rest(at + token.len()).trim_ascii_start().starts_with(b":") {
            return self.plain(at, b"\"NI-");
        }
        match policy {
            NonfinitePolicy::Null => self.out.push_str("null"),
            NonfinitePolicy::String => self.out.extend(["\"", token, "\""]),
        }
        self.note("nonfinite");
        at + token.len()
    }

    /// A string from its opening quote to behind its closing one, or to the end of the text.
    fn string(&mut self, at: usize) -> Result<usize, Fault> {
        let mut at = self.plain(at, b"\"\\");
        loop {
            match self.rest(at) {
                [b'"', ..] => {
                    self.out.push('"');
                    return Ok(at + 1);
                }
                [b'\\', ..] => at = self.escape(at)?,
                [] => return Ok(at),
                _ => at = self.plain(at, b"\"\\"),
            }
        }
    }

    /// One escape; gives where it ends.
    fn escape(&mut self, at: usize) -> Result<usize, Fault> {
        let end = match unit(self.rest(at)) {
            Some(0) => return self.nul(at),
            Some(0xd800..=0xdbff) if matches!(unit(self.rest(at + 6)), Some(0xdc00..=0xdfff)) => at + 12,
            Some(0xd800..=0xdfff) => return self.half(at),
            Some(_) => at + 6,
            None if self.rest(at).starts_with(b"\\u") => {
                return Err(Fault { kind: FaultKind::Syntax(FOUR_DIGITS), at });
            }
            // A backslash and one more character, whatever its length.
            None => at + 1 + self.text.get(at + 1..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8),
        };
        self.out.push_str(self.text.get(at..end).unwrap_or_default());
        Ok(end)
    }

    fn nul(&mut self, at: usize) -> Result<usize, Fault> {
        match self.policies.nul {
            None => return Err(Fault { kind: FaultKind::Nul, at }),
            Some(NulPolicy::Strip) => {}
            Some(NulPolicy::Replace) => self.out.push(char::REPLACEMENT_CHARACTER),
        }
        self.note("nul");
        Ok(at + 6)
    }

    /// Without this policy the pass ends here: NULs taken out around it could make a pair of two halves.
    fn half(&mut self, at: usize) -> Result<usize, Fault> {
        if self.policies.surrogates.is_none() {
            return Err(Fault { kind: FaultKind::Surrogate, at });
        }
        self.out.push(char::REPLACEMENT_CHARACTER);
        self.note("surrogates");
        Ok(at + 6)
    }
}

/// The code unit of the `\uXXXX` that the text begins with.
fn unit(rest: &[u8]) -> Option<u32> {
    let digits = rest.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}
