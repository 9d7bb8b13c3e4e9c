//! One reading of a key in parts, under a watch, on the connection for large values: the dump first, where there is one.

use super::super::collections::NONE;
use super::super::collections::pace::Pace;
use super::super::collections::slice::{self, Place};
use super::super::collections::watched::{Ending, Watch};
use super::super::errors::unexpected;
use super::super::{RedisSource, bytes_of};
use super::groups::GroupsLeft;
use super::told::{Dump, Held, Text, dump, expiry, held, text};
use super::{DUMP_BESIDE, DUMP_LIMIT, EntryRead, undumped};
use crate::backup::{Logical, MAX_DOCUMENT};
use crate::model::{FieldTimes, Packer, RedisKey, RedisType, UnixMillis};
use bytes::Bytes;
use fred::error::Error;
use fred::types::Value;
use std::sync::atomic::Ordering;

/// Bytes that a part is to have, about, and items at most.
const SLICE: usize = 512 * 1024;
const ITEMS: usize = 5_000;
/// Bytes of a part of a string.
const PIECE: usize = 1 << 20;

/// A reading, from the beginning.
pub(super) struct Reading {
    watch: Watch,
    pub(super) type_name: String,
    pub(super) expires_at: Option<UnixMillis>,
    next: Next,
    /// The number of the next part.
    pub(super) number: u32,
    /// Bytes so far.
    pub(super) bytes: usize,
    pace: Pace,
    /// Whether a dump is wanted beside what has a logical form.
    dump: bool,
    dumped: bool,
    /// Whether anything was read so far that is no collection without an item.
    has_content: bool,
}

/// What is read next.
enum Next {
    /// A value that comes in one piece.
    Alone,
    /// The dump, and the items behind it.
    Dump,
    Items(Place),
    Groups(Box<GroupsLeft>),
    Nothing,
}

/// How a reading began.
pub(super) enum Begun {
    Reading(Box<Reading>),
    /// There is nothing to read.
    End(Box<EntryRead>),
}

/// What a step of a reading gave.
pub(super) enum Piece {
    /// A piece of the dump, a piece of the content, and whether that was the last.
    Part(Option<Bytes>, Option<Logical>, bool),
    /// The key is not what it was.
    Changed,
    /// It cannot be had.
    End(Box<EntryRead>),
}

impl Reading {
    /// Looks what the key is, under the watch. `dump`: whether one is wanted beside what has a logical form.
    pub(super) async fn begin(
        source: &RedisSource,
        key: &RedisKey,
        mut watch: Watch,
        dump: bool,
    ) -> Result<Begun, Error> {
        let wire = watch.wire()?;
        let reply = wire.send("TYPE", vec![Value::Bytes(key.bytes())]).await?;
        let type_name = bytes_of(reply).ok_or_else(|| unexpected("TYPE", "no type"))?;
        let type_name = String::from_utf8_lossy(&type_name).into_owned();
        if type_name == NONE {
            return Ok(Begun::End(Box::new(EntryRead::Gone(key.clone()))));
        }
        let expires_at = expiry(source, wire, key).await?;
        let redis_type = RedisType::named(&type_name);
        let alone = !redis_type.has_items() && redis_type != RedisType::String;
        let held = held(wire, key).await?;
        if alone && held.bytes().is_some_and(|held| held > DUMP_LIMIT) {
            return Ok(Begun::End(Box::new(too_large(key, "it takes"))));
        }
        // Without a watch, a dump and the items would be of two moments.
        let watched = !source.inner.unwatched.load(Ordering::Relaxed);
        let dump = dump && watched;
        let may_dump = dump && redis_type.has_items();
        if may_dump && matches!(held, Held::Untold) {
            source.say_unmeasured();
        }
        let beside = may_dump && held.bytes().is_some_and(|held| held <= DUMP_BESIDE);
        let next = match alone {
            true => Next::Alone,
            false if beside => Next::Dump,
            false => Next::Items(Place::Start),
        };
        let pace = Pace::new(redis_type, (SLICE, ITEMS), PIECE);
        let (number, bytes, dumped, has_content) = (0, 0, false, false);
        let reading = Self { watch, type_name, expires_at, next, number, bytes, pace, dump, dumped, has_content };
        Ok(Begun::Reading(Box::new(reading)))
    }

    /// Whether a dump was read.
    pub(super) fn has_dump(&self) -> bool {
        self.dumped
    }

    /// Whether a key with this last piece is a collection without an item: its fields have all expired, or it went in between.
    pub(super) fn is_void(&self, last: Option<&Logical>) -> bool {
        !self.has_content && last.is_some_and(Logical::is_void)
    }

    /// Whether all that was read is of one moment.
    pub(super) async fn end(&mut self) -> Result<Ending, Error> {
        self.watch.unchanged().await
    }

    /// The next piece.
    pub(super) async fn next(&mut self, source: &RedisSource, key: &RedisKey) -> Result<Piece, Error> {
        if matches!(self.next, Next::Dump) {
            self.next = Next::Items(Place::Start);
            match dump(self.watch.wire()?, key).await? {
                Dump::Made(dump) => {
                    (self.dumped, self.bytes) = (true, self.bytes + dump.len());
                    return Ok(Piece::Part(Some(dump), None, false));
                }
                Dump::Gone => return Ok(Piece::Changed),
                Dump::Refused => source.say_undumped(),
            }
        }
        let (logical, last) = match std::mem::replace(&mut self.next, Next::Nothing) {
            Next::Alone => return self.alone(source, key).await,
            Next::Items(place) => match self.items(source, key, place).await? {
                Some(read) => read,
                None => return Ok(Piece::Changed),
            },
            Next::Groups(mut left) => {
                let read = left.next(self.watch.wire()?, key).await?;
                self.next = Next::Groups(left);
                read
            }
            Next::Dump | Next::Nothing => return Ok(Piece::Changed),
        };
        self.bytes += logical.bytes();
        self.has_content |= !logical.is_void();
        Ok(Piece::Part(None, Some(logical), last))
    }

    /// A document, or what else a module has.
    async fn alone(&mut self, source: &RedisSource, key: &RedisKey) -> Result<Piece, Error> {
        let text = match RedisType::named(&self.type_name) {
            RedisType::Json => text(self.watch.wire()?, key).await?,
            _ => Text::None,
        };
        let text = match text {
            // A backup with a larger one would be refused as a whole.
            Text::Read(text) if text.len() > MAX_DOCUMENT => None,
            Text::Read(text) => Some(text),
            Text::Gone => return Ok(Piece::Changed),
            Text::None => None,
        };
        let dumped = match self.dump || text.is_none() {
            true => dump(self.watch.wire()?, key).await?,
            false => Dump::Refused,
        };
        Ok(match dumped {
            Dump::Gone => Piece::Changed,
            Dump::Made(dump) if text.is_none() && dump.len() as u64 > DUMP_LIMIT => {
                Piece::End(Box::new(too_large(key, "its dump has")))
            }
            Dump::Made(dump) => {
                self.bytes = dump.len() + text.as_ref().map_or(0, Bytes::len);
                self.dumped = true;
                Piece::Part(Some(dump), text.map(Logical::Bytes), true)
            }
            Dump::Refused => {
                if self.dump || text.is_none() {
                    source.say_undumped();
                }
                let alone = text.map(|text| Piece::Part(None, Some(Logical::Bytes(text)), true));
                alone.unwrap_or_else(|| Piece::End(Box::new(undumped(key, &self.type_name))))
            }
        })
    }

    async fn items(
        &mut self,
        source: &RedisSource,
        key: &RedisKey,
        place: Place,
    ) -> Result<Option<(Logical, bool)>, Error> {
        let redis_type = RedisType::named(&self.type_name);
        let mut read = slice::read(self.watch.wire()?, key, redis_type, &place, self.pace.count()).await?;
        // A hash or set that was larger once has pages without an item.
        while read.items.is_empty()
            && let Some(place) = read.next.take()
        {
            self.pace.saw(&read.items);
            read = slice::read(self.watch.wire()?, key, redis_type, &place, self.pace.count()).await?;
        }
        let elements = read.items.len();
        if elements == 0 && redis_type == RedisType::String {
            return Ok(None);
        }
        self.pace.saw(&read.items);
        let last = read.next.is_none() && redis_type != RedisType::Stream;
        if let Some(place) = read.next {
            self.next = Next::Items(place);
        } else if redis_type == RedisType::Stream {
            self.next = Next::Groups(Box::new(GroupsLeft::of(self.watch.wire()?, key).await?));
        }
        let logical = self.logical(source, (key, redis_type), read.items).await?;
        Ok(logical.map(|logical| (logical, last)))
    }

    async fn logical(
        &mut self,
        source: &RedisSource,
        (key, redis_type): (&RedisKey, RedisType),
        items: Vec<Bytes>,
    ) -> Result<Option<Logical>, Error> {
        if redis_type == RedisType::String {
            return Ok(Some(Logical::Bytes(items.into_iter().next().unwrap_or_default())));
        }
        let items = items.iter().map(|item| item.as_ref()).collect::<Packer>().finish();
        if redis_type == RedisType::Stream {
            return Ok(Some(Logical::Stream { entries: items, facts: None, groups: Vec::new() }));
        }
        if redis_type != RedisType::Hash {
            return Ok(Some(Logical::Items(items)));
        }
        let asked = [(key.clone(), items.clone())];
        Ok(match source.time_fields(self.watch.wire()?, &asked, FieldTimes::Expiry).await? {
            None => Some(Logical::Hash { items, expiries: None }),
            Some(mut timed) => {
                let timed = timed.pop().flatten();
                timed.map(|(items, times)| Logical::Hash { items, expiries: Some(times.at) })
            }
        })
    }
}

fn too_large(key: &RedisKey, what: &str) -> EntryRead {
    let detail = format!("{what} more than {DUMP_LIMIT} bytes, and a dump comes in one piece");
    EntryRead::Unreadable { key: key.clone(), reason: "value_too_large", detail }
}
