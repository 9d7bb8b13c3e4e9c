//! What the types that few columns have take and refuse; tests against a server show that what they take is read back.

use super::super::{EpochUnit, Policy, Value};
use super::{bytes, column, full, reason};
use crate::encode::Encoder;
use crate::model::{ArrayType, CastType, ColumnType, NumericLimit};

fn numeric(precision: i32, scale: i32) -> ColumnType {
    ColumnType::Numeric(Some(NumericLimit { precision, scale }))
}

fn array(element: ColumnType) -> ColumnType {
    ColumnType::Array(Box::new(ArrayType { element, element_oid: 23 }))
}

fn cast(name: &str, delimiter: Option<char>) -> ColumnType {
    ColumnType::Cast(CastType { name: name.into(), sql: format!("x.{name}"), equality: None, delimiter, element: None })
}

fn text(column_type: ColumnType, value: Value<'_>) -> String {
    String::from_utf8(bytes(column_type, value).unwrap()).unwrap()
}

#[test]
fn a_numeric_is_never_rounded_unless_it_is_asked_for() {
    for (column_type, number, refused) in [
        (numeric(5, 2), "1.234", "too_precise"),
        (numeric(5, 2), "1234.5", "number_range"),
        (numeric(5, 0), "0.5", "too_precise"),
        (numeric(3, -2), "150", "too_precise"),
        (numeric(2, 4), "0.01", "number_range"),
        (ColumnType::Numeric(None), "1e131072", "number_range"),
        (ColumnType::Numeric(None), "1e-16384", "number_range"),
        (ColumnType::Numeric(None), "1e99999999999", "number_range"),
        (ColumnType::Numeric(None), "1,5", "number"),
        (ColumnType::Numeric(None), "NaN", "number"),
        (ColumnType::Numeric(None), "Infinity", "number"),
    ] {
        assert_eq!(reason(column_type, Value::Text(number)), refused, "{number}");
    }
    let policy = Policy { round: true, ..Policy::default() };
    for (written, stored) in [
        ("1.235", "1.24"),
        ("1.2349", "1.23"),
        ("-1.995", "-2.00"),
        ("9.999", "10.00"),
        ("0.004", "0.00"),
        ("-0.004", "0.00"),
        ("0.005", "0.01"),
        ("0.0005", "0.00"),
        ("99.99501", "100.00"),
    ] {
        let (rounded, note) = full(numeric(5, 2), policy.clone(), Value::Text(written)).unwrap();
        assert_eq!((rounded, note), (bytes(numeric(5, 2), Value::Text(stored)).unwrap(), Some("round")), "{written}");
    }
    assert_eq!(full(numeric(5, 2), policy.clone(), Value::Text("1.500")).unwrap().1, None);
    assert_eq!(full(numeric(3, 2), policy, Value::Text("9.995")).unwrap_err().reason, "number_range");
}

#[test]
fn padding_of_char_is_the_servers_and_blanks_count() {
    assert_eq!(bytes(ColumnType::Bpchar(5), Value::Text("ab ")).unwrap(), b"ab ");
    assert_eq!(reason(ColumnType::Bpchar(5), Value::Text("ab    ")), "too_long");
    assert_eq!(reason(ColumnType::Name, Value::Text(&"ü".repeat(32))), "too_long");
}

#[test]
fn intervals_are_durations_and_nothing_that_could_be_two_things() {
    for text in [
        "",
        "P",
        "PT",
        "P1",
        "1",
        "02:03",
        "1 fortnight",
        "day",
        "PT1H1H",
        "PT1S1H",
        "P1DT",
        "1 day 2",
        "1.02:03:04",
        "00:61:00",
        "ago",
        "1e3 days x",
        "1 day 2 days",
        "1 day2 hours",
        "1 hour 02:03:04",
        "2 hoursago",
        "P+1D",
    ] {
        assert_eq!(reason(ColumnType::Interval(-1), Value::Text(text)), "interval_format", "{text}");
    }
    for text in ["P1.5D", "PT0.0000001S", "P0.1M", "1.5 days", "00:00:01.0000001", "0.1 microseconds ago"] {
        assert_eq!(reason(ColumnType::Interval(-1), Value::Text(text)), "too_precise", "{text}");
    }
    assert_eq!(reason(ColumnType::Interval(-1), Value::Number("5")), "interval_format");
    assert_eq!(reason(ColumnType::Interval(-1), Value::Text("P999999999999Y")), "interval_range");
    let seconds = Policy { epoch_unit: Some(EpochUnit::S), ..Policy::default() };
    let epoch = |text| full(ColumnType::Interval(-1), seconds.clone(), Value::Number(text)).unwrap_err().reason;
    assert_eq!((epoch("1e40"), epoch("0.0000001")), ("interval_range".into(), "too_precise".into()));
    assert_eq!(
        bytes(ColumnType::Interval(-1), Value::Text("-P1DT2H")),
        bytes(ColumnType::Interval(-1), Value::Text("-1 day -02:00:00"))
    );
    // interval day to minute, interval(2), interval year.
    let (to_minute, hundredths, years) =
        ((1 << 3 | 1 << 10 | 1 << 11) << 16 | 0xffff, 0x7fff << 16 | 2, 1 << 18 | 0xffff);
    assert!(bytes(ColumnType::Interval(to_minute), Value::Text("P1DT2H3M")).is_ok());
    assert!(bytes(ColumnType::Interval(years), Value::Text("P24M")).is_ok());
    for (typmod, text) in [(to_minute, "PT1S"), (hundredths, "PT0.125S"), (years, "P1M"), (years, "P1D")] {
        assert_eq!(reason(ColumnType::Interval(typmod), Value::Text(text)), "too_precise", "{text}");
    }
}

#[test]
fn addresses_are_whole_and_a_cidr_has_no_host() {
    for text in [
        "10.1",
        "10.0.0.256",
        "10.0.0.1/33",
        "::1/129",
        "fe80::1%eth0",
        "10.0.0.1/",
        "10.0.0.1/+8",
        "010.0.0.1",
        "10.0.0.0/08",
        "1.2.3.4/08",
        "",
    ] {
        assert_eq!(reason(ColumnType::Inet, Value::Text(text)), "inet", "{text}");
    }
    for text in ["10.0.0.1/8", "10.0.0.128/24", "2001:db8::1/64", "0.0.0.1/0"] {
        assert_eq!(reason(ColumnType::Cidr, Value::Text(text)), "cidr_host_bits", "{text}");
    }
    for text in ["08:00:2b:01:02", "08:00:2b:01:02:0g", "08:00:2b-01:02:03", "0:1:2:3:4:5", "08002b.010203", ""] {
        assert_eq!(reason(ColumnType::Macaddr, Value::Text(text)), "macaddr", "{text}");
    }
    assert_eq!(reason(ColumnType::Inet, Value::Number("1")), "type_mismatch");
}

#[test]
fn v29_arrays_are_json_arrays_in_a_rectangle() {
    for json in ["[[1,2],[3]]", "[1,[2]]", "[[1],2]", "[[]]", "[[],[]]", "[[1],null]", "[[[[[[[1]]]]]]]"] {
        assert_eq!(reason(array(ColumnType::Int4), Value::Json(json)), "array_shape", "{json}");
    }
    for value in [Value::Json("{}"), Value::Text("{1,2}"), Value::Number("1"), Value::Bool(true), Value::Text("")] {
        assert_eq!(reason(array(ColumnType::Int4), value), "type_mismatch", "{value:?}");
    }
    let refused = bytes(array(ColumnType::Int4), Value::Json(r#"[1,"x"]"#)).unwrap_err();
    assert_eq!((refused.reason.as_ref(), refused.detail.starts_with("element 2: ")), ("integer", true));
    assert_eq!(reason(array(ColumnType::Int4), Value::Text("[1,")), "json_syntax");
    let policy = Policy { empty_object_as_array: true, ..Policy::default() };
    let empty = bytes(array(ColumnType::Int4), Value::Json("[]")).unwrap();
    assert_eq!(
        full(array(ColumnType::Int4), policy.clone(), Value::Json("{ }")).unwrap(),
        (empty, Some("empty_object_as_array"))
    );
    assert_eq!(full(array(ColumnType::Int4), policy, Value::Json(r#"{"a":1}"#)).unwrap_err().reason, "type_mismatch");
    // An array within an array of json is an element.
    assert!(bytes(array(ColumnType::Jsonb), Value::Json("[[1],[2,3],{}]")).is_ok());
}

#[test]
fn types_without_a_binary_encoder_get_text() {
    assert_eq!(text(cast("point", None), Value::Text("(1,2)")), "(1,2)");
    assert_eq!(text(cast("money", None), Value::Number("12.50")), "12.50");
    assert_eq!(reason(cast("tsvector", None), Value::Json(r#"{"a":1}"#)), "type_mismatch");
    assert_eq!(reason(cast("int4range", None), Value::Json("[1,2]")), "type_mismatch");
    assert_eq!(reason(cast("tsvector", None), Value::Text("a\0b")), "text_nul");
    assert_eq!(text(cast("vector", None), Value::Json("[1,2.5]")), "[1,2.5]");
    let json = r#"{"a" : "b, \"c\"", "d\\":null,"e":1}"#;
    assert_eq!(text(cast("hstore", None), Value::Json(json)), r#""a"=>"b, \"c\"", "e"=>"1", "d\\"=>NULL"#);
    let twice = r#"{"a":1,"\u0061":2,"q\"":"\u00e9","b":{},"b":true}"#;
    assert_eq!(text(cast("hstore", None), Value::Json(twice)), "\"a\"=>\"2\", \"b\"=>\"true\", \"q\\\"\"=>\"é\"");
    assert_eq!(reason(cast("hstore", None), Value::Json(r#"{"a":{}}"#)), "type_mismatch");
    assert_eq!(text(cast("_box", Some(';')), Value::Json(r#"["1,2,3,4",null]"#)), r#"{"1,2,3,4";NULL}"#);
    assert_eq!(text(cast("_point", Some(',')), Value::Text("{\"(1,2)\"}")), "{\"(1,2)\"}");
}

#[test]
fn what_the_server_would_bend_is_read_here() {
    let own = |name: &str, delimiter| {
        let sql = format!("\"pg_catalog\".\"{name}\"");
        let element = name.strip_prefix('_').map(|name| format!("\"pg_catalog\".\"{name}\""));
        ColumnType::Cast(CastType { name: name.into(), sql, equality: None, delimiter, element })
    };
    assert_eq!(text(own("int4range", None), Value::Text("[1, 2.0]")), "[1,2]");
    assert_eq!(text(own("_int4range", Some(',')), Value::Json(r#"["[ 1,2)",null]"#)), r#"{"[1,2)",NULL}"#);
    assert_eq!(reason(own("_int4range", Some(',')), Value::Json(r#"["[1.5,2)"]"#)), "integer");
    assert_eq!(reason(own("_int4range", Some(',')), Value::Text("{\"[1,2)\"}")), "type_mismatch");
    assert_eq!(reason(own("int4range", None), Value::Bool(true)), "type_mismatch");
    assert_eq!(reason(own("money", None), Value::Bool(true)), "type_mismatch");
    assert_eq!(reason(own("money", None), Value::Text("1\0")), "text_nul");
    let strip = Policy { nul: Some(super::super::Nul::Strip), ..Policy::default() };
    let repaired = full(own("money", None), strip, Value::Text("1\0")).unwrap();
    assert_eq!(repaired, (b"1".to_vec(), Some("nul")));
}

#[test]
fn any_json_goes_into_bytea_as_it_is_written() {
    for (value, stored) in [
        (Value::Number("1.10"), &b"1.10"[..]),
        (Value::Bool(true), b"true"),
        (Value::Json(r#"{"a": 1}"#), br#"{"a": 1}"#),
        (Value::Text("1.10"), b"1.10"),
    ] {
        assert_eq!(bytes(ColumnType::Bytea, value).unwrap(), stored, "{value:?}");
    }
    assert_eq!(reason(ColumnType::Bytea, Value::Millis(1)), "type_mismatch");
}

#[test]
fn bytes_go_into_bytea_and_where_they_are_utf8_into_text() {
    assert_eq!(bytes(ColumnType::Bytea, Value::Bytes(b"\xff\0")).unwrap(), b"\xff\0");
    for column_type in [
        ColumnType::Text,
        ColumnType::Varchar(9),
        ColumnType::Bpchar(9),
        ColumnType::Citext("=".into()),
        ColumnType::Name,
    ] {
        assert_eq!(bytes(column_type.clone(), Value::Bytes("ü".as_bytes())).unwrap(), "ü".as_bytes());
        assert_eq!(reason(column_type, Value::Bytes(b"a\xff")), "invalid_utf8");
    }
    for column_type in
        [ColumnType::Jsonb, ColumnType::Int4, ColumnType::Uuid, array(ColumnType::Text), cast("xml", None)]
    {
        assert_eq!(reason(column_type, Value::Bytes(b"1")), "type_mismatch");
    }
    let policy = Policy { empty_as_null: true, ..Policy::default() };
    for column_type in [ColumnType::Bytea, ColumnType::Text] {
        let mut out = Vec::new();
        Encoder::new(&column(column_type), policy.clone()).unwrap().encode(Value::Bytes(b""), &mut out).unwrap();
        assert_eq!(out, (-1_i32).to_be_bytes());
    }
}
