//! What cannot work is refused before anything is written, with one message that names the side and what to do; one
//! bad row costs no other row its place.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use crate::support;

use support::{Case, Outcome};

const DOCUMENT: &str = r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#;

/// A table of the test's own, with a mapping for it.
const CONFIG: &str = r#"
[[mapping]]
name = "items"
match = "item:{id..}"
into = "public.items"
key = ["id"]
[[mapping.column]]
name = "id"
from = ["{id}"]
[[mapping.column]]
name = "size"
from = ["$.size"]
[[mapping.column]]
name = "code"
from = ["$.code"]
"#;

/// A case with one document in it.
fn one_document() -> Case {
    let case = Case::new();
    case.redis().set("document:1", DOCUMENT);
    case
}

/// Runs with the preset, and checks the refusal: exit code, the words on stderr, no secret, nothing written.
#[track_caller]
fn refused(case: &Case, args: &[&str], code: i32, words: &[&str]) {
    let before = case.fingerprint();
    let outcome = case.run(args);
    said(case, &outcome, code, words);
    assert_eq!(case.fingerprint(), before, "something was written: {outcome}");
}

#[track_caller]
fn said(case: &Case, outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, code, "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} is not in: {}", outcome.stderr);
    }
    let messages = outcome.stderr.lines().filter(|line| line.starts_with("redis2pg: ")).count();
    assert_eq!(messages, 1, "one message: {}", outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    for secret in case.secrets() {
        assert!(!secret.is_empty() && !outcome.said().contains(&secret), "a password is shown: {}", outcome.said());
    }
}

/// A port that nothing listens on.
fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn an_unreachable_redis_is_exit_5() {
    let mut case = one_document();
    case.source = format!("redis://:secret-word@127.0.0.1:{}/0", closed_port());
    let args = ["--reconnect-attempts", "1", "--connect-timeout", "2s"];
    refused(&case, &args, 5, &["redis: ", "127.0.0.1", "hint: "]);
}

#[test]
fn an_unreachable_postgres_is_exit_6() {
    let case = one_document();
    let target = format!("postgres://someone:secret-word@127.0.0.1:{}/nowhere", closed_port());
    let other = Case::with_ends(&case.source, &target);
    let outcome = other.run(&["--retry-deadline", "1s", "--connect-timeout", "2s"]);
    said(&other, &outcome, 6, &["postgres: ", "127.0.0.1", "hint: "]);
}

#[test]
fn a_wrong_password_is_exit_2_and_is_not_shown() {
    let case = one_document();
    let redis = Case {
        source: case.source.replace(support::redis().password(), "wrong-secret"),
        target: case.target.clone(),
        database: case.database.clone(),
    };
    refused(&redis, &[], 2, &["redis: ", "password", "hint: "]);
    let postgres = Case {
        source: case.source.clone(),
        target: case.target.replace(support::postgres().password(), "wrong-secret"),
        database: case.database.clone(),
    };
    refused(&postgres, &[], 2, &["postgres: ", "password", "hint: "]);
}

/// The target for another role of the same server, which may connect and nothing else.
fn as_role(case: &Case, role: &str) -> Case {
    case.sql(&format!(
        "DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN PASSWORD 'role-secret'; \
         REVOKE ALL ON DATABASE {0} FROM public; GRANT CONNECT, TEMP ON DATABASE {0} TO {role}",
        case.database
    ));
    let port = support::postgres().port();
    let target = format!("postgres://{role}:role-secret@127.0.0.1:{port}/{}", case.database);
    Case { source: case.source.clone(), target, database: case.database.clone() }
}

#[test]
fn missing_rights_on_a_table_are_named() {
    let case = one_document();
    case.run(&[]).exits(0);
    let role = as_role(&case, "no_rights");
    case.sql("GRANT USAGE ON SCHEMA document_hub, redis2pg TO no_rights");
    case.sql("GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA document_hub TO no_rights");
    refused(&role, &[], 2, &["document_hub.documents", "INSERT", "GRANT", "hint: "]);
    case.sql("REVOKE SELECT ON ALL TABLES IN SCHEMA document_hub FROM no_rights");
    refused(&role, &[], 2, &["document_hub.documents", "SELECT", "hint: "]);
}

#[test]
fn a_role_that_may_create_nothing_is_refused() {
    let case = one_document();
    let role = as_role(&case, "no_create");
    refused(&role, &[], 2, &["permission denied", "GRANT CREATE", "hint: "]);
}

#[test]
fn a_read_only_database_is_exit_6() {
    let case = one_document();
    case.sql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", case.database));
    refused(&case, &[], 6, &["postgres: ", "read-only", "default_transaction_read_only", "hint: "]);
}

#[test]
fn a_table_that_lacks_a_column_is_left_as_it_is() {
    let case = one_document();
    case.run(&[]).exits(0);
    case.sql("ALTER TABLE document_hub.documents DROP COLUMN file_path");
    refused(&case, &[], 2, &["documents", "file_path", "hint: "]);
}

#[test]
fn an_optional_column_may_be_missing() {
    let case = one_document();
    case.run(&[]).exits(0);
    case.sql("ALTER TABLE document_hub.analysis_results DROP COLUMN metadata");
    case.redis().set("analysis:1", r#"{"document_id":"1","analysis":{"summary":"s"}}"#);
    let run = case.run(&[]).exits(0);
    assert_eq!((run.count("analyses", "inserted"), run.count("documents", "unchanged")), (1, 1));
    let lineage = "SELECT convert_from(redis_key, 'UTF8') FROM redis2pg.loaded";
    assert_eq!(case.sql(lineage), "analysis:1");
    assert_eq!(case.run(&[]).exits(0).total("unchanged"), 2);
}

#[test]
fn a_key_without_unique_index_is_refused() {
    let case = one_document();
    case.run(&[]).exits(0);
    case.sql("ALTER TABLE document_hub.sessions DROP CONSTRAINT sessions_pkey");
    refused(&case, &[], 2, &["document_hub.sessions", "unique", "ADD PRIMARY KEY (id)", "hint: "]);
}

#[test]
fn a_missing_table_is_refused_and_not_made_where_that_is_off() {
    let case = one_document();
    refused(&case, &["--create-schema=false"], 2, &["document_hub.documents", "no such table", "hint: "]);
}

#[test]
fn an_unknown_setting_names_the_nearest() {
    let case = one_document();
    let before = case.fingerprint();
    let outcome = case.run_config("[flow]\nbatch_row = 5\n", &["--preset", "contract-reviewer"]);
    said(&case, &outcome, 2, &["batch_row", "batch_rows"]);
    assert_eq!(case.fingerprint(), before);
}

#[test]
fn no_matching_key_at_all_is_exit_2_unless_it_may_be() {
    let case = Case::new();
    case.redis().set("cache:1", "x");
    refused(&case, &[], 2, &["document:", "analysis:", "session:", "allow-empty", "hint: "]);
    let empty = case.run(&["--allow-empty"]).exits(0);
    assert_eq!((empty.total("matched"), empty.total("unmatched")), (0, 1));
}

#[test]
fn a_column_type_that_takes_nothing_is_refused_before_the_first_row() {
    let case = Case::new();
    case.redis().set("item:1", r#"{"size":1}"#);
    for kind in ["pg_node_tree", "pg_mcv_list", "gtsvector", "gtsvector[]"] {
        case.sql(&format!(
            "DROP TABLE IF EXISTS items; CREATE TABLE items (id text PRIMARY KEY, size {kind}, code text)"
        ));
        case.sql("GRANT ALL ON items TO redis2pg");
        let before = case.fingerprint();
        let outcome = case.run_config(CONFIG, &[]);
        said(&case, &outcome, 2, &["size", "public.items"]);
        assert_eq!(case.fingerprint(), before, "{kind}");
    }
}

/// A case with a table of its own and 10,000 records, of which number `bad` is what `record` says.
fn items(table: &str, bad: &str) -> Case {
    let case = Case::new();
    case.sql(&format!("{table}; GRANT ALL ON items TO redis2pg"));
    let mut all: Vec<(String, String)> =
        (0..10_000).map(|n| (format!("item:{n:05}"), format!(r#"{{"size":{n},"code":"c{n}"}}"#))).collect();
    all[4_321].1 = bad.to_owned();
    case.redis().set_many(&all);
    case
}

/// Runs, and checks that just item 4321 is missing.
#[track_caller]
fn all_but_one(case: &Case, args: &[&str], reason: &str, words: &[&str]) -> Outcome {
    let run = case.run_config(CONFIG, args).exits(3);
    assert_eq!((run.total("inserted"), run.count("items", "matched")), (9_999, 10_000), "{run}");
    assert_eq!(run.reasons("items"), [(reason.to_owned(), 1)].into(), "{run}");
    assert_eq!(case.number("SELECT count(*) FROM items"), 9_999);
    let reject = run.reject("item:04321");
    for word in words {
        assert!(reject["detail"].as_str().unwrap().contains(word), "{word:?} is not in {reject}");
    }
    run
}

#[test]
fn a_check_that_only_the_server_knows_costs_one_row() {
    let table =
        "CREATE TABLE items (id text PRIMARY KEY, size bigint CONSTRAINT size_is_sane CHECK (size >= 0), code text)";
    for staging in ["auto", "always"] {
        let case = items(table, r#"{"size":-1,"code":"x"}"#);
        let run = all_but_one(&case, &["--staging", staging], "check", &["size_is_sane"]);
        assert_eq!(run.reject("item:04321")["sqlstate"], "23514");
    }
}

#[test]
fn a_second_unique_index_costs_one_row() {
    let case =
        items("CREATE TABLE items (id text PRIMARY KEY, size bigint, code text CONSTRAINT one_code UNIQUE)", "{}");
    case.sql("INSERT INTO items VALUES ('there', 1, 'taken')");
    case.redis().set("item:04321", r#"{"size":1,"code":"taken"}"#);
    let run = case.run_config(CONFIG, &[]).exits(3);
    assert_eq!(run.total("inserted"), 9_999, "{run}");
    let reject = run.reject("item:04321");
    assert_eq!(reject["sqlstate"], "23505");
    assert!(reject["detail"].as_str().unwrap().contains("one_code"), "{reject}");
    assert_eq!(case.number("SELECT count(*) FROM items"), 10_000);
}

#[test]
fn a_domain_is_checked_by_copy_itself_and_costs_one_row() {
    let table = "CREATE DOMAIN positive AS bigint CONSTRAINT is_positive CHECK (VALUE >= 0); \
                 CREATE TABLE items (id text PRIMARY KEY, size positive, code text)";
    let case = items(table, r#"{"size":-1,"code":"x"}"#);
    all_but_one(&case, &[], "check", &["is_positive"]);
}

#[test]
fn an_unknown_enum_label_costs_one_row() {
    let table = "CREATE TYPE kind AS ENUM ('1', '2'); CREATE TABLE items (id text PRIMARY KEY, size bigint, code kind)";
    let case = Case::new();
    case.sql(&format!("{table}; GRANT ALL ON items TO redis2pg"));
    let mut redis = case.redis();
    for (id, code) in [("a", "1"), ("b", "2"), ("c", "three")] {
        redis.set(&format!("item:{id}"), &format!(r#"{{"size":1,"code":"{code}"}}"#));
    }
    let run = case.run_config(CONFIG, &[]).exits(3);
    assert_eq!((run.total("inserted"), run.reject("item:c")["reason"].as_str()), (2, Some("enum")));
    assert_eq!(run.reject("item:c")["column"], "code");
}
