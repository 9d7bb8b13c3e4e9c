//! Dates, times, intervals and ranges of them, as they are read for columns.
//!
//! The first line of an input is the column's type with its policies, such as `timestamptz unit=ms assume=Europe/Paris
//! digits=3 round`; the second one a format, or empty; the rest is the value.

use super::lines;
use super::{moments_written, spans};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use redis2pg::encode::{
    EncodeError, Encoder, EpochUnit, Format, Policy, Value, parse_offset, parse_zone, push_rfc3339,
};
use redis2pg::model::{Column, ColumnType};

/// Microseconds from 1970 to 2000, where PostgreSQL counts from.
pub(crate) const EPOCH: i64 = 946_684_800_000_000;

/// What PostgreSQL holds: from 4714-11-24 BC to 294276, in microseconds since 2000.
const HELD: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

pub(crate) fn holds(data: &[u8]) {
    let ([settings, format], value) = lines::take::<2>(data);
    let Ok(value) = std::str::from_utf8(value) else { return };
    let words: Vec<&str> = settings.split(' ').collect();
    let Some(policy) = policy(&words, &format) else { return };
    let digits = setting(&words, "digits=").and_then(|digits| digits.parse().ok()).filter(|digits| *digits <= 6);
    match words[0] {
        "timestamptz" => timestamptz(value, &policy, digits),
        "timestamp" => timestamp(value, &policy, digits.unwrap_or(6)),
        "date" => date(value, &policy),
        "time" => time(value, &policy, digits.unwrap_or(6)),
        "timetz" => timetz(value, &policy, digits.unwrap_or(6)),
        "interval" => spans::interval(value, &policy),
        name if spans::RANGES.contains(&name) => spans::range(value, name),
        _ => {}
    }
    if let Some(number) = value.as_bytes().first_chunk::<8>().map(|bytes| i64::from_le_bytes(*bytes)) {
        printed_moments_are_right(number);
        policy.formats.iter().for_each(|known| moments_written::come_back(known, &format, number));
    }
}

fn setting<'w>(words: &[&'w str], name: &str) -> Option<&'w str> {
    words.iter().find_map(|word| word.strip_prefix(name))
}

fn policy(words: &[&str], format: &str) -> Option<Policy> {
    let assume = setting(words, "assume=");
    let assume_offset = assume.and_then(parse_offset);
    let unit = match setting(words, "unit=") {
        Some("s") => Some(EpochUnit::S),
        Some("ms") => Some(EpochUnit::Ms),
        Some("us") => Some(EpochUnit::Us),
        Some("ns") => Some(EpochUnit::Ns),
        Some("auto") => Some(EpochUnit::Auto),
        _ => None,
    };
    let formats = if format.is_empty() { Vec::new() } else { vec![Format::parse(format).ok()?] };
    Some(Policy {
        assume_offset,
        assume_zone: assume.filter(|_| assume_offset.is_none()).and_then(parse_zone),
        store_zone: setting(words, "store=").and_then(parse_zone),
        epoch_unit: unit,
        formats,
        round: words.contains(&"round"),
        min_value_as_null: words.contains(&"min"),
        ..Policy::default()
    })
}

/// The field's bytes; `None` where it is NULL.
pub(crate) fn encoded(column_type: ColumnType, policy: &Policy, text: &str) -> Result<Option<Vec<u8>>, EncodeError> {
    let column = Column { name: "c".into(), column_type, not_null: false, has_default: false, generated: false };
    let mut out = Vec::new();
    Encoder::new(&column, policy.clone()).unwrap().encode(Value::Text(text), &mut out).inspect_err(|error| {
        assert!(!error.reason.is_empty() && !error.detail.is_empty());
    })?;
    let (length, bytes) = out.split_first_chunk::<4>().unwrap();
    match i32::from_be_bytes(*length) {
        -1 => assert!(bytes.is_empty()),
        length => assert_eq!(usize::try_from(length), Ok(bytes.len())),
    }
    Ok((*length != [0xff; 4]).then(|| bytes.to_vec()))
}

pub(crate) fn micros(bytes: &[u8]) -> i64 {
    i64::from_be_bytes(bytes.try_into().unwrap())
}

/// The moment that is stored.
pub(crate) fn moment(micros_since_2000: i64) -> Timestamp {
    Timestamp::from_microsecond(micros_since_2000 + EPOCH).unwrap()
}

pub(crate) fn utc(moment: Timestamp) -> DateTime {
    TimeZone::UTC.to_datetime(moment)
}

/// Whether a text in years 1 to 9999 can be made of it.
fn is_written(clock: DateTime) -> bool {
    clock.year() >= 1
}

fn timestamptz(text: &str, policy: &Policy, digits: Option<u8>) {
    let column_type = digits.map_or(ColumnType::Timestamptz, ColumnType::TimestamptzDigits);
    let stored = encoded(column_type.clone(), policy, text);
    if digits.is_none() && policy.formats.is_empty() && !policy.min_value_as_null {
        agrees_with_others(text, policy, stored.as_ref().map(|bytes| bytes.as_deref().map(micros)));
    }
    let Ok(Some(bytes)) = stored else { return };
    let (micros, unit) = (micros(&bytes), 10_i64.pow(6 - u32::from(digits.unwrap_or(6))));
    assert!(HELD.contains(&micros) && micros % unit == 0);
    if let Ok(Some(exact)) = encoded(ColumnType::TimestamptzDigits(6), policy, text) {
        assert!((self::micros(&exact) - micros).abs() * 2 <= unit, "rounded to the nearest");
    }
    if is_written(utc(moment(micros))) {
        let again = encoded(ColumnType::Timestamptz, &Policy::default(), &moment(micros).to_string());
        assert_eq!(again, Ok(Some(bytes)), "{}", moment(micros));
    }
}

/// RFC 3339 is read as jiff reads it, local times as the zone has them, and numbers as their digits say.
fn agrees_with_others(text: &str, policy: &Policy, stored: Result<Option<i64>, &EncodeError>) {
    let trimmed = text.trim_matches(' ');
    if is_rfc3339(trimmed) {
        let known = trimmed.parse::<Timestamp>().map(|known| known.as_nanosecond().div_euclid(1000) as i64 - EPOCH);
        match (stored, known) {
            (Ok(found), Ok(known)) => assert_eq!(found, Some(known), "{text}"),
            (Ok(_), Err(error)) => panic!("{text} was accepted: {error}"),
            // No year 0, no second 60, no offset of 16 hours and more.
            (Err(error), Ok(_)) => {
                let odd = trimmed.starts_with("0000") || trimmed.contains(":60") || error.reason == "timestamp_format";
                assert!(odd, "{error}");
            }
            (Err(_), Err(_)) => {}
        }
    } else if let (Ok(Some(found)), Some(zone)) = (stored, &policy.assume_zone)
        && let Ok(local) = trimmed.parse::<DateTime>()
        && !trimmed.ends_with(['Z', 'z', 'C'])
        && !trimmed.contains(['+'])
        && trimmed.matches('-').count() == 2
    {
        let shown = zone.to_datetime(moment(found));
        assert_eq!(
            shown,
            local
                .round(jiff::civil::DateTimeRound::new().smallest(jiff::Unit::Microsecond).mode(jiff::RoundMode::Trunc))
                .unwrap()
        );
    } else if let (Some(unit), Some(known)) = (policy.epoch_unit, digits_of(trimmed)) {
        moments_written::number_is_right(known, unit, stored.map(|found| found.unwrap()).ok(), text);
    }
}

/// A number's sign, digits, and how many of them stand before the point.
pub(crate) type Digits = (bool, String, i64);

fn digits_of(text: &str) -> Option<Digits> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let all = format!("{whole}{fraction}");
    let plain = !whole.is_empty() && !fraction.is_empty() && all.bytes().all(|byte| byte.is_ascii_digit());
    let exponent: i64 = exponent.parse().ok().filter(|_| plain)?;
    (all.len() <= 30 && exponent.abs() <= 40).then(|| (text.starts_with('-'), all, whole.len() as i64 + exponent))
}

fn is_rfc3339(text: &str) -> bool {
    let form = "dddd-dd-ddTdd:dd:dd";
    let fits = |(byte, wanted): (u8, u8)| match wanted {
        b'd' => byte.is_ascii_digit(),
        b'T' => b"Tt ".contains(&byte),
        wanted => byte == wanted,
    };
    let Some((head, tail)) = text.split_at_checked(form.len()) else { return false };
    let fraction = tail
        .strip_prefix('.')
        .map(|tail| tail.split_at(tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len())));
    let (fraction, zone) = fraction.unwrap_or(("0", tail));
    let offset = zone.len() == 6
        && zone.bytes().zip(*b"+dd:dd").all(|(byte, wanted)| fits((byte, wanted)) || byte == b'-' && wanted == b'+');
    head.bytes().zip(form.bytes()).all(fits)
        && (1..=9).contains(&fraction.len())
        && (matches!(zone, "Z" | "z") || offset)
}

fn timestamp(text: &str, policy: &Policy, digits: u8) {
    let Ok(Some(bytes)) = encoded(ColumnType::Timestamp(digits), policy, text) else { return };
    let micros = micros(&bytes);
    assert!(HELD.contains(&micros) && micros % 10_i64.pow(6 - u32::from(digits)) == 0);
    let clock = utc(moment(micros));
    if is_written(clock) {
        let again = encoded(ColumnType::Timestamp(6), &Policy::default(), &clock.to_string());
        assert_eq!(again, Ok(Some(bytes)), "{clock}");
    }
    if let (Ok(Some(with_zone)), true) = (encoded(ColumnType::Timestamptz, policy, text), digits == 6) {
        let zone = policy.store_zone.clone().unwrap_or(TimeZone::UTC);
        let names_zone = encoded(
            ColumnType::Timestamptz,
            &Policy { assume_offset: None, assume_zone: None, ..policy.clone() },
            text,
        )
        .is_ok();
        let assumes = policy.assume_offset.is_some() || policy.assume_zone.is_some();
        if names_zone || assumes {
            assert_eq!(clock, zone.to_datetime(moment(self::micros(&with_zone))), "{text} is one moment");
        }
    }
}

fn date(text: &str, policy: &Policy) {
    let Ok(Some(bytes)) = encoded(ColumnType::Date, policy, text) else { return };
    let days = i32::from_be_bytes(bytes.as_slice().try_into().unwrap());
    let date = jiff::civil::date(2000, 1, 1).checked_add(Span::new().days(days)).unwrap();
    if date.year() >= 1 {
        assert_eq!(encoded(ColumnType::Date, &Policy::default(), &date.to_string()), Ok(Some(bytes)), "{date}");
    }
    if let Ok(Some(clock)) = encoded(ColumnType::Timestamp(6), policy, text) {
        assert_eq!(utc(moment(micros(&clock))).date(), date);
        assert!(policy.round || micros(&clock).rem_euclid(86_400_000_000) == 0, "a time of day was lost");
    }
}

fn time_of_day(micros: i64) -> String {
    assert!((0..=86_400_000_000).contains(&micros), "{micros}");
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    format!("{:02}:{:02}:{:02}.{fraction:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn time(text: &str, policy: &Policy, digits: u8) {
    let Ok(Some(bytes)) = encoded(ColumnType::Time(digits), policy, text) else { return };
    let clock = time_of_day(micros(&bytes));
    assert_eq!(micros(&bytes) % 10_i64.pow(6 - u32::from(digits)), 0);
    let known: Result<jiff::civil::Time, _> = text.trim_matches(' ').parse();
    if let (Ok(known), true, true) = (known, digits == 6, policy.formats.is_empty()) {
        let since = known.duration_since(jiff::civil::Time::midnight()).as_micros();
        assert_eq!(i128::from(micros(&bytes)), since, "{text}");
    }
    let end = clock.replace("24:00:00.000000", "24:00:00");
    assert_eq!(encoded(ColumnType::Time(6), &Policy::default(), &end), Ok(Some(bytes)), "{end}");
}

fn timetz(text: &str, policy: &Policy, digits: u8) {
    let Ok(Some(bytes)) = encoded(ColumnType::Timetz(digits), policy, text) else { return };
    let (clock, west) = (time_of_day(micros(&bytes[..8])), i32::from_be_bytes(bytes[8..].try_into().unwrap()));
    assert!(west.abs() < 16 * 3600 && west % 60 == 0, "{west}");
    let (sign, minutes) = (if west > 0 { '-' } else { '+' }, west.abs() / 60);
    let again =
        format!("{}{sign}{:02}:{:02}", clock.replace("24:00:00.000000", "24:00:00"), minutes / 60, minutes % 60);
    assert_eq!(encoded(ColumnType::Timetz(6), &Policy::default(), &again), Ok(Some(bytes)), "{again}");
}

fn printed_moments_are_right(millis: i64) {
    let mut text = String::new();
    push_rfc3339(&mut text, millis);
    if let Ok(known) = Timestamp::from_millisecond(millis)
        && is_written(utc(known))
    {
        assert_eq!(text.parse::<Timestamp>().unwrap(), known, "{text}");
    }
}
