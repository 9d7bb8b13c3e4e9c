//! Streams by their logical form: all that XINFO STREAM … FULL tells comes back, but for what docs/restore.md names.

use crate::Place;
use crate::redis::{Redis, Reply};
use std::collections::BTreeMap;

/// What XINFO tells of a stream, but for how the server keeps it and when a consumer was seen last; and apart from that when
/// each pending entry was delivered.
fn told(redis: &mut Redis, key: &str) -> (BTreeMap<String, Reply>, Vec<i64>) {
    let info = redis.say(&format!("XINFO STREAM {key} FULL COUNT 0"));
    let (mut told, mut times) = (BTreeMap::new(), Vec::new());
    let mut put = |path: String, name: &str, value: &Reply| match name {
        "radix-tree-keys" | "radix-tree-nodes" | "groups" | "consumers" | "seen-time" | "active-time" => {}
        // Id and consumer, or id alone; time; deliveries.
        "pel" | "pending" => {
            let mut entries = Vec::new();
            for entry in value.list() {
                let [of @ .., time, deliveries] = entry.list() else { panic!("{entry:?}") };
                times.push(time.int());
                entries.push(Reply::Array([of, std::slice::from_ref(deliveries)].concat()));
            }
            told.insert(format!("{path} {name}"), Reply::Array(entries));
        }
        _ => drop(told.insert(format!("{path} {name}"), value.clone())),
    };
    let named = |reply: &Reply| String::from_utf8_lossy(reply.member("name").unwrap().bytes()).into_owned();
    for (name, value) in info.members() {
        put("stream".to_owned(), name, value);
    }
    for group in info.member("groups").unwrap().list() {
        let path = format!("group {}", named(group));
        group.members().for_each(|(name, value)| put(path.clone(), name, value));
        for consumer in group.member("consumers").unwrap().list() {
            let path = format!("{path} consumer {}", named(consumer));
            consumer.members().for_each(|(name, value)| put(path.clone(), name, value));
        }
    }
    (told, times)
}

/// A stream with values of so many bytes, and with groups of every kind: with what is pending, delivered several times, to a
/// consumer that has nothing, and pending without a message.
fn fill(redis: &mut Redis, bytes: usize) {
    redis.say("DEL s");
    for n in 1..=20 {
        redis.ok(&[b"XADD", b"s", format!("{n}-1").as_bytes(), b"f", &vec![b'v'; bytes]]);
    }
    for command in [
        "XGROUP CREATE s work 0",
        "XREADGROUP GROUP work ann COUNT 5 STREAMS s >",
        "XACK s work 1-1 2-1",
        "XREADGROUP GROUP work bob COUNT 3 STREAMS s >",
        "XGROUP CREATECONSUMER s work idle",
        "XCLAIM s work bob 0 3-1 TIME 1600000000123 RETRYCOUNT 7 JUSTID",
        "XGROUP CREATE s told 10-1 ENTRIESREAD 10",
        "XGROUP CREATE s untold 5-1",
        "XGROUP CREATE s end $",
        "XGROUP CREATE s late 17-1",
        "XREADGROUP GROUP late ann STREAMS s >",
        // Pending, and gone: in the middle, at the front, and the last of all.
        "XDEL s 4-1 20-1",
        "XTRIM s MINID 4-1",
        "XSETID s 99-1 ENTRIESADDED 50 MAXDELETEDID 20-1",
    ] {
        redis.say(command);
    }
}

#[test]
fn all_of_a_stream_comes_back_whatever_its_size_and_with_what_is_pending_without_a_message() {
    let place = Place::new();
    let mut redis = place.redis();
    // By commands at once, by commands in pieces, and so large that it has no dump.
    for bytes in [10, 50_000, 1_000_000] {
        fill(&mut redis, bytes);
        let (before, times) = told(&mut redis, "s");
        assert_eq!(times.len(), 2 * 9, "each is told of its group and of its consumer");
        let _ = std::fs::remove_file(place.file());
        place.backup();
        redis.say("FLUSHDB");
        let done = place.restore(&["--logical"]).exits(0);
        assert_eq!(done.count("restored"), 1);
        assert!(!done.stdout.contains("could not be made pending"), "{}", done.stdout);
        let (after, times_after) = told(&mut redis, "s");
        for (path, value) in &before {
            assert_eq!(after.get(path), Some(value), "{bytes}: {path}");
        }
        assert_eq!((after.len(), times_after.len()), (before.len(), times.len()), "{bytes}");
        // Of a large stream it is measured when something was delivered, not told.
        let tolerance: u64 = if bytes == 1_000_000 { 500 } else { 0 };
        let apart = times.iter().zip(&times_after).map(|(one, other)| one.abs_diff(*other)).max();
        assert!(apart <= Some(tolerance), "{bytes}: {apart:?} ms");
        // What comes next has no id that there was.
        assert_eq!(redis.say("XADD s 99-* f v").bytes(), b"99-2");
    }
}

/// By its entries and ids alone it is the same.
#[test]
fn a_stream_whose_group_has_read_another_number_of_entries_is_another() {
    let place = Place::new();
    let mut redis = place.redis();
    fill(&mut redis, 10);
    place.backup();
    assert_eq!(place.restore(&["--logical"]).exits(0).count("equal"), 1);
    redis.say("XGROUP SETID s told 10-1 ENTRIESREAD 4");
    let done = place.restore(&["--logical"]).exits(0);
    assert_eq!((done.count("equal"), done.reason("kept", "exists")), (0, 1), "{}", done.stdout);
    place.restore(&["--logical", "--replace", "--yes"]).exits(0);
    let group = redis.say("XINFO GROUPS s");
    let read = |group: &Reply| (group.member("name").unwrap().bytes().to_vec(), group.member("entries-read").cloned());
    assert!(group.list().iter().map(read).any(|one| one == (b"told".to_vec(), Some(Reply::Int(10)))), "{group:?}");
    assert_eq!(place.restore(&["--logical"]).exits(0).count("equal"), 1);
}
