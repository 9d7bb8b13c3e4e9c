//! Values that are read in parts: bounded memory, and all of one moment.

use crate::support::{Case, asked, noting};
use crate::{backup, case, command, restore};
use redis2pg::backup::{Entry, Logical};
use redis2pg::model::{Items, sha256_hex};
use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

const FILL: &str = "for i = tonumber(ARGV[3]), tonumber(ARGV[1]) do redis.call(ARGV[2], KEYS[1], unpack(\
    ARGV[2] == 'HSET' and {'field:' .. i, string.rep(tostring(i % 10), 100)} or \
    ARGV[2] == 'ZADD' and {i / 3, 'member:' .. i .. string.rep('x', 100)} or \
    ARGV[2] == 'XADD' and {i .. '-1', 'field', string.rep('y', 100)} or {'item:' .. i .. string.rep('z', 100)})) end return 'done'";

/// Makes a collection of so many items of a hundred bytes. Piece by piece: the server is not to be busy for seconds.
fn make(redis: &mut crate::support::Client, key: &str, with: &str, count: usize) {
    for from in (1..=count).step_by(5_000) {
        let (from, to) = (from.to_string(), count.min(from + 4_999).to_string());
        let args = [to.as_bytes(), with.as_bytes(), from.as_bytes()];
        let words = [&[&b"EVAL"[..], FILL.as_bytes(), b"1", key.as_bytes()], &args[..]].concat();
        assert_eq!(redis.answer(&words), "done");
    }
}

/// An entry of a stream is one item to Redis, however many fields it has.
#[test]
fn a_slice_of_a_stream_is_no_larger_for_its_fields() {
    // Each has 6,400 bytes.
    const FILL: &str = "for i = 1, 1200 do local fields = {} for f = 1, 500 do fields[2 * f - 1] = 'f' .. f \
        fields[2 * f] = 'v' end redis.call('XADD', KEYS[1], i .. '-1', unpack(fields)) end return 'done'";
    let server = noting();
    let case = Case::with_ends(&format!("{}/0", server.url()), "");
    let mut redis = case.redis();
    assert_eq!(redis.answer(&[b"EVAL", FILL.as_bytes(), b"1", b"stream"]), "done");
    assert_eq!(items(&backup(&case, &[]).exits(0).entries()[&(0, "stream".to_owned())]).len(), 1_200 * 1_002);
    let asked = asked(&mut redis, "XRANGE");
    let counts: Vec<usize> = asked.iter().map(|words| words[5].parse().unwrap()).collect();
    assert!(counts.len() > 7 && counts.iter().all(|count| count * 6_400 < 600 << 10), "{counts:?}");
    // A slice is not made of a few of them either.
    assert!(counts.len() < 30 && counts.last().is_some_and(|count| count * 6_400 > 400 << 10), "{counts:?}");
}

/// What a list begins with says little of what is behind it.
#[test]
fn short_items_in_front_of_long_ones_make_no_answer_of_all_the_long_ones() {
    const FILL: &str = "for i = 1, 64 do redis.call('RPUSH', KEYS[1], string.rep('s', 10)) end \
        for i = 1, 400 do redis.call('RPUSH', KEYS[1], string.rep('l', 100000)) end return 'done'";
    let server = noting();
    let case = Case::with_ends(&format!("{}/0", server.url()), "");
    let mut redis = case.redis();
    assert_eq!(redis.answer(&[b"EVAL", FILL.as_bytes(), b"1", b"list"]), "done");
    assert_eq!(items(&backup(&case, &[]).exits(0).entries()[&(0, "list".to_owned())]).len(), 464);
    let asked = asked(&mut redis, "LRANGE");
    let place = |words: &[String], at: usize| words[at].parse::<usize>().unwrap();
    let counts: Vec<usize> = asked.iter().map(|words| place(words, 3) + 1 - place(words, 2)).collect();
    assert!(counts[0] <= 64 && counts.windows(2).all(|two| two[1] <= 4 * two[0]), "{counts:?}");
    // Of the long ones there are 40 MB.
    let long = |words: &Vec<String>| (place(words, 2).max(64)..(place(words, 3) + 1).min(464)).count();
    assert!(asked.iter().all(|words| long(words) * 100_000 < 12_000_000), "{asked:?}");
}

fn items(parts: &[Entry]) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    for part in parts {
        let packed = match part.logical.as_ref().unwrap() {
            Logical::Items(items) | Logical::Hash { items, .. } => items,
            Logical::Stream { entries, .. } => entries,
            Logical::Bytes(_) => panic!("a string"),
        };
        items.extend(Items::of(packed).map(<[u8]>::to_vec));
    }
    items
}

fn by_name(items: &[Vec<u8>]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

#[test]
fn collections_of_some_megabytes_have_a_dump_and_larger_ones_none() {
    let case = case();
    let mut redis = case.redis();
    for (count, dumped) in [(15_000, true), (180_000, false)] {
        redis.say("FLUSHDB");
        for (key, with) in [("hash", "HSET"), ("zset", "ZADD"), ("list", "RPUSH"), ("set", "SADD"), ("stream", "XADD")]
        {
            make(&mut redis, key, with, count);
        }
        let done = backup(&case, &[]).exits(0);
        assert_eq!(done.count("kept"), 5);
        let entries = done.entries();
        let parts = |key: &str| entries.iter().find(|((_, name), _)| name == key).unwrap().1.as_slice();
        for key in ["hash", "zset", "list", "set"] {
            assert_eq!(parts(key)[0].dump.is_some(), dumped, "{key} {count}");
            assert_eq!(parts(key).len() == 1, dumped, "{key} {count}: only what has a dump comes whole");
            assert!(dumped || parts(key).iter().all(|part| part.bytes() < 2 << 20), "{key}");
        }
        let hash = by_name(&items(parts("hash")));
        assert_eq!((hash.len(), &hash[&b"field:77"[..]]), (count, &b"7".repeat(100)));
        let zset = by_name(&items(parts("zset")));
        let member = format!("member:100{}", "x".repeat(100));
        let score = redis.answer(&[b"ZSCORE", b"zset", member.as_bytes()]);
        assert_eq!((zset.len(), zset[member.as_bytes()].as_slice()), (count, score.as_bytes()));
        let list = items(parts("list"));
        let item = |n: usize| format!("item:{n}{}", "z".repeat(100)).into_bytes();
        assert!(list.len() == count && list.iter().enumerate().all(|(n, found)| *found == item(n + 1)));
        assert_eq!(items(parts("set")).len(), count);
        let stream = items(parts("stream"));
        assert_eq!((stream.len(), stream[4].as_slice()), (count * 4, &b"2-1"[..]));
        let facts = parts("stream").iter().filter_map(|part| match &part.logical {
            Some(Logical::Stream { facts, .. }) => facts.clone(),
            _ => None,
        });
        let facts: Vec<_> = facts.collect();
        assert_eq!(facts.len(), 1);
        assert_eq!((facts[0].last_id.clone(), facts[0].entries_added), (format!("{count}-1"), Some(count as u64)));
        if dumped {
            restore(&mut redis, "again", parts("hash")[0].dump.as_ref().unwrap());
            assert_eq!(redis.integer(&[b"HLEN", b"again"]), i64::try_from(count).unwrap());
        }
    }
}

#[test]
fn a_large_stream_has_all_that_is_pending_in_its_groups() {
    let case = case();
    let mut redis = case.redis();
    make(&mut redis, "stream", "XADD", 130_000);
    for group in ["one", "two"] {
        redis.say(&format!("XGROUP CREATE stream {group} 0"));
    }
    redis.say("XGROUP CREATECONSUMER stream two idle");
    const READ: &str =
        "redis.call('XREADGROUP', 'GROUP', 'one', 'busy', 'COUNT', ARGV[1], 'STREAMS', KEYS[1], '>') return 'read'";
    assert_eq!(redis.answer(&[b"EVAL", READ.as_bytes(), b"1", b"stream", b"12345"]), "read");
    let done = backup(&case, &[]).exits(0);
    let (mut pending, mut consumers, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for part in done.entries().into_values().flatten() {
        let Some(Logical::Stream { groups: some, .. }) = part.logical else { panic!("{:?}", part.part) };
        for group in some {
            groups.push((group.name.clone(), group.last_id.clone()));
            consumers.extend(group.consumers.into_iter().map(|consumer| (group.name.clone(), consumer)));
            pending.extend(group.pending.into_iter().map(|one| (group.name.clone(), one.id, one.deliveries)));
        }
    }
    assert_eq!(pending.len(), 12_345);
    assert!(pending.iter().enumerate().all(|(n, one)| *one == ("one".into(), format!("{}-1", n + 1), 1)));
    consumers.sort();
    assert_eq!(consumers, [("one".into(), "busy".into()), ("two".into(), "idle".into())]);
    groups.dedup();
    assert_eq!(groups, [("one".into(), "12345-1".to_owned()), ("two".into(), "0-0".to_owned())]);
}

#[test]
fn a_large_string_comes_back_byte_for_byte() {
    let case = case();
    let mut redis = case.redis();
    for (key, size) in [("even", 8 << 20), ("odd", (8 << 20) + 1)] {
        redis.integer(&[b"SETRANGE", key.as_bytes(), (size - 1).to_string().as_bytes(), b"\xff"]);
        redis.integer(&[b"SETRANGE", key.as_bytes(), b"5000000", b"\r\n\0marked"]);
    }
    redis.set("small", "1");
    let done = backup(&case, &["--memory", "8MiB"]).exits(0);
    for key in ["even", "odd"] {
        let parts: Vec<Entry> =
            done.entries().into_iter().filter(|((_, name), _)| name == key).flat_map(|(_, parts)| parts).collect();
        let bytes = parts.iter().map(|part| match &part.logical {
            Some(Logical::Bytes(bytes)) => bytes.as_ref(),
            other => panic!("{other:?}"),
        });
        let bytes = bytes.collect::<Vec<_>>().concat();
        assert!(parts.len() > 7, "{}", parts.len());
        assert_eq!(sha256_hex(&bytes), sha256_hex(&redis.bytes(&[b"GET", key.as_bytes()])));
    }
}

/// The first large value among many small ones is not read with them.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_values_or_their_number() {
    let case = case();
    let mut redis = case.redis();
    crate::fill(&mut redis, 20_000);
    redis.integer(&[b"SETRANGE", b"large", b"199999999", b"x"]);
    make(&mut redis, "hash", "HSET", 400_000);
    let dir = tempfile::tempdir().unwrap();
    let mut run = command(&case, &dir.path().join("b"), &["--memory", "16MiB"]);
    let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = mark.and_then(|mark| mark.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!((1..100 << 10).contains(&peak), "{peak} KiB at most");
}
