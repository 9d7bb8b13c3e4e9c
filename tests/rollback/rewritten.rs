//! Tables that were written anew since the run: what cannot be proved to be the run's stays.

use crate::{ITEMS, as_foretold, created, id, in_ledger, items, rows, set, undo};

/// A run that inserted two items and changed one, which the run before it had loaded; and the rows before it.
fn loaded(config: &str) -> (crate::support::Case, String, String) {
    let case = items(&[("a", 1)]);
    let _ = case.run_config(config, &[]).exits(0);
    let before = rows(&case, "items");
    set(&case, &[("a", 10), ("b", 2), ("c", 3)]);
    let run = id(&case.run_config(config, &[]).exits(0));
    (case, run, before)
}

#[test]
fn what_vacuum_and_cluster_write_anew_is_still_the_runs() {
    for config in [ITEMS.to_owned(), in_ledger()] {
        let (case, run, before) = loaded(&config);
        case.sql("VACUUM (FULL, FREEZE) items");
        case.sql("CLUSTER items USING items_pkey");
        case.sql("VACUUM (FULL, FREEZE) redis2pg.batches");
        case.sql("VACUUM (FREEZE) redis2pg.before_images");
        assert_eq!(as_foretold(&case, &run, &[]).counts(), [2, 1, 0]);
        assert_eq!(rows(&case, "items"), before);
    }
}

#[test]
fn what_alter_table_writes_anew_is_nobodys_and_stays() {
    for change in [
        "ALTER TABLE items ALTER n TYPE bigint",
        "ALTER TABLE items ADD at timestamptz DEFAULT clock_timestamp()",
        // As tools that repack a table do it: the rows are copied.
        "BEGIN; CREATE TABLE copy (LIKE items INCLUDING ALL); INSERT INTO copy SELECT * FROM items; DROP TABLE items; \
         ALTER TABLE copy RENAME TO items; ALTER TABLE items OWNER TO redis2pg; COMMIT",
    ] {
        let (case, run, _) = loaded(ITEMS);
        case.sql(change);
        let changed = rows(&case, "items");
        let undone = as_foretold(&case, &run, &[]);
        assert_eq!(
            (undone.counts(), undone.kept("public.items", "changed")),
            ([0, 0, 3], 3),
            "{change}: {:#}",
            undone.json
        );
        assert_eq!(rows(&case, "items"), changed, "{change}");
        // By force lineage tells, and the image.
        assert_eq!(as_foretold(&case, &run, &["--force"]).counts(), [2, 1, 0], "{change}");
        assert_eq!(case.sql("SELECT id, n FROM items"), "a|1", "{change}");
    }
}

#[test]
fn a_column_that_came_since_keeps_what_it_has_or_gets_its_default() {
    let (case, run, _) = loaded(ITEMS);
    assert_eq!(case.redis().integer(&[b"DEL", b"item:a"]), 1);
    let gone = id(&case.run_config(ITEMS, &["--delete-gone", "--delete-gone-limit", "100%"]).exits(0));
    case.sql("ALTER TABLE items ADD state text NOT NULL DEFAULT 'new'");
    assert_eq!(as_foretold(&case, &gone, &[]).counts(), [0, 1, 0]);
    case.sql("ALTER TABLE items ADD more text DEFAULT 'more'");
    assert_eq!(as_foretold(&case, &run, &[]).counts(), [2, 1, 0]);
    assert_eq!(case.sql("SELECT id, n, state, more FROM items"), "a|1|new|more");
}

#[test]
fn a_column_that_has_to_have_a_value_and_no_default_is_told_ahead() {
    let (case, _, _) = loaded(ITEMS);
    assert_eq!(case.redis().integer(&[b"DEL", b"item:a"]), 1);
    let gone = id(&case.run_config(ITEMS, &["--delete-gone", "--delete-gone-limit", "100%"]).exits(0));
    case.sql("ALTER TABLE items ADD state text NOT NULL DEFAULT 'new'; ALTER TABLE items ALTER state DROP DEFAULT");
    let undone = as_foretold(&case, &gone, &[]);
    assert_eq!((undone.counts(), undone.kept("public.items", "refused")), ([0, 0, 1], 1), "{:#}", undone.json);
    case.sql("ALTER TABLE items ALTER state SET DEFAULT 'new'");
    assert_eq!(undo(&case, &gone).counts(), [0, 1, 0]);
}

#[test]
fn a_table_that_the_run_made_goes_though_it_was_written_anew() {
    let case = crate::support::Case::new();
    set(&case, &[("a", 1), ("b", 2)]);
    let run = id(&case.run_config(&created(), &[]).exits(0));
    case.sql("VACUUM FULL items");
    let undone = as_foretold(&case, &run, &[]);
    assert_eq!(
        (undone.counts(), undone.json["tables"]["public.items"]["table"].as_str()),
        ([2, 0, 0], Some("dropped"))
    );
}
