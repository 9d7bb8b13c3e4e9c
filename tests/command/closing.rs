//! What a run leaves behind when it ends: counts, statistics, and words that say why.

use crate::support;

use support::Case;

const DOCUMENTS: &str = "document_hub.documents";

fn documents(numbers: std::ops::Range<u32>) -> Vec<(String, String)> {
    let value = |n| format!(r#"{{"filename":"{n}.pdf","file_path":"{n}.pdf","file_size":{n}}}"#);
    numbers.map(|n| (format!("document:{n:05}"), value(n))).collect()
}

#[test]
fn the_report_counts_rows_before_and_after() {
    let case = Case::new();
    case.redis().set_many(&documents(0..300));
    let first = case.run(&[]).exits(0);
    let count = |report: &serde_json::Value, when: &str| report["counts"]["target"][DOCUMENTS][when].as_i64();
    assert_eq!((count(&first.report, "before"), count(&first.report, "after")), (Some(0), Some(300)));
    case.redis().set_many(&documents(300..400));
    let second = case.run(&[]).exits(0);
    assert_eq!((count(&second.report, "before"), count(&second.report, "after")), (Some(300), Some(400)));
}

#[test]
fn tables_that_got_rows_are_analyzed_and_others_are_not() {
    let case = Case::new();
    case.redis().set_many(&documents(0..300));
    case.run(&[]).exits(0);
    let statistics = format!(
        "SELECT reltuples, (SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'documents'), \
         (SELECT count(*) FROM pg_stats WHERE tablename = 'sessions') FROM pg_class WHERE oid = '{DOCUMENTS}'::regclass"
    );
    assert_eq!(case.sql(&statistics), "300|t|0");
    // Nothing new: nothing is analyzed.
    case.sql(&format!("DELETE FROM pg_statistic WHERE starelid = '{DOCUMENTS}'::regclass"));
    case.run(&[]).exits(0);
    assert_eq!(case.sql(&statistics), "300|f|0");
}

#[test]
fn a_role_that_may_not_analyze_loads_all_the_same_and_is_told() {
    let case = Case::new();
    case.redis().set_many(&documents(0..10));
    case.run(&[]).exits(0);
    case.sql(&format!(
        "CREATE ROLE no_owner LOGIN PASSWORD 'role-secret'; GRANT TEMP ON DATABASE {} TO no_owner; \
         GRANT USAGE ON SCHEMA document_hub, redis2pg TO no_owner; \
         GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA document_hub TO no_owner; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA redis2pg TO no_owner",
        case.database
    ));
    let port = support::postgres().port();
    let target = format!("postgres://no_owner:role-secret@127.0.0.1:{port}/{}", case.database);
    case.redis().set_many(&documents(10..20));
    let run = Case { source: case.source.clone(), target, database: case.database.clone() }.run(&[]).exits(0);
    assert_eq!(run.count("documents", "inserted"), 10);
    let notices = run.report["notices"].to_string();
    assert!(notices.contains("document_hub.documents was not analyzed"), "{notices}");
}

#[test]
fn a_rejected_value_above_the_cap_is_told_by_size_and_hash() {
    let case = Case::new();
    let value = format!("{{{}", "x".repeat(99));
    case.redis().set("document:large", &value);
    let run = case.run(&["--value-cap", "10"]).exits(3);
    let hash = redis2pg::model::sha256_hex(value.as_bytes());
    let listed = run.reject("document:large");
    assert_eq!((&listed["value"], listed["value_bytes"].as_i64()), (&serde_json::Value::Null, Some(100)));
    assert_eq!(listed["value_sha256"], hash);
    let output = case.command().args(["rejects", "show", "--to", &case.target]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("not kept: 100 bytes") && shown.contains(&hash), "{shown}");
    assert!(!shown.contains("none was read"), "{shown}");
}

#[test]
fn a_stop_names_the_setting_that_asked_for_it() {
    let case = Case::new();
    case.redis().set_many(&documents(0..50));
    case.redis().set("document:broken", "{");
    let run = case.run(&["--continue-on-error=false", "--batch-rows", "10"]).exits(7);
    let notices = run.report["notices"].to_string();
    assert!(notices.contains("errors.continue_on_error") && !notices.contains("errors.max_rejects"), "{run}");
    let run = case.run(&["--max-rejects", "1", "--batch-rows", "10"]).exits(3);
    assert!(!run.report["notices"].to_string().contains("stopping"), "{run}");
}

#[test]
fn a_run_that_failed_says_why_in_its_report_and_nothing_of_its_books() {
    let case = Case::new();
    case.redis().set_many(&documents(0..50));
    case.run(&[]).exits(0);
    case.redis().set_many(&documents(50..60));
    // The first row of the next run finds the journal gone: no row's fault, and it will not pass.
    case.sql("ALTER TABLE redis2pg.batches RENAME COLUMN tally TO elsewhere");
    let run = case.run(&[]);
    assert_eq!(run.code, 2, "{run}");
    assert!(run.report["error"].as_str().unwrap().contains("tally"), "{run}");
    assert!(!run.said().contains("do not balance"), "{run}");
    let summary = std::fs::read_to_string(run.path().join("summary.txt")).unwrap();
    assert!(summary.contains("It failed: ") && !summary.contains("balance"), "{summary}");
}

#[test]
fn an_audit_log_that_refuses_its_rows_leaves_no_run_open() {
    let case = Case::new();
    case.redis().set_many(&documents(0..5));
    case.run(&[]).exits(0);
    // What refuses every row is found before the run; what depends on its counts is not.
    case.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF new.details->'tally'->>'inserted' <> '0' THEN RAISE EXCEPTION 'no' USING ERRCODE = '42501'; END IF; \
         RETURN new; END $$; \
         CREATE TRIGGER refuse BEFORE INSERT ON document_hub.audit_logs FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    case.redis().set_many(&documents(5..10));
    let run = case.run(&[]).exits(2);
    assert!(run.stderr.contains("writing the audit log"), "{run}");
    assert_eq!(run.count("documents", "inserted"), 5);
    let last = "SELECT state, exit_code, error LIKE 'writing the audit log%' FROM redis2pg.runs ORDER BY started_at DESC LIMIT 1";
    assert_eq!(case.sql(last), "done|2|t");
    assert_eq!(case.number("SELECT count(*) FROM document_hub.audit_logs"), 1);
}

#[test]
fn a_report_that_cannot_be_written_ends_the_run_before_anything_is_read_or_written() {
    let case = Case::new();
    case.redis().set_many(&documents(0..3));
    let before = case.fingerprint();
    let file = tempfile::NamedTempFile::new().expect("a file");
    let dir = file.path().join("report");
    let mut command = case.command();
    command.args(["run", "--from", &case.source, "--to", &case.target, "--preset", "contract-reviewer", "--report"]);
    let output = command.arg(&dir).output().expect("redis2pg");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("run.report: "), "{stderr}");
    assert_eq!(case.fingerprint(), before, "something was written");
}

#[test]
fn a_key_without_a_reject_is_told_apart_from_a_run_without_any() {
    let case = Case::new();
    case.redis().set("document:1", "{");
    case.run(&[]).exits(3);
    let show = |args: &[&str]| {
        let output = case.command().args(["rejects", "show", "--to", &case.target]).args(args).output();
        String::from_utf8_lossy(&output.expect("redis2pg").stdout).into_owned()
    };
    assert_eq!(show(&["document:2"]), "There is no open reject of that key in the latest run.\n");
    assert_eq!(show(&["--reason", "number"]), "There are no open rejects with the reason number in the latest run.\n");
    assert!(show(&["document:1"]).contains("json_syntax"));
}
