//! Booleans: a fixed list of tokens. A non-empty text is not true just for being there.

use super::Value;
use super::error::{EncodeError, mismatch, quote};

const TRUE: [&str; 6] = ["true", "t", "yes", "y", "on", "1"];
const FALSE: [&str; 6] = ["false", "f", "no", "n", "off", "0"];

pub(super) fn parse(value: Value<'_>) -> Result<bool, EncodeError> {
    let token = match value {
        Value::Bool(flag) => return Ok(flag),
        Value::Text(text) => text.trim_matches(' '),
        Value::Number(text) => text,
        Value::Null | Value::Json(_) | Value::Millis(_) | Value::Bytes(_) => return Err(mismatch(value, "boolean")),
    };
    let among = |tokens: &[&str]| tokens.iter().any(|known| known.eq_ignore_ascii_case(token));
    match (among(&TRUE), among(&FALSE)) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(EncodeError::new("boolean", format!("{} is no boolean", quote(token)))),
    }
}
