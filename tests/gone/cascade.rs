//! Rows of others that refer to a row whose key is gone, or that look like it: none of them goes with it.

use crate::preset::{delete, gone};
use crate::support::{Case, Client, Outcome};
use serde_json::json;

const DOCS: &str = r#"
[[mapping]]
name = "docs"
match = "doc:{id}"
into = "public.docs"
key = ["id"]
lineage = { columns = { key = "redis_key", digest = "redis_digest", run = "redis_run", expires_at = "expires_at" } }
column = [{ name = "id", from = ["{id}"] }, { name = "body", from = ["$.body"] }]
"#;

const COLUMNS: &str =
    "id integer PRIMARY KEY, body text, redis_key text, redis_digest text, redis_run uuid, expires_at timestamptz";

/// The documents 1 to 4, loaded into a table with `after` behind its columns.
fn docs(after: &str) -> (Case, Client) {
    let case = Case::new();
    case.sql(&format!("SET ROLE redis2pg; CREATE TABLE docs ({COLUMNS}) {after}"));
    let mut redis = case.redis();
    (1..5).for_each(|number| redis.set(&format!("doc:{number}"), r#"{"body":"x"}"#));
    case.run_config(DOCS, &[]).exits(0);
    (case, redis)
}

/// A run while `held` is open, which is committed once the run waits for it and `meanwhile` is done.
fn run_held(case: &Case, held: &str, config: &str, args: &[&str], meanwhile: impl FnOnce()) -> Outcome {
    case.while_held(held, |release| {
        let run = case.start_config(config, args);
        case.wait_for("wait_event_type = 'Lock'");
        meanwhile();
        release();
        run.finish()
    })
}

#[test]
fn a_row_that_was_not_yet_committed_when_it_was_looked_for_is_not_cascaded_away() {
    for action in ["CASCADE", "SET NULL"] {
        let (case, mut redis) = docs("");
        // The role's default must not make it blind to what was committed meanwhile.
        case.sql(&format!(
            "CREATE TABLE notes (doc integer REFERENCES docs ON DELETE {action}); GRANT SELECT ON notes TO redis2pg; \
             ALTER ROLE redis2pg IN DATABASE {} SET default_transaction_isolation = 'repeatable read'",
            case.database
        ));
        delete(&mut redis, &["doc:1"]);
        let run = run_held(&case, "INSERT INTO notes VALUES (1)", DOCS, &["--delete-gone"], || ()).exits(0);
        assert_eq!(gone(&run, "docs"), json!({"kept_referred": 1}), "{run}");
        assert_eq!(case.sql("SELECT doc FROM notes"), "1");
    }
}

#[test]
fn a_key_that_came_back_while_its_row_was_waited_for_keeps_it() {
    let (case, mut redis) = docs("");
    delete(&mut redis, &["doc:1", "doc:2"]);
    let held = "SELECT FROM docs WHERE id = 1 FOR UPDATE";
    let back = || redis.set("doc:1", r#"{"body":"back"}"#);
    let run = run_held(&case, held, DOCS, &["--delete-gone"], back).exits(0);
    assert_eq!(gone(&run, "docs"), json!({"deleted": 1}), "{run}");
    assert_eq!(case.sql("SELECT id FROM docs ORDER BY id"), "1\n3\n4");
}

#[test]
fn a_foreign_key_that_leads_to_a_partition_counts_and_rows_that_are_hidden_may_refer() {
    let (case, mut redis) =
        docs("PARTITION BY RANGE (id); CREATE TABLE docs_1 PARTITION OF docs FOR VALUES FROM (0) TO (100)");
    case.sql(
        "CREATE TABLE notes (doc integer REFERENCES docs_1 ON DELETE CASCADE); INSERT INTO notes VALUES (1); \
         GRANT SELECT ON notes TO redis2pg",
    );
    delete(&mut redis, &["doc:1", "doc:2"]);
    let run = case.run_config(DOCS, &["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "docs"), json!({"deleted": 1, "kept_referred": 1}), "{run}");
    case.sql("ALTER TABLE notes ENABLE ROW LEVEL SECURITY; DELETE FROM notes; INSERT INTO notes VALUES (3)");
    delete(&mut redis, &["doc:3"]);
    let run = case.run_config(DOCS, &["--delete-gone", "--delete-gone-limit", "100%"]).exits(0);
    assert_eq!(gone(&run, "docs"), json!({"kept_referred": 2}), "{run}");
    assert_eq!(case.sql("SELECT doc FROM notes"), "3");
}

const FIELDS: &str = r#"
[[mapping]]
name = "fields"
match = "hash:{id}"
type = "hash"
explode = true
into = "public.fields"
key = ["id", "field"]
lineage = "ledger"
column = [
  { name = "id", from = ["{id}"] },
  { name = "field", from = ["$.field"] },
  { name = "value", from = ["$.value"] },
]
"#;

/// A hash of three fields, a row each.
fn fields(after: &str) -> (Case, Client) {
    let case = Case::new();
    case.sql(&format!(
        "SET ROLE redis2pg; CREATE TABLE fields (id text, field text, value integer, PRIMARY KEY (id, field)) {after}"
    ));
    let mut redis = case.redis();
    redis.say("HSET hash:1 a 1 b 2 c 3");
    case.run_config(FIELDS, &[]).exits(0);
    (case, redis)
}

#[test]
fn the_rows_of_elements_that_are_gone_are_looked_at_in_the_same_way() {
    let (case, mut redis) =
        fields("PARTITION BY LIST (id); CREATE TABLE fields_1 PARTITION OF fields FOR VALUES IN ('1')");
    case.sql(
        "CREATE TABLE notes (id text, field text, FOREIGN KEY (id, field) REFERENCES fields_1 ON DELETE CASCADE); \
         INSERT INTO notes VALUES ('1', 'b'); GRANT SELECT ON notes TO redis2pg",
    );
    redis.say("HDEL hash:1 a b");
    let held = "INSERT INTO notes VALUES ('1', 'a')";
    run_held(&case, held, FIELDS, &[], || ()).exits(0);
    assert_eq!(case.sql("SELECT field FROM fields ORDER BY 1"), "a\nb\nc");
    assert_eq!(case.sql("SELECT field FROM notes ORDER BY 1"), "a\nb");
}

#[test]
fn tables_that_inherit_have_rows_of_their_own() {
    let (case, mut redis) = docs("; CREATE TABLE docs_archive () INHERITS (docs)");
    case.sql("INSERT INTO docs_archive (id, body) VALUES (1, 'mine'), (2, 'mine'), (9, 'mine')");
    redis.set("doc:2", r#"{"body":"new"}"#);
    redis.set("doc:9", r#"{"body":"new"}"#);
    delete(&mut redis, &["doc:1"]);
    let run = case.run_config(DOCS, &["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "docs"), json!({"deleted": 1}), "{run}");
    assert_eq!((run.count("docs", "updated"), run.count("docs", "inserted")), (1, 1), "{run}");
    assert_eq!(case.sql("SELECT id, body FROM ONLY docs ORDER BY id"), "2|new\n3|x\n4|x\n9|new");
    assert_eq!(case.sql("SELECT id, body FROM docs_archive ORDER BY id"), "1|mine\n2|mine\n9|mine");
}

#[test]
fn a_row_of_a_table_that_inherits_is_somebody_elses_though_its_key_is_that_of_a_row_that_goes() {
    for action in ["CASCADE", "SET NULL"] {
        let heir = format!("CREATE TABLE docs_history (of integer REFERENCES docs ON DELETE {action}) INHERITS (docs)");
        let (case, mut redis) = docs(&format!("; {heir}"));
        case.sql("INSERT INTO docs_history (id, body, of) VALUES (1, 'mine', 1), (2, 'mine', 3)");
        delete(&mut redis, &["doc:1", "doc:2", "doc:3"]);
        let run = case.run_config(DOCS, &["--delete-gone", "--delete-gone-limit", "100%"]).exits(0);
        assert_eq!(gone(&run, "docs"), json!({"deleted": 1, "kept_referred": 2}), "{run}");
        assert_eq!(case.sql("SELECT id FROM ONLY docs ORDER BY id"), "1\n3\n4");
        assert_eq!(case.sql("SELECT id, body, of FROM docs_history ORDER BY id"), "1|mine|1\n2|mine|3");
    }
}

#[test]
fn what_inherits_from_a_table_that_refers_to_a_row_refers_to_none() {
    let (case, mut redis) = docs(
        "; CREATE TABLE notes (doc integer REFERENCES docs ON DELETE CASCADE); CREATE TABLE old_notes () INHERITS (notes)",
    );
    case.sql("INSERT INTO notes VALUES (1); INSERT INTO old_notes VALUES (2)");
    delete(&mut redis, &["doc:1", "doc:2"]);
    let run = case.run_config(DOCS, &["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "docs"), json!({"deleted": 1, "kept_referred": 1}), "{run}");
    assert_eq!(case.sql("SELECT doc FROM notes ORDER BY doc"), "1\n2");
}

#[test]
fn a_rule_that_does_something_else_keeps_the_row() {
    let (case, mut redis) = docs("; CREATE RULE keep AS ON DELETE TO docs WHERE old.id = 1 DO INSTEAD NOTHING");
    delete(&mut redis, &["doc:1"]);
    let run = case.run_config(DOCS, &["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "docs"), json!({"kept_refused": 1}), "{run}");
}

#[test]
fn a_limit_of_none_lets_none_go() {
    let (case, mut redis) = docs("");
    let run = case.run_config(DOCS, &["--delete-gone", "--delete-gone-limit", "0"]).exits(0);
    assert_eq!(gone(&run, "docs"), serde_json::Value::Null, "{run}");
    delete(&mut redis, &["doc:1"]);
    let run = case.run_config(DOCS, &["--delete-gone", "--delete-gone-limit", "0"]).exits(2);
    assert!(run.stderr.contains("run.delete_gone_limit (0)"), "{run}");
    assert_eq!(case.number("SELECT count(*) FROM docs"), 4);
}

#[test]
fn the_row_of_a_renamed_key_stays_since_the_new_key_maps_to_it() {
    let (case, mut redis) = docs("");
    let by_value = DOCS.replace("doc:{id}", "doc:{name..}").replace(r#"from = ["{id}"]"#, r#"from = ["$.id"]"#);
    redis.say("FLUSHDB");
    case.sql("DELETE FROM docs");
    for (name, id) in [("a1", 1), ("a2", 2), ("a3", 3), ("a4", 4)] {
        redis.set(&format!("doc:{name}"), &format!(r#"{{"id":{id},"body":"x"}}"#));
    }
    case.run_config(&by_value, &[]).exits(0);
    redis.say("RENAME doc:a1 doc:b1");
    delete(&mut redis, &["doc:a2"]);
    let run = case.run_config(&by_value, &["--delete-gone"]).exits(3);
    assert_eq!(gone(&run, "docs"), json!({"deleted": 1, "kept_collided": 1}), "{run}");
    assert_eq!(case.sql("SELECT id FROM docs ORDER BY id"), "1\n3\n4");
}

#[test]
fn the_rows_of_a_renamed_key_of_several_rows_stay_too() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE fields (field text PRIMARY KEY, value integer)");
    let config = r#"
[[mapping]]
name = "fields"
match = "hash:{id}"
type = "hash"
explode = true
into = "public.fields"
key = ["field"]
column = [{ name = "field", from = ["$.field"] }, { name = "value", from = ["$.value"] }]
"#;
    let mut redis = case.redis();
    redis.say("HSET hash:1 a 1 b 2 c 3");
    redis.say("HSET hash:2 d 1 e 2");
    redis.say("HSET hash:3 f 1 g 2 h 3 i 4 j 5");
    case.run_config(config, &[]).exits(0);
    redis.say("RENAME hash:1 hash:4");
    // Its first element is rejected for another reason.
    redis.say("HSET hash:4 0 many");
    delete(&mut redis, &["hash:2"]);
    let run = case.run_config(config, &["--delete-gone", "--delete-expired"]).exits(3);
    assert_eq!(gone(&run, "fields"), json!({"deleted": 2, "kept_collided": 3}), "{run}");
    assert_eq!(case.sql("SELECT string_agg(field, '' ORDER BY field) FROM fields"), "abcfghij");
    assert_eq!(
        case.sql("SELECT rivals FROM redis2pg.rejects"),
        format!("[\"{}/686173683a31\"]", case.source.rsplit_once('/').expect("a number").1)
    );
}
