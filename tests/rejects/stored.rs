//! What is kept with a reject, for every way in which a key can come to one.

use crate::states;
use crate::support::Case;

const TABLES: &str = "SET ROLE redis2pg;
    CREATE TABLE docs (id text PRIMARY KEY, n integer CHECK (n < 500), name varchar(5) NOT NULL DEFAULT '', mood text,
        at timestamptz, body jsonb, parent text, spot point);
    CREATE TABLE fields (id text, field text, value integer CHECK (value <> 77), PRIMARY KEY (id, field));
    CREATE FUNCTION moods() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF new.mood = 'sad' THEN RAISE EXCEPTION 'no'; END IF; RETURN new; END $$;
    CREATE TRIGGER moods BEFORE INSERT ON docs FOR EACH ROW EXECUTE FUNCTION moods()";

const MAPPINGS: &str = r#"
[[mapping]]
name = "docs"
match = "doc:{id}"
type = ["string", "hash"]
into = "public.docs"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
  { name = "name", from = ["$.name"] },
  { name = "mood", from = ["$.mood"] },
  { name = "at", from = ["redis.expires_at"] },
  { name = "spot", from = ["$.spot"] },
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
"#;

/// Key, reason, column, path, SQLSTATE, type, whether the value is a part, and the value.
const KEPT: &str = "SELECT concat_ws(' ', convert_from(key, 'UTF8'), reason, coalesce(column_name, '-'), coalesce(path, '-'), \
    coalesce(sqlstate, '-'), redis_type, coalesce(value_part::text, '-'), coalesce(encode(value, 'escape'), '-')) \
    FROM redis2pg.rejects ORDER BY key";

fn fill(case: &Case) {
    let mut redis = case.redis();
    for (key, value) in [
        ("decode", "{"),
        ("encode", r#"{"n":"x"}"#),
        ("long", r#"{"name":"too long"}"#),
        ("check", r#"{"n":501}"#),
        ("trigger", r#"{"mood":"sad"}"#),
        ("cast", r#"{"spot":"here"}"#),
    ] {
        redis.set(&format!("doc:{key}"), value);
        redis.say(&format!("PEXPIREAT doc:{key} 7258118400123"));
    }
    for n in 0..50 {
        redis.set(&format!("doc:good{n}"), &format!(r#"{{"n":{n}}}"#));
    }
    redis.say("HSET doc:hash n 502");
    redis.say("RPUSH doc:list a");
    redis.say("HSET hash:1 a 1 b x");
    redis.say("HSET hash:2 a 77 b 1");
}

/// As [`KEPT`] gives it: a list whatever way the rows take.
const EXPECTED: &str = r#"doc:cast type_input spot - 22P02 string false {"spot":"here"}
doc:check check - - 23514 string false {"n":501}
doc:decode json_syntax - $ - string false {
doc:encode integer n $.n - string false {"n":"x"}
doc:hash check - - 23514 hash false \000\000\000\x01n\000\000\000\x03502
doc:list redis_type (list) - - - list - -
doc:long too_long name $.name - string false {"name":"too long"}
doc:trigger refused - - P0001 string false {"mood":"sad"}
hash:1 integer value $.value - hash true \000\000\000\x01b\000\000\000\x01x
hash:2 check - - 23514 hash true \000\000\000\x01a\000\000\000\x0277"#;

#[test]
fn every_kind_of_reject_keeps_the_value_and_what_loads_it_later() {
    for staging in ["auto", "always"] {
        let case = Case::new();
        case.sql(TABLES);
        fill(&case);
        let run = case.run_config(MAPPINGS, &["--staging", staging]).exits(3);
        assert_eq!(run.count("docs", "inserted"), 50, "{run}");
        let expected = EXPECTED.replace("\\x01", "\u{1}").replace("\\x02", "\u{2}").replace("\\x03", "\u{3}");
        assert_eq!(case.sql(KEPT), expected, "{staging}");
        let beside = "SELECT count(*) FILTER (WHERE expires_at_ms = 7258118400123), \
             count(*) FILTER (WHERE octet_length(whole_value) IN (20, 21)), \
             count(*) FILTER (WHERE value_hash = encode(sha256(value), 'hex') AND value_size = octet_length(value)), \
             count(DISTINCT table_name), bool_and(phase = 1 AND redis_db IS NULL AND attempts = 1) FROM redis2pg.rejects";
        assert_eq!(case.sql(beside), "6|2|9|2|t", "{staging}");
    }
}

#[test]
fn a_child_without_a_parent_keeps_its_value_too() {
    let case = Case::new();
    let orphan = r#"{"document_id":"00000000-0000-4000-8000-000000000009","analysis":{"summary":"s"}}"#;
    case.redis().set("analysis:00000000-0000-4000-8000-000000000001", orphan);
    case.run(&[]).exits(3);
    let kept = "SELECT reason, column_name, phase, value_part, convert_from(value, 'UTF8') FROM redis2pg.rejects";
    assert_eq!(case.sql(kept), format!("missing_parent|document_id|2|f|{orphan}"));
}

/// Nodes that refer to one another; the root is broken.
#[test]
fn rows_of_one_table_that_wait_for_one_another_are_loaded_once_the_first_is_mended() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE nodes (id text PRIMARY KEY, parent text REFERENCES nodes)");
    let config = r#"
[[mapping]]
name = "nodes"
match = "node:{id}"
into = "public.nodes"
key = ["id"]
parents = [{ mapping = "nodes", column = "parent" }]
column = [{ name = "id", from = ["{id}"] }, { name = "parent", from = ["$.parent"] }]
"#;
    let mut redis = case.redis();
    redis.set("node:0", "{");
    for n in 1..40 {
        redis.set(&format!("node:{n}"), &format!(r#"{{"parent":"{}"}}"#, n - 1));
    }
    let run = case.run_config(config, &[]).exits(3);
    assert_eq!(
        run.reasons("nodes"),
        [("json_syntax".to_owned(), 1), ("missing_parent".to_owned(), 39)].into(),
        "{run}"
    );
    redis.set("node:0", "{}");
    // One of them has gone, and is loaded from its stored value.
    redis.say("DEL node:7");
    let retry = case.retry(config, &["--batch-rows", "3"]).exits(0);
    assert_eq!((retry.total("inserted"), states(&case)), (40, [0, 0, 40]), "{retry}");
    assert_eq!(case.number("SELECT count(*) FROM nodes"), 40);
}
