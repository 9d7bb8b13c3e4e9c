//! Why a value does not fit a column. Owns the words; the mapping adds path and column.

use super::Value;
use std::borrow::Cow;

/// Why a value was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct EncodeError {
    /// The reason's stable code.
    pub reason: Cow<'static, str>,
    /// A sentence for people; quotes at most some forty characters of the value.
    pub detail: String,
}

impl EncodeError {
    /// An error of that reason.
    #[cold]
    pub fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason: Cow::Borrowed(reason), detail: detail.into() }
    }
}

/// A value of a kind that the column's type never takes.
#[cold]
pub(super) fn mismatch(value: Value<'_>, wanted: &str) -> EncodeError {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Text(text) => format!("the text {}", quote(text)),
        Value::Number(text) => format!("the number {}", quote(text)),
        Value::Bool(flag) => format!("the boolean {flag}"),
        Value::Json(text) => format!("JSON ({})", crate::decode::Kind::of(text).name()),
        Value::Bytes([_]) => "1 byte".to_owned(),
        Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Value::Millis(_) => "a moment".to_owned(),
    };
    EncodeError::new("type_mismatch", format!("{found} does not go into a column of type {wanted}"))
}

/// A value shortened for people.
pub(super) fn quote(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}
