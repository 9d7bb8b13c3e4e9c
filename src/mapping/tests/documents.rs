//! Documents: the writers' shapes, what is derived, what is refused.

use super::{ID, document, hub, map_with, mapped, preset, read_back, record, refused, stamp};
use crate::mapping::{ID_NAMESPACE, LINEAGE_KEYS, Plan, Purpose, RunStamp};
use crate::model::Digest;
use serde_json::{Value, json};
use uuid::Uuid;

#[test]
fn a_document_of_the_older_writer() {
    let key = format!("document:{ID}");
    let row = mapped(
        &key,
        document(r#","filename":"Mine.pdf","upload_timestamp":"2024-01-02T03:04:05","metadata":{"n":1.10,"a":"b"}"#),
    );
    assert_eq!(row["id"], json!(ID));
    assert_eq!(row["original_filename"], "Mine.pdf");
    assert_eq!(row["filename"], "Contract.PDF");
    assert_eq!(row["file_type"], ".pdf");
    assert_eq!(row["mime_type"], "application/pdf");
    assert_eq!(row["file_size"], 1234);
    assert_eq!(row["upload_timestamp"], 1_704_164_645_000_000_i64);
    for absent in ["status", "analysis_timestamp", "created_at", "updated_at"] {
        assert!(!row.contains_key(absent), "{absent} takes the column's default");
    }
    let metadata = &row["metadata"];
    assert_eq!((&metadata["a"], &metadata["migrated_from_redis"]), (&json!("b"), &json!(true)));
    assert_eq!((&metadata["redis_key"], &metadata["redis_document_id"]), (&json!(key), &json!(ID)));
    assert_eq!(metadata["migration_timestamp"], "2024-01-02T03:04:05.678Z");
    assert_eq!(metadata["redis2pg"]["run"], "run-1");
    assert_eq!(metadata["redis2pg"]["expires_at"], Value::Null);
    for key in LINEAGE_KEYS {
        assert!(metadata.get(key).is_some());
    }
}

#[test]
fn a_document_of_the_newer_writer_wins_over_what_is_derived() {
    let row = mapped(
        "document:7",
        document(
            r#","filename":"stored.bin","original_filename":"Contract (1).docx","file_type":".docx","mime_type":"x/y",
            "status":"done","analysis_timestamp":"2024-01-02T03:04:05Z","created_at":"2024-01-02T03:04:05+00:00""#,
        ),
    );
    for (column, value) in [
        ("filename", "stored.bin"),
        ("original_filename", "Contract (1).docx"),
        ("file_type", ".docx"),
        ("mime_type", "x/y"),
        ("status", "done"),
    ] {
        assert_eq!(row[column], value);
    }
    assert_eq!(row["analysis_timestamp"], 1_704_164_645_000_000_i64);
    assert_eq!(row["created_at"], 1_704_164_645_000_000_i64);
    let row = mapped("document:7", document(r#","original_filename":"Only.docx""#));
    assert_eq!((&row["filename"], &row["original_filename"]), (&json!("Contract.PDF"), &json!("Only.docx")));
}

#[test]
fn names_types_and_mime_types_are_derived_where_nothing_says_them() {
    let row = mapped("document:a:b", r#"{"file_path":"/up/README","file_size":"12"}"#);
    assert_eq!((&row["original_filename"], &row["filename"]), (&json!("migrated_a:b"), &json!("README")));
    assert_eq!(row["file_type"], "");
    assert!(!row.contains_key("mime_type"));
    assert_eq!(row["id"], json!(Uuid::new_v5(&ID_NAMESPACE, b"a:b").to_string()));
    assert_eq!(row["metadata"]["redis_document_id"], "a:b");
}

#[test]
fn a_document_without_path_or_size_is_rejected_by_name() {
    let found = refused("document:1", r#"{"file_path":"/x"}"#);
    assert_eq!((found.reason.as_ref(), found.column.as_deref()), ("field_missing", Some("file_size")));
    assert!(found.detail.contains("$.file_size"), "{}", found.detail);
    assert_eq!(refused("document:1", r#"{"file_size":1}"#).reason, "field_missing");
    assert_eq!(refused("document:1", r#"{"file_size":1,"file_path":null}"#).reason, "not_null");
}

#[test]
fn a_row_that_is_only_compared_has_of_the_lineage_what_is_compared() {
    let stamp = RunStamp { purpose: Purpose::Comparison, ..stamp() };
    let plan = Plan::compile(&preset(), &hub(), stamp).unwrap();
    let mut record = record(&format!("document:{ID}"), document(r#","metadata":{"a":"b","redis_key":"own"}"#));
    record.expires_at = Some(1_704_164_645_678);
    let row = map_with(&plan, &record).unwrap();
    let expected = json!({
        "a": "b",
        "source_metadata": {"redis_key": "own"},
        "redis_key": format!("document:{ID}"),
        "redis2pg": {"expires_at": "2024-01-02T03:04:05.678Z"},
    });
    assert_eq!(read_back(&plan, &row)["metadata"], expected);
    assert_ne!(row.digest, Digest::default(), "what it was made from is told all the same");
}
