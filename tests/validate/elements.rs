//! Keys that are several rows each.

use crate::support::Case;
use crate::{ends, found};
use serde_json::json;

const MAPPING: &str = r#"
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

fn hashes() -> Case {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE fields (id text, field text, value integer, PRIMARY KEY (id, field))");
    let mut redis = case.redis();
    (0..4).for_each(|id| {
        redis.say(&format!("HSET hash:{id} a 1 b 2 c 3"));
    });
    ends(case.run_config(MAPPING, &[]), 0);
    case
}

#[test]
fn a_key_is_the_worst_of_its_rows_and_rows_are_counted_beside() {
    let case = hashes();
    let outcome = ends(case.validate(MAPPING, &["--strict"]), 0);
    found(&outcome, "fields", &[("equal", 4)]);
    assert_eq!(outcome.report["validation"]["mappings"]["fields"]["rows"]["equal"], 12);
    let mut redis = case.redis();
    case.sql("DELETE FROM fields WHERE id = '0' AND field = 'b'");
    redis.say("HSET hash:1 a 11");
    case.sql("UPDATE fields SET value = 9 WHERE id = '1' AND field = 'c'");
    redis.say("HDEL hash:2 a b");
    let outcome = ends(case.validate(MAPPING, &[]), 4);
    found(&outcome, "fields", &[("equal", 1), ("extra", 1), ("missing", 1), ("stale", 1)]);
    let rows = &outcome.report["validation"]["mappings"]["fields"]["rows"];
    let of = |class: &str| rows[class].as_i64().unwrap();
    assert_eq!(["equal", "extra", "missing", "newer", "stale"].map(of), [7, 2, 1, 1, 1]);
}

#[test]
fn an_element_that_is_new_is_missing_and_one_that_was_rejected_is_known() {
    let case = hashes();
    let mut redis = case.redis();
    redis.say("HSET hash:5 a 1 b x");
    ends(case.run_config(MAPPING, &[]), 3);
    found(&ends(case.validate(MAPPING, &[]), 0), "fields", &[("equal", 4), ("rejected", 1)]);
    redis.say("HSET hash:3 d 4");
    found(&ends(case.validate(MAPPING, &[]), 4), "fields", &[("equal", 3), ("missing", 1), ("rejected", 1)]);
    redis.say("HSET hash:3 d x");
    let outcome = ends(case.validate(MAPPING, &[]), 0);
    found(&outcome, "fields", &[("equal", 3), ("rejected", 1), ("stale", 1)]);
}

/// The ledger has one reject of a key; it excuses no element that could be loaded.
#[test]
fn a_lost_row_is_missing_beside_a_known_reject_of_another_element() {
    let case = hashes();
    case.redis().say("HSET hash:5 a 1 b 2 c bad d 4");
    ends(case.run_config(MAPPING, &[]), 3);
    found(&ends(case.validate(MAPPING, &["--strict"]), 0), "fields", &[("equal", 4), ("rejected", 1)]);
    case.sql("DELETE FROM fields WHERE id = '5' AND field = 'b'");
    let outcome = ends(case.validate(MAPPING, &["--strict"]), 4);
    found(&outcome, "fields", &[("equal", 4), ("missing", 1)]);
    let rows = &outcome.report["validation"]["mappings"]["fields"]["rows"];
    assert_eq!((&rows["missing"], &rows["rejected"]), (&json!(1), &json!(1)));
}

#[test]
fn a_key_that_comes_in_slices_and_one_that_is_gone_as_a_whole() {
    let case = hashes();
    let mut redis = case.redis();
    for part in 0..60 {
        let fields: Vec<String> = (0..200).map(|field| format!("f{} 1", part * 200 + field)).collect();
        redis.say(&format!("HSET hash:large {}", fields.join(" ")));
    }
    ends(case.run_config(MAPPING, &["--memory", "2MiB"]), 0);
    let outcome = ends(case.validate(MAPPING, &["--memory", "2MiB"]), 0);
    found(&outcome, "fields", &[("equal", 5)]);
    assert_eq!(outcome.report["validation"]["mappings"]["fields"]["rows"]["equal"], 12_012);
    redis.say("HDEL hash:large f7 f8");
    redis.say("DEL hash:0");
    let outcome = ends(case.validate(MAPPING, &["--memory", "2MiB"]), 0);
    found(&outcome, "fields", &[("equal", 3), ("extra", 2)]);
    let fields = &outcome.report["validation"]["mappings"]["fields"];
    assert_eq!((&fields["rows"]["extra"], &fields["rows"]["equal"]), (&json!(5), &json!(12_007)));
}
