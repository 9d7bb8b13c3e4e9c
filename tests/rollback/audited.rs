//! The audit log of the application, which somebody else may be at.

use crate::support::Case;
use crate::{id, rollback, undo};

/// Rows go batch by batch; the audit log is written at the end, and an end that cannot be written is none.
#[test]
fn an_audit_log_that_somebody_holds_is_written_by_the_same_command_later() {
    let case = Case::new();
    let document =
        |n: u32| (format!("document:{n}"), format!(r#"{{"filename":"a.pdf","file_path":"a.pdf","file_size":{n}}}"#));
    case.redis().set_many(&(0..20).map(document).collect::<Vec<_>>());
    let run = id(&case.run(&[]).exits(0));
    let audit = "SELECT details ->> 'rows' FROM document_hub.audit_logs WHERE action = 'redis2pg.rollback.delete'";
    let impatient = ["--yes", "--lock-timeout", "200ms", "--retry-deadline", "1s"];
    let held = "LOCK TABLE document_hub.audit_logs IN ACCESS EXCLUSIVE MODE";
    let ended = case.while_held(held, |_| rollback(&case, &run, &impatient)).exits(6);
    assert!(
        ended.stderr.contains("and in the audit log: ") && ended.stderr.contains("lock timeout"),
        "{}",
        ended.stderr
    );
    assert_eq!((ended.counts(), ended.json["state"].as_str()), ([20, 0, 0], Some("stopped")), "{:#}", ended.json);
    assert_eq!((case.number("SELECT count(*) FROM document_hub.documents"), case.sql(audit)), (0, String::new()));
    assert!(case.ledger(&["runs", "show", &run])["rolled_back_at"].is_null());
    // At once: the lease was given back.
    assert_eq!((undo(&case, &run).counts(), case.sql(audit)), ([20, 0, 0], "20".to_owned()));
    assert_eq!((undo(&case, &run).counts(), case.sql(audit)), ([20, 0, 0], "20".to_owned()));
}
