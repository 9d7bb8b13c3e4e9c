//! The lease: one run at a time, and a process that lost its run writes nothing more.

use crate::books::{WRITTEN, assert_undisturbed};
use crate::harness::{Job, SLOW, batches_of, cache, database, number, postgres};
use std::thread;
use std::time::Duration;

/// Takes the leases away and counts what is written, in one transaction: whoever held a shard has committed by then.
fn steal(database: &str) -> u64 {
    let sql = format!(
        "BEGIN; UPDATE redis2pg.shards SET lease = gen_random_uuid(); \
         UPDATE redis2pg.runs SET lease = gen_random_uuid(); {WRITTEN}; COMMIT"
    );
    postgres().execute(database, &sql).unwrap().parse().unwrap()
}

/// Goes red when load transactions do not look at their shard's lease: until the keeper notices, batches go through.
#[test]
fn lease_fence_lets_nothing_through_once_the_lease_is_stolen() {
    let (name, url) = database();
    let mut job = Job::start(&cache(), &url, &SLOW);
    job.wait_for(postgres(), &name, &batches_of(1), 4);
    let written = steal(&name);
    let ended = job.end().expect(7);
    assert!(ended.stderr.contains("took this run over"), "{}", ended.stderr);
    assert_eq!(number(postgres(), &name, WRITTEN), Some(written));
}

/// A successor ends the transactions of a holder that hangs by their name: the heartbeat has it too, or a takeover would
/// wait for it.
#[test]
fn the_heartbeat_is_a_transaction_that_a_successor_can_end() {
    let (name, url) = database();
    let mut job = Job::start(&cache(), &url, &SLOW);
    job.wait_for(postgres(), &name, &batches_of(1), 1);
    // The heartbeat waits for the row; writers and their foreign keys do not.
    let held = "BEGIN; DO 'BEGIN PERFORM 1 FROM redis2pg.runs FOR NO KEY UPDATE; PERFORM pg_sleep(1.2); END'; \
         SELECT count(*) FROM pg_stat_activity JOIN redis2pg.runs ON application_name = 'redis2pg ' || lease \
         WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE redis2pg.runs SET lease_expires_at%'; COMMIT";
    assert_eq!(postgres().execute(&name, held).unwrap(), "1");
    job.end().expect(3);
    assert_undisturbed(postgres(), &name);
}

#[test]
fn two_runs_at_once_the_second_is_refused() {
    let (name, url) = database();
    // The second looks at both ends before it is refused, twice: on a busy machine that takes seconds.
    let mut slower = SLOW;
    slower[1] = "300";
    let mut first = Job::start(&cache(), &url, &slower);
    first.wait_for(postgres(), &name, &batches_of(1), 1);
    for more in [&[][..], &["--resume"]] {
        let second = Job::run(&cache(), &url, more).expect(2);
        assert!(second.stderr.contains("is at work on these mappings"), "{}", second.stderr);
    }
    first.end().expect(3).report().assert_balanced();
    assert_undisturbed(postgres(), &name);
}

#[test]
fn a_run_suspended_beyond_its_lease_writes_nothing_after_it_was_taken_over() {
    let (name, url) = database();
    let mut first = Job::start(&cache(), &url, &SLOW);
    first.wait_for(postgres(), &name, &batches_of(1), 3);
    first.signal("STOP");
    thread::sleep(Duration::from_secs(2));
    let second = Job::run(&cache(), &url, &["--resume"]).expect(3);
    second.report().assert_balanced();
    let written = number(postgres(), &name, WRITTEN);
    first.signal("CONT");
    let first = first.end().expect(7);
    assert!(first.stderr.contains("took this run over"), "{}", first.stderr);
    assert_eq!(number(postgres(), &name, WRITTEN), written);
    assert_undisturbed(postgres(), &name);
}
