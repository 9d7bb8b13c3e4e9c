//! What triggers, policies and habits of the application do to whose a row is.

use crate::support::{Case, until};
use crate::{ITEMS, created, id, in_ledger, items, rollback, set, undo};

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

#[test]
fn rows_of_tables_that_inherit_from_the_runs_stay_as_they_are() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    case.sql("CREATE TABLE old_items (archived boolean) INHERITS (items); INSERT INTO items VALUES ('a', 10)");
    let run = id(&case.run_config(&format!("{ITEMS}on_conflict = \"update\"\n"), &[]).exits(0));
    case.sql("INSERT INTO old_items (id, n, note) VALUES ('a', 70, 'own'), ('b', 80, 'own')");
    assert_eq!(rollback(&case, &run, &["--yes", "--force"]).exits(0).counts(), [2, 1, 0]);
    let left = case.sql("SELECT tableoid::regclass, id, n, note FROM items ORDER BY 1, 2");
    assert_eq!(left, "items|a|10|none\nold_items|a|70|own\nold_items|b|80|own");
}

#[test]
fn a_key_that_is_there_twice_is_kept_even_by_force() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    case.sql("INSERT INTO items VALUES ('a', 10)");
    let run = id(&case.run_config(&format!("{ITEMS}on_conflict = \"update\"\n"), &[]).exits(0));
    case.sql("ALTER TABLE items DROP CONSTRAINT items_pkey; INSERT INTO items VALUES ('a', 70), ('b', 80)");
    for args in [&["--dry-run", "--force"], &["--yes", "--force"]] {
        let undone = rollback(&case, &run, args).exits(0);
        assert_eq!(undone.counts(), [1, 0, 2], "{:#}", undone.json);
        assert_eq!(undone.kept("public.items", "ambiguous"), 2, "{:#}", undone.json);
    }
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1, 2"), "a|1\na|70\nb|2\nb|80");
}

#[test]
fn a_table_that_the_run_made_is_kept_where_rows_of_it_may_be_hidden() {
    let case = Case::new();
    set(&case, &[("a", 1)]);
    let run = id(&case.run_config(&created(), &[]).exits(0));
    case.sql(
        "SET ROLE redis2pg; INSERT INTO items (id, n) VALUES ('own', 7); ALTER TABLE items ENABLE ROW LEVEL SECURITY, \
         FORCE ROW LEVEL SECURITY; CREATE POLICY mine ON items USING (id <> 'own')",
    );
    let undone = undo(&case, &run);
    assert_eq!(undone.counts(), [1, 0, 0]);
    assert!(undone.json["notices"].to_string().contains("is kept"), "{:#}", undone.json);
    assert_eq!(case.sql("SELECT id FROM items"), "own");
}

#[test]
fn no_default_of_the_role_makes_a_transaction_look_at_the_past() {
    let case = Case::new();
    let role = format!("ALTER ROLE redis2pg IN DATABASE {}", case.database);
    case.sql(&format!("{role} SET default_transaction_isolation = 'repeatable read'"));
    set(&case, &[("a", 1)]);
    let run = id(&case.run_config(&created(), &[]).exits(0));
    // The application writes a row while the rollback waits to drop the table.
    let locked = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock')";
    let child = case.while_held("INSERT INTO items (id, n) VALUES ('own', 7)", |release| {
        let child = crate::command(&case, &run, &["--yes"]).spawn().unwrap();
        until("the rollback waits", || case.sql(locked) == "t");
        release();
        child
    });
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(case.sql("SELECT id FROM items"), "own");
}

#[test]
fn keys_are_spelled_the_same_whatever_the_session_says() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE items (id bytea PRIMARY KEY, n integer UNIQUE); INSERT INTO items VALUES ('item:a', 7)");
    set(&case, &[("a", 1)]);
    let config = in_ledger().replace("[\"{id}\"]", "[\"redis.key\"]");
    let run = id(&case.run_config(&format!("{config}\non_conflict = \"update\"\n"), &[]).exits(0));
    case.sql("INSERT INTO items VALUES ('other', 7)");
    case.sql(&format!("RESET ROLE; ALTER DATABASE {} SET bytea_output = 'escape'", case.database));
    assert_eq!(undo(&case, &run).kept("public.items", "place_taken"), 1);
    assert_eq!(case.sql("SELECT convert_from(id, 'UTF8'), n FROM items ORDER BY 1"), "item:a|1\nother|7");
}

#[test]
fn a_row_that_others_refer_to_by_what_the_run_changed_stays_as_it_is() {
    let case = items(&[("a", 1), ("b", 2)]);
    case.sql(
        "ALTER TABLE items ADD UNIQUE (n); INSERT INTO items VALUES ('a', 10), ('b', 20); \
         CREATE TABLE notes (item integer REFERENCES items (n) ON UPDATE CASCADE); GRANT SELECT ON notes TO redis2pg",
    );
    let run = id(&case.run_config(&format!("{ITEMS}on_conflict = \"update\"\n"), &[]).exits(0));
    case.sql("INSERT INTO notes VALUES (1)");
    for args in [&["--dry-run", "--force"], &["--yes", "--force"]] {
        let undone = rollback(&case, &run, args).exits(0);
        assert_eq!((undone.counts(), undone.kept("public.items", "referred_to")), ([0, 1, 1], 1), "{:#}", undone.json);
    }
    assert_eq!(case.sql("SELECT (SELECT n FROM items WHERE id = 'a'), item FROM notes"), "1|1");
}

#[test]
fn a_rule_that_takes_the_place_of_deletion_keeps_its_rows() {
    let case = items(&[("a", 1)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql("CREATE RULE stay AS ON DELETE TO items DO INSTEAD NOTHING");
    assert_eq!(undo(&case, &run).kept("public.items", "refused"), 1);
}

#[test]
fn copies_that_the_application_made_of_a_row_are_not_the_runs_even_by_force() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql("INSERT INTO items SELECT 'copy', 7, 'own', metadata FROM items WHERE id = 'a'; UPDATE items SET note = 'x' WHERE id = 'b'");
    for args in [&["--dry-run", "--force"], &["--yes", "--force"]] {
        let undone = rollback(&case, &run, args).exits(0);
        assert_eq!((undone.counts(), undone.kept("public.items", "ambiguous")), ([3, 0, 1], 1), "{:#}", undone.json);
    }
    assert_eq!(case.sql("SELECT id FROM items"), "copy");
}

#[test]
fn a_dry_run_without_the_right_to_delete_is_refused_as_the_rollback_is() {
    let case = items(&[("a", 1)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql("ALTER TABLE items OWNER TO CURRENT_USER; GRANT SELECT, INSERT, UPDATE ON items TO redis2pg");
    for args in ["--dry-run", "--yes"] {
        let refused = rollback(&case, &run, &[args]).exits(2);
        assert!(refused.stderr.contains("DELETE"), "{}", refused.stderr);
    }
}
