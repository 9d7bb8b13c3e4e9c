//! Rows that take long, or that somebody holds: the others come through all the same.

use crate::support::Case;
use crate::{ITEMS, id, items, rollback, set, undo};
use std::time::Duration;

fn many(count: usize) -> (Case, String) {
    let case = items(&[]);
    let names: Vec<String> = (0..count).map(|n| format!("{n:03}")).collect();
    set(&case, &names.iter().map(|name| (name.as_str(), 1)).collect::<Vec<_>>());
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    (case, run)
}

#[test]
fn a_batch_that_takes_longer_than_a_statement_may_is_made_smaller() {
    let (case, run) = many(120);
    case.sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN OLD; END $$; \
         CREATE TRIGGER slow BEFORE DELETE ON items FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let undone = rollback(&case, &run, &["--yes", "--statement-timeout", "1s", "--retry-deadline", "2s"]).exits(0);
    assert_eq!(undone.counts(), [120, 0, 0], "{:#}", undone.json);
    assert!(undone.stderr.contains("trying fewer"), "{}", undone.stderr);
}

#[test]
fn the_roles_own_timeout_does_not_bound_what_is_read() {
    let (case, run) = many(1);
    case.sql(&format!(
        "CREATE FUNCTION slow() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.8); RETURN true; END $$; \
         CREATE POLICY slow ON items USING (slow()) WITH CHECK (true); \
         ALTER TABLE items ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
         ALTER ROLE redis2pg IN DATABASE {} SET statement_timeout = '500ms'",
        case.database
    ));
    let undone = rollback(&case, &run, &["--yes", "--retry-deadline", "2s"]).exits(0);
    assert_eq!(undone.counts(), [1, 0, 0], "{:#}", undone.json);
    assert!(!undone.stderr.contains("trying again"), "{}", undone.stderr);
}

#[test]
fn a_row_that_somebody_holds_keeps_no_other_from_being_done() {
    let (case, run) = many(8);
    std::thread::scope(|scope| {
        scope.spawn(|| case.sql("BEGIN; SELECT 1 FROM items WHERE id = '003' FOR UPDATE; SELECT pg_sleep(8); COMMIT"));
        std::thread::sleep(Duration::from_millis(700));
        let args = ["--yes", "--lock-timeout", "200ms", "--retry-deadline", "1s"];
        let undone = rollback(&case, &run, &args).exits(6);
        assert_eq!(undone.counts(), [7, 0, 0], "{}{:#}", undone.stderr, undone.json);
        assert_eq!(case.sql("SELECT id FROM items"), "003");
    });
    assert_eq!(undo(&case, &run).counts(), [8, 0, 0]);
}

#[test]
fn a_table_that_somebody_holds_is_not_tried_row_by_row() {
    let (case, run) = many(300);
    std::thread::scope(|scope| {
        scope.spawn(|| case.sql("BEGIN; LOCK TABLE items IN SHARE MODE; SELECT pg_sleep(14); COMMIT"));
        std::thread::sleep(Duration::from_millis(700));
        let args = ["--yes", "--lock-timeout", "100ms", "--retry-deadline", "500ms"];
        assert_eq!(rollback(&case, &run, &args).exits(6).counts(), [0, 0, 0]);
    });
    assert_eq!(undo(&case, &run).counts(), [300, 0, 0]);
}

/// Writes down how many rows each statement deletes.
const COUNTED: &str = "CREATE TABLE counted (place serial, rows bigint); \
    CREATE FUNCTION counting() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
    INSERT INTO public.counted (rows) SELECT count(*) FROM gone; RETURN NULL; END $$; \
    CREATE TRIGGER count AFTER DELETE ON items REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION counting()";

#[test]
fn where_each_row_costs_a_scan_it_begins_with_few_of_them() {
    let (case, run) = many(120);
    case.sql(&format!("CREATE TABLE notes (item text REFERENCES items); GRANT SELECT ON notes TO redis2pg; {COUNTED}"));
    assert_eq!(undo(&case, &run).counts(), [120, 0, 0]);
    assert_eq!(case.sql("SELECT rows FROM counted ORDER BY place LIMIT 1"), "50");
}

#[test]
fn what_a_trigger_of_the_rollback_touched_is_told_apart_from_what_somebody_changed() {
    let (case, run) = many(80);
    // Two batches; the first one's trigger touches what the second one is to delete.
    case.sql(
        "CREATE TABLE notes (item text REFERENCES items); GRANT SELECT ON notes TO redis2pg; \
         UPDATE items SET note = 'mine' WHERE id = '007'; \
         CREATE FUNCTION number() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         UPDATE public.items SET note = 'numbered' WHERE note = 'none'; RETURN NULL; END $$; \
         CREATE TRIGGER number AFTER DELETE ON items FOR EACH STATEMENT EXECUTE FUNCTION number()",
    );
    let undone = undo(&case, &run);
    assert_eq!((undone.counts(), undone.kept("public.items", "changed")), ([50, 0, 30], 30), "{:#}", undone.json);
    for sample in undone.json["samples"].as_array().unwrap() {
        let by_itself = sample["detail"].as_str().unwrap().contains("the rollback's own transaction");
        assert_eq!(by_itself, sample["row_key"]["id"] != "007", "{sample:#}");
    }
}
