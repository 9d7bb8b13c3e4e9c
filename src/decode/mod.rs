//! From bytes to checked JSON text: what PostgreSQL would refuse is found here, before it costs a batch.
//!
//! Owns the chain of steps that a mapping names, the strict check of JSON, the repairs that a mapping asks for, field
//! access over the original text, and the names of other encodings. Pure: no I/O, no async. Uses nothing of the crate.
//! Values are never taken through a float: the text stays as it was read.

mod chain;
mod charset;
mod content;
mod duplicates;
mod elements;
mod error;
mod json;
mod magic;
mod number;
mod open_keys;
mod path;
mod policy;
mod repair;
mod scanned;
mod text;
mod transcode;

pub(crate) use chain::hex_bytes;
pub use chain::{Chain, ChainError, Form};
pub use content::{Content, Decoder};
pub use duplicates::has_duplicate_keys;
pub use elements::elements;
pub use error::{DecodeError, Fault};
pub use json::{MAX_DEPTH, MAX_JSONB_BYTES, MAX_TEXT_BYTES, scan};
pub use path::{JsonPath, lookup, push_key};
pub use policy::{BytesPolicy, Charset, DuplicateKeys, NonfinitePolicy, NulPolicy, Policies, SurrogatePolicy};
pub use scanned::{Field, Kind, Scanned, Span};
pub use text::{push_json_string, unescape};

use error::FaultKind;

/// A value's JSON text, checked.
#[derive(Clone, Copy, Debug)]
pub struct Decoded<'a> {
    /// The text, without a byte order mark.
    pub text: &'a str,
    /// What kind of JSON value it is, and where in the text.
    pub scanned: Scanned,
    /// Whether a byte order mark was skipped, which counts as altered.
    pub bom: bool,
}

/// Checks a value's bytes as JSON and finds the fields of its top level.
///
/// `fields` is cleared first; it holds the fields in their order, repeated keys included (the last one wins).
///
/// # Errors
/// `empty_value`, `encoding_unsupported (…)`, `invalid_utf8`, `value_too_large`, and all that [`scan`] refuses.
/// Offsets count bytes of `value`.
pub fn decode<'a>(value: &'a [u8], fields: &mut Vec<Field>) -> Result<Decoded<'a>, DecodeError> {
    strict(value, fields).map_err(|fault| refusal(value, fault))
}

/// As [`decode`], with the fault not yet put into words; its place counts from behind a byte order mark.
#[inline]
fn strict<'a>(value: &'a [u8], fields: &mut Vec<Field>) -> Result<Decoded<'a>, Fault> {
    let (body, bom) = without_bom(value);
    if body.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
        return Err(Fault { kind: FaultKind::Empty, at: 0 });
    }
    match std::str::from_utf8(body) {
        Ok(text) => scan(text, fields).map(|scanned| Decoded { text, scanned, bom }),
        Err(error) => Err(Fault { kind: FaultKind::Utf8, at: error.valid_up_to() }),
    }
}

fn without_bom(value: &[u8]) -> (&[u8], bool) {
    match value.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (rest, true),
        None => (value, false),
    }
}

/// Why bytes are not JSON text: another encoding that they look like, or the fault itself.
#[cold]
fn refusal(value: &[u8], fault: Fault) -> DecodeError {
    let (body, _) = without_bom(value);
    foreign(value).unwrap_or_else(|| error::explain(body, fault, value.len() - body.len()))
}

/// The refusal of bytes that are not UTF-8 at byte `at`, by the first of them.
#[cold]
pub fn not_utf8(head: &[u8], at: u64) -> DecodeError {
    foreign(head).unwrap_or_else(|| DecodeError::new("invalid_utf8", format!("not UTF-8 at byte {at}")))
}

/// The refusal of bytes that look like another encoding than text.
#[cold]
fn foreign(value: &[u8]) -> Option<DecodeError> {
    magic::recognise(value).map(|(encoding, step)| {
        let mut detail = format!("the value is not plain text, it looks like {encoding}");
        if let Some(step) = step {
            detail.push_str(&format!("; `{step}` in the mapping's `decode` reads it where it is a whole value"));
        }
        DecodeError::new(format!("encoding_unsupported ({encoding})"), detail)
    })
}

#[cfg(test)]
mod tests;
