//! Rows that an older script left under other ids than a run gives: they are told, and found as parents.

use crate::support;

use support::{Case, Outcome};

const DOCUMENT: &str = r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#;

fn analysis(document: &str) -> String {
    format!(r#"{{"document_id":"{document}","analysis":{{"summary":"s"}}}}"#)
}

fn uuid(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// The preset's tables, and a row of an older script for each document: `(id, the document's id)`.
fn case(rows: &[(String, &str)]) -> Case {
    let case = Case::new();
    case.run(&["--allow-empty"]).exits(0);
    for (id, document) in rows {
        case.sql(&format!(
            "INSERT INTO document_hub.documents (id, filename, original_filename, file_path, file_size, file_type, metadata) \
             VALUES ('{id}', 'a', 'a', 'a', 1, 'pdf', '{{\"redis_document_id\": \"{document}\", \"migrated_from_redis\": true}}')"
        ));
    }
    case
}

fn told(run: &Outcome) -> bool {
    run.report["notices"].to_string().contains("rows are under other ids than a run gives")
}

fn adopted(run: &Outcome) -> i64 {
    run.report["mappings"]["analyses"]["altered"]["parent_by_lineage"].as_i64().unwrap_or(0)
}

/// The documents of the analyses, by the analyses' order in Redis.
fn parents(case: &Case) -> String {
    case.sql(
        "SELECT string_agg(document_id::text, ' ' ORDER BY metadata->>'redis_key') FROM document_hub.analysis_results",
    )
}

#[test]
fn children_are_given_the_ids_of_parents_that_an_older_script_stored() {
    let case = case(&[(uuid(1), "doc-one"), (uuid(2), &uuid(22)), (uuid(3), "twice"), (uuid(4), "twice")]);
    let mut redis = case.redis();
    redis.set("analysis:1", &analysis("doc-one"));
    redis.set("analysis:2", &analysis(&uuid(22)));
    // Two rows say that they are its document; of the last nobody has heard.
    redis.set("analysis:3", &analysis("twice"));
    redis.set("analysis:4", &analysis("nowhere"));
    let dry = case.run(&["--dry-run"]).exits(3);
    assert_eq!((dry.total("would_load"), told(&dry)), (2, true), "{dry}");
    for _ in 0..2 {
        // A validation that took such a reference for a difference would end it with 4.
        let run = case.run(&["--validate-after-run=true"]).exits(3);
        assert_eq!(run.report["validation"]["keys"]["equal"], 2, "{run}");
        assert!(told(&run) && run.report["notices"].to_string().contains("4 of its first"), "{run}");
        assert_eq!(run.reasons("analyses"), [("missing_parent".to_owned(), 2)].into(), "{run}");
        assert_eq!(parents(&case), format!("{} {}", uuid(1), uuid(2)));
    }
    let first = case.ledger(&["runs", "list"]);
    assert!(first.to_string().contains("parent_by_lineage"), "{first}");
    assert_eq!(
        case.sql("SELECT metadata->>'redis_document_id' FROM document_hub.analysis_results ORDER BY 1 DESC LIMIT 1"),
        "doc-one"
    );
}

#[test]
fn a_document_that_is_in_redis_is_the_parent_even_so() {
    let case = case(&[(uuid(1), "doc-one")]);
    let mut redis = case.redis();
    redis.set("analysis:1", &analysis("doc-one"));
    redis.set("document:doc-one", DOCUMENT);
    let run = case.run(&[]).exits(0);
    assert_eq!((run.total("inserted"), adopted(&run)), (2, 0), "{run}");
    let own = case.sql("SELECT id FROM document_hub.documents WHERE metadata ? 'redis2pg'");
    assert_eq!(parents(&case), own);
    // Its row goes by another id than the older one's.
    assert_eq!(case.number("SELECT count(*) FROM document_hub.documents"), 2);
}

#[test]
fn a_document_that_cannot_be_loaded_leaves_its_children_to_the_earlier_row() {
    let case = case(&[(uuid(1), &uuid(11))]);
    let mut redis = case.redis();
    redis.set(&format!("document:{}", uuid(11)), "{");
    redis.set("analysis:1", &analysis(&uuid(11)));
    redis.set("analysis:2", &analysis(&uuid(11)));
    let run = case.run(&["--staging", "always", "--validate-after-run=true"]).exits(3);
    assert_eq!((run.count("analyses", "inserted"), adopted(&run)), (2, 2), "{run}");
    assert_eq!(parents(&case), format!("{0} {0}", uuid(1)));
    let second = case.run(&[]).exits(3);
    assert_eq!(second.count("analyses", "unchanged"), 2, "{second}");
}

#[test]
fn rows_that_are_where_a_run_looks_for_them_are_not_told() {
    // A run's own rows, and those of a script that made the same ids.
    let case = case(&[(uuid(7), &uuid(7))]);
    case.redis().set("document:doc-one", DOCUMENT);
    assert!(!told(&case.run(&[]).exits(0)));
    assert!(!told(&case.run(&[]).exits(0)));
    case.sql("UPDATE document_hub.documents SET metadata = metadata - 'redis2pg'");
    assert!(!told(&case.run(&[]).exits(0)));
}
