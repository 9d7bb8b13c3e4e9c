//! Before-images that somebody deleted: the run is refused, however far a rollback of it has come.

use crate::{ITEMS, id, items, rollback, undo};

#[test]
fn images_that_are_missing_refuse_a_rollback_that_had_begun() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    case.sql("ALTER TABLE items ADD UNIQUE (n); INSERT INTO items VALUES ('a', 10), ('b', 20)");
    let run = id(&case.run_config(&format!("{ITEMS}on_conflict = \"update\"\n"), &[]).exits(0));
    case.sql("INSERT INTO items VALUES ('other', 10)");
    let first = undo(&case, &run);
    assert_eq!((first.counts(), first.kept("public.items", "place_taken")), ([1, 1, 1], 1), "{:#}", first.json);
    // The image that served is not missing.
    assert_eq!(undo(&case, &run).counts(), [1, 1, 1]);
    case.sql("DELETE FROM redis2pg.before_images");
    let refused = rollback(&case, &run, &["--yes"]).exits(2);
    assert!(refused.stderr.contains("before-image"), "{}", refused.stderr);
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "a|1\nb|20\nother|10");
}

#[test]
fn after_a_restore_from_a_dump_no_number_tells_of_a_former_run() {
    let case = items(&[("a", 1)]);
    let first = id(&case.run_config(ITEMS, &[]).exits(0));
    crate::set(&case, &[("a", 2)]);
    let second = id(&case.run_config(ITEMS, &[]).exits(0));
    // What a restore does to the journal: all of its rows are of another transaction.
    case.sql("UPDATE redis2pg.batches SET epoch = epoch");
    let journal = "SELECT count(*) FROM redis2pg.batches";
    let before = case.sql(journal);
    assert_eq!(rollback(&case, &first, &["--yes"]).exits(0).counts()[..2], [0, 0]);
    assert_eq!(rollback(&case, &second, &["--yes", "--force"]).exits(0).counts(), [0, 1, 0]);
    assert_eq!((case.sql(journal), case.sql("SELECT n FROM items")), (before, "1".to_owned()));
}
