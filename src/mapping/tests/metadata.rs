//! Metadata: unwrapped once, kept digit by digit, with the lineage beside it or in the ledger.

use super::{document, encoded, hub, map_with, mapped, plan, preset, read_back, record, refused, stamp};
use crate::mapping::{Lineage, Plan};
use crate::model::{MappingId, TableName};
use serde_json::{Value, json};

#[test]
fn metadata_is_unwrapped_once_or_rejected() {
    let row = mapped("document:1", document(r#","metadata":"{\"a\":{\"b\":1}}""#));
    assert_eq!(row["metadata"]["a"]["b"], 1);
    for nothing in [r#","metadata":null"#, r#","metadata":{}"#, ""] {
        assert_eq!(mapped("document:1", document(nothing))["metadata"].as_object().unwrap().len(), 5);
    }
    for (metadata, reason) in [
        ("[1]", "json_not_object (array)"),
        ("5", "json_not_object (number)"),
        (r#""hello""#, "json_not_object (string)"),
        (r#""""#, "json_not_object (string)"),
        (r#""\"{}\"""#, "json_not_object (string)"),
        (r#""[1]""#, "json_not_object (array)"),
        (r#""{\"a\":\"\\u0000\"}""#, "json_nul"),
    ] {
        let found = refused("document:1", document(&format!(r#","metadata":{metadata}"#)));
        assert_eq!((found.reason.as_ref(), found.path.as_deref()), (reason, Some("$.metadata")), "{metadata}");
    }
}

#[test]
fn clashing_metadata_moves_to_source_metadata() {
    let row = mapped("document:1", document(r#","metadata":{"redis_key":"mine","x":1,"redis2pg":{"run":"old"}}"#));
    let metadata = &row["metadata"];
    assert_eq!((&metadata["redis_key"], &metadata["x"]), (&json!("document:1"), &json!(1)));
    assert_eq!(metadata["source_metadata"], json!({"redis_key": "mine", "redis2pg": {"run": "old"}}));
}

#[test]
fn every_digit_of_metadata_stays() {
    let plan = plan();
    let value = document(r#","metadata":{"a":18446744073709551616,"b":0.1000000000000000055511151231257827}"#);
    let row = map_with(&plan, &record("document:1", value)).unwrap();
    let text = String::from_utf8_lossy(&encoded(&row)).into_owned();
    assert!(text.contains(r#"{"a":18446744073709551616,"b":0.1000000000000000055511151231257827,"redis2pg":{"run""#));
}

#[test]
fn a_table_without_room_for_lineage_leaves_it_to_the_ledger() {
    let mut tables = hub();
    let name = TableName { schema: "document_hub".into(), table: "analysis_results".into() };
    tables.get_mut(&name).unwrap().columns.retain(|column| column.name != "metadata");
    let plan = Plan::compile(&preset(), &tables, stamp()).unwrap();
    assert_eq!(plan.warnings().len(), 1);
    let analyses = plan.mapping(MappingId(1));
    assert_eq!(analyses.lineage(), Lineage::Ledger);
    let record = record("analysis:1", r#"{"document_id":"d","analysis":{},"metadata":{"a":1}}"#);
    assert!(!read_back(&plan, &map_with(&plan, &record).unwrap()).contains_key("metadata"));
}

#[test]
fn long_json_is_not_copied_and_reads_the_same() {
    let long = "é\"\\ ".repeat(200);
    let data = json!({"summary": long, "risks": [1]}).to_string();
    let plan = plan();
    for value in [
        format!(r#"{{"document_id":"d 1","analysis":{data} ,"model_used":"m"}}"#),
        format!("\u{feff}{{\"document_id\":\"d 1\",\"analysis_data\":{}}}", json!(data)),
    ] {
        let row = map_with(&plan, &record("analysis:1", value.clone())).unwrap();
        assert_eq!(row.splice.is_some(), value.starts_with('{'), "what was unwrapped is nowhere in the value");
        assert_eq!(read_back(&plan, &row)["analysis_data"], serde_json::from_str::<Value>(&data).unwrap());
        assert_eq!(row.fields.len() < 800, row.splice.is_some());
    }
}
