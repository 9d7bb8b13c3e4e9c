//! Values: one MGET a page, the times of expiry beside it, and a reply that is bounded in bytes.
//!
//! A nil of MGET may be a missing key or one of another type, so nils are asked for their TYPE.

use super::collections::NONE;
use super::errors::{is_of_refused_key, is_redirect, is_transient, unexpected};
use super::lengths::{Reading, Readings};
use super::{RedisSource, bytes_of, number_of};
use crate::model::{Failure, Fetched, Record, RedisKey, RedisType, SkipReason, Wanted};
use crate::source::FetchedPage;
use bytes::Bytes;
use fred::error::Error;
use fred::interfaces::{ClientLike, FredResult, KeysInterface, MemoryInterface};
use fred::types::{ClusterHash, CustomCommand, Resp3Frame, Value};

/// What PEXPIRETIME and PTTL answer for a key without expiry, and for one that is not there.
pub(super) const FOREVER: i64 = -1;
pub(super) const MISSING: i64 = -2;

/// Which command is sent for each key of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PerKey {
    Strlen,
    /// Its first byte, which takes the right to read it: the others but `Dump` are about the key alone.
    Peek,
    Memory,
    Type,
    Exists,
    ExpireTime,
    Ttl,
    Idle,
    Dump,
    /// What XINFO tells of the groups of a stream.
    Groups,
    Get,
}

/// The times of expiry of a page: not asked for, or one a key.
pub(super) type Expiries = Option<Vec<i64>>;

/// Bytes of the key and the value in one entry.
pub(super) fn size_of(fetched: &Fetched) -> u64 {
    let value = match fetched {
        Fetched::Record(record) => {
            let fields = record.facts.as_ref().and_then(|facts| facts.fields.as_ref());
            let fields = fields.map_or(0, |fields| std::mem::size_of_val(fields.at.as_slice()));
            record.value.len() + record.dump().map_or(0, Bytes::len) + fields
        }
        _ => 0,
    };
    (fetched.key().as_bytes().len() + value) as u64
}

impl RedisSource {
    pub(super) async fn read_some(
        &self,
        keys: &[RedisKey],
        wanted: Wanted,
        max_bytes: usize,
    ) -> Result<FetchedPage, Failure> {
        let Readings { each: readings, expiries } = self.readings(keys, wanted, max_bytes).await?;
        let keys = keys.get(..readings.len()).unwrap_or(keys);
        if keys.is_empty() {
            return Ok(FetchedPage::default());
        }
        if readings.iter().all(|reading| *reading == Reading::Whole) {
            return self.read_all(keys, wanted, expiries).await;
        }
        let mut unread = self.unread_strings(keys, &readings, wanted.expiry).await?;
        let whole = keys.iter().zip(&unread).filter(|(_, unread)| unread.is_none());
        let whole: Vec<RedisKey> = whole.map(|(key, _)| key.clone()).collect();
        let mut read = FetchedPage::default();
        if !whole.is_empty() {
            read = self.read_all(&whole, wanted, None).await?;
        }
        let largest = readings.iter().map(|reading| match reading {
            Reading::Large(bytes) | Reading::TooLarge(bytes, _) => usize::try_from(*bytes).unwrap_or(usize::MAX),
            Reading::Whole => 0,
        });
        self.inner.sizes.met(largest.max().unwrap_or(0));
        // In the order of the keys: what was read fills the gaps between what was not.
        let mut records = read.records.into_iter();
        unread.iter_mut().filter(|entry| entry.is_none()).for_each(|entry| *entry = records.next());
        Ok(FetchedPage { records: unread.into_iter().flatten().collect(), bytes: read.bytes })
    }

    /// Reads all of these keys with one command. `expiries`: as far as they are known already.
    async fn read_all(&self, keys: &[RedisKey], wanted: Wanted, expiries: Expiries) -> Result<FetchedPage, Failure> {
        let mut records = self.values(keys, wanted, expiries).await?;
        self.explain_nils(&mut records, wanted).await?;
        let page = FetchedPage { bytes: records.iter().map(size_of).sum(), records };
        self.learn_sizes(&page);
        Ok(page)
    }

    /// Values and expiries of all `keys`, with the usual attempts. Nils are left as `Gone`.
    async fn values(&self, keys: &[RedisKey], wanted: Wanted, known: Expiries) -> Result<Vec<Fetched>, Failure> {
        let mut retry = self.retry("MGET");
        let (values, expiries) = loop {
            let read = match &known {
                _ if wanted.one_moment => self.values_of_one_moment(keys).await,
                Some(expiries) => self.values_behind(keys, expiries.clone()).await,
                None => self.values_once(keys, wanted.expiry).await,
            };
            match read {
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

    pub(super) async fn values_once(
        &self,
        keys: &[RedisKey],
        want_expiry: bool,
    ) -> Result<(Vec<Resp3Frame>, Expiries), Error> {
        let (values, expiries) = tokio::join!(biased; self.strings(keys), async {
            if want_expiry { self.expiries(keys).await.map(Some) } else { Ok(None) }
        });
        Ok((values?, expiries?))
    }

    /// What MGET answers. A node of a cluster takes no keys of several slots at once: there it is a GET for each.
    async fn strings(&self, keys: &[RedisKey]) -> Result<Vec<Resp3Frame>, Error> {
        if !self.inner.clustered {
            return array_of(self.once("MGET", keys.iter().map(|key| Value::Bytes(key.bytes())).collect()).await?);
        }
        self.each(keys, PerKey::Get).await?.into_iter().map(string_or_nil).collect()
    }

    /// Values of keys whose times of expiry were asked for just before.
    async fn values_behind(
        &self,
        keys: &[RedisKey],
        mut expiries: Vec<i64>,
    ) -> Result<(Vec<Resp3Frame>, Expiries), Error> {
        let values = self.strings(keys).await?;
        // A key that was not there then, and is now, was written in between.
        let new = |(expiry, value): (&mut i64, &Resp3Frame)| *expiry == MISSING && !matches!(value, Resp3Frame::Null);
        if expiries.iter_mut().zip(&values).any(new) {
            expiries = self.expiries(keys).await?;
        }
        Ok((values, Some(expiries)))
    }

    /// Says of each nil whether the key has gone or holds another type.
    async fn explain_nils(&self, records: &mut [Fetched], wanted: Wanted) -> Result<(), Failure> {
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
                NONE => Fetched::Gone(key),
                // Written between the two questions: it is read once more, and has gone if it is nil again.
                "string" => match self.values(std::slice::from_ref(&key), wanted, None).await?.pop() {
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

    /// The keys that cannot be had, each with why: one EXISTS where all are there, which is the usual case, else the TYPE
    /// of each. Only where that is refused is it asked which keys the user may not read.
    pub(super) async fn missing(&self, keys: &[RedisKey]) -> Result<Vec<(RedisKey, SkipReason)>, Failure> {
        self.refresh().await;
        // Keys are distinct, or are counted once for each mention. A server that refuses the command is asked for types,
        // and so is a node of a cluster, which takes no keys of several slots at once.
        let there = match self.inner.clustered {
            true => None,
            false => {
                let args = keys.iter().map(|key| Value::Bytes(key.bytes())).collect();
                self.once("EXISTS", args).await.ok().as_ref().and_then(number_of)
            }
        };
        if there.is_some_and(|count| usize::try_from(count).is_ok_and(|count| count == keys.len())) {
            return Ok(Vec::new());
        }
        let mut forbidden = Vec::new();
        let mut readable = keys.to_vec();
        let types = match self.types(keys).await {
            Err(refused) if is_of_refused_key(&refused) => {
                let mut refused = self.forbidden(keys).await?.into_iter();
                forbidden.extend(readable.extract_if(.., |_| refused.next().unwrap_or(false)));
                self.types(&readable).await?
            }
            types => types?,
        };
        let gone = readable.into_iter().zip(types).filter(|(_, name)| name == NONE).map(|(key, _)| key);
        let forbidden = forbidden.into_iter().map(|key| (key, SkipReason::Forbidden));
        Ok(gone.map(|key| (key, SkipReason::Gone)).chain(forbidden).collect())
    }

    /// One command for each key, written at once.
    pub(super) async fn each(&self, keys: &[RedisKey], command: PerKey) -> Result<Vec<FredResult<Value>>, Error> {
        let replies = self.each_alone(keys, command).await?;
        // What is true of the connection or the server as a whole is not the key's fault, and a key that is another
        // node's is to be asked for there.
        let wrong =
            |reply: &FredResult<Value>| reply.as_ref().err().filter(|e| is_transient(e) || is_redirect(e)).cloned();
        match replies.iter().find_map(wrong) {
            Some(error) => Err(error),
            None => Ok(replies),
        }
    }

    /// One command for each key, written at once; each answer is of its key alone, whatever it is.
    pub(super) async fn each_alone(&self, keys: &[RedisKey], command: PerKey) -> Result<Vec<FredResult<Value>>, Error> {
        let batch = self.inner.wire.batch();
        for key in keys.iter().map(RedisKey::bytes) {
            let pipeline = batch.next().await?;
            // These only queue; the answers come all together.
            let () = match command {
                PerKey::Get => pipeline.get(key).await?,
                PerKey::Strlen => pipeline.strlen(key).await?,
                PerKey::Peek => pipeline.getrange(key, 0, 0).await?,
                PerKey::Memory => pipeline.memory_usage(key, None).await?,
                PerKey::Type => pipeline.r#type(key).await?,
                PerKey::Exists => pipeline.exists(key).await?,
                PerKey::ExpireTime => pipeline.pexpire_time(key).await?,
                PerKey::Ttl => pipeline.pttl(key).await?,
                PerKey::Idle => {
                    let command = CustomCommand::new_static("OBJECT", ClusterHash::FirstKey, false);
                    pipeline.custom(command, vec![Value::from("IDLETIME"), Value::Bytes(key)]).await?
                }
                PerKey::Dump => pipeline.dump(key).await?,
                PerKey::Groups => {
                    let command = CustomCommand::new_static("XINFO", ClusterHash::FirstKey, false);
                    pipeline.custom(command, vec![Value::from("GROUPS"), Value::Bytes(key)]).await?
                }
            };
        }
        batch.answers(keys.len()).await
    }

    /// One command for each key, with the usual attempts.
    pub(super) async fn each_answered(
        &self,
        keys: &[RedisKey],
        command: PerKey,
        name: &'static str,
    ) -> Result<Vec<FredResult<Value>>, Failure> {
        let mut retry = self.retry(name);
        loop {
            match self.each(keys, command).await {
                Ok(replies) => return Ok(replies),
                Err(error) => retry.after(error).await?,
            }
        }
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
            stored: None,
            slice: None,
            expires_at: expiry.filter(|at| *at != FOREVER),
            facts: None,
        }),
    }
}

/// The answer to a GET as MGET gives it: nil for a key of another type.
fn string_or_nil(reply: FredResult<Value>) -> Result<Resp3Frame, Error> {
    match reply {
        Ok(Value::String(text)) => Ok(Resp3Frame::BlobString { data: text.into_inner(), attributes: None }),
        Ok(Value::Bytes(data)) => Ok(Resp3Frame::BlobString { data, attributes: None }),
        Ok(Value::Null) => Ok(Resp3Frame::Null),
        // Bytes that happen to be a number are given as one by none of the servers; what else it is, is no string.
        Ok(_) => Err(unexpected("GET", "something else than a string")),
        Err(error) if error.details().starts_with("WRONGTYPE") => Ok(Resp3Frame::Null),
        Err(error) => Err(error),
    }
}

fn array_of(reply: Resp3Frame) -> Result<Vec<Resp3Frame>, Error> {
    match reply {
        Resp3Frame::Array { data, .. } => Ok(data),
        _ => Err(unexpected("MGET", "something else than an array")),
    }
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
