//! Dumps of Redis: the same key has another after a restart, and is the same key.

use crate::support::{Case, Client};
use crate::{ends, found};
use redis2pg::sandbox::{RedisOptions, RedisServer};

const ARCHIVE: &str = "[run]\nunmatched = \"archive\"\n";

/// Sets and hashes in a hash table, lists and sorted sets, small and large.
fn fill(redis: &mut Client) {
    for n in 0..300 {
        redis.say(&format!("SADD set:large member:{n}"));
        redis.say(&format!("HSET hash:large field:{n} {n}"));
        redis.say(&format!("ZADD zset:large {n} member:{n}"));
        redis.say(&format!("RPUSH list:large {n}"));
    }
    for command in
        ["SADD set:small a b c d e f g h", "SADD set:numbers 1 2 3", "HSET hash:small f v g w", "SET text hello"]
    {
        redis.say(command);
    }
}

fn dumps(case: &Case) -> String {
    case.sql("SELECT encode(key, 'escape'), md5(dump) FROM redis_archive ORDER BY 1")
}

#[test]
fn a_restart_of_redis_changes_dumps_and_no_key() {
    let options = RedisOptions { save_to_disk: true, ..RedisOptions::default() };
    let mut server = RedisServer::start(options).unwrap();
    let case = Case::from_source(&format!("{}/0", server.url()));
    fill(&mut Client::open(&format!("{}/0", server.url())));
    ends(case.run_config(ARCHIVE, &[]), 0);
    let before = dumps(&case);
    server.restart().unwrap();
    let outcome = ends(case.validate(ARCHIVE, &["--strict"]), 0);
    found(&outcome, "archive", &[("equal", 8)]);
    // A run after it writes nothing, and keeps the dumps that are there.
    let again = ends(case.run_config(ARCHIVE, &[]), 0);
    assert_eq!((dumps(&case), again.count("archive", "unchanged")), (before, 8), "{again}");
    // What was changed since is found, though the dumps are as long as before.
    let mut redis = Client::open(&format!("{}/0", server.url()));
    for command in [
        "SREM set:large member:7",
        "SADD set:large member:x",
        "HSET hash:large field:7 x",
        "SREM set:small a",
        "SADD set:small z",
    ] {
        redis.say(command);
    }
    let outcome = ends(case.validate(ARCHIVE, &[]), 0);
    found(&outcome, "archive", &[("equal", 5), ("stale", 3)]);
}

/// Bytes that somebody has changed in a dump are no other order.
#[test]
fn a_dump_that_was_changed_is_told() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set("text", "hello");
    redis.say("RPUSH list a b c");
    redis.say("HSET hash f v");
    ends(case.run_config(ARCHIVE, &[]), 0);
    for (changed, newer) in [
        // Within the key.
        ("set_byte(dump, 3, get_byte(dump, 3) # 1)", 3),
        // The type of what it holds.
        ("set_byte(dump, 0, 4)", 3),
        // The checksum alone.
        ("set_byte(dump, octet_length(dump) - 1, get_byte(dump, octet_length(dump) - 1) # 1)", 3),
        ("substr(dump, 1, octet_length(dump) - 10)", 3),
        ("''", 3),
        ("NULL", 3),
        // The version, and the checksum with it: as another server would give it.
        ("overlay(dump PLACING '\\x630001020304050607' FROM octet_length(dump) - 9)", 0),
    ] {
        case.sql("CREATE TABLE IF NOT EXISTS kept AS SELECT * FROM redis_archive");
        case.sql(&format!("UPDATE redis_archive SET dump = {changed}"));
        let outcome = ends(case.validate(ARCHIVE, &[]), 0);
        found(&outcome, "archive", if newer == 0 { &[("equal", 3)] } else { &[("newer", 3)] });
        case.sql("UPDATE redis_archive a SET dump = k.dump FROM kept k WHERE a.key = k.key");
    }
}

/// A column that has something else where there is no value does not speak for a dump, and bytes are no dump.
#[test]
fn what_stands_in_for_a_value_does_not_answer_for_the_dump() {
    let config = r#"
[[mapping]]
name = "kept"
match = "kept:{id}"
type = ["hash", "string"]
into = "public.kept"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "data", from = ["redis.value"], default = "{}", null_as = "{}" },
  { name = "dump", from = ["redis.dump"] },
]
[[mapping]]
name = "raw"
match = "raw:{id}"
into = "public.raw"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "bytes", from = ["redis.bytes", "redis.dump"] }]
"#;
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE kept (id text PRIMARY KEY, data jsonb NOT NULL, dump bytea); \
         CREATE TABLE raw (id text PRIMARY KEY, bytes bytea)",
    );
    let mut redis = case.redis();
    // Large, so that it lies in a hash table, and no text, so that jsonb cannot have it.
    let bytes = |first: u8| [vec![0xff, first], (0..98).map(|n| n * 2 + 1).collect::<Vec<u8>>()].concat();
    redis.integer(&[&b"HSET"[..], b"kept:1", b"f", &bytes(1)]);
    redis.integer(&[&b"SETNX"[..], b"raw:1", b"\xff\x00\x00\x01"]);
    redis.integer(&[&b"SETNX"[..], b"raw:2", &bytes(1)]);
    ends(case.run_config(config, &[]), 0);
    found(&ends(case.validate(config, &["--strict"]), 0), "kept", &[("equal", 1)]);
    redis.integer(&[&b"HSET"[..], b"kept:1", b"f", &bytes(2)]);
    redis.say("DEL raw:1");
    redis.integer(&[&b"SETNX"[..], b"raw:1", b"\xfe\x00\x00\x01"]);
    // Only the last ten bytes, as if they were a version and a checksum.
    redis.integer(&[&b"SETRANGE"[..], b"raw:2", b"90", b"\xf0\xf1\xf2"]);
    let outcome = ends(case.validate(config, &[]), 0);
    found(&outcome, "kept", &[("stale", 1)]);
    found(&outcome, "raw", &[("stale", 2)]);
    let again = ends(case.run_config(config, &[]), 0);
    assert_eq!((again.count("kept", "updated"), again.count("raw", "updated")), (1, 2), "{again}");
}
