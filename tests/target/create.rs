//! Tables that a run makes: shown first, made once, and never by text that somebody slipped into the configuration.

use crate::support;

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{Case, Outcome};

/// Users, and their sessions, which refer to them and expire. `reader` gets rights on both.
fn config(reader: &str) -> String {
    format!(
        r#"
[[mapping]]
name = "users"
match = "user:{{id}}"
into = "shop.users"
key = ["id"]
create = true
grants = {{ {reader} = ["SELECT", "ALL", "select"] }}
lineage = {{ columns = {{ key = "redis_key", digest = "redis_digest", run = "redis_run", migrated_at = "loaded_at" }} }}
column = [
  {{ name = "id", type = "int8", from = ["{{id}}"] }},
  {{ name = "name", type = "varchar(40)", from = ["$.name"], required = true }},
  {{ name = "scores", type = "numeric(10, 2)[]", from = ["$.scores"] }},
  {{ name = "plan", type = "text", from = ["$.plan"], default = "free" }},
]
[[mapping]]
name = "sessions"
match = "session:{{id}}"
into = "shop.sessions"
key = ["id"]
create = true
expiry_index = true
foreign_keys = true
parents = [{{ mapping = "users", column = "user_id" }}]
grants = {{ {reader} = ["select", "DELETE", "SELECT"], public = ["SELECT"] }}
column = [
  {{ name = "id", type = "text", from = ["{{id}}"] }},
  {{ name = "user_id", type = "bigint", from = ["$.user"] }},
  {{ name = "expires_at", type = "timestamp(3) with time zone", from = ["redis.expires_at"] }},
]
"#
    )
}

/// The statements for it, as they are shown.
fn expected(reader: &str) -> String {
    format!(
        r#"CREATE SCHEMA "shop";
CREATE TABLE "shop"."users" (
    "id" int8,
    "name" varchar(40) NOT NULL,
    "scores" numeric(10,2)[],
    "plan" text,
    "redis_key" text,
    "redis_digest" text,
    "redis_run" uuid,
    "loaded_at" timestamptz,
    PRIMARY KEY ("id")
);
CREATE TABLE "shop"."sessions" (
    "id" text,
    "user_id" bigint,
    "expires_at" timestamp(3) with time zone,
    PRIMARY KEY ("id")
);
ALTER TABLE "shop"."sessions" ADD FOREIGN KEY ("user_id") REFERENCES "shop"."users" ("id");
CREATE INDEX ON "shop"."sessions" ("expires_at");
GRANT USAGE ON SCHEMA "shop" TO "public";
GRANT USAGE ON SCHEMA "shop" TO "{reader}";
GRANT ALL ON TABLE "shop"."users" TO "{reader}";
GRANT SELECT ON TABLE "shop"."sessions" TO "public";
GRANT SELECT, DELETE ON TABLE "shop"."sessions" TO "{reader}";
"#
    )
}

fn case() -> Case {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set("user:1", r#"{"name":"Ann","scores":[1.5,"2"]}"#);
    redis.set("session:a", r#"{"user":1}"#);
    redis.set("session:b", r#"{"user":2}"#);
    redis.integer(&[b"PEXPIRE", b"session:a", b"3600000"]);
    case
}

/// A role that nobody has yet: roles are the whole server's.
fn role(case: &Case, login: bool) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let role = format!("role_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let login = if login { "LOGIN PASSWORD 'role-secret'" } else { "" };
    case.sql(&format!("CREATE ROLE {role} {login}"));
    role
}

#[test]
fn a_dry_run_shows_what_a_run_then_makes_and_a_second_run_uses() {
    let case = case();
    let reader = role(&case, false);
    let (config, expected) = (config(&reader), expected(&reader));
    let before = case.fingerprint();
    let dry = case.run_config(&config, &["--dry-run"]).exits(3);
    assert!(
        dry.stdout.contains(&format!("The run would first make shop.users, shop.sessions:\n\n{expected}")),
        "{dry}"
    );
    assert_eq!((dry.total("would_load"), case.fingerprint()), (2, before));

    let run = case.run_config(&config, &[]).exits(3);
    assert_eq!((run.count("users", "inserted"), run.count("sessions", "inserted")), (1, 1));
    assert_eq!(run.reject("session:b")["reason"], "missing_parent");
    assert!(run.stdout.contains("made shop.users, shop.sessions\n"), "{run}");
    let made = &run.report["tables_made"];
    assert_eq!(made["tables"], serde_json::json!(["shop.users", "shop.sessions"]));
    let script: String =
        made["statements"].as_array().unwrap().iter().map(|s| format!("{};\n", s.as_str().unwrap())).collect();
    assert_eq!(script, expected);
    let row = case.json("SELECT to_jsonb(u) FROM shop.users u");
    assert_eq!((&row["name"], &row["plan"], &row["redis_key"]), (&"Ann".into(), &"free".into(), &"user:1".into()));
    // The default is the mapping's, not the column's.
    assert_eq!(case.number("SELECT count(*) FROM pg_attrdef WHERE adrelid = 'shop.users'::regclass"), 0);
    let rights = format!(
        "SELECT has_table_privilege('{reader}', 'shop.users', 'SELECT') AND has_schema_privilege('{reader}', 'shop', 'USAGE') \
         AND has_table_privilege('{reader}', 'shop.sessions', 'DELETE') AND has_table_privilege('{reader}', 'shop.users', 'TRIGGER') \
         AND NOT has_table_privilege('{reader}', 'shop.sessions', 'INSERT')"
    );
    assert_eq!(case.sql(&rights), "t");

    let xmins = case.xmins("shop.users");
    let second = case.run_config(&config, &[]).exits(3);
    assert_eq!(second.total("unchanged"), 2, "{second}");
    assert_eq!(
        (second.report["tables_made"]["tables"].as_array().unwrap().len(), case.xmins("shop.users")),
        (0, xmins)
    );
}

#[test]
fn the_tables_of_the_preset_are_named_too() {
    let case = Case::new();
    case.redis().set("document:1", r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#);
    let dry = case.run(&["--dry-run"]).exits(0);
    assert!(dry.stdout.contains("The run would first make document_hub.documents, "), "{dry}");
    let made = case.run(&[]).exits(0).report["tables_made"].clone();
    let names: Vec<&str> = made["tables"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
    for name in ["documents", "analysis_results", "sessions", "audit_logs"] {
        assert!(names.contains(&format!("document_hub.{name}").as_str()), "{names:?}");
    }
    assert_eq!(case.run(&[]).exits(0).report["tables_made"], serde_json::json!({"tables": [], "statements": []}));
}

#[test]
fn the_settings_are_shown_with_the_statements() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    let show = |config: &str, more: &[&str]| {
        fs::write(&file, config).unwrap();
        let mut command = Case::with_ends("", "").command();
        let output = command.args(["config", "show", "--config"]).arg(&file).args(more).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let config = config("reader");
    assert!(show(&config, &[]).ends_with(&format!("\n\n{}", expected("reader"))), "{}", show(&config, &[]));
    let json: serde_json::Value = serde_json::from_str(&show(&config, &["--json"])).unwrap();
    assert_eq!(json["create_statements"][0], "CREATE SCHEMA \"shop\"");
    assert!(!show(&config, &["--create-schema=false"]).contains("CREATE TABLE"), "nothing is made then");
}

/// Runs, and checks that it was refused with these words and that nothing was written.
#[track_caller]
fn refused(case: &Case, config: &str, words: &[&str]) -> Outcome {
    let before = case.fingerprint();
    for args in [&["--dry-run"][..], &[]] {
        let run = case.run_config(config, args);
        assert_eq!(run.code, 2, "{run}");
        words.iter().for_each(|word| assert!(run.stderr.contains(word), "{word:?} is not in: {}", run.stderr));
    }
    assert_eq!(case.fingerprint(), before);
    case.run_config(config, &[])
}

/// A mapping of one column with this name and type, into this table, with more settings.
fn one(into: &str, name: &str, column_type: &str, more: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "[[mapping]]\nname = \"m\"\nmatch = \"user:{{id}}\"\ninto = {}\nkey = [\"id\"]\ncreate = true\n{more}\ncolumn = [\
         {{ name = \"id\", type = \"text\", from = [\"{{id}}\"] }}, {{ name = {}, type = {}, from = [\"{{id}}\"] }}]\n",
        quoted(into),
        quoted(name),
        quoted(column_type)
    )
}

#[test]
fn hostile_names_are_names() {
    let case = case();
    case.sql("CREATE TABLE canary (id int); GRANT ALL ON canary TO redis2pg; ALTER TABLE canary OWNER TO redis2pg");
    let (table, column) = ("x\" (id int); DROP TABLE canary; --", "c\" int); DROP TABLE canary; --");
    let run = case.run_config(&one(&format!("public.{table}"), column, "text", ""), &[]).exits(0);
    assert_eq!(run.total("inserted"), 1);
    let found = case.sql(
        "SELECT relname || '|' || attname FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum = 2 \
                          WHERE relkind = 'r' AND relname LIKE 'x%'",
    );
    assert_eq!(found, format!("{table}|{column}"));
    refused(
        &case,
        &one("public.y", "c", "text", "grants = { \"pg_monitor; DROP TABLE canary\" = [\"SELECT\"] }"),
        &["no role"],
    );
    refused(
        &case,
        &one("public.y", "c", "text", "grants = { public = [\"SELECT ON canary TO public; --\"] }"),
        &["SELECT ON"],
    );
    refused(&case, &one("public.y\u{1}", "c", "text", ""), &["control characters"]);
    refused(&case, &one("public.y", &"c".repeat(64), "text", ""), &["63 bytes"]);
    assert_eq!(case.number("SELECT count(*) FROM pg_class WHERE relname = 'canary'"), 1);
}

#[test]
fn a_type_is_a_type_and_nothing_else() {
    let case = case();
    case.sql("CREATE TABLE canary (id int); ALTER TABLE canary OWNER TO redis2pg");
    for text in [
        "int); DROP TABLE canary; --",
        "int; DROP TABLE canary",
        "text DEFAULT 'x'",
        "int /* */",
        "int --",
        "int GENERATED ALWAYS AS IDENTITY",
        "int PRIMARY KEY",
        "int REFERENCES canary",
        "int CHECK(true)",
        "text COLLATE \"C\"",
        "int, z int",
        "setof int",
        "serial",
        "nosuchtype",
        "nosuch.type",
        "varchar(0)",
        "numeric(a)",
        "int(3)",
        "anyelement",
        "int4 x",
        "canary.id",
        "(select 1)",
    ] {
        let words = if text == "anyelement" { ["\"c\"", "pseudo-type"] } else { ["public.y.c (", "`type"] };
        let run = refused(&case, &one("public.y", "c", text, ""), &words);
        assert!(!run.stderr.contains("no such table"), "{run}");
    }
    assert_eq!(case.number("SELECT count(*) FROM pg_class WHERE relname = 'canary'"), 1);
    for (number, text) in [
        "int",
        "\"char\"",
        "float(24)",
        "interval day to second(3)",
        "bit varying(5)",
        "pg_catalog.int4[3]",
        "double precision",
    ]
    .iter()
    .enumerate()
    {
        // What the key's text stands for does not matter; what is made does.
        let table = format!("public.t{number}");
        let run = case.run_config(&one(&table, "c", text, ""), &[]);
        assert!(run.code == 0 || run.code == 3, "{text}: {run}");
        let again = case.run_config(&one(&table, "c", text, ""), &["--dry-run"]);
        assert!(
            again.code == 0 || again.code == 3,
            "the type that was made is the type that is stated: {text}: {again}"
        );
    }
}

#[test]
fn a_type_that_the_table_does_not_have_is_found() {
    let case = case();
    case.sql(
        "CREATE DOMAIN small AS int CHECK (VALUE < 100); \
         CREATE TABLE y (id text PRIMARY KEY, c small); GRANT ALL ON y TO redis2pg",
    );
    for create in [true, false] {
        let of = |text: &str| one("public.y", "c", text, "").replace("create = true", &format!("create = {create}"));
        case.run_config(&of("small"), &[]).exits(0);
        refused(&case, &of("int"), &["public.y.c", "`type = \"int\"`", "the column is small"]);
        refused(&case, &of("nosuchtype"), &["public.y.c", "nosuchtype", "no such type"]);
    }
    case.sql("ALTER TABLE y ALTER c TYPE varchar(40)");
    refused(&case, &one("public.y", "c", "varchar(41)", ""), &["the column is character varying(40)"]);
    case.run_config(&one("public.y", "c", "character varying(40)", ""), &[]).exits(0);
}

#[test]
fn a_role_that_may_make_nothing_is_told_before_the_run() {
    let case = case();
    let role = role(&case, true);
    let port = support::postgres().port();
    let target = format!("postgres://{role}:role-secret@127.0.0.1:{port}/{}", case.database);
    let limited = Case { source: case.source.clone(), target, database: case.database.clone() };
    case.sql(&format!(
        "REVOKE ALL ON DATABASE {0} FROM public; GRANT CONNECT, TEMPORARY ON DATABASE {0} TO {role}",
        case.database
    ));
    let database = format!("CREATE ON DATABASE {}", case.database);
    let run = refused(&limited, &one("new.y", "c", "text", ""), &["new.y", "may not make it", &database]);
    assert!(!run.stderr.contains("there is no such table"), "said once: {run}");
    case.sql("CREATE SCHEMA old");
    case.sql(&format!("GRANT USAGE ON SCHEMA old TO {role}"));
    refused(&limited, &one("old.y", "c", "text", ""), &["old.y", "GRANT CREATE ON SCHEMA old"]);
    // Without `create` the table is just missing.
    let plain = one("old.y", "c", "text", "").replace("create = true", "");
    refused(&limited, &plain, &["there is no such table", "`create = true`"]);
    let off = case.run_config(&one("old.y", "c", "text", ""), &["--create-schema=false"]);
    assert!(off.code == 2 && off.stderr.contains("target.create_schema"), "{off}");
}

#[test]
fn a_foreign_key_needs_a_parent_with_a_fitting_key() {
    let case = case();
    let reader = role(&case, false);
    case.sql("CREATE SCHEMA shop; GRANT ALL ON SCHEMA shop TO redis2pg; CREATE TABLE shop.users (id int8 PRIMARY KEY, \
              name varchar(40) NOT NULL, scores numeric(10,2)[], plan text, redis_key text, redis_digest text, redis_run uuid, \
              loaded_at timestamptz); GRANT SELECT, INSERT, UPDATE ON shop.users TO redis2pg");
    refused(&case, &config(&reader), &["REFERENCES \"shop\".\"users\"", "permission denied", "config show"]);
    case.sql("GRANT REFERENCES ON shop.users TO redis2pg");
    case.run_config(&config(&reader), &[]).exits(3);
    let key = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'shop.sessions'::regclass";
    assert_eq!(case.sql(key), "FOREIGN KEY (user_id) REFERENCES shop.users(id)");
    case.sql(
        "DROP TABLE shop.sessions; ALTER TABLE shop.users DROP CONSTRAINT users_pkey; \
              CREATE UNIQUE INDEX ON shop.users (id) WHERE id > 0",
    );
    refused(&case, &config(&reader), &["mapping sessions: foreign_keys", "no unique index on exactly (id)"]);
}

#[test]
fn settings_that_contradict_each_other_are_found_without_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    let check = |config: &str| {
        fs::write(&file, config).unwrap();
        let output =
            Case::with_ends("", "").command().args(["config", "check", "--config"]).arg(&file).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        // Without the places, ` (…/config.toml:7)`.
        let parts = said.split(&format!(" ({}:", file.display())).collect::<Vec<_>>();
        assert!(parts.len() > 1, "no place is told: {said}");
        let after = parts.iter().skip(1).map(|part| part.split_once(')').unwrap().1);
        parts.iter().take(1).copied().chain(after).collect::<String>()
    };
    let whole = config("reader");
    for (from, to, words) in [
        ("create = true\nexpiry_index", "expiry_index", "`expiry_index` is about a table that is made"),
        ("create = true\nexpiry_index", "expiry_index", "`foreign_keys` is about a table that is made"),
        ("create = true\ngrants", "grants", "`grants` is about a table that is made"),
        ("[\"redis.expires_at\"]", "[\"$.e\"]", "no column comes from `redis.expires_at`"),
        ("parents = [{ mapping = \"users\", column = \"user_id\" }]", "", "the mapping has no `parents`"),
        ("key = [\"id\"]", "key = [\"id\", \"name\"]", "the key of `users` is of several columns"),
        ("key = [\"id\"]", "key = []", "`key` names no column"),
        ("key = [\"id\"]", "key = [\"other\"]", "`key` names the column other, which the mapping does not write"),
        ("type = \"int8\", ", "", "shop.users.id: `create` makes the column, and it has no `type`"),
        ("\"int8\"", "\"int8;\"", "shop.users.id: `type`: "),
        ("shop.sessions", "shop.users", "another mapping would make shop.users as well"),
        ("name = \"plan\"", "name = \"redis_key\"", "shop.users.redis_key: the column is mapped twice"),
        ("[\"SELECT\", \"ALL\", \"select\"]", "[]", "\"reader\" gets no right"),
        ("[\"SELECT\", \"ALL\", \"select\"]", "[\"LOGIN\"]", "LOGIN"),
    ] {
        assert!(whole.contains(from), "{from}");
        let said = check(&whole.replacen(from, to, 1));
        assert!(said.contains(words), "{words:?} is not in: {said}");
    }
}

#[test]
fn elements_need_a_key_of_their_own_in_a_table_that_is_made_too() {
    let case = case();
    let config = one("public.y", "c", "text", "type = \"set\"\nexplode = true");
    refused(&case, &config, &["all elements of a key would be one row"]);
}
