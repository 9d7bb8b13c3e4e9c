//! Files that no Redis here would give: of other versions, with dumps that are refused, with fields that expire, with modules.

use crate::Place;
use crate::data::now;
use crate::redis::held_by;
use crate::support;
use bytes::Bytes;
use redis2pg::backup::{Entry, Header, Logical, Part, cut};
use redis2pg::model::{Packer, RedisKey};

pub(crate) fn packed(items: &[&str]) -> Bytes {
    items.iter().map(|item| item.as_bytes()).collect::<Packer>().finish()
}

pub(crate) fn entry(
    key: &str,
    type_name: &'static str,
    dump: Option<&'static [u8]>,
    logical: Option<Logical>,
) -> Entry {
    let dump = dump.map(Bytes::from_static);
    let key = RedisKey::new(key.to_owned());
    Entry { database: 0, key, type_name: type_name.into(), expires_at: None, part: Part::WHOLE, dump, logical }
}

/// Writes a file as if a server of this kind and version had been backed up.
fn made(place: &Place, flavour: &str, version: &str, entries: &[Entry]) {
    made_with(place, header(flavour, version), entries);
}

pub(crate) fn made_with(place: &Place, header: Header, entries: &[Entry]) {
    let _ = std::fs::remove_file(place.file());
    support::made(&place.file(), &header, entries);
}

pub(crate) fn header(flavour: &str, version: &str) -> Header {
    Header {
        flavour: Some(flavour.to_owned()),
        redis_version: Some(version.to_owned()),
        databases: vec![0],
        ..Header::new("backup", "redis://elsewhere:6379/0", "2026-01-01T00:00:00Z")
    }
}

/// The version of the server that the tests run with.
fn version(place: &Place) -> String {
    let info = place.redis().say("INFO server").bytes().to_vec();
    let info = String::from_utf8(info).unwrap();
    info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap().trim().to_owned()
}

#[test]
fn a_dump_that_is_refused_and_one_of_another_kind_of_server_give_way_to_the_logical_form() {
    let list = || entry("list", "list", Some(b"no dump at all"), Some(Logical::Items(packed(&["b", "a", "b"]))));
    let module = || entry("bloom", "MBbloom--", Some(b"no dump at all"), None);
    for other in [false, true] {
        let place = Place::new();
        let flavour = if other { "valkey" } else { "redis" };
        made(&place, flavour, &version(&place), &[list(), module()]);
        let done = place.restore(&[]).exits(3);
        assert_eq!((done.count("restored"), done.reason("failed", "module_type")), (1, 1), "{}", done.stdout);
        let said = if other { "the backup is of valkey" } else { "1 dumps were not taken" };
        assert!(done.stdout.contains(said), "{}", done.stdout);
        let items = held_by(&mut place.redis(), b"list").unwrap().items;
        assert_eq!(items.iter().map(|item| item.bytes()).collect::<Vec<_>>(), [b"b", b"a", b"b"]);
        assert_eq!(place.restore(&[]).exits(3).count("equal"), 1);
    }
}

#[test]
fn fields_that_expire_are_never_made_to_stay_for_ever() {
    let place = Place::new();
    let hash = |key: &str, expiries: [i64; 2]| {
        let logical = Logical::Hash { items: packed(&["a", "1", "b", "2"]), expiries: Some(expiries.to_vec()) };
        entry(key, "hash", None, Some(logical))
    };
    let past = now() - 1_000;
    let entries = [hash("gone", [past, past]), hash("half", [past, -1]), hash("timed", [-1, now() + 100_000_000])];
    made(&place, "redis", "7.4.0", &entries);
    let mut redis = place.redis();
    let knows = !matches!(redis.ask(&[b"HPEXPIRETIME", b"k", b"FIELDS", b"1", b"f"]), crate::redis::Reply::Error(_));
    let done = place.restore(&[]).exits(if knows { 0 } else { 3 });
    assert_eq!(done.reason("kept", "expired"), 1, "{}", done.stdout);
    assert_eq!(done.reason("failed", "field_expiry"), u64::from(!knows), "{}", done.stdout);
    assert_eq!(redis.say("HGETALL half").list().iter().map(|item| item.bytes()).collect::<Vec<_>>(), [b"b", b"2"]);
    assert!(held_by(&mut redis, b"gone").is_none());
    assert_eq!(held_by(&mut redis, b"timed").is_some(), knows);
    assert_eq!(redis.keys().len(), 1 + usize::from(knows), "nothing is left of what was being built");
}

#[test]
fn of_a_key_that_is_in_the_file_twice_the_last_entry_is_restored() {
    let place = Place::new();
    let string = |key: &str, value: String| entry(key, "string", None, Some(Logical::Bytes(value.into())));
    let large = |letter: &str| cut(string("large", letter.repeat(3 << 20)));
    let mut entries = large("a");
    assert!(entries.len() > 2);
    entries.push(string("twice", "older".to_owned()));
    entries.push(string("once", "1".to_owned()));
    entries.extend((0..1_000).map(|n| string(&format!("other:{n}"), n.to_string())));
    entries.extend(["newer", "newest"].map(|value| string("twice", value.to_owned())));
    entries.extend(large("b"));
    let mut elsewhere = string("twice", "of another database".to_owned());
    elsewhere.database = 1;
    made(&place, "redis", "7.0.0", &entries);
    let listed = place.list(&[]).exits(0);
    assert_eq!((listed.count("total"), listed.count("superseded")), (1_006, 3), "{}", listed.stdout);
    // Into an empty database, over what is there, and again.
    let mut redis = place.redis();
    for (args, restored, replaced, equal, exists) in [
        (&["--dry-run"][..], 1_003, 0, 0, 0),
        (&[], 1_003, 0, 0, 0),
        (&[], 0, 0, 1_003, 0),
        (&["--replace", "--yes"], 0, 0, 1_003, 0),
        (&[], 0, 0, 1_002, 1),
        (&["--replace", "--yes"], 0, 1, 1_002, 0),
    ] {
        if exists == 1 {
            redis.say("SET twice older");
        }
        let done = place.restore(args).exits(0);
        assert_eq!(
            (done.count("restored"), done.count("replaced"), done.count("equal"), done.reason("kept", "exists")),
            (restored, replaced, equal, exists),
            "{args:?} {}",
            done.stdout
        );
        assert_eq!((done.reason("kept", "superseded"), done.count("matched")), (3, 1_006), "{}", done.stdout);
        assert_eq!(done.json["left"].as_array().map(Vec::len), Some(exists as usize), "{}", done.stdout);
    }
    assert_eq!((redis.say("GET twice").bytes(), redis.say("GETRANGE large 0 0").bytes()), (&b"newest"[..], &b"b"[..]));
    // One name in two databases is two keys.
    made(&place, "redis", "7.0.0", &[elsewhere, string("twice", "newest".to_owned())]);
    let done = place.restore(&["--database", "0"]).exits(0);
    assert_eq!((done.count("equal"), done.reason("kept", "superseded")), (1, 0), "{}", done.stdout);
}

#[test]
fn a_later_entry_that_is_torn_does_not_supersede_a_whole_one() {
    let place = Place::new();
    let string = |value: String| entry("twice", "string", None, Some(Logical::Bytes(value.into())));
    let mut parts = cut(string("b".repeat(3 << 20)));
    parts.remove(1);
    let mut entries = vec![string("whole".to_owned())];
    entries.extend(parts);
    made(&place, "redis", "7.0.0", &entries);
    place.restore(&[]).exits(2);
    let done = place.restore(&["--salvage"]).exits(3);
    assert_eq!((done.count("restored"), done.reason("kept", "superseded")), (1, 0), "{}", done.stdout);
    assert_eq!(place.redis().say("GET twice").bytes(), b"whole");
}

#[test]
fn a_hash_whose_times_are_not_in_the_file_is_told() {
    let place = Place::new();
    let hash = |key: &str, expiries: Option<Vec<i64>>| {
        entry(key, "hash", None, Some(Logical::Hash { items: packed(&["a", "1"]), expiries }))
    };
    let untold = Header { fields_untold: true, ..header("valkey", "9.0.0") };
    made_with(&place, untold.clone(), &[hash("one", None), hash("two", None)]);
    let said = "Redis did not tell when fields of hashes expire";
    let done = place.restore(&[]).exits(0);
    assert!(done.stdout.contains(said) && done.stdout.contains("2 hashes were made again"), "{}", done.stdout);
    // None is made again, and of a file that has the times there is nothing to tell.
    assert!(!place.restore(&[]).exits(0).stdout.contains(said));
    place.redis().say("FLUSHDB");
    made_with(&place, Header { fields_untold: false, ..untold }, &[hash("one", None)]);
    assert!(!place.restore(&[]).exits(0).stdout.contains(said));
}
