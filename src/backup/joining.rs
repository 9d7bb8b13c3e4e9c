//! Whether the parts of keys are all there; those of entries with a dump are put together.

use super::damage::Fault;
use super::entry::{Entry, Logical};
use crate::model::RedisKey;
use bytes::{Bytes, BytesMut};

/// An entry with a dump has no more bytes than this: its parts are put together in memory.
const MAX_JOINED: usize = 256 << 20;

/// The key whose parts are being read.
#[derive(Debug, Default)]
pub(super) struct Parts {
    open: Option<Open>,
    /// An entry that was met out of its turn.
    held: Option<Entry>,
    /// The key whose other parts were lost: more of them say nothing new.
    torn: Option<(u8, RedisKey)>,
    /// The same, until it was told.
    untold: Option<(u8, RedisKey)>,
}

#[derive(Debug)]
struct Open {
    database: u8,
    key: RedisKey,
    next: u32,
    joined: Option<Joined>,
}

/// What became of an entry.
#[expect(clippy::large_enum_variant, reason = "there is one for each entry: a box would cost more than its move")]
pub(super) enum Met {
    /// It is whole, or a part by itself.
    Whole(Entry),
    /// Others are to follow, or it is a part of what was given up.
    Kept,
    /// It does not go with what came before.
    Wrong(Fault),
}

impl Parts {
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The entry that was met out of its turn.
    pub(super) fn held(&mut self) -> Option<Entry> {
        self.held.take()
    }

    /// Gives up the key whose parts are being read; which it was, or of which a part was met.
    pub(super) fn give_up(&mut self) -> Option<(u8, RedisKey)> {
        if let Some(open) = self.open.take() {
            self.torn = Some((open.database, open.key));
            return self.torn.clone();
        }
        self.untold.take()
    }

    /// Takes the next entry of the file. `salvage`: it is kept for later where it is in its right too.
    pub(super) fn meet(&mut self, entry: Entry, salvage: bool) -> Met {
        let Some(open) = &mut self.open else { return self.first(entry) };
        if open.database != entry.database || open.key != entry.key || open.next != entry.part.number {
            if salvage {
                self.held = Some(entry);
            }
            return Met::Wrong(Fault::Parts);
        }
        open.next = open.next.saturating_add(1);
        let last = entry.part.last;
        let met = match &mut open.joined {
            None => Met::Whole(entry),
            Some(joined) => match joined.push(entry) {
                Err(fault) => return Met::Wrong(fault),
                Ok(()) if !last => Met::Kept,
                Ok(()) => open.joined.take().and_then(Joined::finish).map_or(Met::Kept, Met::Whole),
            },
        };
        if last {
            self.open = None;
        }
        met
    }

    fn first(&mut self, entry: Entry) -> Met {
        if !entry.part.is_first() {
            let whose = (entry.database, entry.key);
            if self.torn.as_ref() == Some(&whose) {
                return Met::Kept;
            }
            self.torn = Some(whose.clone());
            self.untold = Some(whose);
            return Met::Wrong(Fault::Parts);
        }
        self.torn = None;
        if entry.part.last {
            return Met::Whole(entry);
        }
        let (database, key) = (entry.database, entry.key.clone());
        if entry.dump.is_none() {
            self.open = Some(Open { database, key, next: 1, joined: None });
            return Met::Whole(entry);
        }
        let mut joined = Joined::default();
        let pushed = joined.push(entry);
        self.open = Some(Open { database, key, next: 1, joined: Some(joined) });
        pushed.map_or_else(Met::Wrong, |()| Met::Kept)
    }
}

/// Parts, put together.
#[derive(Debug, Default)]
struct Joined {
    first: Option<Entry>,
    dump: BytesMut,
    content: BytesMut,
    /// All but its bytes.
    logical: Option<Logical>,
    bytes: usize,
}

impl Joined {
    fn push(&mut self, mut entry: Entry) -> Result<(), Fault> {
        self.bytes += entry.bytes();
        if self.bytes > MAX_JOINED {
            return Err(Fault::Content("an entry with a dump is too large"));
        }
        if let Some(dump) = entry.dump.take() {
            self.dump.extend_from_slice(&dump);
        }
        if let Some(logical) = entry.logical.take() {
            self.content.extend_from_slice(content_of(&logical));
            match &mut self.logical {
                None => self.logical = Some(logical),
                Some(all) => all.add(logical)?,
            }
        }
        self.first.get_or_insert(entry);
        Ok(())
    }

    fn finish(self) -> Option<Entry> {
        let content = self.content.freeze();
        let logical = self.logical.map(|logical| match logical {
            Logical::Bytes(_) => Logical::Bytes(content),
            Logical::Items(_) => Logical::Items(content),
            Logical::Hash { expiries, .. } => Logical::Hash { items: content, expiries },
            Logical::Stream { facts, groups, .. } => Logical::Stream { entries: content, facts, groups },
        });
        let mut entry = self.first?;
        entry.part = super::Part::WHOLE;
        Some(Entry { dump: Some(self.dump.freeze()), logical, ..entry })
    }
}

fn content_of(logical: &Logical) -> &Bytes {
    match logical {
        Logical::Bytes(bytes) | Logical::Items(bytes) => bytes,
        Logical::Hash { items, .. } => items,
        Logical::Stream { entries, .. } => entries,
    }
}

impl Logical {
    /// Adds what a further part has, but for its bytes.
    fn add(&mut self, more: Self) -> Result<(), Fault> {
        match (self, more) {
            (Self::Bytes(_), Self::Bytes(_)) | (Self::Items(_), Self::Items(_)) => {}
            (Self::Hash { expiries: None, .. }, Self::Hash { expiries: None, .. }) => {}
            (Self::Hash { expiries: Some(all), .. }, Self::Hash { expiries: Some(more), .. }) => all.extend(more),
            (Self::Stream { facts: all, groups, .. }, Self::Stream { facts, groups: more, .. }) => {
                *all = facts.or_else(|| all.take());
                groups.extend(more);
            }
            _ => return Err(Fault::Content("the parts of a key do not go together")),
        }
        Ok(())
    }
}
