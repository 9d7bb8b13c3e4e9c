//! A dry run says what a run would do, and writes nothing anywhere.

use crate::support;

use redis2pg::dataset::{self, Options};
use support::Case;

#[test]
fn a_dry_run_counts_as_the_run_does_and_writes_nothing() {
    let case = Case::new();
    let summary = dataset::load(&case.source, &Options::demo(150)).unwrap();
    let before = case.fingerprint();
    let keys = case.redis().integer(&[b"DBSIZE"]);
    let dry = case.run(&["--dry-run"]).exits(3);
    assert_eq!(case.fingerprint(), before);
    assert_eq!(case.redis().integer(&[b"DBSIZE"]), keys);
    assert_eq!(dry.report["dry_run"], true);
    let families =
        [("documents", &summary.documents), ("analyses", &summary.analyses), ("sessions", &summary.sessions)];
    for (mapping, expected) in families {
        assert_eq!(dry.count(mapping, "would_load"), i64::try_from(expected.load).unwrap(), "{mapping}: {dry}");
        assert_eq!(dry.count(mapping, "inserted"), 0);
    }
    for broken in &summary.broken {
        assert_eq!(dry.reject(&broken.key)["reason"], broken.reason, "{}", broken.key);
    }
    let run = case.run(&[]).exits(3);
    for (mapping, _) in families {
        assert_eq!(dry.count(mapping, "would_load"), run.count(mapping, "inserted"), "{mapping}");
        assert_eq!(dry.reasons(mapping), run.reasons(mapping), "{mapping}");
        assert_eq!(dry.count(mapping, "matched"), run.count(mapping, "matched"), "{mapping}");
    }
    // And over tables that are there, with rows in them.
    let before = case.fingerprint();
    case.run(&["--dry-run"]).exits(3);
    assert_eq!(case.fingerprint(), before);
}

#[test]
fn a_dry_run_finds_parents_in_the_target_and_in_redis() {
    let case = Case::new();
    let mut redis = case.redis();
    let document = r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#;
    redis.set("document:loaded", document);
    case.run(&[]).exits(0);
    redis.answer(&[b"DEL", b"document:loaded"]);
    redis.set("document:fresh", document);
    for parent in ["loaded", "fresh", "nowhere"] {
        redis.set(&format!("analysis:{parent}"), &format!(r#"{{"document_id":"{parent}","analysis":{{}}}}"#));
    }
    let dry = case.run(&["--dry-run"]).exits(3);
    assert_eq!(dry.count("analyses", "would_load"), 2, "{dry}");
    let reject = dry.reject("analysis:nowhere");
    assert_eq!(reject["reason"], "missing_parent");
    assert!(reject["detail"].as_str().unwrap().contains("document:nowhere"), "{reject}");
}

#[test]
fn a_dry_run_of_a_part_reads_the_parents_itself() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set("document:good", r#"{"filename":"a","file_path":"a","file_size":1}"#);
    redis.set("document:bad", r#"{"filename":"a"}"#);
    for parent in ["good", "bad"] {
        redis.set(&format!("analysis:{parent}"), &format!(r#"{{"document_id":"{parent}","analysis":{{}}}}"#));
    }
    for part in [&["--skip", "documents"][..], &["--keys", "analysis:*"], &["--limit", "9"]] {
        let run = case.run(&[part, &["--dry-run"]].concat()).exits(3);
        assert_eq!(run.count("analyses", "would_load"), 1, "{part:?}: {run}");
        let detail = run.reject("analysis:bad")["detail"].as_str().unwrap();
        assert!(detail.contains("document:bad") && detail.contains("field_missing"), "{detail}");
    }
}

#[test]
fn a_dry_run_shows_samples() {
    let case = Case::new();
    case.redis().set("document:the-only-one", r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#);
    let dry = case.run(&["--dry-run"]).exits(0);
    assert!(dry.stdout.contains("document:the-only-one"), "{dry}");
    assert!(dry.stdout.contains("would"), "{dry}");
}

#[test]
fn a_dry_run_needs_no_right_to_write() {
    let case = Case::new();
    case.redis().set("document:1", r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#);
    case.run(&[]).exits(0);
    case.sql(
        "CREATE ROLE dry_reader LOGIN PASSWORD 'reader-secret'; GRANT USAGE ON SCHEMA document_hub TO dry_reader; \
         GRANT SELECT ON ALL TABLES IN SCHEMA document_hub TO dry_reader",
    );
    let port = support::postgres().port();
    let target = format!("postgres://dry_reader:reader-secret@127.0.0.1:{port}/{}", case.database);
    let reader = Case { source: case.source.clone(), target, database: case.database.clone() };
    let before = case.fingerprint();
    assert_eq!(reader.run(&["--dry-run"]).exits(0).total("would_load"), 1);
    assert_eq!(case.fingerprint(), before);
}

/// Parents and children.
const PARENTS: &str = r#"
[[mapping]]
name = "parents"
match = "parent:{id..}"
into = "public.parents"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "size", from = ["$.size"], required = true }]
[[mapping]]
name = "children"
match = "child:{id..}"
into = "public.children"
key = ["id"]
parents = [{ mapping = "parents", column = "parent" }]
column = [{ name = "id", from = ["{id}"] }, { name = "parent", from = ["$.parent"], required = true }]
"#;

#[test]
fn parents_with_text_for_an_id_are_found_in_the_target_whatever_their_length() {
    let case = Case::new();
    case.sql(
        "CREATE TABLE parents (id text PRIMARY KEY, size bigint); \
         CREATE TABLE children (id text PRIMARY KEY, parent text REFERENCES parents); \
         INSERT INTO parents VALUES ('sixteen bytes 16', 1), ('short', 1); GRANT ALL ON parents, children TO redis2pg",
    );
    let mut redis = case.redis();
    // As long as a UUID is in binary.
    redis.set("child:a", r#"{"parent":"sixteen bytes 16"}"#);
    redis.set("child:b", r#"{"parent":"short"}"#);
    redis.set("child:c", r#"{"parent":"broken"}"#);
    redis.set("parent:broken", "{}");
    let dry = case.run_config(PARENTS, &["--dry-run"]).exits(3);
    assert_eq!(dry.count("children", "would_load"), 2, "{dry}");
    let detail = dry.reject("child:c")["detail"].as_str().unwrap();
    assert!(detail.contains("parent:broken") && detail.contains("field_missing"), "{detail}");
    let run = case.run_config(PARENTS, &[]).exits(3);
    assert_eq!((run.count("children", "inserted"), run.reasons("parents")["field_missing"]), (2, 1), "{run}");
}

#[test]
fn parents_with_a_small_number_for_an_id_are_found_in_the_target() {
    let case = Case::new();
    case.sql(
        "CREATE TABLE parents (id smallint PRIMARY KEY, size bigint); \
         CREATE TABLE children (id text PRIMARY KEY, parent smallint REFERENCES parents); \
         INSERT INTO parents VALUES (7, 1); GRANT ALL ON parents, children TO redis2pg",
    );
    let mut redis = case.redis();
    redis.set("child:a", r#"{"parent":7}"#);
    redis.set("child:b", r#"{"parent":8}"#);
    let dry = case.run_config(PARENTS, &["--dry-run"]).exits(3);
    assert_eq!((dry.count("children", "would_load"), dry.reasons("children")["missing_parent"]), (1, 1), "{dry}");
}
