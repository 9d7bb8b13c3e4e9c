//! Somebody else's functions in a schema of the search path: none of them is ever called.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::support;

use serde_json::Value;
use support::{Case, Outcome};

/// Folders, files in them, and a list that is taken apart; with an audit log. Keys and labels are `varchar`, which has no equality of its own.
const TREE: &str = r#"
[[mapping]]
name = "folders"
match = "folder:{id}"
into = "public.folders"
audit = "public.audit_logs"
key = "id"
column = [
  { name = "id", from = "{id}" },
  { name = "about", from = "$.about" },
  { name = "size", from = "$.size" },
  { name = "label", from = "$.label" },
  { name = "words", from = "$.words" },
]

[[mapping]]
name = "files"
match = "file:{id}"
into = "public.files"
key = "id"
parents = [{ mapping = "folders", column = "folder" }]
column = [
  { name = "id", from = "{id}" },
  { name = "folder", from = "$.folder" },
  { name = "at", from = "$.at", epoch_unit = "s", optional = true },
  { name = "until", from = "redis.expires_at" },
]

[[mapping]]
name = "tags"
match = "tags:{id}"
type = "list"
into = "public.tags"
explode = true
key = ["id", "place"]
column = [{ name = "id", from = "{id}" }, { name = "place", from = "element.index" }, { name = "tag", from = "$.value" }]
"#;

const TABLES: &str = "CREATE TABLE folders (id varchar(20) PRIMARY KEY, about jsonb, size numeric(8,2), label varchar(9), words text[]); \
    CREATE TABLE files (id varchar(20) PRIMARY KEY, folder varchar(20) REFERENCES folders, at timestamptz, until timestamptz); \
    CREATE TABLE tags (id varchar(20), place int, tag text, PRIMARY KEY (id, place)); \
    CREATE TABLE audit_logs (action text, resource_type text, resource_id text, details jsonb, at timestamptz DEFAULT now()); \
    GRANT ALL ON ALL TABLES IN SCHEMA public TO redis2pg";

/// For every function and aggregate of PostgreSQL's one of the same name and arguments that fails, in a schema that the search path has
/// before PostgreSQL's own; equalities of `varchar` and `text[]` too, which PostgreSQL itself has not, so that they would be found anywhere in
/// the path.
const TRAPS: &str = r#"
CREATE SCHEMA trap;
GRANT USAGE ON SCHEMA trap TO redis2pg;
CREATE FUNCTION trap.same(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'trap: ='; END $f$;
CREATE OPERATOR trap.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = trap.same);
CREATE FUNCTION trap.same(text[], text[]) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION 'trap: =[]'; END $f$;
CREATE OPERATOR trap.= (LEFTARG = text[], RIGHTARG = text[], FUNCTION = trap.same);
DO $do$
DECLARE f record; made int := 0;
BEGIN
  FOR f IN SELECT p.proname AS name, p.prokind AS kind, pg_get_function_identity_arguments(p.oid) AS arguments,
      pg_get_function_result(p.oid) AS result, p.pronargs AS count
    FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a', 'w')
  LOOP
    BEGIN
      IF f.kind = 'f' THEN
        EXECUTE format('CREATE FUNCTION trap.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION %L; END $f$',
          f.name, f.arguments, f.result, 'trap: ' || f.name);
      ELSE
        EXECUTE format('CREATE OR REPLACE FUNCTION trap.step(%s) RETURNS int LANGUAGE plpgsql AS $f$ BEGIN RAISE EXCEPTION %L; END $f$',
          concat_ws(', ', 'int', nullif(f.arguments, '')), 'trap: aggregate');
        EXECUTE format('CREATE AGGREGATE trap.%I(%s) (SFUNC = trap.step, STYPE = int, INITCOND = 0)',
          f.name, coalesce(nullif(f.arguments, ''), '*'));
      END IF;
      made := made + 1;
    EXCEPTION WHEN others THEN NULL; -- "any" and "internal" are not for everybody
    END;
  END LOOP;
  IF made < 1500 THEN RAISE EXCEPTION 'only % traps', made; END IF;
END $do$;
"#;

fn fill(case: &Case, size: u32) {
    let folder = |n: u32| {
        (
            format!("folder:{n}"),
            format!(r#"{{"about":{{"n":{n}}},"size":{},"label":"l{n}","words":["a","b"]}}"#, n + size),
        )
    };
    let file = |n: u32| (format!("file:{n}"), format!(r#"{{"folder":"{}","at":{}}}"#, n % 20, 1_700_000_000 + n));
    case.redis().set_many(&(0..20).map(folder).chain((0..60).map(file)).collect::<Vec<_>>());
    for n in 0..10 {
        case.redis().say(&format!("DEL tags:{n}"));
        case.redis().say(&format!("RPUSH tags:{n} red green blue"));
    }
}

fn undo(case: &Case, args: &[&str]) -> Value {
    let mut command = case.command();
    let output = command.args(["rollback", "--json", "--to", &case.target]).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn id(run: &Outcome) -> String {
    run.report["run"].as_str().unwrap().to_owned()
}

#[test]
fn a_function_of_somebody_else_in_the_search_path_is_never_called() {
    let case = Case::new();
    case.sql(TABLES);
    fill(&case, 0);
    // The ledger's migrations are PostgreSQL's to resolve once, before anybody can be in the way.
    case.run_config(TREE, &[]).exits(0);
    case.sql(TRAPS);
    case.sql(&format!("ALTER ROLE redis2pg IN DATABASE {} SET search_path = trap, pg_catalog, public", case.database));
    fill(&case, 1);
    case.redis().say("DEL file:59");
    case.redis().set("file:broken", r#"{"folder":"none"}"#);
    case.run_config(TREE, &["--dry-run"]).exits(3);
    let second = case.run_config(TREE, &["--staging", "always", "--delete-gone"]).exits(3);
    assert_eq!((second.total("updated"), second.reasons("files")["missing_parent"]), (20, 1), "{second}");
    assert_eq!(case.number("SELECT count(*) FROM files"), 59);
    case.ledger(&["rejects", "list", "--run", &id(&second)]);
    case.redis().set("file:broken", r#"{"folder":"3"}"#);
    let retry = case.retry(TREE, &["--run", &id(&second)]).exits(0);
    assert_eq!(case.validate(TREE, &[]).exits(0).report["validation_passed"], true);
    undo(&case, &["--run", &id(&retry), "--yes"]);
    undo(&case, &["--run", &id(&second), "--dry-run"]);
    undo(&case, &["--run", &id(&second), "--yes"]);
    assert_eq!(case.number("SELECT sum(size)::int FROM folders"), 190);
    case.ledger(&["runs", "list"]);
    case.ledger(&["runs", "show", &id(&second)]);
    case.run_config(TREE, &["--dry-run"]).exits(0);
    case.run_config(TREE, &[]).exits(0);
    case.cleanup(TREE, &["--yes", "--cleanup-positional", "tags"]).exits(0);
    assert_eq!(case.redis().integer(&[b"DBSIZE"]), 0);
}
