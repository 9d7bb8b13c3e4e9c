//! Values of types other than strings: what is known of a page of keys first, then their items, bounded in bytes.
//!
//! Small collections are read whole, a command each, written at once. Large ones are read in slices, watched so that
//! the slices are of one moment.

mod beside;
pub(super) mod facts;
mod fields;
pub(super) mod pace;
mod pack;
pub(super) mod slice;
mod slices;
mod small;
pub(super) mod watched;

pub(in crate::source) use slices::SliceReader;
pub(super) use watched::{Identity, Reader, identity, unwritten};

use super::fetch::PerKey;
use super::{RedisSource, bytes_of};
use crate::model::{
    Failure, Fetched, FieldExpiries, FieldTimes, LargeKey, Record, RedisKey, RedisType, ValueWanted, Wanted,
};
use crate::source::FetchedPage;
use bytes::Bytes;
use facts::Facts;
use fred::types::Value;
use std::sync::Arc;

/// A collection that takes more memory than this is read in slices.
pub(super) const LARGE: u64 = 1 << 20;
/// The largest value that is read into memory as a whole. It is held some three times (as read, in the reply's buffer, and
/// decoded), whatever `flow.memory` says; jsonb holds no more than four times as much.
pub(super) const WHOLE_LIMIT: usize = 64 << 20;
/// What TYPE answers for a key that is not there.
pub(super) const NONE: &str = "none";

/// What came of one key.
enum Read {
    Value(Bytes),
    /// A hash, and when its fields expire.
    Hash(fields::Timed),
    Gone,
    /// It has another type than it had a moment ago.
    Changed,
    /// The server has no command for it, or does not let us use it.
    Refused,
    /// The reject's reason, and what a person is told.
    Unreadable(&'static str, String),
}

impl RedisSource {
    /// Reads a run of keys of any of the wanted types from their front.
    pub(super) async fn read_typed(
        &self,
        keys: &[RedisKey],
        wanted: Wanted,
        max_bytes: usize,
    ) -> Result<FetchedPage, Failure> {
        let mut facts = self.facts(keys, wanted.expiry).await?;
        facts.truncate(fitting(&facts, wanted, max_bytes));
        let keys = keys.get(..facts.len()).unwrap_or(keys);
        // Before the values: a dump that is older than its value is found changed by the next run, one that is newer would
        // hide that the value is old.
        self.ask_beside(keys, &mut facts, wanted).await?;
        let mut records: Vec<Option<Fetched>> =
            keys.iter().zip(&facts).map(|(key, facts)| unread(key, facts, wanted)).collect();
        self.read_small(keys, &facts, &mut records, wanted).await?;
        for ((key, facts), record) in keys.iter().zip(facts).zip(&mut records) {
            if record.is_none() {
                *record = Some(match sliced(&facts, wanted, max_bytes) {
                    Some(redis_type) => {
                        let expires_at = facts.expiry.filter(|at| *at >= 0);
                        Fetched::Large {
                            key: key.clone(),
                            large: LargeKey {
                                redis_type,
                                expires_at,
                                fields: wanted.fields,
                                bytes: None,
                                facts: facts.beside,
                            },
                        }
                    }
                    None => self.read_alone(key, facts, wanted).await?,
                });
            }
        }
        let records: Vec<Fetched> = records.into_iter().flatten().collect();
        Ok(FetchedPage { bytes: records.iter().map(super::fetch::size_of).sum(), records })
    }

    /// Reads what is small, with one command each; what turned out otherwise stays `None`.
    async fn read_small(
        &self,
        keys: &[RedisKey],
        facts: &[Facts],
        records: &mut [Option<Fetched>],
        wanted: Wanted,
    ) -> Result<(), Failure> {
        let places: Vec<(usize, RedisType)> = (facts.iter().zip(records.iter()).enumerate())
            .filter(|(_, (facts, record))| record.is_none() && facts.memory.is_some_and(|memory| memory <= LARGE))
            .map(|(place, (facts, _))| (place, RedisType::named(&facts.type_name)))
            .filter(|(_, redis_type)| *redis_type != RedisType::Json)
            .collect();
        if places.is_empty() {
            return Ok(());
        }
        let asked: Vec<(RedisKey, RedisType)> =
            places.iter().filter_map(|(place, redis_type)| Some((keys.get(*place)?.clone(), *redis_type))).collect();
        let mut retry = self.retry("HGETALL");
        let values = loop {
            match small::read(&self.inner.wire, &asked).await {
                Ok(values) => break values,
                Err(error) => retry.after(error).await?,
            }
        };
        for ((place, redis_type), value) in places.into_iter().zip(values) {
            if let (Some(value), Some(record), Some(key), Some(facts)) =
                (value, records.get_mut(place), keys.get(place), facts.get(place))
            {
                *record = Some(fetched(key, redis_type, value, facts));
            }
        }
        self.time_small(records, wanted).await
    }

    /// Asks when the fields of the hashes expire that were read; one that has gone, or is none any more, becomes `None`.
    async fn time_small(&self, records: &mut [Option<Fetched>], wanted: Wanted) -> Result<(), Failure> {
        let hash = |(place, record): (usize, &Option<Fetched>)| match record {
            Some(Fetched::Record(record)) if record.redis_type == RedisType::Hash && record.has_value() => {
                Some((place, (record.key.clone(), record.value.clone())))
            }
            _ => None,
        };
        if wanted.fields == FieldTimes::Unasked {
            return Ok(());
        }
        let (places, hashes): (Vec<usize>, Vec<_>) = records.iter().enumerate().filter_map(hash).unzip();
        let mut retry = self.retry("HPEXPIRETIME");
        let timed = loop {
            match self.time_fields(&self.inner.wire, &hashes, wanted.fields).await {
                Ok(timed) => break timed.unwrap_or_default(),
                Err(error) => retry.after(error).await?,
            }
        };
        for (place, timed) in places.into_iter().zip(timed) {
            if let Some(record) = records.get_mut(place) {
                let there = timed.filter(|(value, _)| !value.is_empty());
                *record = record.take().zip(there).map(|(record, (value, fields))| match record {
                    Fetched::Record(record) => Fetched::Record(with_fields(Record { value, ..record }, fields)),
                    other => other,
                });
            }
        }
        Ok(())
    }

    /// Reads one key by itself: a large one, one of RedisJSON, or one that has just changed.
    async fn read_alone(&self, key: &RedisKey, mut facts: Facts, wanted: Wanted) -> Result<Fetched, Failure> {
        /// A key that changes its type so often in a row is not read.
        const CHANGES: u32 = 5;
        for _ in 0..CHANGES {
            if let Some(unread) = unread(key, &facts, wanted) {
                return Ok(unread);
            }
            let redis_type = RedisType::named(&facts.type_name);
            let read = match redis_type {
                RedisType::String => self.read_string(key).await?,
                RedisType::Json => self.read_json(key).await?,
                _ => self.read_watched(key, (redis_type, wanted.fields), WHOLE_LIMIT).await?,
            };
            match read {
                Read::Value(value) => return Ok(fetched(key, redis_type, value, &facts)),
                Read::Hash((value, fields)) => {
                    let record = record(key, redis_type, value, &facts);
                    return Ok(Fetched::Record(with_fields(record, fields)));
                }
                Read::Gone => return Ok(Fetched::Gone(key.clone())),
                Read::Unreadable(..) | Read::Refused if wanted.value == ValueWanted::IfPossible => {
                    return Ok(without_value(key, redis_type, &facts));
                }
                Read::Unreadable(reason, detail) => {
                    return Ok(Fetched::Unreadable { key: key.clone(), redis_type, reason, detail });
                }
                Read::Refused => break,
                Read::Changed => facts = self.ask_beside_again(key, &facts, wanted).await?,
            }
        }
        Ok(Fetched::WrongType { key: key.clone(), redis_type: facts.type_name })
    }

    async fn read_string(&self, key: &RedisKey) -> Result<Read, Failure> {
        let length = self.each(std::slice::from_ref(key), PerKey::Strlen).await;
        let length = length.ok().and_then(|replies| replies.into_iter().next()?.ok()?.as_u64()).unwrap_or(0);
        if length > WHOLE_LIMIT as u64 {
            let detail = format!("the value has {length} bytes; at most {WHOLE_LIMIT} are read for this mapping");
            return Ok(Read::Unreadable("value_too_large", detail));
        }
        self.read_whole("GET", vec![Value::Bytes(key.bytes())]).await
    }

    /// The document as the module prints it. A server that does not let us read it has none that we could read.
    async fn read_json(&self, key: &RedisKey) -> Result<Read, Failure> {
        self.read_whole("JSON.GET", vec![Value::Bytes(key.bytes())]).await
    }

    async fn read_whole(&self, command: &'static str, args: Vec<Value>) -> Result<Read, Failure> {
        let mut retry = self.retry(command);
        loop {
            match self.once(command, args.clone()).await {
                Ok(reply) => return Ok(bytes_of(reply).map_or(Read::Gone, Read::Value)),
                Err(error) if is_wrong_type(&error) => return Ok(Read::Changed),
                Err(error) if command == "JSON.GET" && super::errors::is_unavailable(&error) => {
                    return Ok(Read::Refused);
                }
                Err(error) => retry.after(error).await?,
            }
        }
    }
}

/// How many keys from the front are read at once; at least one.
fn fitting(facts: &[Facts], wanted: Wanted, max_bytes: usize) -> usize {
    /// Where the server does not say how large they are, a key at a time is no page, and more is a risk.
    const UNKNOWN: u64 = 64 * 1024;
    let mut bytes = 0;
    for (index, facts) in facts.iter().enumerate() {
        if wanted.types.has(RedisType::named(&facts.type_name)) {
            let held = facts.memory.unwrap_or(UNKNOWN);
            let whole = wanted.value != ValueWanted::Never && sliced(facts, wanted, max_bytes).is_none();
            bytes += held * (u64::from(whole) + u64::from(wanted.dump));
        }
        if index > 0 && bytes > max_bytes as u64 {
            return index;
        }
    }
    facts.len()
}

/// The type of a collection that is not to be read at once.
fn large(facts: &Facts) -> Option<RedisType> {
    let large = facts.memory.is_none_or(|memory| memory > LARGE);
    Some(RedisType::named(&facts.type_name)).filter(|redis_type| large && redis_type.has_items())
}

/// The type of a value that is left to be read in slices.
fn sliced(facts: &Facts, wanted: Wanted, max_bytes: usize) -> Option<RedisType> {
    if wanted.streams && RedisType::named(&facts.type_name) == RedisType::String {
        return facts.memory.is_none_or(|memory| memory > max_bytes as u64).then_some(RedisType::String);
    }
    large(facts).filter(|_| wanted.slices)
}

/// What is known of a key without reading its value: it has gone, is of a type that is not wanted, or its value is not.
fn unread(key: &RedisKey, facts: &Facts, wanted: Wanted) -> Option<Fetched> {
    if facts.type_name == NONE {
        return Some(Fetched::Gone(key.clone()));
    }
    let redis_type = RedisType::named(&facts.type_name);
    if !wanted.types.has(redis_type) {
        return Some(Fetched::WrongType { key: key.clone(), redis_type: facts.type_name.clone() });
    }
    if let Some(detail) = &facts.too_large {
        let (key, detail) = (key.clone(), detail.clone());
        return Some(Fetched::Unreadable { key, redis_type, reason: "value_too_large", detail });
    }
    let valueless = facts.beside.as_ref().is_some_and(|beside| beside.without_value);
    valueless.then(|| without_value(key, redis_type, facts))
}

/// A key of which nothing but what is beside its value is wanted, or can be had.
fn without_value(key: &RedisKey, redis_type: RedisType, facts: &Facts) -> Fetched {
    let mut facts = facts.clone();
    Arc::make_mut(facts.beside.get_or_insert_default()).without_value = true;
    fetched(key, redis_type, Bytes::new(), &facts)
}

fn fetched(key: &RedisKey, redis_type: RedisType, value: Bytes, facts: &Facts) -> Fetched {
    Fetched::Record(record(key, redis_type, value, facts))
}

fn record(key: &RedisKey, redis_type: RedisType, value: Bytes, facts: &Facts) -> Record {
    let expires_at = facts.expiry.filter(|at| *at >= 0);
    Record { key: key.clone(), redis_type, value, stored: None, slice: None, expires_at, facts: facts.beside.clone() }
}

/// A hash with the times of its fields.
fn with_fields(mut record: Record, fields: FieldExpiries) -> Record {
    Arc::make_mut(record.facts.get_or_insert_default()).fields = Some(fields);
    record
}

/// Whether the command is for another type than the key has; RedisJSON has words of its own.
pub(super) fn is_wrong_type(error: &fred::error::Error) -> bool {
    error.details().starts_with("WRONGTYPE") || error.details().contains("Existing key has wrong Redis type")
}
