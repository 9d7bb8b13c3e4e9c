//! A Redis that fails, or restarts, while keys are deleted.

use crate::proxy::{Act, Proxy};
use crate::support::{Case, Client, salvaged_of, until};
use crate::{ITEMS, TABLES, ends, item, keys, number, set_items};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What the ledger says: keys that were deleted, and keys of which it is not known.
fn ledger(case: &Case) -> (i64, i64) {
    let of = |what: &str| case.number(&format!("SELECT coalesce(sum({what}), 0) FROM redis2pg.cleanup_batches"));
    (of("deleted"), of("CASE WHEN settled_at IS NULL THEN keys END"))
}

/// Redis hangs in the middle of a batch, and the operator does not wait for it.
#[test]
fn a_second_signal_leaves_an_exact_account_of_what_was_sent() {
    const COUNT: i64 = 2_000;
    let server = Arc::new(Mutex::new(RedisServer::start(RedisOptions::default()).unwrap()));
    let (url, port) = server.lock().map(|server| (server.url(), server.port())).unwrap();
    let (hung, own) = (Arc::new(AtomicBool::new(false)), Arc::downgrade(&server));
    let hangs = hung.clone();
    let deletions = AtomicUsize::new(0);
    let proxy = Proxy::start(Arc::new(AtomicU16::new(port)), move |words| {
        let names_items = words.iter().any(|word| word.starts_with("item:"));
        let deletes = words[0] == "EVAL" && names_items && words[1].contains("'UNLINK'");
        if deletes && deletions.fetch_add(1, Ordering::SeqCst) == 2 {
            own.upgrade().unwrap().lock().unwrap().pause().unwrap();
            hangs.store(true, Ordering::SeqCst);
        }
        Act::Pass
    });
    let place = url.replace(&format!("127.0.0.1:{port}"), proxy.url().trim_start_matches("redis://"));
    let case = Case::from_source(&format!("{place}/0"));
    case.sql(TABLES);
    let pairs: Vec<_> = (0..COUNT).map(|n| (format!("item:{n}"), item(n as usize))).collect();
    case.redis().set_many(&pairs);
    ends(case.run_config(ITEMS, &[]), 0);
    let running = case.start_cleanup(ITEMS, &["--yes", "--writers", "1", "--batch-rows", "10000"]);
    until("Redis hangs", || hung.load(Ordering::SeqCst));
    running.signal("TERM");
    // Two that come at once are one.
    sleep(Duration::from_secs(1));
    running.signal("TERM");
    let stopped = ends(running.finish(), 7);
    server.lock().unwrap().resume().unwrap();
    let (deleted, unknown) = (number(&stopped, "deleted"), number(&stopped, "unknown"));
    assert!(unknown > 0 && deleted + unknown < COUNT, "{deleted} {unknown} {stopped}");
    assert_eq!(ledger(&case), (deleted, unknown), "{stopped}");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.cleaned_keys"), deleted + unknown);
    let not_reached = stopped.report["cleanup"]["kept"]["not_reached"].as_i64();
    assert_eq!(not_reached, Some(COUNT - deleted - unknown), "{stopped}");
    let last = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    let of = |name| number(&last, name);
    assert_eq!((keys(&case), deleted + of("settled") + of("deleted")), (0, COUNT), "{last}");
    assert!(of("settled") <= unknown, "{last}");
}

/// In the middle of a batch Redis is gone for good: what is known of the batch is told, and the rest is settled later.
#[test]
fn a_failure_in_the_middle_of_a_batch_leaves_an_exact_account() {
    const COUNT: i64 = 1_500;
    /// Calls of the script that get through.
    const PASSED: usize = 2;
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let (deletions, fails) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (counted, failing) = (deletions.clone(), fails.clone());
    let proxy = Proxy::start(Arc::new(AtomicU16::new(server.port())), move |words| {
        let names_items = words.iter().any(|word| word.starts_with("item:"));
        let deletes = words[0].starts_with("EVAL") && !words[0].ends_with("_RO") && names_items;
        let earlier = if deletes { counted.fetch_add(1, Ordering::SeqCst) } else { 0 };
        // The answer to one is lost, and after that nothing gets through.
        match failing.load(Ordering::SeqCst) {
            true if deletes && earlier == PASSED => Act::Lose,
            true if counted.load(Ordering::SeqCst) > PASSED => Act::Cut,
            _ => Act::Pass,
        }
    });
    let password = format!("redis://:{}@", server.password());
    let case = Case::from_source(&format!("{}/0", proxy.url().replace("redis://", &password)));
    case.sql(TABLES);
    let mut direct = Client::open(&format!("{}/0", server.url()));
    let pairs: Vec<_> = (0..COUNT).map(|n| (format!("item:{n}"), item(n as usize))).collect();
    direct.set_many(&pairs);
    ends(case.run_config(ITEMS, &[]), 0);
    deletions.store(0, Ordering::SeqCst);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    let named = path.to_str().unwrap();
    let cleanup = ["--yes", "--writers", "1", "--batch-rows", "10000", "--reconnect-attempts", "1", "--backup", named];
    let failed = ends(case.cleanup(ITEMS, &cleanup), 5);
    let left = direct.integer(&[b"DBSIZE"]);
    let (deleted, unknown) = (number(&failed, "deleted"), number(&failed, "unknown"));
    assert!(deleted > 0 && unknown > 0 && deleted + unknown < COUNT, "{deleted} {unknown} {failed}");
    assert!(deleted <= COUNT - left && COUNT - left <= deleted + unknown, "{left} are left: {failed}");
    assert_eq!(failed.report["cleanup"]["kept"]["not_reached"].as_i64(), Some(COUNT - deleted - unknown), "{failed}");
    assert_eq!(ledger(&case), (deleted, unknown), "{failed}");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.cleaned_keys"), deleted + unknown);
    // What became a batch of its own goes by the same part of the backup.
    let unnoted = "SELECT count(*) FROM redis2pg.cleanup_batches WHERE backup_bytes IS NULL OR backup_digest IS NULL";
    assert_eq!(case.number(unnoted), 0);
    assert!(failed.stdout.contains(&format!("of {unknown} keys it is not known whether they are gone")), "{failed}");
    fails.store(false, Ordering::SeqCst);
    assert!(!path.exists() && redis2pg::backup::partial_of(&path).exists(), "the backup is not whole: {failed}");
    let second = ends(case.cleanup(ITEMS, &["--yes", "--backup", named]), 0);
    assert!(path.exists() && !redis2pg::backup::partial_of(&path).exists(), "{second}");
    assert_eq!(number(&second, "settled"), COUNT - left - deleted, "{second}");
    assert_eq!((number(&second, "deleted"), number(&second, "deleted_in_all")), (left, COUNT), "{second}");
    assert_eq!((direct.integer(&[b"DBSIZE"]), ledger(&case)), (0, (COUNT, 0)));
}

/// Waits until some keys are deleted, kills the server as a crash does, and starts it again.
fn crash(server: &mut RedisServer, client: &mut Client, count: i64) {
    let since = Instant::now();
    while client.integer(&[b"DBSIZE"]) > count - 100 {
        assert!(since.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(5));
    }
    server.kill9().unwrap();
    sleep(Duration::from_millis(200));
    server.restart().unwrap();
}

const COUNT: usize = 3_000;
const SLOWLY: [&str; 5] = ["--yes", "--cleanup-keys-per-second", "1500", "--batch-rows", "200"];

fn case_of(server: &RedisServer) -> Case {
    let case = Case::from_source(&format!("{}/0", server.url()));
    case.sql(TABLES);
    set_items(&case, COUNT);
    ends(case.run_config(ITEMS, &[]), 0);
    case
}

#[test]
fn a_redis_that_restarts_with_its_data_is_cleaned_to_the_end() {
    let options = RedisOptions { save_to_disk: true, ..RedisOptions::default() };
    let mut server = RedisServer::start(options).unwrap();
    let case = case_of(&server);
    let running = case.start_cleanup(ITEMS, &SLOWLY);
    crash(&mut server, &mut case.redis(), COUNT as i64);
    // A key that was written while it was away, as far as a cleanup knows, is another one now.
    let mut redis = case.redis();
    let changed = (0..COUNT).rev().find(|n| crate::is_there(&case, &format!("item:{n}"))).unwrap();
    redis.set(&format!("item:{changed}"), &item(1_000_000));
    let first = ends(running.finish(), 5);
    assert!(first.stderr.contains("The same command goes on"), "{first}");
    let last = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    assert_eq!((keys(&case), crate::is_there(&case, &format!("item:{changed}"))), (1, true), "{first}\n{last}");
    assert_eq!(number(&last, "deleted_in_all"), COUNT as i64 - 1, "{first}\n{last}");
    assert_eq!(case.number("SELECT count(*) FROM items"), COUNT as i64);
}

/// What it has lost by itself a cleanup has not deleted; nor does it take anything for deleted by another.
#[test]
fn a_redis_that_comes_back_empty_has_lost_its_keys_by_itself() {
    let mut server = RedisServer::start(RedisOptions::default()).unwrap();
    let case = case_of(&server);
    let mut client = case.redis();
    let running = case.start_cleanup(ITEMS, &SLOWLY);
    crash(&mut server, &mut client, COUNT as i64);
    let mut redis = case.redis();
    redis.set("item:0", &item(0));
    redis.set("item:new", &item(7));
    let outcome = ends(running.finish(), 5);
    let cleanup = &outcome.report["cleanup"];
    assert!(number(&outcome, "deleted") < COUNT as i64, "{cleanup:#}");
    assert!(crate::is_there(&case, "item:new"), "it was not there when the run read");
    assert_eq!(case.number("SELECT count(*) FROM items"), COUNT as i64, "no row goes with them");
    let again = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    assert!(crate::is_there(&case, "item:new") && again.report["cleanup"]["kept"]["missing"] == 1, "{again}");
    assert!(number(&again, "deleted_in_all") < COUNT as i64, "{again}");
}

/// What the server had not saved when it ended is not deleted: that is no cleanup that came to its end.
#[test]
fn a_redis_that_comes_back_with_older_data_is_told_and_the_same_command_deletes_that_again() {
    let mut server = RedisServer::start(RedisOptions::default()).unwrap();
    let case = case_of(&server);
    let mut client = case.redis();
    client.say("SAVE");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    let backup = ["--backup", path.to_str().unwrap()];
    let running = case.start_cleanup(ITEMS, &[&SLOWLY[..], &backup].concat());
    crash(&mut server, &mut client, COUNT as i64);
    let outcome = ends(running.finish(), 5);
    assert!(
        outcome.said().contains("was restarted or replaced, or was a replica, while keys were deleted"),
        "{outcome}"
    );
    let back = keys(&case);
    assert!(back > 0 && number(&outcome, "deleted") + back > COUNT as i64, "{back} are back: {outcome}");
    assert_eq!(case.sql("SELECT state, exit_code FROM redis2pg.cleanups"), "failed|5");
    assert!(!path.exists() && redis2pg::backup::partial_of(&path).exists(), "{outcome}");
    // The same command ends it, and all of it is in the one file.
    let again = ends(case.cleanup(ITEMS, &[&["--yes"], &backup[..]].concat()), 0);
    assert_eq!((number(&again, "deleted"), keys(&case)), (back, 0), "{again}");
    assert_eq!(case.sql("SELECT state FROM redis2pg.cleanups ORDER BY started_at DESC LIMIT 1"), "done");
    let saved: std::collections::BTreeSet<_> = salvaged_of(&path).into_keys().collect();
    assert_eq!((saved.len(), redis2pg::backup::partial_of(&path).exists()), (COUNT, false));
    ends(case.validate(ITEMS, &["--strict"]), 0);
}

/// Who stops it then is told as well: what it says it has deleted is there again.
#[test]
fn a_cleanup_that_is_stopped_tells_that_redis_came_back_with_older_data() {
    let mut server = RedisServer::start(RedisOptions::default()).unwrap();
    let case = case_of(&server);
    let mut client = case.redis();
    client.say("SAVE");
    let running = case.start_cleanup(ITEMS, &SLOWLY);
    crash(&mut server, &mut client, COUNT as i64);
    let mut redis = case.redis();
    until("it goes on", || redis.integer(&[b"DBSIZE"]) < COUNT as i64);
    running.signal("TERM");
    let outcome = ends(running.finish(), 7);
    assert!(outcome.said().contains("was restarted or replaced, or was a replica"), "{outcome}");
    let last = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    assert_eq!(keys(&case), 0, "{last}");
}

/// The same process with the data of another server: a replica that was promoted too soon gave them back.
#[test]
fn a_redis_that_was_a_replica_meanwhile_has_its_keys_again_and_that_is_told() {
    let options = || RedisOptions {
        password: Some("sesame".to_owned()),
        settings: vec!["repl-diskless-sync-delay 0".to_owned(), "masterauth sesame".to_owned()],
        ..RedisOptions::default()
    };
    let (server, other) = (RedisServer::start(options()).unwrap(), RedisServer::start(options()).unwrap());
    let case = case_of(&server);
    let mut copy = Client::open(&format!("{}/0", other.url()));
    let all = |redis: &mut Client| redis.integer(&[b"DBSIZE"]) == COUNT as i64;
    copy.say(&format!("REPLICAOF 127.0.0.1 {}", server.port()));
    until("the other one has a copy", || all(&mut copy));
    copy.say("REPLICAOF NO ONE");
    let running = case.start_cleanup(ITEMS, &SLOWLY);
    until("some are deleted", || ledger(&case).0 > 0);
    // As one that waits for its pace, it meets nothing of it.
    running.signal("STOP");
    let mut redis = case.redis();
    redis.say(&format!("REPLICAOF 127.0.0.1 {}", other.port()));
    until("all of it is back", || all(&mut redis));
    redis.say("REPLICAOF NO ONE");
    running.signal("CONT");
    let outcome = ends(running.finish(), 5);
    assert!(outcome.said().contains("or was a replica, while keys were deleted"), "{outcome}");
    assert!(keys(&case) > 0, "{outcome}");
    ends(case.cleanup(ITEMS, &["--yes"]), 0);
    assert_eq!(keys(&case), 0);
}
