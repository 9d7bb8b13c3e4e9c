//! The validation at the end of a run: on unless it is switched off, and its word in the exit code.

use crate::support::Case;
use crate::{MAPPINGS, TABLES, ends, found};
use serde_json::{Value, json};

#[test]
fn a_run_is_validated_by_default_and_says_what_it_found() {
    let case = Case::new();
    case.sql(TABLES);
    let mut redis = case.redis();
    (0..3).for_each(|id| redis.set(&format!("parent:{id}"), r#"{"n":1}"#));
    redis.set("parent:bad", "{");
    let dir = tempfile::tempdir().unwrap();
    let (config, report) = (dir.path().join("config.toml"), dir.path().join("report"));
    std::fs::write(&config, MAPPINGS).unwrap();
    let mut command = case.command();
    command.env_remove("REDIS2PG_VALIDATE_AFTER_RUN").args(["run", "--from", &case.source, "--to", &case.target]);
    let output = command.arg("--config").arg(&config).arg("--report").arg(&report).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(stdout.contains("Validation of run") && stdout.contains(": passed"), "{stdout}");
    // Its progress is shown as that of the command.
    let stderr = String::from_utf8_lossy(&output.stderr);
    let validating = stderr.find("validating run").unwrap_or_else(|| panic!("{stderr}"));
    let (of_run, of_validation) = stderr.split_at(validating);
    assert!(of_run.contains("phase 1: parents") && of_validation.contains("round 1: parents, children"), "{stderr}");
    assert!(of_validation.contains("keys looked at; 4 of 4 done"), "{stderr}");
    let text = std::fs::read_to_string(report.join("report.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["validation_passed"], &json["validation"]["keys"]["equal"]), (&json!(true), &json!(3)));
    assert_eq!((&json["validation"]["keys"]["rejected"], &json["exit_code"]), (&json!(1), &json!(3)));
    let summary = std::fs::read_to_string(report.join("summary.txt")).unwrap();
    assert!(summary.contains("Validation of run"), "{summary}");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.validations WHERE passed AND complete"), 1);
}

#[test]
fn a_run_whose_rows_differ_ends_with_4_rejects_or_not() {
    let case = Case::new();
    case.sql(TABLES);
    case.sql(
        "CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := NEW.n + 1; RETURN NEW; END $$; \
         CREATE TRIGGER more BEFORE INSERT ON parents FOR EACH ROW EXECUTE FUNCTION more()",
    );
    let mut redis = case.redis();
    redis.set("parent:1", r#"{"n":1}"#);
    redis.set("parent:bad", "{");
    let run = ends(case.run_config(MAPPINGS, &["--validate-after-run=true"]), 4);
    found(&run, "parents", &[("different", 1), ("rejected", 1)]);
    assert_eq!((&run.report["state"], &run.report["exit_code"]), (&json!("done"), &json!(4)));
    assert_eq!(run.report["validation_passed"], false);
    let shown = case.ledger(&["runs", "show"]);
    assert_eq!((&shown["state"], &shown["exit_code"]), (&json!("done"), &json!(4)));
    assert_eq!(shown["validation"]["passed"], false);
    let text = |args: [&str; 2]| {
        let output = case.command().args(args).args(["--to", &case.target]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(text(["runs", "show"]).contains("\nexit     4\n"), "{}", text(["runs", "show"]));
    let list = text(["runs", "list"]);
    let line = list.lines().find(|line| line.contains("done")).unwrap();
    assert_eq!(line.split_whitespace().nth(2), Some("4"), "{list}");
}

#[test]
fn a_dry_run_a_retry_and_a_stopped_run_are_not_validated() {
    let case = Case::new();
    case.sql(TABLES);
    let mut redis = case.redis();
    (0..3).for_each(|id| redis.set(&format!("parent:{id}"), "{"));
    let on = "--validate-after-run=true";
    let dry = case.run_config(MAPPINGS, &[on, "--dry-run"]);
    assert_eq!(dry.report["validation"], Value::Null);
    let stopped = ends(case.run_config(MAPPINGS, &[on, "--max-rejects", "1"]), 7);
    assert_eq!(stopped.report["validation"], Value::Null);
    let run = ends(case.run_config(MAPPINGS, &[on]), 3);
    assert_eq!(run.report["validation_passed"], true);
    assert_eq!(ends(case.retry(MAPPINGS, &[on]), 3).report["validation"], Value::Null);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.validations"), 1);
}

#[test]
fn a_run_over_a_part_is_validated_over_that_part() {
    let case = Case::new();
    case.sql(TABLES);
    let mut redis = case.redis();
    (0..20).for_each(|id| redis.set(&format!("parent:{id}"), r#"{"n":1}"#));
    let on = "--validate-after-run=true";
    let run = ends(case.run_config(MAPPINGS, &[on, "--keys", "parent:1?"]), 0);
    found(&run, "parents", &[("equal", 10)]);
    let list = case.list(&["parent:1", "parent:2", "parent:gone"]);
    let run = ends(case.run_config(MAPPINGS, &[on, "--keys-from", list.path().to_str().unwrap()]), 0);
    found(&run, "parents", &[("equal", 2)]);
    let run = ends(case.run_config(MAPPINGS, &[on, "--limit", "5"]), 0);
    assert_eq!(run.report["validation"]["mappings"]["parents"]["keys"]["missing"], 0);
}
