//! Runs that changed rows of one another, and later runs that do not go first: what another run wrote last is kept.

use crate::support::Case;
use crate::{ITEMS, as_foretold, id, items, rollback, set, undo};
use std::time::{Duration, Instant};

/// Keys; some of them are loaded before the first run is stopped.
const KEYS: i64 = 400;

#[test]
fn two_runs_that_changed_rows_of_one_another_are_taken_back_in_turns() {
    let case = items(&[]);
    let all = |add: i64| {
        let pairs: Vec<(String, i64)> = (0..KEYS).map(|n| (format!("{n:06}"), n + add)).collect();
        set(&case, &pairs.iter().map(|(id, n)| (id.as_str(), *n)).collect::<Vec<_>>());
    };
    let config = format!("{ITEMS}on_conflict = \"update\"\n");
    let other = config.replace("name = \"items\"", "name = \"others\"");
    all(0);
    let mut running =
        case.start_config(&config, &["--max-keys-per-second", "100", "--scan-count", "10", "--batch-rows", "10"]);
    let since = Instant::now();
    while case.sql("SELECT to_regclass('redis2pg.batches') IS NOT NULL") != "t"
        || case.number("SELECT count(*) FROM items") < 20
    {
        assert!(since.elapsed() < Duration::from_secs(60) && !running.ended());
        std::thread::sleep(Duration::from_millis(20));
    }
    running.signal("TERM");
    let first = id(&running.finish().exits(7));
    let part = case.number("SELECT count(*) FROM items");
    assert!((1..KEYS).contains(&part), "{part}");
    all(1);
    let between = case.run_config(&other, &[]).exits(0);
    let second = id(&between);
    assert_eq!((between.total("updated"), between.total("inserted")), (part, KEYS - part), "{between}");
    all(2);
    let resumed = case.run_config(&config, &["--resume"]).exits(0);
    // A few pages are come to once more: rows that the first run inserted, the second changed, and the first changed again.
    let updated = resumed.total("updated");
    assert_eq!(id(&resumed), first);
    assert!((KEYS - part..KEYS).contains(&updated), "{resumed}");

    let undone = undo(&case, &first);
    // What it inserted before it was stopped is the other one's, whether it wrote it once more or not.
    assert_eq!(undone.counts(), [0, updated, part], "{:#}", undone.json);
    assert!(undone.json["notices"].to_string().contains("changed rows of one another"), "{:#}", undone.json);
    assert!(!undone.json["notices"].to_string().contains("not found"), "{:#}", undone.json);
    // All as the other run had it.
    assert_eq!(case.number("SELECT count(*) FROM items WHERE n = id::int + 1"), KEYS);
    assert_eq!(undo(&case, &second).counts(), [KEYS - part, part, 0]);
    assert_eq!(case.number("SELECT count(*) FROM items WHERE n = id::int"), part);
    assert_eq!(undo(&case, &first).counts(), [part, updated, 0]);
    assert_eq!(case.number("SELECT count(*) FROM items"), 0);
}

#[test]
fn force_goes_on_beside_a_later_run_and_leaves_its_rows() {
    let case = items(&[("a", 1), ("b", 2)]);
    case.sql("INSERT INTO items VALUES ('a', 7), ('c', 9)");
    let config = format!("{ITEMS}on_conflict = \"update\"\n");
    let first = id(&case.run_config(&config, &[]).exits(0));
    // What the first run had changed goes, and is made anew by the second one; what it had inserted is changed by that.
    case.sql("DELETE FROM items WHERE id = 'a'");
    set(&case, &[("a", 10), ("b", 20)]);
    let second = id(&case.run_config(&config, &[]).exits(0));
    let refused = rollback(&case, &first, &["--yes"]).exits(2);
    assert!(refused.stderr.contains(&second) && refused.stderr.contains("--force"), "{}", refused.stderr);
    let forced = rollback(&case, &first, &["--yes", "--force"]).exits(0);
    assert_eq!(forced.kept("public.items", "other_run"), 2, "{:#}", forced.json);
    assert!(!forced.json["notices"].to_string().contains("not found"), "{:#}", forced.json);
    assert!(forced.json["notices"].to_string().contains(&second), "{:#}", forced.json);
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "a|10\nb|20\nc|9");
    assert_eq!(undo(&case, &second).counts(), [1, 1, 0]);
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "b|2\nc|9");
    let last = rollback(&case, &first, &["--yes", "--force"]).exits(0);
    assert_eq!((last.counts(), case.sql("SELECT id, n FROM items ORDER BY 1")), ([1, 1, 0], "a|7\nc|9".to_owned()));
}

/// Its lineage names the later run, so that nothing but that one's image tells that the first one inserted it.
#[test]
fn rows_that_a_later_runs_rollback_kept_are_told_and_no_one_is_said_to_have_deleted_them() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    let config = format!("{ITEMS}on_conflict = \"update\"\n");
    let first = id(&case.run_config(&config, &[]).exits(0));
    set(&case, &[("a", 10), ("b", 20)]);
    let second = id(&case.run_config(&config, &[]).exits(0));
    case.sql("UPDATE items SET note = 'mine' WHERE id = 'a'");
    assert_eq!(as_foretold(&case, &second, &[]).counts(), [0, 1, 1]);
    let undone = as_foretold(&case, &first, &[]);
    assert_eq!((undone.counts(), undone.kept("public.items", "other_run")), ([2, 0, 1], 1), "{:#}", undone.json);
    let samples = undone.json["samples"].to_string();
    assert!(samples.contains(&second) && samples.contains("whose rollback kept it"), "{:#}", undone.json);
    // A dry run of what is left counts what went before.
    for args in [["--dry-run"], ["--yes"]] {
        let again = rollback(&case, &first, &args).exits(0);
        assert_eq!(again.kept("public.items", "other_run"), 1, "{:#}", again.json);
        assert!(!again.json["notices"].to_string().contains("not found"), "{:#}", again.json);
    }
    assert_eq!(rollback(&case, &second, &["--yes", "--force"]).exits(0).counts(), [0, 2, 0]);
    assert_eq!(undo(&case, &first).counts(), [3, 0, 0]);
    assert_eq!(case.number("SELECT count(*) FROM items"), 0);
}

const FAMILY: &str = r#"
[[mapping]]
name = "users"
match = "user:{id}"
into = "public.users"
key = "id"
column = [{ name = "id", from = "{id}" }, { name = "v", from = "$.v" }]
[[mapping]]
name = "kid"
match = "kid:{id}"
into = "public.kid"
key = "id"
on_conflict = "update"
parents = [{ mapping = "users", column = "user_id" }]
column = [{ name = "id", from = "{id}" }, { name = "user_id", from = "$.u" }]
"#;

/// No row refers to it any more, but one that is to come back does.
#[test]
fn a_row_that_a_later_runs_image_refers_to_goes_after_that_is_put_back() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE users (id text PRIMARY KEY, v text); \
         CREATE TABLE kid (id text PRIMARY KEY, user_id text REFERENCES users (id)); CREATE INDEX ON kid (user_id)",
    );
    let mut redis = case.redis();
    (1..3).for_each(|user| redis.set(&format!("user:{user}"), r#"{"v":1}"#));
    redis.set("kid:1", r#"{"u":"1"}"#);
    let users = id(&case.run_config(FAMILY, &["--skip", "kid"]).exits(0));
    let kids = id(&case.run_config(FAMILY, &[]).exits(0));
    redis.set("kid:1", r#"{"u":"2"}"#);
    let later = id(&case.run_config(FAMILY, &[]).exits(0));
    for how in ["--dry-run", "--yes"] {
        let refused = rollback(&case, &users, &[how]).exits(2).stderr;
        assert!(
            refused.contains(&format!("{later} (1 rows)")) && refused.contains("refer to rows of run"),
            "{refused}"
        );
    }
    let forced = rollback(&case, &users, &["--dry-run", "--force"]).exits(0);
    assert!(forced.json["notices"].to_string().contains("cannot be put back before"), "{:#}", forced.json);
    assert_eq!(undo(&case, &later).counts(), [0, 1, 0]);
    assert_eq!(undo(&case, &kids).counts(), [1, 0, 0]);
    assert_eq!(undo(&case, &users).counts(), [2, 0, 0]);
}

/// The later run's image of a row that it deleted says nothing of one that somebody else made since.
#[test]
fn a_row_that_somebody_made_again_is_not_said_to_be_another_runs() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    let first = id(&case.run_config(ITEMS, &[]).exits(0));
    for key in [b"item:a", b"item:b"] {
        case.redis().integer(&[b"DEL", key]);
    }
    let second = id(&case.run_config(ITEMS, &["--delete-gone", "--delete-gone-limit", "100%"]).exits(0));
    case.sql("INSERT INTO items (id, n) VALUES ('a', 7)");
    set(&case, &[("b", 20)]);
    let third = id(&case.run_config(ITEMS, &[]).exits(0));
    let undone = as_foretold(&case, &first, &["--force"]);
    assert_eq!((undone.counts(), undone.kept("public.items", "other_run")), ([1, 0, 1], 1), "{:#}", undone.json);
    let told = undone.json["samples"].to_string();
    assert!(told.contains(&third) && !told.contains(&second), "{told}");
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "a|7\nb|20");
}

/// No image tells of it: what a run writes again after another one had deleted it is new to it.
#[test]
fn two_runs_of_which_each_wrote_again_what_the_other_had_deleted_are_taken_back_in_turns() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    let _ = case.run_config(ITEMS, &[]).exits(0);
    let gone = |key: &str| {
        assert_eq!(case.redis().integer(&[b"DEL", key.as_bytes()]), 1);
        id(&case.run_config(ITEMS, &["--delete-gone", "--delete-gone-limit", "100%"]).exits(0))
    };
    let first = gone("item:a");
    set(&case, &[("a", 10)]);
    let second = gone("item:b");
    set(&case, &[("b", 20)]);
    let third = id(&case.run_config(ITEMS, &[]).exits(0));
    // As if the first one had been stopped, and resumed after the second one: it is the one that wrote "b" again.
    case.sql(&format!("UPDATE redis2pg.before_images SET run_id = '{third}' WHERE run_id = '{first}'"));
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "a|10\nb|20\nc|3");

    let undone = as_foretold(&case, &third, &[]);
    assert_eq!((undone.counts(), undone.kept("public.items", "other_run")), ([1, 0, 1], 1), "{:#}", undone.json);
    assert!(undone.json["notices"].to_string().contains("changed rows of one another"), "{:#}", undone.json);
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "a|10\nc|3");
    assert_eq!(as_foretold(&case, &second, &[]).counts(), [1, 1, 0]);
    assert_eq!(as_foretold(&case, &third, &[]).counts(), [1, 1, 0]);
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "a|1\nb|2\nc|3");
}
