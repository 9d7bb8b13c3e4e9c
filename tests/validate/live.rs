//! A cache that is alive while it is validated.

use crate::support::{Case, EndOnDrop};
use crate::{MAPPINGS, TABLES, ends, found, loaded};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// An application that writes both, one after the other: each row is a moment without its key, or each key without its row.
/// What is found so is looked at again, and is no difference.
#[test]
fn keys_and_rows_that_change_together_are_not_told_as_differences() {
    let case = loaded(300, 0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut redis = case.redis();
            let mut round = 0;
            while !done.load(Ordering::Relaxed) {
                round += 1;
                // New keys before their rows, and rows gone before their keys.
                let (key, id) = (format!("parent:new{round}"), format!("new{round}"));
                redis.set(&key, r#"{"n":1}"#);
                std::thread::sleep(Duration::from_millis(40));
                case.sql(&format!("INSERT INTO parents (id, n, metadata) VALUES ('{id}', 1, '{{}}')"));
                let old = round % 300;
                case.sql(&format!("DELETE FROM parents WHERE id = '{old}'"));
                std::thread::sleep(Duration::from_millis(40));
                redis.say(&format!("DEL parent:{old}"));
                // Changed at both ends.
                let changed = 299 - old;
                case.sql(&format!("UPDATE parents SET n = {round} WHERE id = '{changed}'"));
                redis.set(&format!("parent:{changed}"), &format!(r#"{{"n":{round}}}"#));
            }
        });
        let _end = EndOnDrop(&done);
        for _ in 0..3 {
            let outcome = case.validate(MAPPINGS, &["--validate-rounds", "6"]);
            let keys = &outcome.report["validation"]["mappings"]["parents"]["keys"];
            let bad = ["missing", "different", "orphaned"].map(|class| keys[class].as_i64().unwrap());
            assert_eq!((outcome.code, bad), (0, [0; 3]), "{outcome}\n{:#}", outcome.report["validation"]);
        }
    });
}

/// One round alone cries wolf: which is what the others are for.
#[test]
fn a_row_that_comes_a_little_late_is_missing_in_the_first_round_and_equal_in_the_next() {
    let case = loaded(3, 0);
    case.redis().set("parent:late", r#"{"n":7}"#);
    found(&ends(case.validate(MAPPINGS, &["--validate-rounds", "1"]), 4), "parents", &[("equal", 3), ("missing", 1)]);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, MAPPINGS).unwrap();
    let mut command = case.command();
    command.args(["validate", "--json", "--validate-rounds", "4", "--progress", "lines", "--from", &case.source]);
    command.args(["--to", &case.target, "--config"]).arg(config).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut validation = command.spawn().unwrap();
    // Once the first round is over.
    let said = BufReader::new(validation.stderr.take().unwrap()).lines();
    let seen = said.map_while(Result::ok).any(|line| line.starts_with("round 2"));
    assert!(seen, "there is a second round");
    case.sql("INSERT INTO parents VALUES ('late', 7, NULL, '{}')");
    let output = validation.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["validation"]["keys"]["equal"], 4, "{report:#}");
}

#[test]
fn a_validation_that_is_stopped_says_so_and_has_not_passed() {
    let case = loaded(200, 0);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, MAPPINGS).unwrap();
    let mut command = case.command();
    command.args(["validate", "--json", "--max-keys-per-second", "20", "--progress", "lines", "--from", &case.source]);
    command.args(["--to", &case.target, "--config"]).arg(config).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut validation = command.spawn().unwrap();
    let mut said = BufReader::new(validation.stderr.take().unwrap()).lines();
    assert!(said.by_ref().map_while(Result::ok).any(|line| line.starts_with("round 1")));
    std::thread::sleep(Duration::from_millis(300));
    let signal = ["-INT", &validation.id().to_string()];
    assert!(std::process::Command::new("kill").args(signal).status().unwrap().success());
    let output = validation.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(7), "{report:#}");
    assert_eq!((&report["validation"]["complete"], &report["validation_passed"]), (&false.into(), &Value::Null));
    assert_eq!(case.ledger(&["runs", "show"])["validation"]["complete"], false);
}

/// An application that goes on writing to Redis alone while a run works, is validated at its end, and is validated again: what changed
/// since it was loaded is stale. Nothing is missing or different, and once the application rests a second run makes all equal.
#[test]
fn a_run_and_a_validation_beside_a_live_writer_find_nothing_missing_or_different() {
    const KEYS: i64 = 600;
    let case = Case::new();
    case.sql(TABLES);
    let mut redis = case.redis();
    (0..KEYS / 2).for_each(|id| {
        redis.set(&format!("parent:{id}"), r#"{"n":0}"#);
        redis.set(&format!("child:{id}"), &format!(r#"{{"parent":"{id}","label":"0"}}"#));
    });
    let done = AtomicBool::new(false);
    let (run, validation) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut redis, mut round) = (case.redis(), 0);
            while !done.load(Ordering::Relaxed) {
                round += 1;
                let id = round * 7 % (KEYS / 2);
                redis.set(&format!("parent:{id}"), &format!(r#"{{"n":{round}}}"#));
                redis.integer(&[
                    b"PEXPIRE",
                    format!("parent:{id}").as_bytes(),
                    (3_600_000 + round).to_string().as_bytes(),
                ]);
                redis.set(&format!("child:{id}"), &format!(r#"{{"parent":"{id}","label":"{round}"}}"#));
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let _end = EndOnDrop(&done);
        let run = case.run_config(MAPPINGS, &["--validate-after-run=true", "--max-keys-per-second", "600"]);
        let validation = case.validate(MAPPINGS, &[]);
        (run, validation)
    });
    for outcome in [ends(run, 0), ends(validation, 0)] {
        let keys = &outcome.report["validation"]["keys"];
        let counts = ["equal", "stale"].map(|class| keys[class].as_i64().unwrap());
        assert!(counts[1] > 0, "the application writes: {keys}");
        assert_eq!(counts.iter().sum::<i64>(), KEYS, "{keys}");
    }
    let last = ends(case.run_config(MAPPINGS, &["--validate-after-run=true"]), 0);
    found(&last, "parents", &[("equal", KEYS / 2)]);
    found(&last, "children", &[("equal", KEYS / 2)]);
}
