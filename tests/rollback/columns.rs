//! Values that cannot be put back: of columns that are gone, or that the role may not write.

use crate::support::Case;
use crate::{ITEMS, id, items, rollback, rows, set, undo};

const GONE: [&str; 4] = ["--delete-gone", "--delete-expired", "--delete-gone-limit", "100%"];

/// Two items of a first run, of which a second one changed one and deleted the other; the table between them.
fn two_runs() -> (Case, String, String) {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    let _ = case.run_config(ITEMS, &[]).exits(0);
    let before = rows(&case, "items");
    set(&case, &[("a", 11)]);
    assert_eq!(case.redis().integer(&[b"DEL", b"item:b"]), 1);
    let run = id(&case.run_config(ITEMS, &GONE).exits(0));
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "a|11\nc|3");
    (case, run, before)
}

fn images(case: &Case) -> i64 {
    case.number("SELECT count(*) FROM redis2pg.before_images")
}

#[test]
fn a_row_of_which_a_column_is_gone_is_kept_with_its_image() {
    let (case, run, before) = two_runs();
    case.sql("ALTER TABLE items RENAME n TO num");
    for args in ["--dry-run", "--yes"] {
        let undone = rollback(&case, &run, &[args]).exits(0);
        assert_eq!((undone.counts(), undone.kept("public.items", "refused")), ([0, 0, 2], 2), "{:#}", undone.json);
        assert!(undone.json["samples"].to_string().contains("no column n any more"), "{:#}", undone.json);
    }
    assert_eq!((images(&case), case.sql("SELECT id, num FROM items ORDER BY 1")), (2, "a|11\nc|3".to_owned()));
    case.sql("ALTER TABLE items RENAME num TO n");
    assert_eq!(undo(&case, &run).counts(), [0, 2, 0]);
    assert_eq!((rows(&case, "items"), images(&case)), (before, 0));
}

#[test]
fn by_force_it_is_put_back_without_and_the_columns_are_named() {
    let (case, run, _) = two_runs();
    case.sql("ALTER TABLE items DROP COLUMN n");
    for args in ["--dry-run", "--yes"] {
        let undone = rollback(&case, &run, &[args, "--force"]).exits(0);
        assert_eq!(undone.counts(), [0, 2, 0], "{:#}", undone.json);
        let notices = undone.json["notices"].as_array().unwrap();
        let told = "public.items: 2 rows are put back without what (n) held: there are no such columns any more";
        assert!(notices.iter().any(|notice| notice == told), "{:#}", undone.json);
    }
    assert_eq!(case.sql("SELECT id, note FROM items ORDER BY 1"), "a|none\nb|none\nc|none");
}

#[test]
fn a_right_to_write_a_column_that_has_to_be_written_is_asked_for_before_anything_is_done() {
    let (case, run, before) = two_runs();
    case.sql(
        "ALTER TABLE items OWNER TO CURRENT_USER; GRANT SELECT, DELETE, INSERT (id, n, metadata), UPDATE (note) ON items TO redis2pg",
    );
    for args in ["--dry-run", "--yes"] {
        let refused = rollback(&case, &run, &[args]).exits(2).stderr;
        for hint in ["GRANT UPDATE (metadata, n) ON public.items", "GRANT INSERT (note) ON public.items"] {
            assert!(refused.contains(hint), "{refused}");
        }
    }
    assert_eq!((images(&case), case.number("SELECT count(rollback_lease) FROM redis2pg.runs")), (2, 0));
    // The key may not be written, and need not.
    case.sql("GRANT UPDATE (n, metadata), INSERT (note) ON items TO redis2pg");
    assert_eq!(undo(&case, &run).counts(), [0, 2, 0]);
    assert_eq!(rows(&case, "items"), before);
}

#[test]
fn without_the_right_to_lock_rows_it_is_refused() {
    let (case, run, _) = two_runs();
    case.sql("ALTER TABLE items OWNER TO CURRENT_USER; GRANT SELECT, DELETE, INSERT ON items TO redis2pg");
    for args in ["--dry-run", "--yes"] {
        let refused = rollback(&case, &run, &[args]).exits(2).stderr;
        assert!(refused.contains("GRANT UPDATE ON public.items"), "{refused}");
    }
    assert_eq!(case.number("SELECT count(rollback_lease) FROM redis2pg.runs"), 0);
}

#[test]
fn what_nobody_may_change_is_not_said_to_be_put_back() {
    let case = items(&[("a", 1), ("b", 2)]);
    case.sql("ALTER TABLE items ADD place integer GENERATED ALWAYS AS IDENTITY");
    let _ = case.run_config(ITEMS, &[]).exits(0);
    set(&case, &[("a", 11), ("b", 12)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql("DELETE FROM items WHERE id = 'a'; INSERT INTO items VALUES ('a', 7)");
    let undone = rollback(&case, &run, &["--yes", "--force"]).exits(0);
    assert_eq!((undone.counts(), undone.kept("public.items", "refused")), ([0, 1, 1], 1), "{:#}", undone.json);
    assert!(undone.json["samples"].to_string().contains("column place cannot be changed"), "{:#}", undone.json);
    assert_eq!((images(&case), case.sql("SELECT id, n FROM items ORDER BY 1")), (1, "a|7\nb|2".to_owned()));
}
