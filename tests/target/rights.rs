//! What a role may do with the tables: rows that a policy refuses, and rights that are missing.

use crate::support;

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

/// The rights on the ledger's tables that a run needs, and no more.
const LEDGER: &str = "GRANT USAGE ON SCHEMA redis2pg TO redis2pg; GRANT SELECT ON redis2pg._migrations TO redis2pg; \
    GRANT SELECT, INSERT, UPDATE ON redis2pg.runs, redis2pg.shards TO redis2pg; \
    GRANT SELECT, INSERT ON redis2pg.batches TO redis2pg; \
    GRANT SELECT, INSERT, UPDATE, DELETE ON redis2pg.rejects, redis2pg.loaded TO redis2pg; \
    GRANT SELECT, INSERT, UPDATE ON redis2pg.before_images, redis2pg.run_tables TO redis2pg; GRANT SELECT, INSERT, DELETE ON redis2pg.seen TO redis2pg; \
    GRANT SELECT ON redis2pg.cleanups, redis2pg.cleanup_batches, redis2pg.cleaned_keys TO redis2pg; \
    GRANT SELECT, INSERT ON redis2pg.validations TO redis2pg";

/// Notes, and a ledger that is a superuser's.
fn notes_with_ledger(policy: &str) -> Case {
    let case = notes(policy);
    // The role makes it first.
    case.run_config(NOTES, &["--allow-empty"]).exits(0);
    case.sql(
        "DO $$ DECLARE t text; BEGIN ALTER SCHEMA redis2pg OWNER TO postgres; \
         FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'redis2pg'::regnamespace AND relkind = 'r' LOOP \
         EXECUTE format('ALTER TABLE redis2pg.%I OWNER TO postgres', t); END LOOP; END $$",
    );
    // The database was the role's own, in which it may do anything.
    case.sql(&format!("ALTER DATABASE {0} OWNER TO postgres; GRANT TEMP ON DATABASE {0} TO redis2pg", case.database));
    case
}

#[test]
fn the_rights_that_are_asked_for_on_the_ledger_do_for_rejects_a_resume_and_a_retry() {
    let case = notes_with_ledger("ALTER TABLE notes ADD CHECK (owner <> 'bad')");
    case.sql(LEDGER);
    let owner = |n: u32| if n.is_multiple_of(10) { "bad" } else { "good" };
    let pairs: Vec<_> = (0..400).map(|n| (format!("note:{n:03}"), note(owner(n)))).collect();
    case.redis().set_many(&pairs);
    let stopped = case.run_config(NOTES, &["--max-rejects", "3", "--batch-rows", "20", "--scan-count", "20"]).exits(7);
    let resumed = case.run_config(NOTES, &["--resume"]).exits(3);
    assert_eq!(stopped.report["run"], resumed.report["run"]);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.rejects"), 40, "{resumed}");
    case.redis().set("note:000", &note("good"));
    let retry = case.retry(NOTES, &[]).exits(3);
    assert_eq!(retry.total("inserted"), 1, "{retry}");
    // Each of them is asked for before the run.
    let all = LEDGER.split("; ").filter(|grant| grant.contains(" ON redis2pg."));
    for (rights, tables) in all.map(|grant| grant.trim_start_matches("GRANT ").split_once(" ON ").unwrap()) {
        for right in rights.split(", ") {
            let tables = tables.trim_end_matches(" TO redis2pg");
            case.sql(&format!("REVOKE {right} ON {tables} FROM redis2pg"));
            let run = case.run_config(NOTES, &[]).exits(2);
            for table in tables.split(", ") {
                let words = format!("{right} on {}", table.trim_start_matches("redis2pg."));
                assert!(run.stderr.contains(&words), "{words}: {run}");
            }
            case.sql(&format!("GRANT {right} ON {tables} TO redis2pg"));
        }
    }
}

#[test]
fn a_ledger_that_the_role_cannot_make_is_refused_and_one_that_it_can_is_made() {
    let case = notes("CREATE SCHEMA redis2pg; GRANT USAGE ON SCHEMA redis2pg TO redis2pg");
    case.sql(&format!("ALTER DATABASE {0} OWNER TO postgres; GRANT TEMP ON DATABASE {0} TO redis2pg", case.database));
    case.redis().set("note:1", &note("open"));
    let run = case.run_config(NOTES, &[]).exits(2);
    for words in ["schema redis2pg: there is no ledger in it", "GRANT CREATE ON SCHEMA redis2pg TO redis2pg"] {
        assert!(run.stderr.contains(words), "{run}");
    }
    // The right to make schemas is not needed for it.
    case.sql("GRANT CREATE ON SCHEMA redis2pg TO redis2pg");
    case.run_config(NOTES, &[]).exits(0);
}

/// The version of the ledger that the program makes.
const LEDGER_VERSION: usize = 15;

#[test]
fn a_ledger_of_an_older_version_that_is_somebody_elses_is_refused_before_the_run() {
    let case = notes_with_ledger("");
    case.sql(&format!("{LEDGER}; DELETE FROM redis2pg._migrations WHERE version >= 7"));
    case.redis().set("note:1", &note("open"));
    let told = case.run_config(NOTES, &[]).exits(2);
    let words = format!("its version 6 of the ledger: a run brings it to version {LEDGER_VERSION} (0007 retries, ");
    assert!(told.stderr.contains(&words), "{told}");
    for more in ["", "GRANT CREATE ON SCHEMA redis2pg TO redis2pg"] {
        case.sql(more);
        let run = case.run_config(NOTES, &[]).exits(2);
        for words in ["schema redis2pg: the ledger is that of an older redis2pg", "Let postgres run this version"] {
            assert!(run.stderr.contains(words), "{run}");
        }
    }
}

#[test]
fn which_ledger_is_there_and_what_a_run_makes_of_it_is_told() {
    let case = notes("");
    case.redis().set("note:1", &note("open"));
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, NOTES).unwrap();
    let check = || {
        let mut command = case.command();
        command.args(["config", "check", "--from", &case.source, "--to", &case.target, "--config"]).arg(&config);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let told = check();
    let words = format!("there is no ledger in the database: a run makes version {LEDGER_VERSION} of it");
    assert!(told.contains(&words), "{told}");
    case.run_config(NOTES, &[]).exits(0);
    let told = check();
    let words = format!("schema redis2pg has version {LEDGER_VERSION} of the ledger, which this redis2pg goes by.");
    assert!(told.contains(&words), "{told}");
    assert!(!told.contains("warning: postgres"), "{told}");
    let later = LEDGER_VERSION + 1;
    case.sql(&format!(
        "INSERT INTO redis2pg._migrations SELECT {later}, 'later', installed_on, true, checksum, 0 FROM redis2pg._migrations LIMIT 1"
    ));
    let told = check();
    assert!(told.contains("warning: postgres schema redis2pg: the ledger is that of a newer redis2pg"), "{told}");
    let words =
        format!("version {later} of the ledger, which a newer redis2pg made: this one knows version {LEDGER_VERSION}");
    assert!(told.contains(&words), "{told}");
    case.sql("DELETE FROM redis2pg._migrations WHERE version > 5; DROP TABLE redis2pg.seen");
    let told = check();
    let words = format!(
        "version 5 of the ledger: a run brings it to version {LEDGER_VERSION} (0006 elements seen, 0007 retries, "
    );
    assert_eq!(told.matches(&words).count(), 2, "{told}");
}

/// The preset's tables for a role that owns nothing of the database.
#[test]
fn a_preset_wants_no_more_rights_than_its_tables_take_and_names_those_that_lack() {
    let case = Case::new();
    case.redis().set("document:1", r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#);
    case.sql(&format!("ALTER DATABASE {0} OWNER TO postgres; GRANT TEMP ON DATABASE {0} TO redis2pg", case.database));
    case.sql("CREATE SCHEMA redis2pg; GRANT USAGE, CREATE ON SCHEMA redis2pg TO redis2pg");
    let lacks = |right: &str| {
        let run = case.run(&[]).exits(2);
        let words =
            [format!("the role lacks {right}"), format!("GRANT {right} TO redis2pg. Or create the tables first.")];
        words.iter().for_each(|word| assert!(run.stderr.contains(word), "{word:?}: {run}"));
    };
    lacks(&format!("CREATE ON DATABASE {}", case.database));
    case.sql("CREATE SCHEMA document_hub");
    lacks("CREATE, USAGE ON SCHEMA document_hub");
    case.sql("GRANT USAGE ON SCHEMA document_hub TO redis2pg");
    lacks("CREATE ON SCHEMA document_hub");
    case.sql("GRANT CREATE ON SCHEMA document_hub TO redis2pg");
    // Those of another role are there already, but for the children's.
    case.sql(
        "CREATE TABLE document_hub.documents (id uuid PRIMARY KEY, filename text, original_filename text, file_path text, \
         file_size bigint, file_type text, mime_type text, upload_timestamp timestamptz, analysis_timestamp timestamptz, \
         status text, metadata jsonb, created_at timestamptz, updated_at timestamptz); \
         GRANT SELECT, INSERT, UPDATE ON document_hub.documents TO redis2pg; \
         CREATE TABLE document_hub.audit_logs (id int); GRANT SELECT, INSERT ON document_hub.audit_logs TO redis2pg",
    );
    lacks("REFERENCES ON document_hub.documents");
    case.sql("DROP TABLE document_hub.audit_logs");
    case.sql("GRANT REFERENCES ON document_hub.documents TO redis2pg");
    // The right to make schemas is not needed.
    assert_eq!(case.run(&[]).exits(0).total("inserted"), 1);
}
