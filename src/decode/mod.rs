//! From bytes to checked JSON text: what PostgreSQL would refuse is found here, before it costs a batch.
//!
//! Owns the strict check of JSON, field access over the original text, and the names of other encodings. Pure: no I/O,
//! no async. Uses nothing of the crate. Values are never taken through a float: the text stays as it was read.

mod elements;
mod error;
mod json;
mod magic;
mod number;
mod path;
mod scanned;
mod text;

pub use elements::elements;
pub use error::{DecodeError, Fault};
pub use json::{MAX_DEPTH, MAX_JSONB_BYTES, MAX_TEXT_BYTES, scan};
pub use path::{JsonPath, lookup};
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
    let (body, bom) = match value.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (rest, true),
        None => (value, false),
    };
    let skipped = value.len() - body.len();
    if body.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
        return Err(DecodeError::new("empty_value", "the value is empty or white space only"));
    }
    let decoded = match std::str::from_utf8(body) {
        Ok(text) => scan(text, fields).map(|scanned| Decoded { text, scanned, bom }),
        Err(error) => Err(Fault { kind: FaultKind::Utf8, at: error.valid_up_to() }),
    };
    decoded.map_err(|fault| match magic::recognise(value) {
        Some(encoding) => DecodeError::new(
            format!("encoding_unsupported ({encoding})"),
            format!("the value is not JSON text, it looks like {encoding}"),
        ),
        None => error::explain(body, fault, skipped),
    })
}

#[cfg(test)]
mod tests;
