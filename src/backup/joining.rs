//! Whether the parts of keys are all there; those of entries with a dump are put together.

use super::damage::Fault;
use super::entry::{Entry, Logical};
use super::stream::StreamGroup;
use crate::model::{RedisKey, RedisType, UnixMillis};
use bytes::{Bytes, BytesMut};
use std::borrow::Cow;

/// An entry with a dump has no more bytes than this: its parts are put together in memory.
const MAX_JOINED: usize = 256 << 20;
/// A document has no more bytes than this: it is set as a whole, so that whoever restores it puts its parts together.
pub const MAX_DOCUMENT: usize = 1 << 30;
/// The names of the groups of a stream take no more than this in memory, about: whoever restores them remembers which were named.
const MAX_NAMES: usize = 256 << 20;
/// What a name takes beside its bytes.
const NAME: usize = 100;

/// The key whose parts are being read.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    open: Option<Open>,
    /// An entry that was met out of its turn.
    held: Option<Entry>,
    /// The key whose other parts were lost: more of them say nothing new.
    torn: Option<(u8, RedisKey)>,
    /// The same, until it was told.
    untold: Option<(u8, RedisKey)>,
}

#[derive(Clone, Debug)]
struct Open {
    database: u8,
    key: RedisKey,
    /// Each part has the same.
    type_name: Cow<'static, str>,
    expires_at: Option<UnixMillis>,
    next: u32,
    /// Whether a part so far has content, and whether all such content is no item.
    has_content: bool,
    is_void: bool,
    /// Bytes of the document so far.
    document: usize,
    /// The group that was named last, and what all names take so far.
    group: Bytes,
    names: usize,
    joined: Option<Joined>,
}

impl Open {
    fn of(first: &Entry) -> Self {
        let mut open = Self {
            database: first.database,
            key: first.key.clone(),
            type_name: first.type_name.clone(),
            expires_at: first.expires_at,
            next: 1,
            has_content: false,
            is_void: true,
            document: 0,
            group: Bytes::new(),
            names: 0,
            joined: None,
        };
        open.look_at(first);
        open
    }

    fn look_at(&mut self, part: &Entry) {
        self.has_content |= part.logical.is_some();
        self.is_void &= part.logical.as_ref().is_none_or(Logical::is_void);
        match &part.logical {
            Some(Logical::Bytes(text)) if part.redis_type() == RedisType::Json => self.document += text.len(),
            Some(Logical::Stream { groups, .. }) => groups.iter().for_each(|group| self.name(&group.name)),
            _ => {}
        }
    }

    /// Counts a group's name. One that goes on in further parts is named in each of them, and counts once.
    fn name(&mut self, group: &Bytes) {
        if self.names == 0 || self.group != group {
            self.group = Bytes::copy_from_slice(group);
            self.names += group.len() + NAME;
        }
    }

    /// What has become too much of what a restore must hold of a key as a whole.
    fn excess(&self) -> Option<Fault> {
        if self.document > MAX_DOCUMENT {
            return Some(Fault::Content("a document is too large"));
        }
        (self.names > MAX_NAMES).then_some(Fault::Content("the groups of a stream are too many"))
    }

    /// What is wrong with a further part, if anything is.
    fn fault(&mut self, part: &Entry) -> Option<Fault> {
        self.look_at(part);
        let same = part.type_name == self.type_name && part.expires_at == self.expires_at;
        // A key that has a dump has some of it in its first part.
        if !same || part.dump.is_some() && self.joined.is_none() {
            return Some(Fault::Content("the parts of a key do not go together"));
        }
        let is_void = part.part.last && self.has_content && self.is_void;
        is_void.then_some(Fault::Content("a collection has no items")).or_else(|| self.excess())
    }
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
        if let Some(fault) = open.fault(&entry) {
            return Met::Wrong(fault);
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
        let open = self.open.insert(Open::of(&entry));
        if entry.dump.is_none() {
            return Met::Whole(entry);
        }
        let mut joined = Joined::default();
        let pushed = joined.push(entry);
        open.joined = Some(joined);
        pushed.map_or_else(Met::Wrong, |()| Met::Kept)
    }
}

/// Parts, put together.
#[derive(Clone, Debug, Default)]
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
        // The key is held once.
        let key = if self.first.is_some() { entry.key.as_bytes().len() } else { 0 };
        self.bytes += entry.bytes().saturating_sub(key);
        if self.bytes > MAX_JOINED {
            return Err(Fault::Content("an entry with a dump is too large"));
        }
        if let Some(dump) = entry.dump.take() {
            self.dump.extend_from_slice(&dump);
        }
        if let Some(mut logical) = entry.logical.take() {
            if let Logical::Stream { groups, .. } = &mut logical {
                self.bytes += groups.iter().map(StreamGroup::memory).sum::<usize>();
                groups.iter_mut().for_each(StreamGroup::detach);
            }
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
