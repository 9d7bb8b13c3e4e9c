//! What others ask of the keys that cleanups deleted: by the index, however many nights there were.

use crate::support::Case;
use crate::{ITEMS, came_to, ends, item, keys, loaded, set_items};

/// Rows of the ledger's table that were read from one end to the other so far.
fn read_through(case: &Case, table: &str) -> i64 {
    let of = "SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables WHERE schemaname = 'redis2pg' AND relname";
    case.number(&format!("{of} = '{table}'"))
}

#[test]
fn of_a_key_that_comes_back_each_night_each_cleanup_tells_what_it_deleted() {
    const COUNT: i64 = 40;
    let case = loaded(COUNT as usize);
    for night in 0..4 {
        if night > 0 {
            set_items(&case, COUNT as usize);
            ends(case.run_config(ITEMS, &[]), 0);
        }
        came_to(&ends(case.cleanup(ITEMS, &["--yes"]), 0), COUNT, &[]);
    }
    // A key that stays is no later deletion.
    set_items(&case, COUNT as usize);
    case.redis().set("item:0", &item(100));
    came_to(&ends(case.cleanup(ITEMS, &["--yes"]), 0), COUNT - 1, &[("stale", 1)]);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.cleaned_keys"), 5 * COUNT - 1);
    let each = "SELECT string_agg(n::text, ',' ORDER BY n) FROM \
                (SELECT sum(deleted) AS n FROM redis2pg.cleanup_batches GROUP BY cleanup_id) c";
    assert_eq!(case.sql(each), "39,40,40,40,40");
    case.redis().say("DEL item:0");
    let run = ends(case.run_config(ITEMS, &["--delete-gone", "--allow-empty"]), 0);
    assert_eq!(run.report["mappings"]["items"]["deleted_gone"]["kept_cleaned"], COUNT, "{run}");
    assert_eq!((keys(&case), case.number("SELECT count(*) FROM items")), (0, COUNT));
}

/// There may be as many runs as there were nights, and as many keys as there were in Redis.
#[test]
fn keys_and_runs_are_looked_up_one_by_one() {
    const COUNT: i64 = 300;
    let case = loaded(COUNT as usize);
    came_to(&ends(case.cleanup(ITEMS, &["--yes"]), 0), COUNT, &[]);
    case.sql(
        "INSERT INTO redis2pg.runs SELECT (jsonb_populate_record(r, jsonb_build_object('id', gen_random_uuid(), 'source', \
         'redis://elsewhere/' || n, 'mapping_hash', n::text))).* FROM redis2pg.runs r, generate_series(1, 2000) n; ANALYZE redis2pg.runs",
    );
    let before = ["runs", "cleaned_keys"].map(|table| read_through(&case, table));
    let run = ends(case.run_config(ITEMS, &["--delete-gone", "--allow-empty"]), 0);
    assert_eq!(run.report["mappings"]["items"]["deleted_gone"]["kept_cleaned"], COUNT, "{run}");
    let after = ["runs", "cleaned_keys"].map(|table| read_through(&case, table));
    // A look at all runs now and then is no harm; one for each key would be 600,000.
    assert!(after[0] - before[0] < 200_000 && after[1] - before[1] < 10 * COUNT, "{before:?} {after:?}");
}

/// A server whose clock was set back, or another one that took its place, says that the cleanup began before the run.
#[test]
fn whatever_the_clock_said_a_run_whose_rows_counted_was_before_the_cleanup() {
    const COUNT: i64 = 20;
    let case = loaded(COUNT as usize);
    came_to(&ends(case.cleanup(ITEMS, &["--yes"]), 0), COUNT, &[]);
    case.sql("UPDATE redis2pg.cleanups SET started_at = (SELECT min(started_at) FROM redis2pg.runs) - interval '3 s'");
    let run = ends(case.run_config(ITEMS, &["--delete-gone", "--allow-empty"]), 0);
    assert_eq!(run.report["mappings"]["items"]["deleted_gone"]["kept_cleaned"], COUNT, "{run}");
    assert_eq!(case.number("SELECT count(*) FROM items"), COUNT);
}
