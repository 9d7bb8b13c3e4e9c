//! Rows of keys that are several rows: however often a run comes to a key, each of its rows is counted once.

use crate::support;

use serde_json::{Value, json};
use support::{Case, Client, Outcome};

const TABLES: &str = "SET ROLE redis2pg;
    CREATE TABLE products (id text, field text, value text, PRIMARY KEY (id, field));
    CREATE TABLE lines (doc text, sku text, amount integer, PRIMARY KEY (doc, sku));";

const MAPPINGS: &str = r#"
[[mapping]]
name = "products"
match = "product:{id}"
type = "hash"
explode = true
into = "public.products"
key = ["id", "field"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "field", from = ["$.field"] },
  { name = "value", from = ["$.value"] },
]

[[mapping]]
name = "lines"
match = "order:{id}"
type = "hash"
explode = true
into = "public.lines"
key = ["doc", "sku"]
parents = [{ mapping = "products", column = "sku" }]
column = [
  { name = "doc", from = ["{id}"] },
  { name = "sku", from = ["$.field"] },
  { name = "amount", from = ["$.value"] },
]
"#;

/// Products of two fields each.
fn case(products: &[&str]) -> (Case, Client) {
    let case = Case::new();
    case.sql(TABLES);
    let mut redis = case.redis();
    for product in products {
        redis.say(&format!("HSET product:{product} name n price 1"));
    }
    (case, redis)
}

fn run(case: &Case, keys: &[&str], code: i32) -> Outcome {
    let list = case.list(keys);
    case.run_config(MAPPINGS, &["--keys-from", &list.path().to_string_lossy()]).exits(code)
}

fn rows(outcome: &Outcome, mapping: &str) -> Value {
    outcome.report["mappings"][mapping]["rows"].clone()
}

/// What the journal says, which a resumed run begins with.
fn journal(case: &Case, mapping: &str) -> Value {
    case.json(&format!(
        "SELECT coalesce(jsonb_object_agg(name, count) FILTER (WHERE count <> 0), '{{}}') FROM \
         (SELECT r.key AS name, sum(r.value::int) AS count FROM redis2pg.batches, jsonb_each_text(tally -> 'rows') r \
         WHERE mapping = '{mapping}' GROUP BY r.key) n"
    ))
}

#[test]
fn a_key_that_waited_for_parents_has_each_row_counted_once() {
    let (case, mut redis) = case(&["a", "b", "c"]);
    redis.say("HSET order:1 a 1 b 2 c 3 nowhere 4");
    redis.say("HSET order:2 a 1 b 2");
    // The parents of the first are met by their own phase or fetched on demand.
    let outcome = run(&case, &["product:a", "order:1", "order:2"], 3);
    assert_eq!((outcome.count("lines", "matched"), outcome.reasons("lines")["missing_parent"]), (2, 1), "{outcome}");
    assert_eq!(rows(&outcome, "lines"), json!({ "inserted": 5 }), "{outcome}");
    assert_eq!(rows(&outcome, "products"), json!({ "inserted": 6 }), "{outcome}");
    for mapping in ["lines", "products"] {
        assert_eq!(journal(&case, mapping), rows(&outcome, mapping));
        assert_eq!(case.number(&format!("SELECT count(*) FROM {mapping}")), if mapping == "lines" { 5 } else { 6 });
    }
    let outcome = run(&case, &["product:a", "order:1", "order:2"], 3);
    assert_eq!(rows(&outcome, "lines"), json!({ "unchanged": 5 }), "{outcome}");
}

#[test]
fn a_key_that_is_listed_twice_has_each_row_counted_once() {
    // In one batch, and in several.
    for flow in ["", "[flow]\nbatch_rows = 1\n"] {
        let (case, mut redis) = case(&["a", "b"]);
        redis.say("HSET order:1 a 1 b 2");
        redis.say("HSET order:2 a 1 b x");
        redis.say("HSET order:3 a 1 nowhere 2");
        let keys = ["product:a", "product:b", "order:1", "order:2", "order:3"];
        let twice: Vec<&str> = keys.iter().chain(&keys).copied().collect();
        let list = case.list(&twice);
        let args = ["--keys-from", list.path().to_str().expect("a path")];
        let outcome = case.run_config(&format!("{flow}{MAPPINGS}"), &args).exits(3);
        assert_eq!((outcome.count("lines", "matched"), outcome.count("lines", "duplicates")), (6, 3), "{outcome}");
        assert_eq!(outcome.reasons("lines").values().sum::<i64>(), 2, "{outcome}");
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.rejects"), 2);
        assert_eq!(rows(&outcome, "lines"), json!({ "inserted": 4 }), "{outcome}");
        assert_eq!(journal(&case, "lines"), json!({ "inserted": 4 }));
        assert_eq!(rows(&outcome, "products"), json!({ "inserted": 4 }), "{outcome}");
    }
}
