//! The application's audit log: what refuses its rows is found before the run, not after all the work.

use crate::support;

use support::Case;

const DOCUMENT: &str = r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#;

/// Nothing is in Redis but one document; the preset's tables and the ledger are there.
fn made() -> Case {
    let case = Case::new();
    case.run(&["--allow-empty"]).exits(0);
    case.redis().set("document:1", DOCUMENT);
    case
}

/// A change of the audit log that makes it refuse a run's rows, and what the refusal says.
const CHANGES: [(&str, &str); 7] = [
    ("ADD tenant text NOT NULL", "\"tenant\""),
    ("DROP details", "\"details\""),
    ("DROP resource_id", "\"resource_id\""),
    ("ADD CONSTRAINT known CHECK (action <> 'redis2pg.migrate')", "\"known\""),
    ("ADD CONSTRAINT other CHECK (resource_type <> 'document_hub.sessions')", "\"other\""),
    ("ADD FOREIGN KEY (action) REFERENCES actions DEFERRABLE INITIALLY DEFERRED", "foreign key"),
    ("OWNER TO postgres", "permission denied"),
];

#[test]
fn an_audit_log_that_takes_no_row_of_a_run_is_found_before_anything_is_written() {
    let case = made();
    case.sql("CREATE TABLE actions (action text PRIMARY KEY)");
    case.sql("CREATE TABLE kept AS SELECT * FROM document_hub.audit_logs");
    for (change, word) in CHANGES {
        case.sql(
            "DROP TABLE document_hub.audit_logs; CREATE TABLE document_hub.audit_logs (LIKE kept); \
             ALTER TABLE document_hub.audit_logs OWNER TO redis2pg",
        );
        case.sql(&format!("ALTER TABLE document_hub.audit_logs {change}"));
        let before = case.fingerprint();
        let run = case.run(&[]);
        assert_eq!(run.code, 2, "{change}: {run}");
        for word in ["document_hub.audit_logs: the audit log takes no row", word, "take `audit` out of the mapping"] {
            assert!(run.stderr.contains(word), "{change}: {word:?} is not in: {}", run.stderr);
        }
        assert_eq!(run.stderr.matches("the audit log takes no row").count(), 1, "{change}: {run}");
        assert_eq!(case.fingerprint(), before, "{change}: something was written: {run}");
        // A dry run writes none, and needs none of it.
        case.run(&["--dry-run"]).exits(0);
        assert_eq!(case.fingerprint(), before, "{change}: a dry run wrote something");
    }
}

#[test]
fn an_audit_log_that_is_not_there_is_told_and_stops_no_run() {
    let case = made();
    case.sql("DROP TABLE document_hub.audit_logs");
    for args in [&["--dry-run"][..], &[]] {
        let run = case.run(args).exits(0);
        let notices = run.report["notices"].to_string();
        assert_eq!(notices.matches("document_hub.audit_logs: there is no such audit log").count(), 1, "{run}");
    }
    assert_eq!(case.number("SELECT count(*) FROM document_hub.documents"), 1);
}

#[test]
fn rights_on_the_columns_that_a_run_fills_do() {
    let case = made();
    case.sql(
        "ALTER TABLE document_hub.audit_logs OWNER TO postgres; \
         GRANT INSERT (action, resource_type, resource_id, details) ON document_hub.audit_logs TO redis2pg",
    );
    case.run(&[]).exits(0);
    assert_eq!(case.number("SELECT count(*) FROM document_hub.audit_logs"), 1);
}
