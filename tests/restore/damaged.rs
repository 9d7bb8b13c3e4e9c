//! Files that were cut short or changed, and what can be had of them.

use crate::Place;
use crate::data::{self, Random};
use crate::redis::{Held, held};
use redis2pg::backup::{Found, Reader};
use std::collections::BTreeMap;
use std::fs;

/// A place with a backup of many keys, some of them in parts; what it held, and the file.
fn backed_up(random: &mut Random) -> (Place, BTreeMap<Vec<u8>, Held>, Vec<u8>) {
    let place = Place::new();
    let mut redis = place.redis();
    data::fill(&mut redis, random, 1_200);
    for number in 0..3 {
        let value: Vec<u8> = (0..3 << 20).map(|_| random.next() as u8).collect();
        redis.ok(&[b"SET", format!("large:{number}").as_bytes(), &value]);
    }
    let before = held(&mut redis);
    place.backup();
    let bytes = fs::read(place.file()).unwrap();
    redis.say("FLUSHDB");
    (place, before, bytes)
}

#[test]
fn a_damaged_file_restores_nothing_and_salvage_restores_what_is_whole() {
    let mut random = Random::new(data::seed());
    let (place, before, bytes) = backed_up(&mut random);
    let mut redis = place.redis();
    let mut salvaged = Vec::new();
    for round in 0..12 {
        let at = random.below(bytes.len() as u64) as usize;
        let mut damaged = bytes.clone();
        match round % 3 {
            0 => damaged.truncate(at),
            1 => damaged[at] ^= 1 << random.below(8),
            _ => drop(damaged.drain(at..(at + 1 + random.below(5_000) as usize).min(bytes.len()))),
        }
        if damaged.len() < 20 {
            continue;
        }
        fs::write(place.file(), &damaged).unwrap();
        let refused = place.restore(&[]).exits(2);
        assert!(refused.stderr.contains("byte"), "round {round} at {at}: {}", refused.stderr);
        assert_eq!(redis.say("DBSIZE").int(), 0, "round {round} at {at}: something was written");
        place.list(&[]).exits(2);
        let done = place.restore(&["--salvage"]);
        if at < 20 && done.code == 2 {
            // Nothing says that it is a backup any more.
            continue;
        }
        let done = done.exits(3);
        let damage = done.json["damage"].as_array().unwrap();
        assert!(damage[0].as_str().unwrap().contains("byte"), "{}", done.stdout);
        let now = held(&mut redis);
        assert_eq!(done.count("restored"), now.len() as u64, "round {round} at {at}: {}", done.stdout);
        for (key, held) in &now {
            assert!(before[key] == *held, "round {round} at {at}: {}", String::from_utf8_lossy(key));
        }
        salvaged.push(now.len());
        redis.say("FLUSHDB");
    }
    // A flipped bit costs a block of many; some of the rounds must have saved some.
    assert!(salvaged.iter().any(|keys| *keys > 100), "{salvaged:?}");
}

#[test]
fn a_key_of_which_parts_are_missing_is_not_restored_and_counted() {
    let mut random = Random::new(data::seed());
    let (place, before, bytes) = backed_up(&mut random);
    // In the block of a part that has one to itself.
    let mut reader = Reader::open(&place.file()).unwrap();
    let at = loop {
        match reader.read().unwrap().unwrap() {
            Found::Entry { offset, entry } if entry.part.number == 1 => break offset as usize + 1_000,
            _ => {}
        }
    };
    let mut damaged = bytes.clone();
    damaged[at] ^= 0x10;
    fs::write(place.file(), &damaged).unwrap();
    let done = place.restore(&["--salvage"]).exits(3);
    assert_eq!(done.reason("failed", "damaged"), 1, "{}", done.stdout);
    let now = held(&mut place.redis());
    assert_eq!((done.count("restored"), done.count("matched")), (now.len() as u64, now.len() as u64 + 1));
    let large = |held: &BTreeMap<Vec<u8>, Held>| held.keys().filter(|key| key.starts_with(b"large:")).count();
    assert_eq!((large(&before), large(&now)), (3, 2));
    assert!(now.iter().all(|(key, held)| before[key] == *held), "something is left of what was being built");
}

#[test]
fn list_tells_what_is_in_a_file_and_needs_no_redis() {
    let place = Place::new();
    let mut redis = place.redis();
    ["a", "b"].iter().for_each(|key| drop(redis.say(&format!("SET {key} v"))));
    redis.say("RPUSH list v");
    redis.ok(&[b"SET", b"\xff\x1b", b"v", b"PX", b"100000000"]);
    place.backup();
    let number = place.url.rsplit_once('/').unwrap().1.to_owned();
    let listed = place.list(&[]).exits(0);
    let keys = &listed.json["keys"][&number];
    assert_eq!((keys["string"].as_u64(), keys["list"].as_u64()), (Some(3), Some(1)), "{}", listed.stdout);
    assert!(listed.json["header"]["redis_version"].is_string() && listed.json["entries"].is_null());
    let listed = place.list(&["--keys", "*"]).exits(0);
    let entries = listed.json["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 4, "{}", listed.stdout);
    assert!(
        entries.iter().any(|entry| entry["key_hex"] == "ff1b" && entry["expires_at"].is_i64()),
        "{}",
        listed.stdout
    );
    let file = place.file();
    let text = place.run(&["restore", "--list", "--file", file.to_str().unwrap(), "--keys", "*"]).exits(0);
    assert!(text.stdout.contains("string\t-\ta\n") && text.stdout.contains(r"\xff\x1b"), "{}", text.stdout);
    assert!(text.stdout.contains("4 keys in all"), "{}", text.stdout);
}

#[test]
fn what_is_no_backup_is_told_so() {
    let place = Place::new();
    fs::write(place.file(), "something else\n".repeat(100)).unwrap();
    for args in [&[][..], &["--salvage"]] {
        let refused = place.restore(args).exits(2);
        assert!(refused.stderr.contains("is no backup"), "{}", refused.stderr);
    }
    fs::remove_file(place.file()).unwrap();
    place.restore(&[]).exits(2);
}
