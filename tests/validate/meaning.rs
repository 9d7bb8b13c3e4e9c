//! Rows are compared by meaning, as the load compares them.

use crate::support::Case;
use crate::{MAPPINGS, ends, found, loaded};
use serde_json::json;

const NUMBERS: &str = r#"
[[mapping]]
name = "numbers"
match = "number:{id}"
into = "public.numbers"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "amount", from = ["$.amount"] },
  { name = "data", from = ["$.data"] },
  { name = "bytes", from = ["$.text"] },
  { name = "list", from = ["$.list"] },
]
"#;

#[test]
fn numbers_and_jsonb_are_equal_by_what_they_mean() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE numbers (id text PRIMARY KEY, amount numeric, data jsonb, bytes bytea, list integer[])",
    );
    let mut redis = case.redis();
    redis.set("number:1", r#"{"amount":1.0,"data":{"b":1.00,"a":[2]},"text":"x","list":[1,2]}"#);
    ends(case.run_config(NUMBERS, &[]), 0);
    redis.set("number:1", r#"{"amount":1,"data":{"a":[2.0],"b":1},"text":"x","list":[1,2]}"#);
    let outcome = ends(case.validate(NUMBERS, &["--strict"]), 0);
    found(&outcome, "numbers", &[("equal", 1)]);
    redis.set("number:1", r#"{"amount":1,"data":{"a":[2.5],"b":1},"text":"x","list":[2,1]}"#);
    let outcome = ends(case.validate(NUMBERS, &[]), 0);
    found(&outcome, "numbers", &[("stale", 1)]);
    assert_eq!(outcome.report["validation"]["mappings"]["numbers"]["columns"], json!({"data": 1, "list": 1}));
}

/// What the application adds to its own metadata is somebody's change; what lineage says of another run is none.
#[test]
fn lineage_is_left_out_and_metadata_is_not() {
    let case = loaded(2, 0);
    case.sql("UPDATE parents SET metadata = jsonb_set(metadata, '{migration_timestamp}', '\"2001-01-01T00:00:00Z\"') WHERE id = '0'");
    case.sql("UPDATE parents SET metadata = metadata || '{\"note\": 1}' WHERE id = '1'");
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 1), ("newer", 1)]);
    let values = &outcome.report["validation"]["differences"][0]["values"][0];
    assert_eq!((&values["column"], &values["expected"]), (&json!("metadata"), &json!("{}")));
    assert_eq!(values["found"], r#"{"note": 1}"#, "without lineage");
}

#[test]
fn a_time_of_expiry_may_be_off_by_the_tolerance() {
    let case = loaded(0, 0);
    let mut redis = case.redis();
    redis.set("parent:0", r#"{"n":0}"#);
    redis.say("EXPIRE parent:0 1000");
    ends(case.run_config(MAPPINGS, &[]), 0);
    let moved = |by: &str| case.sql(&format!("UPDATE parents SET expires = expires + interval '{by}'"));
    moved("900 milliseconds");
    found(&ends(case.validate(MAPPINGS, &[]), 0), "parents", &[("equal", 1)]);
    found(&ends(case.validate(MAPPINGS, &["--ttl-tolerance", "500ms"]), 0), "parents", &[("newer", 1)]);
    moved("2 seconds");
    found(&ends(case.validate(MAPPINGS, &[]), 0), "parents", &[("newer", 1)]);
    found(&ends(case.validate(MAPPINGS, &["--ttl-tolerance", "1m"]), 0), "parents", &[("equal", 1)]);
    found(&ends(case.validate(MAPPINGS, &["--validate-content=false"]), 0), "parents", &[("equal", 1)]);
}
