//! Rows that stay, and why: of other sources, of keys that cannot be judged, of tables that do not let them go.

use crate::preset::{delete, fill, gone};
use crate::support::{Case, Client, Outcome};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use serde_json::{Value, json};

const TREE: &str = r#"
[[mapping]]
name = "nodes"
match = "node:{id}"
into = "public.nodes"
key = ["id"]
lineage = { columns = { key = "redis_key", digest = "redis_digest", run = "redis_run", expires_at = "expires_at" } }
column = [{ name = "id", from = ["{id}"] }, { name = "parent", from = ["$.parent"] }]
"#;

/// Nodes of a tree, each below the one before it.
fn chain(count: u32) -> (Case, Client) {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE nodes (id text PRIMARY KEY, parent text REFERENCES nodes ON DELETE CASCADE, \
         redis_key text, redis_digest text, redis_run uuid, expires_at timestamptz)",
    );
    let mut redis = case.redis();
    for number in 0..count {
        let parent = number.checked_sub(1).map_or("null".to_owned(), |parent| format!("\"{parent}\""));
        redis.set(&format!("node:{number}"), &format!(r#"{{"parent":{parent}}}"#));
    }
    case.run_config(TREE, &[]).exits(0);
    (case, redis)
}

fn nodes(case: &Case) -> i64 {
    case.number("SELECT count(*) FROM nodes")
}

fn said(run: &Outcome, text: &str) -> bool {
    run.report["notices"].as_array().is_some_and(|all| all.iter().any(|one| one.as_str().unwrap_or("").contains(text)))
}

#[test]
fn a_tree_goes_from_its_leaves_and_stays_below_what_somebody_refers_to() {
    let (case, mut redis) = chain(40);
    case.sql("UPDATE nodes SET parent = '0' WHERE id = '0'");
    case.sql("CREATE TABLE notes (node text REFERENCES nodes ON DELETE CASCADE); INSERT INTO notes VALUES ('9'); GRANT SELECT ON notes TO redis2pg");
    let all: Vec<String> = (0..40).map(|number| format!("node:{number}")).collect();
    redis.set("node:a", r#"{"parent":null}"#);
    delete(&mut redis, &all.iter().map(String::as_str).collect::<Vec<_>>());
    let small = format!("{TREE}\n[flow]\nbatch_rows = 7\n");
    let run = case.run_config(&small, &["--delete-gone", "--delete-gone-limit", "100%"]).exits(0);
    assert_eq!(gone(&run, "nodes"), json!({"deleted": 30, "kept_referred": 9, "kept_changed": 1}), "{run}");
    assert_eq!((nodes(&case), case.number("SELECT count(*) FROM notes")), (11, 1));
}

#[test]
fn too_many_at_once_are_refused_before_the_first_and_a_part_of_the_keys_says_nothing() {
    let (case, mut redis) = chain(5);
    delete(&mut redis, &["node:2", "node:3", "node:4"]);
    let before = case.xmins("nodes");
    let run = case.run_config(TREE, &["--delete-gone"]).exits(2);
    assert!(run.stderr.contains("3 of 5 rows") && run.stderr.contains("run.delete_gone_limit (50%)"), "{run}");
    assert_eq!((run.report["state"].as_str(), case.xmins("nodes")), (Some("failed"), before.clone()), "{run}");
    for part in [["--limit", "9"], ["--keys", "node:*"], ["--keys-from", "/dev/null"]] {
        let run = case.run_config(TREE, &[part[0], part[1], "--delete-gone"]);
        assert_eq!(run.code, 2, "{run}");
        assert!(run.stderr.contains("run.delete_gone"), "{run}");
    }
    let run = case.run_config(TREE, &["--delete-expired"]);
    assert!(run.code == 2 && run.stderr.contains("run.delete_expired"), "{run}");
    assert_eq!(case.xmins("nodes"), before);
    let run = case.run_config(TREE, &["--delete-gone", "--resume", "--delete-gone-limit", "60%"]).exits(0);
    assert_eq!((gone(&run, "nodes"), nodes(&case)), (json!({"deleted": 3}), 2), "{run}");
}

#[test]
fn rows_of_another_server_stay() {
    let (case, mut redis) = chain(4);
    let server = RedisServer::start(RedisOptions::default()).expect("a second server");
    let other =
        Case { source: format!("{}/0", server.url()), target: case.target.clone(), database: case.database.clone() };
    let mut second = other.redis();
    second.set("node:x", r#"{"parent":null}"#);
    second.set("node:y", r#"{"parent":null}"#);
    other.run_config(TREE, &[]).exits(0);
    delete(&mut second, &["node:x"]);
    let run = other.run_config(TREE, &["--delete-gone"]).exits(0);
    assert_eq!((gone(&run, "nodes"), nodes(&case)), (json!({"deleted": 1}), 5), "{run}");
    // The same server by another name would be another source as well.
    assert!(said(&run, "4 rows of public.nodes were written by runs of another source, such as "), "{run}");
    delete(&mut redis, &["node:3"]);
    let run = case.run_config(TREE, &["--delete-gone"]).exits(0);
    assert_eq!((gone(&run, "nodes"), nodes(&case)), (json!({"deleted": 1}), 4), "{run}");
}

#[test]
fn what_a_trigger_keeps_is_told_and_one_that_raises_costs_no_other_row() {
    let (case, mut redis) = chain(12);
    case.sql(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD.id = '11' THEN RETURN NULL; END IF; \
         IF OLD.id = '5' THEN RAISE EXCEPTION 'five stays'; END IF; RETURN OLD; END $$; \
         ALTER TABLE nodes DROP CONSTRAINT nodes_parent_fkey; \
         CREATE TRIGGER keep BEFORE DELETE ON nodes FOR EACH ROW EXECUTE FUNCTION keep()",
    );
    delete(&mut redis, &["node:11", "node:5", "node:6", "node:7"]);
    let run = case.run_config(TREE, &["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "nodes"), json!({"deleted": 2, "kept_refused": 2}), "{run}");
    assert!(
        said(&run, "2 rows of public.nodes whose keys are gone were not deleted") && said(&run, "five stays"),
        "{run}"
    );
    assert_eq!(case.sql("SELECT row_key ->> 'id' FROM redis2pg.before_images ORDER BY 1"), "6\n7");
}

#[test]
fn keys_that_may_not_be_asked_for_are_not_gone() {
    let (case, mut redis) = chain(4);
    delete(&mut redis, &["node:2", "node:3"]);
    redis.say("ACL SETUSER part reset on >pw +@all %RW~node:[0-2]*");
    let (_, rest) = case.source.split_once('@').expect("a password");
    let narrow = Case {
        source: format!("redis://part:pw@{rest}"),
        target: case.target.clone(),
        database: case.database.clone(),
    };
    let run = narrow.run_config(TREE, &["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "nodes"), json!({"kept_forbidden": 1, "kept_referred": 1}), "{run}");
    assert!(run.stdout.contains("rows of nodes whose keys are gone: 1 kept referred\n"), "{run}");
    assert!(run.stdout.contains("rows of nodes whose keys may not be asked for: 1 kept\n"), "{run}");
    redis.say("ACL DELUSER part");
}

const HASHES: &str = r#"
[[mapping]]
name = "fields"
match = "hash:{id}"
type = "hash"
explode = true
into = "public.fields"
key = ["id", "field"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "field", from = ["$.field"] },
  { name = "value", from = ["$.value"] },
]
"#;

#[test]
fn all_rows_of_a_key_go_and_what_may_have_expired_only_if_asked_for() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE fields (id text, field text, value integer, PRIMARY KEY (id, field))");
    let mut redis = case.redis();
    redis.say("HSET hash:1 a 1 b 2 c 3");
    redis.say("HSET hash:2 a 1 b 2 c 3 d 4");
    case.run_config(HASHES, &[]).exits(0);
    delete(&mut redis, &["hash:1"]);
    let run = case.run_config(HASHES, &["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "fields"), json!({"kept_expiry_unknown": 3}), "{run}");
    assert!(said(&run, "--delete-expired"), "{run}");
    let run = case.run_config(HASHES, &["--delete-gone", "--delete-expired"]).exits(0);
    assert_eq!(gone(&run, "fields"), json!({"deleted": 3}), "{run}");
    assert_eq!(run.report["mappings"]["fields"]["rows"]["deleted"], 3, "{run}");
    assert_eq!(case.sql("SELECT DISTINCT id FROM fields"), "2");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.loaded"), 4);
    assert_eq!(case.number("SELECT count(lineage) FROM redis2pg.before_images WHERE deleted"), 3);
}

#[test]
fn keys_are_looked_for_in_their_own_database() {
    let (case, other) = (Case::new(), Case::new());
    let number = |case: &Case| case.source.rsplit_once('/').map(|(_, number)| number.to_owned()).expect("a number");
    let config = format!(
        "[[mapping]]\nname = \"items\"\nmatch = \"item:{{id}}\"\ninto = \"public.items\"\nkey = [\"db\", \"id\"]\n\
         databases = [{}, {}]\nlineage = \"ledger\"\ncolumn = [{{ name = \"db\", from = [\"redis.db\"] }}, \
         {{ name = \"id\", from = [\"{{id}}\"] }}, {{ name = \"until\", from = [\"redis.expires_at\"] }}]\n",
        number(&case),
        number(&other)
    );
    case.sql("SET ROLE redis2pg; CREATE TABLE items (db int, id text, until timestamptz, PRIMARY KEY (db, id))");
    let (mut one, mut two) = (case.redis(), other.redis());
    for redis in [&mut one, &mut two] {
        ["item:a", "item:b", "item:c"].iter().for_each(|key| redis.set(key, "{}"));
    }
    case.run_config(&config, &[]).exits(0);
    delete(&mut one, &["item:a"]);
    delete(&mut two, &["item:b"]);
    let run = case.run_config(&config, &["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "items"), json!({"deleted": 2}), "{run}");
    let left = case
        .sql(&format!("SELECT string_agg(id, '' ORDER BY id) FROM items GROUP BY db ORDER BY db = {}", number(&case)));
    assert_eq!(left, "ac\nbc");
    // A run that reads one of them alone judges that one.
    delete(&mut two, &["item:c"]);
    delete(&mut one, &["item:c"]);
    let alone = config.replace(&format!("databases = [{}, {}]", number(&case), number(&other)), "databases = []");
    let alone = alone.replace("databases = []\n", "");
    let run = case.run_config(&alone, &["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "items"), json!({"deleted": 1}), "{run}");
}

#[test]
fn what_the_mapping_does_not_take_any_more_and_what_tells_no_key_stays() {
    let (case, mut redis) = chain(6);
    delete(&mut redis, &["node:4", "node:5"]);
    // What the mapping leaves out now is not its own to judge.
    let narrower = TREE.replace("into =", "exclude = [\"node:5\"]\ninto =");
    let run = case.run_config(&narrower, &["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "nodes"), json!({"kept_referred": 1}), "{run}");
    let nowhere = TREE.replace(
        r#"lineage = { columns = { key = "redis_key", digest = "redis_digest", run = "redis_run", expires_at = "expires_at" } }"#,
        r#"lineage = "none""#,
    );
    let run = case.run_config(&nowhere, &["--delete-gone"]).exits(0);
    assert_eq!((gone(&run, "nodes"), said(&run, "lineage = \"none\"")), (Value::Null, true), "{run}");
    assert_eq!(nodes(&case), 6);
}

#[test]
fn the_role_needs_the_right_to_delete() {
    let case = Case::new();
    fill(&mut case.redis(), 2);
    case.run(&[]).exits(0);
    case.sql("REVOKE DELETE ON document_hub.documents FROM redis2pg");
    case.run(&[]).exits(0);
    let run = case.run(&["--delete-gone"]);
    assert!(run.code == 2 && run.stderr.contains("DELETE"), "{run}");
    let run = case.run(&["--delete-gone", "--dry-run"]).exits(0);
    assert!(run.said().contains("lacks DELETE"), "{run}");
}
