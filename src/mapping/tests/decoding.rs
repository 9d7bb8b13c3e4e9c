//! What the value is: chains and policies of a mapping, and what contradicts them.

use super::{column, encoded, map_with, read_back, stamp, table};
use crate::mapping::{Plan, parse_mappings};
use crate::model::{ColumnType, Reject, Row};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;

fn compile(settings: &str, columns: &str) -> Result<Plan, String> {
    let text = format!(
        "[[mapping]]\nname = \"kv\"\nmatch = \"kv:{{id..}}\"\ninto = \"public.kv\"\nkey = [\"id\"]\n{settings}\n\
         column = [{{ name = \"id\", from = [\"{{id}}\"] }}, {columns}]"
    );
    let table = table(
        "public.kv",
        vec![
            column("id", ColumnType::Text, true, false),
            column("data", ColumnType::Jsonb, false, false),
            column("note", ColumnType::Text, false, false),
            column("raw", ColumnType::Bytea, false, false),
            column("size", ColumnType::Int8, false, false),
        ],
    );
    Plan::compile(&parse_mappings(&text).unwrap(), &[table].into(), stamp())
        .map_err(|findings| findings.iter().map(|finding| format!("{finding}\n")).collect())
}

fn map(settings: &str, columns: &str, value: &[u8]) -> (Plan, Result<Row, Reject>) {
    let plan = compile(settings, columns).unwrap();
    let record = super::record("kv:1", value);
    let row = map_with(&plan, &record);
    (plan, row)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

#[test]
fn an_inflated_value_makes_the_row_that_the_plain_one_makes() {
    let long = format!(r#"{{"n":1.10,"t":"{}"}}"#, "lorem ipsum ".repeat(100));
    let columns = r#"{ name = "data", from = ["$"] }, { name = "size", from = ["$.n"] }"#;
    let value = long.replace("1.10", "12");
    let settings = r#"decode = ["gzip?", "json"]"#;
    let packed = gzip(value.as_bytes());
    let (plan, row) = map(settings, columns, &packed);
    let row = row.unwrap();
    assert!(row.splice.is_none(), "what was inflated lies nowhere in the value");
    assert_eq!(row.digest, crate::model::Digest::of(&packed), "the digest is that of the bytes as read");
    let (_, plain) = map(settings, columns, value.as_bytes());
    let plain = plain.unwrap();
    assert!(plain.splice.is_some(), "a plain value is still spliced");
    assert_eq!(encoded(&row), encoded(&plain));
    assert_eq!(read_back(&plan, &row)["size"], 12);
}

#[test]
fn the_whole_value_goes_in_as_text_or_bytes() {
    let both = r#"{ name = "note", from = ["value"] }, { name = "raw", from = ["value"] }"#;
    for settings in [r#"decode = ["text"]"#, r#"decode = ["bytes"]"#, r#"decode = ["raw"]"#, ""] {
        let value = r#" {"a":1.10} "#;
        let (_, row) = map(settings, both, value.as_bytes());
        assert!(encoded(&row.unwrap()).ends_with(&[&12_i32.to_be_bytes()[..], value.as_bytes()].concat()));
    }
    let raw = r#"{ name = "raw", from = ["value"] }"#;
    let (_, row) = map(r#"decode = ["bytes"]"#, raw, b"\xff\x00\x80");
    assert!(encoded(&row.unwrap()).ends_with(b"\0\0\0\x03\xff\x00\x80"));
    let note = r#"{ name = "note", from = ["value"] }"#;
    let (_, row) = map(r#"decode = ["bytes"]"#, note, b"\xff\x00");
    let found = row.unwrap_err();
    assert_eq!((found.reason.as_ref(), found.column.as_deref()), ("invalid_utf8", Some("note")));
    assert_eq!(map(r#"decode = ["bytes"]"#, note, b"a\0").1.unwrap_err().reason, "text_nul");
    let (plan, row) = map(r#"decode = ["text"]"#, r#"{ name = "size", from = ["value"] }"#, b"42");
    assert_eq!(read_back(&plan, &row.unwrap())["size"], 42);
    let upper = r#"{ name = "note", from = [{ source = "value", with = ["upper"] }] }"#;
    let (plan, row) = map(r#"decode = ["bytes"]"#, upper, "é".as_bytes());
    assert_eq!(read_back(&plan, &row.unwrap())["note"], "É");
}

#[test]
fn policies_reach_json_within_strings_too() {
    let settings = "nul = \"strip\"\nunwrap_json_string = true";
    let columns = r#"{ name = "data", from = ["$.m"], unwrap_json_string = true }"#;
    let inner = json!(r#"{"a":"\u0000b"}"#);
    let (plan, row) = map(settings, columns, json!({ "m": inner }).to_string().as_bytes());
    let row = row.unwrap();
    assert_eq!(read_back(&plan, &row)["data"], json!({"a": "b"}));
    assert_eq!(row.altered, ["nul", "unwrap_json_string"]);
    let outer = Value::String(r#"{"m":{"a":"\u0000b"}}"#.into()).to_string();
    let (plan, row) = map(settings, columns, outer.as_bytes());
    assert_eq!(read_back(&plan, &row.unwrap())["data"], json!({"a": "b"}));
    let (_, row) = map("", columns, json!({ "m": inner }).to_string().as_bytes());
    assert_eq!(row.unwrap_err().reason, "json_nul");
}

#[test]
fn a_limit_on_inflating_is_the_mappings_own() {
    let columns = r#"{ name = "data", from = ["$"] }"#;
    let value = gzip(format!("\"{}\"", "a".repeat(5000)).as_bytes());
    for (limit, fits) in [("5002", true), ("5001", false), ("\"4KiB\"", false), ("\"1MiB\"", true)] {
        let (_, row) = map(&format!("decode = [\"gzip\", \"json\"]\nmax_inflated = {limit}"), columns, &value);
        assert_eq!(row.as_ref().err().map(|found| found.reason.as_ref()), (!fits).then_some("value_too_large"));
        assert!(row.is_ok() || row.is_err_and(|found| found.value.is_some_and(|kept| kept == value)));
    }
}

#[test]
fn a_column_has_the_json_type_that_it_expects_behind_its_functions_too() {
    let columns = r#"{ name = "data", from = ["$.a", { source = "$.v", with = ["lower"] }, "redis.expires_at"], expect = "object" }"#;
    for (value, reason) in [
        (r#"{"v":"X"}"#, "json_not_object (string)"),
        (r#"{"a":[1]}"#, "json_not_object (array)"),
        (r#"{"a":"x"}"#, "json_not_object (string)"),
    ] {
        let reject = map("", columns, value.as_bytes()).1.expect_err(value);
        assert_eq!((reject.reason.as_ref(), reject.column.as_deref()), (reason, Some("data")), "{value}");
    }
    let json = r#"{ name = "data", from = ["$.v"], with = ["trim", "json"], expect = "object" }"#;
    let (plan, row) = map("", json, br#"{"v":" {\"x\":1} "}"#);
    assert_eq!(read_back(&plan, &row.unwrap())["data"], json!({"x": 1}));
    let (plan, row) = map("", columns, br#"{"a":null}"#);
    assert_eq!(read_back(&plan, &row.unwrap())["data"], Value::Null, "null is no value of another type");
}

#[test]
fn keys_that_stand_twice_are_told_in_json_that_a_function_reads() {
    let columns = r#"{ name = "data", from = ["$.v"], with = ["json"] }"#;
    let (plan, row) = map("", columns, br#"{"v":"{\"a\":1,\"a\":2}"}"#);
    let row = row.unwrap();
    assert_eq!((&row.altered[..], &read_back(&plan, &row)["data"]), (&["json_duplicate_key"][..], &json!({"a": 2})));
    let refused = map("duplicate_keys = \"reject\"", columns, br#"{"v":"[{\"a\":1,\"a\":2}]"}"#).1.unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.column.as_deref()), ("json_duplicate_key", Some("data")));
    let (_, row) = map("duplicate_keys = \"reject\"", columns, br#"{"v":"[{\"a\":1},{\"a\":2}]"}"#);
    assert_eq!(row.unwrap().altered, [""; 0]);
}

#[test]
fn what_contradicts_the_chain_is_found_at_once() {
    let found = |settings: &str, columns: &str| compile(settings, columns).err().unwrap_or_default();
    let whole = r#"{ name = "note", from = ["value"] }"#;
    assert_eq!(found("", whole), "");
    let paths = r#"{ name = "note", from = ["$.a"] }, { name = "data", from = [{ collect = ["a"] }] },
        { name = "size", from = [{ source = "value", when = "$.b" }] }, { name = "raw", from = ["value"] }"#;
    let said = found("decode = [\"text\"]\nlineage = { column = \"data\", document_id = \"$.x\" }", paths);
    for part in ["kv.note", "kv.data", "kv.size", "`$.b` reads JSON", "lineage", "\"value\""] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!said.contains("kv.raw"), "{said}");
    let many = "decode = [\"bytes\"]\nnul = \"strip\"\nsurrogates = \"replace\"\nnonfinite = \"null\"\n\
                invalid_utf8 = \"latin1\"\nduplicate_keys = \"reject\"\nbytes = \"base64\"\nmax_inflated = 5\nunwrap_json_string = true";
    let said = found(many, whole);
    for setting in [
        "nul",
        "surrogates",
        "nonfinite",
        "invalid_utf8",
        "duplicate_keys",
        "bytes",
        "max_inflated",
        "unwrap_json_string",
    ] {
        assert!(said.contains(&format!("`{setting}` does not go")), "{setting} in {said}");
    }
    assert!(found(r#"decode = ["gzip?"]"#, whole).contains("End it in what the value is"));
    assert!(found("decode = []", whole).contains("empty"));
    for limit in ["0", "\"many\"", "\"99999999TiB\""] {
        assert!(
            found(&format!("decode = [\"lzf\", \"text\"]\nmax_inflated = {limit}"), whole).contains("max_inflated")
        );
    }
    assert!(found("", r#"{ name = "data", from = ["value"] }"#).contains("Write \"$\""));
    for column in ["data", "size"] {
        let columns = format!("{{ name = \"{column}\", from = [\"value\"] }}");
        assert!(found(r#"decode = ["bytes"]"#, &columns).contains("the column takes none"));
    }
    assert_eq!(found(r#"decode = ["text"]"#, r#"{ name = "data", from = ["value"] }"#), "", "a JSON string");
}

#[test]
fn the_default_chain_is_no_part_of_what_a_resume_compares() {
    let text = "[[mapping]]\nname = \"a\"\nmatch = \"a\"\ninto = \"a.a\"\nkey = []";
    let (implied, stated) = (parse_mappings(text).unwrap(), parse_mappings(&format!("{text}\ndecode = [\"json\"]")));
    assert_eq!(crate::mapping::specs_hash(&implied), crate::mapping::specs_hash(&stated.unwrap()));
    assert!(!serde_json::to_string(&implied).unwrap().contains("decode"));
}

#[test]
fn the_examples_of_the_documentation_are_read() {
    let docs = include_str!("../../../docs/mapping.md");
    let blocks: Vec<&str> = docs.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let whole = |block: &&&str| block.contains("[[mapping]]");
    let specs: Vec<_> = blocks.iter().filter(whole).flat_map(|block| parse_mappings(block).unwrap()).collect();
    assert!(specs.iter().any(|spec| spec.decode.len() > 1), "the examples of chains are among them");
    for spec in specs {
        assert!(crate::mapping::compile::decoding::decoder(&spec).is_ok(), "{}: {:?}", spec.name, spec.decode);
    }
}
