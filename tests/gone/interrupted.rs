//! Deletion that is interrupted: by a kill, by a signal, by a Redis that comes back without its data.

use crate::preset::gone;
use crate::support::{Case, Client, Running};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use serde_json::json;
use std::time::{Duration, Instant};

const COUNT: i64 = 1200;

const CONFIG: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
into = "public.items"
key = ["id"]
lineage = "ledger"
column = [{ name = "id", from = ["{id}"] }, { name = "until", from = ["redis.expires_at"] }]

[flow]
batch_rows = 20
lease = "2s"
"#;

/// Three of four keys are gone.
fn thinned(source: &str) -> (Case, Client) {
    let case = Case::from_source(source);
    case.sql("SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, until timestamptz)");
    let mut redis = case.redis();
    let pairs: Vec<(String, String)> = (0..COUNT).map(|number| (format!("item:{number}"), "{}".to_owned())).collect();
    redis.set_many(&pairs);
    case.run_config(CONFIG, &[]).exits(0);
    for number in (0..COUNT).filter(|number| number % 4 > 0) {
        redis.integer(&[b"DEL", format!("item:{number}").as_bytes()]);
    }
    (case, redis)
}

fn rows(case: &Case) -> i64 {
    case.number("SELECT count(*) FROM items")
}

/// A run that deletes slowly, once it has begun to.
fn begun(case: &Case) -> Running {
    let slow = ["--delete-gone", "--delete-gone-limit", "100%", "--max-keys-per-second", "700"];
    let mut running = case.start_config(CONFIG, &slow);
    let began = Instant::now();
    while rows(case) == COUNT {
        assert!(began.elapsed() < Duration::from_secs(90) && !running.ended(), "no row was deleted");
        std::thread::sleep(Duration::from_millis(10));
    }
    running
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let (case, _redis) = thinned(&crate::support::redis_database());
    let mut running = begun(&case);
    running.kill9();
    let left = rows(&case);
    assert!(left > COUNT / 4 && left < COUNT, "{left}");
    let run = case.run_config(CONFIG, &["--delete-gone", "--delete-gone-limit", "100%", "--resume"]).exits(0);
    assert_eq!(gone(&run, "items"), json!({"deleted": COUNT / 4 * 3}), "{run}");
    assert_eq!(rows(&case), COUNT / 4);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images WHERE deleted"), COUNT / 4 * 3);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.loaded"), COUNT / 4);
    assert_eq!(run.total("matched"), COUNT / 4);
}

#[test]
fn a_redis_that_comes_back_empty_deletes_nothing() {
    let options = || RedisOptions { settings: vec!["save \"\"".to_owned()], ..RedisOptions::default() };
    let mut server = RedisServer::start(options()).expect("a Redis of its own");
    let (case, _redis) = thinned(&format!("{}/0", server.url()));
    let running = begun(&case);
    server.kill9().expect("kill Redis");
    server.restart().expect("start it again");
    let run = running.finish();
    assert_eq!(run.code, 5, "{run}");
    assert!(run.stderr.contains("restarted or replaced"), "{run}");
    let there = case.number("SELECT count(*) FROM items WHERE id::int % 4 = 0");
    assert_eq!(there, COUNT / 4, "{run}");
    // Nor does a resume ask a server that was never scanned.
    let left = rows(&case);
    let run = case.run_config(CONFIG, &["--delete-gone", "--delete-gone-limit", "100%", "--resume", "--allow-empty"]);
    assert_eq!((run.code, rows(&case)), (5, left), "{run}");
}

#[test]
fn keys_that_vanish_meanwhile_are_limited_too() {
    let (case, mut redis) = thinned(&crate::support::redis_database());
    let mut running =
        case.start_config(CONFIG, &["--delete-gone", "--delete-gone-limit", "100%", "--max-keys-per-second", "700"]);
    let began = Instant::now();
    while rows(&case) == COUNT {
        assert!(began.elapsed() < Duration::from_secs(90) && !running.ended(), "no row was deleted");
        std::thread::sleep(Duration::from_millis(10));
    }
    redis.say("FLUSHDB");
    let run = running.finish();
    assert_eq!(run.code, 2, "{run}");
    assert!(run.stderr.contains("no more are"), "{run}");
    // No more than a tenth above what was counted, or a hundred.
    let counted = COUNT / 4 * 3;
    assert!(rows(&case) >= COUNT - counted - (counted / 10).max(100), "{run}");
}
