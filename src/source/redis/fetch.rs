//! Values: one MGET a page, the times of expiry beside it, and a reply that is bounded in bytes.
//!
//! A nil of MGET may be a missing key or one of another type, so nils are asked for their TYPE.

use super::errors::unexpected;
use super::{RedisSource, bytes_of, number_of};
use crate::model::{Failure, Fetched, Record, RedisKey, RedisType, UnixMillis};
use crate::source::FetchedPage;
use bytes::Bytes;
use fred::error::Error;
use fred::interfaces::{ClientLike, FredResult, KeysInterface, MemoryInterface};
use fred::types::{Resp3Frame, Value};

/// Keys whose sizes are asked for at once.
const PROBE_PAGE: usize = 1000;
/// What PEXPIRETIME and PTTL answer for a key without expiry, and for one that is not there.
const FOREVER: i64 = -1;
const MISSING: i64 = -2;

/// Which command is sent for each key of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PerKey {
    Strlen,
    Memory,
    Type,
    ExpireTime,
    Ttl,
}

/// Asks for the time of expiry of each key. Read-only, and a fraction of a millisecond for a page.
pub(super) const EXPIRY_SCRIPT: &str =
    "local r = {} for i, key in ipairs(KEYS) do r[i] = redis.call('PEXPIRETIME', key) end return r";

/// The times of expiry of a page: not asked for, or one a key.
type Expiries = Option<Vec<i64>>;

/// Bytes of the key and the value in one entry.
pub(in crate::source) fn size_of(fetched: &Fetched) -> u64 {
    let value = match fetched {
        Fetched::Record(record) => record.value.len(),
        _ => 0,
    };
    (fetched.key().as_bytes().len() + value) as u64
}

impl RedisSource {
    pub(super) async fn read_some(
        &self,
        keys: &[RedisKey],
        want_expiry: bool,
        max_bytes: usize,
    ) -> Result<FetchedPage, Failure> {
        let fitting = match self.inner.sizes.at_once(max_bytes) {
            Some(fitting) => fitting,
            None if keys.len() > 1 => self.fitting(keys, max_bytes).await?,
            None => 1,
        };
        let keys = keys.get(..fitting).unwrap_or(keys);
        if keys.is_empty() {
            return Ok(FetchedPage::default());
        }
        let mut records = self.values(keys, want_expiry).await?;
        self.explain_nils(&mut records, want_expiry).await?;
        let page = FetchedPage { bytes: records.iter().map(size_of).sum(), records };
        self.learn_sizes(&page);
        Ok(page)
    }

    /// How many keys from the front have values that fit in `max_bytes` together; at least one.
    async fn fitting(&self, keys: &[RedisKey], max_bytes: usize) -> Result<usize, Failure> {
        let keys = keys.get(..PROBE_PAGE).unwrap_or(keys);
        let mut retry = self.retry("STRLEN");
        let replies = loop {
            match self.each(keys, PerKey::Strlen).await {
                Ok(replies) => break replies,
                Err(error) => retry.after(error).await?,
            }
        };
        let mut bytes = 0_u64;
        for (index, reply) in replies.into_iter().enumerate() {
            // Another type has no length and will be a nil.
            bytes += reply.ok().and_then(|value| value.as_u64()).unwrap_or(0);
            if index > 0 && bytes > max_bytes as u64 {
                return Ok(index);
            }
        }
        Ok(keys.len())
    }

    /// Values and expiries of all `keys`, with the usual attempts. Nils are left as `Gone`.
    async fn values(&self, keys: &[RedisKey], want_expiry: bool) -> Result<Vec<Fetched>, Failure> {
        let mut retry = self.retry("MGET");
        let (values, expiries) = loop {
            match self.values_once(keys, want_expiry).await {
                Ok(read) => break read,
                Err(error) => retry.after(error).await?,
            }
        };
        if values.len() != keys.len() {
            return Err(self.failure(&unexpected("MGET", &mismatch(values.len(), keys.len())), "MGET"));
        }
        let expiry = |index: usize| expiries.as_ref().and_then(|all| all.get(index)).copied();
        let entries = keys.iter().zip(values).enumerate();
        Ok(entries.map(|(index, (key, value))| entry(key, bytes_of(value), expiry(index))).collect())
    }

    async fn values_once(&self, keys: &[RedisKey], want_expiry: bool) -> Result<(Vec<Resp3Frame>, Expiries), Error> {
        let args = keys.iter().map(|key| Value::Bytes(key.bytes())).collect();
        let (reply, expiries) = tokio::join!(biased; self.once("MGET", args), async {
            if want_expiry { self.expiries(keys).await.map(Some) } else { Ok(None) }
        });
        match reply? {
            Resp3Frame::Array { data, .. } => Ok((data, expiries?)),
            _ => Err(unexpected("MGET", "something else than an array")),
        }
    }

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
        let mut arguments = vec![EXPIRY_SCRIPT.into(), keys.len().to_string().into()];
        arguments.extend(keys.iter().map(|key| Value::Bytes(key.bytes())));
        match self.once("EVAL_RO", arguments).await? {
            Resp3Frame::Array { data, .. } if data.len() == keys.len() => data
                .iter()
                .map(number_of)
                .collect::<Option<Vec<i64>>>()
                .ok_or_else(|| unexpected("EVAL_RO", "no number")),
            _ => Err(unexpected("EVAL_RO", "something else than a number a key")),
        }
    }

    /// The server's time.
    pub(super) async fn time(&self) -> Result<UnixMillis, Error> {
        let reply = self.once("TIME", Vec::new()).await?;
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

    /// Says of each nil whether the key has gone or holds another type.
    async fn explain_nils(&self, records: &mut [Fetched], want_expiry: bool) -> Result<(), Failure> {
        let nils: Vec<(usize, RedisKey)> = records
            .iter()
            .enumerate()
            .filter_map(|(index, fetched)| match fetched {
                Fetched::Gone(key) => Some((index, key.clone())),
                _ => None,
            })
            .collect();
        if nils.is_empty() {
            return Ok(());
        }
        let keys: Vec<RedisKey> = nils.iter().map(|(_, key)| key.clone()).collect();
        let types = self.types(&keys).await?;
        for ((index, key), redis_type) in nils.into_iter().zip(types) {
            let fetched = match redis_type.as_str() {
                "none" => Fetched::Gone(key),
                // Written between the two questions: it is read once more, and has gone if it is nil again.
                "string" => match self.values(std::slice::from_ref(&key), want_expiry).await?.pop() {
                    Some(again) => again,
                    None => Fetched::Gone(key),
                },
                _ => Fetched::WrongType { key, redis_type },
            };
            if let Some(entry) = records.get_mut(index) {
                *entry = fetched;
            }
        }
        Ok(())
    }

    /// The keys that are not there: one EXISTS where all are, which is the usual case, else the TYPE of each.
    pub(super) async fn missing(&self, keys: &[RedisKey]) -> Result<Vec<RedisKey>, Failure> {
        self.refresh().await;
        let args = keys.iter().map(|key| Value::Bytes(key.bytes())).collect();
        // Keys are distinct, or are counted once for each mention. A server that refuses the command is asked for types.
        let there = self.once("EXISTS", args).await.ok().as_ref().and_then(number_of);
        if there.is_some_and(|count| usize::try_from(count).is_ok_and(|count| count == keys.len())) {
            return Ok(Vec::new());
        }
        let types = self.types(keys).await?;
        Ok(keys.iter().zip(types).filter(|(_, redis_type)| redis_type == "none").map(|(key, _)| key.clone()).collect())
    }

    async fn types(&self, keys: &[RedisKey]) -> Result<Vec<String>, Failure> {
        let mut retry = self.retry("TYPE");
        loop {
            let replies = match self.each(keys, PerKey::Type).await {
                Ok(replies) => replies.into_iter().collect::<FredResult<Vec<Value>>>(),
                Err(error) => Err(error),
            };
            let text = |reply: Value| reply.as_string().ok_or_else(|| unexpected("TYPE", "no type"));
            match replies.and_then(|replies| replies.into_iter().map(text).collect()) {
                Ok(types) => return Ok(types),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// One command for each key, written at once. A pipeline alone writes each command by itself; a command beside it
    /// makes the client flush once (a million commands: 2 instead of 8 CPU seconds).
    pub(super) async fn each(&self, keys: &[RedisKey], command: PerKey) -> Result<Vec<FredResult<Value>>, Error> {
        let pipeline = self.inner.client.pipeline();
        for key in keys.iter().map(RedisKey::bytes) {
            // These only queue; the answers come from `try_all`.
            let () = match command {
                PerKey::Strlen => pipeline.strlen(key).await?,
                PerKey::Memory => pipeline.memory_usage(key, None).await?,
                PerKey::Type => pipeline.r#type(key).await?,
                PerKey::ExpireTime => pipeline.pexpire_time(key).await?,
                PerKey::Ttl => pipeline.pttl(key).await?,
            };
        }
        let (replies, _pong) = tokio::join!(biased; pipeline.try_all::<Value>(), self.inner.client.ping::<Value>(None));
        if replies.len() == keys.len() {
            // What is true of the connection or the server as a whole is not the key's fault.
            return match replies
                .iter()
                .find_map(|reply| reply.as_ref().err().filter(|e| super::errors::is_transient(e)))
            {
                Some(error) => Err(error.clone()),
                None => Ok(replies),
            };
        }
        let found = replies.len();
        let error = replies.into_iter().find_map(Result::err);
        Err(error.unwrap_or_else(|| unexpected("a pipeline", &mismatch(found, keys.len()))))
    }

    fn learn_sizes(&self, page: &FetchedPage) {
        let values = page.records.iter().filter_map(|fetched| match fetched {
            Fetched::Record(record) => Some(record.value.len()),
            _ => None,
        });
        let (mut count, mut largest) = (0, 0);
        for size in values {
            count += 1;
            largest = largest.max(size);
        }
        self.inner.sizes.learn(count, page.bytes, largest);
    }
}

fn entry(key: &RedisKey, value: Option<Bytes>, expiry: Option<i64>) -> Fetched {
    match (value, expiry) {
        // Nil, or expired between the two answers.
        (None, _) | (_, Some(MISSING)) => Fetched::Gone(key.clone()),
        (Some(value), expiry) => Fetched::Record(Record {
            key: key.clone(),
            redis_type: RedisType::String,
            value,
            slice: None,
            expires_at: expiry.filter(|at| *at != FOREVER),
        }),
    }
}

fn integers(replies: Vec<FredResult<Value>>) -> Result<Vec<i64>, Error> {
    let number = |reply: FredResult<Value>| reply?.as_i64().ok_or_else(|| unexpected("a question", "no number"));
    replies.into_iter().map(number).collect()
}

fn mismatch(found: usize, asked: usize) -> String {
    format!("{found} values for {asked} keys")
}

#[cfg(test)]
mod tests {
    use super::entry;
    use crate::model::{Fetched, RedisKey};
    use bytes::Bytes;

    #[test]
    fn a_value_that_expired_in_between_has_gone() {
        let key = RedisKey::new("k");
        let value = || Some(Bytes::from_static(b"v"));
        assert!(matches!(entry(&key, value(), Some(-2)), Fetched::Gone(_)));
        assert!(matches!(entry(&key, None, None), Fetched::Gone(_)));
        assert!(matches!(entry(&key, value(), Some(-1)), Fetched::Record(r) if r.expires_at.is_none()));
        assert!(matches!(entry(&key, value(), Some(5)), Fetched::Record(r) if r.expires_at == Some(5)));
    }
}
