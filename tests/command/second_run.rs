//! A second run: what is there already is neither sent nor touched, and what only looks the same is.
//!
//! Batches are large enough here that rows are looked for before they are sent.

use crate::support;

use support::Case;

const DOCUMENTS: &str = "document_hub.documents";
const ANALYSES: &str = "document_hub.analysis_results";
const SESSIONS: &str = "document_hub.sessions";
const COUNT: u32 = 120;

fn uuid(number: u32) -> String {
    format!("aaaaaaaa-0000-4000-8000-{number:012x}")
}

fn document(name: &str) -> String {
    format!(r#"{{"filename":"{name}.pdf","file_path":"contracts/{name}.pdf","file_size":7,"metadata":{{"n":1}}}}"#)
}

/// So many documents, an analysis and a session with an hour to live for each, loaded once.
fn loaded() -> Case {
    let case = Case::new();
    let mut redis = case.redis();
    for number in 0..COUNT {
        let id = uuid(number);
        redis.set(&format!("document:{id}"), &document(&format!("d{number}")));
        redis.set(&format!("analysis:{id}"), &format!(r#"{{"document_id":"{id}","analysis":{{"summary":"s"}}}}"#));
        redis.set(&format!("session:{number}"), &format!(r#"{{"session_id":"{number}","document_id":"{id}"}}"#));
        redis.integer(&[b"PEXPIRE", format!("session:{number}").as_bytes(), b"3600000"]);
    }
    let first = case.run(&[]).exits(0);
    assert_eq!(first.total("inserted"), i64::from(COUNT) * 3);
    case
}

fn xmins(case: &Case) -> [String; 3] {
    [DOCUMENTS, ANALYSES, SESSIONS].map(|table| case.xmins(table))
}

#[test]
fn what_is_there_is_not_touched() {
    let case = loaded();
    let before = xmins(&case);
    let second = case.run(&[]).exits(0);
    assert_eq!((second.total("unchanged"), second.total("matched")), (i64::from(COUNT) * 3, i64::from(COUNT) * 3));
    assert_eq!(before, xmins(&case));
}

#[test]
fn another_mapping_makes_other_rows_of_the_same_values() {
    let case = loaded();
    let preset = std::fs::read_to_string("config/presets/contract-reviewer.toml").unwrap();
    let changed = preset.replace(r#"default = "contract_review""#, r#"default = "second_look""#);
    assert_ne!(preset, changed);
    let second = case.run_config(&changed, &[]).exits(0);
    assert_eq!((second.count("analyses", "updated"), second.count("analyses", "unchanged")), (i64::from(COUNT), 0));
    assert_eq!(second.count("documents", "unchanged"), i64::from(COUNT));
    let looked = case.number(&format!("SELECT count(*) FROM {ANALYSES} WHERE analysis_type = 'second_look'"));
    assert_eq!(looked, i64::from(COUNT));
}

#[test]
fn a_column_that_was_added_since_is_filled() {
    let case = Case::new();
    case.run(&["--allow-empty"]).exits(0);
    case.sql(&format!("ALTER TABLE {ANALYSES} DROP COLUMN metadata"));
    let mut redis = case.redis();
    for number in 0..COUNT {
        let id = uuid(number);
        redis.set(&format!("document:{id}"), &document(&format!("d{number}")));
        redis.set(&format!("analysis:{id}"), &format!(r#"{{"document_id":"{id}","analysis":{{"summary":"s"}}}}"#));
    }
    case.run(&[]).exits(0);
    let again = case.run(&[]).exits(0);
    assert_eq!(again.count("analyses", "unchanged"), i64::from(COUNT), "the lineage is in the ledger: {again}");
    case.sql(&format!("ALTER TABLE {ANALYSES} ADD COLUMN metadata jsonb"));
    let filled = case.run(&[]).exits(0);
    assert_eq!(filled.count("analyses", "updated"), i64::from(COUNT), "{filled}");
    let rows = case.number(&format!("SELECT count(*) FROM {ANALYSES} WHERE metadata ? 'redis2pg'"));
    assert_eq!(rows, i64::from(COUNT));
}

#[test]
fn a_longer_life_is_a_change_and_a_moment_is_none() {
    let case = loaded();
    let mut redis = case.redis();
    for number in 0..10 {
        redis.integer(&[b"PEXPIRE", format!("session:{number}").as_bytes(), b"7200000"]);
    }
    redis.integer(&[b"PERSIST", b"session:10"]);
    let second = case.run(&[]).exits(0);
    assert_eq!(
        (second.count("sessions", "updated"), second.count("sessions", "unchanged")),
        (11, i64::from(COUNT) - 11)
    );
    assert_eq!(case.number(&format!("SELECT count(*) FROM {SESSIONS} WHERE expires_at IS NULL")), 1);
}

#[test]
fn a_row_that_somebody_changed_is_left_alone_and_so_is_one_written_back() {
    let case = loaded();
    case.sql(&format!("UPDATE {DOCUMENTS} SET status = 'read' WHERE id = '{}'", uuid(1)));
    case.sql(&format!("UPDATE {DOCUMENTS} SET status = status WHERE id = '{}'", uuid(2)));
    let before = xmins(&case);
    let second = case.run(&[]).exits(0);
    // Redis says nothing of a status: the row is what it would be made to, whoever wrote it last.
    assert_eq!(second.count("documents", "unchanged"), i64::from(COUNT));
    case.sql(&format!("UPDATE {DOCUMENTS} SET file_size = 8 WHERE id = '{}'", uuid(3)));
    let third = case.run(&[]).exits(0);
    assert_eq!(third.report["mappings"]["documents"]["skipped"]["exists_newer"], 1, "{third}");
    assert_eq!(third.count("documents", "unchanged"), i64::from(COUNT) - 1);
    assert_eq!(before[1..], xmins(&case)[1..]);
}

#[test]
fn of_two_keys_for_one_row_the_one_that_has_it_keeps_it() {
    let case = loaded();
    let (owner, other) = (format!("document:{}", uuid(1)), format!("document:{}", uuid(1).to_uppercase()));
    let mut redis = case.redis();
    redis.set(&owner, &document("new"));
    redis.set(&other, &document("intruder"));
    // The other key is read first, in the same batch.
    let list = case.list(&[&other, &owner]);
    let second = case.run(&["--keys-from", list.path().to_str().unwrap()]).exits(3);
    assert_eq!((second.count("documents", "updated"), second.count("documents", "matched")), (1, 2));
    assert_eq!(second.reject(&other)["reason"], "key_collision");
    let name = format!("SELECT original_filename FROM {DOCUMENTS} WHERE id = '{}'", uuid(1));
    assert_eq!(case.sql(&name), "new.pdf");
    let third = case.run(&[]).exits(3);
    assert_eq!(
        (third.reject(&other)["reason"].as_str(), third.count("documents", "unchanged")),
        (Some("key_collision"), i64::from(COUNT))
    );
}

#[test]
fn of_two_new_keys_for_one_row_one_is_loaded_and_one_rejected() {
    let case = Case::new();
    let keys = [uuid(1).to_uppercase(), uuid(1), uuid(1).replace('-', "")].map(|id| format!("document:{id}"));
    for key in &keys {
        case.redis().set(key, &document("d"));
    }
    let keys = keys.each_ref().map(String::as_str);
    let list = case.list(&[keys[0], keys[1], keys[0], keys[2], keys[1]]);
    let run = case.run(&["--keys-from", list.path().to_str().unwrap()]).exits(3);
    assert_eq!((run.count("documents", "inserted"), run.count("documents", "duplicates")), (1, 2), "{run}");
    assert_eq!(run.reasons("documents").get("key_collision"), Some(&2));
    assert_eq!(case.number(&format!("SELECT count(*) FROM {DOCUMENTS}")), 1);
}

#[test]
fn a_time_of_expiry_as_text_is_compared_as_it_stands() {
    let case = Case::new();
    case.sql("CREATE TABLE kv (id text PRIMARY KEY, until text, more jsonb); GRANT ALL ON kv TO redis2pg");
    let config = r#"
[[mapping]]
name = "kv"
match = "kv:{id..}"
into = "public.kv"
key = ["id"]
lineage = { column = "more", document_id = "{id}" }
column = [{ name = "id", from = ["{id}"] }, { name = "until", from = ["redis.expires_at"] }, { name = "more", from = [] }]
"#;
    let mut redis = case.redis();
    for number in 0..COUNT {
        redis.set(&format!("kv:{number}"), "{}");
        redis.integer(&[b"PEXPIREAT", format!("kv:{number}").as_bytes(), b"4102444800000"]);
    }
    assert_eq!(case.run_config(config, &[]).exits(0).total("inserted"), i64::from(COUNT));
    assert_eq!(case.run_config(config, &[]).exits(0).total("unchanged"), i64::from(COUNT));
    redis.integer(&[b"PEXPIREAT", b"kv:7", b"4102444800001"]);
    let third = case.run_config(config, &[]).exits(0);
    assert_eq!((third.total("updated"), third.total("unchanged")), (1, i64::from(COUNT) - 1), "{third}");
}

#[test]
fn a_long_document_as_key_is_a_key() {
    let case = Case::new();
    case.sql("CREATE TABLE kv (k jsonb PRIMARY KEY, v text, more jsonb); GRANT ALL ON kv TO redis2pg");
    let config = r#"
[[mapping]]
name = "kv"
match = "kv:{id..}"
into = "public.kv"
key = ["k"]
lineage = { column = "more", document_id = "{id}" }
column = [{ name = "k", from = ["$.k"] }, { name = "v", from = ["{id}"] }, { name = "more", from = [] }]
"#;
    let mut redis = case.redis();
    for number in 100..100 + COUNT {
        redis.set(&format!("kv:{number}"), &format!(r#"{{"k":{{"n":{number},"text":"{}"}}}}"#, "x".repeat(400)));
    }
    let dry = case.run_config(config, &["--dry-run"]).exits(0);
    assert_eq!(dry.count("kv", "would_load"), i64::from(COUNT), "{dry}");
    assert_eq!(case.run_config(config, &[]).exits(0).total("inserted"), i64::from(COUNT));
    assert_eq!(case.run_config(config, &[]).exits(0).total("unchanged"), i64::from(COUNT));
}

#[test]
fn a_table_that_was_emptied_is_filled_again_by_all_writers_whatever_the_ledger_remembers() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE small (id text PRIMARY KEY, n int)");
    let all: Vec<(String, String)> = (0..200).map(|n| (format!("small:{n}"), format!(r#"{{"n":{n}}}"#))).collect();
    case.redis().set_many(&all);
    let config = r#"
[[mapping]]
name = "small"
match = "small:{id}"
into = "public.small"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "n", from = ["$.n"] }]
"#;
    // The writers meet the ledger's rows at the same moment, more often than not.
    for _ in 0..8 {
        let run = case.run_config(config, &["--batch-rows", "100"]).exits(0);
        assert_eq!(run.total("inserted"), 200);
        case.sql("TRUNCATE small");
    }
}

#[test]
fn columns_may_have_the_names_that_our_statements_use() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE names (s text PRIMARY KEY, t text, l text, r text DEFAULT 'kept', j text)",
    );
    let mapping = |t: &str| {
        format!(
            "[[mapping]]\nname = \"names\"\nmatch = \"n:{{id}}\"\ninto = \"public.names\"\nkey = \"s\"\n\
             column = [{{ name = \"s\", from = \"{{id}}\" }}, {{ name = \"l\", from = \"$.l\" }}{t}]\n"
        )
    };
    for (id, mapping) in [("plain", mapping("")), ("mapped", mapping(", { name = \"t\", from = \"$.l\" }"))] {
        let mapping = mapping.replace("n:{id}", &format!("{id}:{{id}}"));
        let key = format!("{id}:{id}");
        case.redis().set(&key, "{\"l\":\"one\"}");
        case.run_config(&mapping, &[]).exits(0);
        case.redis().set(&key, "{\"l\":\"two\"}");
        let run = case.run_config(&mapping, &[]).exits(0);
        assert_eq!(run.total("updated"), 1, "{run}");
        let image = case.json("SELECT image FROM redis2pg.before_images ORDER BY row_xmin DESC LIMIT 1");
        assert_eq!((&image["s"], &image["l"], &image["r"]), (&id.into(), &"one".into(), &"kept".into()), "{image}");
    }
}
