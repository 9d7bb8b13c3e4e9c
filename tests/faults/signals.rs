//! Stopping on purpose: one SIGINT drains, two cut, too many rejects stop. Each exits with 7 and can be resumed.

use crate::books::assert_undisturbed;
use crate::harness::{DOCUMENTS, Job, SLOW, batches_of, cache, database, number, postgres};
use std::thread;
use std::time::{Duration, Instant};

fn stopped_by(signals: &[&str], phase: u32) {
    let (name, url) = database();
    let mut job = Job::start(&cache(), &url, &SLOW);
    job.wait_for(postgres(), &name, &batches_of(phase), 3);
    for signal in signals {
        job.signal(signal);
        thread::sleep(Duration::from_millis(50));
    }
    let stopped = job.end().expect(7);
    let report = stopped.report();
    assert_eq!(report.0["state"], "stopped");
    if signals.len() == 1 {
        // Drained: whatever was listed has its outcome.
        report.assert_balanced();
    }
    assert_eq!(postgres().execute(&name, "SELECT state FROM redis2pg.runs").unwrap(), "stopped");
    let seen = number(postgres(), &name, &format!("SELECT watermark FROM redis2pg.shards WHERE phase = {phase}"));
    assert!(phase > 1 || seen > Some(0), "no checkpoint");
    let resumed = Job::run(&cache(), &url, &["--resume"]).expect(3);
    resumed.report().assert_balanced();
    assert_undisturbed(postgres(), &name);
}

#[test]
fn the_first_interrupt_drains_and_leaves_a_checkpoint() {
    stopped_by(&["INT"], 1);
}

#[test]
fn a_termination_during_analyses_drains_too() {
    stopped_by(&["TERM"], 2);
}

#[test]
fn the_second_interrupt_cuts_between_batches() {
    stopped_by(&["INT", "INT"], 1);
}

#[test]
fn a_closed_terminal_drains_too() {
    stopped_by(&["HUP"], 1);
}

#[test]
fn a_run_whose_hangup_is_ignored_goes_on() {
    let (name, url) = database();
    let Some(mut job) = Job::start_without_hangup(&cache(), &url, &SLOW) else { return };
    job.wait_for(postgres(), &name, &batches_of(1), 3);
    job.signal("HUP");
    job.end().expect(3).report().assert_balanced();
    assert_undisturbed(postgres(), &name);
}

#[test]
fn a_drain_waits_for_no_rate_and_a_resume_reads_what_was_listed() {
    let (name, url) = database();
    // One page holds every key: all are listed long before they are read, which would take a minute and more.
    let slow = ["--max-keys-per-second", "20", "--batch-rows", "10", "--batch-age", "200ms", "--scan-count", "100000"];
    let mut job = Job::start(&cache(), &url, &slow);
    job.wait_for(postgres(), &name, &batches_of(1), 2);
    let since = Instant::now();
    job.signal("INT");
    let stopped = job.end().expect(7);
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    let report = stopped.report();
    assert_eq!(report.0["state"], "stopped");
    report.assert_balanced();
    assert!((1..DOCUMENTS).contains(&report.count("matched")), "{}", report.0["tally"]);
    let resumed = Job::run(&cache(), &url, &["--resume"]).expect(3);
    resumed.report().assert_balanced();
    assert_undisturbed(postgres(), &name);
}

#[test]
fn more_rejects_than_allowed_stop_the_run_and_a_resume_goes_on() {
    let (name, url) = database();
    let stopped = Job::run(&cache(), &url, &[&SLOW[..], &["--max-rejects", "2"]].concat()).expect(7);
    assert!(stopped.stderr.contains("max_rejects"), "{}", stopped.stderr);
    stopped.report().assert_balanced();
    Job::run(&cache(), &url, &["--resume"]).expect(3).report().assert_balanced();
    assert_undisturbed(postgres(), &name);
}
