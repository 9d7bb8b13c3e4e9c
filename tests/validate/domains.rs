//! Domains that refuse what is only half there: a row of which nothing but the key is known, and a lineage object that has no more than what
//! is compared.

use crate::support::{Case, Outcome};
use crate::{ends, found};
use serde_json::json;

/// Fields of hashes, in a table with columns that take no NULL, each in its own way.
fn fields(key_type: &str) -> (Case, String) {
    let case = Case::new();
    case.sql(&format!(
        "SET ROLE redis2pg; CREATE DOMAIN strict AS text NOT NULL; CREATE DOMAIN there AS text CHECK (VALUE IS NOT NULL); \
         CREATE TABLE fields (id text, field {key_type}, value integer, note strict DEFAULT 'n', mark there DEFAULT 'm', \
         PRIMARY KEY (id, field))"
    ));
    let config = r#"
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
    (case, config.to_owned())
}

/// Rows of a class.
fn rows(outcome: &Outcome, class: &str) -> i64 {
    outcome.report["validation"]["mappings"]["fields"]["rows"][class].as_i64().unwrap()
}

#[test]
fn elements_that_are_gone_are_deleted_and_told_whatever_domains_the_table_has() {
    let (case, config) = fields("text");
    let mut redis = case.redis();
    (0..3).for_each(|id| {
        redis.say(&format!("HSET hash:{id} a 1 b 2"));
    });
    ends(case.run_config(&config, &[]), 0);
    redis.say("HDEL hash:0 b");
    let run = ends(case.run_config(&config, &[]), 0);
    let deleted = &run.report["mappings"]["fields"]["rows"]["deleted"];
    assert_eq!((deleted, case.number("SELECT count(*) FROM fields")), (&json!(1), 5), "{run}");
    // Of a key that is gone all rows are, and of another one a row is.
    redis.say("HDEL hash:1 a");
    redis.say("DEL hash:2");
    let outcome = ends(case.validate(&config, &[]), 0);
    found(&outcome, "fields", &[("equal", 1), ("extra", 2)]);
    assert_eq!((rows(&outcome, "equal"), rows(&outcome, "extra")), (2, 3), "{outcome}");
    ends(case.validate(&config, &["--strict"]), 4);
}

#[test]
fn a_lost_row_is_found_by_its_value_whatever_domains_the_table_has() {
    let (case, config) = fields("numeric");
    let mut redis = case.redis();
    redis.say("HSET hash:1 1.0 1 2.50 2");
    ends(case.run_config(&config, &[]), 0);
    redis.say("HDEL hash:1 2.50");
    redis.say("HSET hash:1 2.5 2 3 3");
    case.sql("DELETE FROM fields WHERE field = 2.5");
    let outcome = ends(case.validate(&config, &[]), 4);
    assert_eq!((rows(&outcome, "missing"), rows(&outcome, "stale")), (1, 1), "{outcome}");
}

const ITEMS: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
into = "public.items"
key = ["id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
  { name = "metadata", from = [] },
]
"#;

#[test]
fn a_domain_of_the_lineage_does_not_judge_rows_that_are_only_compared() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE DOMAIN origin AS jsonb CHECK (VALUE ? 'migration_timestamp' AND VALUE -> 'redis2pg' ? 'run'); \
         CREATE TABLE items (id text PRIMARY KEY, n integer, metadata origin)",
    );
    let mut redis = case.redis();
    (0..4).for_each(|id| redis.set(&format!("item:{id}"), r#"{"n":1}"#));
    ends(case.run_config(ITEMS, &[]), 0);
    found(&ends(case.validate(ITEMS, &["--strict"]), 0), "items", &[("equal", 4)]);
    redis.set("item:0", r#"{"n":2}"#);
    case.sql("DELETE FROM items WHERE id = '1'");
    case.sql("UPDATE items SET n = 5 WHERE id = '2'");
    let outcome = ends(case.validate(ITEMS, &[]), 4);
    found(&outcome, "items", &[("equal", 1), ("missing", 1), ("newer", 1), ("stale", 1)]);
    assert_eq!(outcome.report["validation"]["mappings"]["items"]["columns"], json!({"n": 2}), "{outcome}");
    let cleaned = case.cleanup(ITEMS, &["--yes"]);
    assert_eq!(cleaned.report["cleanup"]["deleted"], 1, "{cleaned}");
    assert_eq!(redis.integer(&[b"EXISTS", b"item:3"]), 0);
}
