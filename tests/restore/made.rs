//! Files that no Redis here would give: of other versions, with dumps that are refused, with fields that expire, with modules.

use crate::Place;
use crate::data::now;
use crate::redis::held_by;
use bytes::Bytes;
use redis2pg::backup::{Entry, Header, Logical, Part, Writer, encode};
use redis2pg::model::{Packer, RedisKey};

fn packed(items: &[&str]) -> Bytes {
    items.iter().map(|item| item.as_bytes()).collect::<Packer>().finish()
}

fn entry(key: &str, type_name: &'static str, dump: Option<&'static [u8]>, logical: Option<Logical>) -> Entry {
    let dump = dump.map(Bytes::from_static);
    let key = RedisKey::new(key.to_owned());
    Entry { database: 0, key, type_name: type_name.into(), expires_at: None, part: Part::WHOLE, dump, logical }
}

/// Writes a file as if a server of this kind and version had been backed up.
fn made(place: &Place, flavour: &str, version: &str, entries: &[Entry]) {
    let header = Header {
        flavour: Some(flavour.to_owned()),
        redis_version: Some(version.to_owned()),
        databases: vec![0],
        ..Header::new("backup", "redis://elsewhere:6379/0", "2026-01-01T00:00:00Z")
    };
    let mut writer = Writer::create(&place.file(), &header).unwrap();
    for block in encode(entries).unwrap() {
        writer.append(&block).unwrap();
    }
    writer.finish().unwrap();
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
fn a_key_that_is_in_the_file_twice_has_two_outcomes() {
    let place = Place::new();
    let string = |value: &'static str| {
        entry("twice", "string", None, Some(Logical::Bytes(Bytes::from_static(value.as_bytes()))))
    };
    made(&place, "redis", "7.0.0", &[string("older"), string("newer")]);
    let done = place.restore(&[]).exits(0);
    assert_eq!((done.count("restored"), done.reason("kept", "exists")), (1, 1), "{}", done.stdout);
    // However often: the second is the newer one.
    for _ in 0..2 {
        let replaced = place.restore(&["--replace", "--yes"]).exits(0);
        assert_eq!(replaced.count("equal") + replaced.count("replaced"), 2, "{}", replaced.stdout);
        assert_eq!(place.redis().say("GET twice").bytes(), b"newer");
    }
}
