//! Timestamps: ISO 8601 text, and numbers where the unit is configured, to microseconds since 2000-01-01T00:00:00Z.
//!
//! One rule for fractions: cut to microseconds toward the past, never rounded. Neither the host's nor the server's time
//! zone plays a part. What two readers could read differently is refused.

use super::calendar::{DAY, EPOCH_2000, days_from_civil, days_in};
use super::error::{EncodeError, quote};
use super::moment::Clock;
use super::number::{Decimal, decimal, is_number, scaled};
use super::{Policy, Value, zone};
use serde::{Deserialize, Serialize};

/// The unit of a timestamp that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EpochUnit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
    /// By magnitude.
    Auto,
}

/// 1990-01-01 and 2100-01-01, in microseconds since 1970: a number outside is in another unit, or no time at all.
const PLAUSIBLE: std::ops::Range<i128> = 631_152_000_000_000..4_102_444_800_000_000;

pub(super) fn parse(value: Value<'_>, policy: &Policy) -> Result<i64, EncodeError> {
    match value {
        Value::Text(text) => match text.trim_matches(' ') {
            "" => Err(EncodeError::new("timestamp_empty", "an empty text is no timestamp")),
            text if is_number(text) => since_2000(text, policy),
            text => iso(text, policy),
        },
        Value::Number(text) => since_2000(text, policy),
        Value::Millis(millis) => millis
            .checked_mul(1000)
            .and_then(|micros| micros.checked_sub(EPOCH_2000))
            .ok_or_else(|| EncodeError::new("timestamp_range", format!("{millis} ms is out of range"))),
        Value::Json(text) => Err(format_error(text)),
        Value::Null | Value::Bool(_) | Value::Bytes(_) => {
            Err(super::error::mismatch(value, "timestamp with time zone"))
        }
    }
}

fn since_2000(text: &str, policy: &Policy) -> Result<i64, EncodeError> {
    epoch(text, policy.epoch_unit).map(|moment| moment.micros - EPOCH_2000)
}

pub(super) fn format_error(text: &str) -> EncodeError {
    EncodeError::new("timestamp_format", format!("{} is no ISO 8601 timestamp", quote(text)))
}

/// The moment of a number in that unit since 1970, if that is plausible.
pub(super) fn epoch(text: &str, unit: Option<EpochUnit>) -> Result<Clock, EncodeError> {
    let Some(unit) = unit else {
        let detail = format!("{} is a number, and the column has no epoch_unit", quote(text));
        return Err(EncodeError::new("timestamp_format", detail));
    };
    let number = decimal(text);
    // Digits after the point of this unit that make a microsecond.
    let micro_digits: i32 = match unit {
        EpochUnit::S => 6,
        EpochUnit::Ms => 3,
        EpochUnit::Us => 0,
        EpochUnit::Ns => -3,
        EpochUnit::Auto => match shifted(number.mantissa, number.scale.saturating_neg()).map(i128::abs) {
            Some(0..100_000_000_000) => 6,
            Some(0..100_000_000_000_000) => 3,
            Some(0..100_000_000_000_000_000) => 0,
            _ => -3,
        },
    };
    // What is beyond 128 bits is beyond the plausible too.
    let micros = shifted(number.mantissa, micro_digits.saturating_sub(number.scale)).unwrap_or(i128::MAX);
    Ok(Clock { cut: is_cut(&number, micro_digits), ..Clock::moment(plausible(text, micros)?) })
}

/// Whether a number × 10^`digits` has digits behind the point.
pub(super) fn is_cut(number: &Decimal, digits: i32) -> bool {
    !number.exact || number.mantissa != 0 && number.scale > digits
}

/// Microseconds since 1970 that a number stands for, if that is a plausible time.
pub(super) fn plausible(text: &str, micros: i128) -> Result<i64, EncodeError> {
    match i64::try_from(micros) {
        Ok(known) if PLAUSIBLE.contains(&micros) => Ok(known),
        _ => {
            let detail = format!("{} is not in 1990 to 2100", quote(text));
            Err(EncodeError::new("timestamp_implausible", detail))
        }
    }
}

/// `mantissa` × 10^`digits`, rounded toward the past.
pub(super) fn shifted(mantissa: i128, digits: i32) -> Option<i128> {
    if digits >= 0 {
        return scaled(mantissa, digits.unsigned_abs());
    }
    match 10_i128.checked_pow(digits.unsigned_abs()) {
        Some(unit) => Some(mantissa.div_euclid(unit)),
        None => Some(if mantissa < 0 { -1 } else { 0 }),
    }
}

#[inline]
fn iso(text: &str, policy: &Policy) -> Result<i64, EncodeError> {
    let Clock { micros, offset, .. } = read_iso(text)?;
    match offset.or(policy.assume_offset) {
        Some(offset) => Ok(micros - i64::from(offset) * 1_000_000 - EPOCH_2000),
        None => zone::assumed(text, micros, policy).map(|micros| micros - EPOCH_2000),
    }
}

/// What a clock on the wall shows, and the offset where the text names one.
#[inline]
pub(super) fn read_iso(text: &str) -> Result<Clock, EncodeError> {
    let range = || EncodeError::new("timestamp_range", format!("{} has no place in the calendar", quote(text)));
    let (days, rest) = match date(text.as_bytes()) {
        Date::Day(days, rest) => (days, rest),
        Date::OutOfRange => return Err(range()),
        Date::Ambiguous => return Err(ambiguous(text)),
        Date::Wrong => return Err(format_error(text)),
    };
    let (micros, cut, zone) = match rest {
        [] => (0, false, rest),
        [b'T' | b't' | b' ', time @ ..] => match clock(time) {
            Some((Some((micros, cut)), zone)) => (micros, cut, zone),
            Some((None, _)) => return Err(range()),
            None => return Err(ambiguous_or_wrong(text)),
        },
        _ => return Err(format_error(text)),
    };
    let offset = match zone {
        [] => None,
        zone => match zone.strip_prefix(b" ").unwrap_or(zone) {
            b"Z" | b"z" | b"UTC" => Some(0),
            zone => match offset(zone) {
                Some(offset) => Some(offset),
                None if zone.len() > 1 && zone.iter().all(u8::is_ascii_alphabetic) => return Err(ambiguous(text)),
                None => return Err(format_error(text)),
            },
        },
    };
    Ok(Clock { micros: days * DAY + micros, offset, cut })
}

pub(super) fn ambiguous(text: &str) -> EncodeError {
    EncodeError::new("timestamp_ambiguous", format!("{} can be read in more than one way", quote(text)))
}

fn ambiguous_or_wrong(text: &str) -> EncodeError {
    let parts = text.bytes().all(|byte| byte.is_ascii_digit() || b"-:/. Tt".contains(&byte));
    if parts && text.ends_with(|c: char| c.is_ascii_digit()) { ambiguous(text) } else { format_error(text) }
}

enum Date<'a> {
    /// Days since 1970, and what follows.
    Day(i64, &'a [u8]),
    OutOfRange,
    Ambiguous,
    Wrong,
}

fn date(text: &[u8]) -> Date<'_> {
    let unsigned = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+"));
    let digits = unsigned.unwrap_or(text).iter().take_while(|byte| byte.is_ascii_digit()).count();
    let dashed = unsigned.unwrap_or(text).get(digits) == Some(&b'-');
    if digits >= 4 && dashed && (digits > 4 || unsigned.is_some()) {
        return Date::OutOfRange;
    }
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, rest @ ..] = text else { return no_date(text, digits) };
    let (Some(century), Some(year), Some(month), Some(day)) =
        (pair(*y1, *y2), pair(*y3, *y4), pair(*m1, *m2), pair(*d1, *d2))
    else {
        return no_date(text, digits);
    };
    if rest.first().is_some_and(u8::is_ascii_digit) {
        return no_date(text, digits);
    }
    let year = century * 100 + year;
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_in(year, month) {
        return Date::OutOfRange;
    }
    Date::Day(days_from_civil(year, month, day), rest)
}

/// Digits with separators are a date in some spelling; anything else is none.
fn no_date(text: &[u8], digits: usize) -> Date<'static> {
    match text.get(digits) {
        Some(b'-' | b'/' | b'.') if digits > 0 => Date::Ambiguous,
        _ => Date::Wrong,
    }
}

fn pair(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// Microseconds, and whether there are digits below them.
pub(super) type Micros = (i64, bool);

/// The time of day (`None` where out of range), and the zone that follows.
pub(super) fn clock(text: &[u8]) -> Option<(Option<Micros>, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let (hour, minute) = (pair(*h1, *h2)?, pair(*m1, *m2)?);
    let (second, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (pair(*s1, *s2)?, rest),
        // ISO 8601 has fractions of minutes, and PostgreSQL reads the same text as minutes and seconds.
        [b':' | b'.', ..] => return None,
        _ => (0, rest),
    };
    let (micros, cut, rest) = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let padded = fraction.iter().take(digits).chain(std::iter::repeat(&b'0')).take(6);
            let micros = padded.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
            let cut = fraction.iter().take(digits).skip(6).any(|digit| *digit != b'0');
            (micros, cut, fraction.get(digits..).filter(|_| digits > 0)?)
        }
        _ => (0, false, rest),
    };
    if rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let valid = hour < 24 && minute < 60 && second < 60;
    Some((valid.then_some((((hour * 60 + minute) * 60 + second) * 1_000_000 + micros, cut)), rest))
}

/// Seconds east of UTC of `+05`, `+0530` or `+05:30`; PostgreSQL goes to 15:59.
pub(super) fn offset(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h1, h2] => (pair(*h1, *h2)?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (pair(*h1, *h2)?, pair(*m1, *m2)?),
        _ => return None,
    };
    (hours < 16 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60) as i32)
}

/// Seconds east of UTC of a zone as the configuration names it: `UTC`, `Z`, or an offset such as `+05:30`.
pub fn parse_offset(zone: &str) -> Option<i32> {
    match zone {
        "UTC" | "utc" | "Z" => Some(0),
        zone => offset(zone.as_bytes()),
    }
}
