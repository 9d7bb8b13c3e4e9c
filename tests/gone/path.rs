//! The operator's path of docs/cutover.md, walked: a first run while the application lives, a freeze, a second run, a look
//! whether all is there, and back again.

use crate::preset::uuid;
use crate::support::{Case, Client, EndOnDrop, Outcome};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const TABLES: [(&str, &str); 3] = [
    ("documents", "document_hub.documents"),
    ("analyses", "document_hub.analysis_results"),
    ("sessions", "document_hub.sessions"),
];

/// What the application keeps of one document.
fn make(redis: &mut Client, number: u32, version: u32) {
    let id = uuid(number);
    let document =
        format!(r#"{{"filename":"{number}-{version}.pdf","file_path":"{number}.pdf","file_size":{version}}}"#);
    redis.set(&format!("document:{id}"), &document);
    redis.set(&format!("analysis:{id}"), &format!(r#"{{"document_id":"{id}","analysis":{{"version":{version}}}}}"#));
    redis.set(&format!("session:{number}"), &format!(r#"{{"session_id":"{number}","document_id":"{id}"}}"#));
    redis.integer(&[b"PEXPIRE", format!("session:{number}").as_bytes(), b"3600000"]);
}

fn forget(redis: &mut Client, number: u32) {
    let id = uuid(number);
    for key in [format!("session:{number}"), format!("analysis:{id}"), format!("document:{id}")] {
        redis.integer(&[b"DEL", key.as_bytes()]);
    }
}

/// The application: makes, changes and deletes documents until it is frozen.
fn live(case: &Case, frozen: &AtomicBool) {
    let (mut redis, mut round) = (case.redis(), 0);
    while !frozen.load(Ordering::Relaxed) {
        make(&mut redis, 1000 + round, round);
        make(&mut redis, round % 150, round + 1000);
        forget(&mut redis, 150 + round % 50);
        if round > 20 {
            forget(&mut redis, 1000 + round - 20);
        }
        round += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// All rows of the tables, but for the time of the last change, which a trigger of the application sets.
fn rows(case: &Case) -> Vec<String> {
    let all = |(_, table): &(&str, &str)| {
        case.sql(&format!(
            "SELECT to_jsonb(t) - 'updated_at' FROM {table} t ORDER BY (to_jsonb(t) - 'updated_at')::text"
        ))
    };
    TABLES.iter().map(all).collect()
}

fn count(case: &Case) -> i64 {
    TABLES.iter().map(|(_, table)| case.number(&format!("SELECT count(*) FROM {table}"))).sum()
}

/// How many keys of a mapping are of each class, without the classes that have none.
fn classes(validation: &Outcome, mapping: &str) -> Vec<(String, i64)> {
    let keys = &validation.report["validation"]["mappings"][mapping]["keys"];
    let counts = keys.as_object().expect("counts by class").iter();
    counts
        .map(|(class, count)| (class.clone(), count.as_i64().expect("a count")))
        .filter(|(_, count)| *count != 0)
        .collect()
}

fn rolled_back(case: &Case, run: &str) -> Value {
    let args = ["rollback", "--to", &case.target, "--run", run, "--yes", "--json"];
    let output = case.command().args(args).output().expect("redis2pg");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let account: Value = serde_json::from_slice(&output.stdout).expect("JSON alone on stdout");
    assert_eq!(account["kept"], 0, "{account:#}");
    account
}

#[test]
fn the_path_there_and_back() {
    let case = Case::new();
    let mut redis = case.redis();
    (0..200).for_each(|number| make(&mut redis, number, 0));
    let frozen = AtomicBool::new(false);
    let first = std::thread::scope(|scope| {
        scope.spawn(|| live(&case, &frozen));
        let _end = EndOnDrop(&frozen);
        case.run(&["--max-keys-per-second", "500"])
    });
    // What came and went meanwhile may be missing, or without its parent.
    assert!([0, 3, 4].contains(&first.code), "{first}");
    let after_first = rows(&case);

    let dry = case.run(&["--delete-gone", "--dry-run"]).exits(0);
    assert!(dry.report["tally"]["deleted_gone"]["would_delete"].as_i64() > Some(0), "{dry}");
    assert_eq!(rows(&case), after_first);
    let second = case.run(&["--delete-gone"]).exits(0);
    let moved = ["inserted", "updated"].map(|outcome| second.total(outcome));
    assert!(moved.iter().all(|count| *count > 0), "{second}");
    assert!(second.report["tally"]["deleted_gone"]["deleted"].as_i64() > Some(0), "{second}");
    assert_eq!(redis.integer(&[b"DBSIZE"]), count(&case), "as many rows as keys: {second}");
    for (mapping, table) in TABLES {
        let rows = case.number(&format!("SELECT count(*) FROM {table}"));
        assert_eq!(rows, second.count(mapping, "matched"), "{mapping}: {second}");
    }

    let validation = case.validate("[run]\npreset = \"contract-reviewer\"\n", &[]).exits(0);
    assert_eq!(
        (&validation.report["validation_passed"], second.report["run"].as_str()),
        (&true.into(), validation.report["validation"]["run"].as_str())
    );
    for (mapping, _) in TABLES {
        assert_eq!(
            classes(&validation, mapping),
            [("equal".to_owned(), second.count(mapping, "matched"))],
            "{validation}"
        );
    }

    rolled_back(&case, second.report["run"].as_str().expect("a run"));
    assert_eq!(rows(&case), after_first, "as it was before the second run");
    rolled_back(&case, first.report["run"].as_str().expect("a run"));
    assert_eq!(count(&case), 0, "as it was before the first run");
    // And there again.
    let third = case.run(&["--delete-gone"]).exits(0);
    assert_eq!(third.total("inserted"), redis.integer(&[b"DBSIZE"]), "{third}");
    assert_eq!(count(&case), redis.integer(&[b"DBSIZE"]));
}
