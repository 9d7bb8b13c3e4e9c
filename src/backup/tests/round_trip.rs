use super::sample::{blocks, file, groups, noise, packed, read, string};
use crate::backup::joining::{Met, Parts};
use crate::backup::{Entry, KeyCounts, Logical, Part, Pending, Reader, StreamFacts, StreamGroup, cut, encode, verify};
use crate::model::{Items, RedisKey};
use bytes::Bytes;
use proptest::prelude::*;
use std::borrow::Cow;
use std::io::Cursor;

proptest! {
    #[test]
    fn what_was_written_is_read(groups in groups()) {
        let written: Vec<Entry> = groups.concat();
        let file = file(&blocks(&groups));
        let summary = verify(Reader::new(Cursor::new(file.clone())).unwrap(), |_| ()).unwrap();
        prop_assert!(summary.complete);
        let mut counts = KeyCounts::default();
        written.iter().for_each(|entry| counts.count(entry));
        prop_assert_eq!(summary.keys, counts);
        prop_assert_eq!(read(file).unwrap(), written);
    }
}

#[test]
fn the_header_comes_back() {
    let reader = Reader::new(Cursor::new(file(&[]))).unwrap();
    assert_eq!(*reader.header(), super::sample::header());
}

#[test]
fn a_large_string_is_in_parts_that_are_bounded() {
    let value = noise((5 << 20) + 17);
    let entry = Entry { expires_at: Some(99), ..string("large", value.clone()) };
    let file = file(&encode(&[string("before", "b"), entry, string("behind", "b")]).unwrap());
    let entries = read(file).unwrap();
    let parts = &entries[1..entries.len() - 1];
    assert!(parts.len() > 5 && parts.iter().all(|part| part.bytes() < 1 << 20), "{}", parts.len());
    let numbers: Vec<Part> = parts.iter().map(|part| part.part).collect();
    let last = numbers.len() as u32 - 1;
    assert_eq!(numbers, (0..=last).map(|number| Part { number, last: number == last }).collect::<Vec<_>>());
    assert!(parts.iter().all(|part| part.expires_at == Some(99) && part.key == parts[0].key));
    let bytes = parts.iter().map(|part| match &part.logical {
        Some(Logical::Bytes(bytes)) => bytes.as_ref(),
        other => panic!("{other:?}"),
    });
    assert!(bytes.collect::<Vec<_>>().concat() == value);
    assert_eq!(
        (&entries[0].key, &entries[entries.len() - 1].key),
        (&string("before", "").key, &string("behind", "").key)
    );
}

#[test]
fn an_entry_with_a_dump_comes_whole_however_large_it_is() {
    let fields: Vec<Vec<u8>> = (0..30_000).map(|number| format!("field {number}").into_bytes()).collect();
    let value = noise(100);
    let items = packed(fields.iter().flat_map(|field| [field.as_slice(), value.as_ref()]));
    let expiries = Some((0..30_000).collect());
    let logical = Some(Logical::Hash { items, expiries });
    let hash = Entry { type_name: Cow::Borrowed("hash"), dump: Some(noise(3 << 20)), logical, ..string("hash", "") };
    let blocks = encode(std::slice::from_ref(&hash)).unwrap();
    assert!(blocks.len() > 6, "{}", blocks.len());
    assert!(read(file(&blocks)).unwrap() == [hash]);
}

#[test]
fn items_are_never_torn() {
    let items = packed((0..50_000).map(|_| &b"sixteen bytes ..."[..]));
    for (name, unit) in [("list", 1), ("zset", 2)] {
        let entry = Entry {
            type_name: Cow::Borrowed(name),
            logical: Some(Logical::Items(items.clone())),
            ..string("items", "")
        };
        let parts = cut(entry);
        assert!(parts.len() > 1);
        let mut count = 0;
        for part in &parts {
            let Some(Logical::Items(items)) = &part.logical else { panic!("{part:?}") };
            let mut items = Items::of(items);
            let here = items.by_ref().count();
            assert!(items.rest().is_empty() && here.is_multiple_of(unit), "{name}: {here}");
            count += here;
        }
        assert_eq!(count, 50_000);
    }
}

#[test]
fn a_stream_in_parts_has_all_its_groups_and_its_facts_once() {
    let pending = |number: u64| Pending {
        id: format!("{number}-0"),
        consumer: Bytes::from_static(b"consumer"),
        delivered_at: 5,
        deliveries: number,
    };
    let group = |name: &'static str, count: u64| StreamGroup {
        name: Bytes::from_static(name.as_bytes()),
        last_id: "9-9".to_owned(),
        entries_read: Some(9),
        consumers: vec![Bytes::from_static(b"consumer"), Bytes::from_static(b"idle")],
        pending: (0..count).map(pending).collect(),
    };
    let facts = StreamFacts { last_id: "9-9".to_owned(), max_deleted_id: None, entries_added: None };
    let entries = packed((0..30_000).flat_map(|_| [&b"1-1"[..], b"2", b"a", b"1", b"bb", b"22"]));
    let logical = Logical::Stream {
        entries: entries.clone(),
        facts: Some(facts.clone()),
        groups: vec![group("one", 40_000), group("two", 3)],
    };
    let stream = Entry { type_name: Cow::Borrowed("stream"), logical: Some(logical), ..string("stream", "") };
    let parts = read(file(&encode(&[stream]).unwrap())).unwrap();
    let (mut read_entries, mut found, mut read_groups) = (Vec::new(), Vec::new(), Vec::<StreamGroup>::new());
    for part in parts {
        let Some(Logical::Stream { entries, facts, groups }) = part.logical else { panic!("{:?}", part.part) };
        read_entries.extend_from_slice(&entries);
        found.extend(facts.map(|facts| (facts, part.part.last)));
        for more in groups {
            match read_groups.iter_mut().find(|group| group.name == more.name) {
                None => read_groups.push(more),
                Some(group) => {
                    group.consumers.extend(more.consumers);
                    group.pending.extend(more.pending);
                }
            }
        }
    }
    assert!(read_entries == entries);
    assert_eq!(found, [(facts, true)]);
    assert!(read_groups == [group("one", 40_000), group("two", 3)]);
}

/// A lane cuts a key that it reads in parts, and cuts each of them again where it encodes them.
#[test]
fn a_part_that_is_larger_than_a_block_is_cut_no_further() {
    let large = |length: usize| noise(length);
    let pending =
        |consumer: &Bytes| Pending { id: "1-1".to_owned(), consumer: consumer.clone(), delivered_at: 5, deliveries: 1 };
    let group = |name: Bytes, consumers: Vec<Bytes>, waiting: usize| StreamGroup {
        name,
        last_id: "9-9".to_owned(),
        entries_read: None,
        pending: consumers.first().map(|first| vec![pending(first); waiting]).unwrap_or_default(),
        consumers,
    };
    let short = |name: &'static str| Bytes::from_static(name.as_bytes());
    let facts = Some(StreamFacts { last_id: "9-9".to_owned(), max_deleted_id: None, entries_added: None });
    let entries = packed([&b"1-1"[..], b"1", b"a", b"1"]);
    let of_groups = |key: Bytes, groups| {
        let logical = Logical::Stream { entries: entries.clone(), facts: facts.clone(), groups };
        Entry { type_name: Cow::Borrowed("stream"), key: RedisKey::new(key), logical: Some(logical), ..string("", "") }
    };
    for (what, entry) in [
        ("a consumer", of_groups(short("k"), vec![group(short("g"), vec![large(2 << 20), short("c")], 2)])),
        ("a name", of_groups(short("k"), vec![group(large(2 << 20), vec![short("c"), short("d")], 2)])),
        ("a bare group", of_groups(short("k"), vec![group(large(2 << 20), Vec::new(), 0)])),
        ("a key", of_groups(large(700 << 10), vec![group(short("g"), vec![short("c")], 30_000)])),
    ] {
        let parts = cut(entry);
        assert!(parts.len() > 1, "{what}");
        for part in &parts {
            assert!(cut(part.clone()) == std::slice::from_ref(part), "{what}: {:?}", part.part);
        }
        let blocks = parts.iter().flat_map(|part| encode(std::slice::from_ref(part)).unwrap()).collect::<Vec<_>>();
        assert!(read(file(&blocks)).is_ok_and(|read| read == parts), "{what}: {:?}", read(file(&blocks)).err());
    }
}

/// Each part has the key, and it is in memory once.
#[test]
fn a_long_key_counts_once_where_parts_with_a_dump_are_put_together() {
    const COUNT: u32 = 1_500;
    let key = RedisKey::new(noise(200 << 10));
    let mut parts = Parts::default();
    let mut whole = None;
    for number in 0..COUNT {
        let part = Part { number, last: number + 1 == COUNT };
        let logical = Some(Logical::Items(packed([number.to_string().as_bytes()])));
        let dump = part.is_first().then(|| Bytes::from_static(b"dump"));
        let list = Cow::Borrowed("list");
        match parts.meet(Entry { key: key.clone(), type_name: list, part, dump, logical, ..string("", "") }, false) {
            Met::Whole(entry) => whole = Some(entry),
            Met::Kept => {}
            Met::Wrong(fault) => panic!("part {number}: {fault:?}"),
        }
    }
    let Some(Logical::Items(items)) = whole.and_then(|whole| whole.logical) else { panic!("it is not whole") };
    assert_eq!(Items::of(&items).count(), COUNT as usize);
}

#[test]
fn what_does_not_compress_is_stored_as_it_is() {
    let value = noise(1000);
    let noisy = encode(&[string("noise", value)]).unwrap();
    let plain = encode(&[string("plain", vec![b'a'; 1000])]).unwrap();
    assert!(noisy[0].len() > 1000 && noisy[0].len() < 1100, "{}", noisy[0].len());
    assert!(plain[0].len() < 100, "{}", plain[0].len());
}
