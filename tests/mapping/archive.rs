//! Keys that no mapping takes go into the archive, whatever they are.

use crate::support;

use support::{Case, Client};

const TABLES: &str = "SET ROLE redis2pg; CREATE TABLE users (id text PRIMARY KEY, name text);";

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

const BINARY: &[u8] = b"bin\xff\0:1";

fn case() -> (Case, Client) {
    let case = Case::new();
    case.sql(TABLES);
    let redis = case.redis();
    (case, redis)
}

/// A key of each type, an empty key, a binary one and a HyperLogLog: 12 keys beside one of the mapping's.
fn fill(redis: &mut Client) {
    redis.set("user:1", r#"{"name":"Ann"}"#);
    redis.set("json", r#" {"b": 1.10, "a": [1]} "#);
    redis.set("text", "hello");
    redis.set("twice", r#"{"a":1,"a":2}"#);
    redis.integer(&[&b"SETNX"[..], b"bytes", b"\x00\xff"]);
    redis.integer(&[&b"SETNX"[..], b"", b"the empty key"]);
    redis.integer(&[&b"HSET"[..], BINARY, b"f", b"v"]);
    redis.say("RPUSH list b a");
    redis.say("SADD set y x");
    redis.say("ZADD zset 19.99 m");
    redis.integer(&[&b"ZADD"[..], b"infinite", b"inf", b"m"]);
    redis.say("XADD stream 5-1 f v");
    redis.say("PFADD hll a b c");
}

#[test]
fn every_type_is_kept_with_its_value_where_json_can_hold_it() {
    let (case, mut redis) = case();
    fill(&mut redis);
    let outcome = case.run_config(CONFIG, &[]).exits(0);
    assert_eq!((outcome.count("archive", "matched"), outcome.count("archive", "inserted")), (12, 12));
    assert_eq!((outcome.total("scanned"), outcome.total("matched"), outcome.total("unmatched")), (13, 13, 0));
    assert!(outcome.stderr.contains("CREATE TABLE \"public\".\"redis_archive\""), "{}", outcome.stderr);
    let text = "SELECT encode(key, 'escape'), type, value, encode(value_bytes, 'hex') FROM redis_archive \
                WHERE type <> 'string' OR length(value_bytes) = 2 OR value IS NOT NULL ORDER BY 1";
    assert_eq!(
        case.sql(text),
        "|string|\"the empty key\"|\n\
         bin\\377\\000:1|hash|{\"f\": \"v\"}|\n\
         bytes|string||00ff\n\
         infinite|zset||\n\
         json|string|{\"a\": [1], \"b\": 1.10}|\n\
         list|list|[\"b\", \"a\"]|\n\
         set|set|[\"x\", \"y\"]|\n\
         stream|stream|[{\"id\": \"5-1\", \"fields\": {\"f\": \"v\"}}]|\n\
         text|string|\"hello\"|\n\
         twice|string|\"{\\\"a\\\":1,\\\"a\\\":2}\"|\n\
         zset|zset|[{\"score\": 19.99, \"member\": \"m\"}]|"
    );
    assert_eq!(
        case.sql("SELECT type, value IS NULL, value_bytes LIKE 'HYLL%'::bytea FROM redis_archive WHERE key = 'hll'"),
        "string|t|t"
    );
    let whole = "SELECT count(*) FROM redis_archive WHERE dump IS NOT NULL AND redis_version ~ '^[0-9.]+$' \
                 AND loaded_at > now() - interval '1 minute' AND expires_at IS NULL AND db::text = ";
    let database = case.source.rsplit('/').next().unwrap_or_default();
    assert_eq!(case.number(&format!("{whole}'{database}'")), 12);
}

#[test]
fn a_second_run_finds_it_all_and_a_changed_key_is_updated() {
    let (case, mut redis) = case();
    fill(&mut redis);
    for number in 0..60_u8 {
        redis.integer(&[&b"SETNX"[..], &[b'x', number, 0xff], &[number]]);
    }
    let first = case.run_config(CONFIG, &[]).exits(0);
    assert_eq!(first.count("archive", "inserted"), 72);
    let before = case.xmins("redis_archive");
    let again = case.run_config(CONFIG, &[]).exits(0);
    assert_eq!((again.count("archive", "unchanged"), again.count("archive", "updated")), (72, 0));
    assert_eq!(case.xmins("redis_archive"), before, "no row is written");
    redis.integer(&[&b"HSET"[..], BINARY, b"f", b"w"]);
    redis.say("PFADD hll d e f g h");
    redis.say("XGROUP CREATE stream readers 0");
    let changed = case.run_config(CONFIG, &[]).exits(0);
    assert_eq!((changed.count("archive", "unchanged"), changed.count("archive", "updated")), (69, 3));
    assert_eq!(case.sql("SELECT value FROM redis_archive WHERE type = 'hash'"), r#"{"f": "w"}"#);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images"), 3);
    // What somebody else changed is left alone.
    case.sql("UPDATE redis_archive SET value = '1' WHERE key = 'list'");
    redis.say("RPUSH list c");
    let kept = case.run_config(CONFIG, &[]).exits(0);
    assert_eq!(
        (kept.count("archive", "unchanged"), kept.report["tally"]["skipped"]["exists_newer"].as_i64()),
        (71, Some(1))
    );
}

#[test]
fn a_dry_run_shows_the_table_and_leaves_nothing_behind() {
    let (case, mut redis) = case();
    fill(&mut redis);
    let before = case.fingerprint();
    let outcome = case.run_config(CONFIG, &["--dry-run"]).exits(0);
    assert_eq!((outcome.count("archive", "would_load"), outcome.count("users", "would_load")), (12, 1));
    assert!(
        outcome.stderr.contains("a run would make it: CREATE TABLE \"public\".\"redis_archive\""),
        "{}",
        outcome.stderr
    );
    assert_eq!(case.fingerprint(), before);
}

#[test]
fn a_limit_holds_and_a_mapping_that_is_switched_off_keeps_its_keys() {
    let (case, mut redis) = case();
    fill(&mut redis);
    let outcome = case.run_config(CONFIG, &["--limit", "5", "--archive-table", "kept.keys"]).exits(0);
    assert_eq!((outcome.count("archive", "inserted"), case.number("SELECT count(*) FROM kept.keys")), (5, 5));
    let outcome = case.run_config(CONFIG, &["--skip", "users"]).exits(0);
    assert_eq!((outcome.count("archive", "inserted"), outcome.total("unmatched")), (12, 1));
    assert_eq!(case.sql("SELECT count(*) FROM redis_archive WHERE key = 'user:1'"), "0");
}

#[test]
fn keys_that_are_excluded_or_misshapen_are_archived_and_no_mapping_is_needed() {
    let (case, mut redis) = case();
    redis.set("user:1:lock", "1");
    redis.set("user:2", "{}");
    let outcome = case.run_config("[run]\nunmatched = \"archive\"", &[]).exits(0);
    assert_eq!((outcome.total("matched"), case.number("SELECT count(*) FROM redis_archive")), (2, 2));
    let config = CONFIG.replace("into =", "exclude = [\"user:2\"]\ninto =");
    let outcome = case.run_config(&config, &[]).exits(0);
    assert_eq!((outcome.count("archive", "unchanged"), outcome.count("users", "matched")), (2, 0));
}

#[test]
fn times_of_expiry_are_kept_within_a_second() {
    let (case, mut redis) = case();
    redis.say("SET lock:1 x PX 90000");
    redis.say("SET lock:2 x");
    case.run_config(CONFIG, &[]).exits(0);
    let at = redis.integer(&[b"PEXPIRETIME", b"lock:1"]);
    let near = format!("abs(extract(epoch FROM expires_at) * 1000 - {at}) < 1000");
    let sql =
        format!("SELECT encode(key, 'escape'), coalesce(({near})::text, 'never') FROM redis_archive ORDER BY key");
    assert_eq!(case.sql(&sql), "lock:1|true\nlock:2|never");
    redis.say("PEXPIRE lock:1 900000");
    let changed = case.run_config(CONFIG, &[]).exits(0);
    assert_eq!((changed.total("updated"), changed.total("unchanged")), (1, 1));
}

#[test]
fn what_is_archived_can_be_restored() {
    let (case, mut redis) = case();
    fill(&mut redis);
    case.run_config(CONFIG, &[]).exits(0);
    let mut other = Client::open(&support::redis_database());
    for line in case.sql("SELECT encode(key, 'hex'), encode(dump, 'hex') FROM redis_archive").lines() {
        let (key, dump) = line.split_once('|').unwrap_or_default();
        let (key, dump) = (bytes(key), bytes(dump));
        assert_eq!(other.answer(&[b"RESTORE", &key, b"0", &dump]), "+OK");
    }
    assert_eq!(other.integer(&[b"DBSIZE"]), 12);
    for (key, question) in
        [(BINARY, "HGETALL"), (b"zset", "ZCARD"), (b"hll", "PFCOUNT"), (b"bytes", "STRLEN"), (b"", "STRLEN")]
    {
        let asked = |client: &mut Client| client.answer(&[question.as_bytes(), key]);
        assert_eq!(asked(&mut other), asked(&mut redis), "{question}");
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|digit| char::from(digit).to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

#[test]
fn a_table_that_does_not_fit_or_may_not_be_made_forbids_the_run() {
    let (case, mut redis) = case();
    redis.set("x", "1");
    let off = format!("{CONFIG}\n[target]\ncreate_schema = false");
    let outcome = case.run_config(&off, &[]);
    let outcome = outcome.exits(2);
    assert!(outcome.stderr.contains("public.redis_archive: there is no such table"), "{}", outcome.stderr);
    case.sql("SET ROLE redis2pg; CREATE TABLE redis_archive (key bytea, db integer, PRIMARY KEY (key, db))");
    let outcome = case.run_config(CONFIG, &[]).exits(2);
    assert!(outcome.stderr.contains("public.redis_archive.dump: the column is missing"), "{}", outcome.stderr);
    let outcome = case.run_config(&CONFIG.replace("name = \"users\"", "name = \"archive\""), &[]).exits(2);
    assert!(outcome.stderr.contains("the name is the archive's"), "{}", outcome.stderr);
    let outcome = case.run_config(CONFIG, &["--archive-table", "archive"]).exits(2);
    assert!(outcome.stderr.contains("archive.table"), "{}", outcome.stderr);
}

#[test]
fn what_cannot_be_had_is_left_out_or_rejected_by_name() {
    let (case, mut redis) = case();
    let piece = vec![b'v'; 1 << 20];
    for _ in 0..65 {
        redis.integer(&[&b"RPUSH"[..], b"large", &piece]);
    }
    redis.say("SETRANGE huge 140000000 x");
    let outcome = case.run_config(CONFIG, &[]);
    let outcome = outcome.exits(3);
    assert_eq!(
        (outcome.count("archive", "inserted"), &outcome.reject("huge")["reason"]),
        (1, &"value_too_large".into())
    );
    let kept = "SELECT value IS NULL, value_bytes IS NULL, length(dump) BETWEEN 1000 AND 64 << 20 FROM redis_archive";
    assert_eq!(case.sql(kept), "t|t|t", "the list is more than is read as a whole, and its dump is not");
}

#[test]
fn a_stopped_run_is_resumed() {
    let (case, mut redis) = case();
    let pairs: Vec<_> = (0..1500).map(|number| (format!("k{number}"), "v".to_owned())).collect();
    redis.set_many(&pairs);
    let mut state = 1_u32;
    for _ in 0..10 {
        // The index on the key does not hold so much.
        let long: Vec<u8> = std::iter::repeat_with(|| noise(&mut state)).take(3000).collect();
        redis.integer(&[&b"SETNX"[..], &long, b"v"]);
    }
    // Small pages, and none set aside: most keys are not listed yet when the first reject is known.
    let slowly = ["--continue-on-error=false", "--scan-count", "20", "--spill-limit", "0", "--batch-rows", "20"];
    let outcome = case.run_config(CONFIG, &slowly).exits(7);
    let first = outcome.count("archive", "inserted");
    assert!((1..1500).contains(&first), "{first}");
    let outcome = case.run_config(CONFIG, &["--resume", "--batch-rows", "100"]).exits(3);
    assert_eq!(outcome.reasons("archive").into_iter().collect::<Vec<_>>(), [("refused".to_owned(), 10)]);
    assert_eq!(outcome.count("archive", "inserted"), 1500, "with what the first attempt loaded");
    assert_eq!(case.number("SELECT count(*) FROM redis_archive"), 1500);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.rejects WHERE sqlstate = '54000'"), 10);
}

/// Bytes that no compression makes shorter.
fn noise(state: &mut u32) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    (*state >> 11) as u8
}
