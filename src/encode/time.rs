//! Times of day, with and without zone: microseconds since midnight.

use super::calendar::DAY;
use super::error::{EncodeError, mismatch, quote};
use super::moment::{Field, rounded};
use super::timestamp::{Micros, clock, offset};
use super::{Policy, Value};

/// Microseconds since midnight, for a column that holds so many digits of a second.
pub(super) fn time(value: Value<'_>, policy: &Policy, digits: u8) -> Field<i64> {
    let text = text_of(value, "time")?;
    let ((micros, cut), zone) = read(text, policy)?;
    if !zone.is_empty() {
        if !names_zone(zone) {
            return Err(wrong(text));
        }
        let detail = format!("{} names a zone, and the column has none", quote(text));
        return Err(EncodeError::new("time_format", detail));
    }
    rounded(micros, digits, policy, value).map(|(micros, note)| (micros, note.or(policy.loss(|| cut))))
}

/// Microseconds since midnight, and seconds west of UTC.
pub(super) fn timetz(value: Value<'_>, policy: &Policy, digits: u8) -> Field<(i64, i32)> {
    let text = text_of(value, "time with time zone")?;
    let ((micros, cut), zone) = read(text, policy)?;
    let east = match zone.strip_prefix(' ').unwrap_or(zone) {
        "" => policy.assume_offset.ok_or_else(|| {
            let detail = format!("{} names no zone, and the column has no assume_timezone", quote(text));
            EncodeError::new("timestamp_no_zone", detail)
        })?,
        "Z" | "z" | "UTC" => 0,
        zone => offset(zone.as_bytes()).ok_or_else(|| wrong(text))?,
    };
    let (micros, note) = rounded(micros, digits, policy, value)?;
    Ok((micros.map(|micros| (micros, -east)), note.or(policy.loss(|| cut))))
}

/// Whether what follows a time is a zone.
fn names_zone(text: &str) -> bool {
    let zone = text.strip_prefix(' ').unwrap_or(text);
    matches!(zone, "Z" | "z" | "UTC") || offset(zone.as_bytes()).is_some()
}

fn text_of<'a>(value: Value<'a>, wanted: &str) -> Result<&'a str, EncodeError> {
    match value {
        Value::Text(text) => Ok(text.trim_matches(' ')),
        _ => Err(mismatch(value, wanted)),
    }
}

fn wrong(text: &str) -> EncodeError {
    EncodeError::new("time_format", format!("{} is no time such as 23:59:59.5", quote(text)))
}

/// The time and the zone behind it. 24:00:00 is the end of the day.
fn read<'a>(text: &'a str, policy: &Policy) -> Result<(Micros, &'a str), EncodeError> {
    let mut refused = None;
    for format in &policy.formats {
        match format.read_time(text) {
            Some(Ok(micros)) => return Ok((micros, "")),
            Some(Err(error)) => refused = refused.or(Some(error)),
            None => {}
        }
    }
    // What a format recognised and refused says more than that it is no time such as 23:59 either.
    read_plain(text).map_err(|error| refused.unwrap_or(error))
}

fn read_plain(text: &str) -> Result<(Micros, &str), EncodeError> {
    if let Some(rest) = text.strip_prefix("24:00").map(|rest| rest.strip_prefix(":00").unwrap_or(rest))
        && !rest.starts_with([':', '.'])
        && !rest.starts_with(|c: char| c.is_ascii_digit())
    {
        return Ok(((DAY, false), rest));
    }
    let range = || EncodeError::new("time_range", format!("{} is no time of day", quote(text)));
    let (micros, zone) = clock(text.as_bytes()).ok_or_else(|| wrong(text))?;
    let zone = text.get(text.len() - zone.len()..).ok_or_else(|| wrong(text))?;
    Ok((micros.ok_or_else(range)?, zone))
}
