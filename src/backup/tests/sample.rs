//! Entries to test with, and files in memory.

use crate::backup::place::Place;
use crate::backup::{Block, BrokenOff, Entry, Found, Header, Logical, Part, Reader, Writer, encode};
use crate::backup::{Pending, ReadError, StreamFacts, StreamGroup};
use crate::model::{Failure, Packer, RedisKey};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use std::borrow::Cow;
use std::io::{self, Cursor};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

/// What was done to a file, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Written,
    Synced,
    Truncated,
    Discarded,
    Published,
}

/// A file in memory, on a disk with so much room.
#[derive(Clone)]
pub(super) struct InMemory {
    pub(super) file: Arc<Mutex<Vec<u8>>>,
    pub(super) done: Arc<Mutex<Vec<Done>>>,
    pub(super) room: usize,
}

impl InMemory {
    pub(super) fn new(room: usize) -> Self {
        Self { file: Arc::default(), done: Arc::default(), room }
    }

    fn does(&self, what: Done) -> io::Result<()> {
        self.done.lock().unwrap().push(what);
        Ok(())
    }
}

impl Place for InMemory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap();
        if file.len() + bytes.len() > self.room {
            let fits = self.room - file.len();
            file.extend(&bytes[..fits]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.extend(bytes);
        self.does(Done::Written)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.does(Done::Synced)
    }

    fn truncate(&mut self, end: u64) -> io::Result<()> {
        self.file.lock().unwrap().truncate(end as usize);
        self.does(Done::Truncated)
    }

    fn discard(&mut self) -> io::Result<()> {
        self.does(Done::Discarded)
    }

    fn publish(&mut self) -> io::Result<()> {
        self.does(Done::Published)
    }
}

/// What it gives once nobody holds the file: a program that another test starts inherits the lock until it is executed.
pub(super) fn free<T>(ask: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
    for _ in 0..500 {
        match ask() {
            Err(failure) if failure.message.contains("is being written") => sleep(Duration::from_millis(10)),
            answer => return answer,
        }
    }
    ask()
}

/// Goes on with what a backup at this path left.
pub(super) fn resume(path: &Path) -> Result<(Writer, Header), Failure> {
    let broken = BrokenOff::open(path)?;
    let header = broken.header().clone();
    Ok((broken.read(None)?.go_on(), header))
}

/// The header of a test's file.
pub(super) fn header() -> Header {
    Header { databases: vec![0, 3], ..Header::new("backup", "redis://h:1/0", "2026-11-26T07:00:00Z") }
}

/// A finished file with these blocks.
pub(super) fn file(blocks: &[Block]) -> Vec<u8> {
    let place = InMemory::new(usize::MAX);
    let mut writer = Writer::begin(Box::new(place.clone()), Path::new("b"), &header()).unwrap();
    blocks.iter().for_each(|block| writer.append(block).unwrap());
    writer.finish().unwrap();
    place.file.lock().unwrap().clone()
}

/// A block or more for each group of entries.
pub(super) fn blocks(groups: &[Vec<Entry>]) -> Vec<Block> {
    groups.iter().flat_map(|entries| encode(entries).unwrap()).collect()
}

/// Everything that a reader meets.
pub(super) fn all(mut reader: Reader<Cursor<Vec<u8>>>) -> Result<Vec<Found>, ReadError> {
    let mut found = Vec::new();
    while let Some(one) = reader.read()? {
        found.push(one);
    }
    Ok(found)
}

/// The entries of a whole file.
pub(super) fn read(file: Vec<u8>) -> Result<Vec<Entry>, ReadError> {
    Ok(entries(all(Reader::new(Cursor::new(file))?)?))
}

/// The entries that can be had of a damaged file.
pub(super) fn salvaged(file: Vec<u8>) -> Vec<Found> {
    all(Reader::salvage(Cursor::new(file)).unwrap()).unwrap_or_default()
}

pub(super) fn entries(found: Vec<Found>) -> Vec<Entry> {
    let entry = |found| match found {
        Found::Entry { entry, .. } => Some(entry),
        Found::Lost(_) => None,
    };
    found.into_iter().filter_map(entry).collect()
}

pub(super) fn packed<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Bytes {
    items.into_iter().collect::<Packer>().finish()
}

/// So many bytes that do not compress.
pub(super) fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect::<Vec<u8>>().into()
}

/// A string.
pub(super) fn string(key: &str, value: impl Into<Bytes>) -> Entry {
    Entry {
        database: 0,
        key: RedisKey::new(key.to_owned()),
        type_name: Cow::Borrowed("string"),
        expires_at: None,
        part: Part::WHOLE,
        dump: None,
        logical: Some(Logical::Bytes(value.into())),
    }
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn items() -> impl Strategy<Value = Vec<Bytes>> {
    vec(bytes(), 1..6)
}

fn pack(items: &[Bytes], times: usize) -> Bytes {
    let twice = items.iter().flat_map(|item| std::iter::repeat_n(item.as_ref(), times));
    packed(twice)
}

fn stream() -> impl Strategy<Value = Logical> {
    let pending = (any::<u32>(), bytes(), any::<u32>(), 0..9_u64).prop_map(|(id, consumer, at, deliveries)| Pending {
        id: format!("{id}-0"),
        consumer,
        delivered_at: i64::from(at),
        deliveries,
    });
    let group = (bytes(), proptest::option::of(0..9_u64), items(), vec(pending, 0..4)).prop_map(
        |(name, entries_read, consumers, pending)| StreamGroup {
            name,
            last_id: "1-1".to_owned(),
            entries_read,
            consumers,
            pending,
        },
    );
    let facts = (proptest::option::of(Just("0-0".to_owned())), proptest::option::of(any::<u64>())).prop_map(
        |(max_deleted_id, entries_added)| StreamFacts { last_id: "7-7".to_owned(), max_deleted_id, entries_added },
    );
    (items(), facts, vec(group, 0..3)).prop_map(|(items, facts, groups)| {
        let entries = items.iter().flat_map(|item| [&b"1-1"[..], b"1", b"field", item.as_ref()]);
        Logical::Stream { entries: packed(entries), facts: Some(facts), groups }
    })
}

/// Type and content.
fn content() -> impl Strategy<Value = (&'static str, Option<Logical>)> {
    prop_oneof![
        bytes().prop_map(|bytes| ("string", Some(Logical::Bytes(bytes)))),
        bytes().prop_map(|bytes| ("ReJSON-RL", Some(Logical::Bytes(bytes)))),
        items().prop_map(|items| ("list", Some(Logical::Items(pack(&items, 1))))),
        items().prop_map(|items| ("zset", Some(Logical::Items(pack(&items, 2))))),
        (items(), any::<bool>()).prop_map(|(items, timed)| {
            let expiries = timed.then(|| (0..items.len() as i64).map(|at| at - 1).collect());
            ("hash", Some(Logical::Hash { items: pack(&items, 2), expiries }))
        }),
        stream().prop_map(|stream| ("stream", Some(stream))),
        Just(("MBbloom--", None)),
    ]
}

/// Any entry that is whole.
pub(super) fn entry() -> impl Strategy<Value = Entry> {
    let dump = proptest::option::of(vec(any::<u8>(), 1..80).prop_map(Bytes::from));
    (0..4_u8, bytes(), content(), proptest::option::of(any::<i64>()), dump).prop_map(
        |(database, key, (type_name, logical), expires_at, dump)| {
            let dump = if logical.is_none() { Some(dump.unwrap_or_else(|| "d".into())) } else { dump };
            let (key, type_name) = (RedisKey::new(key), Cow::Borrowed(type_name));
            Entry { database, key, type_name, expires_at, part: Part::WHOLE, dump, logical }
        },
    )
}

/// Entries in groups, each of which is a block or more.
pub(super) fn groups() -> impl Strategy<Value = Vec<Vec<Entry>>> {
    vec(vec(entry(), 1..5), 1..5)
}
