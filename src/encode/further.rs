//! The types that few columns have, and what few values need: kept apart, so that the others stay fast.

use super::error::{EncodeError, mismatch};
use super::policy::Nonfinite;
use super::text::{Limit, fits, fits_name, repaired, text, utf8};
use super::{Encoder, Note, Value, array, cast, field, interval, moment, network, numeric, time};
use crate::decode::MAX_TEXT_BYTES;
use crate::model::ColumnType;

impl Encoder {
    /// Encodes for the types beyond the most common ones.
    #[inline(never)]
    pub(super) fn further(&self, value: Value<'_>, out: &mut Vec<u8>) -> Result<Note, EncodeError> {
        let policy = &self.policy;
        match &self.column_type {
            ColumnType::Numeric(limit) => match numeric::encode(value, policy, *limit) {
                Ok((bytes, note)) => Ok(field(out, &bytes).or(note)),
                Err(error) => self.nonfinite(value, error, out),
            },
            ColumnType::Bpchar(_) | ColumnType::Citext(_) | ColumnType::Name => self.limited_text(value, out),
            ColumnType::Date => self.put(moment::date(value, policy)?, out, i32::to_be_bytes),
            ColumnType::Time(digits) => self.put(time::time(value, policy, *digits)?, out, i64::to_be_bytes),
            ColumnType::Timetz(digits) => self.put(time::timetz(value, policy, *digits)?, out, |(micros, west)| {
                let mut bytes = [0; 12];
                bytes[..8].copy_from_slice(&micros.to_be_bytes());
                bytes[8..].copy_from_slice(&west.to_be_bytes());
                bytes
            }),
            ColumnType::Timestamp(digits) => {
                self.put(moment::timestamp(value, policy, *digits)?, out, i64::to_be_bytes)
            }
            ColumnType::TimestamptzDigits(digits) => {
                self.put(moment::timestamptz(value, policy, *digits)?, out, i64::to_be_bytes)
            }
            ColumnType::Interval(typmod) => {
                let (bytes, note) = interval::encode(value, policy, *typmod)?;
                Ok(field(out, &bytes).or(note))
            }
            ColumnType::Inet => network::address(value, false).map(|bytes| field(out, &bytes)),
            ColumnType::Cidr => network::address(value, true).map(|bytes| field(out, &bytes)),
            ColumnType::Macaddr => network::mac(value).map(|bytes| field(out, &bytes)),
            ColumnType::Macaddr8 => network::mac8(value).map(|bytes| field(out, &bytes)),
            ColumnType::Array(array) => match &self.element {
                Some(element) => array::encode(value, element, array.element_oid, policy, out),
                None => Err(mismatch(value, "array")),
            },
            ColumnType::Cast(cast) => {
                let note = cast::encode(value, cast, policy, out)?;
                Ok(cast::loss(value, cast).filter(|_| policy.tells_losses).or(note))
            }
            ColumnType::Unsupported(name) => Err(mismatch(value, name)),
            // All others are encoded before it comes to this.
            _ => Err(mismatch(value, "this type")),
        }
    }

    /// Appends a field of fixed width, or NULL.
    fn put<T, const N: usize>(
        &self,
        (value, note): (Option<T>, Note),
        out: &mut Vec<u8>,
        bytes: impl Fn(T) -> [u8; N],
    ) -> Result<Note, EncodeError> {
        match value {
            Some(value) => Ok(field(out, &bytes(value)).or(note)),
            None => self.null(out).map(|_| note),
        }
    }

    /// A text of limited length, or one that compares in a way of its own.
    fn limited_text(&self, value: Value<'_>, out: &mut Vec<u8>) -> Result<Note, EncodeError> {
        let (sent, limit) = match &self.column_type {
            ColumnType::Bpchar(limit) => {
                (text(value, out, |text| fits(text, *limit as usize)), Limit::Characters(*limit))
            }
            ColumnType::Name => (text(value, out, fits_name), Limit::Name),
            _ => (text(value, out, |_| Ok(())), Limit::None),
        };
        let note = sent.or_else(|error| repaired(value, error, &self.policy, limit, out))?;
        // Blanks at the end of a char(n) are those that fill it up.
        let blank = || matches!(value, Value::Text(text) if text.ends_with(' '));
        Ok(self.policy.loss(|| matches!(self.column_type, ColumnType::Bpchar(_)) && blank()).or(note))
    }

    /// Bytes that need not be text: any of them for bytea, UTF-8 for the types of text, none for others.
    #[inline(never)]
    pub(super) fn bytes(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Note, EncodeError> {
        match &self.column_type {
            ColumnType::Bytea if bytes.is_empty() && self.policy.empty_as_null => self.null(out),
            ColumnType::Bytea if self.policy.encoding.is_some() => self.encode(Value::Text(utf8(bytes)?), out),
            ColumnType::Bytea => {
                super::check_size(bytes.len(), MAX_TEXT_BYTES)?;
                Ok(field(out, bytes))
            }
            ColumnType::Text
            | ColumnType::Varchar(_)
            | ColumnType::Bpchar(_)
            | ColumnType::Citext(_)
            | ColumnType::Name
            | ColumnType::Enum(_) => self.encode(Value::Text(utf8(bytes)?), out),
            _ => Err(mismatch(Value::Bytes(bytes), "other than bytea and text")),
        }
    }

    /// NaN and infinities, as far as the column asks for them.
    ///
    /// # Errors
    /// The refusal, where it stands.
    #[cold]
    pub(super) fn nonfinite(
        &self,
        value: Value<'_>,
        refusal: EncodeError,
        out: &mut Vec<u8>,
    ) -> Result<Note, EncodeError> {
        let Value::Text(text) = value else { return Err(refusal) };
        let (sign, number) = match text.trim_matches(' ').to_ascii_lowercase().as_str() {
            "nan" => (numeric::NAN, f64::NAN),
            "infinity" | "inf" | "+infinity" | "+inf" => (numeric::INFINITY, f64::INFINITY),
            "-infinity" | "-inf" => (numeric::NEGATIVE_INFINITY, f64::NEG_INFINITY),
            _ => return Err(refusal),
        };
        match (self.policy.nonfinite, &self.column_type) {
            (Some(Nonfinite::Null), _) => self.null(out).map(|_| Some("nonfinite")),
            (Some(Nonfinite::Keep), ColumnType::Float4) => Ok(field(out, &(number as f32).to_be_bytes())),
            (Some(Nonfinite::Keep), ColumnType::Float8) => Ok(field(out, &number.to_be_bytes())),
            (Some(Nonfinite::Keep), ColumnType::Numeric(Some(_))) if !number.is_nan() => {
                Err(EncodeError::new("number_range", "a numeric with a precision holds no infinity"))
            }
            (Some(Nonfinite::Keep), ColumnType::Numeric(_)) => Ok(field(out, &numeric::special(sign))),
            _ => Err(refusal),
        }
    }
}
