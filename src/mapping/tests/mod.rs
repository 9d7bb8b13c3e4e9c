//! The preset and the mapping language, against tables as the catalog would describe them.

mod children;
mod decoding;
mod documents;
mod facts;
mod metadata;
mod offline;
mod plans;
mod sources;
mod values;
mod whole;

use super::{MappingSpec, Plan, RunStamp, Scratch, parse_mappings, presets};
use crate::model::{Column, ColumnType, Record, RedisKey, RedisType, Reject, Row, Table, TableName};
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
    RunStamp { run_id: "run-1".into(), ..RunStamp::default() }
}

fn plan() -> Plan {
    Plan::compile(&preset(), &hub(), stamp()).unwrap()
}

fn record(key: &str, value: impl AsRef<[u8]>) -> Record {
    let value = Bytes::copy_from_slice(value.as_ref());
    Record {
        key: RedisKey::new(key.as_bytes().to_vec()),
        redis_type: RedisType::String,
        value,
        stored: None,
        slice: None,
        expires_at: None,
        facts: None,
    }
}

fn map_with(plan: &Plan, record: &Record) -> Result<Row, Reject> {
    let id = plan.classify(record.key.as_bytes()).expect("a mapping takes the key");
    plan.mapping(id).map(record, NOW, &mut Scratch::default())
}

fn encoded(row: &Row) -> Vec<u8> {
    let (head, tail) = row.around_splice();
    [head, row.spliced(), tail].concat()
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
