//! Cleanups that are stopped, or whose disk is full: how they end, and how the same command goes on.

use crate::support::{Case, Outcome, Running, until};
use crate::{ITEMS, TABLES, ends, keys, loaded, number, set_items};
use redis2pg::backup::{Reader, partial_of};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

const COUNT: i64 = 250;
/// So few a second that all keys are compared while some wait for their deletion.
const SLOWLY: [&str; 3] = ["--yes", "--cleanup-keys-per-second", "100"];

/// Stops it when no key is left that was not compared.
fn stopped(case: &Case, running: Running) -> Outcome {
    let since = Instant::now();
    while keys(case) > 110 {
        assert!(since.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(5));
    }
    running.signal("TERM");
    running.finish()
}

/// Fails the test unless it says that it did not come to its end, and how many keys it left.
fn is_stopped(case: &Case, outcome: &Outcome) {
    let left = keys(case);
    assert!(left > 0, "it was stopped too late for this test");
    let cleanup = &outcome.report["cleanup"];
    assert_eq!((number(outcome, "deleted"), number(outcome, "listed")), (COUNT - left, COUNT), "{outcome}");
    assert_eq!(cleanup["kept"]["not_reached"].as_i64(), Some(left), "{cleanup:#}");
    assert_eq!((cleanup["complete"].as_bool(), outcome.report["exit_code"].as_i64()), (Some(false), Some(7)));
    assert!(outcome.said().contains("it did not come to its end"), "{outcome}");
    let state = "SELECT state, exit_code FROM redis2pg.cleanups ORDER BY started_at DESC LIMIT 1";
    assert_eq!(case.sql(state), "stopped|7");
}

/// The keys of a backup, of a part of one too.
fn saved(path: &Path) -> i64 {
    let mut reader = Reader::open_damaged(path).unwrap();
    let mut keys = std::collections::BTreeSet::new();
    while let Ok(Some(found)) = reader.read() {
        if let redis2pg::backup::Found::Entry { entry, .. } = found {
            keys.insert(entry.key);
        }
    }
    keys.len() as i64
}

#[test]
fn a_stop_while_it_deletes_is_no_end_and_the_same_command_goes_on_with_its_backup() {
    let case = loaded(COUNT as usize);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    let named = path.to_str().unwrap();
    let running = case.start_cleanup(ITEMS, &[&SLOWLY[..], &["--backup", named]].concat());
    let outcome = ends(stopped(&case, running), 7);
    is_stopped(&case, &outcome);
    // The file has no name yet: it is not whole.
    assert!(!path.exists() && saved(&partial_of(&path)) >= number(&outcome, "deleted"), "{outcome}");
    let backup = &outcome.report["cleanup"]["backup"];
    assert_eq!((backup["path"].as_str(), backup["complete"].as_bool()), (partial_of(&path).to_str(), Some(false)));
    assert!(outcome.stdout.contains("the same command goes on with it"), "{outcome}");
    let left = keys(&case);
    let last = ends(case.cleanup(ITEMS, &["--yes", "--backup", named]), 0);
    assert_eq!((keys(&case), number(&last, "deleted"), number(&last, "deleted_in_all")), (0, left, COUNT), "{last}");
    assert!(path.exists() && !partial_of(&path).exists(), "{last}");
    assert_eq!(saved(&path), COUNT);
}

#[test]
fn a_stop_of_the_cleanup_at_the_end_of_a_run_is_told_too() {
    let case = Case::new();
    case.sql(TABLES);
    set_items(&case, COUNT as usize);
    let wanted = ["--cleanup-after-run", "--validate-after-run=true"];
    let running = case.start_config(ITEMS, &[&SLOWLY[..], &wanted].concat());
    let outcome = ends(stopped(&case, running), 7);
    is_stopped(&case, &outcome);
    assert!(outcome.said().contains("the cleanup was stopped: redis2pg cleanup --run"), "{outcome}");
}

/// What is in a file that a disk had no more room for is all that is left of some keys.
#[test]
fn after_a_full_disk_nobody_is_told_to_remove_the_part_and_each_key_is_accounted_for() {
    const MANY: i64 = 4_000;
    let case = Case::new();
    case.sql(TABLES);
    let blob = |n: i64| -> String {
        (0..12).map(|part| format!("{:016x}", (n * 12 + part).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64))).collect()
    };
    let pairs: Vec<_> =
        (0..MANY).map(|n| (format!("item:{n}"), format!("{{\"n\":{n},\"x\":\"{}\"}}", blob(n)))).collect();
    case.redis().set_many(&pairs);
    ends(case.run_config(ITEMS, &[]), 0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    let named = path.to_str().unwrap();
    let args = ["--yes", "--batch-rows", "200", "--writers", "1", "--backup", named];
    let reports = tempfile::tempdir().unwrap();
    let cleanup = case.cleanup_command(reports.path(), ITEMS, &args);
    // The limit of a file's size: the write fails as on a full disk.
    let mut limited = Command::new("sh");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 300; exec \"$0\" \"$@\""]);
    limited.arg(cleanup.get_program()).args(cleanup.get_args());
    for (name, value) in cleanup.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let failed = ends(Outcome::of(&mut limited, reports), 2);
    let deleted = number(&failed, "deleted");
    assert!(deleted > 0 && keys(&case) == MANY - deleted, "{failed}");
    assert!(saved(&partial_of(&path)) >= deleted && !path.exists(), "{failed}");
    assert!(failed.stderr.contains("File too large") && failed.stderr.contains("Do not remove"), "{failed}");
    assert!(!failed.said().contains("nobody needs it"), "{failed}");
    assert!(failed.stdout.contains(&format!("the {deleted} that this cleanup deleted")), "{failed}");
    // What it did not come to has an outcome too.
    let kept = failed.report["cleanup"]["kept"]["not_reached"].as_i64();
    assert_eq!(kept, Some(number(&failed, "listed") - deleted), "{failed}");
    ends(case.cleanup(ITEMS, &args), 0);
    assert_eq!((keys(&case), saved(&path)), (0, MANY));
}

/// Before the cleanup of a run begins nothing goes: a stop of the load is gone on with by `--resume`, which cleans up in the end, one of
/// the validation is told, and the cleanup is left to the command.
#[test]
fn a_stop_of_a_run_before_its_cleanup_deletes_nothing() {
    const MANY: usize = 600;
    let case = Case::new();
    case.sql(TABLES);
    set_items(&case, MANY);
    let args =
        ["--yes", "--cleanup-after-run", "--validate-after-run=true", "--batch-rows", "50", "--scan-count", "50"];
    let slowly = ["--max-keys-per-second", "300"];
    let stop_where = |question: &str, more: &[&str]| {
        let mut running = case.start_config(ITEMS, &[&args[..], &slowly, more].concat());
        until(question, || {
            assert!(!running.ended(), "it ended before {question}");
            case.sql("SELECT to_regclass('redis2pg.batches') IS NOT NULL") == "t" && case.sql(question) == "t"
        });
        running.signal("TERM");
        ends(running.finish(), 7)
    };
    let loading = stop_where("SELECT count(*) BETWEEN 1 AND 500 FROM items", &[]);
    assert!(loading.report["cleanup"].is_null() && keys(&case) == MANY as i64, "{loading}");
    let validating = stop_where("SELECT bool_or(state = 'done') FROM redis2pg.runs", &["--resume"]);
    assert!(validating.said().contains("the validation was stopped"), "{validating}");
    assert!(validating.report["cleanup"].is_null() && keys(&case) == MANY as i64, "{validating}");
    let last = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    assert_eq!((number(&last, "deleted"), keys(&case)), (MANY as i64, 0), "{last}");
}
