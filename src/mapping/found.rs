//! What a source gave for a column, on its way through functions to an encoder.

use crate::decode::{Kind, unescape};
use crate::encode::{EncodeError, Value, utf8};
use std::borrow::Cow;

/// What a source gave.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found<'r> {
    Absent,
    Null,
    /// JSON text of any kind.
    Raw(Cow<'r, str>),
    Text(Cow<'r, str>),
    Bytes(&'r [u8]),
    Millis(i64),
}

impl<'r> Found<'r> {
    /// The value for an encoder; `json` where the column takes JSON text as it is. `spare` holds an unescaped text.
    pub(super) fn value<'v>(&'v self, json: bool, spare: &'v mut String) -> Value<'v> {
        match self {
            Self::Absent | Self::Null => Value::Null,
            Self::Text(text) => Value::Text(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::Millis(millis) => Value::Millis(*millis),
            Self::Raw(raw) if json => Value::Json(raw),
            Self::Raw(raw) => match Kind::of(raw) {
                Kind::Object | Kind::Array => Value::Json(raw),
                Kind::Number => Value::Number(raw),
                Kind::Bool => Value::Bool(raw.starts_with('t')),
                Kind::Null => Value::Null,
                Kind::String => match unescape(inner(raw)) {
                    Cow::Borrowed(text) => Value::Text(text),
                    Cow::Owned(text) => {
                        *spare = text;
                        Value::Text(spare)
                    }
                },
            },
        }
    }

    /// The value as text; nothing for null.
    ///
    /// # Errors
    /// `type_mismatch` for an object or array.
    pub(super) fn into_text(self) -> Result<Option<Cow<'r, str>>, EncodeError> {
        Ok(match self {
            Self::Absent | Self::Null => None,
            Self::Text(text) => Some(text),
            Self::Bytes(bytes) => Some(Cow::Borrowed(utf8(bytes)?)),
            Self::Millis(millis) => Some(Cow::Owned(millis.to_string())),
            Self::Raw(raw) => match (Kind::of(&raw), raw) {
                (Kind::Null, _) => None,
                (Kind::String, Cow::Borrowed(raw)) => Some(unescape(inner(raw))),
                (Kind::String, Cow::Owned(raw)) => Some(Cow::Owned(unescape(inner(&raw)).into_owned())),
                (Kind::Number | Kind::Bool, raw) => Some(raw),
                (kind @ (Kind::Object | Kind::Array), _) => {
                    let detail = format!("text is wanted and the value is JSON ({})", kind.name());
                    return Err(EncodeError::new("type_mismatch", detail));
                }
            },
        })
    }

    /// Whether it is an object or array.
    pub(super) fn is_composite(&self) -> bool {
        matches!(self, Self::Raw(raw) if matches!(Kind::of(raw), Kind::Object | Kind::Array))
    }
}

/// A JSON string without its quotes.
pub(super) fn inner(raw: &str) -> &str {
    raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()
}
