//! From a value to the bytes of one field of COPY's binary format, chosen by the column's type.
//!
//! Owns every encoder and the rules by which a value fits a column. Pure: no I/O, no async. Uses `model::Column` and
//! `decode`'s JSON text. Each field is a big-endian `i32` length (−1 for NULL) and that many bytes. A pair of types
//! without an encoder is refused before the first row: same-width bytes of another type are stored as garbage.

mod boolean;
mod error;
mod number;
mod timestamp;
mod unsupported;

pub use error::EncodeError;
pub use timestamp::{EpochUnit, parse_offset, push_rfc3339};
pub use unsupported::has_encoder;

use crate::decode::{MAX_JSONB_BYTES, MAX_TEXT_BYTES, push_json_string};
use crate::model::{Column, ColumnType};
use error::{mismatch, quote};
use uuid::Uuid;

/// A value on its way into a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// SQL's NULL.
    Null,
    /// Text.
    Text(&'a str),
    /// A number, as it was written.
    Number(&'a str),
    /// A boolean.
    Bool(bool),
    /// Well-formed JSON text that goes in as it is: an object or array, or any value for a json column.
    Json(&'a str),
    /// Bytes of any kind.
    Bytes(&'a [u8]),
    /// A moment, in milliseconds since 1970-01-01T00:00:00Z.
    Millis(i64),
}

/// What a column does with values that do not say clearly what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether an empty text means NULL.
    pub empty_as_null: bool,
    /// Texts that mean NULL.
    pub null_tokens: Vec<String>,
    /// The offset of timestamps without zone, in seconds east of UTC; without it they are refused.
    pub assume_offset: Option<i32>,
    /// The unit of timestamps that are numbers; without it they are refused.
    pub epoch_unit: Option<EpochUnit>,
}

/// Encodes values for one column.
#[derive(Clone, Debug)]
pub struct Encoder {
    column_type: ColumnType,
    not_null: bool,
    policy: Policy,
}

/// Something about an accepted value that reports count, by name.
pub type Note = Option<&'static str>;

impl Encoder {
    /// The encoder for a column; `None` where its type has none or the column cannot be written.
    pub fn new(column: &Column, policy: Policy) -> Option<Self> {
        let usable = has_encoder(&column.column_type) && !column.generated;
        usable.then(|| Self { column_type: column.column_type.clone(), not_null: column.not_null, policy })
    }

    /// Whether the column is json or jsonb, which take any JSON text as it is.
    pub fn takes_json(&self) -> bool {
        matches!(self.column_type, ColumnType::Json | ColumnType::Jsonb)
    }

    /// Appends the field's bytes to `out`. After an error `out` may end in half a field.
    ///
    /// # Errors
    /// Where the value does not fit the column; the error says the reason's code and the value, shortened.
    pub fn encode(&self, value: Value<'_>, out: &mut Vec<u8>) -> Result<Note, EncodeError> {
        if let Value::Text(text) = value
            && ((self.policy.empty_as_null && text.is_empty()) || self.policy.null_tokens.iter().any(|t| t == text))
        {
            return self.null(out);
        }
        match (&self.column_type, value) {
            (_, Value::Null) => self.null(out),
            (ColumnType::Bool, value) => boolean::parse(value).map(|flag| field(out, &[u8::from(flag)])),
            (ColumnType::Int2, value) => integer(value, out, |number| i16::try_from(number).map(i16::to_be_bytes)),
            (ColumnType::Int4, value) => integer(value, out, |number| i32::try_from(number).map(i32::to_be_bytes)),
            (ColumnType::Int8, value) => integer(value, out, |number| i64::try_from(number).map(i64::to_be_bytes)),
            (ColumnType::Float4, value) => number::float::<f32>(value).map(|v| field(out, &v.to_be_bytes())),
            (ColumnType::Float8, value) => number::float::<f64>(value).map(|v| field(out, &v.to_be_bytes())),
            (ColumnType::Uuid, value) => uuid(value).map(|id| field(out, id.as_bytes())),
            (ColumnType::Timestamptz, value) => {
                timestamp::parse(value, &self.policy).map(|micros| field(out, &micros.to_be_bytes()))
            }
            (ColumnType::Json | ColumnType::Jsonb, value) => self.json(value, out),
            (ColumnType::Text, value) => text(value, out, |_| Ok(())),
            (ColumnType::Varchar(limit), value) => text(value, out, |text| fits(text, *limit as usize)),
            (ColumnType::Enum(labels), value) => text(value, out, |text| label(text, labels)),
            (ColumnType::Bytea, value) => bytes(value, out),
            (ColumnType::Unsupported(name), _) => Err(mismatch(value, name)),
        }
    }

    /// Appends a json or jsonb field that is put together from pieces of JSON text.
    ///
    /// # Errors
    /// `value_too_large`, or `type_mismatch` where the column is of another type.
    pub fn encode_json(&self, pieces: &[&str], out: &mut Vec<u8>) -> Result<Note, EncodeError> {
        let length = pieces.iter().map(|piece| piece.len()).sum();
        self.begin_json(length, out)?;
        for piece in pieces {
            out.extend_from_slice(piece.as_bytes());
        }
        Ok(None)
    }

    /// Appends the head of a json or jsonb field whose text of `length` bytes comes behind it.
    ///
    /// # Errors
    /// As [`Self::encode_json`].
    pub fn begin_json(&self, length: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (limit, version): (usize, &[u8]) = match self.column_type {
            ColumnType::Jsonb => (MAX_JSONB_BYTES, &[1]),
            ColumnType::Json => (MAX_TEXT_BYTES, &[]),
            _ => return Err(EncodeError::new("type_mismatch", "the column does not take JSON")),
        };
        check_size(length, limit)?;
        out.extend_from_slice(&((length + version.len()) as i32).to_be_bytes());
        out.extend_from_slice(version);
        Ok(())
    }

    fn json(&self, value: Value<'_>, out: &mut Vec<u8>) -> Result<Note, EncodeError> {
        match value {
            Value::Json(text) | Value::Number(text) => self.encode_json(&[text], out),
            Value::Bool(flag) => self.encode_json(&[if flag { "true" } else { "false" }], out),
            Value::Text(text) => {
                refuse_nul(text)?;
                let mut json = String::with_capacity(text.len() + 2);
                push_json_string(&mut json, text);
                self.encode_json(&[&json], out)
            }
            Value::Millis(millis) => {
                let mut json = String::from("\"");
                push_rfc3339(&mut json, millis);
                json.push('"');
                self.encode_json(&[&json], out)
            }
            Value::Bytes(_) => Err(mismatch(value, "json")),
            Value::Null => self.null(out),
        }
    }

    fn null(&self, out: &mut Vec<u8>) -> Result<Note, EncodeError> {
        if self.not_null {
            return Err(EncodeError::new("not_null", "the value is null and the column is NOT NULL"));
        }
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        Ok(None)
    }
}

/// Appends one field. The lengths of all callers are bounded far below `i32::MAX`.
#[inline]
fn field(out: &mut Vec<u8>, bytes: &[u8]) -> Note {
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
    None
}

fn integer<const N: usize, E>(
    value: Value<'_>,
    out: &mut Vec<u8>,
    narrow: impl Fn(i128) -> Result<[u8; N], E>,
) -> Result<Note, EncodeError> {
    let (number, from_exponent) = number::integer(value)?;
    let bytes = narrow(number)
        .map_err(|_| EncodeError::new("number_range", format!("{number} does not fit an integer of {N} bytes")))?;
    field(out, &bytes);
    Ok(from_exponent.then_some("integer_from_exponent"))
}

fn text(
    value: Value<'_>,
    out: &mut Vec<u8>,
    check: impl Fn(&str) -> Result<(), EncodeError>,
) -> Result<Note, EncodeError> {
    let mut moment = String::new();
    let text = match value {
        Value::Text(text) | Value::Number(text) => text,
        Value::Bytes(bytes) => utf8(bytes)?,
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Millis(millis) => {
            push_rfc3339(&mut moment, millis);
            &moment
        }
        Value::Json(_) | Value::Null => return Err(mismatch(value, "text")),
    };
    refuse_nul(text)?;
    check_size(text.len(), MAX_TEXT_BYTES)?;
    check(text)?;
    Ok(field(out, text.as_bytes()))
}

fn bytes(value: Value<'_>, out: &mut Vec<u8>) -> Result<Note, EncodeError> {
    match value {
        Value::Text(text) | Value::Json(text) => {
            check_size(text.len(), MAX_TEXT_BYTES)?;
            Ok(field(out, text.as_bytes()))
        }
        Value::Bytes(bytes) => {
            check_size(bytes.len(), MAX_TEXT_BYTES)?;
            Ok(field(out, bytes))
        }
        _ => Err(mismatch(value, "bytea")),
    }
}

/// Bytes as the text that they are.
///
/// # Errors
/// `invalid_utf8`.
pub fn utf8(bytes: &[u8]) -> Result<&str, EncodeError> {
    std::str::from_utf8(bytes)
        .map_err(|error| EncodeError::new("invalid_utf8", format!("not UTF-8 at byte {}", error.valid_up_to())))
}

fn check_size(length: usize, limit: usize) -> Result<(), EncodeError> {
    if length > limit {
        return Err(EncodeError::new("value_too_large", format!("{length} bytes, the column holds {limit}")));
    }
    Ok(())
}

fn refuse_nul(text: &str) -> Result<(), EncodeError> {
    match memchr::memchr(0, text.as_bytes()) {
        Some(at) => Err(EncodeError::new("text_nul", format!("PostgreSQL's text cannot hold byte 0, at byte {at}"))),
        None => Ok(()),
    }
}

/// PostgreSQL cuts trailing blanks beyond the limit in silence: here they are too long like anything else.
fn fits(text: &str, limit: usize) -> Result<(), EncodeError> {
    if text.len() <= limit {
        return Ok(());
    }
    let characters = text.chars().count();
    if characters > limit {
        return Err(EncodeError::new("too_long", format!("too_long ({characters} > {limit}): {}", quote(text))));
    }
    Ok(())
}

fn label(text: &str, labels: &[String]) -> Result<(), EncodeError> {
    if labels.iter().any(|label| label == text) {
        return Ok(());
    }
    let known = labels.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(EncodeError::new("enum", format!("enum ({}): the labels are {known}", quote(text))))
}

fn uuid(value: Value<'_>) -> Result<Uuid, EncodeError> {
    let Value::Text(text) = value else { return Err(mismatch(value, "uuid")) };
    parse_uuid(text).ok_or_else(|| EncodeError::new("uuid", format!("{} is not a UUID", quote(text))))
}

/// Reads a UUID: hyphenated, simple or in braces, in any case; nothing else.
#[inline]
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    matches!(text.len(), 32 | 36 | 38).then(|| Uuid::try_parse(text).ok()).flatten()
}

#[cfg(test)]
mod tests;
