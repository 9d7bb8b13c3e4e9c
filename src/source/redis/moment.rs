//! Strings and their times of expiry, of one moment: a key may be given another value and another time at once, and one that
//! never expires must not be kept with the time of the value before.

use super::RedisSource;
use super::errors::{is_key_refused, is_redirect, is_transient, unexpected};
use super::fetch::{Expiries, MISSING};
use super::number_of;
use crate::model::RedisKey;
use fred::error::Error;
use fred::types::Resp3Frame;

/// The value and the time of expiry of each key. Read-only, and in one step. A key of another type is a nil, as with MGET; any other
/// refusal is the answer to all of it.
const SCRIPT: &str = "local r, ask = {}, redis.pcall for i, key in ipairs(KEYS) do local v = ask('GET', key) \
    if type(v) == 'table' then if not string.find(v.err, 'WRONGTYPE', 1, true) then return v end v = false end \
    r[2 * i - 1] = v r[2 * i] = redis.call('PEXPIRETIME', key) end return r";
/// How far apart times may be that are reckoned from what is left (before Redis 7), in milliseconds.
const RECKONED: i64 = 1_000;
/// How often a value is read whose time changes meanwhile, where there are no scripts.
const READINGS: u32 = 8;

impl RedisSource {
    /// What MGET answers, and when each key expires, both of one moment. Where this user runs no such script, times are asked for
    /// before and after the values, and a key is read again by itself where they differ.
    pub(super) async fn values_of_one_moment(&self, keys: &[RedisKey]) -> Result<(Vec<Resp3Frame>, Expiries), Error> {
        if self.inner.abilities.read_script
            && let Some((values, expiries)) = self.values_by_script(keys).await?
        {
            return Ok((values, Some(expiries)));
        }
        let mut before = self.expiries(keys).await?;
        let mut readings = 0;
        loop {
            let (mut values, after) = self.values_once(keys, true).await?;
            let after = after.unwrap_or_default();
            let same = |place: usize| before.get(place).zip(after.get(place)).is_some_and(|two| self.is_same(two));
            let changed: Vec<usize> = (0..keys.len()).filter(|place| !same(*place)).collect();
            readings += 1;
            if changed.is_empty() || keys.len() == 1 && readings == READINGS {
                return Ok((values, Some(after)));
            }
            if keys.len() > 1 {
                // As nils they are read again, each by itself.
                values
                    .iter_mut()
                    .enumerate()
                    .filter(|(place, _)| changed.binary_search(place).is_ok())
                    .for_each(|(_, value)| *value = Resp3Frame::Null);
                return Ok((values, Some(after)));
            }
            before = after;
        }
    }

    /// `None`: the user may not run what the script runs.
    async fn values_by_script(&self, keys: &[RedisKey]) -> Result<Option<(Vec<Resp3Frame>, Vec<i64>)>, Error> {
        let wrong = || unexpected("EVAL_RO", "something else than a value and a time a key");
        let data = match self.once("EVAL_RO", self.script(SCRIPT, keys)).await {
            Ok(Resp3Frame::Array { data, .. }) => data,
            Ok(_) => return Err(wrong()),
            Err(error) if is_transient(&error) || is_redirect(&error) || is_key_refused(&error) => return Err(error),
            Err(_) => return Ok(None),
        };
        let (mut values, mut expiries) = (Vec::with_capacity(keys.len()), Vec::with_capacity(keys.len()));
        let mut data = data.into_iter();
        while let Some((value, at)) = data.next().zip(data.next()) {
            values.push(value);
            expiries.push(number_of(&at).ok_or_else(wrong)?);
        }
        if values.len() != keys.len() {
            return Err(wrong());
        }
        Ok(Some((values, expiries)))
    }

    /// Whether two answers for a key are the same time.
    fn is_same(&self, (&one, &other): (&i64, &i64)) -> bool {
        let reckoned = !self.inner.abilities.expire_time && one > MISSING + 1 && other > MISSING + 1;
        one == other || reckoned && one.abs_diff(other) < RECKONED.unsigned_abs()
    }
}
