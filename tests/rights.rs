//! What a role may do with the tables: rows that a policy refuses, and rights that are missing.

mod support;

use support::Case;

/// Notes with an owner; one key makes one row.
const NOTES: &str = r#"
[[mapping]]
name = "notes"
match = "note:{id}"
into = "public.notes"
key = ["id"]
on_conflict = "update"
[[mapping.column]]
name = "id"
from = ["{id}"]
[[mapping.column]]
name = "owner"
from = ["$.owner"]
"#;

/// A table of notes that the role may write, if its policies let it.
fn notes(policy: &str) -> Case {
    let case = Case::new();
    case.sql(&format!(
        "CREATE TABLE notes (id text PRIMARY KEY, owner text); GRANT SELECT, INSERT, UPDATE ON notes TO redis2pg; {policy}"
    ));
    case
}

fn note(owner: &str) -> String {
    format!(r#"{{"owner":"{owner}"}}"#)
}

#[test]
fn a_row_that_a_policy_refuses_costs_no_other_its_place() {
    let case = notes(
        "ALTER TABLE notes ENABLE ROW LEVEL SECURITY; CREATE POLICY everything ON notes USING (true); \
         CREATE POLICY no_secrets ON notes AS RESTRICTIVE USING (true) WITH CHECK (owner <> 'secret')",
    );
    let owner = |n: u32| if n % 50 == 7 { "secret" } else { "open" };
    let pairs: Vec<_> = (0..200).map(|n| (format!("note:{n:03}"), note(owner(n)))).collect();
    case.redis().set_many(&pairs);
    let first = case.run_config(NOTES, &[]).exits(3);
    assert_eq!((first.total("inserted"), first.reasons("notes")), (196, [("row_security".to_owned(), 4)].into()));
    let reject = first.reject("note:107");
    assert_eq!(reject["sqlstate"], "42501", "{reject}");
    assert!(reject["detail"].as_str().unwrap().contains("\"no_secrets\""), "{reject}");
    assert_eq!(case.number("SELECT count(*) FROM notes WHERE owner = 'open'"), 196);
    // An update that the policy refuses leaves the row as it was.
    case.redis().set_many(&[("note:000".to_owned(), note("secret")), ("note:001".to_owned(), note("changed"))]);
    let second = case.run_config(NOTES, &[]).exits(3);
    assert_eq!((second.total("updated"), second.reasons("notes")["row_security"]), (1, 5));
    assert_eq!(case.sql("SELECT id, owner FROM notes WHERE id < '002' ORDER BY 1"), "000|open\n001|changed");
}

#[test]
fn a_row_behind_one_that_a_policy_hides_is_rejected_alone() {
    let case = notes(
        "INSERT INTO notes VALUES ('1', 'secret'); ALTER TABLE notes ENABLE ROW LEVEL SECURITY; \
         CREATE POLICY open ON notes USING (owner = 'open')",
    );
    case.redis().set_many(&[("note:1".to_owned(), note("open")), ("note:2".to_owned(), note("open"))]);
    let run = case.run_config(NOTES, &[]).exits(3);
    assert_eq!((run.total("inserted"), run.reject("note:1")["reason"].as_str()), (1, Some("not_stored")));
    assert!(run.reject("note:1")["detail"].as_str().unwrap().contains("row-level security"), "{run}");
    assert_eq!(case.sql("SELECT id, owner FROM notes ORDER BY 1"), "1|secret\n2|open");
}

#[test]
fn a_missing_right_behind_a_table_is_no_rows_fault() {
    let case = notes(
        "CREATE TABLE hidden (id text); \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO hidden VALUES (new.id); RETURN new; END $$; \
         CREATE TRIGGER note BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION note()",
    );
    case.redis().set("note:1", &note("open"));
    let run = case.run_config(NOTES, &[]);
    assert_eq!(run.code, 2, "{run}");
    assert!(run.stderr.contains("permission denied for table hidden"), "{run}");
    assert!(run.rejects.is_empty(), "{run}");
}

#[test]
fn rights_on_single_columns_are_told_from_none() {
    let case = notes("REVOKE ALL ON notes FROM redis2pg");
    case.redis().set("note:1", &note("open"));
    let words =
        ["on single columns only", "whole rows", "the role lacks", "GRANT SELECT, INSERT, UPDATE ON public.notes"];
    for (grant, told) in [
        ("GRANT SELECT (id, owner), INSERT (id, owner), UPDATE (owner)", [true, true, false, true]),
        ("GRANT INSERT (id, owner), UPDATE (owner)", [true, true, true, true]),
        ("REVOKE ALL", [false, false, true, true]),
    ] {
        case.sql("REVOKE ALL ON notes FROM redis2pg");
        case.sql(&format!("{grant} ON notes {} redis2pg", if grant.starts_with("GRANT") { "TO" } else { "FROM" }));
        let run = case.run_config(NOTES, &[]);
        assert_eq!(run.code, 2, "{run}");
        assert_eq!(words.map(|word| run.stderr.contains(word)), told, "{grant}: {}", run.stderr);
    }
    case.sql("GRANT SELECT, INSERT, UPDATE ON notes TO redis2pg");
    case.run_config(NOTES, &[]).exits(0);
}
