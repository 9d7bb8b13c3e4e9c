//! A large collection, read in slices that are of one moment: a watch says whether it changed in between.
//!
//! On a connection of its own, since a watch belongs to a connection; one that was made anew in between has lost it
//! without a word, and is found by its id. WATCH and MULTI are asked for once; a user who may not run them reads
//! without, and is told.

use super::pack::pack;
use super::slice::{self, Place};
use super::{Read, is_wrong_type};
use crate::model::{Failure, FieldTimes, RedisKey, RedisType};
use crate::source::redis::errors::{is_unavailable, unexpected};
use crate::source::redis::wire::Wire;
use crate::source::redis::{RedisSource, connect, number_of};
use bytes::Bytes;
use fred::error::Error;
use fred::types::{Resp3Frame, Value};
use std::sync::atomic::Ordering;
use tokio::sync::OwnedMutexGuard;

/// Bytes that a slice is to have, about.
const SLICE: usize = 1 << 20;
/// Items of the first slice, before it is known how large they are.
const FIRST: usize = 64;
/// So often a collection that changes while it is read is read again.
pub(super) const ATTEMPTS: u32 = 5;

/// What one attempt came to.
enum Attempt {
    Done(Read),
    ChangedWhileRead,
    /// The user may not watch.
    WatchRefused,
}

impl RedisSource {
    /// Reads a collection in slices, up to `limit` bytes; of a hash what is wanted of its fields too.
    pub(super) async fn read_watched(
        &self,
        key: &RedisKey,
        (redis_type, fields): (RedisType, FieldTimes),
        limit: usize,
    ) -> Result<Read, Failure> {
        let mut retry = self.retry("WATCH");
        let mut changes = 0;
        loop {
            let watch = !self.inner.unwatched.load(Ordering::Relaxed);
            match self.attempt(key, (redis_type, fields), limit, watch).await {
                Ok(Attempt::Done(read)) => return Ok(read),
                Ok(Attempt::ChangedWhileRead) if changes == ATTEMPTS => {
                    let detail = format!("it was changed while it was read, {} times in a row", ATTEMPTS + 1);
                    return Ok(Read::Unreadable("changed_while_read", detail));
                }
                Ok(Attempt::ChangedWhileRead) => changes += 1,
                Ok(Attempt::WatchRefused) => self.go_unwatched(),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn attempt(
        &self,
        key: &RedisKey,
        (redis_type, fields): (RedisType, FieldTimes),
        limit: usize,
        watch: bool,
    ) -> Result<Attempt, Error> {
        let Some(mut watch) = Watch::begin(self, key, watch).await? else { return Ok(Attempt::WatchRefused) };
        let read = match whole(watch.wire()?, key, redis_type, limit).await {
            Ok(Read::Value(value)) if redis_type == RedisType::Hash => {
                self.timed(watch.wire()?, key, value, fields).await?
            }
            Ok(read) => read,
            Err(error) if is_wrong_type(&error) => Read::Changed,
            Err(error) => return Err(error),
        };
        Ok(if watch.unchanged().await? { Attempt::Done(read) } else { Attempt::ChangedWhileRead })
    }
}

impl RedisSource {
    /// A hash that was just read, with the times of its fields where the server tells them.
    async fn timed(&self, wire: &Wire, key: &RedisKey, value: Bytes, wanted: FieldTimes) -> Result<Read, Error> {
        let hash = [(key.clone(), value.clone())];
        Ok(match self.time_fields(wire, &hash, wanted).await?.and_then(|mut timed| timed.pop()) {
            None => Read::Value(value),
            Some(None) => Read::Changed,
            Some(Some((value, _))) if value.is_empty() => Read::Gone,
            Some(Some(timed)) => Read::Hash(timed),
        })
    }

    /// From here on large values are read without a watch.
    pub(super) fn go_unwatched(&self) {
        if !self.inner.unwatched.swap(true, Ordering::Relaxed) {
            let text = "Redis does not let this user WATCH: a large value that changes while it is read may be \
                        read in part as it was and in part as it is";
            self.notice(text.to_owned());
        }
    }
}

/// The connection for large values, and a watch on it. Nobody else may use the connection meanwhile: the watch is the
/// connection's.
pub(super) struct Watch {
    reader: OwnedMutexGuard<Option<Wire>>,
    /// The connection's id when the watch began; `None` without a watch.
    connection: Option<Option<i64>>,
}

impl Watch {
    /// Takes the connection, and watches the key if it is to; `None` where the user may not.
    pub(super) async fn begin(source: &RedisSource, key: &RedisKey, watch: bool) -> Result<Option<Self>, Error> {
        let mut reader = source.inner.reader.clone().lock_owned().await;
        let wire = match &mut *reader {
            Some(wire) => wire,
            none => none.insert(Wire::new(
                connect::another(&source.inner.settings, &source.inner.target).await?,
                source.inner.wire.is_asking(),
            )),
        };
        let mut connection = None;
        if watch {
            connection = Some(connection_id(wire).await);
            // A reading that broke off may have left a watch.
            let _ = wire.send("UNWATCH", Vec::new()).await;
            match wire.send("WATCH", vec![Value::Bytes(key.bytes())]).await {
                Ok(_) => {}
                Err(error) if is_unavailable(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Self { reader, connection }))
    }

    /// The connection.
    pub(super) fn wire(&mut self) -> Result<&Wire, Error> {
        self.reader.as_ref().ok_or_else(|| unexpected("WATCH", "a connection that is gone"))
    }

    /// Ends the watch; whether nothing was changed since it began.
    pub(super) async fn unchanged(&mut self) -> Result<bool, Error> {
        let Some(before) = self.connection else { return Ok(true) };
        let wire = self.wire()?;
        Ok(unchanged(wire).await? && connection_id(wire).await == before)
    }
}

async fn unchanged(wire: &Wire) -> Result<bool, Error> {
    wire.send("MULTI", Vec::new()).await?;
    wire.send("PING", Vec::new()).await?;
    match wire.send("EXEC", Vec::new()).await? {
        Resp3Frame::Null => Ok(false),
        Resp3Frame::Array { .. } => Ok(true),
        _ => Err(unexpected("EXEC", "something else than answers")),
    }
}

async fn connection_id(wire: &Wire) -> Option<i64> {
    wire.send("CLIENT", vec!["ID".into()]).await.ok().as_ref().and_then(number_of)
}

async fn whole(wire: &Wire, key: &RedisKey, redis_type: RedisType, limit: usize) -> Result<Read, Error> {
    let (mut items, mut bytes, mut count): (Vec<Bytes>, usize, usize) = (Vec::new(), 0, FIRST);
    let mut place = Some(Place::Start);
    while let Some(from) = place {
        let slice = slice::read(wire, key, redis_type, &from, count).await?;
        let size: usize = slice.items.iter().map(|item| item.len() + 4).sum();
        bytes += size;
        if bytes > limit {
            return Ok(Read::Unreadable("value_too_large", format!("its items have more than {limit} bytes")));
        }
        let each = (size / count.max(1)).max(1);
        count = (SLICE / each).clamp(1, 10_000);
        // Items are slices of their reply: short ones would keep it all.
        items.extend(slice.items.iter().map(|item| Bytes::copy_from_slice(item)));
        place = slice.next;
    }
    let there = !items.is_empty() || redis_type == RedisType::Stream;
    Ok(if there { Read::Value(pack(redis_type, items)) } else { Read::Gone })
}
