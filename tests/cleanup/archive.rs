//! The archive: keys that no mapping takes, kept with their dumps, go as well.

use crate::support::Case;
use crate::{came_to, ends, is_there, keys};

const CONFIG: &str = r#"
[run]
unmatched = "archive"

[[mapping]]
name = "users"
match = "user:{id}"
into = "public.users"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "name", from = ["$.name"] }]
"#;

#[test]
fn archived_keys_of_every_type_go_and_come_back_from_their_dumps() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE users (id text PRIMARY KEY, name text)");
    let mut redis = case.redis();
    redis.set("user:1", r#"{"name":"Ann"}"#);
    for command in [
        "SET text hello",
        "HSET hash f v g w",
        "RPUSH list b a b",
        "SADD set y x z",
        "ZADD zset 19.99 m",
        "XADD stream 5-1 f v",
        "XGROUP CREATE stream workers 0",
        "PFADD hll a b c",
        "SET timed x EX 5000",
    ] {
        redis.say(command);
    }
    redis.integer(&[&b"SETNX"[..], b"bytes\xff", b"\x00\xff"]);
    ends(case.run_config(CONFIG, &[]), 0);
    redis.say("SADD set w");
    let outcome = ends(case.cleanup(CONFIG, &["--yes"]), 0);
    came_to(&outcome, 9, &[("stale", 1)]);
    assert!(is_there(&case, "set") && keys(&case) == 1, "{outcome}");
    assert!(!outcome.stdout.contains("consumer groups"), "the dump has them: {outcome}");
    let dumps = case.sql("SELECT encode(key, 'hex'), encode(dump, 'hex') FROM redis_archive WHERE type <> 'set'");
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    for line in dumps.lines() {
        let (key, dump) = line.split_once('|').unwrap();
        assert_eq!(redis.answer(&[b"RESTORE", &bytes(key), b"0", &bytes(dump)]), "+OK", "{line}");
    }
    assert_eq!((keys(&case), redis.integer(&[b"LLEN", b"list"]), redis.integer(&[b"PFCOUNT", b"hll"])), (9, 3, 3));
    assert_eq!(redis.integer(&[b"XLEN", b"stream"]), 1);
}
