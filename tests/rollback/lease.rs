//! Whose turn it is: a rollback that was suspended does nothing more once a run has begun, one that is at work keeps its lease, and
//! one that did nothing leaves nothing.

use crate::support::Case;
use crate::{ITEMS, command, id, items, rollback, set, undo};
use redis2pg::ledger::{self, RollbackClaim};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};
use uuid::Uuid;

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

fn wait_for(case: &Case, condition: &str) {
    let since = Instant::now();
    while case.sql(&format!("SELECT {condition}")) != "t" {
        assert!(since.elapsed() < Duration::from_secs(60), "never: {condition}");
        sleep(Duration::from_millis(5));
    }
}

fn loaded(count: i64) -> (Case, String) {
    let case = items(&[]);
    let pairs: Vec<(String, i64)> = (0..count).map(|n| (format!("{n:06}"), n)).collect();
    set(&case, &pairs.iter().map(|(id, n)| (id.as_str(), *n)).collect::<Vec<_>>());
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    (case, run)
}

const OVER: &str = "bool_or(rollback_lease_expires_at < clock_timestamp()) FROM redis2pg.runs";

#[test]
fn one_that_slept_beyond_its_lease_takes_nothing_from_a_run_that_began_in_between() {
    let (case, run) = loaded(12_000);
    let child = command(&case, &run, &["--yes", "--lease", "2s"]).spawn().unwrap();
    wait_for(&case, "bool_or(rollback IS NOT NULL) FROM redis2pg.runs");
    signal(&child, "STOP");
    wait_for(&case, OVER);
    let between = case.run_config(ITEMS, &["--lease", "2s"]).exits(0);
    assert!((1..12_000).contains(&between.total("inserted")), "{between}");
    signal(&child, "CONT");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("took this run over"), "{said}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["deleted"].as_i64(), Some(between.total("inserted")), "{told:#}");
    assert_eq!(case.number("SELECT count(*) FROM items"), 12_000);
    // The same command takes the rest.
    let left = rollback(&case, &run, &["--yes"]).exits(0);
    assert_eq!(left.counts(), [12_000, 0, 0]);
    assert_eq!(case.number("SELECT count(*) FROM items"), between.total("inserted"));
}

#[test]
fn one_that_slept_before_its_first_row_does_not_wake_up_under_a_resume() {
    let (case, run) = loaded(3);
    case.sql("UPDATE redis2pg.runs SET state = 'stopped'");
    let child = std::thread::scope(|scope| {
        let holder = scope.spawn(|| case.sql("BEGIN; SELECT FROM items FOR UPDATE; SELECT pg_sleep(3); COMMIT"));
        sleep(Duration::from_millis(500));
        let child = command(&case, &run, &["--yes", "--lease", "2s"]).spawn().unwrap();
        wait_for(
            &case,
            "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR UPDATE OF t%' AND datname = current_database())",
        );
        signal(&child, "STOP");
        holder.join().unwrap();
        child
    });
    wait_for(&case, OVER);
    let resumed = case.run_config(ITEMS, &["--resume"]).exits(0);
    assert_eq!(id(&resumed), run);
    signal(&child, "CONT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(case.number("SELECT count(*) FROM items"), 3);
}

#[test]
fn the_lease_is_kept_while_a_batch_waits_for_a_row() {
    let (case, run) = loaded(3);
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| case.sql("BEGIN; SELECT FROM items FOR UPDATE; SELECT pg_sleep(6); COMMIT"));
        sleep(Duration::from_millis(500));
        let child = command(&case, &run, &["--yes", "--lease", "2s"]).spawn().unwrap();
        wait_for(&case, "bool_or(rollback_lease IS NOT NULL) FROM redis2pg.runs");
        sleep(Duration::from_millis(3000));
        assert!(!holder.is_finished());
        let refused = case.run_config(ITEMS, &[]).exits(2);
        assert!(refused.stderr.contains("is being rolled back"), "{refused}");
        assert!(!holder.is_finished());
        assert!(child.wait_with_output().unwrap().status.success());
        holder.join().unwrap();
    });
    assert_eq!(case.number("SELECT count(*) FROM items"), 0);
}

#[test]
fn what_fails_before_the_first_row_leaves_the_run_as_it_is() {
    let (case, run) = loaded(3);
    case.sql("UPDATE redis2pg.runs SET state = 'stopped'");
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("report");
    rollback(&case, &run, &["--yes", "--report", below.to_str().unwrap()]).exits(2);
    assert_eq!(case.sql("SELECT rollback_lease IS NULL FROM redis2pg.runs"), "t", "it was claimed");
    // One that the server refuses as a whole, in its first batch.
    case.sql(
        "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '42501'; END $$; \
         CREATE TRIGGER no BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION no()",
    );
    for _ in 0..2 {
        let failed = rollback(&case, &run, &["--yes"]).exits(2);
        assert!(!failed.stderr.contains("another process"), "{}", failed.stderr);
    }
    assert_eq!(id(&case.run_config(ITEMS, &["--resume"]).exits(0)), run);
    case.sql("DROP TRIGGER no ON items");
    assert_eq!(undo(&case, &run).counts(), [3, 0, 0]);
}

#[test]
fn a_run_that_came_between_the_look_and_the_claim_goes_first_all_the_same() {
    let case = items(&[("a", 1)]);
    let first = id(&case.run_config(ITEMS, &[]).exits(0));
    set(&case, &[("a", 2)]);
    let second = id(&case.run_config(ITEMS, &[]).exits(0));
    // As if it were not there yet.
    case.sql(&format!("UPDATE redis2pg.runs SET rolled_back_at = now() WHERE id = '{second}'"));
    let came = format!(
        "BEGIN; SELECT pg_advisory_xact_lock(x'7265646973327062'::bit(64)::bigint); \
         UPDATE redis2pg.runs SET rolled_back_at = NULL WHERE id = '{second}'; SELECT pg_sleep(3); COMMIT"
    );
    let refused = std::thread::scope(|scope| {
        let between = scope.spawn(|| case.sql(&came));
        sleep(Duration::from_millis(500));
        let refused = rollback(&case, &first, &["--yes"]).exits(2);
        between.join().unwrap();
        refused
    });
    assert!(refused.stderr.contains(&second), "{}", refused.stderr);
    assert_eq!(case.sql("SELECT n FROM items"), "2");
    // It gave its lease back.
    assert_eq!(undo(&case, &second).counts(), [0, 1, 0]);
    assert_eq!(undo(&case, &first).counts(), [1, 0, 0]);
}

/// The renewal is at work beside the transaction that gives the lease back, and may come right after it.
#[tokio::test]
async fn a_lease_that_was_given_back_is_no_other_processes_and_is_not_renewed() {
    let (case, run) = loaded(1);
    let mut connection = PgConnection::connect(&case.target).await.unwrap();
    let held = |lease| (run.parse::<Uuid>().unwrap(), lease, Duration::from_secs(15));
    let (first, second) = (held(Uuid::new_v4()), held(Uuid::new_v4()));
    assert_eq!(ledger::claim_rollback(&mut connection, first).await.unwrap(), RollbackClaim::Ours);
    ledger::release_rollback(&mut connection, (first.0, first.1), false).await.unwrap();
    assert!(ledger::renew_rollback(&mut connection, first).await.unwrap());
    assert_eq!(case.sql("SELECT rollback_lease_expires_at = 'epoch' FROM redis2pg.runs"), "t");
    assert_eq!(ledger::claim_rollback(&mut connection, second).await.unwrap(), RollbackClaim::Ours);
    assert!(!ledger::renew_rollback(&mut connection, first).await.unwrap());
}
