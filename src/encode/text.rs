//! Text: what of it a column holds, and the repairs that a column may ask for.

use super::error::{EncodeError, mismatch, quote};
use super::policy::{Nul, TooLong};
use super::{Note, Policy, Value, check_size, field, push_rfc3339};
use crate::decode::MAX_TEXT_BYTES;
use std::borrow::Cow;

/// The longest `name`.
const NAME_BYTES: usize = 63;

#[inline]
pub(super) fn text(
    value: Value<'_>,
    out: &mut Vec<u8>,
    check: impl Fn(&str) -> Result<(), EncodeError>,
) -> Result<Note, EncodeError> {
    let mut moment = String::new();
    let text = match value {
        Value::Text(text) | Value::Number(text) => text,
        Value::Bool(true) => "true",
        Value::Bool(false) => "false",
        Value::Millis(millis) => {
            push_rfc3339(&mut moment, millis);
            &moment
        }
        Value::Json(_) | Value::Null | Value::Bytes(_) => return Err(mismatch(value, "text")),
    };
    refuse_nul(text)?;
    check_size(text.len(), MAX_TEXT_BYTES)?;
    check(text)?;
    Ok(field(out, text.as_bytes()))
}

/// Bytes as text; PostgreSQL's text is UTF-8.
///
/// # Errors
/// `invalid_utf8`.
pub fn utf8(bytes: &[u8]) -> Result<&str, EncodeError> {
    std::str::from_utf8(bytes).map_err(|error| {
        EncodeError::new("invalid_utf8", format!("the bytes are not UTF-8, at byte {}", error.valid_up_to()))
    })
}

pub(super) fn refuse_nul(text: &str) -> Result<(), EncodeError> {
    match memchr::memchr(0, text.as_bytes()) {
        Some(at) => Err(nul_at(at as u64)),
        None => Ok(()),
    }
}

pub(super) fn nul_at(at: u64) -> EncodeError {
    EncodeError::new("text_nul", format!("PostgreSQL's text cannot hold byte 0, at byte {at}"))
}

/// PostgreSQL cuts trailing blanks beyond the limit in silence: here they are too long like anything else.
pub(super) fn fits(text: &str, limit: usize) -> Result<(), EncodeError> {
    if text.len() <= limit {
        return Ok(());
    }
    let characters = text.chars().count();
    if characters > limit {
        return Err(EncodeError::new("too_long", format!("too_long ({characters} > {limit}): {}", quote(text))));
    }
    Ok(())
}

pub(super) fn fits_name(text: &str) -> Result<(), EncodeError> {
    if text.len() > NAME_BYTES {
        let detail = format!("too_long ({} bytes > {NAME_BYTES}): {}", text.len(), quote(text));
        return Err(EncodeError::new("too_long", detail));
    }
    Ok(())
}

pub(super) fn label(text: &str, labels: &[String]) -> Result<(), EncodeError> {
    if labels.iter().any(|label| label == text) {
        return Ok(());
    }
    let known = labels.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(EncodeError::new("enum", format!("enum ({}): the labels are {known}", quote(text))))
}

/// What limits a text.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    None,
    Characters(u32),
    Name,
}

/// Repairs a text that was refused, as far as the column asks for it, and tries it again.
///
/// # Errors
/// The refusal, where it stands.
#[cold]
pub(super) fn repaired(
    value: Value<'_>,
    refusal: EncodeError,
    policy: &Policy,
    limit: Limit,
    out: &mut Vec<u8>,
) -> Result<Note, EncodeError> {
    let (Value::Text(given) | Value::Number(given)) = value else { return Err(refusal) };
    let mut note = None;
    let mut mended = Cow::Borrowed(given);
    if refusal.reason == "text_nul" {
        let Some(nul) = policy.nul else { return Err(refusal) };
        (mended, note) = (Cow::Owned(without_nul(given, nul)), Some("nul"));
    }
    let check = |text: &str| match limit {
        Limit::None => Ok(()),
        Limit::Characters(limit) => fits(text, limit as usize),
        Limit::Name => fits_name(text),
    };
    if let Err(too_long) = check(&mended) {
        let Some(TooLong::Truncate) = policy.too_long else { return Err(too_long) };
        let end = match limit {
            Limit::None => mended.len(),
            Limit::Characters(limit) => mended.char_indices().nth(limit as usize).map_or(mended.len(), |(at, _)| at),
            Limit::Name => mended.floor_char_boundary(NAME_BYTES),
        };
        mended.to_mut().truncate(end);
        note = note.or(Some("too_long"));
    }
    if note.is_none() {
        return Err(refusal);
    }
    text(Value::Text(&mended), out, check)?;
    Ok(note)
}

/// A text without its characters U+0000.
pub(super) fn without_nul(text: &str, nul: Nul) -> String {
    text.replace('\0', if nul == Nul::Strip { "" } else { "\u{fffd}" })
}
