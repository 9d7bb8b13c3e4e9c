//! What Redis knows of a key beside its value: type, TTL, idle time, dump; and values taken as they are.

use crate::support;

use redis2pg::sandbox::{RedisOptions, RedisServer};
use support::{Case, Client};

const TABLES: &str = "SET ROLE redis2pg;
    CREATE TABLE keys (key bytea PRIMARY KEY, type text, db integer, version text, expires_at timestamptz,
        ttl bigint, idle bigint, dump bytea);
    CREATE TABLE used (id text PRIMARY KEY, name text, idle bigint, ttl bigint);";

const KEYS: &str = r#"
[[mapping]]
name = "keys"
match = "{key..}"
type = "any"
into = "public.keys"
key = ["key"]
column = [
  { name = "key", from = ["redis.key"] },
  { name = "type", from = ["redis.type"] },
  { name = "db", from = ["redis.db"] },
  { name = "version", from = ["redis.version"] },
  { name = "expires_at", from = ["redis.expires_at"] },
  { name = "ttl", from = ["redis.ttl"] },
  { name = "idle", from = ["redis.idle"] },
  { name = "dump", from = ["redis.dump"] },
]
"#;

const USED: &str = r#"
[[mapping]]
name = "used"
match = "used:{id}"
into = "public.used"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "name", from = ["$.name"] },
  { name = "idle", from = ["redis.idle"] },
  { name = "ttl", from = ["redis.ttl"] },
]
"#;

fn case() -> (Case, Client) {
    let case = Case::new();
    case.sql(TABLES);
    let redis = case.redis();
    (case, redis)
}

/// The dump that the table has of a key.
fn stored(case: &Case, key: &str) -> Vec<u8> {
    let hex = case.sql(&format!("SELECT encode(dump, 'hex') FROM keys WHERE key = '{key}'::bytea"));
    let digits: Vec<u8> = hex.bytes().filter_map(|digit| char::from(digit).to_digit(16)).map(|d| d as u8).collect();
    digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect()
}

/// All that Redis answers to a question, as a hash.
fn answers(redis: &mut Client, question: &str) -> String {
    let script = b"return redis.sha1hex(cjson.encode(redis.call(unpack(ARGV))))";
    let mut words: Vec<&[u8]> = vec![b"EVAL", script, b"0"];
    words.extend(question.split(' ').map(str::as_bytes));
    let hash = redis.answer(&words);
    assert_eq!(hash.len(), 40, "{question}: {hash}");
    hash
}

#[test]
fn every_type_is_restored_from_its_dump() {
    let (case, mut redis) = case();
    redis.integer(&[&b"SETNX"[..], b"string", b"no \xff JSON"]);
    redis.say("HSET hash a 1 b 2");
    redis.say("RPUSH list b a");
    redis.say("SADD set y x");
    redis.say("ZADD zset 1.5 m -inf n");
    redis.say("XADD stream 5-1 f v");
    redis.say("PFADD hll a b c");
    redis.integer(&[&b"SADD"[..], b"bin\xff\x00", b"\xfe"]);
    let outcome = case.run_config(KEYS, &[]).exits(0);
    assert_eq!((outcome.total("matched"), outcome.total("inserted")), (8, 8));
    assert_eq!(
        case.sql("SELECT encode(key, 'escape'), type FROM keys ORDER BY 1"),
        "bin\\377\\000|set\nhash|hash\nhll|string\nlist|list\nset|set\nstream|stream\nstring|string\nzset|zset"
    );
    let database = case.source.rsplit('/').next().unwrap_or_default();
    assert_eq!(case.number(&format!("SELECT count(*) FROM keys WHERE db = {database} AND version ~ '^[0-9.]+$'")), 8);
    let again = case.run_config(KEYS, &[]).exits(0);
    assert_eq!((again.total("unchanged"), again.total("updated")), (8, 0));
    let mut other = Client::open(&support::redis_database());
    for (key, question) in [
        ("string", "GET string"),
        ("hash", "HGETALL hash"),
        ("list", "LRANGE list 0 -1"),
        ("set", "SORT set ALPHA"),
        ("zset", "ZRANGE zset 0 -1 WITHSCORES"),
        ("stream", "XRANGE stream - +"),
        // This writes the count into the value.
        ("hll", "PFCOUNT hll"),
    ] {
        let dump = stored(&case, key);
        let _ = other.answer(&[&b"RESTORE"[..], key.as_bytes(), b"0", &dump]);
        assert_eq!(answers(&mut other, question), answers(&mut redis, question), "{key}");
    }
    redis.say("SADD set z");
    redis.say("PFADD hll d e f g");
    let changed = case.run_config(KEYS, &[]).exits(0);
    assert_eq!((changed.total("unchanged"), changed.total("updated")), (6, 2));
}

#[test]
fn times_to_live_and_idle_times_are_those_before_the_reading() {
    let (case, mut redis) = case();
    redis.say(r#"SET used:1 {"name":"n"} PX 90000"#);
    redis.set("used:2", r#"{"name":"n"}"#);
    std::thread::sleep(std::time::Duration::from_secs(3));
    let outcome = case.run_config(USED, &[]).exits(0);
    assert_eq!(outcome.total("inserted"), 2);
    assert_eq!(
        case.sql("SELECT id, name, idle BETWEEN 2 AND 30, ttl BETWEEN 60000 AND 87500 FROM used ORDER BY 1"),
        "1|n|t|t\n2|n|t|"
    );
    // What is of the moment is no change.
    let again = case.run_config(USED, &[]).exits(0);
    assert_eq!((again.total("unchanged"), again.total("updated")), (2, 0));
    let outcome = case.run_config(KEYS, &[]).exits(0);
    assert_eq!(outcome.total("inserted"), 2);
    let left: i64 = redis.integer(&[&b"PEXPIRETIME"[..], b"used:1"]);
    let apart = format!("SELECT abs(extract(epoch FROM expires_at) * 1000 - {left}) < 1000 FROM keys WHERE ttl > 0");
    assert_eq!(case.sql(&apart), "t");
    assert_eq!(case.number("SELECT count(*) FROM keys WHERE expires_at IS NULL AND ttl IS NULL"), 1);
}

#[test]
fn a_server_that_evicts_by_frequency_knows_no_idle_times() {
    let settings = vec!["maxmemory-policy allkeys-lfu".to_owned()];
    let server = RedisServer::start(RedisOptions { settings, ..RedisOptions::default() });
    let server = match server {
        Ok(server) => server,
        Err(error) => panic!("start redis-server: {error}"),
    };
    let case = Case::from_source(&format!("{}/0", server.url()));
    case.sql(TABLES);
    let mut redis = case.redis();
    for number in 0..2_500 {
        redis.set(&format!("used:{number}"), r#"{"name":"n"}"#);
    }
    let outcome = case.run_config(USED, &[]).exits(0);
    assert_eq!(case.number("SELECT count(*) FROM used WHERE idle IS NULL AND name = 'n'"), 2_500);
    let notices = outcome.stderr.lines().filter(|line| line.starts_with("redis.idle is null"));
    assert_eq!(notices.count(), 1, "{}", outcome.stderr);
}

/// Bytes that no compression makes shorter.
fn xorshift(state: &mut u64) -> u8 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 24) as u8
}

#[test]
fn a_large_collection_is_dumped_and_one_that_is_too_large_is_rejected_by_name() {
    let (case, mut redis) = case();
    let value = vec![b'v'; 1 << 20];
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..65 {
        redis.integer(&[&b"RPUSH"[..], b"large", &value]);
        let noise: Vec<u8> = std::iter::repeat_with(|| xorshift(&mut state)).take(1 << 20).collect();
        redis.integer(&[&b"RPUSH"[..], b"noise", &noise]);
    }
    redis.say("SETRANGE huge 140000000 x");
    redis.say("SET small 1");
    let outcome = case.run_config(KEYS, &[]).exits(3);
    assert_eq!(outcome.reasons("keys").into_iter().collect::<Vec<_>>(), [("value_too_large".to_owned(), 2)]);
    assert_eq!(
        (&outcome.reject("huge")["reason"], &outcome.reject("huge")["redis_type"]),
        (&"value_too_large".into(), &"string".into())
    );
    assert_eq!(case.sql("SELECT encode(key, 'escape') FROM keys ORDER BY 1"), "large\nsmall");
    let mut other = Client::open(&support::redis_database());
    let _ = other.answer(&[&b"RESTORE"[..], b"large", b"0", &stored(&case, "large")]);
    assert_eq!(other.integer(&[&b"LLEN"[..], b"large"]), 65);
}

#[test]
fn elements_of_a_large_collection_know_what_is_known_of_its_key() {
    let (case, mut redis) = case();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE items (id text, item text, ttl bigint, type text, PRIMARY KEY (id, item))",
    );
    for chunk in 0..20 {
        let items: Vec<String> = (0..1000).map(|number| format!("{:x<60}{chunk}-{number}", "item")).collect();
        let mut words: Vec<&[u8]> = vec![b"SADD", b"items:1"];
        words.extend(items.iter().map(|item| item.as_bytes()));
        redis.integer(&words);
    }
    redis.say("PEXPIRE items:1 600000");
    let mapping = r#"
[[mapping]]
name = "items"
match = "items:{id}"
type = "set"
explode = true
into = "public.items"
key = ["id", "item"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "item", from = ["$.member"] },
  { name = "ttl", from = ["redis.ttl"] },
  { name = "type", from = ["redis.type"] },
]
"#;
    case.run_config(mapping, &[]).exits(0);
    assert_eq!(
        case.sql("SELECT count(*), bool_and(ttl BETWEEN 500000 AND 600000), min(type), max(type) FROM items"),
        "20000|t|set|set"
    );
}
