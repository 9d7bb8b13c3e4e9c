//! What a column asks of the JSON that goes into it, and how lineage joins it.

use super::Expect;
use super::lineage::{Own, own_members};
use super::plan::Target;
use super::source::{Found, inner};
use crate::decode::{DecodeError, Decoder, Field, Kind, unescape};
use crate::encode::{EncodeError, Value};
use crate::model::{Record, Splice};
use std::borrow::Cow;
use std::ops::Range;

/// From this length on, JSON text that goes in as it is stays where it was read: below, a copy is cheaper.
const SPLICED: usize = 256;

impl Target {
    /// Whether a value stands for null by the column's own words: such as an empty text, or `None`.
    #[inline]
    pub(super) fn means_null(&self, found: &Found<'_>) -> bool {
        self.encoder.names_null() && {
            let mut spare = String::new();
            let value = found.value(self.encoder.takes_json(), &mut spare);
            self.encoder.is_null(value)
        }
    }

    /// What is wrong with a null here.
    #[cold]
    pub(super) fn null(&self, key: bool) -> EncodeError {
        if key {
            EncodeError::new("key_null", "a key column would be NULL")
        } else {
            EncodeError::new("field_missing", "the column is required, and the value is null")
        }
    }

    /// Encodes a value, which a key of the table has or not. A long one is not copied but once a row left where it was read: `splice` says what
    /// belongs where then.
    ///
    /// # Errors
    /// The encoder's.
    #[inline]
    pub(super) fn write(
        &self,
        found: &Found<'_>,
        (record, of_key): (&Record, bool),
        splice: &mut Option<Splice>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'static str>, EncodeError> {
        if let Some(stored) = record.stored.as_ref().filter(|_| self.streams) {
            let begun = self.encoder.begin_stored(stored, out);
            *splice = Some(Splice { at: out.len() as u32, start: 0, len: stored.len as u32 });
            return begun.map(|()| None);
        }
        let long = if splice.is_some() || of_key { None } else { self.spliced(found, &record.value) };
        if let Some(piece) = long {
            let begun = self.encoder.begin_json(piece.len(), out);
            *splice = Some(Splice { at: out.len() as u32, start: piece.start as u32, len: piece.len() as u32 });
            return begun.map(|()| None);
        }
        let mut spare = String::new();
        self.encoder.encode(found.value(self.encoder.takes_json(), &mut spare), out)
    }

    /// Where in the value the JSON stands that goes into the column as it is, if it is long enough to be left there.
    fn spliced(&self, found: &Found<'_>, value: &[u8]) -> Option<Range<usize>> {
        let Found::Raw(Cow::Borrowed(raw)) = found else { return None };
        if raw.len() < SPLICED || !self.encoder.takes_json() {
            return None;
        }
        // Not all borrowed text is the value's: a text that was unwrapped is not. A slice knows where it lies.
        let start = raw.as_ptr().addr().checked_sub(value.as_ptr().addr())?;
        let end = start.checked_add(raw.len()).filter(|end| *end <= value.len().min(u32::MAX as usize))?;
        Some(start..end)
    }

    /// Unwraps a JSON string that holds JSON, once.
    pub(super) fn unwrap(
        &self,
        raw: &mut Cow<'_, str>,
        decoder: &Decoder,
        altered: &mut Vec<&'static str>,
    ) -> Result<(), EncodeError> {
        if !self.unwrap_json_string || Kind::of(raw) != Kind::String {
            return Ok(());
        }
        let inside = unescape(inner(raw)).into_owned();
        match decoder.check(inside, &mut Vec::new(), altered) {
            Ok((text, scanned)) => {
                altered.push("unwrap_json_string");
                *raw = Cow::Owned(scanned.span.of(&text).to_owned());
                Ok(())
            }
            Err(error) => {
                let error = unwrapped(error);
                Err(EncodeError { reason: error.reason, detail: error.detail })
            }
        }
    }

    /// Whether a value has the JSON type that the column must have. What is no JSON goes in as a string or number of JSON.
    ///
    /// # Errors
    /// `json_not_object (…)` and `json_not_array (…)`.
    pub(super) fn check(&self, found: &Found<'_>) -> Result<(), EncodeError> {
        let (wanted, name) = match self.expect {
            Some(Expect::Object) => (Kind::Object, "json_not_object"),
            Some(Expect::Array) => (Kind::Array, "json_not_array"),
            None => return Ok(()),
        };
        let kind = match found {
            Found::Raw(raw) => Kind::of(raw),
            Found::Text(_) | Found::Bytes(_) => Kind::String,
            Found::Millis(_) => Kind::Number,
            Found::Absent | Found::Null => return Ok(()),
        };
        if kind == wanted {
            return Ok(());
        }
        let detail = format!("JSON ({}) is wanted and the value is JSON ({})", wanted.name(), kind.name());
        Err(EncodeError { reason: format!("{name} ({})", kind.name()).into(), detail })
    }

    /// Writes the record's own object together with the lineage.
    pub(super) fn join_lineage(
        &self,
        found: &Found<'_>,
        lineage: &str,
        fields: &mut Vec<Field>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'static str>, EncodeError> {
        let own = match found {
            Found::Raw(raw) if Kind::of(raw) == Kind::Object => own_members(raw, fields),
            Found::Absent | Found::Null => Own::Empty,
            other => {
                // Only a mapping without `expect = "object"` comes here: lineage can join nothing but an object.
                let mut spare = String::new();
                let detail = match other.value(true, &mut spare) {
                    Value::Json(raw) => {
                        format!("lineage joins an object, and the value is JSON ({})", Kind::of(raw).name())
                    }
                    _ => "lineage joins an object, and the value is text".to_owned(),
                };
                return Err(EncodeError::new("json_not_object", detail));
            }
        };
        match &own {
            Own::Empty => self.encoder.encode_json(&["{", lineage, "}"], out),
            Own::Kept(kept) => self.encoder.encode_json(&["{", kept, ",", lineage, "}"], out),
            Own::Moved(moved) => self.encoder.encode_json(&["{", moved, ",", lineage, "}"], out),
        }
    }
}

/// A string that holds no JSON is just a string, where an object is wanted.
#[cold]
pub(super) fn unwrapped(error: DecodeError) -> DecodeError {
    match error.reason.as_ref() {
        "json_syntax" => DecodeError::new("json_not_object (string)", "the value is a string without JSON in it"),
        _ => error,
    }
}
