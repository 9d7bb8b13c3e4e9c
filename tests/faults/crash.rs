//! `kill -9` of the command in each phase, then `--resume`.

use crate::books::assert_undisturbed;
use crate::harness::{Ended, Job, SLOW, batches_of, cache, database, postgres, random, without_expiry};
use redis2pg::dataset;
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::process::Command;
use std::thread;
use std::time::Duration;

fn killed_in_phase(phase: u32) {
    // The sessions are soon done: on a busy machine a run of them may have ended before it is killed.
    let killed = (0..5).find_map(|_| {
        let (name, url) = database();
        let mut job = Job::start(&cache(), &url, &SLOW);
        // Two or more batches, so that some lie above the last checkpoint.
        let met = job.comes_to(postgres(), &name, &batches_of(phase), 2);
        thread::sleep(Duration::from_millis(random(if phase == 3 { 20 } else { 200 })));
        (job.kill9().code.is_none() && met).then_some((name, url))
    });
    let (name, url) = killed.unwrap();
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

#[test]
fn a_key_that_was_mended_before_a_resume_is_no_reject_any_more() {
    let redis = RedisServer::start(RedisOptions::default()).unwrap();
    dataset::load(&redis.url(), &without_expiry(600, true)).unwrap();
    let (name, url) = database();
    let mut job = Job::start(&redis.url(), &url, &SLOW);
    job.wait_for(
        postgres(),
        &name,
        "SELECT count(*) FROM redis2pg.rejects WHERE redis_type = 'string' AND mapping = 'documents'",
        1,
    );
    job.kill9();
    // A transaction that was on its way may still end.
    thread::sleep(Duration::from_millis(300));
    let keys =
        "SELECT convert_from(key, 'UTF8') FROM redis2pg.rejects WHERE redis_type = 'string' AND mapping = 'documents'";
    let keys = postgres().execute(&name, keys).unwrap();
    let address = redis.url();
    let (password, port) = address.strip_prefix("redis://:").unwrap().split_once('@').unwrap();
    let port = port.rsplit_once(':').unwrap().1.split('/').next().unwrap();
    let mended = r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#;
    for key in keys.lines() {
        let set =
            Command::new("redis-cli").env("REDISCLI_AUTH", password).args(["-p", port, "SET", key, mended]).output();
        assert_eq!(String::from_utf8_lossy(&set.unwrap().stdout).trim(), "OK", "{key}");
    }
    // From the beginning, as after a crash before the first checkpoint: every key is read again.
    postgres().execute(&name, "UPDATE redis2pg.shards SET watermark = 0, cursor = '0'").unwrap();
    let ended = Job::run(&redis.url(), &url, &["--resume"]);
    ended.report().assert_balanced();
    let still = postgres().execute(&name, "SELECT convert_from(key, 'UTF8') FROM redis2pg.rejects").unwrap();
    let both: Vec<&str> = keys.lines().filter(|key| still.lines().any(|other| other == *key)).collect();
    assert!(!keys.is_empty() && both.is_empty(), "{both:?} have rows and are rejects");
    assert_rejects_counted_once(&ended, &name);
}
