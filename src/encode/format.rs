//! Spellings of dates and times beside ISO 8601 that a column may name: strptime patterns, and forms of libraries.

use super::calendar::{DAY, YEAR_ONE, days_from_civil, days_in};
use super::error::{EncodeError, quote};
use super::moment::Clock;
use super::number::{decimal, is_number};
use super::pattern::{Misfit, Pattern};
use super::timestamp::{ambiguous, epoch, is_cut, plausible, read_iso, shifted};
use super::{EpochUnit, Value};
use jiff::civil::{DateTime, Time};
use jiff::fmt::rfc2822;

/// A spelling of dates and times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// A strptime pattern such as `%d/%m/%Y`.
    Pattern(Pattern),
    /// `[2024,1,2,3,4,5,123000000]`: year, month, day, hour, minute, second, nanoseconds; the last ones may be missing.
    JacksonArray,
    /// `/Date(1704164645123+0100)/`: milliseconds since 1970; the offset does not change the moment.
    DotnetDate,
    /// Ticks of 100 nanoseconds since 0001-01-01T00:00:00Z.
    DotnetTicks,
    /// `{"$date": …}`: ISO 8601, milliseconds, or `{"$numberLong": "…"}`.
    MongoExtjson,
    /// `Tue, 02 Jan 2024 03:04:05 +0000`, as in mail and HTTP.
    Rfc2822,
    /// A number since 1970 in that unit.
    Unix(EpochUnit),
}

/// The names, and what they stand for.
const NAMED: [(&str, Format); 9] = [
    ("jackson_array", Format::JacksonArray),
    ("dotnet_date", Format::DotnetDate),
    ("dotnet_ticks", Format::DotnetTicks),
    ("mongo_extjson", Format::MongoExtjson),
    ("rfc2822", Format::Rfc2822),
    ("unix", Format::Unix(EpochUnit::S)),
    ("unix_ms", Format::Unix(EpochUnit::Ms)),
    ("unix_us", Format::Unix(EpochUnit::Us)),
    ("unix_ns", Format::Unix(EpochUnit::Ns)),
];

impl Format {
    /// Reads a format as the configuration names it.
    ///
    /// # Errors
    /// In words for people: an unknown name, or a pattern that cannot be read or leaves a part of a value unread.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some((_, format)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(format.clone());
        }
        if !text.contains('%') {
            let names: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
            return Err(format!("`{text}` is neither a strptime pattern nor one of {}", names.join(", ")));
        }
        Pattern::parse(text).map(Self::Pattern).map_err(|error| format!("`{text}`: {error}"))
    }

    /// Whether it gives a date; each column but those of times of day needs one.
    pub fn has_date(&self) -> bool {
        match self {
            Self::Pattern(pattern) => {
                pattern.sample().is_some_and(|time| time.to_datetime().is_ok() || time.timestamp().is_some())
            }
            _ => true,
        }
    }

    /// Whether it gives a time of day without a date.
    pub fn is_time(&self) -> bool {
        match self {
            Self::Pattern(pattern) => pattern
                .sample()
                .is_some_and(|time| time.to_date().is_err() && time.to_time().is_ok() && time.hour().is_some()),
            _ => false,
        }
    }

    /// Whether it reads an offset from UTC, which a time of day without zone would lose.
    pub fn has_offset(&self) -> bool {
        matches!(self, Self::Pattern(pattern) if pattern.has('z'))
    }

    /// The value in this spelling; `None`: it is in another one.
    pub(super) fn read(&self, value: Value<'_>) -> Option<Result<Clock, EncodeError>> {
        match (self, value) {
            (Self::Pattern(pattern), Value::Text(text) | Value::Number(text)) => by_pattern(pattern, text),
            (Self::JacksonArray, Value::Json(text) | Value::Text(text)) => jackson(text),
            (Self::DotnetDate, Value::Text(text)) => dotnet_date(text),
            (Self::DotnetTicks, Value::Text(text) | Value::Number(text)) => ticks(text.trim_matches(' ')),
            (Self::MongoExtjson, Value::Json(text) | Value::Text(text)) => mongo(text),
            (Self::Rfc2822, Value::Text(text)) => mail(text.trim_matches(' ')),
            (Self::Unix(unit), Value::Text(text) | Value::Number(text)) => {
                let text = text.trim_matches(' ');
                is_number(text).then(|| epoch(text, Some(*unit)))
            }
            _ => None,
        }
    }

    /// Microseconds since midnight in this spelling, and whether there are digits below them; `None`: it is in another one.
    pub(super) fn read_time(&self, text: &str) -> Option<Result<(i64, bool), EncodeError>> {
        let Self::Pattern(pattern) = self else { return None };
        Some(match pattern.read(text.trim_matches(' '))? {
            Ok(parts) => {
                let time = parts.to_time().ok()?;
                let nanos = time.duration_since(Time::midnight()).as_nanos();
                Ok(((nanos / 1000) as i64, nanos % 1000 != 0))
            }
            Err(Misfit::LeapSecond) => {
                Err(EncodeError::new("time_range", format!("{} is no time of day", quote(text))))
            }
            Err(_) => Err(EncodeError::new("time_format", format!("{} {FEW_DIGITS}", quote(text)))),
        })
    }
}

/// What is wrong with a text whose digits could be others than those that a pattern takes them for.
const FEW_DIGITS: &str = "has fewer digits than the pattern wants";

fn range(text: &str) -> EncodeError {
    EncodeError::new("timestamp_range", format!("{} has no place in the calendar", quote(text)))
}

/// A moment in years 1 to 9999, by microseconds since 1970.
fn moment(text: &str, micros: Option<i128>) -> Result<Clock, EncodeError> {
    let end = days_from_civil(10_000, 1, 1) * DAY;
    match micros.and_then(|micros| i64::try_from(micros).ok()) {
        Some(micros) if (YEAR_ONE..end).contains(&micros) => Ok(Clock::moment(micros)),
        _ => Err(range(text)),
    }
}

fn by_pattern(pattern: &Pattern, text: &str) -> Option<Result<Clock, EncodeError>> {
    let parsed = match pattern.read(text.trim_matches(' '))? {
        Ok(parsed) => parsed,
        Err(Misfit::LeapSecond | Misfit::Offset) => return Some(Err(range(text))),
        Err(Misfit::Digits) => {
            return Some(Err(EncodeError::new("timestamp_format", format!("{} {FEW_DIGITS}", quote(text)))));
        }
    };
    if let Some(moment) = parsed.timestamp() {
        let (micros, nanos) = (moment.as_nanosecond().div_euclid(1000), moment.as_nanosecond().rem_euclid(1000));
        return Some(plausible(text, micros).map(|micros| Clock { cut: nanos != 0, ..Clock::moment(micros) }));
    }
    let Some(local) = parsed.to_datetime().ok().filter(|local| local.year() > 0) else { return Some(Err(range(text))) };
    let (offset, cut) = (parsed.offset().map(jiff::tz::Offset::seconds), local.subsec_nanosecond() % 1000 != 0);
    Some(Ok(Clock { micros: since_1970(local), offset, cut }))
}

/// A date as in mail and HTTP. jiff takes 60 seconds for 59, and zones that it does not know for UTC.
fn mail(text: &str) -> Option<Result<Clock, EncodeError>> {
    let moment = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let before_comment = text.split('(').next().unwrap_or_default().trim_ascii_end();
    let zone = before_comment.rsplit([' ', '\t']).next().unwrap_or_default();
    let known = ["UT", "GMT", "Z", "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT"];
    if text.contains(":60") {
        return Some(Err(range(text)));
    }
    match zone.starts_with(['+', '-']) {
        true if super::timestamp::offset(zone.as_bytes()).is_none() => return Some(Err(range(text))),
        false if !known.iter().any(|name| name.eq_ignore_ascii_case(zone)) => return Some(Err(ambiguous(text))),
        _ => {}
    }
    Some(Ok(Clock::moment(moment.as_nanosecond().div_euclid(1000) as i64)))
}

/// Microseconds since 1970 as the clock shows them; more digits are cut toward the past.
fn since_1970(local: DateTime) -> i64 {
    let days = days_from_civil(local.year().into(), local.month().into(), local.day().into());
    let seconds = (i64::from(local.hour()) * 60 + i64::from(local.minute())) * 60 + i64::from(local.second());
    days * DAY + seconds * 1_000_000 + i64::from(local.subsec_nanosecond() / 1000)
}

fn jackson(text: &str) -> Option<Result<Clock, EncodeError>> {
    let parts: Vec<i64> = serde_json::from_str(text).ok()?;
    let part = |place: usize| parts.get(place).copied().unwrap_or(0);
    let (year, month, day) = (part(0), part(1), part(2));
    if !matches!(parts.len(), 3 | 5..=7) {
        return None;
    }
    let valid = (1..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && (0..24).contains(&part(3))
        && (0..60).contains(&part(4))
        && (0..60).contains(&part(5))
        && (0..1_000_000_000).contains(&part(6));
    let seconds = || (part(3) * 60 + part(4)) * 60 + part(5);
    let micros = || days_from_civil(year, month, day) * DAY + seconds() * 1_000_000 + part(6) / 1000;
    // Jackson writes milliseconds there too, if it is set to.
    if valid && (1..1000).contains(&part(6)) {
        return Some(Err(ambiguous(text)));
    }
    let clock = || Clock { micros: micros(), offset: None, cut: part(6) % 1000 != 0 };
    Some(if valid { Ok(clock()) } else { Err(range(text)) })
}

fn dotnet_date(text: &str) -> Option<Result<Clock, EncodeError>> {
    let inside = text.trim_matches(' ').strip_prefix("/Date(")?.strip_suffix(")/")?;
    let digits = inside.strip_prefix('-').unwrap_or(inside);
    let end = digits.find(['+', '-']).map_or(inside.len(), |at| at + inside.len() - digits.len());
    let (millis, offset) = inside.split_at(end);
    let known = offset.is_empty() || offset.len() == 5 && super::timestamp::offset(offset.as_bytes()).is_some();
    let millis: i64 = millis.parse().ok().filter(|_| known)?;
    Some(moment(text, Some(i128::from(millis) * 1000)))
}

fn ticks(text: &str) -> Option<Result<Clock, EncodeError>> {
    let number = is_number(text).then(|| decimal(text))?;
    let micros = shifted(number.mantissa, (-1_i32).saturating_sub(number.scale))
        .and_then(|since| since.checked_add(YEAR_ONE.into()));
    Some(moment(text, micros).map(|clock| Clock { cut: is_cut(&number, -1), ..clock }))
}

fn mongo(text: &str) -> Option<Result<Clock, EncodeError>> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let only = |object: &serde_json::Value, key: &str| object.as_object().filter(|o| o.len() == 1)?.get(key).cloned();
    let date = only(&value, "$date")?;
    let millis = match &date {
        serde_json::Value::String(iso) => {
            return Some(read_iso(iso));
        }
        serde_json::Value::Number(millis) => millis.as_i64(),
        inner => only(inner, "$numberLong")?.as_str()?.parse().ok(),
    };
    Some(moment(text, millis.map(|millis| i128::from(millis) * 1000)))
}
