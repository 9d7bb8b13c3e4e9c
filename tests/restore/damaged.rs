//! Files that were cut short or changed, and what can be had of them.

use crate::Place;
use crate::data;
use crate::made::{entry, made_with};
use crate::redis::{Held, held};
use crate::support::{Ended, Random, seed};
use redis2pg::backup::{Found, Header, Reader};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

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
    let mut random = Random(seed());
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
        if damaged.len() < 24 {
            continue;
        }
        fs::write(place.file(), &damaged).unwrap();
        let refused = place.restore(&[]).exits(2);
        assert!(refused.stderr.contains("byte"), "round {round} at {at}: {}", refused.stderr);
        assert_eq!(redis.say("DBSIZE").int(), 0, "round {round} at {at}: something was written");
        place.list(&[]).exits(2);
        let done = place.restore(&["--salvage"]).exits(3);
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
    let mut random = Random(seed());
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
fn a_version_that_is_damaged_is_not_taken_for_a_newer_one() {
    let place = Place::new();
    let mut redis = place.redis();
    redis.say("SET a 1");
    place.backup();
    let bytes = fs::read(place.file()).unwrap();
    redis.say("FLUSHDB");
    for at in [0, 16, 17, 19, 22] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(place.file(), &damaged).unwrap();
        let refused = place.restore(&[]).exits(2);
        assert!(refused.stderr.contains("is damaged at byte 0"), "byte {at}: {}", refused.stderr);
        assert!(!refused.stderr.contains("version"), "byte {at}: {}", refused.stderr);
        let salvaged = place.restore(&["--salvage"]).exits(3);
        assert_eq!(salvaged.count("restored"), 1, "byte {at}: {}", salvaged.stdout);
        redis.say("FLUSHDB");
    }
    // One that is newer says so, with a checksum that is right.
    let mut newer = bytes.clone();
    newer[19] = 2;
    let mut crc = flate2::Crc::new();
    crc.update(&newer[..20]);
    newer[20..24].copy_from_slice(&crc.sum().to_be_bytes());
    fs::write(place.file(), &newer).unwrap();
    for args in [&[][..], &["--salvage"]] {
        let refused = place.restore(args).exits(2);
        assert!(refused.stderr.contains("version 2 is not known"), "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("Use the version of redis2pg that wrote it"), "{args:?}: {}", refused.stderr);
    }
}

#[test]
fn what_is_no_backup_is_told_so() {
    let place = Place::new();
    fs::write(place.file(), "something else\n".repeat(100)).unwrap();
    for args in [&[][..], &["--salvage"]] {
        let refused = place.restore(args).exits(2);
        assert!(refused.stderr.contains("is no backup"), "{}", refused.stderr);
    }
    fs::write(place.file(), "").unwrap();
    assert!(place.restore(&["--salvage"]).exits(2).stderr.contains("it is empty"));
    fs::remove_file(place.file()).unwrap();
    place.restore(&[]).exits(2);
    // A pipe would be waited for.
    assert!(Command::new("mkfifo").arg(place.file()).status().unwrap().success());
    for other in [place.file().as_path(), Path::new("/dev/null"), place.dir.path()] {
        let args = ["restore", "--list", "--file", other.to_str().unwrap()];
        let mut child = place.command(&args).spawn().unwrap();
        let began = Instant::now();
        while child.try_wait().unwrap().is_none() && began.elapsed() < Duration::from_secs(20) {
            sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let refused = Ended::of(&child.wait_with_output().unwrap()).exits(2);
        assert!(refused.stderr.contains("is no file"), "{}: {}", other.display(), refused.stderr);
    }
}

#[test]
fn a_document_of_a_listing_is_whole_or_not_there() {
    let place = Place::new();
    ["a", "b"].iter().for_each(|key| drop(place.redis().say(&format!("SET {key} v"))));
    place.backup();
    assert_eq!(place.list(&["--keys", "c*"]).exits(0).json["entries"], serde_json::json!([]));
    // Both keys can be read before what is missing is met.
    let bytes = fs::read(place.file()).unwrap();
    fs::write(place.file(), &bytes[..bytes.len() - 1]).unwrap();
    let refused = place.list(&["--keys", "*"]).exits(2);
    assert!(refused.stdout.is_empty() && refused.stderr.contains("byte"), "{} {}", refused.stdout, refused.stderr);
    let salvaged = place.list(&["--keys", "*", "--salvage"]).exits(3);
    assert_eq!(salvaged.json["entries"].as_array().map(Vec::len), Some(2), "{}", salvaged.stdout);
}

#[test]
fn what_a_file_says_of_itself_makes_no_line_of_its_own() {
    let place = Place::new();
    let forged = "x\n1000 keys in all\r\nforged";
    let header = Header { pattern: Some(forged.to_owned()), ..Header::new("backup", forged, forged) };
    let odd = entry("key", "a\nforged", Some(b"dump"), None);
    made_with(&place, header, &[odd]);
    let file = place.file();
    let text = place.run(&["restore", "--list", "--file", file.to_str().unwrap(), "--keys", "*"]).exits(0).stdout;
    let own = |line: &str| line.trim_start().starts_with("forged") || line.starts_with("1000");
    assert!(!text.lines().any(own), "{text}");
    assert!(text.contains("1 keys in all"), "{text}");
}

#[test]
fn a_listing_as_json_shows_no_secret_and_no_control_character_of_a_file() {
    let place = Place::new();
    let forged = "redis://user:hunter2@host:6379/0 \u{1b}[2J\u{9b}31m";
    let header = Header {
        pattern: Some(forged.to_owned()),
        flavour: Some(forged.to_owned()),
        redis_version: Some(forged.to_owned()),
        ..Header::new(forged, forged, forged)
    };
    made_with(&place, header, &[entry("key", "type\u{9b}31m", Some(b"dump"), None)]);
    let listed = place.list(&["--keys", "*"]).exits(0);
    let shown = "redis://user:***@host:6379/0 \\u{1b}[2J\\u{9b}31m";
    for name in ["source", "command", "created_at", "pattern", "flavour", "redis_version"] {
        assert_eq!(listed.json["header"][name], shown, "{name}");
    }
    assert_eq!((listed.count("total"), &listed.json["entries"][0]["type"]), (1, &"type\\u{9b}31m".into()));
    let restored = place.restore(&["--dry-run"]);
    for (what, text) in [("listed", &listed.stdout), ("restored", &restored.stdout)] {
        assert!(!text.contains("hunter2"), "{what}: {text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{what}: {text}");
        assert!(!text.contains("\\u001b"), "{what}: {text}");
    }
}

/// A block of so many bytes is made room for only where it comes to that: here the process may not have them.
#[test]
fn a_length_that_is_a_lie_takes_no_memory() {
    const CLAIMED: u32 = 1000 << 20;
    let (place, mut random) = (Place::new(), Random(seed()));
    let item: Vec<u8> = (0..5 << 20).map(|_| random.next() as u8).collect();
    place.redis().ok(&[b"RPUSH", b"list", &item]);
    place.backup();
    let mut bytes = fs::read(place.file()).unwrap();
    // The head of the block: it is said to be compressed, and of another length.
    let is_block =
        |place: &usize| bytes[*place..].starts_with(b"\xf7R2FB") && bytes[place + 24..][..4] > [0, 16, 0, 0][..];
    let at = (0..bytes.len() - 36).find(is_block).unwrap();
    bytes[at + 5] = 1;
    bytes[at + 24..at + 28].copy_from_slice(&CLAIMED.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[at..at + 32]);
    bytes[at + 32..at + 36].copy_from_slice(&crc.sum().to_be_bytes());
    fs::write(place.file(), &bytes).unwrap();
    let command = place.command(&["restore", "--list", "--file", place.file().to_str().unwrap()]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 900000; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    limited.stdin(std::process::Stdio::null());
    let refused = Ended::of(&limited.output().unwrap()).exits(2);
    assert!(refused.stderr.contains("a block cannot be unpacked"), "{}", refused.stderr);
}

/// Nothing but the header is left: the damage is told, and not that nobody asked for a key.
#[test]
fn a_file_without_a_whole_key_tells_its_damage() {
    let (place, _, bytes) = backed_up(&mut Random(seed()));
    let mut reader = Reader::open(&place.file()).unwrap();
    let first = loop {
        if let Found::Entry { offset, .. } = reader.read().unwrap().unwrap() {
            break offset as usize;
        }
    };
    fs::write(place.file(), &bytes[..first + 10]).unwrap();
    let done = place.restore(&["--salvage"]).exits(3);
    assert_eq!(done.count("restored"), 0, "{}", done.stdout);
    assert!(done.json["damage"][0].as_str().unwrap().contains("byte"), "{}", done.stdout);
}
