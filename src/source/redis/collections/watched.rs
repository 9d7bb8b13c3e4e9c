//! A large collection, read in slices that are of one moment: a watch says whether it changed in between.
//!
//! On a connection of its own, since a watch belongs to a connection; one that was made anew in between has lost it
//! without a word, and is found by its id and the server's. Cursors of HSCAN and the like are the server's too, so that
//! is looked at without a watch as well. WATCH and MULTI are asked for once; a user who may not run them reads
//! without, and is told.

use super::pace::Pace;
use super::pack::pack;
use super::slice::{self, Place};
use super::{Read, is_wrong_type};
use crate::model::{Failure, FieldTimes, RedisKey, RedisType};
use crate::source::redis::errors::{is_transient, is_unavailable, unexpected};
use crate::source::redis::wire::Wire;
use crate::source::redis::{RedisSource, bytes_of, connect, number_of, server};
use bytes::Bytes;
use fred::error::Error;
use fred::interfaces::EventInterface;
use fred::types::config::Server;
use fred::types::{Resp3Frame, Value};
use std::sync::atomic::Ordering;
use tokio::sync::OwnedMutexGuard;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

/// Bytes that a slice is to have, about, and items at most.
const SLICE: usize = 1 << 20;
const ITEMS: usize = 10_000;
/// So often a collection that changes while it is read is read again.
pub(in crate::source::redis) const ATTEMPTS: u32 = 5;

/// How a reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::source::redis) enum Ending {
    /// All of it is of one moment, or was not watched and is of one server.
    Same,
    Changed,
    /// The user may watch, and may not look what came of it.
    Refused,
}

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
        Ok(match watch.unchanged().await? {
            Ending::Same => Attempt::Done(read),
            Ending::Changed => Attempt::ChangedWhileRead,
            Ending::Refused => Attempt::WatchRefused,
        })
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
    pub(in crate::source::redis) fn go_unwatched(&self) {
        if !self.inner.unwatched.swap(true, Ordering::Relaxed) {
            let text = "Redis does not let this user WATCH: a large value that changes while it is read may be \
                        read in part as it was and in part as it is";
            self.notice(text.to_owned());
        }
    }
}

/// The connection for large values. It is the reader's alone: a watch is the connection's.
pub(in crate::source::redis) struct Reader {
    wire: Wire,
    reconnected: Receiver<Server>,
    /// Whether a reading has begun on it and did not come to its end: a watch or half a transaction may be left.
    used: bool,
}

/// What must be the same at both ends of a reading: the connection and the server behind it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::source::redis) struct Identity {
    connection: Option<i64>,
    run_id: Option<String>,
}

/// A reading of one value on the connection for large ones, and perhaps a watch on its key. Nobody else may use the
/// connection meanwhile.
pub(in crate::source::redis) struct Watch {
    reader: OwnedMutexGuard<Option<Reader>>,
    watched: bool,
    asks_run_id: bool,
    before: Identity,
}

impl Watch {
    /// Takes the connection, and watches the key if it is to; `None` where the user may not.
    pub(in crate::source::redis) async fn begin(
        source: &RedisSource,
        key: &RedisKey,
        watch: bool,
    ) -> Result<Option<Self>, Error> {
        let mut reader = source.reader.clone().lock_owned().await;
        if let Some(left) = reader.take_if(|reader| reader.used) {
            left.close().await;
        }
        let open = match &mut *reader {
            Some(open) => open,
            none => {
                let client = connect::another(&source.inner.settings, &source.inner.target).await?;
                let reconnected = client.reconnect_rx();
                let wire = Wire::new(client, source.inner.wire.is_asking());
                none.insert(Reader { wire, reconnected, used: false })
            }
        };
        open.used = true;
        lost(&mut open.reconnected);
        let asks_run_id = source.inner.abilities.run_id.is_some();
        let before = identity(&open.wire, asks_run_id).await?;
        if watch {
            match open.wire.send("WATCH", vec![Value::Bytes(key.bytes())]).await {
                Ok(_) => {}
                Err(error) if is_unavailable(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(Self { reader, watched: watch, asks_run_id, before }))
    }

    /// The connection.
    pub(in crate::source::redis) fn wire(&mut self) -> Result<&Wire, Error> {
        self.reader().map(|reader| &reader.wire)
    }

    /// Ends the reading; whether all of it came from one server over one connection, and nothing that is watched was
    /// changed since it began.
    pub(in crate::source::redis) async fn unchanged(&mut self) -> Result<Ending, Error> {
        let (watched, asks_run_id) = (self.watched, self.asks_run_id);
        let reader = self.reader()?;
        let unwritten = match watched {
            false => true,
            true => match unwritten(&reader.wire).await {
                Err(error) if is_unavailable(&error) => return Ok(Ending::Refused),
                unwritten => unwritten?,
            },
        };
        let after = identity(&reader.wire, asks_run_id).await?;
        let kept = !lost(&mut reader.reconnected);
        reader.used = false;
        Ok(if unwritten && kept && after == self.before { Ending::Same } else { Ending::Changed })
    }

    fn reader(&mut self) -> Result<&mut Reader, Error> {
        self.reader.as_mut().ok_or_else(|| unexpected("WATCH", "a connection that is gone"))
    }
}

impl Reader {
    pub(in crate::source::redis) async fn close(self) {
        self.wire.close().await;
    }
}

/// Whether the connection was lost and made again since the last look.
fn lost(news: &mut Receiver<Server>) -> bool {
    let mut any = false;
    while !matches!(news.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {
        any = true;
    }
    any
}

/// Whether nobody has written to what is watched. The transaction is empty: a server that has no memory left queues nothing, and one that
/// could not save refuses even PING.
pub(in crate::source::redis) async fn unwritten(wire: &Wire) -> Result<bool, Error> {
    wire.send("MULTI", Vec::new()).await?;
    match wire.send("EXEC", Vec::new()).await? {
        Resp3Frame::Null => Ok(false),
        Resp3Frame::Array { .. } => Ok(true),
        _ => Err(unexpected("EXEC", "something else than answers")),
    }
}

/// Whom the connection is with, as far as that is told. A proxy may change the server and keep the connection.
pub(in crate::source::redis) async fn identity(wire: &Wire, asks_run_id: bool) -> Result<Identity, Error> {
    let told = |reply: Result<Resp3Frame, Error>| match reply {
        Err(error) if is_transient(&error) => Err(error),
        reply => Ok(reply.ok()),
    };
    let connection = told(wire.send("CLIENT", vec!["ID".into()]).await)?.as_ref().and_then(number_of);
    let mut run_id = None;
    if asks_run_id {
        let text = told(wire.send("INFO", vec!["server".into()]).await)?.and_then(bytes_of).unwrap_or_default();
        run_id = server::field(&String::from_utf8_lossy(&text), "run_id").map(str::to_owned);
    }
    Ok(Identity { connection, run_id })
}

async fn whole(wire: &Wire, key: &RedisKey, redis_type: RedisType, limit: usize) -> Result<Read, Error> {
    let (mut items, mut bytes): (Vec<Bytes>, usize) = (Vec::new(), 0);
    let mut pace = Pace::new(redis_type, (SLICE, ITEMS), SLICE);
    let mut place = Some(Place::Start);
    while let Some(from) = place {
        let slice = slice::read(wire, key, redis_type, &from, pace.count()).await?;
        bytes += slice.items.iter().map(|item| item.len() + 4).sum::<usize>();
        if bytes > limit {
            return Ok(Read::Unreadable("value_too_large", format!("its items have more than {limit} bytes")));
        }
        pace.saw(&slice.items);
        // Items are slices of their reply: short ones would keep it all.
        items.extend(slice.items.iter().map(|item| Bytes::copy_from_slice(item)));
        place = slice.next;
    }
    let there = !items.is_empty() || redis_type == RedisType::Stream;
    Ok(if there { Read::Value(pack(redis_type, items)) } else { Read::Gone })
}
