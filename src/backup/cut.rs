//! Entries that are too large for a block, cut into parts. Nothing is copied.

use super::block::TARGET;
use super::encoding::OVERHEAD;
use super::entry::{Entry, Logical, Part};
use super::input::number;
use super::stream::StreamGroup;
use crate::model::{Items, RedisType, UnixMillis};
use bytes::Bytes;

/// Bytes of a part's share, but for a single item that is longer.
const SHARE: usize = TARGET - 2 * OVERHEAD;

/// The parts of an entry, or of a part: numbered on from its own number, the last as it is. Those with the dump come first. What came of
/// a cut is cut no further, so that the numbers stay.
pub fn cut(entry: Entry) -> Vec<Entry> {
    if entry.bytes() + OVERHEAD <= TARGET {
        return vec![entry];
    }
    let room = SHARE.saturating_sub(entry.key.as_bytes().len()).max(SHARE / 2);
    let redis_type = entry.redis_type();
    let Entry { dump, logical, part, .. } = &entry;
    let mut shares: Vec<(Option<Bytes>, Option<Logical>)> = Vec::new();
    shares.extend(dump.iter().flat_map(|dump| runs(dump, room)).map(|dump| (Some(dump), None)));
    shares.extend(logical.iter().flat_map(|logical| share(logical, redis_type, room)).map(|share| (None, Some(share))));
    let count = shares.len();
    if count == 0 {
        return vec![entry];
    }
    let parts = shares.into_iter().enumerate().map(|(index, (dump, logical))| {
        let number = part.number.saturating_add(index as u32);
        let part = Part { number, last: part.last && index + 1 == count };
        Entry { part, dump, logical, type_name: entry.type_name.clone(), key: entry.key.clone(), ..entry }
    });
    parts.collect()
}

fn share(logical: &Logical, redis_type: RedisType, room: usize) -> Vec<Logical> {
    match logical {
        Logical::Bytes(bytes) => runs(bytes, room).into_iter().map(Logical::Bytes).collect(),
        Logical::Items(items) => {
            let unit = if redis_type == RedisType::Zset { 2 } else { 1 };
            groups(items, room, |_| unit).into_iter().map(Logical::Items).collect()
        }
        Logical::Hash { items, expiries } => hash(items, expiries.as_deref(), room),
        Logical::Stream { entries, facts, groups: of_stream } => {
            let fields = |items: &mut Items<'_>| items.nth(1).and_then(number::<usize>).unwrap_or(0);
            let plain = |entries| Logical::Stream { entries, facts: None, groups: Vec::new() };
            let mut shares: Vec<Logical> = match entries.is_empty() && !of_stream.is_empty() {
                // A part that is cut already comes to itself.
                true => Vec::new(),
                false => groups(entries, room, |mut items| fields(&mut items) * 2 + 2).into_iter().map(plain).collect(),
            };
            let of_group = |group| Logical::Stream { entries: Bytes::new(), facts: None, groups: vec![group] };
            shares.extend(of_stream.iter().flat_map(|group| cut_group(group, room)).map(of_group));
            if let Some(Logical::Stream { facts: last, .. }) = shares.last_mut() {
                last.clone_from(facts);
            }
            shares
        }
    }
}

/// Runs of at most so many bytes; one where there are none.
fn runs(bytes: &Bytes, room: usize) -> Vec<Bytes> {
    let count = bytes.len().div_ceil(room).max(1);
    (0..count).map(|index| bytes.slice(index * room..bytes.len().min((index + 1) * room))).collect()
}

/// Items in groups of at most so many bytes, or of one unit. `unit` tells how many of the items that are left belong
/// together.
fn groups(packed: &Bytes, room: usize, unit: impl Fn(Items<'_>) -> usize) -> Vec<Bytes> {
    let (mut found, mut items, mut from) = (Vec::new(), Items::of(packed), 0);
    while from < packed.len() {
        let mut to = from;
        loop {
            let mut next = items;
            let together = unit(next).max(1);
            if next.by_ref().take(together).count() == 0 {
                break;
            }
            let end = packed.len() - next.rest().len();
            if to > from && end - from > room {
                break;
            }
            (to, items) = (end, next);
        }
        // What is no whole item goes by itself, rather than not at all.
        let end = if to == from { packed.len() } else { to };
        found.push(packed.slice(from..end));
        from = end;
    }
    if found.is_empty() { vec![Bytes::new()] } else { found }
}

fn hash(items: &Bytes, expiries: Option<&[UnixMillis]>, room: usize) -> Vec<Logical> {
    let room = if expiries.is_some() { room / 2 } else { room };
    let mut times = expiries.map(<[UnixMillis]>::iter);
    let with_times = |items: Bytes| {
        let fields = Items::of(&items).count() / 2;
        let expiries = times.as_mut().map(|times| times.by_ref().take(fields).copied().collect());
        Logical::Hash { items, expiries }
    };
    groups(items, room, |_| 2).into_iter().map(with_times).collect()
}

fn cut_group(group: &StreamGroup, room: usize) -> Vec<StreamGroup> {
    let bare = StreamGroup { consumers: Vec::new(), pending: Vec::new(), ..group.clone() };
    let mut cut = vec![bare.clone()];
    let mut held = bare.bytes();
    let mut place = |size: usize, cut: &mut Vec<StreamGroup>| {
        // A group whose name is long has one consumer or pending entry each, and none without.
        if held + size > room && held > bare.bytes() {
            cut.push(bare.clone());
            held = bare.bytes();
        }
        held += size;
    };
    for consumer in &group.consumers {
        place(consumer.len() + 4, &mut cut);
        cut.last_mut().into_iter().for_each(|last| last.consumers.push(consumer.clone()));
    }
    for pending in &group.pending {
        place(pending.id.len() + pending.consumer.len() + 56, &mut cut);
        cut.last_mut().into_iter().for_each(|last| last.pending.push(pending.clone()));
    }
    cut
}
