//! The groups of a large stream, in pieces: a consumer that never acknowledges may have millions of entries pending.

use super::super::collections::slice::{after, array};
use super::super::errors::unexpected;
use super::super::wire::Wire;
use super::super::{bytes_of, number_of};
use super::full::{bare, facts, find, named, text};
use crate::backup::{Logical, Pending, StreamFacts, StreamGroup};
use crate::model::RedisKey;
use bytes::Bytes;
use fred::error::Error;
use fred::types::{Resp3Frame, Value};
use std::collections::VecDeque;

/// Pending entries that are asked for at once.
const PAGE: usize = 5_000;

/// The groups that are left to read.
#[derive(Debug)]
pub(in crate::source::redis) struct GroupsLeft {
    facts: StreamFacts,
    groups: VecDeque<StreamGroup>,
    /// Where the first of them goes on; `None`: it was not begun.
    from: Option<String>,
}

impl GroupsLeft {
    /// What there is to read of a stream.
    pub(in crate::source::redis) async fn of(wire: &Wire, key: &RedisKey) -> Result<Self, Error> {
        let told = ask(wire, vec!["STREAM".into(), Value::Bytes(key.bytes())]).await?;
        let facts = named(told).and_then(|parts| facts(&parts)).ok_or_else(wrong)?;
        let mut groups = VecDeque::new();
        for group in array(ask(wire, vec!["GROUPS".into(), Value::Bytes(key.bytes())]).await?, "XINFO")? {
            groups.push_back(named(group).and_then(|parts| bare(&parts)).ok_or_else(wrong)?);
        }
        Ok(Self { facts, groups, from: None })
    }

    /// The next piece, and whether it is the last: that one has what a stream has beside its groups.
    pub(in crate::source::redis) async fn next(
        &mut self,
        wire: &Wire,
        key: &RedisKey,
    ) -> Result<(Logical, bool), Error> {
        let Some(group) = self.groups.front() else {
            let facts = Some(self.facts.clone());
            return Ok((Logical::Stream { entries: Bytes::new(), facts, groups: Vec::new() }, true));
        };
        let mut group = group.clone();
        if self.from.is_none() {
            group.consumers = consumers(wire, key, &group.name).await?;
        }
        let from = self.from.clone().unwrap_or_else(|| "-".to_owned());
        group.pending = pending(wire, key, &group.name, from).await?;
        self.from = match group.pending.last() {
            Some(last) if group.pending.len() == PAGE => after(&last.id),
            _ => None,
        };
        if self.from.is_none() {
            self.groups.pop_front();
        }
        Ok((Logical::Stream { entries: Bytes::new(), facts: None, groups: vec![group] }, false))
    }
}

async fn ask(wire: &Wire, args: Vec<Value>) -> Result<Resp3Frame, Error> {
    wire.send("XINFO", args).await
}

fn wrong() -> Error {
    unexpected("XINFO", "something else than what it tells")
}

async fn consumers(wire: &Wire, key: &RedisKey, group: &Bytes) -> Result<Vec<Bytes>, Error> {
    let args = vec!["CONSUMERS".into(), Value::Bytes(key.bytes()), Value::Bytes(group.clone())];
    let name = |consumer| find(&named(consumer)?, &["name"]).cloned().and_then(bytes_of);
    array(ask(wire, args).await?, "XINFO")?.into_iter().map(|one| name(one).ok_or_else(wrong)).collect()
}

/// What is pending from an id on. Redis tells how long ago each was delivered: its clock tells when that was.
async fn pending(wire: &Wire, key: &RedisKey, group: &Bytes, from: String) -> Result<Vec<Pending>, Error> {
    let time = array(wire.send("TIME", Vec::new()).await?, "TIME")?;
    let now = match time.as_slice() {
        [seconds, micros] => number_of(seconds).zip(number_of(micros)),
        _ => None,
    };
    let now = now.map(|(seconds, micros)| seconds.saturating_mul(1000) + micros / 1000);
    let now = now.ok_or_else(|| unexpected("TIME", "no time"))?;
    let args = [key.bytes(), group.clone()].map(Value::Bytes).into_iter();
    let args = args.chain([from.into(), "+".into(), Value::from(PAGE.to_string())]).collect();
    let one = |four: Resp3Frame| {
        let Resp3Frame::Array { data, .. } = four else { return None };
        let [id, consumer, idle, deliveries] = <[Resp3Frame; 4]>::try_from(data).ok()?;
        Some(Pending {
            id: text(&id)?,
            consumer: bytes_of(consumer)?,
            delivered_at: now.saturating_sub(number_of(&idle)?),
            deliveries: u64::try_from(number_of(&deliveries)?).ok()?,
        })
    };
    let told = array(wire.send("XPENDING", args).await?, "XPENDING")?;
    let wrong = || unexpected("XPENDING", "something else than pending entries");
    told.into_iter().map(|four| one(four).ok_or_else(wrong)).collect()
}
