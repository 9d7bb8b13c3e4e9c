//! Why a value is not JSON that PostgreSQL takes, and where. Owns the words; the place is found only once it is needed.

use super::json::{MAX_DEPTH, MAX_TEXT_BYTES, scan};
use super::path::path_at;
use std::borrow::Cow;

/// Why a value was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct DecodeError {
    /// The reason's stable code.
    pub reason: Cow<'static, str>,
    /// A sentence for people.
    pub detail: String,
    /// The JSON path, where the place is inside a value.
    pub path: Option<String>,
    /// The byte offset, where there is one.
    pub offset: Option<usize>,
}

impl DecodeError {
    /// An error without a place.
    pub fn new(reason: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { reason: reason.into(), detail: detail.into(), path: None, offset: None }
    }
}

/// What the scanner met, before it is put into words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub(super) kind: FaultKind,
    pub(super) at: usize,
}

impl Fault {
    /// Puts the fault into words; `text` is the text that was scanned.
    pub fn explain(self, text: &str) -> DecodeError {
        explain(text.as_bytes(), self, 0)
    }

    /// Whether it is a number that is only too large.
    pub(super) fn is_number_range(self) -> bool {
        self.kind == FaultKind::NumberRange
    }

    /// Whether it is one of the tokens that stand for numbers which JSON does not have.
    pub(super) fn is_nonfinite(self, text: &str) -> bool {
        self.kind == FaultKind::Syntax(A_VALUE)
            && nonfinite(text.as_bytes().get(self.at..).unwrap_or_default()).is_some()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    Empty,
    Syntax(&'static str),
    Trailing,
    End,
    Utf8,
    Nul,
    Surrogate,
    Depth,
    NumberRange,
    TooLarge,
}

/// Puts a fault into words: reason, path and offset. `skipped` bytes stood before `body`.
#[cold]
pub(super) fn explain(body: &[u8], fault: Fault, skipped: usize) -> DecodeError {
    let offset = fault.at + skipped;
    let (reason, detail) = words(body, fault, offset);
    let with_path = match fault.kind {
        FaultKind::Empty | FaultKind::Trailing | FaultKind::TooLarge => false,
        FaultKind::Utf8 => body.get(..fault.at).is_some_and(begins_as_json),
        _ => true,
    };
    let path = with_path.then(|| path_at(body, fault.at));
    DecodeError { reason: Cow::Borrowed(reason), detail, path, offset: Some(offset) }
}

/// Whether bytes are JSON that goes on behind them, so that the place has a path.
fn begins_as_json(head: &[u8]) -> bool {
    let cut = |text| scan(text, &mut Vec::new()).is_err_and(|fault| fault.kind == FaultKind::End);
    !head.is_empty() && std::str::from_utf8(head).is_ok_and(cut)
}

fn words(body: &[u8], fault: Fault, offset: usize) -> (&'static str, String) {
    match fault.kind {
        FaultKind::Empty => ("empty_value", "the value is empty or white space only".to_owned()),
        FaultKind::Syntax(expected) => syntax(body, fault.at, offset, expected),
        FaultKind::Trailing => ("json_syntax", format!("something follows the JSON value at byte {offset}")),
        FaultKind::End => ("json_syntax", format!("the text ends in the middle of a value at byte {offset}")),
        FaultKind::Utf8 => ("invalid_utf8", format!("not UTF-8 at byte {offset}")),
        FaultKind::Nul => ("json_nul", format!("PostgreSQL cannot hold the character \\u0000, at byte {offset}")),
        FaultKind::Surrogate => ("json_surrogate", format!("half of a surrogate pair at byte {offset}")),
        FaultKind::Depth => ("json_depth", format!("nested deeper than {MAX_DEPTH} levels at byte {offset}")),
        FaultKind::NumberRange => {
            ("json_number_range", format!("a number beyond what PostgreSQL's numeric holds, at byte {offset}"))
        }
        FaultKind::TooLarge => {
            ("value_too_large", format!("a text of more than {MAX_TEXT_BYTES} bytes, at byte {offset}"))
        }
    }
}

fn syntax(body: &[u8], at: usize, offset: usize, expected: &str) -> (&'static str, String) {
    let rest = body.get(at..).unwrap_or_default();
    if let Some(token) = nonfinite(rest).filter(|_| expected == A_VALUE) {
        return ("json_nonfinite", format!("{token} at byte {offset} is not JSON"));
    }
    let python = [&b"'"[..], b"True", b"False", b"None", b"u'", b"b'"].iter().any(|sign| rest.starts_with(sign));
    let hint = if python { "; it looks like a Python literal" } else { "" };
    ("json_syntax", format!("expected {expected} at byte {offset}{hint}"))
}

/// What the scanner says it expected where a value should begin.
pub(super) const A_VALUE: &str = "a value";
/// What it expected behind `\u`.
pub(super) const FOUR_DIGITS: &str = "four hexadecimal digits";

/// The token at the start of a text that stands for a number which JSON does not have.
pub(super) fn nonfinite(rest: &[u8]) -> Option<&'static str> {
    let ends = |rest: &[u8]| !rest.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    ["NaN", "Infinity", "-Infinity"].into_iter().find(|token| rest.strip_prefix(token.as_bytes()).is_some_and(ends))
}
