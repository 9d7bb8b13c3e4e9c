//! What a run looks at before it writes: the settings all at once, rights that only some runs need, and whether there is
//! anything to move.

use crate::support;
mod locks;

use support::{Case, Outcome};

const DOCUMENT: &str = r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#;

/// A case with one document in it.
fn one_document() -> Case {
    let case = Case::new();
    case.redis().set("document:1", DOCUMENT);
    case
}

/// Runs with the preset, and checks the refusal: exit code, the words on stderr, nothing written.
#[track_caller]
fn refused(case: &Case, args: &[&str], code: i32, words: &[&str]) -> Outcome {
    let before = case.fingerprint();
    let outcome = case.run(args);
    assert_eq!(outcome.code, code, "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} is not in: {}", outcome.stderr);
    }
    assert_eq!(case.fingerprint(), before, "something was written: {outcome}");
    outcome
}

/// The target for a role that may load the tables and make nothing: no temporary tables either.
fn loader(case: &Case, role: &str) -> Case {
    case.sql(&format!(
        "DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN PASSWORD 'role-secret'; \
         REVOKE ALL ON DATABASE {0} FROM public; GRANT CONNECT ON DATABASE {0} TO {role}; \
         GRANT USAGE ON SCHEMA document_hub, redis2pg TO {role}; \
         GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA document_hub TO {role}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA redis2pg TO {role}",
        case.database
    ));
    let port = support::postgres().port();
    let target = format!("postgres://{role}:role-secret@127.0.0.1:{port}/{}", case.database);
    Case { source: case.source.clone(), target, database: case.database.clone() }
}

#[test]
fn a_role_without_a_place_for_staging_tables_is_refused_before_the_run() {
    let case = one_document();
    case.run(&[]).exits(0);
    let role = loader(&case, "no_stage");
    case.redis().set("document:2", DOCUMENT);
    refused(&role, &[], 2, &["schema redis2pg", "temporary", "GRANT CREATE ON SCHEMA redis2pg"]);
    case.sql("GRANT CREATE ON SCHEMA redis2pg TO no_stage");
    let run = role.run(&[]).exits(0);
    assert_eq!((run.count("documents", "inserted"), run.count("documents", "unchanged")), (1, 1));
}

#[test]
fn a_limit_on_connections_below_what_a_run_opens_is_told() {
    let case = one_document();
    case.run(&[]).exits(0);
    let role = loader(&case, "few_connections");
    case.sql(&format!("GRANT TEMPORARY ON DATABASE {} TO few_connections", case.database));
    let warnings = |alter: &str, writers: &str| {
        case.sql(alter);
        let run = role.run(&["--writers", writers]).exits(0);
        let notices = run.report["notices"].as_array().unwrap().iter();
        let told =
            notices.filter_map(|notice| notice.as_str()).filter(|notice| notice.contains("connections at a time"));
        told.map(str::to_owned).collect::<Vec<_>>()
    };
    let told = warnings("ALTER ROLE few_connections CONNECTION LIMIT 4", "3");
    assert_eq!(told.len(), 1, "{told:?}");
    let words = ["role few_connections", "allows 4 ", "opens 5 ", "Lower flow.writers to 2", "CONNECTION LIMIT 5"];
    words.iter().for_each(|word| assert!(told[0].contains(word), "{word:?} is not in {told:?}"));
    assert_eq!(warnings("ALTER ROLE few_connections CONNECTION LIMIT 5", "3"), [""; 0]);
    let database = &case.database;
    let told = warnings(&format!("ALTER DATABASE {database} CONNECTION LIMIT 4"), "4");
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains(&format!("database {database}: allows 4 ")), "{told:?}");
    let none = format!("ALTER DATABASE {database} CONNECTION LIMIT -1; ALTER ROLE few_connections CONNECTION LIMIT -1");
    assert_eq!(warnings(&none, "9"), [""; 0]);
}

#[test]
fn a_file_of_keys_that_cannot_be_read_is_refused_before_the_run() {
    let case = one_document();
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("keys");
    for path in [missing.as_path(), dir.path()] {
        let args = ["--keys-from", path.to_str().unwrap()];
        refused(&case, &args, 2, &["run.keys_from", "cannot be read", "hint: "]);
    }
}

#[test]
fn a_pipe_of_keys_that_cannot_be_copied_names_the_disk() {
    let case = one_document();
    let dir = tempfile::tempdir().unwrap();
    let (pipe, nowhere) = (dir.path().join("keys"), dir.path().join("nowhere"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut command = case.command();
    command.args(["run", "--from", &case.source, "--to", &case.target, "--preset", "contract-reviewer", "--keys-from"]);
    let output = command.arg(&pipe).env("TMPDIR", &nowhere).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for word in ["run.keys_from", pipe.to_str().unwrap(), nowhere.to_str().unwrap(), "set TMPDIR", "disk"] {
        assert!(stderr.contains(word), "{word:?} is not in: {stderr}");
    }
}

#[test]
fn a_sentinel_is_refused_before_postgres_is_asked() {
    // Nothing listens at the target: whoever asks it first gets another message.
    let case = Case::with_ends("redis-sentinel://127.0.0.1:1", "postgres://someone@127.0.0.1:1/nowhere");
    let outcome = case.run(&[]);
    assert_eq!(outcome.code, 2, "{outcome}");
    assert!(outcome.stderr.contains("redis-sentinel:// is not supported"), "{}", outcome.stderr);
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let output = Case::with_ends("", "").command().arg("run").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for word in ["--from redis://", "--to postgres://", "--preset", "redis2pg config presets", "--config"] {
        assert!(stderr.contains(word), "{word:?} is not in: {stderr}");
    }
    assert!(!stderr.contains(" done, "), "progress of a run that never began: {stderr}");
}

#[test]
fn a_pattern_that_matches_nothing_is_not_taken_for_an_empty_database() {
    let case = one_document();
    let outcome = refused(&case, &["--keys", "nosuch*"], 2, &["--keys nosuch*", "document:* (1)"]);
    assert!(!outcome.stderr.contains("holds no key"), "{}", outcome.stderr);
    refused(&Case::new(), &[], 2, &["the database holds no key"]);
}

#[test]
fn an_unreachable_redis_is_told_in_plain_words() {
    let mut case = one_document();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    case.source = format!("redis://127.0.0.1:{port}/0");
    let outcome = refused(&case, &["--connect-timeout", "2s"], 5, &["Connection refused", "hint: "]);
    for word in ["kind:", "Os {", " done, "] {
        assert!(!outcome.stderr.contains(word), "{word:?} is in: {}", outcome.stderr);
    }
}

/// Parents with a key and another unique column, and children that refer to one of the two.
const FAMILY: &str = r#"
[[mapping]]
name = "parents"
match = "parent:{id}"
into = "public.parents"
key = ["id"]
[[mapping.column]]
name = "id"
from = ["{id}"]
[[mapping.column]]
name = "code"
from = ["$.code"]
[[mapping]]
name = "children"
match = "child:{id}"
into = "public.children"
key = ["id"]
parents = [{ mapping = "parents", column = "parent" }]
[[mapping.column]]
name = "id"
from = ["{id}"]
[[mapping.column]]
name = "parent"
from = ["$.parent"]
"#;

#[test]
fn a_foreign_key_to_another_column_does_not_stand_for_the_parent() {
    let case = Case::new();
    let mut redis = case.redis();
    // 'b' is a code and no id.
    redis.set("parent:a", r#"{"code":"b"}"#);
    redis.set("child:1", r#"{"parent":"b"}"#);
    for (refers, inserted) in [("code", 1), ("id", 1)] {
        case.sql(&format!(
            "DROP TABLE IF EXISTS children, parents; CREATE TABLE parents (id text PRIMARY KEY, code text UNIQUE); \
             CREATE TABLE children (id text PRIMARY KEY, parent text REFERENCES parents ({refers})); \
             GRANT ALL ON parents, children TO redis2pg"
        ));
        let run = case.run_config(FAMILY, &[]).exits(3);
        assert_eq!(run.total("inserted"), inserted, "{refers}: {run}");
        assert_eq!(run.reject("child:1")["reason"], "missing_parent", "{refers}");
    }
}

#[test]
fn what_is_no_table_is_named() {
    let config = |table: &str| {
        format!(
            "[[mapping]]\nname = 'm'\nmatch = 'document:{{id}}'\ninto = 'public.{table}'\nkey = ['id']\n\
             column = [{{ name = 'id', from = ['{{id}}'] }}]"
        )
    };
    let case = Case::new();
    case.redis().set("document:1", "{}");
    case.sql("CREATE VIEW seen AS SELECT 'a'::text AS id; CREATE MATERIALIZED VIEW kept AS SELECT 'a'::text AS id");
    for (table, kind) in [("seen", "it is a view"), ("kept", "it is a materialized view")] {
        let run = case.run_config(&config(table), &[]).exits(2);
        assert!(run.stderr.contains(kind) && !run.stderr.contains("PRIMARY KEY"), "{run}");
    }
}

#[test]
fn what_is_wrong_with_a_table_is_told_with_the_line_that_names_it() {
    let mapping = |name: &str, table: &str, key: &str| {
        format!(
            "[[mapping]]\nname = '{name}'\nmatch = '{name}:{{id}}'\ninto = 'public.{table}'\nkey = '{key}'\n\
             column = [{{ name = 'id', from = '{{id}}' }}, {{ name = 'title', from = '$.t' }}]\n"
        )
    };
    let case = Case::new();
    case.redis().set("a:1", "{}");
    case.sql("CREATE TABLE notes (id text PRIMARY KEY, title text); GRANT ALL ON notes TO redis2pg");
    let mappings = [("a", "gone", "id"), ("b", "notes", "id"), ("c", "notes", "title"), ("d", "app.notes", "id")];
    let config: String = mappings.iter().map(|(name, table, key)| mapping(name, table, key)).collect();
    let run = case.run_config(&config, &[]).exits(2);
    for (subject, line, part) in [
        ("public.gone", 4, "Create it"),
        ("public.notes", 17, "`key`: no unique index is on exactly (title)"),
        ("public.app.notes", 22, "before the first point is the schema"),
    ] {
        let told = run.stderr.lines().position(|told| told.contains(&format!("{subject} (")));
        let told = told.unwrap_or_else(|| panic!("nothing is said of {subject}: {run}"));
        let told: Vec<&str> = run.stderr.lines().skip(told).take(2).collect();
        assert!(told[0].contains(&format!("config.toml:{line})")) && told.concat().contains(part), "{told:?}");
    }
    assert_eq!(run.stderr.matches("no unique index").count(), 1, "{run}");
}

#[test]
fn a_server_without_tls_is_told_where_it_is_asked_for() {
    let case = Case::new();
    let mark = if case.target.contains('?') { '&' } else { '?' };
    let wanted = Case::with_ends(&case.source, &format!("{}{mark}sslmode=require", case.target));
    let run = wanted.run(&[]).exits(2);
    assert!(run.stderr.contains("with TLS") && run.stderr.contains("sslmode"), "{run}");
    assert!(!run.stderr.contains("--resume"), "{run}");
}

#[test]
fn an_index_that_no_second_run_could_go_by_is_refused() {
    let config = r#"
[[mapping]]
name = "things"
match = "thing:{id}"
into = "public.things"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "n", from = ["$.n"] }]
"#;
    for index in [
        "ALTER TABLE things ADD UNIQUE (id, n)",
        "ALTER TABLE things ADD UNIQUE (n)",
        "ALTER TABLE things ADD UNIQUE (id) DEFERRABLE",
        "CREATE UNIQUE INDEX ON things (id) WHERE n > 0",
        "CREATE UNIQUE INDEX ON things (lower(id))",
        "CREATE INDEX ON things (id)",
        "CREATE UNIQUE INDEX ON things (id); UPDATE pg_index SET indisvalid = false WHERE indrelid = 'things'::regclass",
    ] {
        let case = Case::new();
        case.sql(&format!("CREATE TABLE things (id text NOT NULL, n int); {index}; GRANT ALL ON things TO redis2pg"));
        case.redis().set("thing:1", "{}");
        let run = case.run_config(config, &[]);
        assert_eq!(run.code, 2, "{index}: {run}");
        assert!(run.stderr.contains("no unique index is on exactly (id)"), "{index}: {run}");
    }
    for index in
        ["CREATE UNIQUE INDEX ON things (id) INCLUDE (n)", "CREATE UNIQUE INDEX ON things (id COLLATE \"C\" DESC)"]
    {
        let case = Case::new();
        case.sql(&format!("CREATE TABLE things (id text, n int); {index}; GRANT ALL ON things TO redis2pg"));
        case.redis().set("thing:1", "{}");
        case.run_config(config, &[]).exits(0);
        assert_eq!(case.run_config(config, &[]).exits(0).total("unchanged"), 1, "{index}");
    }
}

/// A function of that schema whose arguments fit better than those of PostgreSQL's own would run with the rights of the tool's role.
#[test]
fn a_schema_of_the_search_path_that_others_may_write_to_is_told() {
    let case = one_document();
    let warnings = || {
        let run = case.run(&["--dry-run"]).exits(0);
        let notices = run.report["notices"].as_array().unwrap().iter().filter_map(|notice| notice.as_str());
        notices.filter(|notice| notice.contains("search path")).map(str::to_owned).collect::<Vec<_>>()
    };
    case.sql(
        "DROP ROLE IF EXISTS path_writer; CREATE ROLE path_writer LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    );
    assert_eq!(warnings(), [""; 0]);
    case.sql("GRANT CREATE ON SCHEMA public TO path_writer");
    let told = warnings();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("schema public") && told[0].contains("path_writer may create functions"), "{told:?}");
    case.sql("ALTER ROLE path_writer NOLOGIN");
    assert_eq!(warnings(), [""; 0], "it does nothing by itself");
}
