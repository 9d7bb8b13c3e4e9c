//! Keys that have gone from Redis: they are loaded from what the ledger kept of them.

use crate::support::{Case, until, while_they_live};
use crate::{ITEMS, TABLE, states};

const TYPES: &str = "SET ROLE redis2pg;
    CREATE TABLE things (key text PRIMARY KEY, kind text, value jsonb, expires_at timestamptz, CHECK (kind = 'none'));
    CREATE TABLE fields (id text, field text, value integer, PRIMARY KEY (id, field));
    CREATE TABLE dumps (key text PRIMARY KEY, dump bytea, ttl bigint, CHECK (ttl = 0))";

const MAPPINGS: &str = r#"
[[mapping]]
name = "things"
match = "thing:{id}"
type = ["string", "hash", "list", "set", "zset", "stream"]
into = "public.things"
key = ["key"]
column = [
  { name = "key", from = ["redis.key"] },
  { name = "kind", from = ["redis.type"] },
  { name = "value", from = ["$"] },
  { name = "expires_at", from = ["redis.expires_at"] },
]

[[mapping]]
name = "fields"
match = "hash:{id}"
type = "hash"
explode = true
into = "public.fields"
key = ["id", "field"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "field", from = ["$.field"] },
  { name = "value", from = ["$.value"] },
]

[[mapping]]
name = "dumps"
match = "dump:{id}"
type = "any"
into = "public.dumps"
key = ["key"]
column = [
  { name = "key", from = ["redis.key"] },
  { name = "dump", from = ["redis.dump"] },
  { name = "ttl", from = ["redis.ttl"] },
]
"#;

#[test]
fn a_vanished_key_of_every_type_is_loaded_from_its_stored_value() {
    let case = Case::new();
    case.sql(TYPES);
    let mut redis = case.redis();
    redis.set("thing:string", r#"{"a":1.10}"#);
    redis.say("HSET thing:hash b 2 a 1");
    redis.say("RPUSH thing:list x y x");
    redis.say("SADD thing:set b a");
    redis.say("ZADD thing:zset 1.5 m -2 n");
    redis.say("XADD thing:stream 5-1 kind click");
    redis.say("PEXPIREAT thing:hash 7258118400123");
    redis.say("HSET hash:1 a 1 b two c 3");
    redis.say("SET dump:1 x");
    redis.say("EXPIRE dump:1 1000");
    let dump = redis.bytes(&[b"DUMP", b"dump:1"]);
    let first = case.run_config(MAPPINGS, &[]).exits(3);
    assert_eq!(first.total("matched"), 8, "{first}");
    assert_eq!(states(&case), [8, 0, 0], "{first}");
    assert_eq!(case.sql("SELECT field FROM fields ORDER BY 1"), "a\nc");
    redis.say("FLUSHDB");

    // Rejected again: what was kept stays.
    let again = case.retry(MAPPINGS, &["--value-cap", "0"]).exits(3);
    assert_eq!(
        (again.total("matched"), again.report["tally"]["altered"]["stored_value"].as_i64()),
        (8, Some(8)),
        "{again}"
    );
    assert_eq!(states(&case), [8, 0, 0]);

    case.sql(
        "ALTER TABLE things DROP CONSTRAINT things_kind_check; ALTER TABLE dumps DROP CONSTRAINT dumps_ttl_check; \
         ALTER TABLE fields ALTER value TYPE text",
    );
    let retry = case.retry(MAPPINGS, &[]).exits(0);
    assert_eq!(retry.report["tally"]["altered"]["stored_value"].as_i64(), Some(8), "{retry}");
    assert!(retry.report["notices"].to_string().contains("8 keys have gone from Redis"), "{retry}");
    assert!(retry.stdout.contains("repaired 8: stored_value"), "{retry}");
    assert_eq!((retry.total("inserted"), retry.total("updated")), (7, 1), "{retry}");
    assert_eq!(
        case.sql("SELECT kind, value, extract(epoch FROM expires_at) FROM things ORDER BY 1"),
        "hash|{\"a\": \"1\", \"b\": \"2\"}|7258118400.123000\nlist|[\"x\", \"y\", \"x\"]|\nset|[\"a\", \"b\"]|\n\
         stream|[{\"id\": \"5-1\", \"fields\": {\"kind\": \"click\"}}]|\nstring|{\"a\": 1.10}|\n\
         zset|[{\"score\": -2, \"member\": \"n\"}, {\"score\": 1.5, \"member\": \"m\"}]|"
    );
    assert_eq!(case.sql("SELECT field, value FROM fields ORDER BY 1"), "a|1\nb|two\nc|3");
    let hex: String = dump.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(case.sql("SELECT encode(dump, 'hex'), ttl BETWEEN 900000 AND 1000000 FROM dumps"), format!("{hex}|t"));
}

#[test]
fn a_vanished_key_whose_value_was_not_kept_stays_open_and_is_told() {
    let case = Case::new();
    case.sql(TABLE);
    let mut redis = case.redis();
    redis.set("item:long", &format!(r#"{{"n":"{}"}}"#, "x".repeat(100)));
    redis.set("item:short", r#"{"n":"x"}"#);
    redis.say("RPUSH item:list a");
    case.run_config(ITEMS, &["--value-cap", "50"]).exits(3);
    redis.say("FLUSHDB");
    case.sql("ALTER TABLE items ALTER n TYPE text");
    let retry = case.retry(ITEMS, &[]).exits(3);
    assert_eq!((retry.total("inserted"), retry.report["tally"]["skipped"]["gone"].as_i64()), (1, Some(2)), "{retry}");
    assert!(retry.report["notices"].to_string().contains("2 keys cannot be loaded"), "{retry}");
    assert_eq!(states(&case), [2, 0, 1]);
    let left = "SELECT reason, attempts, value_size FROM redis2pg.rejects WHERE state = 'open' ORDER BY reason";
    assert_eq!(case.sql(left), "integer|2|108\nredis_type (list)|2|");
}

#[test]
fn a_vanished_key_that_has_expired_is_closed_where_its_mapping_skips_expired_keys() {
    let config = ITEMS.replace("column = [", "column = [\n  { name = \"expires\", from = [\"redis.expires_at\"] },");
    let (case, mut redis, kept) = while_they_live(1500, |life| {
        let case = Case::new();
        case.sql(&format!("{TABLE}; ALTER TABLE items ADD CHECK (n > 0), ADD expires timestamptz"));
        let mut redis = case.redis();
        redis.say(&format!(r#"SET item:soon {{"n":0}} PX {life}"#));
        redis.say(r#"SET item:late {"n":0} PX 900000"#);
        let kept = case.run_config(&config, &[]);
        (redis.say("EXISTS item:soon") == ":1").then_some((case, redis, kept))
    });
    let kept = kept.exits(3);
    assert!(kept.rejects.iter().all(|reject| reject["expires_at_ms"].is_i64()), "{kept}");
    assert_eq!(kept.rejects.len(), 2, "{kept}");
    until("it expires", || redis.say("EXISTS item:soon") == ":0");
    redis.say("DEL item:late");
    case.sql("ALTER TABLE items DROP CONSTRAINT items_n_check");
    let retry = case.retry(&config, &[]).exits(0);
    assert_eq!(
        (retry.total("inserted"), retry.report["tally"]["skipped"]["expired"].as_i64()),
        (1, Some(1)),
        "{retry}"
    );
    assert_eq!(states(&case), [0, 0, 2]);
    assert_eq!(case.sql("SELECT id FROM items"), "late");
}

#[test]
fn a_vanished_child_that_waits_for_its_parent_is_counted_once() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE owners (id text PRIMARY KEY, age integer); \
         CREATE TABLE pets (id text PRIMARY KEY, owner text REFERENCES owners)",
    );
    let config = r#"
[[mapping]]
name = "owners"
match = "owner:{id}"
into = "public.owners"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }]

[[mapping]]
name = "pets"
match = "pet:{id}"
into = "public.pets"
key = ["id"]
parents = [{ mapping = "owners", column = "owner" }]
column = [{ name = "id", from = ["{id}"] }, { name = "owner", from = ["$.owner"] }]
"#;
    let mut redis = case.redis();
    redis.set("pet:1", "\u{feff}{\"owner\":\"ann\"}");
    redis.set("owner:bob", "{}");
    // A parent that a mistake in the mapping rejects.
    redis.set("owner:dan", r#"{"age":"old"}"#);
    redis.set("pet:2", r#"{"owner":"dan"}"#);
    let id = r#"column = [{ name = "id", from = ["{id}"] }]"#;
    let aged = r#"column = [{ name = "id", from = ["{id}"] }, { name = "age", from = ["$.age"] }]"#;
    let first = case.run_config(&config.replace(id, aged), &[]).exits(3);
    assert_eq!(first.report["tally"]["altered"], serde_json::json!({}), "what is rejected is not repaired: {first}");
    redis.say("DEL pet:1 pet:2 owner:dan");
    redis.set("owner:ann", "{}");
    let dry = case.retry(config, &["--dry-run"]).exits(0);
    assert_eq!(dry.total("would_load"), 3, "a parent whose value was kept: {dry}");
    let retry = case.retry(config, &[]).exits(0);
    assert_eq!(retry.report["tally"]["altered"], serde_json::json!({"bom": 1, "stored_value": 3}), "{retry}");
    assert_eq!((retry.total("inserted"), states(&case)), (4, [0, 0, 3]), "{retry}");
    assert_eq!(case.sql("SELECT id, owner FROM pets ORDER BY 1"), "1|ann\n2|dan");
}
