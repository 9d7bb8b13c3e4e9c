//! Analyses and sessions, and the parents that they name.

use super::{ID, hub, map_with, mapped, plan, preset, read_back, record, refused, stamp};
use crate::mapping::{FunctionSpec, ID_NAMESPACE, Plan};
use crate::model::Digest;
use crate::model::MappingId;
use serde_json::{Value, json};
use uuid::Uuid;

#[test]
fn an_analysis_in_all_its_shapes() {
    let data = json!({"summary": "s", "risks": [1]});
    for value in [
        r#"{"document_id":"d 1","analysis":{"summary":"s","risks":[1]}}"#,
        r#"{"document_id":"d 1","analysis_data":{"summary":"s","risks":[1]}}"#,
        r#"{"document_id":"d 1","analysis_data":"{\"summary\":\"s\",\"risks\":[1]}"}"#,
        r#"{"document_id":"d 1","summary":"s","risks":[1],"other":2}"#,
        r#"{"document_id":"d 1","analysis":null,"summary":"s","risks":[1]}"#,
    ] {
        let row = mapped("analysis:9", value);
        assert_eq!(row["analysis_data"], data, "{value}");
        assert_eq!(row["analysis_type"], "contract_review");
        assert_eq!(row["document_id"], json!(Uuid::new_v5(&ID_NAMESPACE, b"d 1").to_string()));
        assert_eq!(row["metadata"]["redis_document_id"], "d 1");
        assert!(!row.contains_key("model_used"));
    }
    assert_eq!(mapped("analysis:9", r#"{"document_id":"d","analysis":null}"#)["analysis_data"], json!({}));
    let row = mapped(
        "analysis:9",
        r#"{"document_id":"d","analysis":{},"analysis_type":"risk","model_used":"m","processing_time_ms":15}"#,
    );
    assert_eq!((&row["analysis_type"], &row["model_used"]), (&json!("risk"), &json!("m")));
    assert_eq!(row["processing_time_ms"], 15);
}

#[test]
fn an_analysis_that_says_too_little_is_rejected() {
    for (value, reason, column) in [
        (r#"{"analysis":{}}"#, "field_missing", "document_id"),
        (r#"{"document_id":"","analysis":{}}"#, "field_missing", "document_id"),
        (r#"{"document_id":null,"analysis":{}}"#, "not_null", "document_id"),
        (r#"{"document_id":{},"analysis":{}}"#, "type_mismatch", "document_id"),
        (r#"{"document_id":"d"}"#, "field_missing", "analysis_data"),
        (r#"{"document_id":"d","analysis":[1]}"#, "json_not_object (array)", "analysis_data"),
        (r#"{"document_id":"d","analysis":"text"}"#, "json_not_object (string)", "analysis_data"),
        (r#"{"document_id":"d","analysis":{},"processing_time_ms":1.5}"#, "integer", "processing_time_ms"),
        (r#"{"document_id":"d","analysis":{},"processing_time_ms":3000000000}"#, "number_range", "processing_time_ms"),
    ] {
        let found = refused("analysis:1", value);
        assert_eq!((found.reason.as_ref(), found.column.as_deref()), (reason, Some(column)), "{value}");
    }
}

#[test]
fn a_session_keeps_its_text_id_its_whole_record_and_its_expiry() {
    let plan = plan();
    let key = format!("session:session_{ID}_1704164645");
    let value = format!(
        r#" {{"session_id":"x","document_id":"{ID}","created_at":"2024-01-02T03:04:05","last_accessed":"2024-01-02T03:04:05Z"}} "#
    );
    let mut record = record(&key, &value);
    record.expires_at = Some(1_704_164_645_123);
    let row = read_back(&plan, &map_with(&plan, &record).unwrap());
    assert_eq!(row["id"], json!(format!("session_{ID}_1704164645")));
    assert_eq!(row["data"], serde_json::from_str::<Value>(&value).unwrap());
    assert_eq!(row["expires_at"], 1_704_164_645_123_000_i64);
    assert_eq!(row["metadata"]["redis2pg"]["expires_at"], "2024-01-02T03:04:05.123Z");
    assert_eq!(row["metadata"]["redis2pg"]["digest"], json!(Digest::of(value.as_bytes()).to_string()));
    assert_eq!(row["document_id"], json!(ID));
    assert!(!row.contains_key("user_id"));

    record.expires_at = None;
    assert_eq!(read_back(&plan, &map_with(&plan, &record).unwrap())["expires_at"], Value::Null);
    for nothing in [r#"{"document_id":null}"#, r#"{"document_id":""}"#, "{}"] {
        let row = mapped("session:1", nothing);
        assert!(row.get("document_id").is_none_or(Value::is_null), "{nothing}");
    }
}

#[test]
fn a_childs_reference_gives_its_parents_key() {
    let plan = plan();
    let analyses = plan.mapping(MappingId(1));
    let parent = analyses.parents()[0];
    assert_eq!((parent.mapping, analyses.columns()[parent.column].name.as_str()), (MappingId(0), "document_id"));
    let key = |value: &str| {
        let keys = analyses.parent_keys(&parent, &record("analysis:1", value));
        keys.first().map(ToString::to_string)
    };
    assert_eq!(key(r#"{"document_id":"urn:a"}"#).as_deref(), Some("document:urn:a"));
    assert_eq!(key(r#"{"document_id":"ABC\u00e9"}"#).as_deref(), Some("document:ABCé"));
    assert_eq!(key(r#"{"document_id":null}"#), None);
    assert_eq!(key("not json"), None);
}

#[test]
fn a_reference_is_followed_through_the_functions_that_the_parents_key_does_not_have() {
    let key = |with: &[&str], reference: &str| {
        let mut specs = preset();
        let column = specs[1].columns.iter_mut().find(|column| column.name == "document_id").unwrap();
        column.with = with.iter().map(|call| FunctionSpec::Call((*call).into())).collect();
        let plan = Plan::compile(&specs, &hub(), stamp()).unwrap();
        let analyses = plan.mapping(MappingId(1));
        let record = record("analysis:1", format!(r#"{{"document_id":"{reference}"}}"#));
        analyses.parent_keys(&analyses.parents()[0], &record).pop().map(|key| key.to_string())
    };
    let strip = "strip_prefix('document:')";
    assert_eq!(key(&[strip, "trim", "uuid_or_uuid5"], "document:7 ").as_deref(), Some("document:7"));
    assert_eq!(key(&["uuid_or_uuid5"], "7").as_deref(), Some("document:7"));
    assert_eq!(key(&["uuid_or_uuid5", "lower"], "A").as_deref(), Some("document:A"), "they do not end alike");
    assert_eq!(key(&["split('/', 1)", "uuid_or_uuid5"], "7"), None);
}
