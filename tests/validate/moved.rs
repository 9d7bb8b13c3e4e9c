//! Keys that are one row, a column of whose `key` comes from the value: when it changes, they make another row.

use crate::support::Case;
use crate::{ends, found};

const PART: &str = r#"
[[mapping]]
name = "part"
match = "part:{id:int}"
into = "public.part"
key = ["id", "reg"]
column = [
  { name = "id", from = "{id}" },
  { name = "reg", from = "$.reg" },
  { name = "v", from = "$.v" },
]
"#;

/// A partitioned table with a row of each of three keys.
fn partitioned() -> Case {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE part (id int, reg text, v text, PRIMARY KEY (id, reg)) PARTITION BY LIST (reg); \
         CREATE TABLE part_a PARTITION OF part FOR VALUES IN ('a'); CREATE TABLE part_b PARTITION OF part FOR VALUES IN ('b')",
    );
    let mut redis = case.redis();
    (1..4).for_each(|id| redis.set(&format!("part:{id}"), r#"{"reg":"a","v":"1"}"#));
    ends(case.run_config(PART, &[]), 0);
    found(&ends(case.validate(PART, &["--strict"]), 0), "part", &[("equal", 3)]);
    case
}

#[test]
fn a_key_that_makes_another_row_now_is_stale_until_a_run_writes_that() {
    let case = partitioned();
    case.redis().set("part:1", r#"{"reg":"b","v":"1"}"#);
    found(&ends(case.validate(PART, &[]), 0), "part", &[("equal", 2), ("stale", 1)]);
    ends(case.validate(PART, &["--strict"]), 4);
    // Of a key that no run has seen there is no row.
    case.redis().set("part:4", r#"{"reg":"b","v":"1"}"#);
    found(&ends(case.validate(PART, &[]), 4), "part", &[("equal", 2), ("missing", 1), ("stale", 1)]);
}

/// What makes another row of a value that has not changed is the mapping.
#[test]
fn a_row_that_the_mapping_alone_makes_another_is_missing() {
    let case = partitioned();
    case.redis().set("part:1", r#"{"reg":"a","v":"b"}"#);
    ends(case.run_config(PART, &[]), 0);
    let otherwise = PART.replace("from = \"$.reg\"", "from = [\"$.v\"]");
    case.sql("CREATE TABLE part_1 PARTITION OF part FOR VALUES IN ('1')");
    let run = case.sql("SELECT id FROM redis2pg.runs ORDER BY started_at DESC LIMIT 1");
    found(&ends(case.validate(&otherwise, &["--run", &run]), 4), "part", &[("missing", 3)]);
}

#[test]
fn a_row_that_its_key_left_behind_is_extra() {
    let case = partitioned();
    case.redis().set("part:1", r#"{"reg":"b","v":"1"}"#);
    ends(case.run_config(PART, &["--delete-gone", "--delete-expired"]), 0);
    let outcome = ends(case.validate(PART, &[]), 0);
    found(&outcome, "part", &[("equal", 2), ("extra", 1)]);
    let rows = &outcome.report["validation"]["mappings"]["part"]["rows"];
    assert_eq!((rows["equal"].as_i64(), rows["extra"].as_i64()), (Some(3), Some(1)), "{outcome}");
    let text = std::fs::read_to_string(outcome.path().join("differences.jsonl")).unwrap();
    assert!(text.contains("1 of its rows it made before: its value makes another one now"), "{text}");
    ends(case.validate(PART, &["--strict"]), 4);
    // It is the row of the former value that is too many, whichever it is.
    case.redis().set("part:1", r#"{"reg":"a","v":"1"}"#);
    found(&ends(case.validate(PART, &["--strict"]), 4), "part", &[("equal", 2), ("extra", 1)]);
    // Once somebody has deleted it, nothing is left to tell.
    case.sql("DELETE FROM part WHERE id = 1 AND reg = 'b'");
    found(&ends(case.validate(PART, &["--strict"]), 0), "part", &[("equal", 3)]);
}

#[test]
fn a_row_that_is_lost_is_missing_whatever_its_key_left_behind() {
    let case = partitioned();
    case.redis().set("part:1", r#"{"reg":"b","v":"1"}"#);
    ends(case.run_config(PART, &[]), 0);
    case.sql("DELETE FROM part WHERE id = 1 AND reg = 'b'; DELETE FROM part WHERE id = 2");
    found(&ends(case.validate(PART, &[]), 4), "part", &[("equal", 1), ("missing", 2)]);
    // A row that somebody changed is his, and keeps none from being equal.
    case.sql("UPDATE part SET v = '2' WHERE id = 1 AND reg = 'a'");
    ends(case.run_config(PART, &[]), 0);
    found(&ends(case.validate(PART, &["--strict"]), 0), "part", &[("equal", 3)]);
}

#[test]
fn a_key_that_left_a_row_behind_stays_in_redis_when_others_are_cleaned() {
    let case = partitioned();
    case.redis().set("part:1", r#"{"reg":"b","v":"1"}"#);
    let run = ends(case.run_config(PART, &[]), 0);
    let warned = "key column `reg` comes from the value: when that changes, its key makes another row";
    assert!(run.stderr.contains(warned), "{run}");
    let cleaned = case.cleanup(PART, &["--yes"]);
    let mut redis = case.redis();
    let left = [1, 2, 3].map(|id| redis.integer(&[b"EXISTS", format!("part:{id}").as_bytes()]));
    assert_eq!(left, [1, 0, 0], "{cleaned}\n{:#}", cleaned.report);
}
