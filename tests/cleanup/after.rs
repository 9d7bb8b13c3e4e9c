//! What the other commands know of keys that a cleanup deleted.

use crate::support::Case;
use crate::{ITEMS, ends, item, keys, loaded};
use serde_json::json;

fn latest(case: &Case) -> String {
    case.sql("SELECT id FROM redis2pg.runs ORDER BY started_at DESC LIMIT 1")
}

#[test]
fn rows_whose_keys_were_deleted_are_never_taken_for_gone() {
    let case = loaded(10);
    case.redis().say("DEL item:0");
    case.sql("UPDATE items SET n = 50 WHERE id = '1'");
    ends(case.cleanup(ITEMS, &["--yes"]), 0);
    assert_eq!(keys(&case), 1);
    let gone = |args: &[&str]| {
        let run = ends(
            case.run_config(
                ITEMS,
                &[&["--delete-gone", "--delete-expired", "--delete-gone-limit", "100%"], args].concat(),
            ),
            0,
        );
        run.report["mappings"]["items"]["deleted_gone"].clone()
    };
    assert_eq!(gone(&["--dry-run"]), json!({"would_delete": 1, "kept_cleaned": 8}));
    assert_eq!(gone(&[]), json!({"deleted": 1, "kept_cleaned": 8}));
    assert_eq!(case.number("SELECT count(*) FROM items"), 9);
    // A key that came back, and was loaded again by a later run, is an ordinary key: when it goes, its row does.
    case.redis().set("item:5", &item(55));
    ends(case.run_config(ITEMS, &[]), 0);
    case.redis().say("DEL item:5");
    assert_eq!(gone(&[]), json!({"deleted": 1, "kept_cleaned": 7}));
}

#[test]
fn a_validation_counts_them_apart_and_passes() {
    let case = loaded(10);
    ends(case.cleanup(ITEMS, &["--yes", "--keys", "item:[0-6]"]), 0);
    case.redis().say("DEL item:9");
    let classes = |args: &[&str], code| {
        let validation = ends(case.validate(ITEMS, args), code).report["validation"].clone();
        ["equal", "cleaned", "extra"].map(|class| validation["keys"][class].as_i64().unwrap())
    };
    assert_eq!(classes(&[], 0), [2, 7, 1]);
    assert_eq!(classes(&["--strict"], 4), [2, 7, 1]);
    case.sql("DELETE FROM items WHERE id = '9'");
    assert_eq!(classes(&["--strict"], 0), [2, 7, 0]);
}

#[test]
fn a_rollback_is_refused_without_force() {
    let case = loaded(6);
    let first = latest(&case);
    case.redis().set("item:0", &item(100));
    ends(case.run_config(ITEMS, &[]), 0);
    let dir = tempfile::tempdir().unwrap();
    let backup = dir.path().join("kept.backup");
    ends(case.cleanup(ITEMS, &["--yes", "--backup", backup.to_str().unwrap()]), 0);
    let rollback = |run: &str, args: &[&str]| {
        let output =
            case.command().args(["rollback", "--to", &case.target, "--run", run, "--yes"]).args(args).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Five of the rows are the first run's.
    for run in [latest(&case), first] {
        let (code, said) = rollback(&run, &[]);
        if run == latest(&case) {
            assert!(said.contains("6 keys") && said.contains("kept.backup") && said.contains("cleanup"), "{said}");
        }
        assert_eq!(code, 2, "{said}");
    }
    assert_eq!(case.number("SELECT count(*) FROM items"), 6);
    assert_eq!(rollback(&latest(&case), &["--force", "--dry-run"]).0, 0);
    assert_eq!(rollback(&latest(&case), &["--force"]).0, 0);
}

/// Whoever has put the keys back need not take back what the application changed for it.
#[test]
fn keys_that_were_put_back_need_no_force() {
    let case = loaded(6);
    let dir = tempfile::tempdir().unwrap();
    let backup = dir.path().join("kept.backup");
    ends(case.cleanup(ITEMS, &["--yes", "--backup", backup.to_str().unwrap()]), 0);
    let restored = case.command().args(["restore", "--to", &case.source, "--file"]).arg(&backup).output().unwrap();
    assert!(restored.status.success(), "{restored:?}");
    case.sql("UPDATE items SET id = 'mine' WHERE id = '3'");
    let rollback = |args: &[&str]| {
        let mut command = case.command();
        command.args(["rollback", "--to", &case.target, "--run", &latest(&case), "--yes"]).args(args).output().unwrap()
    };
    assert_eq!(rollback(&[]).status.code(), Some(2));
    assert_eq!(rollback(&["--despite-cleanup"]).status.code(), Some(0));
    assert_eq!(case.sql("SELECT id FROM items"), "mine", "what somebody changed stays");
}

#[test]
fn runs_show_tells_of_cleanups() {
    let case = loaded(6);
    ends(case.cleanup(ITEMS, &["--yes", "--limit", "2"]), 0);
    ends(case.cleanup(ITEMS, &["--yes"]), 0);
    let shown = case.ledger(&["runs", "show"]);
    let cleanups = shown["cleanups"].as_array().unwrap();
    let of =
        |index: usize| (&cleanups[index]["deleted"], &cleanups[index]["state"], &cleanups[index]["account"]["listed"]);
    assert_eq!((of(0), of(1)), ((&json!(4), &json!("done"), &json!(4)), (&json!(2), &json!("done"), &json!(6))));
    let text = case.command().args(["runs", "show", "--to", &case.target]).output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("cleanup  done, ") && text.contains(": 4 keys deleted from Redis"), "{text}");
}

#[test]
fn the_audit_log_gets_a_row_for_each_table() {
    let case = Case::new();
    case.sql(crate::TABLES);
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE audit (id bigserial, action text, resource_type text, resource_id text, details jsonb)",
    );
    let config = ITEMS.replace("into = \"public.items\"", "into = \"public.items\"\naudit = \"public.audit\"");
    crate::set_items(&case, 3);
    ends(case.run_config(&config, &[]), 0);
    ends(case.cleanup(&config, &["--dry-run"]), 0);
    ends(case.cleanup(&config, &["--yes"]), 0);
    let rows = case.sql(
        "SELECT resource_type, details ->> 'keys', resource_id = (SELECT id::text FROM redis2pg.runs) FROM audit \
         WHERE action = 'redis2pg.cleanup'",
    );
    assert_eq!(rows, "public.items|3|t");
}
