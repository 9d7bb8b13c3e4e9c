//! Whether a key whose row tells its time of expiry has expired.

use crate::model::UnixMillis;
use crate::source::ServerClock;
use std::time::SystemTime;

/// A time of expiry is measured, and may be off by so many milliseconds.
const TOLERANCE: UnixMillis = 1000;

/// Beyond it a number is milliseconds, not seconds.
const MILLIS: i64 = 100_000_000_000;

/// What a recorded time of expiry says of a key that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// It has passed: the key expired.
    Passed,
    /// It lies ahead, or the key was to stay: somebody deleted it.
    Ahead,
    /// It is not recorded, or cannot be read.
    Unknown,
}

/// Reads a time as a column of any type shows it, in UTC where it names no zone; a number is Unix seconds, or milliseconds. It has passed by
/// Redis's clock, where that is told. `None`: the key was to stay.
pub(super) fn read(text: Option<&str>, clock: Option<&ServerClock>) -> Expiry {
    judge(text, clock.map_or_else(own_time, ServerClock::now))
}

fn own_time() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn judge(text: Option<&str>, now: UnixMillis) -> Expiry {
    let Some(text) = text else { return Expiry::Ahead };
    if text == "infinity" {
        return Expiry::Ahead;
    }
    match moment(text) {
        Some(at) if at <= now.saturating_add(TOLERANCE) => Expiry::Passed,
        Some(_) => Expiry::Ahead,
        None => Expiry::Unknown,
    }
}

fn moment(text: &str) -> Option<UnixMillis> {
    // A column with places behind the point has them.
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    if let Ok(number) = whole.parse::<i64>() {
        return Some(if number.abs() > MILLIS { number } else { number.saturating_mul(1000) });
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    format!("{text}Z").parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::{Expiry, judge};

    #[test]
    fn times_are_read_as_columns_show_them() {
        // 2026-01-02T03:04:05Z
        let now = 1_767_323_045_000;
        for (text, expiry) in [
            ("2026-01-02T03:04:05Z", Expiry::Passed),
            ("2026-01-02T03:04:06.000Z", Expiry::Passed),
            ("2026-01-02T03:04:07Z", Expiry::Ahead),
            ("2026-01-02 03:04:05+00", Expiry::Passed),
            ("2026-01-02 03:04:15.25+00", Expiry::Ahead),
            ("2026-01-02 03:04:05", Expiry::Passed),
            ("2026-01-02 04:04:05", Expiry::Ahead),
            ("1767323045", Expiry::Passed),
            ("1767323045999", Expiry::Passed),
            ("1767323047000", Expiry::Ahead),
            ("1767323045.25", Expiry::Passed),
            ("1767323047.25", Expiry::Ahead),
            ("infinity", Expiry::Ahead),
            ("soon", Expiry::Unknown),
            ("", Expiry::Unknown),
        ] {
            assert_eq!(judge(Some(text), now), expiry, "{text}");
        }
        assert_eq!(judge(None, now), Expiry::Ahead);
    }
}
