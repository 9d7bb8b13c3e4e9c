//! A cleanup that is suspended for longer than its lease lasts deletes nothing once something else has begun.

use crate::support::{Case, Running, until};
use crate::{ITEMS, ends, keys, loaded};
use redis2pg::ledger::{CleanupClaim, CleanupEnd, CleanupFinish, NewCleanup, claim_cleanup, finish_cleanup};
use sqlx::Connection;
use std::time::Duration;
use uuid::Uuid;

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

/// Behind its last deletion nothing else would tell it: it is over, and another process has written so.
#[tokio::test]
async fn the_end_is_not_written_beside_another_process_and_is_once_where_an_answer_was_lost() {
    let case = loaded(1);
    let run = case.sql("SELECT id FROM redis2pg.runs");
    let mut connection = sqlx::PgConnection::connect(&case.target).await.unwrap();
    let new = NewCleanup {
        lease: (Uuid::now_v7(), Uuid::new_v4(), Duration::from_secs(15)),
        run: run.parse().unwrap(),
        runs: vec![run.clone()],
        source: case.sql("SELECT source FROM redis2pg.runs"),
        settings: "{}".to_owned(),
        backup: None,
        backup_id: None,
    };
    assert_eq!(claim_cleanup(&mut connection, &new).await.unwrap(), CleanupClaim::Ours);
    let end = CleanupEnd { state: "done", exit_code: 0, error: None, account: "{}".to_owned() };
    let stranger = (new.lease.0, Uuid::new_v4(), new.lease.2);
    let mut finish = async |lease| finish_cleanup(&mut connection, lease, &end).await.unwrap();
    assert_eq!(finish(stranger).await, CleanupFinish::TakenOver);
    assert_eq!(finish(new.lease).await, CleanupFinish::Now);
    assert_eq!(finish(new.lease).await, CleanupFinish::Before);
    assert_eq!(finish(stranger).await, CleanupFinish::TakenOver);
}
