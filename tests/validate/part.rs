//! A part of the keys, of the mappings, or of the runs.

use crate::support::Case;
use crate::{MAPPINGS, TABLES, ends, found, loaded};
use serde_json::Value;

#[test]
fn a_sample_is_the_same_every_time_and_about_as_large_as_asked_for() {
    let case = loaded(400, 0);
    case.sql("DELETE FROM parents WHERE id::int % 2 = 0");
    let look = |share: &str| {
        let outcome = case.validate(MAPPINGS, &["--sample", share]);
        let keys = outcome.report["validation"]["mappings"]["parents"]["keys"].clone();
        (keys["equal"].as_i64().unwrap(), keys["missing"].as_i64().unwrap())
    };
    let (equal, missing) = look("25%");
    assert!((60..140).contains(&(equal + missing)), "{equal} and {missing} of 400");
    assert!(missing > 10 && equal > 10, "{equal} and {missing}");
    assert_eq!(look("25%"), (equal, missing));
    assert_eq!(look("100%"), (200, 200));
}

#[test]
fn a_pattern_and_a_phase_leave_the_others_out() {
    let case = loaded(12, 4);
    case.sql("DELETE FROM parents WHERE id = '11'; DELETE FROM children WHERE id = '0'");
    let outcome = ends(case.validate(MAPPINGS, &["--keys", "parent:1*"]), 4);
    found(&outcome, "parents", &[("equal", 2), ("missing", 1)]);
    let outcome = ends(case.validate(MAPPINGS, &["--phase", "parents"]), 4);
    found(&outcome, "parents", &[("equal", 11), ("missing", 1)]);
    assert_eq!(outcome.report["validation"]["mappings"].get("children"), None);
    let list = case.list(&["parent:11", "parent:3", "child:0"]);
    let outcome = ends(case.validate(MAPPINGS, &["--keys-from", list.path().to_str().unwrap()]), 4);
    found(&outcome, "parents", &[("equal", 1), ("missing", 1)]);
    found(&outcome, "children", &[("missing", 1)]);
    let wrong = ends(case.validate(MAPPINGS, &["--phase", "parnts"]), 2);
    assert!(wrong.stderr.contains("parnts"), "{wrong}");
}

#[test]
fn a_run_is_named_or_the_latest_of_the_same_source_and_mappings() {
    let case = Case::new();
    case.sql(TABLES);
    let none = ends(case.validate(MAPPINGS, &[]), 2);
    assert!(none.stderr.contains("no ledger"), "{none}");
    case.redis().set("parent:1", r#"{"n":1}"#);
    let first = ends(case.run_config(MAPPINGS, &[]), 0).report["run"].as_str().unwrap().to_owned();
    case.redis().set("parent:2", r#"{"n":2}"#);
    let second = ends(case.run_config(MAPPINGS, &[]), 0).report["run"].as_str().unwrap().to_owned();
    let latest = ends(case.validate(MAPPINGS, &[]), 0);
    assert_eq!(latest.report["run"], second.as_str());
    found(&latest, "parents", &[("equal", 2)]);
    // A row that it found as it should be, the run before it had written.
    assert_eq!(latest.report["validation"]["mappings"]["parents"]["owned_rows"], 2);
    let named = ends(case.validate(MAPPINGS, &["--run", &first]), 0);
    assert_eq!(named.report["run"], first.as_str());
    assert_eq!(named.report["validation"]["mappings"]["parents"]["owned_rows"], 1);
    let other = MAPPINGS.replace("\"$.label\"", "\"$.title\"");
    let unknown = ends(case.validate(&other, &[]), 2);
    assert!(unknown.stderr.contains("--run"), "{unknown}");
    let named = ends(case.validate(&other, &["--run", &first]), 0);
    assert!(named.report["validation"]["untold"][0].as_str().unwrap().contains("other mappings"), "{named}");
    assert_eq!(case.validate(MAPPINGS, &["--run", "nothing"]).code, 2);
}

/// A trial run after the full one hides nothing of it.
#[test]
fn a_later_run_over_a_part_is_not_taken_unless_it_is_named_or_the_same_part_is_asked_for() {
    let case = loaded(6, 3);
    for part in [["--keys", "parent:1"], ["--limit", "1"]] {
        ends(case.run_config(MAPPINGS, &part), 0);
    }
    case.sql("TRUNCATE parents; DELETE FROM children WHERE id = '0'");
    let outcome = ends(case.validate(MAPPINGS, &["--validate-relationships=false"]), 4);
    found(&outcome, "parents", &[("missing", 6)]);
    found(&outcome, "children", &[("equal", 2), ("missing", 1)]);
    assert_eq!(outcome.report["validation"]["pattern"], Value::Null);
    found(&ends(case.validate(MAPPINGS, &["--keys", "parent:1"]), 4), "parents", &[("missing", 1)]);
}

#[test]
fn of_a_run_of_a_pattern_the_keys_that_it_took_are_missing_whatever_is_asked_for() {
    let case = Case::new();
    case.sql(TABLES);
    let mut redis = case.redis();
    [10, 11, 20].iter().for_each(|id| redis.set(&format!("parent:{id}"), &format!(r#"{{"n":{id}}}"#)));
    let run = ends(case.run_config(MAPPINGS, &["--keys", "parent:1*"]), 0).report["run"].as_str().unwrap().to_owned();
    case.sql("DELETE FROM parents WHERE id = '11'");
    let look = |keys: &str| ends(case.validate(MAPPINGS, &["--run", &run, "--keys", keys]), 4);
    found(&look("parent:11"), "parents", &[("missing", 1)]);
    let wider = look("parent:*");
    found(&wider, "parents", &[("equal", 1), ("missing", 1)]);
    assert_eq!(wider.report["validation"]["mappings"]["parents"]["passed_over"]["excluded"], 1);
    let untold = wider.report["validation"]["untold"].to_string();
    assert!(untold.contains("keys like parent:1* only: others without a row count as excluded"), "{untold}");
}

#[test]
fn a_mapping_that_no_run_took_is_not_looked_at_and_one_that_an_earlier_run_took_is() {
    let case = loaded(0, 0);
    case.redis().set("parent:1", r#"{"n":1}"#);
    case.redis().set("child:1", r#"{"parent":"1","label":"l"}"#);
    ends(case.run_config(MAPPINGS, &["--skip", "children"]), 0);
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 1)]);
    assert_eq!(outcome.report["validation"]["mappings"].get("children"), None);
    assert!(outcome.stdout.contains("skipped children: not looked at"), "{outcome}");
    ends(case.run_config(MAPPINGS, &[]), 0);
    case.sql("DELETE FROM children");
    let last = ends(case.run_config(MAPPINGS, &["--skip", "children"]), 0);
    found(&ends(case.validate(MAPPINGS, &[]), 4), "children", &[("missing", 1)]);
    ends(case.validate(MAPPINGS, &["--run", last.report["run"].as_str().unwrap()]), 0);
}

#[test]
fn where_nothing_matches_nothing_has_passed_and_nothing_is_kept() {
    let case = loaded(2, 0);
    let outcome = ends(case.validate(MAPPINGS, &["--keys", "zz*"]), 2);
    assert_eq!(outcome.report["validation_passed"], Value::Null);
    assert!(outcome.stdout.contains("nothing was looked at"), "{outcome}");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.validations WHERE keys = 'zz*'"), 0);
}

#[test]
fn a_list_of_keys_that_is_not_there_ends_it() {
    let case = loaded(1, 0);
    let outcome = ends(case.validate(MAPPINGS, &["--keys-from", "/nowhere/keys"]), 2);
    assert!(outcome.stderr.contains("/nowhere/keys"), "{outcome}");
}

#[test]
fn the_tables_must_be_there_and_readable_and_no_right_to_write_is_asked_for() {
    let case = loaded(3, 3);
    case.sql(
        "REVOKE INSERT, UPDATE, DELETE ON parents, children FROM redis2pg; ALTER TABLE parents OWNER TO postgres; \
              ALTER TABLE children OWNER TO postgres; GRANT SELECT ON parents, children TO redis2pg",
    );
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 3)]);
    case.sql("REVOKE SELECT ON children FROM redis2pg");
    assert!(ends(case.validate(MAPPINGS, &[]), 2).stderr.contains("SELECT"));
    case.sql("DROP TABLE children");
    assert!(ends(case.validate(MAPPINGS, &[]), 2).stderr.contains("the table is not there"));
}

/// What would be said of rows that are written is no matter here.
#[test]
fn of_row_level_security_what_hides_rows_is_told_and_of_triggers_nothing() {
    let case = loaded(3, 0);
    case.sql(
        "ALTER TABLE parents OWNER TO postgres; GRANT ALL ON parents TO redis2pg; ALTER TABLE parents ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY writes ON parents FOR INSERT WITH CHECK (false); CREATE POLICY reads ON parents FOR SELECT USING (true); \
         CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; \
         CREATE TRIGGER quiet BEFORE INSERT ON parents FOR EACH ROW EXECUTE FUNCTION quiet()",
    );
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 3)]);
    for word in ["row-level security", "trigger"] {
        assert!(!outcome.stderr.contains(word), "{outcome}");
    }
    case.sql("CREATE POLICY few ON parents AS RESTRICTIVE FOR SELECT USING (n < 2)");
    let outcome = ends(case.validate(MAPPINGS, &[]), 4);
    found(&outcome, "parents", &[("equal", 2), ("missing", 1)]);
    assert!(outcome.stderr.contains("hide rows from it: few. A row that is hidden"), "{outcome}");
    case.sql("DROP POLICY reads ON parents");
    let outcome = ends(case.validate(MAPPINGS, &[]), 2);
    assert!(outcome.stderr.contains("no policy lets it see any row"), "{outcome}");
}

#[test]
fn a_table_that_the_run_made_and_somebody_dropped_is_said_to_be_gone() {
    let case = Case::new();
    let config = r#"
[[mapping]]
name = "parents"
match = "parent:{id}"
into = "public.parents"
create = true
key = ["id"]
column = [{ name = "id", from = ["{id}"], type = "text" }, { name = "n", from = ["$.n"], type = "integer" }]
"#;
    case.sql("GRANT CREATE ON SCHEMA public TO redis2pg");
    case.redis().set("parent:1", r#"{"n":1}"#);
    ends(case.run_config(config, &[]), 0);
    ends(case.validate(config, &[]), 0);
    case.sql("DROP TABLE parents");
    let outcome = ends(case.validate(config, &[]), 2);
    assert!(outcome.stderr.contains("the table is not there, and with it all rows"), "{outcome}");
    assert!(outcome.stderr.contains("A run makes it and loads it again"), "{outcome}");
    assert_eq!(case.sql("SELECT to_regclass('parents')"), "", "a validation makes no table");
}

#[test]
fn a_run_of_the_same_source_with_other_mappings_is_named() {
    let case = loaded(2, 0);
    let run = case.ledger(&["runs", "show"])["id"].as_str().unwrap().to_owned();
    let config = format!("{MAPPINGS}\n[run]\nunmatched = \"archive\"\n");
    let outcome = ends(case.validate(&config, &[]), 2);
    assert!(outcome.stderr.contains(&format!("--run {run}")) && outcome.stderr.contains("--unmatched"), "{outcome}");
    case.sql("UPDATE redis2pg.runs SET started_at = started_at - interval '1 hour'");
    case.sql("GRANT CREATE ON SCHEMA public TO redis2pg");
    let later = ends(case.run_config(&config, &[]), 0);
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    let untold = outcome.report["validation"]["untold"].to_string();
    assert!(untold.contains(later.report["run"].as_str().unwrap()) && untold.contains("--unmatched"), "{untold}");
    let named = ends(case.validate(MAPPINGS, &["--run", &run]), 0);
    assert_eq!(named.report["validation"]["untold"], serde_json::json!([]));
}

#[test]
fn where_keys_cannot_be_set_aside_it_ends_with_2() {
    let case = loaded(2, 0);
    case.sql("DELETE FROM parents");
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, MAPPINGS).unwrap();
    let mut command = case.command();
    command.args(["validate", "--from", &case.source, "--to", &case.target, "--config"]).arg(config);
    let output = command.env("TMPDIR", "/nowhere/at/all").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("no temporary file can be made") && stderr.contains("TMPDIR"), "{stderr}");
}
