//! Keys that are several rows: all of them must be equal, and the key as a whole must be as it was read.

use crate::support::Case;
use crate::{came_to, ends, is_there, keys, said};

const TABLES: &str = "SET ROLE redis2pg; \
    CREATE TABLE fields (id text, field text, value text, PRIMARY KEY (id, field)); \
    CREATE TABLE lines (doc text, sku text, n int, PRIMARY KEY (doc, sku)); \
    CREATE TABLE tags (id text, tag text, PRIMARY KEY (id, tag)); \
    CREATE TABLE scores (id text, member text, score double precision, PRIMARY KEY (id, member)); \
    CREATE TABLE events (id text, entry text, kind text, PRIMARY KEY (id, entry))";

const MAPPINGS: &str = r#"
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
name = "tags"
match = "tags:{id}"
type = ["set", "list"]
explode = true
into = "public.tags"
key = ["id", "tag"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "tag", from = ["$.member", "$.value"] },
]

[[mapping]]
name = "scores"
match = "scores:{id}"
type = "zset"
explode = true
into = "public.scores"
key = ["id", "member"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "member", from = ["$.member"] },
  { name = "score", from = ["$.score"] },
]

[[mapping]]
name = "events"
match = "events:{id}"
type = "stream"
explode = true
into = "public.events"
key = ["id", "entry"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "entry", from = ["$.id"] },
  { name = "kind", from = ["$.fields.kind"] },
]

[[mapping]]
name = "lines"
match = "doc:{id}"
explode = "$.lines"
into = "public.lines"
key = ["doc", "sku"]
column = [
  { name = "doc", from = ["{id}"] },
  { name = "sku", from = ["$.sku"] },
  { name = "n", from = ["$.n"] },
]
"#;

fn case() -> Case {
    let case = Case::new();
    case.sql(TABLES);
    let mut redis = case.redis();
    redis.say("HSET hash:1 a 1 b 2 c 3");
    redis.say("HSET hash:2 a 1");
    redis.say("HSET hash:3 a 1 b 2");
    redis.say("SADD tags:1 red blue");
    redis.say("RPUSH tags:2 green white");
    redis.say("ZADD scores:1 1.5 ann 0.1 bob");
    redis.say("XADD events:1 17-0 kind click");
    redis.say("XADD events:1 17-1 kind scroll");
    redis.set("doc:1", r#"{"lines":[{"sku":"a","n":1},{"sku":"b","n":2}]}"#);
    redis.set("doc:2", r#"{"lines":[]}"#);
    case
}

#[test]
fn a_key_goes_when_all_its_rows_are_equal_and_stays_when_one_is_not() {
    let case = case();
    ends(case.run_config(MAPPINGS, &[]), 0);
    case.sql("DELETE FROM fields WHERE id = '1' AND field = 'b'");
    case.sql("UPDATE fields SET value = 'x' WHERE id = '3' AND field = 'a'");
    let outcome = ends(case.cleanup(MAPPINGS, &["--yes"]), 0);
    came_to(&outcome, 6, &[("missing", 1), ("newer", 1), ("no_row", 1)]);
    assert_eq!(keys(&case), 3);
    for (key, reason) in [("hash:1", "missing"), ("hash:3", "newer"), ("doc:2", "no_row")] {
        assert!(is_there(&case, key), "{key}");
        assert_eq!(said(&outcome, key)["reason"], reason);
    }
}

#[test]
fn a_row_of_an_element_that_is_gone_keeps_the_key() {
    let case = case();
    ends(case.run_config(MAPPINGS, &[]), 0);
    case.redis().say("HDEL hash:1 b");
    let outcome = ends(case.cleanup(MAPPINGS, &["--yes"]), 0);
    came_to(&outcome, 7, &[("extra", 1), ("no_row", 1)]);
}

#[test]
fn lineage_of_each_row_counts() {
    let case = case();
    ends(case.run_config(MAPPINGS, &[]), 0);
    // One of three rows is not known to be of this key.
    case.sql("DELETE FROM redis2pg.loaded WHERE table_name = 'public.fields' AND row_key = '{\"id\": \"1\", \"field\": \"c\"}'");
    let outcome = ends(case.cleanup(MAPPINGS, &["--yes"]), 0);
    came_to(&outcome, 7, &[("no_lineage", 1), ("no_row", 1)]);
    assert!(is_there(&case, "hash:1"));
}

/// Beyond a megabyte a collection is read in slices, and its rows go through several batches.
#[test]
fn a_large_collection_is_known_as_a_whole() {
    let case = Case::new();
    case.sql(TABLES);
    let mut redis = case.redis();
    for (key, command) in [("hash:big", "HSET"), ("tags:big", "SADD"), ("tags:list", "RPUSH"), ("scores:big", "ZADD")] {
        for part in 0..20 {
            let mut words: Vec<Vec<u8>> = vec![command.into(), key.into()];
            for n in part * 1000..(part + 1) * 1000 {
                let name = format!("{n:06}{}", "x".repeat(60));
                match command {
                    "HSET" => words.extend([name.into_bytes(), n.to_string().into_bytes()]),
                    "ZADD" => words.extend([format!("{n}.1").into_bytes(), name.into_bytes()]),
                    _ => words.push(name.into_bytes()),
                }
            }
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            redis.integer(&words);
        }
    }
    ends(case.run_config(MAPPINGS, &[]), 0);
    redis.say("HSET hash:other a 1");
    let outcome = ends(case.cleanup(MAPPINGS, &["--yes", "--batch-rows", "700"]), 0);
    came_to(&outcome, 4, &[("missing", 1)]);
    assert_eq!(keys(&case), 1);
}

/// What the deleted key held is in PostgreSQL alone: that a new key of its name has other elements says nothing of it.
#[test]
fn a_key_that_is_made_anew_takes_no_row_of_the_one_that_was_deleted() {
    let case = case();
    ends(case.run_config(MAPPINGS, &[]), 0);
    ends(case.cleanup(MAPPINGS, &["--yes"]), 0);
    let mut redis = case.redis();
    redis.say("HSET hash:1 new 1");
    redis.say("SADD tags:1 yellow");
    redis.say("RPUSH tags:2 white");
    redis.say("ZADD scores:1 3 carl");
    redis.say("XADD events:1 18-0 kind click");
    redis.set("doc:1", r#"{"lines":[{"sku":"b","n":5}]}"#);
    let run = ends(case.run_config(MAPPINGS, &["--delete-gone"]), 0);
    assert_eq!(
        case.sql("SELECT string_agg(field, ',' ORDER BY field) FROM fields WHERE id = '1'"),
        "a,b,c,new",
        "{run}"
    );
    assert_eq!(case.sql("SELECT string_agg(tag, ',' ORDER BY id, tag) FROM tags"), "blue,red,yellow,green,white");
    assert_eq!(case.sql("SELECT string_agg(member, ',' ORDER BY member) FROM scores"), "ann,bob,carl");
    assert_eq!(case.number("SELECT count(*) FROM events"), 3);
    assert_eq!(case.sql("SELECT string_agg(sku || n, ',' ORDER BY sku) FROM lines"), "a1,b5");
    // What the new key loses is gone as ever.
    redis.say("HDEL hash:1 new");
    redis.say("HSET hash:1 newer 1");
    ends(case.run_config(MAPPINGS, &[]), 0);
    assert_eq!(case.sql("SELECT string_agg(field, ',' ORDER BY field) FROM fields WHERE id = '1'"), "a,b,c,newer");
    let validation = ends(case.validate(MAPPINGS, &[]), 0);
    assert_eq!(validation.report["validation_passed"], true);
    let fields = &validation.report["validation"]["mappings"]["fields"];
    // Rows of the key that was deleted are not extra to the one that is there.
    assert_eq!((&fields["keys"]["extra"], &fields["keys"]["equal"]), (&0.into(), &1.into()), "{validation}");
    assert_eq!((&fields["rows"]["cleaned"], &fields["rows"]["equal"]), (&6.into(), &1.into()), "{validation}");
}

/// How often an element is there says only the key: whether its rows come in one batch or in several.
#[test]
fn a_key_whose_equal_elements_are_one_row_stays_and_is_counted() {
    for batches in [&["--batch-rows", "2"][..], &[]] {
        let case = Case::new();
        case.sql(TABLES);
        let mut redis = case.redis();
        redis.say("RPUSH tags:equal home cart home home");
        redis.say("RPUSH tags:each home cart");
        redis.say("SADD tags:set home cart");
        redis.set("doc:equal", r#"{"lines":[{"sku":"A","n":1},{"sku":"B","n":2},{"sku":"A","n":1}]}"#);
        redis.set("doc:each", r#"{"lines":[{"sku":"A","n":1},{"sku":"B","n":2}]}"#);
        let repaired = |outcome: &crate::support::Outcome, mapping: &str| {
            outcome.report["mappings"][mapping]["altered"]["equal_elements"].as_i64()
        };
        for (args, loads) in [(&["--dry-run"][..], false), (&[], true), (&[], false)] {
            let run = ends(case.run_config(MAPPINGS, &[args, batches].concat()), 0);
            let expected = (loads || !args.is_empty()).then_some(1);
            if expected.is_some() {
                assert_eq!(
                    (repaired(&run, "tags"), repaired(&run, "lines")),
                    (Some(1), Some(1)),
                    "{run}\n{:#}",
                    run.report
                );
            }
        }
        let outcome = ends(case.cleanup(MAPPINGS, &[&["--yes"], batches].concat()), 0);
        came_to(&outcome, 3, &[("equal_elements", 2)]);
        assert!(is_there(&case, "tags:equal") && is_there(&case, "doc:equal"));
        assert!(said(&outcome, "tags:equal")["detail"].as_str().unwrap().contains("element.index"));
    }
}

/// A list that is read in parts: they may be far apart.
#[test]
fn equal_elements_in_several_parts_of_a_list_keep_it() {
    let case = Case::new();
    case.sql(TABLES);
    let mut redis = case.redis();
    for (key, last) in [("tags:equal", "3"), ("tags:each", "last")] {
        const FILL: &str = "for i = 1, 30000 do redis.call('RPUSH', KEYS[1], string.rep('x', 60) .. i) end \
            redis.call('RPUSH', KEYS[1], ARGV[1]) return redis.call('LLEN', KEYS[1])";
        let last = if last == "last" { last.to_owned() } else { format!("{}{last}", "x".repeat(60)) };
        assert_eq!(redis.integer(&[b"EVAL", FILL.as_bytes(), b"1", key.as_bytes(), last.as_bytes()]), 30_001);
    }
    ends(case.run_config(MAPPINGS, &[]), 0);
    came_to(&ends(case.cleanup(MAPPINGS, &["--yes"]), 0), 1, &[("equal_elements", 1)]);
    assert_eq!((is_there(&case, "tags:equal"), keys(&case)), (true, 1));
}
