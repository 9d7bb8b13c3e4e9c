//! Cleanups that are killed: the next one settles what they may have deleted, and the account is exact.

use crate::support::{Case, Client};
use crate::{Dice, ITEMS, TABLES, ends, item, keys, loaded, number, seed};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::thread::sleep;
use std::time::Duration;

/// Deletions that are known, and keys of which it is not known.
fn ledger(case: &Case) -> (i64, i64) {
    let of = |what: &str| case.number(&format!("SELECT coalesce(sum({what}), 0) FROM redis2pg.cleanup_batches"));
    (of("deleted"), of("CASE WHEN settled_at IS NULL THEN keys END"))
}

#[test]
fn killed_at_random_points_and_run_again_each_key_is_accounted_for_once() {
    let seed = seed();
    let mut dice = Dice(seed);
    const COUNT: i64 = 6_000;
    let case = loaded(COUNT as usize);
    let mut kills = 0;
    for _ in 0..5 {
        let mut running = case.start_cleanup(
            ITEMS,
            &["--yes", "--lease", "2s", "--batch-rows", "300", "--cleanup-keys-per-second", "3000"],
        );
        sleep(Duration::from_millis(150 + dice.below(900)));
        if running.ended() {
            break;
        }
        running.kill9();
        kills += 1;
        let (deleted, unsettled) = ledger(&case);
        let left = keys(&case);
        // What is gone is in the ledger, whenever it was killed.
        assert!(
            deleted <= COUNT - left && COUNT - left <= deleted + unsettled,
            "{deleted} {unsettled} {left}; seed {seed}"
        );
        sleep(Duration::from_millis(2100));
    }
    let (before, unsettled) = ledger(&case);
    let there = keys(&case);
    let last = ends(case.cleanup(ITEMS, &["--yes", "--lease", "2s"]), 0);
    assert_eq!(keys(&case), 0);
    let (deleted, open) = ledger(&case);
    assert_eq!((deleted, open), (COUNT, 0), "after {kills} kills; seed {seed}: {last}");
    assert_eq!(number(&last, "settled"), COUNT - there - before, "of {unsettled}; seed {seed}: {last}");
    assert_eq!(number(&last, "deleted"), there);
    // The last one's account has the others', so that all of it adds up.
    let earlier = last.report["cleanup"]["earlier"].as_array().unwrap().clone();
    let of = |name: &str| earlier.iter().map(|earlier| earlier[name].as_i64().unwrap()).sum::<i64>();
    assert_eq!((of("deleted"), of("unsettled")), (COUNT - there, 0), "{last}");
    assert_eq!(number(&last, "deleted_in_all"), COUNT, "{last}");
    let told = format!("cleanups of this run before this one deleted {} keys (", COUNT - there);
    let all = format!("): {COUNT} in all");
    let some = COUNT > there;
    assert!(!some || last.stdout.contains(&told) && last.stdout.contains(&all), "{last}");
    let text = case.command().args(["runs", "show", "--to", &case.target]).output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    let sum = format!("{COUNT} keys deleted from Redis by all of them");
    assert!(!some || text.contains(&sum), "{text}");
    assert_eq!(case.number("SELECT count(DISTINCT key) FROM redis2pg.cleaned_keys"), COUNT);
    // Nothing of it is taken for gone.
    let run = ends(case.run_config(ITEMS, &["--delete-gone", "--allow-empty"]), 0);
    assert_eq!(run.report["mappings"]["items"]["deleted_gone"]["kept_cleaned"], COUNT, "{run}");
    assert_eq!(case.number("SELECT count(*) FROM items"), COUNT);
}

/// Leaves keys in the ledger as a process does that dies between the two commits: a batch of a cleanup that is not settled.
pub(crate) fn leave_unsettled(case: &Case, mapping: &str, keys: &[&str]) {
    let (count, keys) = (keys.len(), keys.join(","));
    case.sql(&format!(
        "INSERT INTO redis2pg.cleanups (id, run_id, runs, source, version, settings, state, lease, lease_expires_at) \
         SELECT '00000000-0000-4000-8000-000000000001', id, ARRAY[id], source, version, '{{}}', 'running', gen_random_uuid(), now() \
         FROM redis2pg.runs; \
         INSERT INTO redis2pg.cleanup_batches (id, cleanup_id, mapping, redis_db, keys) SELECT \
         '00000000-0000-4000-8000-000000000002', id, '{mapping}', substring(source FROM '[0-9]+$')::int, {count} FROM redis2pg.cleanups; \
         INSERT INTO redis2pg.cleaned_keys SELECT '00000000-0000-4000-8000-000000000002', \
         ('x' || substr(encode(sha256(k::bytea), 'hex'), 1, 16))::bit(64)::bigint, k::bytea \
         FROM unnest('{{{keys}}}'::text[]) k"
    ));
}

#[test]
fn a_batch_that_was_begun_is_settled_by_what_is_there() {
    let case = loaded(10);
    leave_unsettled(&case, "items", &["item:0", "item:1", "item:2", "item:3"]);
    let mut redis = case.redis();
    redis.say("DEL item:0 item:1");
    redis.set("item:2", "{\"n\":200}");
    let shown = case.ledger(&["runs", "show"]);
    assert_eq!(shown["cleanups"][0]["unsettled"], 4);
    let outcome = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    crate::came_to(&outcome, 7, &[("stale", 1)]);
    assert_eq!(number(&outcome, "settled"), 2);
    let former = "SELECT state, deleted FROM redis2pg.cleanups c JOIN redis2pg.cleanup_batches b ON b.cleanup_id = c.id \
                  WHERE c.id = '00000000-0000-4000-8000-000000000001'";
    assert_eq!(case.sql(former), "abandoned|2");
    // One that is there now may be another than the one that was to go.
    assert_eq!(case.number("SELECT count(DISTINCT key) FROM redis2pg.cleaned_keys"), 10);
}

/// Of a key that the user may not read nobody knows whether it is gone: it waits for one who may.
#[test]
fn keys_that_may_not_be_read_are_settled_by_a_later_cleanup() {
    let acl = vec!["u on >p ~* +@all".to_owned()];
    let server = RedisServer::start(RedisOptions { acl, ..RedisOptions::default() }).unwrap();
    let case = Case::from_source(&format!("redis://u:p@127.0.0.1:{}/0", server.port()));
    let mut admin = Client::open(&format!("{}/0", server.url()));
    case.sql(TABLES);
    (0..3).for_each(|n| admin.set(&format!("item:{n}"), &item(n)));
    ends(case.run_config(ITEMS, &[]), 0);
    leave_unsettled(&case, "items", &["item:0", "item:1"]);
    admin.say("DEL item:0 item:1");
    let unsettled =
        || case.number("SELECT coalesce(sum(keys), 0) FROM redis2pg.cleanup_batches WHERE settled_at IS NULL");
    let cases = [("resetkeys ~item:2", 0, 2), ("~item:1", 1, 1), ("resetkeys ~item:2", 0, 1), ("~*", 1, 0)];
    for (keys, settled, left) in cases {
        admin.say(&format!("ACL SETUSER u {keys}"));
        let outcome = ends(case.cleanup(ITEMS, &["--yes"]), 0);
        assert_eq!((number(&outcome, "settled"), unsettled()), (settled, left), "{keys}: {outcome}");
        let told = outcome.said().contains(&format!("of {left} keys of an interrupted cleanup it is not known"));
        assert_eq!(told, left > 0, "{outcome}");
    }
    assert_eq!(
        case.number("SELECT count(*) FROM redis2pg.cleanup_batches WHERE keys = 0"),
        0,
        "none was set apart in vain"
    );
}
