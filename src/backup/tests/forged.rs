use super::sample::{file, noise, packed, read, string};
use crate::backup::frame::{Compression, HEAD, Head, Kind, crc};
use crate::backup::{Block, Entry, Fault, Found, KeyCounts, Logical, Part, ReadError, Reader, StreamGroup};
use crate::backup::{encode, encoding};
use crate::model::Exit;
use bytes::Bytes;
use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, Cursor, Read, Seek, SeekFrom};

/// Entries as one block, however large that is, and whatever they are.
fn block(entries: &[Entry]) -> Block {
    let (mut raw, mut keys) = (Vec::new(), KeyCounts::default());
    for entry in entries {
        encoding::write(entry, &mut raw);
        keys.count(entry);
    }
    let stored = lz4_flex::block::compress(&raw);
    Block { raw: raw.len() as u32, compression: Compression::Lz4, crc: crc(&stored), stored, keys }
}

fn of(type_name: &'static str, logical: Logical) -> Entry {
    Entry { type_name: Cow::Borrowed(type_name), logical: Some(logical), ..string("forged", "") }
}

fn stream(consumers: usize) -> Entry {
    let group = StreamGroup {
        name: Bytes::from_static(b"group"),
        last_id: "1-1".to_owned(),
        entries_read: None,
        consumers: vec![Bytes::new(); consumers],
        pending: Vec::new(),
    };
    of("stream", Logical::Stream { entries: Bytes::new(), facts: None, groups: vec![group] })
}

#[track_caller]
fn is_refused(blocks: &[Block], why: &str) {
    match read(file(blocks)) {
        Err(ReadError::Damaged(damage)) if matches!(damage.fault, Fault::Content(what) if what.contains(why)) => {}
        other => panic!("{:?}", other.map(|entries| entries.len())),
    }
}

#[test]
fn a_large_block_holds_a_single_item() {
    let many = "more than a single item";
    // It is given up as soon as there is a second name.
    is_refused(&[block(&[stream(300_000)])], "a stream's group is none");
    is_refused(&[block(&[of("list", Logical::Items(packed(std::iter::repeat_n(&b""[..], 300_000))))])], many);
    let hash = Logical::Hash { items: packed(std::iter::repeat_n(&b""[..], 300_000)), expiries: None };
    is_refused(&[block(&[of("hash", hash)])], many);
    is_refused(&[block(&[string("long", vec![b'a'; 2 << 20])])], many);
    is_refused(&[block(&[string("one", vec![b'a'; 900 << 10]), string("two", vec![b'b'; 900 << 10])])], many);
    let entry = [&b"1-1"[..], b"1", b"f", b"v"];
    let entries = packed((0..60_000).flat_map(|_| entry));
    is_refused(&[block(&[of("stream", Logical::Stream { entries, facts: None, groups: Vec::new() })])], many);
}

#[test]
fn a_single_item_may_be_large_whatever_it_is_of() {
    let large = noise(3 << 20);
    let group = |consumers| StreamGroup {
        name: noise(2 << 20),
        last_id: "1-1".to_owned(),
        entries_read: None,
        consumers,
        pending: Vec::new(),
    };
    let plain = |entries: Bytes, groups| Logical::Stream { entries, facts: None, groups };
    for (name, logical) in [
        ("list", Logical::Items(packed([&b"a"[..], &large, b"b"]))),
        ("zset", Logical::Items(packed([&b"a"[..], b"1", &large, b"2"]))),
        ("hash", Logical::Hash { items: packed([&b"f"[..], &large, b"g", b"v"]), expiries: Some(vec![5, -1]) }),
        ("stream", plain(packed([&b"1-1"[..], b"1", b"f", &large, b"2-2", b"1", b"f", b"v"]), Vec::new())),
        ("stream", plain(packed([&b"1-1"[..], b"1", b"f", b"v"]), vec![group(vec![large.clone(), "c".into()])])),
        ("string", Logical::Bytes(large.clone())),
    ] {
        let written = encode(&[of(name, logical)]).unwrap();
        assert!(read(file(&written)).is_ok(), "{name}: {:?}", read(file(&written)).err());
    }
    // A key that is as long as a block.
    let long = Entry { key: crate::model::RedisKey::new(noise(1 << 20)), ..string("", large) };
    assert!(read(file(&encode(&[long]).unwrap())).is_ok());
}

#[test]
fn what_is_put_together_is_bounded_by_what_it_takes_in_memory() {
    // Each of them is a block as one may be; a name of no bytes takes 32 in memory.
    let part = |number| Entry {
        part: Part { number, last: false },
        dump: (number == 0).then(|| Bytes::from_static(b"dump")),
        ..stream(200_000)
    };
    let blocks: Vec<Block> = (0..45).map(|number| block(&[part(number)])).collect();
    is_refused(&blocks, "too large");
}

#[test]
fn sizes_that_no_writer_tells_are_not_allocated() {
    let mut lying = block(&[string("a", "1")]);
    lying.raw = 1 << 30;
    is_refused(&[lying], "larger than any");
}

#[test]
fn the_parts_of_a_key_are_of_one_type_and_one_time() {
    let part = |number, last| Entry { part: Part { number, last }, ..of("list", Logical::Items(packed([&b"x"[..]]))) };
    assert_eq!(read(file(&[block(&[part(0, false), part(1, true)])])).unwrap().len(), 2);
    for wrong in [
        Entry { type_name: Cow::Borrowed("set"), ..part(1, true) },
        Entry { expires_at: Some(5), ..part(1, true) },
        Entry { dump: Some("dump".into()), ..part(1, true) },
    ] {
        is_refused(&[block(&[part(0, false), wrong])], "do not go together");
    }
}

#[test]
fn a_collection_without_items_is_none() {
    let none = || Logical::Items(Bytes::new());
    for name in ["list", "set", "zset"] {
        is_refused(&[block(&[of(name, none())])], "no items");
        assert_eq!(encode(&[of(name, none())]).unwrap_err().exit, Exit::Internal, "nor is it written");
    }
    is_refused(&[block(&[of("hash", Logical::Hash { items: Bytes::new(), expiries: None })])], "no items");
    let part = |number, last| Entry { part: Part { number, last }, ..of("list", none()) };
    is_refused(&[block(&[part(0, false), part(1, true)])], "no items");
    // A string may be empty, and so may a stream, or a page of a scan.
    let stream = Logical::Stream { entries: Bytes::new(), facts: None, groups: Vec::new() };
    assert!(read(file(&[block(&[string("empty", ""), of("stream", stream)])])).is_ok());
    let full = Entry { part: Part { number: 1, last: true }, ..of("list", Logical::Items(packed([&b"x"[..]]))) };
    assert!(read(file(&[block(&[part(0, false), full])])).is_ok());
}

/// Counts what is read of it.
struct Counted<'a>(Cursor<Vec<u8>>, &'a Cell<u64>);

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.set(self.1.get() + read as u64);
        Ok(read)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// A whole block, and then so many heads, each of them right, of which each tells of what follows.
fn heads_over_heads(count: usize, stored: impl Fn(usize) -> u32) -> Vec<u8> {
    let mut bytes = file(&[block(&[string("a", "1")])]);
    let mut reader = Reader::new(Cursor::new(bytes.clone())).unwrap();
    reader.read().unwrap();
    bytes.truncate(reader.position() as usize);
    for place in 0..count {
        let head = Head {
            kind: Kind::Block,
            compression: Compression::None,
            file_id: reader.file_id().unwrap(),
            number: reader.next_frame(),
            stored: stored(place),
            raw: stored(place),
            crc: 7,
        };
        bytes.extend(head.to_bytes());
    }
    bytes
}

#[test]
fn salvage_does_not_read_a_file_again_for_each_of_its_heads() {
    const COUNT: usize = 1_000;
    let half = (COUNT * HEAD / 2) as u32;
    // With a content that is wrong, and with one that the file does not have.
    for stored in [half, half * 4] {
        let bytes = heads_over_heads(COUNT, |_| stored);
        let (size, read) = (bytes.len() as u64, Cell::new(0));
        let mut reader = Reader::salvage(Counted(Cursor::new(bytes), &read)).unwrap();
        let mut found = Vec::new();
        while let Some(one) = reader.read().unwrap() {
            found.push(one);
        }
        assert!(read.get() < size * 20, "{} bytes of {size} were read", read.get());
        let Some(Found::Lost(lost)) = found.last() else { panic!("nothing is lost") };
        assert_eq!((&lost.damage.fault, lost.to), (&Fault::Overlapping, size));
        assert!(matches!(&found[0], Found::Entry { entry, .. } if *entry == string("a", "1")));
    }
}
