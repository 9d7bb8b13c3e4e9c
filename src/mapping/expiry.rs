//! Keys whose time has come, or nearly so: whether they become rows.

use super::MappingSpec;
use super::compile::decoding::Mistake;
use super::plan::Mapping;
use crate::config::Span;
use crate::model::{SkipReason, UnixMillis};
use serde::{Deserialize, Serialize};

/// What happens to a key whose time of expiry has passed when its row is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expired {
    /// It is skipped as `expired`, where its time of expiry was read.
    #[default]
    Skip,
    /// It is loaded: it was there when it was read.
    Load,
}

impl Expired {
    pub(super) fn is_skip(&self) -> bool {
        *self == Self::Skip
    }
}

/// What a mapping says about keys that expire, compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ExpiryPolicy {
    expired: Expired,
    /// Milliseconds that a key must have left; none asked for where it is 0.
    min_ttl: i64,
}

impl ExpiryPolicy {
    /// Reads the settings.
    ///
    /// # Errors
    /// What is wrong with them, and what to do.
    pub(super) fn read(spec: &MappingSpec) -> Result<Self, Mistake> {
        let expired = spec.expired;
        let Some(text) = &spec.min_ttl else { return Ok(Self { expired, min_ttl: 0 }) };
        let hint = "Write a duration such as \"10s\".";
        let span = Span::parse(text).map_err(|error| (format!("`min_ttl`: {error}"), hint))?;
        let min_ttl = i64::try_from(span.0.as_millis()).map_err(|_| ("`min_ttl` is too long".to_owned(), hint))?;
        if min_ttl == 0 {
            return Err(("`min_ttl` of 0 asks for nothing".to_owned(), hint));
        }
        if expired == Expired::Load {
            let message = "`min_ttl` and `expired = \"load\"` contradict each other".to_owned();
            return Err((message, "Take one of them out."));
        }
        Ok(Self { expired, min_ttl })
    }

    /// Whether the time of expiry is read for its sake.
    pub(super) fn wants_expiry(self) -> bool {
        self.min_ttl > 0
    }

    /// Why a key that expires at `expires_at` is passed over; `now` is of the same clock.
    fn judge(self, expires_at: UnixMillis, now: UnixMillis) -> Option<SkipReason> {
        let left = expires_at.saturating_sub(now);
        if left <= 0 {
            return (self.expired == Expired::Skip).then_some(SkipReason::Expired);
        }
        (left < self.min_ttl).then_some(SkipReason::ShortLived)
    }
}

impl Mapping {
    /// Why a key that expires at that time becomes no row; `None`: it does. `now` is the Redis server's time.
    pub fn passes_over(&self, expires_at: Option<UnixMillis>, now: UnixMillis) -> Option<SkipReason> {
        self.expiry.judge(expires_at?, now)
    }

    /// Whether keys that have little time left are skipped.
    pub fn has_min_ttl(&self) -> bool {
        self.expiry.wants_expiry()
    }

    /// Whether the server's time is needed to judge its keys.
    pub fn judges_expiry(&self) -> bool {
        self.wanted.expiry && (self.expiry.expired == Expired::Skip || self.has_min_ttl())
    }
}

#[cfg(test)]
mod tests {
    use super::{Expired, ExpiryPolicy};
    use crate::model::SkipReason;

    #[test]
    fn a_key_is_judged_by_the_time_that_it_has_left() {
        let policy = ExpiryPolicy { expired: Expired::Skip, min_ttl: 10_000 };
        let judged = [0, 99_999, 100_000, 100_001, 109_999, 110_000].map(|at| policy.judge(at, 100_000));
        let (expired, short) = (Some(SkipReason::Expired), Some(SkipReason::ShortLived));
        assert_eq!(judged, [expired, expired, expired, short, short, None]);
        assert_eq!(ExpiryPolicy::default().judge(100_001, 100_000), None);
        let load = ExpiryPolicy { expired: Expired::Load, min_ttl: 0 };
        assert_eq!(load.judge(i64::MIN, i64::MAX), None);
    }
}
