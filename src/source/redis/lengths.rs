//! How long strings are, before they are read: a reply is bounded, whatever is among the keys.

use super::RedisSource;
use super::collections::WHOLE_LIMIT;
use super::errors::unexpected;
use super::expiry::numbers;
use super::fetch::{Expiries, PerKey};
use crate::decode::MAX_TEXT_BYTES;
use crate::model::{Failure, Fetched, FieldTimes, LargeKey, RedisKey, RedisType, Wanted};
use fred::error::Error;
use fred::types::Value;

/// Keys whose sizes are asked for at once.
const PROBE_PAGE: usize = 1000;

/// The bytes of all strings of a page, as a list of one. Read-only. A key of another type has none.
const LENGTHS_SCRIPT: &str = "local n, ask = 0, redis.pcall for i, key in ipairs(KEYS) do \
    local length = ask('STRLEN', key) if type(length) == 'number' then n = n + length end end return {n}";

/// The time of expiry of each key, and the bytes of all strings behind them. It takes a third more than the times alone,
/// and half as much as both asked for one after the other.
const EXPIRY_AND_LENGTHS_SCRIPT: &str = "local r, n, ask = {}, 0, redis.pcall for i, key in ipairs(KEYS) do \
    r[i] = redis.call('PEXPIRETIME', key) local length = ask('STRLEN', key) \
    if type(length) == 'number' then n = n + length end end r[#KEYS + 1] = n return r";

/// What is done about one key of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// It is read with the others.
    Whole,
    /// It is read by itself, or in slices; so many bytes.
    Large(u64),
    /// It is not read: so many bytes, and no more than the second are taken.
    TooLarge(u64, usize),
}

/// What is done about the keys from the front of a page.
pub(super) struct Readings {
    /// What is done about each of them.
    pub(super) each: Vec<Reading>,
    /// When they expire, where it was asked for already.
    pub(super) expiries: Expiries,
}

impl RedisSource {
    /// What is done about each key of a run from the front; at least one.
    pub(super) async fn readings(
        &self,
        keys: &[RedisKey],
        wanted: Wanted,
        max_bytes: usize,
    ) -> Result<Readings, Failure> {
        if let Some(count) = self.inner.sizes.at_once(max_bytes).map(|count| count.min(keys.len()))
            // What must be of one moment is asked for with the values.
            && let Some((total, expiries)) =
                self.total(keys.get(..count).unwrap_or(keys), wanted.expiry && !wanted.one_moment).await?
            && total <= max_bytes as u64
        {
            return Ok(Readings { each: vec![Reading::Whole; count], expiries });
        }
        let keys = keys.get(..PROBE_PAGE).unwrap_or(keys);
        let replies = self.each_answered(keys, PerKey::Strlen, "STRLEN").await?;
        // Another type has no length and will be a nil.
        let length = |reply: Result<Value, Error>| reply.ok().and_then(|value| value.as_u64()).unwrap_or(0);
        Ok(Readings { each: plan(replies.into_iter().map(length), wanted, max_bytes), expiries: None })
    }

    /// How many bytes the values of all these keys have together, and if wanted their times of expiry: a page of small
    /// values may still hold a large one. `None` where that cannot be asked at once.
    async fn total(&self, keys: &[RedisKey], want_expiry: bool) -> Result<Option<(u64, Expiries)>, Failure> {
        if !self.inner.abilities.read_script {
            return Ok(None);
        }
        let script = if want_expiry { EXPIRY_AND_LENGTHS_SCRIPT } else { LENGTHS_SCRIPT };
        let expected = if want_expiry { keys.len() + 1 } else { 1 };
        let mut retry = self.retry("EVAL_RO");
        loop {
            let numbers = self.once("EVAL_RO", self.script(script, keys)).await.and_then(numbers);
            let wrong = || unexpected("EVAL_RO", "something else than the numbers that were asked for");
            match numbers.and_then(|numbers| if numbers.len() == expected { Ok(numbers) } else { Err(wrong()) }) {
                Ok(mut numbers) => {
                    let total = numbers.pop().and_then(|total| u64::try_from(total).ok()).unwrap_or(u64::MAX);
                    return Ok(Some((total, want_expiry.then_some(numbers))));
                }
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// What is left for others to read, and what nobody reads.
    pub(super) async fn unread_strings(
        &self,
        keys: &[RedisKey],
        readings: &[Reading],
        want_expiry: bool,
    ) -> Result<Vec<Option<Fetched>>, Failure> {
        let large = |reading: &Reading| matches!(reading, Reading::Large(_));
        let asked: Vec<RedisKey> =
            (keys.iter().zip(readings).filter(|(_, reading)| large(reading))).map(|(key, _)| key.clone()).collect();
        let mut expiries = Vec::new();
        if want_expiry && !asked.is_empty() {
            let mut retry = self.retry("PEXPIRETIME");
            expiries = loop {
                match self.expiries(&asked).await {
                    Ok(expiries) => break expiries,
                    Err(error) => retry.after(error).await?,
                }
            };
        }
        let mut expiries = expiries.into_iter();
        let unread = keys.iter().cloned().zip(readings).map(|(key, reading)| match *reading {
            Reading::Whole => None,
            Reading::Large(bytes) => {
                let expires_at = expiries.next().filter(|at| *at >= 0);
                let large = LargeKey {
                    redis_type: RedisType::String,
                    expires_at,
                    fields: FieldTimes::Unasked,
                    bytes: Some(bytes),
                    facts: None,
                };
                Some(Fetched::Large { key, large })
            }
            Reading::TooLarge(bytes, limit) => Some(too_large(key, RedisType::String, bytes, limit)),
        });
        Ok(unread.collect())
    }
}

/// A value that is not read since it is too large.
pub(super) fn too_large(key: RedisKey, redis_type: RedisType, bytes: u64, limit: usize) -> Fetched {
    let detail = format!("the value has {bytes} bytes; at most {limit} are read for this mapping");
    Fetched::Unreadable { key, redis_type, reason: "value_too_large", detail }
}

/// What is done about strings of these lengths: as many from the front as fit in `max_bytes` together, at least one.
fn plan(lengths: impl Iterator<Item = u64>, wanted: Wanted, max_bytes: usize) -> Vec<Reading> {
    let limit = if wanted.streams { MAX_TEXT_BYTES } else { WHOLE_LIMIT };
    let mut readings = Vec::new();
    let mut together = 0;
    for length in lengths {
        let reading = match length {
            length if length > limit as u64 => Reading::TooLarge(length, limit),
            length if length > max_bytes as u64 => Reading::Large(length),
            length => {
                together += length;
                if together > max_bytes as u64 {
                    break;
                }
                Reading::Whole
            }
        };
        readings.push(reading);
    }
    readings
}

#[cfg(test)]
mod tests {
    use super::{Reading, plan};
    use crate::model::Wanted;

    #[test]
    fn a_page_is_read_as_far_as_it_fits_and_what_is_large_by_itself() {
        let plan = |lengths: &[u64], streams| {
            plan(lengths.iter().copied(), Wanted { streams, ..Wanted::strings(false) }, 1000)
        };
        let whole = Reading::Whole;
        assert_eq!(plan(&[400, 600, 1], false), [whole, whole]);
        assert_eq!(plan(&[999, 1001, 1, 1], false), [whole, Reading::Large(1001), whole]);
        let mib = 64 << 20;
        let huge = Reading::TooLarge(mib as u64 + 1, mib);
        assert_eq!(plan(&[mib as u64, mib as u64 + 1], false), [Reading::Large(mib as u64), huge]);
        assert_eq!(plan(&[mib as u64 + 1], true), [Reading::Large(mib as u64 + 1)]);
        assert_eq!(plan(&[1_000_000_001], true), [Reading::TooLarge(1_000_000_001, 1_000_000_000)]);
    }
}
