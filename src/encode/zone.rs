//! Time zones by their IANA names: from a clock on the wall to a moment, and back. The rules are those that are built in:
//! the host's zone files play no part.

use super::Policy;
use super::calendar::{DAY, civil_from_days};
use super::error::{EncodeError, quote};
use super::timestamp::{ambiguous, parse_offset};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// A zone as the configuration names it: `UTC`, an offset such as `+05:30`, or an IANA name such as `Europe/Paris`.
pub fn parse_zone(name: &str) -> Option<TimeZone> {
    match parse_offset(name) {
        Some(seconds) => Offset::from_seconds(seconds).ok().map(TimeZone::fixed),
        None => TimeZone::get(name).ok().filter(|zone| !zone.is_unknown()),
    }
}

/// Microseconds since 1970 of what a clock shows in the zone that the column assumes.
#[cold]
pub(super) fn assumed(text: &str, micros: i64, policy: &Policy) -> Result<i64, EncodeError> {
    if let Some(offset) = policy.assume_offset {
        return Ok(micros - i64::from(offset) * 1_000_000);
    }
    let Some(zone) = &policy.assume_zone else {
        let detail = format!("{} names no zone, and the column has no assume_timezone", quote(text));
        return Err(EncodeError::new("timestamp_no_zone", detail));
    };
    let range = || EncodeError::new("timestamp_range", format!("{} is not a time in the assumed zone", quote(text)));
    let local = civil(micros).ok_or_else(range)?;
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => Ok(micros - i64::from(offset.seconds()) * 1_000_000),
        // The clock was put forward past it, or back over it.
        AmbiguousOffset::Gap { .. } => Err(range()),
        AmbiguousOffset::Fold { .. } => Err(ambiguous(text)),
    }
}

/// What a clock shows in a zone, in microseconds since 1970. Beyond jiff's years (±9999) it shows UTC.
pub(super) fn shown(micros: i64, zone: Option<&TimeZone>) -> i64 {
    let offset = zone.zip(Timestamp::from_microsecond(micros).ok()).map(|(zone, moment)| zone.to_offset(moment));
    micros + offset.map_or(0, |offset| i64::from(offset.seconds()) * 1_000_000)
}

fn civil(micros: i64) -> Option<DateTime> {
    let (year, month, day) = civil_from_days(micros.div_euclid(DAY));
    let rest = micros.rem_euclid(DAY);
    let (seconds, nanos) = (rest / 1_000_000, rest % 1_000_000 * 1000);
    DateTime::new(
        i16::try_from(year).ok()?,
        month as i8,
        day as i8,
        (seconds / 3600) as i8,
        (seconds / 60 % 60) as i8,
        (seconds % 60) as i8,
        nanos as i32,
    )
    .ok()
}
