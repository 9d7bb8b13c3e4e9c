//! A rollback beside other runs, before and after it, and a rollback twice.

use crate::support::Case;
use crate::{ITEMS, id, in_ledger, items, rollback, rows, set, undo};

#[test]
fn twice_is_a_no_op_and_a_later_run_loads_again() {
    let case = items(&[("a", 1), ("b", 2)]);
    let first = case.run_config(ITEMS, &[]).exits(0);
    let loaded = case.sql("SELECT id, n FROM items ORDER BY 1");
    let run = id(&first);
    let refused = rollback(&case, &run[..7], &["--yes"]).exits(2);
    assert!(refused.stderr.contains("too little of an id") && refused.stderr.contains(&run), "{}", refused.stderr);
    assert_eq!(undo(&case, &run[..8]).counts(), [2, 0, 0]);
    let before = case.fingerprint();
    let again = undo(&case, &run);
    assert_eq!((again.counts(), again.json["state"].as_str()), ([2, 0, 0], Some("done")));
    assert_eq!(case.fingerprint(), before);

    let shown = case.ledger(&["runs", "show", &run]);
    assert!(shown["rolled_back_at"].is_string(), "{shown:#}");
    assert_eq!(shown["rollback"]["tables"]["public.items"]["deleted"], 2);
    let listed = case.ledger(&["runs", "list"]);
    assert!(listed[0]["rolled_back_at"].is_string());

    let next = case.run_config(ITEMS, &["--resume"]).exits(0);
    assert_ne!(id(&next), run, "a run that is rolled back is not gone on with");
    assert_eq!(next.total("inserted"), 2);
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), loaded);
}

#[test]
fn of_two_runs_the_later_one_goes_first() {
    for config in [ITEMS.to_owned(), in_ledger()] {
        let case = items(&[("a", 1), ("b", 2)]);
        case.sql("INSERT INTO items VALUES ('own', 7)");
        let nothing = rows(&case, "items");
        let first = id(&case.run_config(&config, &[]).exits(0));
        let one = rows(&case, "items");
        set(&case, &[("a", 10), ("c", 3)]);
        let second = id(&case.run_config(&config, &[]).exits(0));
        let refused = rollback(&case, &first, &["--yes"]).exits(2);
        assert!(refused.stderr.contains(&second) && refused.stderr.contains("1 rows"), "{}", refused.stderr);
        assert_eq!(undo(&case, &second).counts(), [1, 1, 0]);
        assert_eq!(rows(&case, "items"), one);
        // What was put back is the first run's: a third one updates it.
        set(&case, &[("a", 11)]);
        let third = case.run_config(&config, &[]).exits(0);
        assert_eq!((third.total("updated"), third.total("inserted")), (1, 1), "{third}");
        assert_eq!(undo(&case, &id(&third)).counts(), [1, 1, 0]);
        assert_eq!(undo(&case, &first).counts(), [2, 0, 0]);
        assert_eq!(rows(&case, "items"), nothing);
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    let _ = case.run_config(ITEMS, &[]).exits(0);
    set(&case, &[("a", 10), ("d", 4)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    let before = case.fingerprint();
    let planned = rollback(&case, &run, &["--dry-run"]).exits(0);
    assert_eq!((planned.counts(), planned.json["state"].as_str()), ([1, 1, 0], Some("planned")));
    assert_eq!(case.fingerprint(), before);
    // Without a terminal nothing is done unasked.
    let refused = rollback(&case, &run, &[]).exits(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(case.fingerprint(), before);
}

#[test]
fn a_run_that_there_is_not_or_whose_table_is_gone_is_refused() {
    let case = items(&[("a", 1)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    let refused = rollback(&case, "00000000", &["--yes"]).exits(2);
    assert!(refused.stderr.contains("there is no run"), "{}", refused.stderr);
    case.sql("ALTER TABLE items RENAME TO others");
    let refused = rollback(&case, &run, &["--yes"]).exits(2);
    assert!(refused.stderr.contains("public.items"), "{}", refused.stderr);
    case.sql("ALTER TABLE others RENAME TO items; ALTER TABLE items RENAME id TO code");
    let refused = rollback(&case, &run, &["--yes"]).exits(2);
    assert!(refused.stderr.contains("key columns (id)"), "{}", refused.stderr);
    case.sql("ALTER TABLE items RENAME code TO id");
    undo(&case, &run);
    assert_eq!(case.number("SELECT count(*) FROM items"), 0);
}

#[test]
fn a_run_whose_images_were_deleted_is_refused() {
    let case = items(&[("a", 1)]);
    let _ = case.run_config(ITEMS, &[]).exits(0);
    set(&case, &[("a", 2)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql("DELETE FROM redis2pg.before_images");
    let refused = rollback(&case, &run, &["--yes"]).exits(2);
    assert!(refused.stderr.contains("before-image"), "{}", refused.stderr);
    assert_eq!(case.number("SELECT count(*) FROM items"), 1);
}

#[test]
fn a_run_of_an_earlier_version_is_rolled_back_by_what_its_journal_says() {
    for config in [ITEMS.to_owned(), in_ledger()] {
        let case = items(&[("a", 1), ("b", 2)]);
        let _ = case.run_config(&config, &[]).exits(0);
        let before = rows(&case, "items");
        set(&case, &[("a", 10), ("c", 3)]);
        let run = id(&case.run_config(&config, &[]).exits(0));
        case.sql("DELETE FROM redis2pg.run_tables; ALTER TABLE redis2pg.batches DROP images; ALTER TABLE redis2pg.batches ADD images bigint; UPDATE redis2pg.before_images SET deleted = NULL, exact = NULL, lineage = NULL");
        let undone = undo(&case, &run);
        assert_eq!(undone.counts(), [1, 1, 0]);
        assert!(undone.json["notices"].to_string().contains("an earlier version"), "{:#}", undone.json);
        assert_eq!(rows(&case, "items"), before);
    }
}

#[test]
fn rejects_of_a_run_that_is_rolled_back_are_read_and_not_retried() {
    let case = items(&[("a", 1)]);
    case.redis().set("item:bad", "{\"n\":\"x\"}");
    let run = id(&case.run_config(ITEMS, &[]).exits(3));
    undo(&case, &run);
    assert_eq!(case.ledger(&["rejects", "show", "--run", &run]).as_array().unwrap().len(), 1);
    let refused = case.retry(ITEMS, &["--run", &run]).exits(2);
    assert!(refused.stderr.contains("rolled back"), "{refused}");
}

#[test]
fn a_run_that_wrote_rows_again_which_another_had_deleted_goes_first() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    let _ = case.run_config(ITEMS, &[]).exits(0);
    let before = rows(&case, "items");
    case.redis().integer(&[b"DEL", b"item:a"]);
    let deleting = id(&case.run_config(ITEMS, &["--delete-gone"]).exits(0));
    set(&case, &[("a", 10)]);
    let again = id(&case.run_config(ITEMS, &[]).exits(0));
    let refused = rollback(&case, &deleting, &["--yes"]).exits(2);
    assert!(refused.stderr.contains(&again), "{}", refused.stderr);
    assert_eq!(undo(&case, &again).counts(), [1, 0, 0]);
    assert_eq!(undo(&case, &deleting).counts(), [0, 1, 0]);
    assert_eq!(rows(&case, "items"), before);
}

#[test]
fn rows_that_were_written_again_are_found_in_whichever_page_of_images_they_are() {
    let case = items(&[("a", 1), ("z", 2), ("stays", 3)]);
    let _ = case.run_config(ITEMS, &[]).exits(0);
    for key in [b"item:a", b"item:z"] {
        case.redis().integer(&[b"DEL", key]);
    }
    let deleting = id(&case.run_config(ITEMS, &["--delete-gone", "--delete-gone-limit", "100%"]).exits(0));
    // More images between the two than are looked at at once.
    case.sql(
        "INSERT INTO redis2pg.before_images (run_id, table_name, row_key, image, row_xmin, deleted) \
         SELECT run_id, table_name, jsonb_build_object('id', 'm' || lpad(n::text, 5, '0')), image, row_xmin, true \
         FROM redis2pg.before_images, generate_series(1, 10001) n WHERE row_key ->> 'id' = 'a'",
    );
    set(&case, &[("a", 10), ("z", 20)]);
    let again = id(&case.run_config(ITEMS, &[]).exits(0));
    let refused = rollback(&case, &deleting, &["--dry-run"]).exits(2).stderr;
    assert!(refused.contains(&format!("{again} (2 rows)")), "{refused}");
}

#[test]
fn rows_that_another_rollback_puts_back_make_a_run_one_to_roll_back_again() {
    let case = items(&[("a", 1)]);
    let first = id(&case.run_config(ITEMS, &[]).exits(0));
    set(&case, &[("a", 10)]);
    let second = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql("UPDATE items SET note = 'mine'");
    assert_eq!(undo(&case, &second).counts(), [0, 0, 1]);
    assert_eq!(undo(&case, &first).counts(), [0, 0, 1]);
    assert_eq!(rollback(&case, &second, &["--yes", "--force"]).exits(0).counts(), [0, 1, 0]);
    assert_eq!(undo(&case, &first).counts(), [1, 0, 0]);
}

#[test]
fn a_rollback_and_another_run_never_write_to_one_table_at_once() {
    let case = items(&[("a", 1)]);
    let first = id(&case.run_config(ITEMS, &[]).exits(0));
    set(&case, &[("b", 2)]);
    let second = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql(&format!(
        "UPDATE redis2pg.runs SET state = 'running', lease_expires_at = now() + interval '1 hour' WHERE id = '{second}'"
    ));
    let refused = rollback(&case, &first, &["--yes"]).exits(2);
    assert!(refused.stderr.contains(&second), "{}", refused.stderr);
    case.sql(&format!(
        "UPDATE redis2pg.runs SET state = 'done' WHERE id = '{second}'; UPDATE redis2pg.runs \
         SET rollback_lease = gen_random_uuid(), rollback_lease_expires_at = now() + interval '1 hour' WHERE id = '{first}'"
    ));
    let refused = case.run_config(ITEMS, &[]).exits(2);
    assert!(refused.stderr.contains(&first), "{refused}");
    assert_eq!(case.number("SELECT count(*) FROM items"), 2);
}

/// An attempt at rows that were kept before, and that ends early, has not looked at all of them: they are still to be taken.
#[test]
fn what_was_kept_is_taken_after_an_attempt_at_it_that_did_not_come_to_its_end() {
    let case = Case::new();
    let document =
        |n: u32| (format!("document:{n}"), r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#.to_owned());
    case.redis().set_many(&(0..20).map(document).collect::<Vec<_>>());
    let run = id(&case.run(&[]).exits(0));
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE public.refs (document uuid REFERENCES document_hub.documents); \
         INSERT INTO public.refs SELECT id FROM document_hub.documents ORDER BY id LIMIT 15",
    );
    assert_eq!(undo(&case, &run).counts(), [5, 0, 15]);
    case.sql("TRUNCATE public.refs");
    let one = "SELECT 1 FROM document_hub.documents ORDER BY id LIMIT 1 FOR UPDATE";
    let impatient = ["--yes", "--lock-timeout", "200ms", "--retry-deadline", "1s"];
    let ended = case.while_held(one, |_| rollback(&case, &run, &impatient)).exits(6);
    assert_eq!(ended.counts()[0], 19, "{:#}", ended.json);
    assert_eq!(undo(&case, &run).counts(), [20, 0, 0]);
    assert_eq!(case.number("SELECT count(*) FROM document_hub.documents"), 0);
    // The audit log has each row once.
    let audited =
        "SELECT sum((details ->> 'rows')::int) FROM document_hub.audit_logs WHERE action = 'redis2pg.rollback.delete'";
    assert_eq!(case.number(audited), 20);
}
