//! Types that the server reads from text: what is sent for a value that is JSON.
//!
//! The staged text is cast when the rows are merged. Objects are refused but for hstore: some types take any text at all,
//! and would store the JSON as a word of theirs.

use super::array::{elements, json_array, json_value};
use super::error::{EncodeError, mismatch, quote};
use super::misread::Misreader;
use super::policy::Policy;
use super::text::{Limit, refuse_nul, repaired, text, without_nul};
use super::{Note, Value};
use crate::decode::{Kind, unescape};
use crate::model::{CastType, ROUNDED, SERVER_READS};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Types whose own text is a JSON array of numbers.
const VECTORS: [&str; 2] = ["vector", "halfvec"];

/// Whether a text is one character of ASCII.
fn one_character(text: &str) -> Result<(), EncodeError> {
    match text.len() {
        1 => Ok(()),
        0 => Err(EncodeError::new("type_mismatch", "the column holds one character, and the text is empty")),
        _ => {
            let detail = format!("the column holds one character of ASCII, and the text is {}", quote(text));
            Err(EncodeError::new("too_long", detail))
        }
    }
}

/// Appends the text of a value.
pub(super) fn encode(
    value: Value<'_>,
    cast: &CastType,
    policy: &Policy,
    out: &mut Vec<u8>,
) -> Result<Note, EncodeError> {
    let misreader = Misreader::of(cast);
    let (written, note) = match (cast.delimiter, value) {
        (Some(delimiter), Value::Json(_)) => array(value, delimiter, misreader, policy)?,
        (Some(delimiter), Value::Text(text)) if text.trim_ascii_start().starts_with('[') => {
            array(value, delimiter, misreader, policy)?
        }
        // The elements of an array as PostgreSQL writes it would be read by nobody but the server.
        (Some(_), Value::Text(_)) if misreader.is_some() => return Err(mismatch(value, &cast.name)),
        (None, Value::Json(json)) if cast.name == "hstore" && Kind::of(json) == Kind::Object => (hstore(json)?, None),
        (None, Value::Json(json)) if VECTORS.contains(&cast.name.as_str()) && Kind::of(json) == Kind::Array => {
            (json.to_owned(), None)
        }
        (_, Value::Json(_)) => return Err(mismatch(value, &cast.name)),
        _ if cast.is_one_byte() => return text(value, out, one_character),
        (_, Value::Text(given) | Value::Number(given)) if misreader.is_some() => {
            read_repaired(given, misreader, policy)?
        }
        _ if misreader.is_some() => return Err(mismatch(value, &cast.name)),
        (_, value) => {
            let sent = text(value, out, |_| Ok(()));
            return sent.or_else(|error| repaired(value, error, policy, Limit::None, out));
        }
    };
    text(Value::Text(&written), out, |_| Ok(()))?;
    Ok(note)
}

/// What is known of a value's way through the type's reader: nothing, but where it was looked through before.
pub(super) fn loss(value: Value<'_>, cast: &CastType) -> Note {
    let text = match value {
        Value::Text(text) | Value::Number(text) | Value::Json(text) => text,
        Value::Null | Value::Bool(_) | Value::Millis(_) | Value::Bytes(_) => "",
    };
    match Misreader::of(cast) {
        Some(misreader) => (misreader.reads_moments() && has_nanoseconds(text)).then_some(ROUNDED),
        None if cast.is_one_byte() => None,
        None => Some(SERVER_READS),
    }
}

/// Whether a text has a fraction with digits below the sixth.
fn has_nanoseconds(text: &str) -> bool {
    let below = |fraction: &str| {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit);
        digits.skip(6).any(|digit| digit != b'0')
    };
    text.split('.').skip(1).any(below)
}

/// A text as the type's reader changes nothing in it.
fn read(text: &str, misreader: Option<Misreader>) -> Result<Cow<'_, str>, EncodeError> {
    refuse_nul(text)?;
    misreader.map_or(Ok(Cow::Borrowed(text)), |misreader| misreader.read(text))
}

/// As [`read`], without the characters U+0000 where the column asks for it.
fn read_repaired(text: &str, misreader: Option<Misreader>, policy: &Policy) -> Result<(String, Note), EncodeError> {
    match (read(text, misreader), policy.nul) {
        (Err(error), Some(nul)) if error.reason == "text_nul" => {
            Ok((read(&without_nul(text, nul), misreader)?.into_owned(), Some("nul")))
        }
        (read, _) => Ok((read?.into_owned(), None)),
    }
}

/// A JSON array as PostgreSQL writes arrays: `{"a",NULL,{…}}`.
fn array(
    value: Value<'_>,
    delimiter: char,
    misreader: Option<Misreader>,
    policy: &Policy,
) -> Result<(String, Note), EncodeError> {
    let (json, note) = json_array(value, policy)?;
    let mut out = String::new();
    match json {
        Some(json) => push_array(json, delimiter, misreader, &mut out, 0)?,
        None => out.push_str("{}"),
    }
    Ok((out, note))
}

fn push_array(
    json: &str,
    delimiter: char,
    misreader: Option<Misreader>,
    out: &mut String,
    level: usize,
) -> Result<(), EncodeError> {
    if level == 6 {
        return Err(EncodeError::new("array_shape", "arrays have at most 6 dimensions"));
    }
    out.push('{');
    for (place, element) in elements(json).enumerate() {
        if place > 0 {
            out.push(delimiter);
        }
        if Kind::of(element) == Kind::Array {
            push_array(element, delimiter, misreader, out, level + 1)?;
        } else {
            push_scalar(element, misreader, out)?;
        }
    }
    out.push('}');
    Ok(())
}

/// An object as hstore writes it: `"key"=>"value", "other"=>NULL`, shorter keys first. hstore keeps any of two equal keys:
/// here the last one wins, as in jsonb.
fn hstore(json: &str) -> Result<String, EncodeError> {
    let mut members: BTreeMap<(usize, String), &str> = BTreeMap::new();
    for member in elements(json) {
        let (key, value) = member.split_at(end_of_string(member));
        let value = value.trim_ascii_start().strip_prefix(':').unwrap_or(value).trim_ascii();
        let key = key.trim_ascii();
        let key = unescape(key.get(1..key.len().saturating_sub(1)).unwrap_or_default());
        members.insert((key.len(), key.into_owned()), value);
    }
    let mut out = String::new();
    for ((_, key), value) in members {
        if !out.is_empty() {
            out.push_str(", ");
        }
        push_quoted(&key, &mut out);
        out.push_str("=>");
        push_scalar(value, None, &mut out)?;
    }
    Ok(out)
}

/// Where the string at the start ends, behind its closing quote.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    let closing = text.bytes().enumerate().skip(1).find(|(_, byte)| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    closing.map_or(text.len(), |(at, _)| at + 1)
}

/// A scalar in the quotes that arrays and hstore share; null without them.
fn push_scalar(json: &str, misreader: Option<Misreader>, out: &mut String) -> Result<(), EncodeError> {
    let mut spare = String::new();
    let text = match json_value(json, false, &mut spare) {
        Value::Null => {
            out.push_str("NULL");
            return Ok(());
        }
        Value::Text(text) | Value::Number(text) => text.to_owned(),
        Value::Bool(flag) => flag.to_string(),
        value => return Err(mismatch(value, "text")),
    };
    push_quoted(&read(&text, misreader)?, out);
    Ok(())
}

fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}
