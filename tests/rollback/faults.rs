//! A rollback that is killed, stopped, or not alone.

use crate::support::Case;
use crate::{ITEMS, command, id, items, rollback, rows, set, undo};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Items of which a first run loaded a half, and a second one changed that and added as many.
fn two_runs(count: i64) -> (Case, String, String) {
    let case = items(&[]);
    let named = |from: i64, to: i64, add: i64| -> Vec<(String, i64)> {
        (from..to).map(|n| (format!("{n:06}"), n + add)).collect()
    };
    let load = |pairs: &[(String, i64)]| {
        set(&case, &pairs.iter().map(|(id, n)| (id.as_str(), *n)).collect::<Vec<_>>());
        id(&case.run_config(ITEMS, &[]).exits(0))
    };
    load(&named(0, count / 2, 0));
    let before = rows(&case, "items");
    let run = load(&named(0, count, 1));
    (case, run, before)
}

fn wait_for(case: &Case, child: &mut Child, condition: &str) {
    let since = Instant::now();
    while case.sql(&format!("SELECT {condition}")) != "t" {
        assert!(child.try_wait().unwrap().is_none(), "it ended before {condition}");
        assert!(since.elapsed() < Duration::from_secs(90), "never: {condition}");
        sleep(Duration::from_millis(5));
    }
}

/// How many rows are done, as the ledger has it.
fn done(case: &Case) -> i64 {
    case.number(
        "SELECT coalesce(sum((rollback -> 'tables' -> 'public.items' ->> 'deleted')::int \
         + (rollback -> 'tables' -> 'public.items' ->> 'restored')::int), 0) FROM redis2pg.runs",
    )
}

#[test]
fn killed_in_the_middle_and_run_again_it_comes_to_the_same_end() {
    let (case, run, before) = two_runs(16_000);
    for least in [1, 5_000, 10_000] {
        let mut child = command(&case, &run, &["--yes", "--lease", "2s"]).spawn().unwrap();
        let condition = format!(
            "coalesce(sum((rollback -> 'tables' -> 'public.items' ->> 'deleted')::int \
             + (rollback -> 'tables' -> 'public.items' ->> 'restored')::int), 0) >= {least} FROM redis2pg.runs"
        );
        wait_for(&case, &mut child, &condition);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(done(&case) < 16_000, "it was killed too late");
        let shown = case.ledger(&["runs", "show", &run]);
        assert!(shown["rolled_back_at"].is_null() && shown["rollback"].is_object(), "{shown:#}");
        // What is half taken back is not gone on with.
        let resumed = case.run_config(ITEMS, &["--resume"]).exits(2);
        assert!(resumed.stderr.contains(&format!("a rollback of run {run} has begun")), "{resumed}");
        // The lease of the one that was killed ends by itself.
        sleep(Duration::from_millis(2100));
    }
    let undone = undo(&case, &run);
    assert_eq!(undone.counts(), [8_000, 8_000, 0]);
    assert_eq!(rows(&case, "items"), before);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images"), 0);
}

#[test]
fn a_signal_stops_it_between_batches_and_it_goes_on() {
    let (case, run, before) = two_runs(16_000);
    let mut child = command(&case, &run, &["--yes"]).spawn().unwrap();
    wait_for(&case, &mut child, "bool_or(rollback IS NOT NULL) FROM redis2pg.runs");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    let far = done(&case);
    assert!((1..16_000).contains(&far), "{far}");
    // At once: it gave its lease back.
    assert_eq!(undo(&case, &run).counts(), [8_000, 8_000, 0]);
    assert_eq!(rows(&case, "items"), before);
}

#[test]
fn two_never_work_side_by_side_and_a_run_at_work_is_not_rolled_back() {
    let case = items(&[("a", 1)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql(
        "UPDATE redis2pg.runs SET rollback_lease = gen_random_uuid(), rollback_lease_expires_at = now() + interval '1 hour'",
    );
    let refused = rollback(&case, &run, &["--yes"]).exits(2);
    assert!(refused.stderr.contains("another process"), "{}", refused.stderr);
    case.sql(
        "UPDATE redis2pg.runs SET rollback_lease = NULL, state = 'running', lease_expires_at = now() + interval '1 hour'",
    );
    let refused = rollback(&case, &run, &["--yes"]).exits(2);
    assert!(refused.stderr.contains("still at work"), "{}", refused.stderr);
    assert_eq!(case.number("SELECT count(*) FROM items"), 1);
    // One that was killed is locked out.
    case.sql("UPDATE redis2pg.runs SET lease_expires_at = now()");
    assert_eq!(undo(&case, &run).counts(), [1, 0, 0]);
    assert_eq!(case.sql("SELECT state FROM redis2pg.runs"), "abandoned");
}

#[test]
fn what_somebody_changes_while_it_waits_for_the_row_is_kept() {
    let (case, run, _) = two_runs(4);
    // Another session holds two rows, and changes them before it lets go.
    let held = case.while_held("UPDATE items SET note = 'mine' WHERE id IN ('000000', '000003')", |release| {
        std::thread::scope(|scope| {
            let undone = scope.spawn(|| undo(&case, &run));
            case.wait_for("wait_event_type = 'Lock'");
            release();
            undone.join().unwrap()
        })
    });
    assert_eq!(held.counts(), [1, 1, 2], "{:#}", held.json);
    assert_eq!(case.sql("SELECT id, note FROM items WHERE note = 'mine' ORDER BY 1"), "000000|mine\n000003|mine");
}
