//! `kill -9` of the command in each phase, then `--resume`.

use crate::books::assert_undisturbed;
use crate::harness::{Ended, Job, SLOW, batches_of, cache, database, postgres, random};
use std::thread;
use std::time::Duration;

fn killed_in_phase(phase: u32) {
    let (name, url) = database();
    let mut job = Job::start(&cache(), &url, &SLOW);
    // Two or more batches, so that some lie above the last checkpoint.
    job.wait_for(postgres(), &name, &batches_of(phase), 2);
    // The sessions are soon done.
    thread::sleep(Duration::from_millis(random(if phase == 3 { 20 } else { 200 })));
    assert_eq!(job.kill9().code, None);
    let ended = Job::run(&cache(), &url, &["--resume"]).expect(3);
    ended.report().assert_balanced();
    assert_eq!(ended.report().0["resumed"], true);
    // Redis is the same, also for a phase that was fed from keys set aside.
    assert!(!ended.stderr.contains("Redis is not the server"), "{}", ended.stderr);
    assert_rejects_counted_once(&ended, &name);
    assert_undisturbed(postgres(), &name);
    assert_eq!(postgres().execute(&name, "SELECT count(*) FROM redis2pg.runs").unwrap(), "1");
}

/// A broken record that was read before and after the crash is one reject.
fn assert_rejects_counted_once(ended: &Ended, database: &str) {
    let kept = postgres().execute(database, "SELECT count(*) FROM redis2pg.rejects").unwrap();
    assert_eq!(ended.report().rejects().to_string(), kept, "{:?}", ended.report().0["tally"]);
}

#[test]
fn killed_during_documents_a_resume_completes() {
    killed_in_phase(1);
}

#[test]
fn killed_during_analyses_a_resume_completes() {
    killed_in_phase(2);
}

#[test]
fn killed_during_sessions_a_resume_completes() {
    killed_in_phase(3);
}

#[test]
fn killed_again_and_again_every_row_is_there_once_and_seen_twice() {
    let (name, url) = database();
    let mut more = SLOW.to_vec();
    for after in [3, 8, 14, 20] {
        let mut job = Job::start(&cache(), &url, &more);
        // The resume waits for the dead run's lease first.
        let least = format!("SELECT count(*) FROM redis2pg.batches WHERE tally ->> 'inserted' <> '0' AND {after} > 0");
        job.wait_for(postgres(), &name, &least, after);
        thread::sleep(Duration::from_millis(random(100)));
        job.kill9();
        more = [&SLOW[..], &["--resume"]].concat();
    }
    let ended = Job::run(&cache(), &url, &["--resume"]).expect(3);
    ended.report().assert_balanced();
    // Rows above a checkpoint were read again: sightings with nothing new.
    assert!(ended.report().count("duplicates") > 0, "{:?}", ended.report().0["tally"]);
    assert_rejects_counted_once(&ended, &name);
    assert_undisturbed(postgres(), &name);
}
