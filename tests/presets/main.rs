//! Each preset on the data of its application, in the layout that the application gives it: what is loaded, what is left
//! alone, what is rejected and why, and that a second run finds nothing new.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed")]

mod bullmq;
mod celery;
mod django;
mod express;
mod laravel;
mod page;

mod php;
mod prefixes;
mod sidekiq;
mod spring;
#[path = "../support/mod.rs"]
mod support;

use support::{Case, Client, Outcome};

/// How many entries of each kind are made up.
const MANY: usize = 120;

/// An application's cache, moved twice by its preset: the second time every row is there already, and Redis is as it was.
#[track_caller]
fn moved(preset: &str, code: i32, fill: impl FnOnce(&mut Client)) -> (Case, Outcome) {
    let case = Case::new();
    let mut redis = case.redis();
    fill(&mut redis);
    let keys = redis.integer(&[b"DBSIZE"]);
    let dry = case.run_preset(preset, &["--dry-run"]).exits(code);
    let run = case.run_preset(preset, &[]).exits(code);
    assert_eq!((run.total("scanned"), dry.total("would_load")), (keys, run.total("inserted")), "{run}");
    let again = case.run_preset(preset, &[]).exits(code);
    let none = ["inserted", "updated", "duplicates"].map(|outcome| again.total(outcome));
    assert_eq!((none, again.total("unchanged")), ([0; 3], run.total("inserted")), "{again}");
    let reasons = |run: &Outcome| run.report["tally"]["rejected"].clone();
    assert_eq!((reasons(&dry), reasons(&again)), (reasons(&run), reasons(&run)));
    assert_eq!(redis.integer(&[b"DBSIZE"]), keys);
    (case, run)
}

/// Keys that no mapping took: all of them, and those of them that `exclude` names.
fn left(run: &Outcome) -> (i64, i64) {
    let set_apart = run.report["unmatched"]["set_apart"].as_i64().expect("a number");
    (run.total("unmatched"), set_apart)
}

/// Sets a string of any bytes, which may expire after some seconds.
fn set(redis: &mut Client, key: &str, value: &[u8], seconds: Option<u32>) {
    let seconds = seconds.map(|seconds| seconds.to_string());
    let mut words: Vec<&[u8]> = vec![b"SET", key.as_bytes(), value];
    if let Some(seconds) = &seconds {
        words.extend([b"EX".as_slice(), seconds.as_bytes()]);
    }
    assert_eq!(redis.answer(&words), "+OK");
}

/// Adds to a collection, such as by HSET or RPUSH.
fn add(redis: &mut Client, command: &str, key: &str, words: &[&[u8]]) {
    let all: Vec<&[u8]> = [command.as_bytes(), key.as_bytes()].into_iter().chain(words.iter().copied()).collect();
    let answer = redis.answer(&all);
    assert!(!answer.starts_with('-'), "{command} {key}: {answer}");
}

/// Whether the time of expiry in a table is Redis's own, to the millisecond: `row` is the condition for the row.
#[track_caller]
fn same_expiry(case: &Case, key: &str, table: &str, row: &str) {
    let millis = case.redis().integer(&[b"PEXPIRETIME", key.as_bytes()]);
    let sql = format!("SELECT coalesce((extract(epoch FROM expires_at) * 1000)::bigint, -1) FROM {table} WHERE {row}");
    assert_eq!(case.number(&sql), millis, "{key}");
}
