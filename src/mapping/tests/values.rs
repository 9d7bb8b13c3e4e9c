//! Values and keys of any kind, and what is repaired in them.

use super::{column, document, encoded, map_with, mapped, plan, read_back, record, refused, stamp, table};
use crate::mapping::{Plan, parse_mappings};
use crate::model::{ColumnType, Record, RedisKey, RedisType};
use bytes::Bytes;
use serde_json::{Value, json};

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
    let binary = Record {
        key: RedisKey::new(&b"document:\xff\x00"[..]),
        redis_type: RedisType::String,
        value: Bytes::from(document("")),
        stored: None,
        slice: None,
        expires_at: None,
        facts: None,
    };
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
fn v15_a_whole_value_can_be_any_json() {
    let text = r#"
        [[mapping]]
        name = "other"
        match = "kv:{id..}"
        into = "public.kv"
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
fn a_value_may_be_an_array_that_paths_enter_by_index() {
    let text = r#"
        [[mapping]]
        name = "list"
        match = "kv:{id..}"
        into = "public.kv"
        key = ["id"]
        column = [
          { name = "id", from = ["{id}"] },
          { name = "first", from = ["$[0].x"] },
          { name = "last", from = ["$[-1].list[1]"] },
        ]
    "#;
    let columns = ["id", "first", "last"].map(|name| column(name, ColumnType::Text, false, false));
    let tables = [table("public.kv", columns.into())].into();
    let plan = Plan::compile(&parse_mappings(text).unwrap(), &tables, stamp()).unwrap();
    let row = read_back(&plan, &map_with(&plan, &record("kv:1", r#" [{"x":"a"},{"list":[1,2.50]}] "#)).unwrap());
    assert_eq!((&row["first"], &row["last"]), (&json!("a"), &json!("2.50")));
    let row = read_back(&plan, &map_with(&plan, &record("kv:1", "[]")).unwrap());
    assert_eq!(row.keys().collect::<Vec<_>>(), ["id"]);
    let found = map_with(&plan, &record("kv:1", r#"{"x":1}"#)).unwrap_err();
    assert_eq!(found.reason, "json_not_array (object)");
}
