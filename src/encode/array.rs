//! Arrays from JSON arrays.
//!
//! Format: the number of dimensions, whether there are nulls, the element type's OID, a length and a lower bound for each
//! dimension, then the elements as fields (`array_send` in PostgreSQL's `arrayfuncs.c`).

use super::error::{EncodeError, mismatch};
use super::{Encoder, Note, Policy, Value, check_size};
use crate::decode::{Kind, MAX_TEXT_BYTES, scan, unescape};
use crate::model::{ROUNDED, SERVER_READS};
use std::borrow::Cow;

/// PostgreSQL's own limit.
const MAX_DIMENSIONS: usize = 6;

/// The JSON array that a value is: JSON itself, or text that holds a JSON array. `None` and a note for `{}` where that
/// stands for an empty one.
pub(super) fn json_array<'a>(value: Value<'a>, policy: &Policy) -> Result<(Option<&'a str>, Note), EncodeError> {
    let text = match value {
        Value::Json(text) => text,
        Value::Text(text) if text.trim_ascii_start().starts_with('[') => {
            let checked = scan(text, &mut Vec::new());
            let scanned = checked.map_err(|fault| {
                let error = fault.explain(text);
                EncodeError { reason: error.reason, detail: error.detail }
            })?;
            scanned.span.of(text)
        }
        _ => return Err(mismatch(value, "array")),
    };
    match Kind::of(text) {
        Kind::Array => Ok((Some(text), None)),
        Kind::Object if policy.empty_object_as_array && is_empty(text) => Ok((None, Some("empty_object_as_array"))),
        _ => Err(mismatch(Value::Json(text), "array")),
    }
}

/// Whether a well-formed object has no members.
fn is_empty(object: &str) -> bool {
    object.get(1..object.len().saturating_sub(1)).is_some_and(|inner| inner.trim_ascii().is_empty())
}

/// Appends an array's field.
pub(super) fn encode(
    value: Value<'_>,
    element: &Encoder,
    element_oid: u32,
    policy: &Policy,
    out: &mut Vec<u8>,
) -> Result<Note, EncodeError> {
    let (text, mut note) = json_array(value, policy)?;
    let mut shape = Shape { nests: !element.takes_json(), ..Shape::default() };
    if let Some(text) = text {
        shape.walk(text, 0)?;
    }
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let dimensions = if shape.leaves.is_empty() { &[][..] } else { &shape.lengths[..] };
    out.extend_from_slice(&(dimensions.len() as i32).to_be_bytes());
    let flags = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&element_oid.to_be_bytes());
    for length in dimensions {
        // No more than the bytes of the text, which fit an i32.
        out.extend_from_slice(&(*length as i32).to_be_bytes());
        out.extend_from_slice(&1_i32.to_be_bytes());
    }
    for (place, leaf) in shape.leaves.iter().enumerate() {
        let at = out.len();
        let mut spare = String::new();
        let done = element.encode(json_value(leaf, element.takes_json(), &mut spare), out).map_err(|error| {
            EncodeError { reason: error.reason, detail: format!("element {}: {}", place + 1, error.detail) }
        })?;
        // A loss of any element is told, whatever was repaired in others.
        note = done.filter(|done| note.is_none() || [ROUNDED, SERVER_READS].contains(done)).or(note);
        if out.get(at..at + 4) == Some(&(-1_i32).to_be_bytes()) {
            out[flags + 3] = 1;
        }
    }
    let length = out.len() - start - 4;
    check_size(length, MAX_TEXT_BYTES)?;
    out[start..start + 4].copy_from_slice(&(length as i32).to_be_bytes());
    Ok(note)
}

/// The dimensions of a nested array, and its elements in their order.
#[derive(Default)]
struct Shape<'a> {
    /// Whether an array within the array is another dimension, not an element.
    nests: bool,
    lengths: Vec<usize>,
    /// The level on which the elements are.
    level: Option<usize>,
    leaves: Vec<&'a str>,
}

impl<'a> Shape<'a> {
    fn walk(&mut self, array: &'a str, level: usize) -> Result<(), EncodeError> {
        let wrong = |detail: &str| Err(EncodeError::new("array_shape", detail));
        if level == MAX_DIMENSIONS {
            return wrong("arrays have at most 6 dimensions");
        }
        let first = self.lengths.len() == level;
        if first {
            self.lengths.push(0);
        }
        let mut length = 0;
        for element in elements(array) {
            length += 1;
            if self.nests && Kind::of(element) == Kind::Array {
                if self.level.is_some_and(|leaves| leaves == level) {
                    return wrong("an array stands beside elements that are none");
                }
                self.walk(element, level + 1)?;
            } else if *self.level.get_or_insert(level) != level {
                return wrong("elements stand at different depths");
            } else {
                self.leaves.push(element);
            }
        }
        match self.lengths.get_mut(level) {
            Some(known) if first => *known = length,
            Some(known) if *known != length => return wrong("the arrays within the array are of different lengths"),
            _ => {}
        }
        if length == 0 && level > 0 { wrong("an empty array stands within the array") } else { Ok(()) }
    }
}

/// The elements of a well-formed JSON array, each as JSON text.
pub(super) fn elements(array: &str) -> impl Iterator<Item = &str> {
    let mut rest = array.get(1..array.len().saturating_sub(1)).unwrap_or_default().trim_ascii();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = end_of_element(rest.as_bytes());
        let (element, tail) = rest.split_at(end);
        rest = tail.strip_prefix(',').unwrap_or(tail).trim_ascii();
        Some(element.trim_ascii())
    })
}

/// Where the element at the start ends: at a comma that is in no string and no container.
pub(super) fn end_of_element(text: &[u8]) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// A JSON value for an encoder; `json` where it takes JSON text as it is. `spare` holds an unescaped text.
pub(super) fn json_value<'v>(raw: &'v str, json: bool, spare: &'v mut String) -> Value<'v> {
    match Kind::of(raw) {
        Kind::Null => Value::Null,
        _ if json => Value::Json(raw),
        Kind::Object | Kind::Array => Value::Json(raw),
        Kind::Number => Value::Number(raw),
        Kind::Bool => Value::Bool(raw.starts_with('t')),
        Kind::String => match unescape(raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()) {
            Cow::Borrowed(text) => Value::Text(text),
            Cow::Owned(text) => {
                *spare = text;
                Value::Text(spare)
            }
        },
    }
}
