//! A cache that is written to while it is backed up: each entry is of one moment.

use crate::support::until;
use crate::{backup, case, restore};
use redis2pg::backup::{Entry, Logical};
use redis2pg::model::Items;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Makes a key what it is to be, in one step.
const WRITE: &str = "local n, kind = ARGV[1], tonumber(ARGV[2]) local key = KEYS[1] \
    if kind == 0 then redis.call('HSET', key, 'a', n, 'b', n, 'c', n) \
    elseif kind == 1 then redis.call('DEL', key) redis.call('RPUSH', key, n, n, n, n) \
    elseif kind == 2 then redis.call('SET', key, n .. ' ' .. n) \
    elseif kind == 3 then redis.call('DEL', key) redis.call('ZADD', key, n, 'a', n, 'b') \
    elseif kind == 4 then redis.call('DEL', key) redis.call('XADD', key, '*', 'a', n, 'b', n) redis.call('XADD', key, '*', 'a', n) \
    else for i = 1, 15000 do redis.call('HSET', key, 'field:' .. i, string.rep(string.sub(n, -1), 90)) end end return 'ok'";

fn write(redis: &mut crate::support::Client, key: &str, number: u64, kind: u64) {
    let (number, kind) = (number.to_string(), kind.to_string());
    let words: [&[u8]; 6] = [b"EVAL", WRITE.as_bytes(), b"1", key.as_bytes(), number.as_bytes(), kind.as_bytes()];
    assert_eq!(redis.answer(&words), "ok");
}

/// Writes until it is told to end: every item of a key is the same number, and the number of a key changes all the time.
fn writer(mut redis: crate::support::Client, keys: u64) -> (Arc<AtomicBool>, JoinHandle<u64>) {
    let done = Arc::new(AtomicBool::new(false));
    let stop = done.clone();
    let writing = std::thread::spawn(move || {
        let mut number = 0_u64;
        while !stop.load(Ordering::Relaxed) || number < keys {
            number += 1;
            let kind = number % 5;
            let key = format!("live:{}:{}", kind, number % keys);
            if number.is_multiple_of(7) {
                redis.say(&format!("DEL {key}"));
            } else {
                write(&mut redis, &key, number, kind);
            }
            if number.is_multiple_of(400) {
                write(&mut redis, "large", number, 5);
            }
        }
        number
    });
    (done, writing)
}

/// The numbers that an entry holds: one, where it is of one moment.
fn numbers(entry: &Entry) -> BTreeSet<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match (&*entry.type_name, entry.logical.as_ref().unwrap()) {
        ("string", Logical::Bytes(bytes)) => text(bytes).split(' ').map(str::to_owned).collect(),
        ("hash", Logical::Hash { items, .. }) => Items::of(items).pairs().map(|(_, value)| text(value)).collect(),
        ("zset", Logical::Items(items)) => Items::of(items).pairs().map(|(_, score)| text(score)).collect(),
        ("list", Logical::Items(items)) => Items::of(items).map(text).collect(),
        ("stream", Logical::Stream { entries, .. }) => {
            let items: Vec<String> = Items::of(entries).map(text).collect();
            [&items[3], &items[5], &items[9]].into_iter().cloned().collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_entry_is_of_one_moment_and_so_is_its_dump() {
    let case = case();
    let (done, writing) = writer(case.redis(), 500);
    let mut redis = case.redis();
    // From the start there is something of each.
    until("there is some", || redis.integer(&[b"DBSIZE"]) >= 400 && redis.integer(&[b"EXISTS", b"large"]) == 1);
    let mut checked = 0;
    for _ in 0..5 {
        let backup = backup(&case, &[]);
        assert!(backup.code == 0 || backup.code == 3, "{}", backup.stderr);
        let unreadable = backup.json["unreadable"].as_object().unwrap();
        assert!(unreadable.keys().all(|reason| reason == "changed_while_read"), "{unreadable:?}");
        assert_eq!(backup.count("listed"), backup.count("kept") + backup.count("gone") + u64::from(backup.code == 3));
        for ((_, key), parts) in backup.entries() {
            let [entry] = parts.as_slice() else { panic!("{key}: {} parts", parts.len()) };
            let found = numbers(entry);
            assert_eq!(found.len(), 1, "{key}: {found:?}");
            checked += 1;
            // By the server itself: what the dump holds is what the items are.
            if let (Some(dump), true) = (&entry.dump, checked % 10 == 0 || key == "large") {
                let other = format!("restored:{key}");
                restore(&mut redis, &other, dump);
                let own = match &*entry.type_name {
                    "hash" if key == "large" => redis.say(&format!("HGET {other} field:7777")),
                    "hash" => redis.say(&format!("HGET {other} b")),
                    "list" => redis.say(&format!("LINDEX {other} -1")),
                    "zset" => redis.say(&format!("ZSCORE {other} b")),
                    _ => found.first().unwrap().clone(),
                };
                assert_eq!(found.first(), Some(&own), "{key}");
                redis.say(&format!("DEL {other}"));
            }
        }
    }
    done.store(true, Ordering::Relaxed);
    let written = writing.join().unwrap();
    assert!(checked > 500 && written > 500, "{checked} checked, {written} written");
}

#[test]
fn a_large_key_that_changes_while_it_is_read_is_of_one_moment_or_left_out() {
    let case = case();
    let mut redis = case.redis();
    write(&mut redis, "large", 0, 5);
    let done = Arc::new(AtomicBool::new(false));
    let stop = done.clone();
    let writing = std::thread::spawn(move || {
        for number in 1.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            write(&mut redis, "large", number, 5);
            // Now and then there is time enough to read it, and mostly not.
            std::thread::sleep(Duration::from_millis(if number.is_multiple_of(4) { 1_500 } else { 20 }));
        }
    });
    let mut kept = 0;
    // On a busy machine the time is not enough every time.
    for round in 1.. {
        if round > 8 && (kept > 0 || round > 40) {
            break;
        }
        let backup = backup(&case, &[]);
        assert!(backup.code == 0 || backup.code == 3, "{}", backup.stderr);
        for entry in backup.entries().into_values().flatten() {
            assert_eq!(numbers(&entry).len(), 1, "{:?}", numbers(&entry));
            kept += 1;
        }
    }
    done.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    assert!(kept > 0, "it could never be read");
}

/// Makes a stream that is read in parts, whose groups take far longer to read than its entries.
const GROUPS: &str = "redis.call('DEL', KEYS[1]) for i = 1, 12 do redis.call('XADD', KEYS[1], i .. '-1', 'a', string.rep('x', 100000)) end \
    for i = 1, 600 do redis.call('XGROUP', 'CREATE', KEYS[1], 'group:' .. i, '0') end return 'ok'";

#[test]
fn a_stream_that_goes_while_its_groups_are_read_ends_no_backup() {
    let case = case();
    let mut redis = case.redis();
    let make = |redis: &mut crate::support::Client| {
        assert_eq!(redis.answer(&[b"EVAL", GROUPS.as_bytes(), b"1", b"stream"]), "ok");
    };
    make(&mut redis);
    redis.set("other", "1");
    let done = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let _end = crate::support::EndOnDrop(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(15));
                redis.say("XGROUP DESTROY stream group:600");
                redis.say("DEL stream");
                make(&mut redis);
            }
        });
        for _ in 0..15 {
            let backup = backup(&case, &[]);
            assert!(backup.code == 0 || backup.code == 3, "{}", backup.stderr);
            assert_eq!(
                backup.count("listed"),
                backup.count("kept") + backup.count("gone") + u64::from(backup.code == 3)
            );
        }
    });
}

/// Gives all keys one value that never expires, or another one that does, in one step.
const TURN: &str = "for i = 1, 3000 do local key = ARGV[2] .. i if ARGV[1] == 'stays' then redis.call('SET', key, 'stays') \
    else redis.call('SET', key, 'expires', 'EX', 1000) end end return 'ok'";

#[test]
fn a_value_is_never_kept_with_the_time_of_another() {
    let case = case();
    let name = format!("{}:", "a-name-that-is-long".repeat(4));
    let turn = |redis: &mut crate::support::Client, value: &str| {
        let words: [&[u8]; 5] = [b"EVAL", TURN.as_bytes(), b"0", value.as_bytes(), name.as_bytes()];
        assert_eq!(redis.answer(&words), "ok");
    };
    let mut redis = case.redis();
    turn(&mut redis, "stays");
    let done = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let _end = crate::support::EndOnDrop(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                ["expires", "stays"].iter().for_each(|value| turn(&mut redis, value));
            }
        });
        for _ in 0..12 {
            let backup = backup(&case, &[]).exits(0);
            assert_eq!(backup.count("kept"), 3_000);
            for ((_, key), parts) in backup.entries() {
                let [Entry { logical: Some(Logical::Bytes(value)), expires_at, .. }] = parts.as_slice() else {
                    panic!("{key}: {parts:?}")
                };
                assert_eq!(expires_at.is_some(), &**value == b"expires", "{key}: {expires_at:?}");
            }
        }
    });
}
