//! The pure stages on the two values that a cache of contracts is made of: a document and an analysis.
#![expect(clippy::expect_used, reason = "a bench whose inputs are wrong can only stop")]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use redis2pg::decode::decode;
use redis2pg::mapping::{MappingSpec, Plan, RunStamp, Scratch, parse_mappings, presets};
use redis2pg::model::{Column, ColumnType, Digest, Record, RedisKey, RedisType, Table, TableName};
use std::collections::HashMap;
use std::hint::black_box;

const ID: &str = "01234567-89ab-4def-8012-3456789abcde";

fn document() -> String {
    format!(
        r#"{{"filename": "Master Services Agreement 2024.pdf", "file_path": "/var/lib/contracts/uploads/2024/01/{ID}.pdf", "file_size": 482133, "upload_timestamp": "2024-01-02T03:04:05.193378", "metadata": {{"uploaded_by": "j.doe@example.com", "department": "Legal", "pages": 42, "language": "en", "tags": ["msa", "vendor", "2024"], "checksum": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "source": "web", "confidence": 0.9731, "ocr": false, "notes": null}}}}"#
    )
}

fn analysis() -> String {
    let risk = |n: usize| {
        format!(
            r#"{{"severity": "high", "clause": "{n}.2", "title": "Unlimited liability", "text": "The supplier's liability is not capped, and the indemnity covers indirect loss as well."}}"#
        )
    };
    let risks: Vec<String> = (1..=7).map(risk).collect();
    format!(
        r#"{{"document_id": "{ID}", "analysis": {{"summary": "A master services agreement between two parties with a term of three years and automatic renewal.", "risks": [{}], "recommendations": ["Cap the liability", "Limit the indemnity"], "key_points": ["Three years", "Auto-renewal"], "citations": []}}, "analysis_type": "contract_review", "model_used": "reviewer-large", "processing_time_ms": 15234}}"#,
        risks.join(", ")
    )
}

/// A column's type by its name, as the contract reviewer's tables have them.
fn column_type(table: &str, name: &str) -> ColumnType {
    match name {
        "id" if table.ends_with("sessions") => ColumnType::Text,
        "id" | "document_id" => ColumnType::Uuid,
        "file_size" => ColumnType::Int8,
        "processing_time_ms" => ColumnType::Int4,
        "metadata" | "analysis_data" | "data" => ColumnType::Jsonb,
        "file_path" | "user_id" => ColumnType::Text,
        "last_accessed" => ColumnType::Timestamptz,
        name if name.ends_with("timestamp") || name.ends_with("_at") => ColumnType::Timestamptz,
        _ => ColumnType::Varchar(255),
    }
}

fn table(spec: &MappingSpec) -> (TableName, Table) {
    let name = spec.table_name().expect("the preset names its tables in full");
    let columns = spec.columns.iter().map(|column| Column {
        name: column.name.clone(),
        column_type: column_type(&spec.into, &column.name),
        not_null: false,
        has_default: false,
        generated: false,
    });
    (name.clone(), Table { name, columns: columns.collect() })
}

fn record(key: &str, value: String) -> Record {
    Record {
        key: RedisKey::new(format!("{key}:{ID}").into_bytes()),
        redis_type: RedisType::String,
        value: Bytes::from(value),
        stored: None,
        slice: None,
        expires_at: Some(0),
        facts: None,
    }
}

fn stages(criterion: &mut Criterion) {
    let specs = parse_mappings(presets()[0].1).expect("the preset is well-formed");
    let tables: HashMap<TableName, Table> = specs.iter().map(table).collect();
    let stamp = RunStamp { run_id: "01JXYZ0123456789ABCDEFGHJK".into(), ..RunStamp::default() };
    let plan = Plan::compile(&specs, &tables, stamp).expect("the preset fits its tables");
    for (name, record) in [("document", record("document", document())), ("analysis", record("analysis", analysis()))] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(record.value.len() as u64));
        let mut fields = Vec::new();
        group.bench_function("decode", |b| b.iter(|| decode(black_box(&record.value), &mut fields).map(|d| d.bom)));
        group.bench_function("digest", |b| b.iter(|| Digest::of(black_box(&record.value))));
        group.bench_function("classify", |b| b.iter(|| plan.classify(black_box(record.key.as_bytes()))));
        let mapping = plan.mapping(plan.classify(record.key.as_bytes()).expect("a mapping takes the key"));
        let mut scratch = Scratch::default();
        group.bench_function("map", |b| {
            b.iter(|| mapping.map(black_box(&record), 1_704_164_645_678, &mut scratch).expect("the record is good"));
        });
        group.finish();
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
