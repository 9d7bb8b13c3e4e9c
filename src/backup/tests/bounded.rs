//! What a restore must hold of a key, or of a file, as a whole is bounded, however little the file is that it comes from.

use super::sample::{file, read, string};
use crate::backup::joining::{MAX_DOCUMENT, Met, Parts};
use crate::backup::{Entry, Fault, Logical, Part, ReadError, StreamGroup, encode};
use bytes::Bytes;
use std::borrow::Cow;

/// What is wrong with the first part that is not taken, and its number; each part but the first goes on.
fn refused(parts: impl Iterator<Item = (&'static str, Logical)>) -> Option<(usize, &'static str)> {
    let mut met = Parts::default();
    for (number, (type_name, logical)) in parts.enumerate() {
        let part = Part { number: number as u32, last: false };
        let entry = Entry { part, type_name: Cow::Borrowed(type_name), logical: Some(logical), ..string("large", "") };
        match met.meet(entry, false) {
            Met::Wrong(Fault::Content(what)) => return Some((number, what)),
            Met::Wrong(fault) => panic!("{fault}"),
            Met::Whole(_) | Met::Kept => {}
        }
    }
    None
}

#[test]
fn a_document_is_no_larger_than_one_that_is_set_as_a_whole() {
    let piece = Bytes::from(vec![b'0'; 1 << 20]);
    let fits = MAX_DOCUMENT >> 20;
    let parts = |name| std::iter::repeat_n((name, Logical::Bytes(piece.clone())), fits + 1);
    assert_eq!(refused(parts("ReJSON-RL")), Some((fits, "a document is too large")));
    // A string is appended to, part by part.
    assert_eq!(refused(parts("string")), None);
}

#[test]
fn the_names_of_a_streams_groups_are_bounded_and_a_group_in_many_parts_is_one() {
    let names = Bytes::from(vec![b'g'; 1 << 20]);
    let of = |name: Bytes| {
        let last_id = "1-1".to_owned();
        let group = StreamGroup { name, last_id, entries_read: None, consumers: Vec::new(), pending: Vec::new() };
        ("stream", Logical::Stream { entries: Bytes::new(), facts: None, groups: vec![group] })
    };
    let others = (0..300).map(|number| of(names.slice(number..)));
    assert!(refused(others).is_some_and(|(number, what)| (250..=257).contains(&number) && what.contains("too many")));
    assert_eq!(refused((0..300).map(|_| of(names.clone()))), None);
}

#[test]
fn the_names_of_types_in_a_file_are_bounded() {
    let of = |number: usize| Entry {
        type_name: Cow::Owned(format!("module{number:04}")),
        dump: Some("dump".into()),
        logical: None,
        database: (number % 7) as u8,
        ..string("key", "")
    };
    let mut entries: Vec<Entry> = (0..4_096).map(of).collect();
    // More of the types that are there, and of those that are known.
    entries.extend([of(5), string("string", "1")]);
    assert_eq!(read(file(&encode(&entries).unwrap())).unwrap().len(), 4_098);
    entries.push(of(4_096));
    match read(file(&encode(&entries).unwrap())) {
        Err(ReadError::Damaged(damage)) => {
            assert!(matches!(damage.fault, Fault::Content(what) if what.contains("more types")), "{damage}");
        }
        other => panic!("{:?}", other.map(|entries| entries.len())),
    }
}
