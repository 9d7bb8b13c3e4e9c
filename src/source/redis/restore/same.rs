//! Whether a key holds what an entry of a backup has: its content, whatever the order of what has none, and when it expires.

use super::super::RedisSource;
use super::super::collections::NONE;
use super::super::entries::{EntryRead, GroupsHasher};
use super::super::errors::is_of_refused_key;
use super::build::left;
use crate::backup::{Entry, Logical, StreamFacts, StreamGroup};
use crate::model::{
    ContentHasher, Failure, FieldExpiries, NotWritten, RedisKey, RedisType, RestoreFault, RestoreOutcome, UnixMillis,
};
use bytes::Bytes;
use std::collections::BTreeMap;

/// By how much times of expiry may differ: a server before Redis 7 tells how much is left, and that is off by how long the
/// answer took.
const TOLERANCE: UnixMillis = 1_000;
/// Bytes of values that are read at once, about.
const AT_ONCE: usize = 4 << 20;

/// What there is under the key of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing.
    Absent,
    /// The same.
    Same,
    /// Something else.
    Other,
    /// Something that could not be read, for this reason.
    Unread(RestoreFault),
    /// The user may not even look.
    Forbidden,
}

/// What a key holds, as far as it is compared. Parts are taken in one after the other.
pub(super) struct Fingerprint {
    type_name: String,
    expires_at: Option<UnixMillis>,
    content: ContentHasher,
    dump: ContentHasher,
    /// Groups, consumers and pending entries of a stream.
    groups: GroupsHasher,
    /// How many entries each group has read, as far as that is known.
    read: BTreeMap<Bytes, Option<u64>>,
    facts: Option<StreamFacts>,
    logical: bool,
    /// Fields of hashes whose time is past by then are as if they were not there.
    now: UnixMillis,
}

impl Fingerprint {
    /// That of a key of which this is the first part, or all.
    pub(super) fn of(entry: &Entry, now: UnixMillis) -> Self {
        let mut print = Self {
            type_name: entry.type_name.clone().into_owned(),
            expires_at: entry.expires_at,
            content: ContentHasher::new(entry.redis_type()),
            dump: ContentHasher::new(RedisType::Module),
            groups: GroupsHasher::new(),
            read: BTreeMap::new(),
            facts: None,
            logical: false,
            now,
        };
        print.take(entry);
        print
    }

    /// Takes in a further part.
    pub(super) fn take(&mut self, part: &Entry) {
        if let Some(dump) = &part.dump {
            self.dump.update(dump, None);
        }
        self.logical |= part.logical.is_some();
        match &part.logical {
            None => {}
            Some(Logical::Bytes(bytes) | Logical::Items(bytes)) => self.content.update(bytes, None),
            Some(Logical::Hash { items, expiries }) => {
                let (items, at) = left(items, expiries.as_deref(), self.now);
                self.content.update(&items, Some(&FieldExpiries { at, now: None }));
            }
            Some(Logical::Stream { entries, facts, groups }) => {
                self.content.update(entries, None);
                self.facts = facts.clone().or(self.facts.take());
                groups.iter().for_each(|group| self.group(group));
            }
        }
    }

    fn group(&mut self, group: &StreamGroup) {
        // A copy: the name is a slice of its block, and would keep all of that.
        self.read.insert(Bytes::copy_from_slice(&group.name), group.entries_read);
        self.groups.update(group);
    }

    /// Whether each group has read as many entries. What an older server does not tell says nothing; and no more count than were
    /// added, since a newer one takes no more.
    fn has_read_as(&self, other: &Self) -> bool {
        let most = |print: &Self| print.facts.as_ref().and_then(|facts| facts.entries_added).unwrap_or(u64::MAX);
        self.read.iter().all(|(name, one)| {
            let both = one.zip(other.read.get(name).copied().flatten());
            both.is_none_or(|(one, two)| one.min(most(self)) == two.min(most(other)))
        })
    }

    /// Whether two keys are the same.
    pub(super) fn is(self, other: Self) -> bool {
        let same_time = match (self.expires_at, other.expires_at) {
            (None, None) => true,
            (Some(one), Some(other)) => one.abs_diff(other) <= TOLERANCE.unsigned_abs(),
            _ => false,
        };
        let same_facts = match (&self.facts, &other.facts) {
            (Some(one), Some(other)) => same_stream(one, other),
            (None, None) => true,
            _ => false,
        };
        same_time
            && same_facts
            && self.has_read_as(&other)
            && self.type_name == other.type_name
            && self.groups.finish() == other.groups.finish()
            && match self.logical && other.logical {
                true => self.content.finish() == other.content.finish(),
                // A dump may differ from one reading to the next: it counts only where one of the two has nothing else, as a
                // document that the module did not print then.
                false => self.dump.finish() == other.dump.finish(),
            }
    }
}

/// What an older server does not tell says nothing.
fn same_stream(one: &StreamFacts, other: &StreamFacts) -> bool {
    let deleted = one.max_deleted_id.as_ref().zip(other.max_deleted_id.as_ref());
    let added = one.entries_added.zip(other.entries_added);
    one.last_id == other.last_id
        && deleted.is_none_or(|(one, other)| one == other)
        && added.is_none_or(|(one, other)| one == other)
}

/// What is known of a key that was not read.
fn unread(read: &EntryRead) -> Standing {
    match read {
        EntryRead::Forbidden(_) | EntryRead::Unreadable { reason: "no_dump", .. } => {
            Standing::Unread(RestoreFault::Forbidden)
        }
        EntryRead::Unreadable { reason: "changed_while_read", .. } => Standing::Unread(RestoreFault::Changing),
        // What is too large to be read is in no file.
        _ => Standing::Other,
    }
}

impl Standing {
    /// What becomes of a key that is not to be replaced; `None` where that is not settled by what is there.
    pub(super) fn unless_replaced(self) -> Option<RestoreOutcome> {
        match self {
            Self::Other => Some(RestoreOutcome::Kept(NotWritten::Exists)),
            Self::Unread(fault) => {
                let detail = "there is a key of that name, and it cannot be read to be compared".to_owned();
                Some(RestoreOutcome::Failed(fault, detail))
            }
            Self::Absent | Self::Same | Self::Forbidden => None,
        }
    }

    /// Whether something else is there, as far as is known.
    pub(super) fn is_other(self) -> bool {
        matches!(self, Self::Other | Self::Unread(_))
    }
}

impl RedisSource {
    /// What there is under the keys of these whole entries.
    ///
    /// # Errors
    /// The server is gone, or a command is refused.
    pub(super) async fn standing(&self, entries: &[&Entry], now: UnixMillis) -> Result<Vec<Standing>, Failure> {
        let keys: Vec<RedisKey> = entries.iter().map(|entry| entry.key.clone()).collect();
        let types = self.types_permitted(&keys).await?;
        let mut standing: Vec<Standing> = types
            .iter()
            .map(|name| match name.as_deref() {
                None => Standing::Forbidden,
                Some(NONE) => Standing::Absent,
                Some(_) => Standing::Other,
            })
            .collect();
        // One of another type is another, whatever it holds.
        let of_its_type = |at: &usize| {
            let (entry, name) = (entries.get(*at), types.get(*at).and_then(Option::as_deref));
            entry.is_some_and(|entry| Some(entry.type_name.as_ref()) == name)
        };
        let places: Vec<usize> = (0..keys.len()).filter(of_its_type).collect();
        let asked: Vec<RedisKey> = places.iter().filter_map(|at| keys.get(*at).cloned()).collect();
        let mut done = 0;
        while let Some(rest) = asked.get(done..).filter(|rest| !rest.is_empty()) {
            let read = self.entries(rest, AT_ONCE).await?;
            if read.is_empty() {
                return Err(Failure::internal("nothing was read for a run of keys"));
            }
            for read in read {
                let Some((place, entry)) = places.get(done).and_then(|at| Some((*at, *entries.get(*at)?))) else {
                    break;
                };
                let found = self.compare(read, || Fingerprint::of(entry, now), now).await?;
                standing.iter_mut().skip(place).take(1).for_each(|standing| *standing = found);
                done += 1;
            }
        }
        Ok(standing)
    }

    /// The type of each key; `None` where the user may not ask for it.
    pub(super) async fn types_permitted(&self, keys: &[RedisKey]) -> Result<Vec<Option<String>>, Failure> {
        let refused = match self.types(keys).await {
            Ok(types) => return Ok(types.into_iter().map(Some).collect()),
            Err(failure) if is_of_refused_key(&failure) => failure,
            Err(failure) => return Err(failure),
        };
        let forbidden = self.forbidden(keys).await?;
        if !forbidden.contains(&true) {
            return Err(refused);
        }
        let permitted = keys.iter().zip(&forbidden).filter(|(_, forbidden)| !**forbidden);
        let permitted: Vec<RedisKey> = permitted.map(|(key, _)| key.clone()).collect();
        let types = if permitted.is_empty() { Vec::new() } else { self.types(&permitted).await? };
        let mut types = types.into_iter();
        Ok(forbidden.into_iter().map(|forbidden| if forbidden { None } else { types.next() }).collect())
    }

    /// What there is under a key, by what was read of it.
    async fn compare(
        &self,
        read: EntryRead,
        wanted: impl FnOnce() -> Fingerprint,
        now: UnixMillis,
    ) -> Result<Standing, Failure> {
        let there = match read {
            EntryRead::Entry(there) => Some(Fingerprint::of(&there, now)),
            EntryRead::Gone(_) => return Ok(Standing::Absent),
            read @ (EntryRead::Forbidden(_) | EntryRead::Unreadable { .. }) => return Ok(unread(&read)),
            EntryRead::Large(key) => match self.print(key, now).await? {
                Ok(print) => print,
                Err(standing) => return Ok(standing),
            },
        };
        Ok(if there.is_some_and(|there| wanted().is(there)) { Standing::Same } else { Standing::Other })
    }

    /// The fingerprint of a key that is read in parts, or what it stands at instead; `None` where nothing was read.
    pub(super) async fn print(
        &self,
        key: RedisKey,
        now: UnixMillis,
    ) -> Result<Result<Option<Fingerprint>, Standing>, Failure> {
        let (mut parts, mut print) = (self.entry_parts(key), None::<Fingerprint>);
        while let Some(part) = parts.next().await? {
            match part {
                EntryRead::Entry(part) => match &mut print {
                    Some(print) if !part.part.is_first() => print.take(&part),
                    begun => *begun = Some(Fingerprint::of(&part, now)),
                },
                EntryRead::Gone(_) => return Ok(Err(Standing::Absent)),
                read => return Ok(Err(unread(&read))),
            }
        }
        Ok(Ok(print))
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;
    use crate::backup::{Entry, Logical, Part};
    use crate::model::RedisKey;

    fn document(dump: Option<&'static str>, text: Option<&'static str>) -> Fingerprint {
        let entry = Entry {
            database: 0,
            key: RedisKey::new("k"),
            type_name: "ReJSON-RL".into(),
            expires_at: None,
            part: Part::WHOLE,
            dump: dump.map(Into::into),
            logical: text.map(|text| Logical::Bytes(text.into())),
        };
        Fingerprint::of(&entry, 0)
    }

    #[test]
    fn a_document_is_compared_by_its_text_where_both_have_it_and_else_by_its_dump() {
        assert!(document(Some("d"), Some("{}")).is(document(Some("e"), Some("{}"))));
        assert!(!document(Some("d"), Some("{}")).is(document(Some("d"), Some("[]"))));
        assert!(document(Some("d"), None).is(document(Some("d"), Some("{}"))));
        assert!(!document(Some("d"), None).is(document(Some("e"), Some("{}"))));
        assert!(!document(None, Some("{}")).is(document(Some("d"), None)));
    }
}
