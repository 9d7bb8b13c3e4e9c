//! A cleanup that is suspended for longer than its lease lasts deletes nothing once something else has begun.

use crate::support::{Case, Running, until};
use crate::{ITEMS, ends, keys, loaded};
use std::time::Duration;

/// A lock that keeps a cleanup from writing which keys are about to go, for so long that what is to happen meanwhile has happened.
const LOCKED: &str = "BEGIN; LOCK TABLE redis2pg.cleanup_batches IN SHARE MODE; SELECT pg_sleep(5); COMMIT";
const OVER: &str = "SELECT coalesce(bool_or(state = 'running' AND lease_expires_at < clock_timestamp()), false) FROM redis2pg.cleanups";

/// A cleanup that has compared its keys, has written of none that it is about to go, and sleeps for longer than its lease.
fn asleep(case: &Case) -> Running {
    let running = std::thread::scope(|scope| {
        let holder = scope.spawn(|| case.sql(LOCKED));
        std::thread::sleep(Duration::from_millis(300));
        let running = case.start_cleanup(ITEMS, &["--yes", "--lease", "2s"]);
        until("it is claimed", || case.sql("SELECT count(*) FROM redis2pg.cleanups") == "1");
        until("it waits for the lock", || {
            case.sql("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())") == "t"
        });
        running.signal("STOP");
        holder.join().unwrap();
        running
    });
    until("its lease is over", || case.sql(OVER) == "t");
    running
}

fn deletes_nothing(case: &Case, running: Running) {
    running.signal("CONT");
    let woken = ends(running.finish(), 7);
    assert!(woken.stderr.contains("another process has begun a cleanup, a run or a rollback here"), "{woken}");
    assert_eq!(keys(case), 200);
    assert_eq!(case.sql("SELECT string_agg(state, ' ') FROM redis2pg.cleanups"), "abandoned");
}

#[test]
fn it_does_not_wake_up_beside_a_rollback() {
    let case = loaded(200);
    let running = asleep(&case);
    let run = case.sql("SELECT id FROM redis2pg.runs");
    let mut rollback = case.command();
    let output = rollback.args(["rollback", "--to", &case.target, "--run", &run, "--yes"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    deletes_nothing(&case, running);
}

#[test]
fn it_does_not_wake_up_beside_a_run() {
    let case = loaded(200);
    let running = asleep(&case);
    ends(case.run_config(ITEMS, &[]), 0);
    deletes_nothing(&case, running);
    assert_eq!(case.number("SELECT count(*) FROM items"), 200);
}
