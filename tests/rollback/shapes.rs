//! Tables of other shapes: partitioned, of keys that are several rows, made by the run, of the preset with its audit log.

use crate::support::Case;
use crate::{ITEMS, id, in_ledger, rollback, rows, set, undo};

const FIELDS: &str = r#"
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

const FIELDS_TABLE: &str =
    "SET ROLE redis2pg; CREATE TABLE fields (id text, field text, value integer, PRIMARY KEY (id, field))";

#[test]
fn a_partitioned_table_is_gone_through_in_all_its_partitions() {
    for config in [ITEMS.to_owned(), in_ledger()] {
        let case = Case::new();
        case.sql(
            "SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, n integer, note text, metadata jsonb) PARTITION BY HASH (id); \
             CREATE TABLE items_0 PARTITION OF items FOR VALUES WITH (MODULUS 3, REMAINDER 0); \
             CREATE TABLE items_1 PARTITION OF items FOR VALUES WITH (MODULUS 3, REMAINDER 1); \
             CREATE TABLE items_2 PARTITION OF items FOR VALUES WITH (MODULUS 3, REMAINDER 2); \
             RESET ROLE; CREATE TABLE notes (item text REFERENCES items ON DELETE CASCADE); \
             CREATE TABLE marks (item text); GRANT SELECT ON notes TO redis2pg",
        );
        case.sql("INSERT INTO items VALUES ('own', 7)");
        set(
            &case,
            &(0..30)
                .map(|n| (format!("i{n:02}"), n))
                .collect::<Vec<_>>()
                .iter()
                .map(|(id, n)| (id.as_str(), *n))
                .collect::<Vec<_>>(),
        );
        let _ = case.run_config(&config, &[]).exits(0);
        let before = rows(&case, "items");
        let more: Vec<(String, i64)> = (20..3000).map(|n| (format!("i{n:02}"), n + 1)).collect();
        set(&case, &more.iter().map(|(id, n)| (id.as_str(), *n)).collect::<Vec<_>>());
        let run = case.run_config(&config, &[]).exits(0);
        assert_eq!((run.total("updated"), run.total("inserted")), (10, 2970));
        case.sql("INSERT INTO notes VALUES ('i100')");
        assert_eq!(undo(&case, &id(&run)).counts(), [2969, 10, 1]);
        case.sql("DELETE FROM notes");
        assert_eq!(rollback(&case, &id(&run), &["--yes", "--force"]).exits(0).counts(), [2970, 10, 0]);
        assert_eq!(rows(&case, "items"), before);
    }
}

#[test]
fn a_key_of_several_rows_is_taken_back_as_a_whole_or_not_at_all() {
    let case = Case::new();
    case.sql(FIELDS_TABLE);
    let mut redis = case.redis();
    redis.say("HSET hash:1 a 1 b 2 c 3");
    redis.say("HSET hash:2 a 1 b 2 c 3");
    redis.say("HSET hash:3 a 1 b 2 c 3");
    let first = id(&case.run_config(FIELDS, &[]).exits(0));
    let (before, lineage) = (rows(&case, "fields"), rows(&case, "redis2pg.loaded"));
    // A row is changed, one goes, one comes.
    for key in ["hash:1", "hash:2", "hash:3"] {
        redis.say(&format!("HSET {key} b 20 d 40"));
        redis.say(&format!("HDEL {key} c"));
    }
    let second = case.run_config(FIELDS, &[]).exits(0);
    let run = id(&second);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images WHERE deleted"), 3);
    case.sql("UPDATE fields SET value = 99 WHERE id = '2' AND field = 'd'");
    let kept = case.sql("SELECT t::text FROM fields t WHERE id = '2' ORDER BY 1");
    assert_eq!(rollback(&case, &run, &["--dry-run"]).exits(0).counts(), [2, 4, 3]);
    let undone = undo(&case, &run);
    assert_eq!(undone.counts(), [2, 4, 3], "{:#}", undone.json);
    assert_eq!((undone.kept("public.fields", "changed"), undone.kept("public.fields", "key_kept")), (1, 2));
    assert_eq!(case.sql("SELECT t::text FROM fields t WHERE id = '2' ORDER BY 1"), kept);
    let others = |all: &str| all.lines().filter(|line| !line.starts_with("(2,")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(others(&rows(&case, "fields")), others(&before));

    let undone = rollback(&case, &run, &["--yes", "--force"]).exits(0);
    assert_eq!(undone.counts(), [3, 6, 0], "{:#}", undone.json);
    assert_eq!(rows(&case, "fields"), before);
    assert_eq!(rows(&case, "redis2pg.loaded"), lineage);
    assert_eq!(undo(&case, &first).counts(), [9, 0, 0]);
    assert_eq!(case.number("SELECT (SELECT count(*) FROM fields) + (SELECT count(*) FROM redis2pg.loaded)"), 0);
}

#[test]
fn a_table_that_the_run_made_goes_with_its_rows_unless_somebody_has_some_there() {
    let case = Case::new();
    case.sql("GRANT CREATE ON SCHEMA public TO redis2pg");
    let config = FIELDS
        .replace("into = ", "create = true\ninto = ")
        .replace(r#"{ name = "id", from"#, r#"{ name = "id", type = "text", from"#)
        .replace(r#"{ name = "field", from"#, r#"{ name = "field", type = "text", from"#)
        .replace(r#"{ name = "value", from"#, r#"{ name = "value", type = "integer", from"#);
    case.redis().say("HSET hash:1 a 1 b 2");
    let there = "SELECT to_regclass('public.fields') IS NOT NULL";
    let run = id(&case.run_config(&config, &[]).exits(0));
    let undone = undo(&case, &run);
    assert_eq!(
        (undone.counts(), undone.json["tables"]["public.fields"]["table"].as_str()),
        ([2, 0, 0], Some("dropped"))
    );
    assert_eq!(case.sql(there), "f");

    let run = id(&case.run_config(&config, &[]).exits(0));
    case.sql("INSERT INTO fields VALUES ('own', 'x', 1)");
    let undone = undo(&case, &run);
    assert_eq!(
        (undone.counts(), undone.json["tables"]["public.fields"]["table"].as_str()),
        ([2, 0, 0], Some("it has rows"))
    );
    assert_eq!(case.sql("SELECT id FROM fields"), "own");

    // A view hangs on it.
    case.sql("DROP TABLE fields");
    let run = id(&case.run_config(&config, &[]).exits(0));
    case.sql("CREATE VIEW seen AS SELECT id FROM fields");
    let undone = undo(&case, &run);
    assert_eq!(undone.counts(), [2, 0, 0]);
    assert_eq!(case.sql(there), "t");
    assert!(undone.json["notices"].to_string().contains("depend"), "{:#}", undone.json);
}

#[test]
fn the_presets_tables_are_as_they_were_and_the_audit_log_says_what_was_done() {
    let case = Case::new();
    let document = |n: u32, name: &str| {
        let value = format!(r#"{{"filename":"{name}.pdf","file_path":"{name}.pdf","file_size":{n}}}"#);
        (format!("document:{n}"), value)
    };
    let mut redis = case.redis();
    redis.set_many(&(0..20).map(|n| document(n, "a")).collect::<Vec<_>>());
    let analyses =
        (0..20).map(|n| (format!("analysis:{n}"), format!(r#"{{"document_id":"{n}","analysis":{{"n":{n}}}}}"#)));
    redis.set_many(&analyses.collect::<Vec<_>>());
    let first = id(&case.run(&[]).exits(0));
    // A trigger keeps updated_at, also of a row that is put back.
    let documents = "(SELECT to_jsonb(d) - 'updated_at' FROM document_hub.documents d)";
    let before = rows(&case, documents);
    redis.set_many(&(10..30).map(|n| document(n, "b")).collect::<Vec<_>>());
    let second = id(&case.run(&[]).exits(0));
    case.sql("UPDATE document_hub.documents SET status = 'mine' WHERE file_size = 29");
    assert_eq!(undo(&case, &second).counts(), [9, 10, 1]);
    let undone = rollback(&case, &second, &["--yes", "--force"]).exits(0);
    assert_eq!(undone.counts(), [10, 10, 0], "{:#}", undone.json);
    assert_eq!(rows(&case, documents), before);
    let audit = "SELECT action, resource_type, details ->> 'rows' FROM document_hub.audit_logs \
                 WHERE action LIKE 'redis2pg.rollback.%' ORDER BY 1, 2, 3";
    assert_eq!(
        case.sql(audit),
        "redis2pg.rollback.delete|document_hub.documents|1\nredis2pg.rollback.delete|document_hub.documents|9\n\
         redis2pg.rollback.restore|document_hub.documents|10"
    );
    assert_eq!(undo(&case, &first).counts(), [40, 0, 0]);
    assert_eq!(case.number("SELECT (SELECT count(*) FROM document_hub.documents) + (SELECT count(*) FROM document_hub.analysis_results)"), 0);
    assert_eq!(case.sql("SELECT to_regclass('document_hub.documents') IS NOT NULL"), "t", "a preset's tables stay");
    assert_eq!(
        case.number("SELECT count(*) FROM document_hub.audit_logs WHERE action = 'redis2pg.rollback.delete'"),
        4
    );
}

#[test]
fn rows_in_a_partition_that_was_detached_since_are_missed_aloud() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, n integer, note text, metadata jsonb) PARTITION BY HASH (id); \
         CREATE TABLE items_0 PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
         CREATE TABLE items_1 PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
    );
    set(
        &case,
        &(0..30).map(|n| format!("i{n}")).collect::<Vec<_>>().iter().map(|id| (id.as_str(), 1)).collect::<Vec<_>>(),
    );
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    case.sql("ALTER TABLE items DETACH PARTITION items_1");
    let apart = case.number("SELECT count(*) FROM items_1");
    let told = format!("public.items: {apart} or more of the 30 rows that the run inserted were not found");
    for args in [["--dry-run"], ["--yes"]] {
        let undone = rollback(&case, &run, &args).exits(0);
        assert_eq!(undone.counts(), [30 - apart, 0, 0], "{:#}", undone.json);
        assert!(undone.json["notices"].to_string().contains(&told), "{:#}", undone.json);
    }
    assert_eq!(case.number("SELECT count(*) FROM items_1"), apart);
}
