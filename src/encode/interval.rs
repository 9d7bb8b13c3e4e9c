//! Intervals: ISO 8601 durations, PostgreSQL's own plain form, and numbers where the unit is configured.

use super::error::{EncodeError, mismatch, quote};
use super::moment::rounded;
use super::number::{Decimal, decimal, is_number, scaled};
use super::{EpochUnit, Note, Policy, Value};

/// The three parts that PostgreSQL keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Interval {
    months: i128,
    days: i128,
    micros: i128,
    /// Whether no number had a fraction that is lost in these.
    whole: bool,
}

impl Default for Interval {
    fn default() -> Self {
        Self { months: 0, days: 0, micros: 0, whole: true }
    }
}

const SECOND: i128 = 1_000_000;
const MINUTE: i128 = 60 * SECOND;
const HOUR: i128 = 60 * MINUTE;

/// The binary form: microseconds, days and months.
pub(super) fn encode(value: Value<'_>, policy: &Policy, typmod: i32) -> Result<([u8; 16], Note), EncodeError> {
    let text = match value {
        Value::Text(text) => text.trim_matches(' '),
        Value::Number(text) => text,
        Value::Null | Value::Bool(_) | Value::Json(_) | Value::Bytes(_) | Value::Millis(_) => {
            return Err(mismatch(value, "interval"));
        }
    };
    let interval = if is_number(text) {
        number(text, policy.epoch_unit)?
    } else {
        let is_iso = text.trim_start_matches(['-', '+']).starts_with('P');
        let read = if is_iso { iso(text) } else { plain(text) }.ok_or_else(|| wrong(text))?;
        if !read.whole {
            return Err(fraction(text));
        }
        read
    };
    let months = i32::try_from(interval.months).map_err(|_| range(text))?;
    let days = i32::try_from(interval.days).map_err(|_| range(text))?;
    let micros = i64::try_from(interval.micros).map_err(|_| range(text))?;
    let (micros, note) = limited(value, policy, typmod, (months, days, micros))?;
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&micros.to_be_bytes());
    bytes[8..12].copy_from_slice(&days.to_be_bytes());
    bytes[12..].copy_from_slice(&months.to_be_bytes());
    Ok((bytes, note))
}

#[cold]
fn range(text: &str) -> EncodeError {
    EncodeError::new("interval_range", format!("{} is longer than an interval can be", quote(text)))
}

#[cold]
fn wrong(text: &str) -> EncodeError {
    let detail = format!("{} is no interval such as P1DT2H or 1 day 02:03:04", quote(text));
    EncodeError::new("interval_format", detail)
}

#[cold]
fn fraction(text: &str) -> EncodeError {
    let detail = format!("{} has a fraction that is no whole number of microseconds, days or months", quote(text));
    EncodeError::new("too_precise", detail)
}

/// Refuses what the column's typmod would cut off: fields below its least one, and digits of a second.
fn limited(
    value: Value<'_>,
    policy: &Policy,
    typmod: i32,
    (months, days, micros): (i32, i32, i64),
) -> Result<(i64, Note), EncodeError> {
    if typmod < 0 {
        return Ok((micros, None));
    }
    // The bits of the fields are those of PostgreSQL's datetime.h; only the least field cuts.
    let fields = typmod >> 16;
    let has = |field: i32| fields & 1 << field != 0;
    let whole = if has(12) {
        true
    } else if has(11) {
        i128::from(micros) % MINUTE == 0
    } else if has(10) {
        i128::from(micros) % HOUR == 0
    } else if has(3) {
        micros == 0
    } else {
        micros == 0 && days == 0 && (has(1) || months % 12 == 0)
    };
    if !whole && !policy.round {
        return Err(EncodeError::new("too_precise", "the interval has fields below the least that the column holds"));
    }
    let digits = match typmod & 0xffff {
        digits @ 0..=6 if has(12) => digits as u8,
        _ => 6,
    };
    let (micros, note) = rounded(micros, digits, policy, value)?;
    Ok((micros.unwrap_or_default(), if whole { note } else { Some("round") }))
}

fn number(text: &str, unit: Option<EpochUnit>) -> Result<Interval, EncodeError> {
    let digits = match unit {
        Some(EpochUnit::S) => 6,
        Some(EpochUnit::Ms) => 3,
        Some(EpochUnit::Us) => 0,
        Some(EpochUnit::Ns) => -3,
        Some(EpochUnit::Auto) | None => {
            let detail = format!("{} is a number, and the column has no epoch_unit", quote(text));
            return Err(EncodeError::new("interval_format", detail));
        }
    };
    let number = decimal(text);
    let micros = shift(number, digits).ok_or_else(|| match number.scale <= digits {
        true => range(text),
        false => EncodeError::new("too_precise", format!("{} is no whole number of microseconds", quote(text))),
    })?;
    Ok(Interval { micros, ..Interval::default() })
}

/// A number × 10^`digits`, where that is whole.
fn shift(number: Decimal, digits: i32) -> Option<i128> {
    if !number.exact {
        return None;
    }
    let digits = digits.saturating_sub(number.scale);
    if digits >= 0 {
        return scaled(number.mantissa, digits.unsigned_abs());
    }
    let unit = 10_i128.checked_pow(digits.unsigned_abs())?;
    (number.mantissa % unit == 0).then_some(number.mantissa / unit)
}

impl Interval {
    /// Adds a number of a unit; `None` where that is more than fits.
    fn add(&mut self, number: Decimal, unit: Unit) -> Option<()> {
        let (part, size) = match unit {
            Unit::Months(size) => (&mut self.months, size),
            Unit::Days(size) => (&mut self.days, size),
            Unit::Micros(size) => (&mut self.micros, size),
        };
        let sized = Decimal { mantissa: number.mantissa.checked_mul(size)?, ..number };
        match shift(sized, 0) {
            Some(number) => *part = part.checked_add(number)?,
            None if sized.scale > 0 => self.whole = false,
            None => return None,
        }
        Some(())
    }

    fn negated(self) -> Self {
        Self { months: -self.months, days: -self.days, micros: -self.micros, ..self }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Months(i128),
    Days(i128),
    Micros(i128),
}

/// `P1Y2M3W4DT5H6M7.8S`, each part with a sign of its own if need be, or one before the P for all.
fn iso(text: &str) -> Option<Interval> {
    use Unit::{Days, Micros, Months};
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text).strip_prefix('P')?;
    let (date, time) = match unsigned.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None if unsigned.is_empty() => return None,
        None => (unsigned, ""),
    };
    let mut interval = Interval::default();
    fields(date, &[('Y', Months(12)), ('M', Months(1)), ('W', Days(7)), ('D', Days(1))], &mut interval)?;
    fields(time, &[('H', Micros(HOUR)), ('M', Micros(MINUTE)), ('S', Micros(SECOND))], &mut interval)?;
    Some(if text.starts_with('-') { interval.negated() } else { interval })
}

/// Numbers with designators, each at most once and in their order.
fn fields(mut text: &str, mut units: &[(char, Unit)], interval: &mut Interval) -> Option<()> {
    while !text.is_empty() {
        let end = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, tail) = text.split_at(end);
        let designator = tail.chars().next()?;
        let place = units.iter().position(|(name, _)| *name == designator)?;
        let (_, unit) = units.get(place)?;
        interval
            .add(Some(number).filter(|number| is_number(number) && !number.starts_with('+')).map(decimal)?, *unit)?;
        units = units.get(place + 1..)?;
        text = tail.get(1..)?;
    }
    Some(())
}

/// `1 year 2 mons 3 days -04:05:06.7`, as PostgreSQL writes intervals, and its words for units: each at most once.
fn plain(text: &str) -> Option<Interval> {
    let (body, ago) = match text.strip_suffix("ago") {
        Some(body) => (body.strip_suffix(' ')?, true),
        None => (text, false),
    };
    let mut rest = body.strip_prefix('@').unwrap_or(body).trim_matches(' ');
    let (mut interval, mut seen) = (Interval::default(), Vec::new());
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | ':')).unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let tail = if number.contains(':') {
            let (micros, whole) = clock(number)?;
            interval.micros = interval.micros.checked_add(micros)?;
            interval.whole &= whole;
            seen.extend([HOUR, MINUTE, SECOND].map(Unit::Micros));
            tail
        } else {
            let tail = tail.trim_start_matches(' ');
            let (word, tail) = tail.split_at(tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len()));
            seen.push(unit(word)?);
            interval.add(Some(number).filter(|number| is_number(number)).map(decimal)?, unit(word)?)?;
            tail
        };
        rest = tail.trim_start_matches(' ');
        // Two numbers that touch could be one.
        if rest.len() == tail.len() && !rest.is_empty() {
            return None;
        }
    }
    let twice = (1..).zip(&seen).any(|(behind, unit)| seen.get(behind..).is_some_and(|rest| rest.contains(unit)));
    (!twice).then(|| if ago { interval.negated() } else { interval })
}

fn unit(word: &str) -> Option<Unit> {
    let word = word.to_ascii_lowercase();
    Some(match word.strip_suffix('s').filter(|word| word.len() > 1).unwrap_or(&word) {
        "year" | "yr" => Unit::Months(12),
        "mon" | "month" => Unit::Months(1),
        "week" => Unit::Days(7),
        "day" => Unit::Days(1),
        "hour" | "hr" => Unit::Micros(HOUR),
        "min" | "minute" => Unit::Micros(MINUTE),
        "sec" | "second" => Unit::Micros(SECOND),
        "millisecond" => Unit::Micros(1_000),
        "microsecond" => Unit::Micros(1),
        _ => return None,
    })
}

/// Hours, minutes and seconds, and whether nothing of them is lost; without seconds it could be either two of them.
fn clock(text: &str) -> Option<(i128, bool)> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let whole =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<i128>().ok()).flatten();
    let (hours, minutes) = (whole(hours)?, whole(minutes).filter(|minutes| *minutes < 60)?);
    let starts = seconds.starts_with(|c: char| c.is_ascii_digit()) && is_number(seconds);
    let number = Some(decimal(seconds)).filter(|_| starts)?;
    let (seconds, kept) = match shift(number, 6) {
        Some(micros) => (micros, true),
        None if number.scale > 6 => (0, false),
        None => return None,
    };
    if parts.next().is_some() || seconds >= MINUTE {
        return None;
    }
    let micros = hours.checked_mul(HOUR)?.checked_add(minutes * MINUTE + seconds)?;
    Some((if text.starts_with('-') { -micros } else { micros }, kept))
}
