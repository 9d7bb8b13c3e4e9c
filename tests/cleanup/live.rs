//! A writer that is at work all the while: nothing that it wrote last is ever lost.

use crate::support::{Case, Client};
use crate::{Dice, ITEMS, ends, loaded, seed};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What a writer knows of a key that it wrote.
#[derive(Clone, Debug)]
struct Written {
    value: Option<String>,
    timed: bool,
}

/// Changes, deletes, makes anew, renames and times keys, its own share of them, until it is told to stop.
fn write(
    source: &str,
    (share, shares, count): (u64, u64, u64),
    (earlier, seed): (&BTreeMap<u64, Written>, u64),
    stop: &AtomicBool,
) -> BTreeMap<u64, Written> {
    let (mut redis, mut dice, mut last) = (Client::open(source), Dice(seed ^ share), BTreeMap::new());
    while !stop.load(Ordering::Relaxed) {
        let n = dice.below(count / shares) * shares + share;
        let key = format!("item:{n}");
        let known: Option<&Written> = last.get(&n);
        match dice.below(10) {
            0 => {
                redis.integer(&[b"DEL", key.as_bytes()]);
                last.insert(n, Written { value: None, timed: false });
            }
            1 => {
                // Only where it is there; what it holds is what it held, perhaps since an earlier round.
                let set = redis.integer(&[b"EXPIRE", key.as_bytes(), b"5000"]) == 1;
                let known = known.or_else(|| earlier.get(&n));
                let value = known.map_or_else(|| Some(crate::item(n as usize)), |known| known.value.clone());
                if set {
                    last.insert(n, Written { value, timed: true });
                }
            }
            2 => {
                // Away, and back.
                let away = format!("away:{n}");
                let moved = redis.answer(&[b"RENAME", key.as_bytes(), away.as_bytes()]) == "+OK";
                if moved {
                    assert_eq!(redis.answer(&[b"RENAME", away.as_bytes(), key.as_bytes()]), "+OK");
                }
            }
            // As it was loaded: then it may go.
            3 | 4 => {
                let value = crate::item(n as usize);
                redis.set(&key, &value);
                last.insert(n, Written { value: Some(value), timed: false });
            }
            roll => {
                let value = format!(r#"{{"n":{}}}"#, 1_000_000 + dice.below(1000) * roll);
                redis.set(&key, &value);
                last.insert(n, Written { value: Some(value), timed: false });
            }
        }
    }
    last
}

/// That each value which a writer wrote last is in Redis, or is what PostgreSQL holds.
fn nothing_is_lost(case: &Case, written: &BTreeMap<u64, Written>, seed: u64) {
    let mut redis = case.redis();
    let rows = case.sql("SELECT id, n FROM items");
    let rows: BTreeMap<u64, String> = rows
        .lines()
        .map(|line| line.split_once('|').unwrap())
        .map(|(id, n)| (id.parse().unwrap(), format!(r#"{{"n":{n}}}"#)))
        .collect();
    let mut gone = 0;
    for (n, Written { value, timed }) in written {
        let key = format!("item:{n}");
        let there = redis.integer(&[b"EXISTS", key.as_bytes()]) == 1;
        let Some(value) = value else {
            assert!(!there, "{key} was deleted, and is there; seed {seed}");
            continue;
        };
        if there {
            assert_eq!(redis.bytes(&[b"GET", key.as_bytes()]), value.as_bytes(), "{key}; seed {seed}");
            assert_eq!(redis.integer(&[b"TTL", key.as_bytes()]) > 0, *timed, "{key}; seed {seed}");
        } else {
            gone += 1;
            assert_eq!(rows.get(n), Some(value), "{key} is lost; seed {seed}");
            assert!(!timed, "{key} had a time of expiry that no row has; seed {seed}");
        }
    }
    eprintln!("{} keys were written, {gone} of them are gone", written.len());
}

#[test]
fn nothing_that_a_live_writer_wrote_last_is_lost() {
    const COUNT: u64 = 4_000;
    const WRITERS: u64 = 2;
    let seed = seed();
    let case = loaded(COUNT as usize);
    let mut earlier = Arc::new(BTreeMap::new());
    for round in 0..3 {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|share| {
                let (source, stop, earlier) = (case.source.clone(), stop.clone(), Arc::clone(&earlier));
                thread::spawn(move || write(&source, (share, WRITERS, COUNT), (&earlier, seed + round), &stop))
            })
            .collect();
        let outcome = ends(
            case.cleanup(
                ITEMS,
                &["--yes", "--batch-rows", "100", "--scan-count", "50", "--cleanup-keys-per-second", "2500"],
            ),
            0,
        );
        stop.store(true, Ordering::Relaxed);
        let mut written = BTreeMap::new();
        for writer in writers {
            for (n, one) in writer.join().unwrap() {
                written.insert(n, one);
            }
        }
        assert_eq!(outcome.report["cleanup"]["balanced"], true, "seed {seed}: {outcome}");
        nothing_is_lost(&case, &written, seed);
        // What was left or made anew is loaded, and may go in the next round.
        ends(case.run_config(ITEMS, &[]), 0);
        Arc::make_mut(&mut earlier).extend(written);
    }
}
