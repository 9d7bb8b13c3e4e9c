//! From a value to the bytes of one field of COPY's binary format, chosen by the column's type.
//!
//! Owns every encoder and the rules by which a value fits a column. Pure: no I/O, no async. Uses `model::Column` and
//! `decode`'s JSON text. Each field is a big-endian `i32` length (−1 for NULL) and that many bytes. A pair of types
//! without an encoder is refused before the first row: same-width bytes of another type are stored as garbage.

mod array;
mod boolean;
mod bytes;
mod calendar;
mod cast;
mod error;
mod format;
mod further;
mod interval;
mod misread;
mod moment;
mod network;
mod number;
mod numeric;
mod pattern;
mod policy;
mod range;
mod stored;
mod text;
mod time;
mod timestamp;
mod unsupported;
mod zone;

pub use bytes::Encoding;
pub(crate) use bytes::base64_bytes;
pub use calendar::push_rfc3339;
pub use error::EncodeError;
pub use format::Format;
pub use policy::{FromExponent, Nonfinite, Nul, Policy, TooLong};
pub use text::utf8;
pub use timestamp::{EpochUnit, parse_offset};
pub use unsupported::has_encoder;
pub use zone::parse_zone;

use crate::decode::{MAX_JSONB_BYTES, MAX_TEXT_BYTES, push_json_string};
use crate::model::{Column, ColumnType};
use error::{mismatch, quote};
use text::{Limit, label, refuse_nul, repaired, text, without_nul};
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
    /// A moment, in milliseconds since 1970-01-01T00:00:00Z.
    Millis(i64),
    /// Bytes that need not be text. They go into bytea, and into text where they are UTF-8.
    Bytes(&'a [u8]),
}

/// Encodes values for one column.
#[derive(Clone, Debug)]
pub struct Encoder {
    column_type: ColumnType,
    not_null: bool,
    policy: Policy,
    /// For an array, the encoder of its elements.
    element: Option<Box<Encoder>>,
}

/// What was repaired in an accepted value, by the name that reports count it under. A value with several repairs has the
/// first of them.
pub type Note = Option<&'static str>;

impl Encoder {
    /// The encoder for a column; `None` where its type has none or the column cannot be written.
    pub fn new(column: &Column, policy: Policy) -> Option<Self> {
        let usable = has_encoder(&column.column_type) && !column.generated;
        usable.then(|| Self::of(&column.column_type, column.not_null, policy))
    }

    fn of(column_type: &ColumnType, not_null: bool, policy: Policy) -> Self {
        let column_type = match column_type {
            // What reads more than ISO 8601 is kept out of the way of what does not.
            ColumnType::Timestamptz if policy.reads_moments_otherwise() => ColumnType::TimestamptzDigits(6),
            other => other.clone(),
        };
        let element = match &column_type {
            ColumnType::Array(array) => Some(Box::new(Self::of(&array.element, false, policy.clone()))),
            _ => None,
        };
        Self { column_type, not_null, policy, element }
    }

    /// The same, which also tells where the type keeps less than a value says ([`crate::model::ROUNDED`]), or where only the
    /// server knows ([`crate::model::SERVER_READS`]). A little slower.
    pub fn telling_losses(&self) -> Self {
        let policy = Policy { tells_losses: true, ..self.policy.clone() };
        Self::of(&self.column_type, self.not_null, policy)
    }

    /// Whether the column's own policies put some values in as others.
    pub fn repairs(&self) -> bool {
        self.policy.repairs()
    }

    /// Whether the column is json or jsonb, which take any JSON text as it is.
    pub fn takes_json(&self) -> bool {
        matches!(self.column_type, ColumnType::Json | ColumnType::Jsonb)
    }

    /// Whether some texts mean NULL here.
    #[inline]
    pub fn names_null(&self) -> bool {
        self.policy.empty_as_null || !self.policy.null_tokens.is_empty()
    }

    /// Whether a value is a text that means NULL.
    pub fn is_null(&self, value: Value<'_>) -> bool {
        matches!(value, Value::Text(text) if self.policy.is_null(text))
    }

    /// Appends the field's bytes to `out`. After an error `out` may end in half a field.
    ///
    /// # Errors
    /// Where the value does not fit the column; the error says the reason's code and the value, shortened.
    pub fn encode(&self, value: Value<'_>, out: &mut Vec<u8>) -> Result<Note, EncodeError> {
        match value {
            Value::Text(text) if self.policy.is_null(text) => return self.null(out),
            Value::Bytes(bytes) => return self.bytes(bytes, out),
            _ => {}
        }
        match (&self.column_type, value) {
            (_, Value::Null) => self.null(out),
            (ColumnType::Bool, value) => boolean::parse(value).map(|flag| field(out, &[u8::from(flag)])),
            (ColumnType::Int2, value) => self.integer(value, out, |number| i16::try_from(number).map(i16::to_be_bytes)),
            (ColumnType::Int4, value) => self.integer(value, out, |number| i32::try_from(number).map(i32::to_be_bytes)),
            (ColumnType::Int8, value) => self.integer(value, out, |number| i64::try_from(number).map(i64::to_be_bytes)),
            (ColumnType::Float4, value) => match number::float::<f32>(value) {
                Ok(number) => {
                    Ok(field(out, &number.to_be_bytes()).or(self.policy.loss(|| number::is_rounded(value, number))))
                }
                Err(error) => self.nonfinite(value, error, out),
            },
            (ColumnType::Float8, value) => match number::float::<f64>(value) {
                Ok(number) => {
                    Ok(field(out, &number.to_be_bytes()).or(self.policy.loss(|| number::is_rounded(value, number))))
                }
                Err(error) => self.nonfinite(value, error, out),
            },
            (ColumnType::Uuid, value) => uuid(value).map(|id| field(out, id.as_bytes())),
            (ColumnType::Timestamptz, value) => {
                timestamp::parse(value, &self.policy).map(|micros| field(out, &micros.to_be_bytes()))
            }
            (ColumnType::Json | ColumnType::Jsonb, value) => self.json(value, out),
            (ColumnType::Text, value) => {
                text(value, out, |_| Ok(())).or_else(|error| repaired(value, error, &self.policy, Limit::None, out))
            }
            (ColumnType::Varchar(limit), value) => text(value, out, |text| text::fits(text, *limit as usize))
                .or_else(|error| repaired(value, error, &self.policy, Limit::Characters(*limit), out)),
            (ColumnType::Enum(labels), value) => text(value, out, |text| label(text, labels)),
            (ColumnType::Bytea, value) => bytes::bytea(value, self.policy.encoding, out),
            (_, value) => self.further(value, out),
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
                if let Err(error) = refuse_nul(text) {
                    let Some(nul) = self.policy.nul else { return Err(error) };
                    return self.json(Value::Text(&without_nul(text, nul)), out).map(|_| Some("nul"));
                }
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
            Value::Null => self.null(out),
            Value::Bytes(_) => Err(mismatch(value, "json")),
        }
    }

    fn integer<const N: usize, E>(
        &self,
        value: Value<'_>,
        out: &mut Vec<u8>,
        narrow: impl Fn(i128) -> Result<[u8; N], E>,
    ) -> Result<Note, EncodeError> {
        let (number, from_exponent) = number::integer(value)?;
        let bytes = narrow(number)
            .map_err(|_| EncodeError::new("number_range", format!("{number} does not fit an integer of {N} bytes")))?;
        if from_exponent && self.policy.reject_exponent {
            let detail = format!("{number} was written with an exponent: digits may be lost");
            return Err(EncodeError::new("integer_from_exponent", detail));
        }
        field(out, &bytes);
        Ok(from_exponent.then_some("integer_from_exponent"))
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

fn check_size(length: usize, limit: usize) -> Result<(), EncodeError> {
    if length > limit {
        return Err(EncodeError::new("value_too_large", format!("{length} bytes, the column holds {limit}")));
    }
    Ok(())
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
