//! What is deleted, counted and noted of the preset's tables, parents behind children.

use crate::support::{Case, Client, Outcome, until, while_they_live};
use serde_json::{Value, json};

const DOCUMENTS: &str = "document_hub.documents";
const ANALYSES: &str = "document_hub.analysis_results";
const SESSIONS: &str = "document_hub.sessions";

pub(crate) fn uuid(number: u32) -> String {
    format!("aaaaaaaa-0000-4000-8000-{number:012x}")
}

/// So many documents, with an analysis each and a session that ends in an hour.
pub(crate) fn fill(redis: &mut Client, count: u32) {
    for number in 0..count {
        let id = uuid(number);
        redis.set(
            &format!("document:{id}"),
            &format!(r#"{{"filename":"{number}.pdf","file_path":"{number}.pdf","file_size":7}}"#),
        );
        redis.set(&format!("analysis:{id}"), &format!(r#"{{"document_id":"{id}","analysis":{{"summary":"s"}}}}"#));
        redis.set(&format!("session:{number}"), &format!(r#"{{"session_id":"{number}","document_id":"{id}"}}"#));
        redis.integer(&[b"PEXPIRE", format!("session:{number}").as_bytes(), b"3600000"]);
    }
}

pub(crate) fn delete(redis: &mut Client, keys: &[&str]) {
    for key in keys {
        assert_eq!(redis.integer(&[b"DEL", key.as_bytes()]), 1, "{key}");
    }
}

/// What is said of a mapping's rows whose keys are gone.
pub(crate) fn gone(run: &Outcome, mapping: &str) -> Value {
    run.report["mappings"][mapping]["deleted_gone"].clone()
}

fn rows(case: &Case) -> [i64; 3] {
    [DOCUMENTS, ANALYSES, SESSIONS].map(|table| case.number(&format!("SELECT count(*) FROM {table}")))
}

/// Ten of each; some keys are gone since, each in a way of its own.
fn changed() -> (Case, Client) {
    let case = Case::new();
    let mut redis = case.redis();
    fill(&mut redis, 10);
    case.run(&[]).exits(0);
    let key = |kind: &str, number: u32| format!("{kind}:{}", uuid(number));
    // A document with all that refers to it; one whose analysis is still there; an analysis by itself.
    delete(&mut redis, &[&key("document", 1), &key("analysis", 1), "session:1"]);
    delete(&mut redis, &[&key("document", 2), "session:2"]);
    delete(&mut redis, &[&key("analysis", 3)]);
    // Changed by somebody since.
    case.sql(&format!("UPDATE {ANALYSES} SET analysis_type = 'mine' WHERE document_id = '{}'", uuid(4)));
    delete(&mut redis, &[&key("analysis", 4)]);
    // Somebody's own row of a key that never was.
    case.sql(&format!("INSERT INTO {DOCUMENTS} (id, filename, original_filename, file_path, file_size, file_type) VALUES ('{}', 'x', 'x', 'x', 1, 'x')", uuid(99)));
    // It expires long before the time that its row tells.
    redis.integer(&[b"PEXPIRE", b"session:5", b"1"]);
    std::thread::sleep(std::time::Duration::from_millis(20));
    (case, redis)
}

#[test]
fn rows_whose_keys_are_gone_are_deleted_children_first_and_no_others() {
    let (case, _redis) = changed();
    let before = case.fingerprint();
    let dry = case.run(&["--delete-gone", "--dry-run"]).exits(0);
    assert_eq!(gone(&dry, "documents"), json!({"would_delete": 2}), "{dry}");
    assert_eq!(gone(&dry, "analyses"), json!({"would_delete": 2, "kept_changed": 1}), "{dry}");
    assert_eq!(case.fingerprint(), before);
    let plain = case.run(&[]).exits(0);
    assert_eq!((gone(&plain, "documents"), rows(&case)), (Value::Null, [11, 10, 10]), "{plain}");

    let run = case.run(&["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "documents"), json!({"deleted": 1, "kept_referred": 1}), "{run}");
    assert_eq!(gone(&run, "analyses"), json!({"deleted": 2, "kept_changed": 1}), "{run}");
    // The fifth expired after its hour had been recorded: nothing tells that from a key that was deleted.
    assert_eq!(gone(&run, "sessions"), json!({"deleted": 3}), "{run}");
    assert_eq!(run.report["tally"]["deleted_gone"]["deleted"], 6, "{run}");
    assert!(run.stdout.contains("rows of analyses whose keys are gone: 2 deleted, 1 kept changed\n"), "{run}");
    assert_eq!(rows(&case), [10, 8, 7]);
    assert_eq!(
        case.number(&format!("SELECT count(*) FROM {DOCUMENTS} WHERE id IN ('{}', '{}')", uuid(2), uuid(99))),
        2
    );

    let images = "SELECT table_name, count(*), bool_and(deleted) FROM redis2pg.before_images GROUP BY 1 ORDER BY 1";
    assert_eq!(case.sql(images), format!("{ANALYSES}|2|t\n{DOCUMENTS}|1|t\n{SESSIONS}|3|t"));
    let audit = case.sql(
        "SELECT resource_type, details -> 'tally' ->> 'deleted' FROM document_hub.audit_logs \
         WHERE action = 'redis2pg.delete_gone' ORDER BY 1",
    );
    assert_eq!(audit, format!("{ANALYSES}|2\n{DOCUMENTS}|1\n{SESSIONS}|3"));

    let again = case.run(&["--delete-gone"]).exits(0);
    assert_eq!(gone(&again, "documents"), json!({"kept_referred": 1}), "{again}");
    assert_eq!(gone(&again, "sessions"), Value::Null, "{again}");
    assert_eq!(rows(&case), [10, 8, 7]);
}

#[test]
fn the_rows_of_keys_that_expired_stay_unless_asked_for() {
    let (case, mut redis) = while_they_live(1500, |life| {
        let case = Case::new();
        let mut redis = case.redis();
        fill(&mut redis, 4);
        redis.say(&format!("PEXPIRE session:1 {life}"));
        case.run(&[]).exits(0);
        (redis.say("EXISTS session:1") == ":1").then_some((case, redis))
    });
    delete(&mut redis, &["session:2"]);
    until("it expires", || redis.say("EXISTS session:1") == ":0");
    let run = case.run(&["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "sessions"), json!({"deleted": 1, "expired_kept": 1}), "{run}");
    let run = case.run(&["--delete-gone", "--delete-expired"]).exits(0);
    assert_eq!((gone(&run, "sessions"), rows(&case)), (json!({"deleted": 1}), [4, 4, 2]), "{run}");
}

#[test]
fn mappings_that_are_switched_off_lose_nothing() {
    let (case, _redis) = changed();
    let run = case.run(&["--delete-gone", "--skip", "analyses,sessions"]).exits(0);
    assert_eq!((gone(&run, "analyses"), gone(&run, "sessions")), (Value::Null, Value::Null), "{run}");
    assert_eq!(gone(&run, "documents"), json!({"kept_referred": 2}), "{run}");
    assert_eq!(rows(&case), [11, 10, 10]);
}
