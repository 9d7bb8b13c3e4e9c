//! Keys that are there already, and such as have expired.

use crate::Place;
use crate::data;
use crate::redis::{assert_same, held, held_by};
use crate::support::{Random, seed, until, while_they_live};

#[test]
fn a_key_that_is_there_is_never_written_over_unless_that_is_asked_for() {
    let place = Place::new();
    let mut redis = place.redis();
    data::fill(&mut redis, &mut Random(seed()), 240);
    let backed_up = held(&mut redis);
    place.backup();
    // Of each ten one has gone, one has another type, one another value, and one another time.
    for (number, key) in backed_up.keys().enumerate() {
        match number % 10 {
            0 => drop(redis.ok(&[b"DEL", key])),
            1 => {
                redis.ok(&[b"DEL", key]);
                redis.ok(&[b"RPUSH", key, b"somebody else's"]);
            }
            2 => drop(redis.ok(&[b"SET", key, b"somebody else's"])),
            3 => drop(redis.ok(&[b"PEXPIRE", key, b"500000000"])),
            _ => {}
        }
    }
    let before = held(&mut redis);
    let counted = |remainder: usize| (0..backed_up.len()).filter(|number| number % 10 == remainder).count() as u64;
    let others = counted(1) + counted(2) + counted(3);
    for args in [&["--dry-run"][..], &[], &["--logical"]] {
        let done = place.restore(args).exits(0);
        let gone = if args == ["--logical"] { 0 } else { counted(0) };
        assert_eq!((done.count("restored"), done.reason("kept", "exists")), (gone, others), "{args:?} {}", done.stdout);
        let mut wanted = before.clone();
        if args != ["--dry-run"] {
            let gone = backed_up.iter().enumerate().filter(|(number, _)| number % 10 == 0);
            wanted.extend(gone.map(|(_, (key, held))| (key.clone(), held.clone())));
        }
        assert_same(&held(&mut redis), &wanted);
    }
    // Without a terminal it must be said twice.
    let refused = place.restore(&["--replace"]).exits(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    let planned = place.restore(&["--replace", "--dry-run"]).exits(0);
    assert_eq!((planned.count("replaced"), planned.json["state"].as_str()), (others, Some("planned")));
    let replaced = place.restore(&["--replace", "--yes"]).exits(0);
    assert_eq!((replaced.count("replaced"), replaced.count("restored")), (others, 0));
    assert_same(&held(&mut redis), &backed_up);
}

#[test]
fn large_values_and_those_made_by_commands_are_replaced_as_a_whole() {
    let place = Place::new();
    let mut redis = place.redis();
    let value = vec![b'x'; 20 << 20];
    redis.ok(&[b"SET", b"large", &value]);
    redis.say("RPUSH list a b c");
    redis.say("PEXPIRE list 100000000");
    let backed_up = held(&mut redis);
    place.backup();
    redis.say("SET large other");
    redis.say("RPUSH list d");
    let kept = place.restore(&["--logical"]).exits(0);
    assert_eq!(kept.reason("kept", "exists"), 2);
    assert_eq!(redis.say("GET large").bytes(), b"other");
    let replaced = place.restore(&["--logical", "--replace", "--yes"]).exits(0);
    assert_eq!(replaced.count("replaced"), 2);
    assert_same(&held(&mut redis), &backed_up);
}

#[test]
fn what_has_expired_since_is_left_out_and_counted() {
    let place = Place::new();
    let mut redis = place.redis();
    while_they_live(1500, |life| {
        let _ = std::fs::remove_file(place.file());
        for key in ["string", "list", "stays"] {
            redis.say(&format!("DEL {key}"));
            let command = if key == "list" { "RPUSH" } else { "SET" };
            redis.say(&format!("{command} {key} v"));
        }
        redis.ok(&[b"SET", b"large", &vec![b'x'; 3 << 20]]);
        for key in ["string", "list", "large"] {
            redis.say(&format!("PEXPIRE {key} {life}"));
        }
        place.backup();
        (redis.say("EXISTS string list large").int() == 3).then_some(())
    });
    until("they expire", || redis.say("EXISTS string list large").int() == 0);
    redis.say("FLUSHDB");
    let done = place.restore(&[]).exits(0);
    assert_eq!((done.count("restored"), done.reason("kept", "expired")), (1, 3), "{}", done.stdout);
    assert_eq!(redis.keys(), [b"stays"]);
    let left = done.json["left"].as_array().unwrap();
    assert!(left.iter().any(|left| left["key"] == "large" && left["reason"] == "expired"), "{}", done.stdout);
}

#[test]
fn only_keys_of_a_pattern_are_restored_and_one_that_takes_none_is_an_error() {
    let place = Place::new();
    let mut redis = place.redis();
    ["session:1", "session:2", "sessions:3", "other"].iter().for_each(|key| drop(redis.say(&format!("SET {key} v"))));
    place.backup();
    redis.say("FLUSHDB");
    let done = place.restore(&["--keys", "session:*"]).exits(0);
    assert_eq!((done.count("matched"), done.count("restored")), (2, 2));
    assert!(held_by(&mut redis, b"session:1").is_some() && held_by(&mut redis, b"sessions:3").is_none());
    assert!(place.restore(&["--keys", "none:*"]).exits(2).stderr.contains("--list"));
    place.restore(&["--keys", "none:*", "--allow-empty"]).exits(0);
}

#[test]
fn the_report_names_every_key_that_is_not_as_the_file_has_it() {
    let place = Place::new();
    let mut redis = place.redis();
    (0..50).for_each(|number| drop(redis.say(&format!("SET key:{number} v"))));
    place.backup();
    (0..50).for_each(|number| drop(redis.say(&format!("SET key:{number} w"))));
    let report = place.dir.path().join("report");
    place.restore(&["--report", report.to_str().unwrap()]).exits(0);
    let left = std::fs::read_to_string(report.join("left.jsonl")).unwrap();
    assert_eq!(left.lines().filter(|line| line.contains("\"exists\"")).count(), 50);
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(report.join("restore.json")).unwrap()).unwrap();
    assert_eq!((json["kept"]["exists"].as_u64(), json["exit_code"].as_u64()), (Some(50), Some(0)));
}
