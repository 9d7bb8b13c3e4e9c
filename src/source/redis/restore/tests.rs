//! What is remembered of a stream in parts does not keep the blocks that it came from.

use super::awaited::Awaited;
use super::same::Fingerprint;
use super::stream::StreamBuild;
use crate::backup::{Entry, Logical, Part, StreamGroup};
use crate::model::RedisKey;
use crate::source::redis::entries::GroupsHasher;
use bytes::Bytes;

/// A block, and a part of a stream in it that has a group and nothing else.
fn part() -> (Bytes, Entry) {
    let block = Bytes::from(vec![b'g'; 1 << 20]);
    let group = StreamGroup {
        name: block.slice(5..7),
        last_id: "1-1".to_owned(),
        entries_read: Some(1),
        consumers: vec![block.slice(7..9)],
        pending: Vec::new(),
    };
    let entry = Entry {
        database: 0,
        key: RedisKey::new("k"),
        type_name: "stream".into(),
        expires_at: None,
        part: Part { number: 1, last: false },
        dump: None,
        logical: Some(Logical::Stream { entries: Bytes::new(), facts: None, groups: vec![group] }),
    };
    (block, entry)
}

fn groups(entry: &Entry) -> &[StreamGroup] {
    match &entry.logical {
        Some(Logical::Stream { groups, .. }) => groups,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stream_that_is_built_keeps_no_block() {
    let (block, entry) = part();
    let mut build = StreamBuild::new(Some((7, 0)), Awaited::of(&entry));
    let commands = build.commands(&"n".into(), (&Bytes::new(), None, groups(&entry)), entry.part);
    assert_eq!(commands.len(), 2);
    assert!(!block.is_unique());
    drop((entry, commands));
    assert!(block.is_unique());
    drop(build);
}

#[test]
fn a_stream_that_is_compared_keeps_no_block() {
    let (block, entry) = part();
    let print = Fingerprint::of(&entry, 0);
    let mut hasher = GroupsHasher::new();
    groups(&entry).iter().for_each(|group| hasher.update(group));
    drop(entry);
    assert!(block.is_unique());
    drop((print, hasher));
}
