//! Keys that are several rows each.

use crate::support::{Case, Outcome};
use crate::{ends, found};
use serde_json::{Value, json};

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

/// What is said of a key in the report: the class, the element, and the sentence.
fn said(outcome: &Outcome, key: &str) -> (String, String, String) {
    let text = std::fs::read_to_string(outcome.path().join("differences.jsonl")).unwrap();
    let line = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find(|line| line["key"] == key);
    let line = line.unwrap_or_else(|| panic!("no {key} in {text}"));
    let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    (word("class"), word("element"), word("detail"))
}

/// The row of its former value says nothing of what it is now, and is there unmentioned where the key only counts as rejected.
#[test]
fn a_row_of_an_element_that_would_be_rejected_now_is_stale_and_does_not_hide_what_else_differs() {
    let case = hashes();
    case.redis().say("HSET hash:1 b x");
    ends(case.run_config(MAPPING, &[]), 3);
    let outcome = ends(case.validate(MAPPING, &["--strict"]), 4);
    found(&outcome, "fields", &[("equal", 3), ("stale", 1)]);
    let (_, element, detail) = said(&outcome, "hash:1");
    let expected = "1 of its rows are of an earlier time: its value would be rejected now";
    assert!(element == "field \"b\"" && detail.starts_with(expected), "{element}: {detail}");
    // Without that row nothing is wrong but what is known.
    case.sql("DELETE FROM fields WHERE id = '1' AND field = 'b'");
    found(&ends(case.validate(MAPPING, &["--strict"]), 0), "fields", &[("equal", 3), ("rejected", 1)]);
    case.sql("UPDATE fields SET value = 77 WHERE id = '1' AND field = 'a'");
    let outcome = ends(case.validate(MAPPING, &[]), 0);
    found(&outcome, "fields", &[("equal", 3), ("newer", 1)]);
    assert_eq!(said(&outcome, "hash:1").1, "field \"a\"");
}

#[test]
fn an_element_that_is_new_is_stale_and_one_that_was_rejected_is_known() {
    let case = hashes();
    let mut redis = case.redis();
    redis.say("HSET hash:5 a 1 b x");
    ends(case.run_config(MAPPING, &[]), 3);
    found(&ends(case.validate(MAPPING, &[]), 0), "fields", &[("equal", 4), ("rejected", 1)]);
    redis.say("HSET hash:3 d 4 e 5");
    let outcome = ends(case.validate(MAPPING, &[]), 0);
    found(&outcome, "fields", &[("equal", 3), ("rejected", 1), ("stale", 1)]);
    let (_, element, detail) = said(&outcome, "hash:3");
    assert_eq!((element.as_str(), detail.as_str()), ("field \"d\"", "2 elements of it came after the run"));
    let rows = &outcome.report["validation"]["mappings"]["fields"]["rows"];
    assert_eq!((&rows["equal"], &rows["missing"], &rows["stale"]), (&json!(13), &json!(0), &json!(2)));
    ends(case.validate(MAPPING, &["--strict"]), 4);
    // Of a key that the run knows by a reject alone, too.
    redis.say("HSET hash:5 c 3");
    found(&ends(case.validate(MAPPING, &[]), 0), "fields", &[("equal", 3), ("stale", 2)]);
    redis.say("HDEL hash:3 e");
    redis.say("HSET hash:3 d x");
    let outcome = ends(case.validate(MAPPING, &[]), 0);
    found(&outcome, "fields", &[("equal", 3), ("stale", 2)]);
    // A key that no run has seen is missing, as ever.
    redis.say("HSET hash:9 a 1");
    let outcome = ends(case.validate(MAPPING, &[]), 4);
    found(&outcome, "fields", &[("equal", 3), ("missing", 1), ("stale", 2)]);
    assert_eq!(said(&outcome, "hash:9").1, "field \"a\"");
}

#[test]
fn a_row_that_was_lost_is_missing_beside_an_element_that_is_new_and_is_named() {
    let case = hashes();
    case.redis().say("HSET hash:1 aa 5");
    case.sql("DELETE FROM fields WHERE id = '1' AND field IN ('b', 'c')");
    let outcome = ends(case.validate(MAPPING, &[]), 4);
    found(&outcome, "fields", &[("equal", 3), ("missing", 1)]);
    let (_, element, detail) = said(&outcome, "hash:1");
    assert_eq!(
        (element.as_str(), detail.as_str()),
        ("field \"b\"", "a run wrote its row, and it is gone (and 1 more)")
    );
    let rows = &outcome.report["validation"]["mappings"]["fields"]["rows"];
    assert_eq!((&rows["missing"], &rows["stale"]), (&json!(2), &json!(1)));
    assert!(outcome.stdout.contains("missing hash:1, field \"b\": a run wrote its row"), "{outcome}");
    case.sql("TRUNCATE fields");
    let outcome = ends(case.validate(MAPPING, &[]), 4);
    found(&outcome, "fields", &[("missing", 4)]);
}

/// The ledger spells the key of a row as the table did.
#[test]
fn a_lost_row_is_found_whatever_its_key_is_spelled_like() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE scores (board text, score numeric, member text, PRIMARY KEY (board, score))",
    );
    let config = r#"
[[mapping]]
name = "scores"
match = "board:{id}"
type = "hash"
explode = true
into = "public.scores"
key = ["board", "score"]
column = [
  { name = "board", from = ["{id}"] },
  { name = "score", from = ["$.field"] },
  { name = "member", from = ["$.value"] },
]
"#;
    let mut redis = case.redis();
    redis.say("HSET board:1 1.0 a 2.50 b");
    ends(case.run_config(config, &[]), 0);
    redis.say("HDEL board:1 2.50");
    redis.say("HSET board:1 2.5 b 3 c");
    found(&ends(case.validate(config, &[]), 0), "scores", &[("stale", 1)]);
    case.sql("DELETE FROM scores WHERE score = 2.5");
    let outcome = ends(case.validate(config, &[]), 4);
    let rows = &outcome.report["validation"]["mappings"]["scores"]["rows"];
    assert_eq!((&rows["missing"], &rows["stale"]), (&json!(1), &json!(1)), "{rows}");
}

/// A reject that only writing found names its elements, so that another one that was lost is not taken for it.
#[test]
fn a_lost_row_is_missing_beside_a_reject_that_writing_found() {
    let case = hashes();
    case.sql("ALTER TABLE fields ADD CHECK (value < 100)");
    case.redis().say("HSET hash:6 a 1 b 2 c 300 d 400");
    let run = ends(case.run_config(MAPPING, &[]), 3);
    assert_eq!(run.reject("hash:6")["reason"], "check");
    found(&ends(case.validate(MAPPING, &["--strict"]), 0), "fields", &[("equal", 4), ("rejected", 1)]);
    case.sql("DELETE FROM fields WHERE id = '6' AND field = 'b'");
    let outcome = ends(case.validate(MAPPING, &[]), 4);
    found(&outcome, "fields", &[("equal", 4), ("missing", 1)]);
    assert_eq!(said(&outcome, "hash:6").1, "field \"b\"");
    let rows = |outcome: &Outcome| {
        let rows = &outcome.report["validation"]["mappings"]["fields"]["rows"];
        ["missing", "rejected", "stale"].map(|class| rows[class].as_i64().unwrap())
    };
    assert_eq!(rows(&outcome), [1, 2, 0]);
    // An element that came since is none of those that were rejected.
    case.redis().say("HSET hash:6 e 5");
    assert_eq!(rows(&ends(case.validate(MAPPING, &[]), 4)), [1, 2, 1]);
    // A ledger of before knows no elements: what no run wrote counts as rejected, what one wrote does not.
    case.sql("UPDATE redis2pg.rejects SET elements = NULL");
    assert_eq!(rows(&ends(case.validate(MAPPING, &[]), 4)), [1, 3, 0]);
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

#[test]
fn an_element_that_was_rejected_for_the_row_of_another_one_is_known() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE loose (id text, n numeric, v text, PRIMARY KEY (id, n))");
    let config = r#"
[[mapping]]
name = "loose"
match = "loose:{id}"
explode = true
into = "public.loose"
key = ["id", "n"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
  { name = "v", from = ["$.v"] },
]
"#;
    let mut redis = case.redis();
    redis.set("loose:a", r#"[{"n":1,"v":"x"},{"n":1.0,"v":"y"},{"n":2,"v":"z"}]"#);
    assert_eq!(ends(case.run_config(config, &[]), 3).reject("loose:a")["reason"], "key_collision");
    let outcome = ends(case.validate(config, &["--strict"]), 0);
    found(&outcome, "loose", &[("rejected", 1)]);
    let rows = &outcome.report["validation"]["mappings"]["loose"]["rows"];
    assert_eq!((&rows["equal"], &rows["rejected"]), (&json!(2), &json!(1)));
    redis.set("loose:a", r#"[{"n":1,"v":"x"},{"n":1.0,"v":"y"},{"n":2,"v":"changed"}]"#);
    found(&ends(case.validate(config, &[]), 0), "loose", &[("stale", 1)]);
}

/// Keys of such a type are spelled otherwise in Redis than in the table, so that the ledger is looked through by their values. Compared one by
/// one with all of its key, these elements would take minutes.
#[test]
fn many_elements_without_rows_are_looked_for_in_the_ledger_at_once() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE scores (id text, n numeric, PRIMARY KEY (id, n))");
    let config = r#"
[[mapping]]
name = "scores"
match = "scores:{id}"
explode = true
into = "public.scores"
key = ["id", "n"]
column = [{ name = "id", from = ["{id}"] }, { name = "n", from = ["$.n"] }]
"#;
    let mut redis = case.redis();
    let elements: Vec<String> = (0..20_000).map(|n| format!("{{\"n\":{n}.0}}")).collect();
    redis.set("scores:a", &format!("[{}]", elements.join(",")));
    redis.set("scores:b", r#"[{"n":1},{"n":2}]"#);
    ends(case.run_config(config, &[]), 0);
    case.sql("DELETE FROM scores WHERE id = 'a' OR n = 2");
    redis.set("scores:a", &format!("[{},{{\"n\":-1}}]", elements.join(",").replace(".0", ".00")));
    let slow =
        ["--statement-timeout", "15s", "--retry-deadline", "1s", "--batch-rows", "20100", "--validate-rounds", "1"];
    let outcome = ends(case.validate(config, &slow), 4);
    found(&outcome, "scores", &[("missing", 2)]);
    let rows = &outcome.report["validation"]["mappings"]["scores"]["rows"];
    assert_eq!((&rows["missing"], &rows["stale"], &rows["equal"]), (&json!(20_001), &json!(1), &json!(1)), "{rows}");
}

/// Without a row beside those that keys make now nothing is asked of cleanups, which would cost each batch some round trips.
#[test]
fn what_cleanups_deleted_is_not_asked_of_keys_that_have_no_other_rows() {
    let case = hashes();
    let held = "SELECT count(*) FROM pg_locks WHERE relation = 'redis2pg.cleaned_keys'::regclass AND mode = 'AccessExclusiveLock' \
                AND granted";
    case.while_held("LOCK TABLE redis2pg.cleaned_keys IN ACCESS EXCLUSIVE MODE", |_| {
        let outcome = ends(case.validate(MAPPING, &["--strict"]), 0);
        found(&outcome, "fields", &[("equal", 4)]);
        assert_eq!(case.number(held), 1, "it has waited for it");
    });
}
