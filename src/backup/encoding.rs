//! An entry as bytes, and back. `docs/backup-format.md` has the layout.

use super::block::TARGET;
use super::entry::{Entry, Logical, Part};
use super::input::{Input, number};
use super::stream::{StreamFacts, StreamGroup};
use crate::model::{Items, Packer, RedisKey, RedisType};
use bytes::Bytes;
use std::borrow::Cow;

/// Bits of an entry's first byte.
const LAST: u8 = 1;
const EXPIRES: u8 = 2;

/// What a section holds.
const DUMP: u8 = 1;
const BYTES: u8 = 2;
const ITEMS: u8 = 3;
const FIELD_EXPIRIES: u8 = 4;
const STREAM_FACTS: u8 = 5;
const STREAM_GROUP: u8 = 6;
/// From here on a reader may pass over a section that it does not know.
const OPTIONAL: u8 = 128;

/// Bytes of an entry beside its key and its sections' contents, at most.
pub(super) const OVERHEAD: usize = 512;

/// Appends an entry. Its parts, the key and each section are below 4 GiB: the caller has seen to it.
pub(super) fn write(entry: &Entry, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend([0; 4]);
    let bit = |bit: u8, set: bool| if set { bit } else { 0 };
    out.push(bit(LAST, entry.part.last) | bit(EXPIRES, entry.expires_at.is_some()));
    out.push(entry.database);
    out.extend(entry.part.number.to_be_bytes());
    counted(out, entry.key.as_bytes());
    let name = entry.type_name.as_bytes();
    let name = name.get(..usize::from(u8::MAX)).unwrap_or(name);
    out.push(name.len() as u8);
    out.extend_from_slice(name);
    if let Some(at) = entry.expires_at {
        out.extend(at.to_be_bytes());
    }
    if let Some(dump) = &entry.dump {
        section(out, DUMP, dump);
    }
    if let Some(logical) = &entry.logical {
        write_logical(logical, out);
    }
    let length = (out.len() - start - 4) as u32;
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

fn write_logical(logical: &Logical, out: &mut Vec<u8>) {
    match logical {
        Logical::Bytes(bytes) => section(out, BYTES, bytes),
        Logical::Items(items) => section(out, ITEMS, items),
        Logical::Hash { items, expiries } => {
            section(out, ITEMS, items);
            if let Some(expiries) = expiries {
                let times: Vec<u8> = expiries.iter().flat_map(|at| at.to_be_bytes()).collect();
                section(out, FIELD_EXPIRIES, &times);
            }
        }
        Logical::Stream { entries, facts, groups } => {
            section(out, ITEMS, entries);
            if let Some(facts) = facts {
                section(out, STREAM_FACTS, &packed(|packer| facts.pack(packer)));
            }
            for group in groups {
                section(out, STREAM_GROUP, &packed(|packer| group.pack(packer)));
            }
        }
    }
}

fn packed(pack: impl FnOnce(&mut Packer)) -> Bytes {
    let mut packer = Packer::default();
    pack(&mut packer);
    packer.finish()
}

fn section(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    counted(out, bytes);
}

fn counted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// What a block holds that is large although it need not be.
const MANY: &str = "a block of more than 1 MiB holds more than a single item";

/// The next entry of a block. What is wrong, where it is none.
///
/// A block is larger than 1 MiB only for the sake of one item. That is held to before anything is made of it: an item of four bytes
/// takes several times as much in memory, and a file of a megabyte could take gigabytes.
pub(super) fn read(block: &mut Input) -> Result<Entry, &'static str> {
    let is_large = block.len() > TARGET;
    let mut input = Input::new(block.counted().ok_or("an entry ends beyond its block")?);
    if is_large && !block.is_empty() {
        return Err(MANY);
    }
    let mut entry = read_head(&mut input).ok_or("an entry's head is no such")?;
    let single = input.len() > TARGET;
    let sections = read_sections(&mut input, single)?;
    if single && !sections.is_single(entry.redis_type()) {
        return Err(MANY);
    }
    entry.dump = sections.dump.clone();
    entry.logical = sections.logical(entry.redis_type())?;
    if entry.part.is_whole() && entry.dump.is_none() && entry.logical.is_none() {
        return Err("an entry holds nothing");
    }
    if entry.part.is_whole() && entry.logical.as_ref().is_some_and(Logical::is_void) {
        return Err("a collection has no items");
    }
    Ok(entry)
}

fn read_head(input: &mut Input) -> Option<Entry> {
    let flags = input.byte().filter(|flags| flags & !(LAST | EXPIRES) == 0)?;
    let database = input.byte()?;
    let part = Part { number: input.long()?, last: flags & LAST != 0 };
    let key = RedisKey::new(input.counted()?);
    let length = usize::from(input.byte()?);
    let name = input.bytes(length)?;
    let type_name = type_name(std::str::from_utf8(&name).ok()?);
    let expires_at = if flags & EXPIRES != 0 { Some(input.moment()?) } else { None };
    Some(Entry { database, key, type_name, expires_at, part, dump: None, logical: None })
}

/// The name of a type; of one that is known without memory of its own.
fn type_name(name: &str) -> Cow<'static, str> {
    let known = RedisType::ALL.into_iter().map(RedisType::name).find(|known| *known == name);
    known.map_or_else(|| Cow::Owned(name.to_owned()), Cow::Borrowed)
}

#[derive(Default)]
struct Sections {
    dump: Option<Bytes>,
    bytes: Option<Bytes>,
    items: Option<Bytes>,
    expiries: Option<Bytes>,
    facts: Option<StreamFacts>,
    groups: Vec<StreamGroup>,
}

/// `single`: they hold one item at most.
fn read_sections(input: &mut Input, single: bool) -> Result<Sections, &'static str> {
    let mut sections = Sections::default();
    while !input.is_empty() {
        let tag = input.byte().ok_or("a section has no kind")?;
        let bytes = input.counted().ok_or("a section ends beyond its entry")?;
        let place = match tag {
            DUMP => &mut sections.dump,
            BYTES => &mut sections.bytes,
            ITEMS => &mut sections.items,
            FIELD_EXPIRIES => &mut sections.expiries,
            STREAM_FACTS => {
                sections.facts = Some(StreamFacts::unpack(&bytes).ok_or("what is told of a stream is no such")?);
                continue;
            }
            STREAM_GROUP => {
                if single && !sections.groups.is_empty() {
                    return Err(MANY);
                }
                let most = if single { 1 } else { usize::MAX };
                sections.groups.push(StreamGroup::unpack(&bytes, most).ok_or("a stream's group is none")?);
                continue;
            }
            OPTIONAL.. => continue,
            _ => return Err("a section is of a kind that this version does not know"),
        };
        if place.replace(bytes).is_some() {
            return Err("a section is there twice");
        }
    }
    Ok(sections)
}

impl Sections {
    /// Whether they hold no more than one item of this type. Runs of bytes can be cut anywhere, and are never that large.
    fn is_single(&self, redis_type: RedisType) -> bool {
        let items = self.items.as_ref().filter(|items| !items.is_empty());
        let units = items.map_or(0, |items| if is_unit(items, redis_type) { 1 } else { 2 });
        self.dump.is_none() && self.bytes.is_none() && units + self.groups.len() <= 1
    }

    fn logical(self, redis_type: RedisType) -> Result<Option<Logical>, &'static str> {
        let Self { bytes, items, expiries, facts, groups, .. } = self;
        let is_stream = redis_type == RedisType::Stream;
        if (facts.is_some() || !groups.is_empty()) && !is_stream || expiries.is_some() && redis_type != RedisType::Hash
        {
            return Err("a section does not go with the type");
        }
        let logical = match (redis_type.is_whole(), bytes, items) {
            (_, None, None) if facts.is_none() && groups.is_empty() => return Ok(None),
            (true, Some(bytes), None) => Logical::Bytes(bytes),
            (false, None, Some(items)) if redis_type == RedisType::Hash => hash(items, expiries)?,
            (false, None, items) if is_stream => {
                let entries = items.unwrap_or_default();
                if !are_entries(&entries) {
                    return Err("the entries of a stream are none");
                }
                Logical::Stream { entries, facts, groups }
            }
            (false, None, Some(items)) if redis_type != RedisType::Module => {
                let count = counted_items(&items).ok_or("an item ends beyond its section")?;
                if redis_type == RedisType::Zset && count % 2 != 0 {
                    return Err("a member has no score");
                }
                Logical::Items(items)
            }
            _ => return Err("a section does not go with the type"),
        };
        Ok(Some(logical))
    }
}

fn hash(items: Bytes, expiries: Option<Bytes>) -> Result<Logical, &'static str> {
    let count = counted_items(&items).filter(|count| count % 2 == 0).ok_or("a field has no value")?;
    let expiries = match expiries {
        None => None,
        Some(times) if times.len() == count / 2 * 8 => {
            Some(times.as_chunks().0.iter().map(|eight| i64::from_be_bytes(*eight)).collect())
        }
        Some(_) => return Err("there are not as many times of expiry as fields"),
    };
    Ok(Logical::Hash { items, expiries })
}

/// Whether items are no more than those that belong together.
fn is_unit(packed: &[u8], redis_type: RedisType) -> bool {
    let mut items = Items::of(packed);
    let together = match redis_type {
        RedisType::Hash | RedisType::Zset => 2,
        RedisType::Stream => {
            let mut ahead = items;
            let fields = ahead.nth(1).and_then(number::<usize>);
            fields.and_then(|fields| fields.checked_mul(2)?.checked_add(2)).unwrap_or(0)
        }
        _ => 1,
    };
    items.nth(together).is_none()
}

/// How many items these bytes are; `None` where the last is not whole.
fn counted_items(packed: &[u8]) -> Option<usize> {
    let mut items = Items::of(packed);
    let count = items.by_ref().count();
    items.rest().is_empty().then_some(count)
}

/// Whether items are whole entries of a stream.
fn are_entries(packed: &[u8]) -> bool {
    let mut items = Items::of(packed);
    while items.next().is_some() {
        let Some(fields) = items.next().and_then(number::<usize>) else { return false };
        let Some(more) = fields.checked_mul(2) else { return false };
        if items.by_ref().take(more).count() != more {
            return false;
        }
    }
    items.rest().is_empty()
}
