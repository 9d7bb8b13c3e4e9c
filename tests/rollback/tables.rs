//! Tables of the run that are not there under their name, or that the server will not drop: what was left out is looked at again.

use crate::support::Case;
use crate::{created, id, rollback, set, undo};

/// A run that made its table.
fn loaded() -> (Case, String) {
    let case = Case::new();
    set(&case, &[("a", 1), ("b", 2)]);
    let run = id(&case.run_config(&created(), &[]).exits(0));
    (case, run)
}

const THERE: &str = "SELECT to_regclass('public.items') IS NOT NULL";

#[test]
fn one_that_was_renamed_is_refused_by_its_present_name_and_looked_at_again() {
    let (case, run) = loaded();
    case.sql("ALTER TABLE items RENAME TO things");
    for args in ["--dry-run", "--yes"] {
        let refused = rollback(&case, &run, &[args]).exits(2);
        assert!(refused.stderr.contains("is named public.things now"), "{}", refused.stderr);
    }
    let forced = rollback(&case, &run, &["--yes", "--force"]).exits(0);
    assert_eq!((forced.counts(), &forced.json["tables"]["public.items"]["left_out"]), ([0, 0, 0], &true.into()));
    case.sql("ALTER TABLE things RENAME TO items");
    let undone = undo(&case, &run);
    assert_eq!((undone.counts(), case.sql(THERE)), ([2, 0, 0], "f".to_owned()), "{:#}", undone.json);
    assert!(undone.json["tables"]["public.items"]["left_out"].is_null(), "{:#}", undone.json);
}

#[test]
fn one_that_was_dropped_is_left_out_for_good() {
    let (case, run) = loaded();
    case.sql("DROP TABLE items");
    let undone = undo(&case, &run);
    assert!(undone.json["notices"].to_string().contains("was dropped"), "{:#}", undone.json);
    let before = case.fingerprint();
    assert!(undo(&case, &run).json["notices"].to_string().contains("it was rolled back at"));
    assert_eq!(case.fingerprint(), before);
}

#[test]
fn one_that_could_not_be_dropped_is_dropped_by_the_same_command() {
    let (case, run) = loaded();
    case.sql("CREATE VIEW v AS SELECT * FROM items");
    let undone = undo(&case, &run);
    assert_eq!((undone.counts(), case.sql(THERE)), ([2, 0, 0], "t".to_owned()));
    assert!(undone.json["notices"].to_string().contains("is kept"), "{:#}", undone.json);
    case.sql("DROP VIEW v");
    assert_eq!(undo(&case, &run).json["tables"]["public.items"]["table"], "dropped");
    assert_eq!(case.sql(THERE), "f");
    assert!(undo(&case, &run).json["notices"].to_string().contains("it was rolled back at"));
}
