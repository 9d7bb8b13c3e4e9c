//! A value that becomes a row: JSON columns are spliced out of it, its metadata is joined by the lineage, and the row's bytes
//! are those of its columns, one behind the other.

use super::columns_read::field;
use super::node::Node;
use super::node_reader;
use redis2pg::mapping::{LINEAGE_KEYS, MappingSpec, Plan, RunStamp, SOURCE_METADATA, Scratch};
use redis2pg::model::{Column, ColumnType, Record, RedisKey, RedisType, Row, Table, TableName};
use serde_json::json;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A plan with the whole value, a field of it, its metadata with the lineage, a text, and what is left.
static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let columns = [
        ("id", "{id}", ColumnType::Text),
        ("whole", "$", ColumnType::Jsonb),
        ("part", "$.data", ColumnType::Json),
        ("metadata", "$.metadata", ColumnType::Jsonb),
        ("title", "$.title", ColumnType::Text),
        ("rest", "rest", ColumnType::Jsonb),
    ];
    let spec = json!({
        "name": "m", "match": "k:{id}", "into": "s.t", "key": ["id"],
        "lineage": {"column": "metadata", "document_id": "{id}"},
        "column": columns.iter().map(|(name, from, _)| json!({"name": name, "from": [from]})).collect::<Vec<_>>(),
    });
    let spec: MappingSpec = serde_json::from_value(spec).unwrap();
    let name = TableName { schema: "s".into(), table: "t".into() };
    let column = |(name, _, column_type): (&str, _, ColumnType)| Column {
        name: name.to_owned(),
        column_type,
        not_null: false,
        has_default: false,
        generated: false,
    };
    let columns = columns.map(|(name, from, column_type)| column((name, from, column_type)));
    let table = Table { name: name.clone(), columns: columns.to_vec() };
    Plan::compile(&[spec], &HashMap::from([(name, table)]), RunStamp::default())
        .unwrap_or_else(|findings| panic!("{findings:?}"))
});

pub(crate) fn holds(_: &[&str], value: &[u8]) {
    let record = Record {
        key: RedisKey::new("k:7"),
        redis_type: RedisType::String,
        value: value.to_vec().into(),
        stored: None,
        slice: None,
        expires_at: None,
        facts: None,
    };
    let id = PLAN.classify(b"k:7").unwrap();
    let row = PLAN.mapping(id).map(&record, 0, &mut Scratch::default());
    let body = value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value);
    let node = std::str::from_utf8(body).ok().and_then(|text| node_reader::strict(text).ok());
    match (row, node) {
        (Ok(row), Some(node)) => is_row(&row, &node),
        (Ok(_), None) => panic!("a value that is no JSON became a row"),
        (Err(reject), node) => {
            assert!(!reject.reason.is_empty() && !reject.detail.is_empty() && reject.value.as_deref() == Some(value));
            let text = node.as_ref().and_then(|node| node.member("title"));
            let metadata = node.as_ref().and_then(|node| node.member("metadata"));
            let fits = matches!(text, None | Some(Node::Null | Node::Text(_) | Node::Number(_) | Node::Bool(_)))
                && matches!(metadata, None | Some(Node::Null | Node::Object(_)));
            assert!(!fits || !matches!(node, Some(Node::Object(_))), "{}: {}", reject.reason, reject.detail);
        }
    }
}

/// The row's columns by name; one that is absent has no entry.
fn columns(row: &Row) -> HashMap<String, Option<Vec<u8>>> {
    let (head, tail) = row.around_splice();
    let encoded = [head, row.spliced(), tail].concat();
    assert_eq!(encoded.len(), row.encoded_len());
    assert!(encoded.starts_with(row.identity()));
    let mapping = PLAN.mapping(PLAN.classify(b"k:7").unwrap());
    let mut rest = encoded.as_slice();
    let mut columns = HashMap::new();
    for (index, column) in mapping.columns().iter().enumerate().filter(|(index, _)| row.shape.has(*index)) {
        let (found, behind) = field(rest);
        if let Some(known) = row.field(index) {
            assert_eq!(Some(known), found, "{}", column.name);
        }
        columns.insert(column.name.clone(), found.map(<[u8]>::to_vec));
        rest = behind;
    }
    assert!(rest.is_empty(), "every byte is a column's");
    assert_eq!(columns.len(), row.shape.columns() as usize);
    columns
}

fn is_row(row: &Row, node: &Node) {
    let columns = columns(row);
    let json = |name: &str| {
        let bytes = columns.get(name)?.as_deref()?;
        let text = if name == "part" { bytes } else { bytes.strip_prefix(b"\x01").unwrap() };
        Some(node_reader::strict(std::str::from_utf8(text).unwrap()).unwrap())
    };
    assert_eq!(columns["id"].as_deref(), Some(&b"7"[..]));
    assert_eq!(json("whole").as_ref(), Some(node).filter(|node| **node != Node::Null));
    let member = |key: &str| node.member(key).filter(|value| **value != Node::Null);
    assert_eq!(json("part").as_ref(), member("data"));
    assert_eq!(columns.contains_key("part"), node.member("data").is_some(), "what is not there is no null");
    if let Some(Node::Text(title)) = member("title") {
        assert_eq!(columns["title"].as_deref(), Some(title.as_bytes()));
    }
    if let (Some(Node::Object(rest)), Node::Object(members)) = (json("rest"), node) {
        let left = members.iter().filter(|(key, _)| !["data", "metadata", "title"].contains(&key.as_str()));
        assert_eq!(rest, left.cloned().collect::<Vec<_>>(), "what no column reads is the rest");
    }
    is_joined(&json("metadata").unwrap(), node.member("metadata").unwrap_or(&Node::Null));
}

/// The record's own metadata is kept, and where it clashes with the lineage it stands apart.
fn is_joined(found: &Node, own: &Node) {
    assert_eq!(found.member("redis_key"), Some(&Node::Text("k:7".into())));
    assert_eq!(found.member("redis_document_id"), Some(&Node::Text("7".into())));
    assert_eq!(found.member("migrated_from_redis"), Some(&Node::Bool(true)));
    assert!(LINEAGE_KEYS.iter().all(|key| found.member(key).is_some()));
    let Node::Object(members) = own else { return };
    for (key, _) in members {
        let (ours, known) = (LINEAGE_KEYS.contains(&key.as_str()), own.member(key));
        let kept =
            if ours { found.member(SOURCE_METADATA).and_then(|apart| apart.member(key)) } else { found.member(key) };
        if key != SOURCE_METADATA {
            assert_eq!(kept, known, "{key} of the record's own metadata");
        }
    }
}
