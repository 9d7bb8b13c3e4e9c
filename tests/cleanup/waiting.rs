//! A backup that takes long. What waits for it grows old, and stays; what is written itself may take as long as it takes.

use crate::proxy::{Act, Proxy};
use crate::support::{Case, until};
use crate::{came_to, ends};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::sleep;
use std::time::Duration;

const TABLE: &str = "SET ROLE redis2pg; CREATE TABLE tags (id text, tag text, PRIMARY KEY (id, tag))";

const TAGS: &str = r#"
[[mapping]]
name = "tags"
match = "tags:{id}"
type = "set"
explode = true
into = "public.tags"
key = ["id", "tag"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "tag", from = ["$.member"] },
]
"#;

/// A case whose Redis is behind a proxy that may keep commands waiting.
fn behind(hook: impl Fn(&[String]) + Send + Sync + 'static) -> (RedisServer, Case) {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let proxy = Proxy::start(Arc::new(AtomicU16::new(server.port())), move |words| {
        hook(words);
        Act::Pass
    });
    let place = format!("redis://:{}@", server.password());
    let case = Case::from_source(&format!("{}/0", proxy.url().replace("redis://", &place)));
    case.sql(TABLE);
    (server, case)
}

/// What is read for the backup comes late: the rows may be others by then.
#[test]
fn keys_that_wait_for_the_backup_for_too_long_stay() {
    let slow = Arc::new(AtomicBool::new(false));
    let armed = slow.clone();
    let (_server, case) = behind(move |words| {
        // What reads small keys for a backup: a script, or commands for each where there are none.
        let reads = words[0] == "DUMP" || words[0] == "EVAL_RO" && words[1].contains("'DUMP'");
        if reads && armed.swap(false, Ordering::SeqCst) {
            sleep(Duration::from_secs(11));
        }
    });
    for n in 0..20 {
        case.redis().say(&format!("SADD tags:{n} red blue"));
    }
    ends(case.run_config(TAGS, &[]), 0);
    slow.store(true, Ordering::SeqCst);
    let dir = tempfile::tempdir().unwrap();
    let outcome = ends(case.cleanup(TAGS, &["--yes", "--backup", dir.path().join("b").to_str().unwrap()]), 0);
    assert!(!slow.load(Ordering::SeqCst), "nothing was read: {outcome}");
    came_to(&outcome, 0, &[("outdated", 20)]);
}

/// A set of some megabytes, loaded.
fn load_large(case: &Case) {
    let mut redis = case.redis();
    for part in 0..40 {
        let members: Vec<String> = (0..1_000).map(|n| format!("{:06}{}", part * 1_000 + n, "x".repeat(60))).collect();
        let head = [&b"SADD"[..], b"tags:big"].into_iter();
        redis.integer(&head.chain(members.iter().map(String::as_bytes)).collect::<Vec<_>>());
    }
    ends(case.run_config(TAGS, &[]), 0);
}

/// Else it would be too old every time, and never go.
#[test]
fn a_large_key_that_is_written_for_long_goes() {
    // Between the dump and the end of the reading for the backup: slices come late.
    let (saving, late) = (AtomicBool::new(false), Arc::new(AtomicU16::new(0)));
    let counted = late.clone();
    let (_server, case) = behind(move |words| match words[0].as_str() {
        "DUMP" => saving.store(true, Ordering::SeqCst),
        "EXEC" => saving.store(false, Ordering::SeqCst),
        "SSCAN" if saving.load(Ordering::SeqCst) => {
            counted.fetch_add(1, Ordering::SeqCst);
            sleep(Duration::from_millis(1500));
        }
        _ => {}
    });
    load_large(&case);
    let dir = tempfile::tempdir().unwrap();
    let outcome = ends(case.cleanup(TAGS, &["--yes", "--backup", dir.path().join("b").to_str().unwrap()]), 0);
    assert!(late.load(Ordering::SeqCst) >= 7, "it was not slow: {}", late.load(Ordering::SeqCst));
    came_to(&outcome, 1, &[]);
}

/// That a large key may take its time is no reason to delete one by rows that were compared before the process was suspended.
fn stays_where_the_process_stood_still(backup: bool) {
    // Slices that were asked for since the key was in the ledger as about to go, or since its dump was.
    let (counts, slices) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU16::new(0)));
    let (counting, counted) = (counts.clone(), slices.clone());
    let cleans = Arc::new(AtomicBool::new(false));
    let slowly = cleans.clone();
    let (_server, case) = behind(move |words| match words[0].as_str() {
        _ if !slowly.load(Ordering::SeqCst) => {}
        "DUMP" if backup => counting.store(true, Ordering::SeqCst),
        "SSCAN" => {
            counted.fetch_add(u16::from(counting.load(Ordering::SeqCst)), Ordering::SeqCst);
            sleep(Duration::from_millis(400));
        }
        _ => {}
    });
    load_large(&case);
    cleans.store(true, Ordering::SeqCst);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b");
    let mut args = vec!["--yes", "--lease", "60s"];
    args.extend(backup.then_some(["--backup", file.to_str().unwrap()]).into_iter().flatten());
    let mut running = case.start_cleanup(TAGS, &args);
    if !backup {
        until("it is about to go", || case.number("SELECT count(*) FROM redis2pg.cleanup_batches") == 1);
        counts.store(true, Ordering::SeqCst);
    }
    until("slices are read", || slices.load(Ordering::SeqCst) >= 2);
    running.signal("STOP");
    sleep(Duration::from_secs(11));
    assert!(!running.ended());
    running.signal("CONT");
    came_to(&ends(running.finish(), 0), 0, &[("outdated", 1)]);
    assert_eq!(case.redis().integer(&[b"SCARD", b"tags:big"]), 40_000);
}

#[test]
fn a_large_key_stays_where_the_process_stood_still_while_it_was_read_for_its_deletion() {
    stays_where_the_process_stood_still(false);
}

#[test]
fn a_large_key_stays_where_the_process_stood_still_while_it_was_read_for_the_backup() {
    stays_where_the_process_stood_still(true);
}
