//! What Redis knows of a key beside its value, and values that are taken as they are.

use super::{column, encoded, map_with, record, stamp, table};
use crate::mapping::{MappingSpec, Plan, RunStamp, parse_mappings};
use crate::model::{ColumnType, KeyFacts, MappingId, Record, RedisKey, RedisType, Row, ValueWanted};
use bytes::Bytes;
use std::sync::Arc;

/// A mapping into a table with a column of each type.
fn spec(types: &str, more: &str, columns: &[(&str, &str)]) -> Vec<MappingSpec> {
    let columns: Vec<String> =
        columns.iter().map(|(name, from)| format!("{{ name = \"{name}\", from = [{from}] }}")).collect();
    let text = format!(
        "[[mapping]]\nname = \"m\"\nmatch = \"k{{id..}}\"\ntype = {types}\ninto = \"public.t\"\nkey = [\"key\"]\n{more}\n\
         column = [{}]",
        columns.join(", ")
    );
    parse_mappings(&text).unwrap_or_else(|error| panic!("{error}"))
}

fn compile(specs: &[MappingSpec]) -> Result<Plan, Vec<String>> {
    use ColumnType::{Bytea, Int8, Jsonb, Text, Timestamptz};
    let types = [("key", Bytea), ("n", Int8), ("t", Text), ("j", Jsonb), ("b", Bytea), ("at", Timestamptz)];
    let columns = types.into_iter().map(|(name, of)| column(name, of, name == "key", false)).collect();
    let stamp = RunStamp { database: 7, server_version: Some("7.0.15".to_owned()), ..stamp() };
    Plan::compile(specs, &[table("public.t", columns)].into(), stamp)
        .map_err(|findings| findings.into_iter().map(|finding| finding.message).collect())
}

fn plan(types: &str, columns: &[(&str, &str)]) -> Plan {
    compile(&spec(types, "", columns)).unwrap_or_else(|findings| panic!("{findings:?}"))
}

fn refusal(types: &str, more: &str, columns: &[(&str, &str)]) -> String {
    compile(&spec(types, more, columns)).expect_err("it is refused").join("; ")
}

fn with(facts: KeyFacts, record: Record) -> Record {
    Record { facts: Some(Arc::new(facts)), ..record }
}

/// The bytes of a column; `None` for NULL.
fn field(row: &Row, index: usize) -> Option<Vec<u8>> {
    row.field(index).map(<[u8]>::to_vec)
}

#[test]
fn each_source_gives_what_is_known() {
    let columns =
        [("key", r#""redis.key""#), ("n", r#""redis.ttl""#), ("t", r#""redis.type""#), ("b", r#""redis.dump""#)];
    let plan = plan(r#""any""#, &columns);
    let wanted = plan.mapping(MappingId(0)).wanted();
    assert!(wanted.ttl && wanted.expiry && wanted.dump && !wanted.idle && wanted.value == ValueWanted::Never);
    let facts = KeyFacts {
        module_type: Some("MBbloom--".to_owned()),
        ttl: Some(1500),
        dump: Some(Bytes::from_static(b"\0\xff")),
        without_value: true,
        ..KeyFacts::default()
    };
    let module = with(facts, Record { redis_type: RedisType::Module, ..record("k1\u{0}", "") });
    let row = map_with(&plan, &module).unwrap();
    assert_eq!(field(&row, 0).unwrap(), b"k1\0");
    assert_eq!(field(&row, 1).unwrap(), 1500_i64.to_be_bytes());
    assert_eq!((field(&row, 2).unwrap(), field(&row, 3).unwrap()), (b"MBbloom--".to_vec(), b"\0\xff".to_vec()));
    let plain = map_with(&plan, &record("k1", "not JSON")).unwrap();
    assert_eq!((field(&plain, 1), field(&plain, 2).unwrap(), field(&plain, 3)), (None, b"string".to_vec(), None));
    assert_ne!(row.digest, plain.digest, "the digest is that of the dump where there is one");

    let columns =
        [("key", r#""redis.key""#), ("n", r#""redis.db""#), ("t", r#""redis.version""#), ("at", r#""run.time""#)];
    let plan = self::plan(r#""string""#, &columns);
    let row = map_with(&plan, &record("k1", "{}")).unwrap();
    assert_eq!((field(&row, 1).unwrap(), field(&row, 2).unwrap()), (7_i64.to_be_bytes().to_vec(), b"7.0.15".to_vec()));
    assert!(field(&row, 3).is_some());
    assert!(!plan.mapping(MappingId(0)).wanted().has_facts(), "strings are read as ever");
}

#[test]
fn a_value_is_kept_as_json_or_as_bytes() {
    let columns = [("key", r#""redis.key""#), ("j", r#""redis.value""#), ("b", r#""redis.bytes""#)];
    let plan = plan(r#"["string", "hash"]"#, &columns);
    assert_eq!(plan.mapping(MappingId(0)).wanted().value, ValueWanted::IfPossible);
    let of = |value: &[u8]| {
        let row = map_with(&plan, &record("k1", value)).unwrap();
        (field(&row, 1), field(&row, 2))
    };
    assert_eq!(of(b" {} "), (Some(b"\x01{}".to_vec()), None));
    assert_eq!(of(b"text"), (Some(b"\x01\"text\"".to_vec()), None));
    assert_eq!(of(b"\xff"), (None, Some(b"\xff".to_vec())));
    let long = format!("[\"{}\"]", "x".repeat(500));
    let row = map_with(&plan, &record("k1", &long)).unwrap();
    assert!(row.splice.is_some() && encoded(&row).windows(long.len()).any(|piece| piece == long.as_bytes()));
    let hash = Record { redis_type: RedisType::Hash, ..record("k1", b"\0\0\0\x01f\0\0\0\x01\xff") };
    let row = map_with(&plan, &hash).unwrap();
    assert_eq!((field(&row, 1), field(&row, 2)), (None, None), "the dump is for that");
}

#[test]
fn a_key_that_is_no_text_is_taken_where_only_its_bytes_are_read() {
    let columns = [("key", r#""redis.key""#), ("j", r#""$""#)];
    let binary = Record { key: RedisKey::new(&b"k1\xff"[..]), ..record("", "{}") };
    let row = map_with(&plan(r#""string""#, &columns), &binary).unwrap();
    assert_eq!(field(&row, 0).unwrap(), b"k1\xff");
    for also in [r#""{id}""#, r#""redis.key""#] {
        let plan = plan(r#""string""#, &[columns[0], columns[1], ("t", also)]);
        assert_eq!(map_with(&plan, &binary).unwrap_err().reason, "key_not_utf8");
    }
}

#[test]
fn what_cannot_be_had_is_found_before_the_run() {
    let key = ("key", r#""redis.key""#);
    for (types, more, from, why) in [
        (r#""any""#, "", ("j", r#""$""#), "$ reads the value"),
        (r#""module""#, "", ("t", r#""value""#), "value reads the value"),
        (r#""module""#, "", ("t", r#""{$.a}""#), "reads the value"),
        (r#""module""#, "", ("t", r#"{ source = "redis.type", when = "$.a" }"#), "the condition of redis.type"),
        (r#"["hash", "module"]"#, "explode = true", ("b", r#""redis.dump""#), "have none"),
        (r#""string""#, "", ("t", r#""redis.dump""#), "is bytes, and the column takes none"),
        (r#""string""#, "", ("b", r#"{ source = "redis.dump", with = ["lower"] }"#), "functions take text"),
        (r#""string""#, "", ("t", r#""redis.value""#), "is JSON, and the column takes none"),
        (r#""string""#, "explode = true", ("j", r#""redis.value""#), "`explode` makes several rows"),
    ] {
        let said = refusal(types, more, &[key, from]);
        assert!(said.contains(why), "{from:?}: {said}");
    }
}

#[test]
fn types_are_named_or_refused_by_name() {
    let read = |types: &str| {
        let text = format!("[[mapping]]\nname = \"m\"\nmatch = \"k\"\ntype = {types}\ninto = \"a.b\"\nkey = []");
        parse_mappings(&text).map(|mut specs| specs.remove(0).types).map_err(|error| error.message().to_owned())
    };
    assert_eq!(read(r#""any""#).unwrap(), RedisType::ALL);
    assert_eq!(read(r#"["hash", "module"]"#).unwrap(), [RedisType::Hash, RedisType::Module]);
    assert!(read(r#""hyperloglog""#).unwrap_err().contains("to Redis it is a string"));
    assert!(read(r#""hush""#).unwrap_err().contains("there is no `hush` (did you mean `hash`?)"));
    assert!(read("1").unwrap_err().contains("a type of Redis or a list of types"));
}

#[test]
fn the_archive_takes_what_no_other_mapping_takes_and_comes_last() {
    let mut specs = spec(r#""string""#, "", &[("key", r#""redis.key""#)]);
    let mut archive = MappingSpec::archive("public.a", &[], 0);
    specs.push(archive.clone());
    use ColumnType::{Bytea, Int4, Jsonb, Text, Timestamptz};
    let types = [
        ("key", Bytea),
        ("db", Int4),
        ("type", Text),
        ("expires_at", Timestamptz),
        ("value", Jsonb),
        ("value_bytes", Bytea),
        ("dump", Bytea),
        ("redis_version", Text),
        ("loaded_at", Timestamptz),
    ];
    let columns = types.into_iter().map(|(name, of)| column(name, of, name == "key", false)).collect();
    let t = table("public.t", vec![column("key", Bytea, true, false)]);
    let tables = [t, table("public.a", columns)].into();
    let plan = Plan::compile(&specs, &tables, stamp()).unwrap_or_else(|findings| panic!("{findings:?}"));
    assert_eq!(plan.phases(), [vec![MappingId(0)], vec![MappingId(1)]]);
    for (key, taken) in [(&b"k1"[..], 0), (b"x", 1), (b"", 1), (b"\xff\0", 1)] {
        assert_eq!(plan.classify(key), Some(MappingId(taken)));
        assert!(plan.misses(key).all(|(mapping, _)| mapping == MappingId(0)));
    }
    let empty = Record { key: RedisKey::new(&b""[..]), ..record("", "v") };
    let row = map_with(&plan, &empty).unwrap();
    assert_eq!(field(&row, 4).unwrap(), b"\x01\"v\"");
    // Under the same name, two are one too many.
    archive.unmatched = false;
    specs[0] = archive;
    let findings = Plan::compile(&specs, &tables, stamp()).unwrap_err();
    assert!(findings.iter().any(|finding| finding.message.contains("taken")), "{findings:?}");
}
