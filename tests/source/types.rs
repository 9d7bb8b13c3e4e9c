//! Hashes, lists, sets, sorted sets and streams become rows, small ones and large ones.

use crate::support;

use support::{Case, Client};

const TABLES: &str = "SET ROLE redis2pg; CREATE TABLE users (id text PRIMARY KEY, name text, age integer, whole jsonb);
    CREATE TABLE bags (id text PRIMARY KEY, items jsonb NOT NULL);";

const MAPPINGS: &str = r#"
[[mapping]]
name = "users"
match = "user:{id}"
type = ["hash", "string"]
into = "public.users"
key = ["id"]
[[mapping.column]]
name = "id"
from = ["{id}"]
[[mapping.column]]
name = "name"
from = ["$.name"]
required = true
[[mapping.column]]
name = "age"
from = ["$.age"]
[[mapping.column]]
name = "whole"
from = ["$"]

[[mapping]]
name = "bags"
match = "bag:{id}"
type = ["list", "set", "zset", "stream"]
into = "public.bags"
key = ["id"]
[[mapping.column]]
name = "id"
from = ["{id}"]
[[mapping.column]]
name = "items"
from = ["$"]
"#;

fn case() -> (Case, Client) {
    let case = Case::new();
    case.sql(TABLES);
    let redis = case.redis();
    (case, redis)
}

#[test]
fn every_type_becomes_json_and_a_type_that_is_not_wanted_is_rejected_by_name() {
    let (case, mut redis) = case();
    redis.say("HSET user:1 name Ann age 41 quote\"d Zoë");
    redis.set("user:2", r#"{"name":"Bob","age":7}"#);
    redis.say("RPUSH user:3 x");
    redis.say("HSET user:4 age none");
    redis.say("RPUSH bag:list b a b");
    redis.say("SADD bag:set y x");
    redis.say("ZADD bag:zset 2.5 second -1 first");
    redis.say("XADD bag:stream 5-1 kind click at top");
    redis.say("XADD bag:stream 18446744073709551615-1 kind end");
    redis.say("PFADD bag:hll x");
    redis.set("other", "1");
    let outcome = case.run_config(MAPPINGS, &[]);
    let outcome = outcome.exits(3);
    assert_eq!(
        case.sql("SELECT id, name, age FROM users ORDER BY id"),
        "1|Ann|41\n2|Bob|7",
        "a hash and a string with the same fields are the same"
    );
    assert_eq!(
        case.sql(r#"SELECT whole = '{"name":"Ann","age":"41","quote\"d":"Zoë"}' FROM users WHERE id = '1'"#),
        "t"
    );
    let items = |id: &str| case.json(&format!("SELECT items FROM bags WHERE id = '{id}'"));
    assert_eq!(items("list"), serde_json::json!(["b", "a", "b"]));
    assert_eq!(items("set"), serde_json::json!(["x", "y"]));
    assert_eq!(
        items("zset"),
        serde_json::json!([{"member": "first", "score": -1}, {"member": "second", "score": 2.5}])
    );
    assert_eq!(
        items("stream"),
        serde_json::json!([
            {"id": "5-1", "fields": {"kind": "click", "at": "top"}},
            {"id": "18446744073709551615-1", "fields": {"kind": "end"}}
        ])
    );
    let rejected = |mapping: &str| outcome.reasons(mapping).into_iter().collect::<Vec<_>>();
    assert_eq!(rejected("users"), [("field_missing".to_owned(), 1), ("redis_type (list)".to_owned(), 1)]);
    assert_eq!(rejected("bags"), [("redis_type (string)".to_owned(), 1)]);
    assert_eq!(outcome.reject("user:4")["redis_type"], "hash");
    let again = case.run_config(MAPPINGS, &[]);
    let again = again.exits(3);
    assert_eq!((again.total("unchanged"), again.total("updated")), (6, 0));
    redis.say("HSET user:1 age 42");
    let changed = case.run_config(MAPPINGS, &[]);
    assert_eq!((changed.total("unchanged"), changed.total("updated")), (5, 1));
}

#[test]
fn binary_items_cost_no_other_key_its_place() {
    let (case, mut redis) = case();
    redis.integer(&[&b"HSET"[..], b"user:bad", b"name", b"\xff"]);
    redis.integer(&[&b"HSET"[..], b"user:nul", b"name", b"a\0b"]);
    redis.integer(&[&b"HSET"[..], b"user:good", b"name", b"x"]);
    redis.integer(&[&b"ZADD"[..], b"bag:inf", b"inf", b"m"]);
    // A reject's path is text in PostgreSQL too.
    redis.integer(&[&b"HSET"[..], b"user:odd", b"a\0\"b\n", b"\xff"]);
    let outcome = case.run_config(MAPPINGS, &[]);
    let outcome = outcome.exits(3);
    assert_eq!(case.sql("SELECT id FROM users"), "good");
    assert_eq!(outcome.reject("user:bad")["path"], "$.name");
    assert_eq!(outcome.reject("user:odd")["path"], r#"$["a\u0000\"b\n"]"#);
    assert_eq!(outcome.reject("user:nul")["reason"], "json_nul");
    assert_eq!(outcome.reject("bag:inf")["reason"], "json_nonfinite");
}

#[test]
fn large_collections_are_read_in_slices_and_are_whole() {
    let (case, mut redis) = case();
    for chunk in 0..30 {
        let words: Vec<String> = (0..1000).map(|number| format!("{:x<60}{chunk}-{number}", "item")).collect();
        for command in [["RPUSH", "bag:list"], ["SADD", "bag:set"]] {
            let mut parts: Vec<&[u8]> = command.iter().map(|word| word.as_bytes()).collect();
            parts.extend(words.iter().map(|word| word.as_bytes()));
            redis.integer(&parts);
        }
        let fields: Vec<String> = words.iter().flat_map(|word| [word.clone(), "v".to_owned()]).collect();
        let mut hash: Vec<&[u8]> = vec![b"HSET", b"user:big", b"name", b"big"];
        hash.extend(fields.iter().map(|word| word.as_bytes()));
        redis.integer(&hash);
        let mut scores: Vec<&[u8]> = vec![b"ZADD", b"bag:zset"];
        let numbered: Vec<String> =
            words.iter().enumerate().flat_map(|(n, word)| [(chunk * 1000 + n).to_string(), word.clone()]).collect();
        scores.extend(numbered.iter().map(|word| word.as_bytes()));
        redis.integer(&scores);
        for word in &words {
            let _ = redis.answer(&[&b"XADD"[..], b"bag:stream", b"*", b"word", word.as_bytes()]);
        }
    }
    let outcome = case.run_config(MAPPINGS, &[]);
    let _ = outcome.exits(0);
    assert_eq!(
        case.sql("SELECT id, jsonb_array_length(items) FROM bags ORDER BY id"),
        "list|30000\nset|30000\nstream|30000\nzset|30000"
    );
    assert_eq!(case.number("SELECT count(*) FROM users, jsonb_object_keys(whole)"), 30_001);
    assert_eq!(
        case.sql("SELECT (items -> 0 ->> 'score') || ' ' || (items -> -1 ->> 'score') FROM bags WHERE id = 'zset'"),
        "0 29999"
    );
}

#[test]
fn items_are_repaired_as_the_mapping_says_and_counted_once_for_a_key() {
    let (case, mut redis) = case();
    redis.integer(&[&b"HSET"[..], b"user:latin1", b"name", b"caf\xe9", b"city", b"K\xf6ln"]);
    redis.integer(&[&b"HSET"[..], b"user:nul", b"name", b"a\0b"]);
    redis.integer(&[&b"HSET"[..], b"user:fine", b"name", b"Zo\xc3\xab"]);
    // Two fields that are one once they are repaired.
    redis.integer(&[&b"HSET"[..], b"user:equal", b"name", b"x", b"na\0me", b"y"]);
    let policies = |settings: &str| MAPPINGS.replace("name = \"users\"", &format!("name = \"users\"\n{settings}"));
    let config = policies("invalid_utf8 = \"latin1\"\nnul = \"strip\"");
    let outcome = case.run_config(&config, &[]).exits(3);
    assert_eq!(
        case.sql("SELECT id, name, whole ->> 'city' FROM users ORDER BY 1"),
        "fine|Zoë|\nlatin1|café|Köln\nnul|ab|"
    );
    let altered = &outcome.report["tally"]["altered"];
    assert_eq!(altered, &serde_json::json!({"invalid_utf8": 1, "nul": 1}), "{outcome}");
    let equal = outcome.reject("user:equal");
    assert_eq!((&equal["reason"], &equal["path"]), (&"duplicate_key_after_conversion".into(), &"$.name".into()));

    redis.say("FLUSHDB");
    redis.integer(&[&b"HSET"[..], b"user:bytes", b"name", b"n", b"\xff", b"1", b"/w==", b"2"]);
    let outcome = case.run_config(&policies("bytes = \"base64\""), &[]).exits(3);
    assert_eq!(outcome.reject("user:bytes")["reason"], "duplicate_key_after_conversion");
}

#[test]
fn items_that_are_json_are_judged_and_repaired_like_any_json() {
    let (case, mut redis) = case();
    let mut field = |key: &str, value: &[u8]| redis.integer(&[b"HSET", key.as_bytes(), b"name", b"\"n\"", b"f", value]);
    field("user:bom", b"\xef\xbb\xbf{\"a\":1.10}");
    field("user:nul", br#"{"a":["x\u0000y"]}"#);
    field("user:twice", br#"{"a":{"b":1,"b":2}}"#);
    field("user:nan", br#"{"a":NaN}"#);
    field("user:gzip", b"\x1f\x8b\x08\x00");
    field("user:empty", b"");
    field("user:cut", br#"{"a":[1,"#);
    let config = MAPPINGS.replace("name = \"users\"", "name = \"users\"\nitems = \"json\"");
    let outcome = case.run_config(&config, &[]).exits(3);
    assert_eq!(
        case.sql("SELECT id, whole -> 'f' FROM users ORDER BY 1"),
        "bom|{\"a\": 1.10}\ntwice|{\"a\": {\"b\": 2}}"
    );
    assert_eq!(outcome.report["tally"]["altered"], serde_json::json!({"bom": 1, "json_duplicate_key": 1}), "{outcome}");
    for (key, reason, path) in [
        ("user:nul", "json_nul", "$.f.a[0]"),
        ("user:nan", "json_nonfinite", "$.f.a"),
        ("user:gzip", "encoding_unsupported (gzip)", "$.f"),
        ("user:empty", "empty_value", "$.f"),
        ("user:cut", "json_syntax", "$.f.a[1]"),
    ] {
        let reject = outcome.reject(key);
        assert_eq!((&reject["reason"], &reject["path"]), (&reason.into(), &path.into()), "{reject}");
    }
    let settings = "items = \"json\"\nnul = \"strip\"\nnonfinite = \"null\"\nduplicate_keys = \"reject\"";
    let config = MAPPINGS.replace("name = \"users\"", &format!("name = \"users\"\n{settings}"));
    let outcome = case.run_config(&config, &[]).exits(3);
    assert_eq!(
        case.sql("SELECT id, whole -> 'f' FROM users WHERE id IN ('nan', 'nul') ORDER BY 1"),
        "nan|{\"a\": null}\nnul|{\"a\": [\"xy\"]}"
    );
    assert_eq!(outcome.reject("user:twice")["reason"], "json_duplicate_key");
    assert_eq!(
        outcome.report["tally"]["altered"],
        serde_json::json!({"bom": 1, "nonfinite": 1, "nul": 1}),
        "{outcome}"
    );
}

#[test]
fn words_for_nothing_are_null_only_where_a_column_says_so() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE files (id text PRIMARY KEY, size bigint, at timestamptz, active boolean, \
         title text, loose bigint, counted int NOT NULL DEFAULT 7)",
    );
    let mut redis = case.redis();
    for (key, field, value) in [
        ("size", "size", "None"),
        ("at", "at", "null"),
        ("active", "active", ""),
        ("title", "title", "undefined"),
        ("loose", "loose", "null"),
        ("empty", "loose", ""),
        ("other", "loose", "NULL"),
        ("counted", "counted", ""),
        ("absent", "nothing", "x"),
    ] {
        redis.integer(&[b"HSET", format!("file:{key}").as_bytes(), field.as_bytes(), value.as_bytes()]);
    }
    let config = r#"
[[mapping]]
name = "files"
match = "file:{id}"
type = "hash"
into = "public.files"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "size", from = ["$.size"] },
  { name = "at", from = ["$.at"] },
  { name = "active", from = ["$.active"] },
  { name = "title", from = ["$.title"] },
  { name = "loose", from = ["$.loose"], null_tokens = ["None", "null", ""] },
  { name = "counted", from = ["$.counted"] },
]
"#;
    let outcome = case.run_config(config, &[]).exits(3);
    assert_eq!(
        case.sql("SELECT id, title, loose, counted FROM files ORDER BY id"),
        "absent|||7\nempty|||7\nloose|||7\ntitle|undefined||7"
    );
    for (key, reason, shown) in [
        ("size", "integer", "None"),
        ("at", "timestamp_format", "null"),
        ("active", "boolean", "\"\""),
        ("other", "integer", "NULL"),
        ("counted", "integer", "\"\""),
    ] {
        let reject = outcome.reject(&format!("file:{key}"));
        assert_eq!(reject["reason"], reason, "{reject}");
        assert!(reject["detail"].as_str().unwrap_or_default().contains(shown), "{reject}");
    }
}

#[test]
fn a_cache_entry_of_dotnet_is_a_hash_with_json_and_ticks() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE entries (id text PRIMARY KEY, name text, expires timestamptz, data jsonb)",
    );
    let mut redis = case.redis();
    let mut entry = |key: &str, absexp: &str, data: &str| {
        let fields = ["absexp", absexp, "sldexp", "200000000", "data", data].map(str::as_bytes);
        redis.integer(&[&[b"HSET", key.as_bytes()], &fields[..]].concat());
    };
    entry("entry:1", "-1", r#"{"name":"a"}"#);
    entry("entry:2", "638397614451230000", r#"{"name":"b","n":1.10}"#);
    entry("entry:3", "200000000", r#"{"name":"c"}"#);
    entry("entry:4", "-1", "\u{1}\u{2}");
    let config = r#"
[[mapping]]
name = "entries"
match = "entry:{id}"
type = "hash"
into = "public.entries"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "name", from = [{ jq = ".data | fromjson | .name" }] },
  { name = "expires", from = ["$.absexp"], formats = ["dotnet_ticks"], null_tokens = ["-1"] },
  { name = "data", from = [{ source = "$.data", with = ["json"] }] },
]
"#;
    let outcome = case.run_config(config, &[]).exits(3);
    assert_eq!(
        case.sql("SET timezone = 'UTC'; SELECT * FROM entries ORDER BY id"),
        "1|a||{\"name\": \"a\"}\n2|b|2024-01-02 03:04:05.123+00|{\"n\": 1.10, \"name\": \"b\"}\n\
         3|c|0001-01-01 00:00:20+00|{\"name\": \"c\"}"
    );
    assert_eq!(outcome.rejects.len(), 1, "{outcome}");
}
