//! Whether a recorded time of expiry has passed.

use crate::source::ServerClock;
use std::time::SystemTime;

/// Whether it has, by Redis's clock where that is told.
pub(super) fn has_passed(clock: Option<&ServerClock>, recorded: Option<&str>) -> bool {
    let own = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    };
    let now = clock.map_or_else(own, ServerClock::now);
    recorded.and_then(milliseconds).is_some_and(|expiry| expiry <= now)
}

/// A time as PostgreSQL or lineage writes it, in Unix milliseconds. One without a zone is UTC, as it was loaded.
fn milliseconds(text: &str) -> Option<i64> {
    let zoned = text.parse::<jiff::Timestamp>();
    zoned.or_else(|_| format!("{text}Z").parse()).ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::milliseconds;

    #[test]
    fn times_are_read_as_lineage_and_postgres_write_them() {
        for text in ["2026-01-02T03:04:05.678Z", "2026-01-02 03:04:05.678+00", "2026-01-02 03:04:05.678"] {
            assert_eq!(milliseconds(text), Some(1_767_323_045_678), "{text}");
        }
        assert_eq!(milliseconds("infinity"), None);
    }
}
