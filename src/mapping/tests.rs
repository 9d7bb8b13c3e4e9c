//! The preset and the mapping language, against tables as the catalog would describe them.

use super::{Comparison, LINEAGE_KEYS, Lineage, MappingSpec, Plan, RunStamp, Scratch, parse_mappings, presets};
use crate::model::{Column, ColumnType, Digest, MappingId, Record, RedisKey, Reject, Row, Table, TableName};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

const ID: &str = "01234567-89ab-4def-8012-3456789abcde";
const NOW: i64 = 1_704_164_645_678;

fn column(name: &str, column_type: ColumnType, not_null: bool, has_default: bool) -> Column {
    Column { name: name.into(), column_type, not_null, has_default, generated: false }
}

fn table(name: &str, columns: Vec<Column>) -> (TableName, Table) {
    let (schema, table) = name.split_once('.').unwrap();
    let name = TableName { schema: schema.into(), table: table.into() };
    (name.clone(), Table { name, columns })
}

fn hub() -> HashMap<TableName, Table> {
    use ColumnType::{Int4, Int8, Jsonb, Text, Timestamptz, Uuid, Varchar};
    let times = |names: &[&str]| names.iter().map(|n| column(n, Timestamptz, false, true)).collect::<Vec<_>>();
    let mut documents = vec![
        column("id", Uuid, true, true),
        column("filename", Varchar(255), true, false),
        column("original_filename", Varchar(255), true, false),
        column("file_path", Text, true, false),
        column("file_size", Int8, true, false),
        column("file_type", Varchar(50), true, false),
        column("mime_type", Varchar(100), false, false),
        column("status", Varchar(20), false, true),
        column("metadata", Jsonb, false, false),
    ];
    documents.extend(times(&["upload_timestamp", "analysis_timestamp", "created_at", "updated_at"]));
    let mut analyses = vec![
        column("id", Uuid, true, true),
        column("document_id", Uuid, true, false),
        column("analysis_type", Varchar(50), true, false),
        column("analysis_data", Jsonb, true, false),
        column("model_used", Varchar(100), false, false),
        column("processing_time_ms", Int4, false, false),
        column("status", Varchar(20), false, true),
        column("metadata", Jsonb, false, false),
    ];
    analyses.extend(times(&["analysis_timestamp", "created_at", "updated_at"]));
    let mut sessions = vec![
        column("id", Text, true, false),
        column("document_id", Uuid, false, false),
        column("user_id", Text, false, false),
        column("data", Jsonb, true, false),
        column("metadata", Jsonb, false, false),
    ];
    sessions.extend(times(&["created_at", "last_accessed", "expires_at"]));
    [
        table("document_hub.documents", documents),
        table("document_hub.analysis_results", analyses),
        table("document_hub.sessions", sessions),
    ]
    .into()
}

fn preset() -> Vec<MappingSpec> {
    parse_mappings(presets()[0].1).unwrap()
}

fn stamp() -> RunStamp {
    RunStamp { run_id: "run-1".into(), rehearsal: false }
}

fn plan() -> Plan {
    Plan::compile(&preset(), &hub(), stamp()).unwrap()
}

fn record(key: &str, value: impl AsRef<[u8]>) -> Record {
    let value = Bytes::copy_from_slice(value.as_ref());
    Record { key: RedisKey::new(key.as_bytes().to_vec()), value, expires_at: None }
}

fn map_with(plan: &Plan, record: &Record) -> Result<Row, Reject> {
    let id = plan.classify(record.key.as_bytes()).expect("a mapping takes the key");
    plan.mapping(id).map(record, NOW, &mut Scratch::default())
}

fn encoded(row: &Row) -> Vec<u8> {
    let mut encoded = Vec::new();
    row.push_encoded(&mut encoded);
    encoded
}

/// The row's columns, decoded by their types: a column that is absent has no entry.
fn read_back(plan: &Plan, row: &Row) -> BTreeMap<String, Value> {
    let mapping = plan.mapping(plan.classify(row.key.as_bytes()).unwrap());
    let encoded = encoded(row);
    let mut rest = &encoded[..];
    let mut columns = BTreeMap::new();
    for (index, column) in mapping.columns().iter().enumerate().filter(|(index, _)| row.shape.has(*index)) {
        if index == mapping.key_columns() {
            assert_eq!(row.identity().len(), encoded.len() - rest.len());
        }
        let (length, tail) = rest.split_first_chunk::<4>().unwrap();
        let length = i32::from_be_bytes(*length);
        let (bytes, tail) = tail.split_at(usize::try_from(length).unwrap_or(0));
        rest = tail;
        let value = if length < 0 { Value::Null } else { typed(&column.column_type, bytes) };
        columns.insert(column.name.clone(), value);
    }
    assert!(rest.is_empty(), "every byte belongs to a column");
    columns
}

fn typed(column_type: &ColumnType, bytes: &[u8]) -> Value {
    match column_type {
        ColumnType::Uuid => json!(Uuid::from_slice(bytes).unwrap().to_string()),
        ColumnType::Int4 => json!(i32::from_be_bytes(bytes.try_into().unwrap())),
        ColumnType::Int8 => json!(i64::from_be_bytes(bytes.try_into().unwrap())),
        ColumnType::Timestamptz => json!(i64::from_be_bytes(bytes.try_into().unwrap()) + 946_684_800_000_000),
        ColumnType::Jsonb => {
            assert_eq!(bytes[0], 1, "jsonb's version");
            serde_json::from_slice(&bytes[1..]).unwrap()
        }
        _ => json!(std::str::from_utf8(bytes).unwrap()),
    }
}

fn mapped(key: &str, value: impl AsRef<[u8]>) -> BTreeMap<String, Value> {
    let plan = plan();
    let row = map_with(&plan, &record(key, value)).unwrap_or_else(|reject| panic!("{reject:?}"));
    read_back(&plan, &row)
}

fn refused(key: &str, value: impl AsRef<[u8]>) -> Reject {
    map_with(&plan(), &record(key, value)).expect_err("the record should be rejected")
}

fn document(more: &str) -> String {
    format!(r#"{{"file_path":"/up/x y/Contract.PDF","file_size":1234{more}}}"#)
}

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
    assert_eq!(row["id"], json!(Uuid::new_v5(&super::ID_NAMESPACE, b"a:b").to_string()));
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
        assert_eq!(row["document_id"], json!(Uuid::new_v5(&super::ID_NAMESPACE, b"d 1").to_string()));
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
fn values_that_are_no_object_and_keys_that_are_no_text() {
    for (value, reason) in [
        ("[1]", "json_not_object (array)"),
        ("42", "json_not_object (number)"),
        ("null", "json_not_object (null)"),
        (r#""{\"a\":1}""#, "json_not_object (string)"),
        ("", "empty_value"),
        (r#"{"file_path":"\u0000"}"#, "json_nul"),
    ] {
        assert_eq!(refused("document:1", value).reason, reason);
    }
    assert_eq!(refused("document:", "{}").reason, "key_empty_id");
    assert_eq!(refused("document:a\0", document("")).reason, "text_nul");
    let binary =
        Record { key: RedisKey::new(&b"document:\xff\x00"[..]), value: Bytes::from(document("")), expires_at: None };
    assert_eq!(map_with(&plan(), &binary).unwrap_err().reason, "key_not_utf8");
}

#[test]
fn repairs_and_doubled_keys_are_counted() {
    let plan = plan();
    let altered = |value: String| map_with(&plan, &record("document:1", value)).unwrap().altered;
    assert_eq!(altered(document("")), Vec::<&str>::new());
    assert_eq!(altered(format!("\u{feff}{}", document(""))), ["bom"]);
    assert_eq!(altered(document(r#","metadata":"{}""#)), ["unwrap_json_string"]);
    assert_eq!(altered(document(r#","file_size":1e3"#)), ["json_duplicate_key", "integer_from_exponent"]);
    let row = mapped("document:1", document(r#","file_size":2"#));
    assert_eq!(row["file_size"], 2, "the last one wins");
}

#[test]
fn the_plan_orders_and_classifies() {
    let plan = plan();
    assert_eq!(plan.phases(), [[MappingId(0)], [MappingId(1)], [MappingId(2)]]);
    assert_eq!(plan.classify(b"analysis:1"), Some(MappingId(1)));
    assert_eq!(plan.classify(b"other"), None);
    let sessions = plan.mapping(MappingId(2));
    assert_eq!(sessions.columns()[0].name, "id");
    let comparison =
        |name: &str| sessions.comparison(sessions.columns().iter().position(|column| column.name == name).unwrap());
    assert_eq!(comparison("expires_at"), Comparison::WithinSecond);
    assert_eq!(comparison("metadata"), Comparison::WithoutLineage);
    assert_eq!(comparison("data"), Comparison::Exact);
    assert!(sessions.wants_ttl());
    assert_eq!(plan.hash(), super::specs_hash(&preset()));
}

#[test]
fn a_childs_reference_gives_its_parents_key() {
    let plan = plan();
    let analyses = plan.mapping(MappingId(1));
    let parent = analyses.parents()[0];
    assert_eq!((parent.mapping, analyses.columns()[parent.column].name.as_str()), (MappingId(0), "document_id"));
    let key = |value: &str| analyses.parent_key(&parent, &record("analysis:1", value)).map(|key| key.to_string());
    assert_eq!(key(r#"{"document_id":"urn:a"}"#).as_deref(), Some("document:urn:a"));
    assert_eq!(key(r#"{"document_id":"ABC\u00e9"}"#).as_deref(), Some("document:ABCé"));
    assert_eq!(key(r#"{"document_id":null}"#), None);
    assert_eq!(key("not json"), None);
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

fn findings(specs: &[MappingSpec], tables: &HashMap<TableName, Table>) -> String {
    let findings = Plan::compile(specs, tables, stamp()).expect_err("the plan should be refused");
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}

#[test]
fn every_mistake_is_found_at_once() {
    let mut tables = hub();
    let name = TableName { schema: "document_hub".into(), table: "documents".into() };
    let columns = &mut tables.get_mut(&name).unwrap().columns;
    columns.retain(|column| column.name != "status");
    columns.push(column("owner", ColumnType::Text, true, false));
    for column in columns.iter_mut() {
        match column.name.as_str() {
            "file_size" => column.generated = true,
            "mime_type" => column.column_type = ColumnType::Unsupported("citext".into()),
            _ => {}
        }
    }
    let found = findings(&preset(), &tables);
    for part in ["documents.status", "documents.owner", "generated", "citext"] {
        assert!(found.contains(part), "{part} in {found}");
    }
    assert!(findings(&preset(), &HashMap::new()).contains("the table is missing"));
    assert!(findings(&[], &tables).contains("no mapping"));
}

#[test]
fn overlaps_circles_and_unreadable_settings_are_found() {
    let changed = |change: fn(&mut Vec<MappingSpec>)| {
        let mut specs = preset();
        change(&mut specs);
        findings(&specs, &hub())
    };
    assert!(changed(|specs| specs[1].pattern = "document:{id}:x".into()).contains("taken by `documents`"));
    assert!(changed(|specs| specs[0].after = vec!["sessions".into()]).contains("lead back to itself"));
    assert!(changed(|specs| specs[0].after = vec!["nobody".into()]).contains("no mapping"));
    assert!(changed(|specs| specs[0].pattern = "document:{x..}".into()).contains("no capture `id`"));
    assert!(changed(|specs| specs[0].table = "documents".into()).contains("schema.table"));
    assert!(changed(|specs| specs[0].columns[1].assume_timezone = Some("Mars".into())).contains("assume_timezone"));
    assert!(changed(|specs| specs[1].columns[3].null_as = Some("{".into())).contains("not JSON"));
    assert!(changed(|specs| specs[1].columns[2].default = Some("x".repeat(51))).contains("does not fit"));
    assert!(changed(|specs| specs[2].name = "documents".into()).contains("the name is taken"));
    assert!(parse_mappings("[[mapping]]\nname = \"a\"\nnonsense = 1").is_err());
}

#[test]
fn v15_a_whole_value_can_be_any_json() {
    let text = r#"
        [[mapping]]
        name = "other"
        pattern = "kv:{id..}"
        table = "public.kv"
        key = ["id"]
        unwrap_json_string = true
        column = [{ name = "id", from = ["{id}"] }, { name = "data", from = ["$"] }]
    "#;
    let columns = vec![column("id", ColumnType::Text, true, false), column("data", ColumnType::Jsonb, false, false)];
    let plan = Plan::compile(&parse_mappings(text).unwrap(), &[table("public.kv", columns)].into(), stamp()).unwrap();
    for (value, stored) in [(" [1] ", json!([1])), ("42", json!(42)), ("true", json!(true)), ("null", Value::Null)] {
        let row = map_with(&plan, &record("kv:1", value)).unwrap();
        assert!(encoded(&row).ends_with(value.trim().as_bytes()), "JSON null is not SQL NULL");
        assert_eq!(read_back(&plan, &row)["data"], stored);
    }
    let row = map_with(&plan, &record("kv:1", r#""{\"a\":1}""#)).unwrap();
    assert_eq!((read_back(&plan, &row)["data"].clone(), row.altered), (json!({"a": 1}), vec!["unwrap_json_string"]));
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
