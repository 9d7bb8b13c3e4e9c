//! Points in time for all columns that hold them: timestamps with and without zone, of any precision, and dates.
//!
//! A value is either a moment (it names its offset, or is a number) or what a clock on the wall shows. A column with zone
//! wants moments, one without wants clocks; `assume_timezone` makes a moment of a clock and `store_timezone` a clock of a
//! moment. An offset is never just dropped.

use super::calendar::{DAY, EPOCH_2000, YEAR_ONE};
use super::error::{EncodeError, mismatch, quote};
use super::number::is_number;
use super::timestamp::{epoch, format_error, read_iso};
use super::zone::{assumed, shown};
use super::{Note, Policy, Value};

/// What a value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    /// Microseconds since 1970 as the clock shows them.
    pub(super) micros: i64,
    /// Seconds east of UTC, where the value says so.
    pub(super) offset: Option<i32>,
    /// Whether the value says more than microseconds do.
    pub(super) cut: bool,
}

impl Clock {
    /// A moment, by its microseconds since 1970.
    pub(super) fn moment(micros: i64) -> Self {
        Self { micros, offset: Some(0), cut: false }
    }

    fn is_year_one(self) -> bool {
        self.micros == YEAR_ONE
    }
}

/// A field's value and what was done to it; `None` is NULL.
pub(super) type Field<T> = Result<(Option<T>, Note), EncodeError>;

/// Microseconds since 2000 for a column with zone that holds so many digits of a second.
pub(super) fn timestamptz(value: Value<'_>, policy: &Policy, digits: u8) -> Field<i64> {
    let clock = read(value, policy)?;
    if policy.min_value_as_null && clock.is_year_one() {
        return Ok((None, Some("min_value_as_null")));
    }
    let moment = match clock.offset {
        Some(offset) => clock.micros - i64::from(offset) * 1_000_000,
        None => assumed(&shown_text(value), clock.micros, policy)?,
    };
    let (micros, note) = rounded(moment - EPOCH_2000, digits, policy, value)?;
    Ok((micros, note.or(policy.loss(|| clock.cut))))
}

/// Microseconds since 2000 for a column without zone.
pub(super) fn timestamp(value: Value<'_>, policy: &Policy, digits: u8) -> Field<i64> {
    match stored_clock(value, policy)? {
        (Some(micros), loss) => {
            rounded(micros - EPOCH_2000, digits, policy, value).map(|(micros, note)| (micros, note.or(loss)))
        }
        (None, note) => Ok((None, note)),
    }
}

/// Days since 2000.
pub(super) fn date(value: Value<'_>, policy: &Policy) -> Field<i32> {
    let (micros, note) = match stored_clock(value, policy)? {
        (Some(micros), loss) => (micros, loss),
        (None, note) => return Ok((None, note)),
    };
    let note = match micros.rem_euclid(DAY) {
        0 => note,
        _ if policy.round => Some("round"),
        _ => {
            let detail = format!("{} has a time of day, and the column holds dates", quote(&shown_text(value)));
            return Err(EncodeError::new("date_has_time", detail));
        }
    };
    let days = (micros - EPOCH_2000).div_euclid(DAY);
    i32::try_from(days).map(|days| (Some(days), note)).map_err(|_| out_of_range(value))
}

/// What a clock shows in the zone in which the column is kept, in microseconds since 1970.
fn stored_clock(value: Value<'_>, policy: &Policy) -> Field<i64> {
    let clock = read(value, policy)?;
    if policy.min_value_as_null && clock.is_year_one() {
        return Ok((None, Some("min_value_as_null")));
    }
    let assumes = policy.assume_offset.is_some() || policy.assume_zone.is_some();
    let micros = match clock.offset {
        Some(offset) => shown(clock.micros - i64::from(offset) * 1_000_000, policy.store_zone.as_ref()),
        None if assumes => shown(assumed(&shown_text(value), clock.micros, policy)?, policy.store_zone.as_ref()),
        None => clock.micros,
    };
    Ok((Some(micros), policy.loss(|| clock.cut)))
}

/// Reads a value: by the column's formats in their order, then as ISO 8601 or as a number in the column's unit.
fn read(value: Value<'_>, policy: &Policy) -> Result<Clock, EncodeError> {
    let mut first = None;
    for format in &policy.formats {
        match format.read(value) {
            Some(Ok(clock)) => return Ok(clock),
            Some(Err(error)) => first = first.or(Some(error)),
            None => {}
        }
    }
    // What a format recognised and refused says more than that it is no ISO 8601 either.
    read_plain(value, policy).map_err(|error| first.unwrap_or(error))
}

fn read_plain(value: Value<'_>, policy: &Policy) -> Result<Clock, EncodeError> {
    match value {
        Value::Text(text) => match text.trim_matches(' ') {
            "" => Err(EncodeError::new("timestamp_empty", "an empty text is no timestamp")),
            text if is_number(text) => epoch(text, policy.epoch_unit),
            text => read_iso(text),
        },
        Value::Number(text) => epoch(text, policy.epoch_unit),
        Value::Millis(millis) => millis.checked_mul(1000).map(Clock::moment).ok_or_else(|| out_of_range(value)),
        Value::Json(text) => Err(format_error(text)),
        Value::Null | Value::Bool(_) | Value::Bytes(_) => Err(mismatch(value, "timestamp")),
    }
}

/// Microseconds that the column holds: more digits are refused, or rounded as PostgreSQL rounds them.
pub(super) fn rounded(micros: i64, digits: u8, policy: &Policy, value: Value<'_>) -> Field<i64> {
    let unit = 10_i64.pow(6_u32.saturating_sub(u32::from(digits)));
    if micros % unit == 0 {
        return Ok((Some(micros), None));
    }
    if !policy.round {
        let detail = format!(
            "{} has more digits of a second than the {digits} that the column holds",
            quote(&shown_text(value))
        );
        return Err(EncodeError::new("too_precise", detail));
    }
    let half = if micros < 0 { -unit / 2 } else { unit / 2 };
    Ok((Some((micros + half) / unit * unit), Some("round")))
}

#[cold]
fn out_of_range(value: Value<'_>) -> EncodeError {
    EncodeError::new("timestamp_range", format!("{} has no place in the calendar", quote(&shown_text(value))))
}

/// The value as messages show it.
fn shown_text(value: Value<'_>) -> String {
    match value {
        Value::Text(text) | Value::Number(text) | Value::Json(text) => text.to_owned(),
        Value::Millis(millis) => format!("{millis} ms"),
        Value::Bool(flag) => flag.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Null => "null".to_owned(),
    }
}
