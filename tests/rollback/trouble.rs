//! What triggers, policies and habits of the application do to whose a row is.

use crate::{ITEMS, id, in_ledger, items, set, undo};

/// A trigger that marks the other rows of the table, as one does that keeps which is the current one.
const MARKS_OTHERS: &str = "CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    UPDATE public.items SET note = 'touched' WHERE id LIKE 'own%' OR id = 'a' AND NEW.id > 'a'; RETURN NULL; END $$; \
    CREATE TRIGGER mark AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION mark()";

#[test]
fn a_row_that_a_trigger_of_the_load_touches_is_not_the_runs() {
    for config in [ITEMS.to_owned(), in_ledger()] {
        let case = items(&[("a", 1)]);
        case.sql(&format!("INSERT INTO items VALUES ('own1', 7), ('own2', 8); {MARKS_OTHERS}"));
        let first = id(&case.run_config(&config, &[]).exits(0));
        assert_eq!(case.sql("SELECT id, note FROM items ORDER BY 1"), "a|none\nown1|touched\nown2|touched");
        set(&case, &[("b", 2), ("own1", 70)]);
        let second = case.run_config(&format!("{config}\non_conflict = \"update_own\"\n"), &[]).exits(0);
        assert_eq!(second.report["tally"]["skipped"]["exists_newer"], 1, "{second}");
        assert_eq!(case.sql("SELECT n FROM items WHERE id = 'own1'"), "7");
        // The first run's row was touched by the second one's trigger: it is neither's.
        assert_eq!(undo(&case, &id(&second)).counts(), [1, 0, 0]);
        assert_eq!(case.sql("SELECT id FROM items ORDER BY 1"), "a\nown1\nown2");
        assert_eq!(undo(&case, &first).kept("public.items", "changed"), 1);
        assert_eq!(case.sql("SELECT id FROM items ORDER BY 1"), "a\nown1\nown2");
    }
}
