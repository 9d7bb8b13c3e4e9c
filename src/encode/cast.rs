//! Types that the server reads from text: what is sent for a value that is JSON.
//!
//! The staged text is cast when the rows are merged. Objects are refused but for hstore: some types take any text at all,
//! and would store the JSON as a word of theirs.

use super::array::{elements, end_of_element, json_array, json_value};
use super::error::{EncodeError, mismatch, quote};
use super::misread::Misreader;
use super::policy::Policy;
use super::text::{Limit, repaired, text};
use super::{Note, Value};
use crate::decode::Kind;
use crate::model::CastType;

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
        _ => {
            let sent = text(value, out, |text| misreader.map_or(Ok(()), |misreader| misreader.check(text)));
            return sent.or_else(|error| repaired(value, error, policy, Limit::None, out));
        }
    };
    text(Value::Text(&written), out, |_| Ok(()))?;
    Ok(note)
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

/// An object as hstore writes it: `"key"=>"value", "other"=>NULL`.
fn hstore(json: &str) -> Result<String, EncodeError> {
    let mut rest = json.get(1..json.len().saturating_sub(1)).unwrap_or_default().trim_ascii();
    let mut out = String::new();
    while !rest.is_empty() {
        let (member, tail) = rest.split_at(end_of_element(rest.as_bytes()));
        let key_end = end_of_string(member);
        let (key, value) = member.split_at(key_end);
        let value = value.trim_ascii_start().strip_prefix(':').unwrap_or(value).trim_ascii();
        if !out.is_empty() {
            out.push_str(", ");
        }
        push_scalar(key.trim_ascii(), None, &mut out)?;
        out.push_str("=>");
        push_scalar(value, None, &mut out)?;
        rest = tail.strip_prefix(',').unwrap_or(tail).trim_ascii();
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
    misreader.map_or(Ok(()), |misreader| misreader.check(&text))?;
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    Ok(())
}
