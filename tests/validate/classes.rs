//! Each class, once, with its exact counts.

use crate::support::{Case, Outcome, until, while_they_live};
use crate::{MAPPINGS, ends, found, loaded};
use serde_json::{Value, json};

/// What is said of a key in `differences.jsonl`.
fn said(outcome: &Outcome, key: &str) -> Value {
    let text = std::fs::read_to_string(outcome.path().join("differences.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found = lines.filter(|line| line["key"] == key).collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{key} once in\n{text}");
    found[0].clone()
}

#[test]
fn what_was_loaded_and_left_alone_is_equal() {
    let case = loaded(5, 7);
    let before = case.fingerprint();
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 5)]);
    found(&outcome, "children", &[("equal", 7)]);
    let validation = &outcome.report["validation"];
    assert_eq!(outcome.report["validation_passed"], true);
    assert_eq!((&validation["rounds"], &validation["complete"]), (&json!(1), &json!(true)));
    let parents = &validation["mappings"]["parents"];
    assert_eq!((&parents["source_keys"], &parents["owned_rows"]), (&json!(5), &json!(5)));
    assert_eq!(parents["rows"]["equal"], 5);
    assert!(outcome.stdout.contains("passed"), "{outcome}");
    // The ledger's own row is all that it leaves.
    let now = case.fingerprint();
    let others =
        |text: &str| text.lines().filter(|line| !line.contains("redis2pg.validations")).collect::<Vec<_>>().join("\n");
    assert_eq!(others(&before), others(&now));
    assert_ne!(before, now);
}

#[test]
fn a_row_that_is_not_there_is_missing() {
    let case = loaded(5, 0);
    case.sql("DELETE FROM parents WHERE id = '2'");
    let outcome = ends(case.validate(MAPPINGS, &[]), 4);
    found(&outcome, "parents", &[("equal", 4), ("missing", 1)]);
    assert_eq!(outcome.report["validation_passed"], false);
    let said = said(&outcome, "parent:2");
    assert_eq!((&said["class"], &said["columns"]), (&json!("missing"), &json!([])));
    assert_eq!(outcome.report["validation"]["rounds"], 3, "it was looked at three times");
    let shown = case.ledger(&["runs", "show"]);
    assert_eq!((&shown["validation"]["passed"], &shown["validation"]["validations"]), (&json!(false), &json!(1)));
    assert_eq!(shown["validation"]["counts"]["parents"]["keys"]["missing"], 1);
}

/// What a trigger makes of a row on its way in is the run's own writing: nobody changed it since.
#[test]
fn a_row_that_differs_though_nobody_changed_it_is_different() {
    let case = loaded(0, 0);
    case.sql(
        "CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = '1' THEN NEW.n := 77; END IF; \
         RETURN NEW; END $$; CREATE TRIGGER more BEFORE INSERT ON parents FOR EACH ROW EXECUTE FUNCTION more()",
    );
    let mut redis = case.redis();
    (0..3).for_each(|id| redis.set(&format!("parent:{id}"), &format!(r#"{{"n":{id}}}"#)));
    ends(case.run_config(MAPPINGS, &[]), 0);
    let outcome = ends(case.validate(MAPPINGS, &[]), 4);
    found(&outcome, "parents", &[("different", 1), ("equal", 2)]);
    let said = said(&outcome, "parent:1");
    assert_eq!((&said["class"], &said["columns"]), (&json!("different"), &json!(["n"])));
    assert_eq!(said["values"], json!([{"column": "n", "expected": "1", "found": "77"}]));
    assert_eq!(outcome.report["validation"]["mappings"]["parents"]["columns"], json!({"n": 1}));
    assert!(outcome.stdout.contains("different parent:1: n is 77, should be 1"), "{outcome}");
}

#[test]
fn a_key_that_changed_since_is_stale_and_strict_does_not_let_it_pass() {
    let case = loaded(4, 0);
    case.redis().set("parent:3", r#"{"n":33}"#);
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 3), ("stale", 1)]);
    assert_eq!(outcome.report["validation_passed"], true);
    let strict = ends(case.validate(MAPPINGS, &["--strict"]), 4);
    found(&strict, "parents", &[("equal", 3), ("stale", 1)]);
}

#[test]
fn a_time_of_expiry_that_was_set_anew_is_stale_too() {
    let case = loaded(3, 0);
    case.redis().say("EXPIRE parent:1 5000");
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 2), ("stale", 1)]);
    assert_eq!(said(&outcome, "parent:1")["columns"], json!(["expires"]));
}

#[test]
fn a_row_that_somebody_changed_since_is_newer() {
    let case = loaded(4, 0);
    case.sql("UPDATE parents SET n = 100 WHERE id = '0'");
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 3), ("newer", 1)]);
    assert_eq!(said(&outcome, "parent:0")["values"][0]["found"], "100");
    ends(case.validate(MAPPINGS, &["--strict"]), 4);
}

#[test]
fn a_row_whose_key_is_gone_is_extra_and_one_that_expired_is_expired() {
    let case = loaded(4, 0);
    let mut redis = case.redis();
    while_they_live(1500, |life| {
        redis.set("parent:t", r#"{"n":1}"#);
        redis.say(&format!("PEXPIRE parent:t {life}"));
        ends(case.run_config(MAPPINGS, &[]), 0);
        (redis.say("EXISTS parent:t") == ":1").then_some(())
    });
    redis.say("DEL parent:0 parent:1");
    until("it expires", || redis.say("EXISTS parent:t") == ":0");
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 2), ("expired", 1), ("extra", 2)]);
    assert_eq!(said(&outcome, "parent:t")["class"], "expired");
    let parents = &outcome.report["validation"]["mappings"]["parents"];
    assert_eq!((&parents["rows"]["extra"], &parents["owned_rows"]), (&json!(2), &json!(5)));
    assert_eq!(parents["source_keys"], 2);
    ends(case.validate(MAPPINGS, &["--strict"]), 4);
    // A row that somebody took over is his.
    case.sql("UPDATE parents SET n = 9 WHERE id = '0'");
    found(&ends(case.validate(MAPPINGS, &[]), 0), "parents", &[("equal", 2), ("expired", 1), ("extra", 1)]);
}

/// A column may have it as a number.
#[test]
fn a_time_of_expiry_that_is_a_number_has_passed_as_any_other_has() {
    let config = r#"
[[mapping]]
name = "notes"
match = "note:{id}"
into = "public.notes"
key = ["id"]
lineage = { columns = { key = "redis_key", digest = "redis_digest", run = "redis_run", expires_at = "until" } }
column = [{ name = "id", from = ["{id}"] }]
"#;
    for kind in ["bigint", "numeric(20, 3)"] {
        let (case, mut redis) = while_they_live(1500, |life| {
            let case = Case::new();
            case.sql(&format!(
                "SET ROLE redis2pg; CREATE TABLE notes (id text PRIMARY KEY, redis_key text, redis_digest text, redis_run uuid, until {kind})"
            ));
            let mut redis = case.redis();
            ["a", "b", "c", "d"].iter().for_each(|id| redis.set(&format!("note:{id}"), "{}"));
            ["a", "b", "c"].iter().for_each(|id| assert_eq!(redis.say(&format!("PEXPIRE note:{id} {life}")), ":1"));
            ends(case.run_config(config, &[]), 0);
            (case.number("SELECT count(until) FROM notes") == 3).then_some((case, redis))
        });
        until("they expire", || redis.say("EXISTS note:a note:b note:c") == ":0");
        let outcome = ends(case.validate(config, &[]), 0);
        found(&outcome, "notes", &[("equal", 1), ("expired", 3)]);
        assert_eq!(outcome.report["validation"]["warnings"], json!([]), "{kind}");
    }
}

/// Nothing fails for it without `--strict`; nobody shall overlook it.
#[test]
fn a_redis_that_was_emptied_is_told_of_loudly() {
    let case = loaded(6, 3);
    let mut redis = case.redis();
    redis.say("DEL parent:3");
    let few = ends(case.validate(MAPPINGS, &[]), 0);
    assert_eq!(few.report["validation"]["warnings"], json!([]), "one of nine may go");
    redis.say("FLUSHDB");
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("extra", 6)]);
    let warning = outcome.report["validation"]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("9 of 9 rows") && warning.contains("run.delete_gone_limit (50%)"), "{warning}");
    let head: Vec<&str> = outcome.stdout.lines().take(3).collect();
    assert!(head[2].starts_with("WARNING: the keys of 9 of 9 rows"), "{head:?}");
    assert!(outcome.report["notices"].to_string().contains("was Redis emptied"), "{outcome}");
    let summary = std::fs::read_to_string(outcome.path().join("summary.txt")).unwrap();
    assert!(summary.contains("WARNING: "), "{summary}");
    let allowed = ends(case.validate(MAPPINGS, &["--delete-gone-limit", "100%"]), 0);
    assert_eq!(allowed.report["validation"]["warnings"], json!([]));
}

#[test]
fn a_child_without_its_parent_is_orphaned() {
    let case = loaded(3, 6);
    case.sql("DELETE FROM parents WHERE id = '2'");
    case.redis().say("DEL parent:2");
    let outcome = ends(case.validate(MAPPINGS, &[]), 4);
    found(&outcome, "children", &[("equal", 4), ("orphaned", 2)]);
    found(&outcome, "parents", &[("equal", 2)]);
    let detail = said(&outcome, "child:2")["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("parent refers to a row of public.parents"), "{detail}");
    let without = ends(case.validate(MAPPINGS, &["--validate-relationships=false"]), 0);
    found(&without, "children", &[("equal", 6)]);
    assert_eq!(without.report["validation"]["parts"], json!(["content"]));
}

/// Nobody reads its key any more, and it is an orphan all the same.
#[test]
fn a_child_without_its_parent_is_orphaned_though_its_own_key_is_gone_or_has_expired() {
    let case = loaded(4, 4);
    let mut redis = case.redis();
    while_they_live(1500, |life| {
        redis.set("child:t", r#"{"parent":"3","label":"l"}"#);
        redis.say(&format!("PEXPIRE child:t {life}"));
        ends(case.run_config(MAPPINGS, &[]), 0);
        (redis.say("EXISTS child:t") == ":1").then_some(())
    });
    redis.say("DEL parent:0 parent:3 child:0 child:1");
    case.sql("DELETE FROM parents WHERE id IN ('0', '3')");
    until("it expires", || redis.say("EXISTS child:t") == ":0");
    let outcome = ends(case.validate(MAPPINGS, &[]), 4);
    found(&outcome, "children", &[("equal", 1), ("extra", 1), ("orphaned", 3)]);
    assert_eq!(outcome.report["validation"]["mappings"]["children"]["rows"]["orphaned"], 3);
    for (key, why) in [("child:0", "the key is gone"), ("child:t", "the key has expired")] {
        let detail = format!("parent refers to a row of public.parents that is not there; {why}");
        assert_eq!(said(&outcome, key)["detail"], detail.as_str());
    }
    let without = ends(case.validate(MAPPINGS, &["--validate-relationships=false"]), 0);
    found(&without, "children", &[("equal", 2), ("expired", 1), ("extra", 2)]);
}

#[test]
fn a_known_reject_is_rejected_until_it_is_closed_and_an_unknown_one_is_missing() {
    let case = loaded(2, 0);
    let mut redis = case.redis();
    redis.set("child:long", r#"{"parent":"0","label":"longer than ten letters"}"#);
    redis.set("child:lost", r#"{"parent":"nobody","label":"l"}"#);
    redis.set("child:json", "{");
    ends(case.run_config(MAPPINGS, &[]), 3);
    let outcome = ends(case.validate(MAPPINGS, &["--strict"]), 0);
    found(&outcome, "children", &[("rejected", 3)]);
    assert!(said(&outcome, "child:long")["detail"].as_str().unwrap().contains("too_long"));
    // One that was never read is not known.
    redis.set("child:new", "{");
    let outcome = ends(case.validate(MAPPINGS, &[]), 4);
    found(&outcome, "children", &[("missing", 1), ("rejected", 3)]);
    assert!(said(&outcome, "child:new")["detail"].as_str().unwrap().contains("json_syntax"));
    // A retry closes what it loads.
    redis.say("DEL child:new");
    redis.set("child:long", r#"{"parent":"0","label":"short"}"#);
    ends(case.retry(MAPPINGS, &[]), 3);
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "children", &[("equal", 1), ("rejected", 2)]);
    case.sql("DELETE FROM children");
    found(&ends(case.validate(MAPPINGS, &[]), 4), "children", &[("missing", 1), ("rejected", 2)]);
}

#[test]
fn a_key_that_was_loaded_and_would_be_rejected_now_is_stale() {
    let case = loaded(3, 1);
    case.redis().set("parent:1", "not JSON");
    case.redis().set("child:0", r#"{"parent":"0","label":"longer than ten letters"}"#);
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 2), ("stale", 1)]);
    found(&outcome, "children", &[("stale", 1)]);
    assert!(said(&outcome, "parent:1")["detail"].as_str().unwrap().contains("would be rejected now"));
}

/// A run loaded it; a later one rejected what it became. The row of the first is there.
#[test]
fn a_known_reject_whose_row_of_an_earlier_run_is_there_is_stale() {
    let case = loaded(3, 0);
    case.redis().set("parent:1", "not JSON");
    case.redis().set("parent:9", "not JSON");
    ends(case.run_config(MAPPINGS, &[]), 3);
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 2), ("rejected", 1), ("stale", 1)]);
    assert!(said(&outcome, "parent:1")["detail"].as_str().unwrap().contains("json_syntax"));
    ends(case.validate(MAPPINGS, &["--strict"]), 4);
}

#[test]
fn what_a_run_leaves_out_on_purpose_is_not_missing() {
    let case = loaded(0, 0);
    case.sql("INSERT INTO parents VALUES ('1', 99)");
    let mut redis = case.redis();
    (0..6).for_each(|id| redis.set(&format!("parent:{id}"), &format!(r#"{{"n":{id}}}"#)));
    let run = |args: &[&str]| ends(case.run_config(MAPPINGS, args), 0).report["run"].as_str().unwrap().to_owned();
    let some = run(&["--keys", "parent:[0-3]"]);
    let outcome = ends(case.validate(MAPPINGS, &["--run", &some]), 0);
    assert_eq!(outcome.report["validation"]["pattern"], "parent:[0-3]");
    assert!(outcome.stdout.contains("(keys like parent:[0-3])"), "{outcome}");
    found(&outcome, "parents", &[("equal", 3), ("newer", 1)]);
    (6..30).for_each(|id| redis.set(&format!("parent:{id}"), &format!(r#"{{"n":{id}}}"#)));
    let limited = run(&["--limit", "5"]);
    let rows = case.number("SELECT count(*) FROM parents");
    let outcome = ends(case.validate(MAPPINGS, &["--run", &limited]), 0);
    let parents = &outcome.report["validation"]["mappings"]["parents"];
    assert_eq!(parents["keys"]["missing"], 0, "{parents}");
    assert_eq!(parents["passed_over"]["excluded"].as_i64(), Some(30 - rows), "{parents}");
    assert!(outcome.report["validation"]["untold"][0].as_str().unwrap().contains("excluded"));
}
