//! Whose a row is decides what becomes of it.

use crate::{ITEMS, id, in_ledger, items, rollback, rows, set, undo};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn what_a_run_inserted_is_deleted_and_what_others_wrote_stays() {
    for config in [ITEMS.to_owned(), in_ledger()] {
        let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
        case.sql("INSERT INTO items VALUES ('own', 7)");
        let before = rows(&case, "items");
        let run = id(&case.run_config(&config, &[]).exits(0));
        let undone = undo(&case, &run);
        assert_eq!(undone.counts(), [3, 0, 0]);
        assert_eq!(rows(&case, "items"), before);
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.loaded"), 0);
    }
}

#[test]
fn a_row_that_somebody_changed_after_the_run_is_kept_and_listed() {
    for config in [ITEMS.to_owned(), in_ledger()] {
        let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
        let run = id(&case.run_config(&config, &[]).exits(0));
        case.sql("UPDATE items SET note = 'mine' WHERE id = 'b'");
        let kept = case.sql("SELECT t::text FROM items t WHERE id = 'b'");
        let report = tempfile::tempdir().unwrap();
        let dir = report.path().join("undone");
        let undone = rollback(&case, &run, &["--yes", "--report", dir.to_str().unwrap()]).exits(0);
        assert_eq!((undone.counts(), undone.kept("public.items", "changed")), ([2, 0, 1], 1), "{:#}", undone.json);
        assert_eq!(undone.told(), [("{\"id\":\"b\"}".to_owned(), "changed".to_owned())]);
        assert_eq!(rows(&case, "items"), kept);
        let line = fs::read_to_string(dir.join("kept.jsonl")).unwrap();
        assert!(line.contains("\"key\":\"item:b\"") && line.lines().count() == 1, "{line}");
        let told = fs::read_to_string(dir.join("rollback.json")).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&told).unwrap()["kept"], 1);
        let mode = fs::metadata(dir.join("kept.jsonl")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
}

#[test]
fn an_overwritten_row_gets_its_old_values_and_a_changed_or_deleted_one_does_not() {
    for config in [ITEMS.to_owned(), in_ledger()] {
        let case = items(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
        let first = id(&case.run_config(&config, &[]).exits(0));
        let (before, lineage) = (rows(&case, "items"), rows(&case, "redis2pg.loaded"));
        set(&case, &[("a", 10), ("b", 20), ("c", 30), ("e", 50)]);
        let second = case.run_config(&config, &[]).exits(0);
        assert_eq!((second.total("updated"), second.total("inserted")), (3, 1));
        let undone = undo(&case, &id(&second));
        assert_eq!(undone.counts(), [1, 3, 0]);
        assert_eq!(rows(&case, "items"), before);
        assert_eq!(rows(&case, "redis2pg.loaded"), lineage);
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images"), 0);

        set(&case, &[("a", 11), ("b", 21), ("c", 31)]);
        let third = id(&case.run_config(&config, &[]).exits(0));
        case.sql("UPDATE items SET note = 'mine' WHERE id = 'a'; DELETE FROM items WHERE id = 'b'");
        let undone = undo(&case, &third);
        assert_eq!(undone.counts(), [1, 1, 2], "{:#}", undone.json);
        assert_eq!((undone.kept("public.items", "changed"), undone.kept("public.items", "deleted")), (1, 1));
        assert_eq!(case.sql("SELECT id, n, note FROM items ORDER BY 1"), "a|11|mine\nc|3|none\nd|4|none");
        // The rows that were put back are the first run's again.
        let undone = undo(&case, &first);
        let kept = undone.kept("public.items", "other_run");
        assert_eq!((undone.counts(), kept), ([2, 0, 1], 1), "{:#}", undone.json);
        assert_eq!(case.sql("SELECT id FROM items"), "a");
    }
}

#[test]
fn by_force_changed_and_deleted_rows_are_taken_back_too() {
    let case = items(&[("a", 1), ("b", 2)]);
    let _ = case.run_config(ITEMS, &[]).exits(0);
    let before = rows(&case, "items");
    set(&case, &[("a", 10), ("b", 20), ("c", 30)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql("UPDATE items SET note = 'mine' WHERE id <> 'b'; DELETE FROM items WHERE id = 'b'");
    assert_eq!(rollback(&case, &run, &["--yes", "--dry-run"]).exits(0).counts(), [0, 0, 3]);
    assert_eq!(rollback(&case, &run, &["--yes", "--dry-run", "--force"]).exits(0).counts(), [1, 2, 0]);
    assert_eq!(undo(&case, &run).counts(), [0, 0, 3]);
    // Kept rows may be taken back later.
    let undone = rollback(&case, &run, &["--yes", "--force"]).exits(0);
    assert_eq!(undone.counts(), [1, 2, 0], "{:#}", undone.json);
    assert_eq!(rows(&case, "items"), before);
}

#[test]
fn rows_of_nobody_that_a_run_overwrote_are_nobodys_again() {
    let case = items(&[("a", 1)]);
    case.sql("INSERT INTO items VALUES ('a', 5, 'own')");
    let before = rows(&case, "items");
    let run = case.run_config(&format!("{ITEMS}on_conflict = \"update\"\n"), &[]).exits(0);
    assert_eq!(run.total("updated"), 1);
    assert_eq!(undo(&case, &id(&run)).counts(), [0, 1, 0]);
    assert_eq!(rows(&case, "items"), before);
    let again = case.run_config(ITEMS, &[]).exits(0);
    assert_eq!(again.report["tally"]["skipped"]["exists_newer"], 1, "{again}");
}
