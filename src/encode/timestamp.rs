//! Timestamps: ISO 8601 text, and numbers where the unit is configured, to microseconds since 2000-01-01T00:00:00Z.
//!
//! One rule for fractions: cut to microseconds toward the past, never rounded. Neither the host's nor the server's time
//! zone plays a part. What two readers could read differently is refused.

use super::error::{EncodeError, quote};
use super::number::{decimal, is_number, scaled};
use super::{Policy, Value};
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

/// Microseconds from 1970 to 2000.
const EPOCH_2000: i64 = 946_684_800_000_000;
/// 1990-01-01 and 2100-01-01, in microseconds since 1970: a number outside is in another unit, or no time at all.
const PLAUSIBLE: std::ops::Range<i128> = 631_152_000_000_000..4_102_444_800_000_000;

pub(super) fn parse(value: Value<'_>, policy: &Policy) -> Result<i64, EncodeError> {
    match value {
        Value::Text(text) => match text.trim_matches(' ') {
            "" => Err(EncodeError::new("timestamp_empty", "an empty text is no timestamp")),
            text if is_number(text) => epoch(text, policy.epoch_unit),
            text => iso(text, policy.assume_offset),
        },
        Value::Number(text) => epoch(text, policy.epoch_unit),
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

fn format_error(text: &str) -> EncodeError {
    EncodeError::new("timestamp_format", format!("{} is no ISO 8601 timestamp", quote(text)))
}

fn epoch(text: &str, unit: Option<EpochUnit>) -> Result<i64, EncodeError> {
    let Some(unit) = unit else {
        let detail = format!("{} is a number, and the column has no epoch_unit", quote(text));
        return Err(EncodeError::new("timestamp_format", detail));
    };
    let implausible = || EncodeError::new("timestamp_implausible", format!("{} is not in 1990 to 2100", quote(text)));
    let number = decimal(text).ok_or_else(implausible)?;
    // Digits after the point of this unit that make a microsecond.
    let micro_digits = match unit {
        EpochUnit::S => 6,
        EpochUnit::Ms => 3,
        EpochUnit::Us => 0,
        EpochUnit::Ns => -3,
        EpochUnit::Auto => match shifted(number.mantissa, -number.scale).map(i128::abs) {
            Some(0..100_000_000_000) => 6,
            Some(0..100_000_000_000_000) => 3,
            Some(0..100_000_000_000_000_000) => 0,
            _ => -3,
        },
    };
    let micros = shifted(number.mantissa, micro_digits - number.scale).ok_or_else(implausible)?;
    if !PLAUSIBLE.contains(&micros) {
        return Err(implausible());
    }
    i64::try_from(micros).map(|micros| micros - EPOCH_2000).map_err(|_| implausible())
}

/// `mantissa` × 10^`digits`, rounded toward the past.
fn shifted(mantissa: i128, digits: i32) -> Option<i128> {
    if digits >= 0 {
        return scaled(mantissa, digits.unsigned_abs());
    }
    match 10_i128.checked_pow(digits.unsigned_abs()) {
        Some(unit) => Some(mantissa.div_euclid(unit)),
        None => Some(if mantissa < 0 { -1 } else { 0 }),
    }
}

fn iso(text: &str, assume: Option<i32>) -> Result<i64, EncodeError> {
    let range = || EncodeError::new("timestamp_range", format!("{} has no place in the calendar", quote(text)));
    let (days, rest) = match date(text.as_bytes()) {
        Date::Day(days, rest) => (days, rest),
        Date::OutOfRange => return Err(range()),
        Date::Ambiguous => return Err(ambiguous(text)),
        Date::Wrong => return Err(format_error(text)),
    };
    let (micros, zone) = match rest {
        [] => (0, rest),
        [b'T' | b't' | b' ', time @ ..] => match clock(time) {
            Some((Some(micros), zone)) => (micros, zone),
            Some((None, _)) => return Err(range()),
            None => return Err(ambiguous_or_wrong(text)),
        },
        _ => return Err(format_error(text)),
    };
    let offset = match zone {
        [] => assume.ok_or_else(|| {
            let detail = format!("{} names no zone, and the column has no assume_timezone", quote(text));
            EncodeError::new("timestamp_no_zone", detail)
        })?,
        zone => match zone.strip_prefix(b" ").unwrap_or(zone) {
            b"Z" | b"z" | b"UTC" => 0,
            zone => match offset(zone) {
                Some(offset) => offset,
                None if zone.len() > 1 && zone.iter().all(u8::is_ascii_alphabetic) => return Err(ambiguous(text)),
                None => return Err(format_error(text)),
            },
        },
    };
    Ok(days * 86_400_000_000 + micros - i64::from(offset) * 1_000_000 - EPOCH_2000)
}

fn ambiguous(text: &str) -> EncodeError {
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

/// Microseconds since midnight (`None` where out of range), and the zone that follows.
fn clock(text: &[u8]) -> Option<(Option<i64>, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let (hour, minute) = (pair(*h1, *h2)?, pair(*m1, *m2)?);
    let (second, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (pair(*s1, *s2)?, rest),
        [b':', ..] => return None,
        _ => (0, rest),
    };
    let (micros, rest) = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let padded = fraction.iter().take(digits).chain(std::iter::repeat(&b'0')).take(6);
            let micros = padded.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
            (micros, fraction.get(digits..).filter(|_| digits > 0)?)
        }
        _ => (0, rest),
    };
    if rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let valid = hour < 24 && minute < 60 && second < 60;
    Some((valid.then_some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros), rest))
}

/// Seconds east of UTC of `+05`, `+0530` or `+05:30`; PostgreSQL goes to 15:59.
fn offset(text: &[u8]) -> Option<i32> {
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

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in eras of 400 years that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a number of days since 1970-01-01: the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// Appends a moment as `2024-01-02T03:04:05.678Z`.
pub fn push_rfc3339(out: &mut String, millis: i64) {
    let (year, month, day) = civil_from_days(millis.div_euclid(86_400_000));
    let rest = millis.rem_euclid(86_400_000) as u32;
    // A time to live can end far beyond the calendar: such a year is written in full.
    let skip = if (0..10_000).contains(&year) {
        0
    } else {
        out.push_str(&year.to_string());
        4
    };
    let (year, seconds) = (year as u32, rest / 1000);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    for (place, value) in [
        (0, year / 100),
        (2, year % 100),
        (5, month as u32),
        (8, day as u32),
        (11, seconds / 3600),
        (14, seconds / 60 % 60),
        (17, seconds % 60),
        (21, rest % 100),
    ] {
        text[place] = b'0' + (value / 10 % 10) as u8;
        text[place + 1] = b'0' + (value % 10) as u8;
    }
    text[20] = b'0' + (rest / 100 % 10) as u8;
    out.push_str(std::str::from_utf8(&text).unwrap_or_default().get(skip..).unwrap_or_default());
}
