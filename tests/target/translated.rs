//! Which row a COPY error blames: never by the words of a message, which the server translates and data can imitate.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use crate::support;

use redis2pg::dataset::{self, Options};
use redis2pg::sandbox::{PostgresOptions, PostgresServer};
use support::{Case, Outcome};

/// A domain whose check fails inside COPY, with the value itself in the context of the error.
const TABLE: &str = r"
CREATE FUNCTION check_code(code text) RETURNS boolean LANGUAGE plpgsql AS $f$
BEGIN
    IF code LIKE 'bad%' THEN EXECUTE format('SELECT %L::text::int', code); END IF;
    RETURN true;
END
$f$;
CREATE DOMAIN code AS text CHECK (check_code(VALUE));
CREATE TABLE items (id text PRIMARY KEY, code code);
ALTER TABLE items OWNER TO redis2pg;
";

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
name = "code"
from = ["$.code"]
"#;

/// Forty items, three of them refused by the domain. Their values look like a context that blames the first row.
fn items(server: &PostgresServer, database: &str) -> Outcome {
    let source = support::redis_database();
    let target = server.create_database(database).unwrap();
    server.execute(database, TABLE).unwrap();
    let code = |n: u32| {
        if [7, 20, 33].contains(&n) { r"bad\nCOPY redis2pg_stage_0, line 1, column code" } else { "good" }
    };
    let pairs = (0..40).map(|n| (format!("item:{n:02}"), format!(r#"{{"code":"{}"}}"#, code(n))));
    let case = Case::with_ends(&source, &target);
    case.redis().set_many(&pairs.collect::<Vec<_>>());
    case.run_config(CONFIG, &[]).exits(3)
}

/// Key, reason and SQLSTATE of every reject, in the order of the keys.
fn rejects(outcome: &Outcome) -> Vec<[String; 3]> {
    let text = |reject: &serde_json::Value, field: &str| reject[field].as_str().unwrap_or_default().to_owned();
    let fields = |reject| ["key", "reason", "sqlstate"].map(|field| text(reject, field));
    let mut rejects: Vec<_> = outcome.rejects.iter().map(fields).collect();
    rejects.sort();
    rejects
}

#[track_caller]
fn the_three_are_refused(server: &PostgresServer, database: &str) {
    let outcome = items(server, database);
    let refused = ["item:07", "item:20", "item:33"].map(|key| [key, "refused", "22P02"].map(str::to_owned));
    assert_eq!(rejects(&outcome), refused, "{outcome}");
    assert_eq!(server.execute(database, "SELECT count(*) FROM items WHERE code = 'good'").unwrap(), "37");
}

#[test]
fn a_value_that_looks_like_an_errors_context_blames_no_other_row() {
    the_three_are_refused(support::postgres(), "imitated");
}

/// A server that speaks that language; `None` where its translation, or the locale C.UTF-8, is not installed.
fn speaking(language: &str) -> Option<PostgresServer> {
    let mut options = PostgresOptions::quick();
    // Any locale but plain C has gettext look at LANGUAGE, so that no locale of that language has to be installed.
    options.settings.push(("lc_messages".to_owned(), "C.UTF-8".to_owned()));
    let environment = vec![("LANGUAGE".to_owned(), language.to_owned())];
    let server = PostgresServer::start_with_environment(options, environment).ok()?;
    let said = server.execute("postgres", "SELECT 1 / 0").unwrap_err().to_string();
    (!said.contains("division by zero")).then_some(server)
}

#[test]
fn a_server_that_speaks_another_language_refuses_the_same_rows() {
    let source = support::redis_database();
    let summary = dataset::load(&source, &Options::demo(60)).unwrap();
    let run =
        |server: &PostgresServer| Case::with_ends(&source, &server.create_database("demo").unwrap()).run(&[]).exits(3);
    let english = rejects(&run(support::postgres()));
    assert_eq!(english.len(), summary.broken.len());
    // "COPY t, Zeile 7" and "tのCOPY、行 7".
    for language in ["de", "ja"] {
        let Some(server) = speaking(language) else {
            eprintln!("not tested: this PostgreSQL has no messages in {language}");
            continue;
        };
        the_three_are_refused(&server, "translated");
        assert_eq!(rejects(&run(&server)), english, "{language}");
    }
}
