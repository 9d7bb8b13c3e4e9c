//! An application that is at the cache and at the rows all the while that runs load and are rolled back.

use crate::support::{Case, EndOnDrop};
use crate::{ITEMS, id, items, rollback};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Keys of the cache.
const KEYS: i64 = 1500;

/// Changes, deletes and makes keys again, and edits, deletes and inserts rows, until it is told to rest. Gives what it left in the rows
/// that it wrote last, by id; those that it deleted have nothing.
fn application(case: &Case, rest: &AtomicBool) -> BTreeMap<String, Option<i64>> {
    let (mut redis, mut written, mut round) = (case.redis(), BTreeMap::new(), 0);
    while !rest.load(Ordering::Relaxed) {
        round += 1;
        for step in 0..12 {
            let key = format!("item:{}", (round * 101 + step * 37) % KEYS);
            match step {
                0 => redis.say(&format!("DEL {key}")),
                _ => redis.say(&format!("SET {key} {{\"n\":{}}}", round * 1000 + step)),
            };
        }
        let (edited, deleted, own) = (round * 13 % KEYS, (round * 29 + 7) % KEYS, format!("own{round}"));
        // One row at a time: of two it might wait for the one and hold the other.
        for (sql, left) in [
            (format!("UPDATE items SET n = -{round}, note = 'mine' WHERE id = '{edited}'"), Some(-round)),
            (format!("DELETE FROM items WHERE id = '{deleted}'"), None),
            (format!("INSERT INTO items VALUES ('{own}', -{round}, 'mine')"), Some(-round)),
        ] {
            for id in case.sql(&format!("{sql} RETURNING id")).lines() {
                written.insert(id.to_owned(), left);
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    written
}

#[test]
fn what_an_application_does_to_keys_and_rows_meanwhile_is_neither_lost_nor_taken_back() {
    let case = items(&[]);
    let mut redis = case.redis();
    let pairs = |n: i64| (0..KEYS).map(|id| (format!("item:{id}"), format!("{{\"n\":{n}}}"))).collect::<Vec<_>>();
    redis.set_many(&pairs(0));
    let rest = AtomicBool::new(false);
    let small = format!("{ITEMS}\n[flow]\nbatch_rows = 50\n");
    let (written, runs) = std::thread::scope(|scope| {
        let application = scope.spawn(|| application(&case, &rest));
        let end = EndOnDrop(&rest);
        let first = id(&case.run_config(&small, &[]).exits(0));
        case.redis().set_many(&pairs(1));
        let second = id(&case.run_config(&small, &["--delete-gone", "--delete-gone-limit", "100%"]).exits(0));
        for run in [&second, &first] {
            let undone = rollback(&case, run, &["--yes"]).exits(0);
            assert!(undone.counts()[0] > 0, "{:#}", undone.json);
        }
        drop(end);
        (application.join().unwrap(), [second, first])
    });
    // What it wrote last to a row is there, and what it deleted came back only as a run's, which is gone by now.
    let last = case.sql("SELECT id, n FROM items WHERE note = 'mine'");
    let there: BTreeMap<&str, i64> =
        last.lines().filter_map(|line| line.split_once('|')).map(|(id, n)| (id, n.parse().unwrap())).collect();
    let theirs: BTreeMap<&str, i64> = written.iter().filter_map(|(id, n)| Some((id.as_str(), (*n)?))).collect();
    assert!(theirs.len() > 10, "{theirs:?}");
    assert_eq!(there, theirs);
    // Nothing of the runs is left, and a rollback that is done again finds nothing more.
    assert_eq!(case.sql("SELECT t::text FROM items t WHERE note <> 'mine'"), "");
    for run in &runs {
        let again = rollback(&case, run, &["--yes"]).exits(0);
        assert_eq!(case.number("SELECT count(*) FROM items"), there.len() as i64, "{:#}", again.json);
    }
}
