//! Keys as a backup keeps them: strings by one script a page, small values of other types by another, large ones by themselves, under a
//! watch.
//!
//! The value of a key and its time of expiry are of one moment. Its dump and its logical form are of one moment too, or there is no dump: a reader may use either.

mod full;
mod group_digest;
mod groups;
mod parts;
mod reading;
mod small;
mod told;

pub(super) use group_digest::GroupsHasher;
pub(super) use groups::GroupsLeft;
pub use parts::EntryParts;

use super::RedisSource;
use super::collections::facts::Facts;
use super::collections::{LARGE, NONE};
use crate::backup::{Entry, Logical, Part};
use crate::model::{Failure, Fetched, Record, RedisKey, RedisType, Wanted};
use crate::source::Source;
use bytes::Bytes;
use std::borrow::Cow;

/// A value of a type that has no logical form is not kept beyond this, by the server's estimate or by its dump: that comes in one piece.
const DUMP_LIMIT: u64 = 128 << 20;
/// A value with a logical form has no dump beyond this: it is read in parts, and the dump would be in memory as a whole.
const DUMP_BESIDE: u64 = 16 << 20;
/// Keys that one script reads at most: it keeps the server from others meanwhile.
const SCRIPT_KEYS: usize = 128;
/// Bytes that they have at most, by the server's estimate.
const SCRIPT_BYTES: u64 = 2 << 20;

/// What reading a key for a backup gave.
#[derive(Clone, Debug, PartialEq)]
pub enum EntryRead {
    /// All of it; from [`EntryParts`] a part.
    Entry(Entry),
    /// It is to be read by [`RedisSource::entry_parts`].
    Large(RedisKey),
    /// It is not there any more.
    Gone(RedisKey),
    /// The user may not read it.
    Forbidden(RedisKey),
    /// It cannot be had.
    Unreadable {
        /// The key.
        key: RedisKey,
        /// Why, as rejects have it, such as `value_too_large`.
        reason: &'static str,
        /// What a person is told.
        detail: String,
    },
}

impl RedisSource {
    /// Reads a run of `keys` from their front, whose values have about `max_bytes` together; at least one. Entries have the
    /// number of the source's database. Where the server keeps no scripts from this user, values other than strings have
    /// their dump and their logical form from one script; otherwise each is large.
    ///
    /// # Errors
    /// A [`Failure`] of the Redis side, or a missing right.
    pub async fn entries(&self, keys: &[RedisKey], max_bytes: usize) -> Result<Vec<EntryRead>, Failure> {
        let wanted = Wanted { streams: true, one_moment: true, ..Wanted::strings(true) };
        let page = self.fetch_some(keys, wanted, max_bytes).await?;
        let read: Vec<Result<EntryRead, RedisKey>> = page.records.into_iter().map(|one| self.string(one)).collect();
        let others: Vec<RedisKey> = read.iter().filter_map(|one| one.as_ref().err().cloned()).collect();
        let mut others = match others.is_empty() {
            true => Vec::new(),
            false => self.others(&others, max_bytes).await?,
        }
        .into_iter();
        // Up to the first of the others that did not fit any more.
        Ok(read.into_iter().map_while(|one| one.ok().or_else(|| others.next())).collect())
    }

    /// Whether small values other than strings are read many at a time; otherwise each takes a dozen commands, one after the other.
    pub fn reads_pages(&self) -> bool {
        self.cluster.is_none() && self.inner.abilities.facts_script
    }

    /// Reads one key in parts, whatever it holds.
    pub fn entry_parts(&self, key: RedisKey) -> EntryParts {
        EntryParts::new(self.clone(), key)
    }

    /// What was read as a string; the key, where it is none.
    fn string(&self, fetched: Fetched) -> Result<EntryRead, RedisKey> {
        Ok(match fetched {
            Fetched::Record(Record { key, value, expires_at, .. }) => EntryRead::Entry(Entry {
                database: self.database(),
                key,
                type_name: Cow::Borrowed(RedisType::String.name()),
                expires_at,
                part: Part::WHOLE,
                dump: None,
                logical: Some(Logical::Bytes(value)),
            }),
            Fetched::WrongType { key, .. } => return Err(key),
            Fetched::Large { key, .. } => EntryRead::Large(key),
            Fetched::Gone(key) | Fetched::Orphan(key) => EntryRead::Gone(key),
            Fetched::Forbidden(key) => EntryRead::Forbidden(key),
            Fetched::Unreadable { key, reason, detail, .. } => EntryRead::Unreadable { key, reason, detail },
        })
    }

    /// Reads keys that are no strings, as many from the front as fit; at least one.
    async fn others(&self, keys: &[RedisKey], max_bytes: usize) -> Result<Vec<EntryRead>, Failure> {
        if !self.reads_pages() {
            return Ok(keys.iter().cloned().map(EntryRead::Large).collect());
        }
        let facts = self.facts(keys, true).await?;
        let count = fitting(&facts, max_bytes);
        let mut read: Vec<Option<EntryRead>> = vec![None; count];
        let mut small = Vec::new();
        for (place, ((key, facts), read)) in keys.iter().zip(facts).zip(&mut read).enumerate() {
            match Way::of(&facts) {
                Way::Gone => *read = Some(EntryRead::Gone(key.clone())),
                Way::Parts => *read = Some(EntryRead::Large(key.clone())),
                Way::Script => small.push((place, key.clone(), facts.memory.unwrap_or(0))),
            }
        }
        for chunk in chunks(&small) {
            let asked: Vec<RedisKey> = chunk.iter().map(|(_, key, _)| key.clone()).collect();
            for ((place, ..), one) in chunk.iter().zip(self.small_entries(&asked).await?) {
                put(&mut read, *place, one);
            }
        }
        Ok(read.into_iter().flatten().collect())
    }

    /// A whole entry of this database.
    fn entry(
        &self,
        key: RedisKey,
        type_name: String,
        expires_at: Option<i64>,
        dump: Option<Bytes>,
        logical: Option<Logical>,
    ) -> Entry {
        let type_name = Cow::Owned(type_name);
        // The server's estimate of its size was far off.
        let dump = dump.filter(|dump| logical.is_none() || dump.len() as u64 <= DUMP_BESIDE * 2);
        Entry { database: self.database(), key, type_name, expires_at, part: Part::WHOLE, dump, logical }
    }
}

/// A key that has nothing but a dump, of which there is none.
fn undumped(key: &RedisKey, type_name: &str) -> EntryRead {
    let detail = format!("its type {type_name} can be read by DUMP alone, which Redis does not let this user run");
    EntryRead::Unreadable { key: key.clone(), reason: "no_dump", detail }
}

/// How a key that is no string is read.
enum Way {
    Gone,
    /// With others, by one script.
    Script,
    /// By itself, under a watch.
    Parts,
}

impl Way {
    fn of(facts: &Facts) -> Self {
        match facts.type_name.as_str() {
            NONE => Self::Gone,
            _ if facts.memory.is_some_and(|held| held <= LARGE) => Self::Script,
            _ => Self::Parts,
        }
    }
}

fn put(read: &mut [Option<EntryRead>], place: usize, one: EntryRead) {
    if let Some(empty) = read.get_mut(place) {
        *empty = Some(one);
    }
}

/// How many keys from the front are read at once; at least one.
fn fitting(facts: &[Facts], max_bytes: usize) -> usize {
    let mut bytes: u64 = 0;
    for (index, facts) in facts.iter().enumerate() {
        // What is large is left for later; the rest is held as dump and as items.
        bytes += facts.memory.filter(|held| *held <= LARGE).map_or(0, |held| held * 2);
        if index > 0 && bytes > max_bytes as u64 {
            return index;
        }
    }
    facts.len()
}

/// Keys in runs that one script reads.
fn chunks(keys: &[(usize, RedisKey, u64)]) -> impl Iterator<Item = &[(usize, RedisKey, u64)]> {
    let mut rest = keys;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(SCRIPT_KEYS).take_while(|(_, _, held)| {
            bytes += held;
            bytes <= SCRIPT_BYTES
        });
        let count = fits.count().max(1).min(rest.len());
        let (chunk, left) = rest.split_at_checked(count).filter(|(chunk, _)| !chunk.is_empty())?;
        rest = left;
        Some(chunk)
    })
}
