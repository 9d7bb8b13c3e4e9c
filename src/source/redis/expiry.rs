//! When keys expire, by the server's clock.

use super::errors::unexpected;
use super::fetch::PerKey;
use super::wire::Wire;
use super::{RedisSource, number_of};
use crate::model::{RedisKey, UnixMillis};
use fred::error::Error;
use fred::interfaces::FredResult;
use fred::types::{Resp3Frame, Value};

/// Asks for the time of expiry of each key. Read-only, and a fraction of a millisecond for a page.
pub(super) const EXPIRY_SCRIPT: &str =
    "local r = {} for i, key in ipairs(KEYS) do r[i] = redis.call('PEXPIRETIME', key) end return r";

impl RedisSource {
    /// When each key expires, in Unix milliseconds by the server's clock, or [`FOREVER`] or [`MISSING`].
    pub(super) async fn expiries(&self, keys: &[RedisKey]) -> Result<Vec<i64>, Error> {
        if self.inner.abilities.read_script {
            return self.expiries_by_script(keys).await;
        }
        if self.inner.abilities.expire_time {
            return integers(self.each(keys, PerKey::ExpireTime).await?);
        }
        let (now, left) = tokio::join!(biased; self.time(), self.each(keys, PerKey::Ttl));
        let now = now?;
        let left = integers(left?)?;
        Ok(left.into_iter().map(|left| if left >= 0 { now.saturating_add(left) } else { left }).collect())
    }

    /// One command for the whole page: a command for each key costs both sides more than the values themselves.
    async fn expiries_by_script(&self, keys: &[RedisKey]) -> Result<Vec<i64>, Error> {
        let expiries = numbers(self.once("EVAL_RO", self.script(EXPIRY_SCRIPT, keys)).await?)?;
        if expiries.len() == keys.len() {
            return Ok(expiries);
        }
        Err(unexpected("EVAL_RO", "something else than a number a key"))
    }

    /// The arguments of a read-only script that goes through its keys.
    pub(super) fn script(&self, script: &'static str, keys: &[RedisKey]) -> Vec<Value> {
        script_args(script, keys, self.inner.clustered)
    }

    /// The server's clock.
    pub(super) async fn time(&self) -> Result<UnixMillis, Error> {
        time(&self.inner.wire).await
    }
}

/// The clock of the server behind a connection.
pub(super) async fn time(wire: &Wire) -> Result<UnixMillis, Error> {
    let reply = wire.send("TIME", Vec::new()).await?;
    let parts = match &reply {
        Resp3Frame::Array { data, .. } => data.as_slice(),
        _ => &[],
    };
    match parts {
        [seconds, micros] => number_of(seconds).zip(number_of(micros)),
        _ => None,
    }
    .map(|(seconds, micros)| seconds.saturating_mul(1000) + micros / 1000)
    .ok_or_else(|| unexpected("TIME", "no time"))
}

/// The arguments of EVAL_RO for a script that goes through its keys. A node of a cluster takes keys of one slot only where
/// they are announced as keys. As plain arguments they may be of many: the server looks at each when the script uses it.
pub(super) fn script_args(script: &'static str, keys: &[RedisKey], clustered: bool) -> Vec<Value> {
    let mut args = match clustered {
        true => vec![script.replace("KEYS", "ARGV").into(), "0".into()],
        false => vec![script.into(), keys.len().to_string().into()],
    };
    args.extend(keys.iter().map(|key| Value::Bytes(key.bytes())));
    args
}

/// The numbers that a script gave.
pub(super) fn numbers(reply: Resp3Frame) -> Result<Vec<i64>, Error> {
    let numbers: Option<Vec<i64>> = match reply {
        Resp3Frame::Array { data, .. } => data.iter().map(number_of).collect(),
        _ => None,
    };
    numbers.ok_or_else(|| unexpected("EVAL_RO", "something else than numbers"))
}

fn integers(replies: Vec<FredResult<Value>>) -> Result<Vec<i64>, Error> {
    let number = |reply: FredResult<Value>| reply?.as_i64().ok_or_else(|| unexpected("a question", "no number"));
    replies.into_iter().map(number).collect()
}
