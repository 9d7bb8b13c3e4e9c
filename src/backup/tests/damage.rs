use super::sample::{all, blocks, entries, file, groups, header, read, salvaged, string};
use crate::backup::preamble::{PREAMBLE, preamble};
use crate::backup::{Entry, Fault, Found, Logical, Part, ReadError, Reader, encode};
use proptest::prelude::*;
use std::io::Cursor;

fn damage(file: Vec<u8>) -> (u64, Fault) {
    match read(file) {
        Err(ReadError::Damaged(damage)) => (damage.offset, damage.fault),
        other => panic!("{other:?}"),
    }
}

/// Whether the first are among the second, in their order.
fn is_subsequence(some: &[Entry], all: &[Entry]) -> bool {
    let mut all = all.iter();
    some.iter().all(|one| all.any(|other| other == one))
}

proptest! {
    #[test]
    fn any_truncation_is_found_and_what_came_before_it_can_be_had(groups in groups(), at in any::<prop::sample::Index>()) {
        let blocks = blocks(&groups);
        let file = file(&blocks);
        let end = at.index(file.len());
        let (offset, _) = damage(file[..end].to_vec());
        prop_assert!(offset <= end as u64);
        // Where each block ends.
        let mut behind: Vec<usize> = Vec::new();
        let mut reader = Reader::new(Cursor::new(file.clone())).unwrap();
        while reader.read().unwrap().is_some() {
            behind.push(reader.position() as usize);
        }
        let whole = behind.iter().filter(|behind| **behind <= end).count();
        let written: Vec<Entry> = groups.concat();
        let had = entries(salvaged(file[..end].to_vec()));
        prop_assert_eq!(had.as_slice(), &written[..whole]);
    }

    #[test]
    fn any_bit_that_is_wrong_is_found_and_no_more_than_its_block_is_lost(
        groups in groups(), at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let mut file = file(&blocks(&groups));
        let place = at.index(file.len());
        file[place] ^= 1 << bit;
        let (offset, _) = damage(file.clone());
        prop_assert!(offset <= place as u64);
        let written: Vec<Entry> = groups.concat();
        let found = salvaged(file);
        let lost = found.iter().any(|found| matches!(found, Found::Lost(lost) if lost.damage.offset <= place as u64));
        prop_assert!(lost, "{:?}", found);
        let had = entries(found);
        prop_assert!(is_subsequence(&had, &written));
        let most = groups.iter().map(Vec::len).max().unwrap_or(0);
        prop_assert!(had.len() + most >= written.len(), "{} of {}", had.len(), written.len());
    }

    #[test]
    fn bytes_that_were_put_in_or_taken_out_are_found(
        groups in groups(), at in any::<prop::sample::Index>(), taken in 0..200_usize, put in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let whole = file(&blocks(&groups));
        let from = at.index(whole.len());
        let mut file = whole.clone();
        file.splice(from..(from + taken).min(whole.len()), put);
        prop_assume!(file != whole);
        let (offset, _) = damage(file.clone());
        prop_assert!(offset <= whole.len() as u64);
        prop_assert!(is_subsequence(&entries(salvaged(file)), &groups.concat()));
    }

    #[test]
    fn blocks_that_are_missing_twice_there_or_in_another_order_are_found(groups in groups(), at in any::<prop::sample::Index>()) {
        let file = file(&blocks(&groups));
        let mut reader = Reader::new(Cursor::new(file.clone())).unwrap();
        let mut frames = vec![reader.position() as usize];
        while reader.read().unwrap().is_some() {
            let at = reader.position() as usize;
            if frames.last() != Some(&at) {
                frames.push(at);
            }
        }
        let place = at.index(frames.len() - 1);
        let block = file[frames[place]..frames[place + 1]].to_vec();
        let mut missing = file.clone();
        missing.drain(frames[place]..frames[place + 1]);
        prop_assert_eq!(damage(missing), (frames[place] as u64, Fault::Sequence));
        let mut twice = file.clone();
        twice.splice(frames[place]..frames[place], block.clone());
        prop_assert_eq!(damage(twice), (frames[place + 1] as u64, Fault::Sequence));
    }

    #[test]
    fn whatever_the_bytes_are_reading_ends(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(read(bytes.clone()).is_err());
        prop_assert!(entries(salvaged(bytes)).is_empty());
    }
}

#[test]
fn a_file_that_is_none_says_so() {
    for (bytes, fault) in
        [(&b""[..], Fault::Empty), (b"{\"key\":1}", Fault::NotABackup), (b"REDIS0011", Fault::NotABackup)]
    {
        assert_eq!(damage(bytes.to_vec()), (0, fault));
        assert!(all(Reader::salvage(Cursor::new(bytes.to_vec())).unwrap()).is_err());
    }
    assert_eq!(damage(b"redis2pg-b".to_vec()), (0, Fault::Cut(10)));
}

#[test]
fn a_newer_version_is_told_from_a_version_that_is_damaged() {
    let own = file(&blocks(&[vec![string("a", "1")]]));
    let mut newer = preamble(2);
    // Whatever comes behind it.
    newer.extend(&own[PREAMBLE..]);
    assert_eq!(damage(newer.clone()), (0, Fault::UnknownFormat(2)));
    let refused = all(Reader::salvage(Cursor::new(newer)).unwrap());
    assert!(matches!(refused, Err(ReadError::Damaged(damage)) if damage.fault == Fault::UnknownFormat(2)));
    for place in 0..PREAMBLE {
        let mut flipped = own.clone();
        flipped[place] ^= 1;
        assert_eq!(damage(flipped.clone()), (0, Fault::Checksum), "byte {place}");
        // The header behind it, and all keys, can be had.
        let mut reader = Reader::salvage(Cursor::new(flipped.clone())).unwrap();
        assert!(matches!(reader.read(), Ok(Some(Found::Lost(_)))), "byte {place}");
        assert_eq!(entries(salvaged(flipped)), [string("a", "1")], "byte {place}");
        while reader.read().unwrap().is_some() {}
        assert_eq!(reader.header(), &header(), "byte {place}");
    }
}

#[test]
fn a_file_without_its_end_and_one_with_more_behind_it_are_not_whole() {
    let mut file = file(&blocks(&[vec![string("a", "1")]]));
    let mut reader = Reader::new(Cursor::new(file.clone())).unwrap();
    reader.read().unwrap();
    let end = reader.position();
    let mut found = salvaged(file[..end as usize].to_vec());
    assert!(
        matches!(found.pop(), Some(Found::Lost(lost)) if lost.damage.fault == Fault::NotFinished && lost.damage.offset == end)
    );
    assert_eq!(entries(found), [string("a", "1")]);
    let length = file.len() as u64;
    file.push(0);
    assert_eq!(damage(file), (length, Fault::Trailing));
}

#[test]
fn blocks_of_another_backup_are_not_taken_for_its_own() {
    let one = file(&blocks(&[vec![string("one", "1")]]));
    let other = file(&blocks(&[vec![string("other", "2")]]));
    let behind = |file: &Vec<u8>| Reader::new(Cursor::new(file.clone())).unwrap().position() as usize;
    let mut mixed = one[..behind(&one)].to_vec();
    mixed.extend(&other[behind(&other)..]);
    assert_eq!(damage(mixed.clone()), (behind(&one) as u64, Fault::Sequence));
    assert!(entries(salvaged(mixed)).is_empty());
    // A value that is a backup itself, behind damage.
    let value: Vec<u8> = other.clone();
    let mut holding = file(&blocks(&[vec![string("a", "1")], vec![string("holds", value)], vec![string("z", "1")]]));
    let place = behind(&holding) + 10;
    holding[place] ^= 1;
    let had: Vec<String> = entries(salvaged(holding)).iter().map(|entry| entry.key.to_string()).collect();
    assert_eq!(had, ["holds", "z"]);
}

#[test]
fn a_key_whose_parts_are_not_all_there_is_named() {
    let part = |number, last| Entry { part: Part { number, last }, ..string("large", format!("part {number}")) };
    let others = |name| vec![string(name, "1")];
    let whole = blocks(&[others("a"), vec![part(0, false)], vec![part(1, false)], vec![part(2, true)], others("z")]);
    assert_eq!(read(file(&whole)).unwrap().len(), 5);
    let bad = file(&whole);
    // The second part's block, by a bit of its content.
    let mut reader = Reader::new(Cursor::new(bad.clone())).unwrap();
    (0..2).for_each(|_| drop(reader.read().unwrap()));
    let place = reader.position() as usize + 40;
    let mut bad = bad;
    bad[place] ^= 1;
    let found = salvaged(bad);
    let torn = found.iter().filter_map(|found| match found {
        Found::Lost(lost) => Some(lost.torn.as_ref().map(|(database, key)| (*database, key.to_string()))),
        Found::Entry { .. } => None,
    });
    let torn: Vec<_> = torn.collect();
    assert_eq!(torn, [Some((0, "large".to_owned()))]);
    let had: Vec<(String, u32)> =
        entries(found).iter().map(|entry| (entry.key.to_string(), entry.part.number)).collect();
    assert_eq!(had, [("a".to_owned(), 0), ("large".to_owned(), 0), ("z".to_owned(), 0)]);
    // Missing although all blocks are whole.
    let mut missing = whole.clone();
    missing.remove(2);
    assert!(matches!(damage(file(&missing)), (_, Fault::Parts)));
    let found = salvaged(file(&missing));
    assert!(found.iter().any(|found| matches!(found, Found::Lost(lost) if lost.torn.is_some())), "{found:?}");
    assert!(entries(found).iter().any(|entry| entry.key.to_string() == "z"));
}

#[test]
fn an_entry_with_a_dump_that_is_torn_is_not_given_in_part() {
    let hash = Entry {
        type_name: "hash".into(),
        dump: Some(vec![7; 3 << 20].into()),
        logical: Some(Logical::Hash { items: super::sample::packed([&b"f"[..], b"v"]), expiries: None }),
        ..string("hash", "")
    };
    let mut blocks = encode(&[hash]).unwrap();
    blocks.extend(encode(&[string("z", "1")]).unwrap());
    blocks.remove(1);
    let had: Vec<String> = entries(salvaged(file(&blocks))).iter().map(|entry| entry.key.to_string()).collect();
    assert_eq!(had, ["z"]);
}
