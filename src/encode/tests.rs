use super::{EncodeError, Encoder, EpochUnit, Note, Policy, Value, push_rfc3339};
use crate::model::{Column, ColumnType};
use proptest::prelude::*;

mod further;
mod losses;
mod moments;
mod policies;

fn column(column_type: ColumnType) -> Column {
    Column { name: "c".into(), column_type, not_null: false, has_default: false, generated: false }
}

fn full(column_type: ColumnType, policy: Policy, value: Value<'_>) -> Result<(Vec<u8>, Note), EncodeError> {
    let mut out = Vec::new();
    let note = Encoder::new(&column(column_type), policy).unwrap().encode(value, &mut out)?;
    let length = i32::from_be_bytes(*out.first_chunk().unwrap());
    assert_eq!(usize::try_from(length).unwrap_or(0), out.len() - 4, "the length must be that of the bytes");
    Ok((out.split_off(4), note))
}

fn bytes(column_type: ColumnType, value: Value<'_>) -> Result<Vec<u8>, EncodeError> {
    full(column_type, Policy::default(), value).map(|(bytes, _)| bytes)
}

fn reason(column_type: ColumnType, value: Value<'_>) -> String {
    bytes(column_type, value).expect_err("the value should be refused").reason.into_owned()
}

fn int8(value: Value<'_>) -> Result<i64, String> {
    let bytes = bytes(ColumnType::Int8, value).map_err(|error| error.reason.into_owned())?;
    Ok(i64::from_be_bytes(bytes.try_into().unwrap()))
}

/// Microseconds since 1970.
fn moment(value: Value<'_>, policy: Policy) -> Result<i64, String> {
    let (bytes, _) = full(ColumnType::Timestamptz, policy, value).map_err(|error| error.reason.into_owned())?;
    Ok(i64::from_be_bytes(bytes.try_into().unwrap()) + 946_684_800_000_000)
}

fn iso(text: &str) -> Result<i64, String> {
    moment(Value::Text(text), Policy::default())
}

fn err<T>(reason: &str) -> Result<T, String> {
    Err(reason.to_owned())
}

#[test]
fn n01_spellings_of_a_size() {
    for (text, size) in [
        ("1234", 1234),
        (" 1234 ", 1234),
        ("1234.0", 1234),
        ("+12", 12),
        ("012", 12),
        ("1e3", 1000),
        ("-0", 0),
        ("1.5e1", 15),
        ("1000e-3", 1),
        ("0e-99", 0),
        ("0e99999999999", 0),
        ("1000000000000000000000000000000000000000000000000e-45", 1000),
        ("7.0000000000000000000000000000000000000000000000", 7),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ] {
        assert_eq!(int8(Value::Text(text)), Ok(size), "{text}");
    }
    assert_eq!(int8(Value::Number("1234.0")), Ok(1234));
    for text in [
        "1,234",
        "1_000",
        "0x10",
        "12\u{a0}",
        "１２",
        "",
        "None",
        "1234.5",
        "1.",
        ".5",
        "1e",
        "--1",
        "NaN",
        "1e-99999999999",
    ] {
        assert_eq!(int8(Value::Text(text)), err("integer"), "{text}");
    }
    let long = "1.00000000000000000000000000000000000000000000001";
    assert_eq!(int8(Value::Number(long)), err("integer"), "a fraction, however far behind the point");
    assert_eq!(int8(Value::Number("1000000000000000000000000000000000000000001")), err("number_range"));
    for text in ["9223372036854775808", "1e30", "1e999999999", "1e99999999999"] {
        assert_eq!(int8(Value::Number(text)), err("number_range"), "{text}");
    }
    assert_eq!(int8(Value::Bool(true)), err("type_mismatch"));
    assert_eq!(int8(Value::Json("{}")), err("type_mismatch"));
    assert_eq!(reason(ColumnType::Int4, Value::Number("2147483648")), "number_range");
    assert_eq!(bytes(ColumnType::Int2, Value::Number("-2")).unwrap(), [0xff, 0xfe]);
}

#[test]
fn v29_an_integer_from_an_exponent_is_exact_and_said() {
    let (stored, note) = full(ColumnType::Int8, Policy::default(), Value::Number("1.2345678901235e+16")).unwrap();
    assert_eq!(stored, 12_345_678_901_235_000_i64.to_be_bytes());
    assert_eq!(note, Some("integer_from_exponent"));
}

#[test]
fn v30_null_tokens_are_null_only_where_configured() {
    let policy = Policy { null_tokens: vec!["None".into()], empty_as_null: true, ..Policy::default() };
    for text in ["None", ""] {
        let mut out = Vec::new();
        let encoder = Encoder::new(&column(ColumnType::Int8), policy.clone()).unwrap();
        encoder.encode(Value::Text(text), &mut out).unwrap();
        assert_eq!(out, (-1_i32).to_be_bytes());
    }
    assert_eq!(bytes(ColumnType::Text, Value::Text("None")).unwrap(), b"None");
}

#[test]
fn n05_booleans_are_a_fixed_list() {
    for (value, flag) in [
        (Value::Bool(true), 1),
        (Value::Text("True"), 1),
        (Value::Text("1"), 1),
        (Value::Number("1"), 1),
        (Value::Text("0"), 0),
        (Value::Text("yes"), 1),
        (Value::Text("off"), 0),
        (Value::Text("False"), 0),
    ] {
        assert_eq!(bytes(ColumnType::Bool, value).unwrap(), [flag], "{value:?}");
    }
    for value in [Value::Text("2"), Value::Text(""), Value::Number("2"), Value::Text("undefined")] {
        assert_eq!(reason(ColumnType::Bool, value), "boolean");
    }
}

#[test]
fn floats_are_finite_numbers() {
    assert_eq!(bytes(ColumnType::Float8, Value::Number("1234")).unwrap(), 1234_f64.to_be_bytes());
    assert_eq!(bytes(ColumnType::Float4, Value::Text("0.5")).unwrap(), 0.5_f32.to_be_bytes());
    assert_eq!(reason(ColumnType::Float8, Value::Number("1e400")), "number_range");
    assert_eq!(reason(ColumnType::Float8, Value::Text("inf")), "number");
    // PostgreSQL refuses these too; the smallest that there are it takes.
    assert_eq!(reason(ColumnType::Float8, Value::Number("1e-400")), "number_range");
    assert_eq!(reason(ColumnType::Float8, Value::Text("-0.001e-400")), "number_range");
    assert_eq!(reason(ColumnType::Float4, Value::Number("1e-46")), "number_range");
    assert_eq!(bytes(ColumnType::Float8, Value::Number("5e-324")).unwrap(), 5e-324_f64.to_be_bytes());
    assert_eq!(bytes(ColumnType::Float8, Value::Number("-0.0e-400")).unwrap(), (-0.0_f64).to_be_bytes());
}

#[test]
fn p05_characters_are_code_points_and_blanks_count() {
    let five = ColumnType::Varchar(5);
    for text in ["日本語日本", "abc  ", "👨\u{200d}👩\u{200d}👧"] {
        assert_eq!(bytes(five.clone(), Value::Text(text)).unwrap(), text.as_bytes());
    }
    let found = bytes(five.clone(), Value::Text("abcdef")).unwrap_err();
    assert_eq!(found.reason, "too_long");
    assert!(found.detail.starts_with("too_long (6 > 5)"), "{}", found.detail);
    for text in ["abc        ", "e\u{301}e\u{301}e\u{301}"] {
        assert_eq!(reason(five.clone(), Value::Text(text)), "too_long");
    }
}

#[test]
fn p09_and_p10_enums_jsonb_and_the_rest() {
    let mood = ColumnType::Enum(vec!["ok".into(), "sad".into()]);
    assert_eq!(bytes(mood.clone(), Value::Text("ok")).unwrap(), b"ok");
    let found = bytes(mood, Value::Text("OK")).unwrap_err();
    assert_eq!((found.reason.as_ref(), found.detail.starts_with("enum (\"OK\")")), ("enum", true));
    assert_eq!(bytes(ColumnType::Jsonb, Value::Json("{}")).unwrap(), b"\x01{}");
    assert_eq!(bytes(ColumnType::Json, Value::Json("{}")).unwrap(), b"{}");
    assert_eq!(bytes(ColumnType::Jsonb, Value::Text("a\"b\n")).unwrap(), b"\x01\"a\\\"b\\n\"");
    assert_eq!(bytes(ColumnType::Text, Value::Number("1.10")).unwrap(), b"1.10");
    assert_eq!(bytes(ColumnType::Text, Value::Bool(false)).unwrap(), b"false");
    assert_eq!(reason(ColumnType::Text, Value::Json("[1]")), "type_mismatch");
    assert_eq!(reason(ColumnType::Text, Value::Text("a\0b")), "text_nul");
    assert_eq!(bytes(ColumnType::Bytea, Value::Text("a\0b")).unwrap(), b"a\0b");
    assert!(Encoder::new(&column(ColumnType::Unsupported("point".into())), Policy::default()).is_none());
}

#[test]
fn uuids_in_three_spellings() {
    let id = *b"\x01\x23\x45\x67\x89\xab\x4d\xef\x80\x12\x34\x56\x78\x9a\xbc\xde";
    for text in [
        "01234567-89ab-4def-8012-3456789abcde",
        "0123456789AB4DEF80123456789ABCDE",
        "{01234567-89AB-4def-8012-3456789abcde}",
    ] {
        assert_eq!(bytes(ColumnType::Uuid, Value::Text(text)).unwrap(), id);
    }
    for text in ["", "urn:uuid:01234567-89ab-4def-8012-3456789abcde", "0123-4567-89ab4def80123456789abcde0000"] {
        assert_eq!(reason(ColumnType::Uuid, Value::Text(text)), "uuid");
    }
    assert_eq!(reason(ColumnType::Uuid, Value::Number("1")), "type_mismatch");
}

#[test]
fn a_null_does_not_go_into_a_not_null_column() {
    let encoder = Encoder::new(&Column { not_null: true, ..column(ColumnType::Int8) }, Policy::default()).unwrap();
    assert_eq!(encoder.encode(Value::Null, &mut Vec::new()).unwrap_err().reason, "not_null");
}

const MOMENT: i64 = 1_704_164_645_000_000;

#[test]
fn t01_a_timestamp_without_zone_needs_one_to_assume() {
    let text = Value::Text("2024-01-02T03:04:05.193378");
    assert_eq!(moment(text, Policy::default()), err("timestamp_no_zone"));
    let assume = |offset| Policy { assume_offset: Some(offset), ..Policy::default() };
    assert_eq!(moment(text, assume(0)), Ok(MOMENT + 193_378));
    assert_eq!(moment(text, assume(3600)), Ok(MOMENT + 193_378 - 3_600_000_000));
    assert_eq!(moment(Value::Text("2024-01-02"), assume(0)), Ok(1_704_153_600_000_000));
}

#[test]
fn t02_zone_spellings() {
    for zone in ["Z", "z", "+00:00", "-00:00", " UTC"] {
        assert_eq!(iso(&format!("2024-01-02T03:04:05{zone}")), Ok(MOMENT), "{zone}");
    }
    assert_eq!(iso("2024-01-02T08:34:05+0530"), Ok(MOMENT));
    assert_eq!(iso("2024-01-02 08:04:05+05"), Ok(MOMENT));
    assert_eq!(iso("2024-01-01T23:04:05-04:00"), Ok(MOMENT));
    for zone in ["+00:00Z", "[Europe/Paris]", "+1", "+25:00", "+05:60", "+05:3", "Q1"] {
        assert_eq!(iso(&format!("2024-01-02T03:04:05{zone}")), err("timestamp_format"), "{zone}");
    }
}

#[test]
fn t03_fractions_are_cut_toward_the_past() {
    assert_eq!(iso("2024-01-02T03:04:05.1234567Z"), Ok(MOMENT + 123_456));
    assert_eq!(iso("2024-01-02T03:04:05.123456789012Z"), Ok(MOMENT + 123_456));
    assert_eq!(iso("2024-12-31T23:59:59.9999999Z"), Ok(1_735_689_599_999_999));
    assert_eq!(iso("1969-12-31T23:59:59.9999999Z"), Ok(-1));
    assert_eq!(iso("2024-01-02T03:04:05.1Z"), Ok(MOMENT + 100_000));
}

#[test]
fn t05_epochs_need_a_unit_and_must_be_plausible() {
    let unit = |unit| Policy { epoch_unit: Some(unit), ..Policy::default() };
    let auto = || unit(EpochUnit::Auto);
    assert_eq!(moment(Value::Number("1704164645.123"), auto()), Ok(MOMENT + 123_000));
    assert_eq!(moment(Value::Number("1704164645123"), auto()), Ok(MOMENT + 123_000));
    assert_eq!(moment(Value::Text("1704164645123"), auto()), Ok(MOMENT + 123_000));
    assert_eq!(moment(Value::Number("1704164645123456"), auto()), Ok(MOMENT + 123_456));
    assert_eq!(moment(Value::Number("1704164645.123456789"), auto()), Ok(MOMENT + 123_456));
    let many = "1704164645.12345678901234567890123456789012345678901234567890";
    assert_eq!(moment(Value::Number(many), auto()), Ok(MOMENT + 123_456));
    assert_eq!(moment(Value::Number("1704164645123456789"), auto()), Ok(MOMENT + 123_456));
    assert_eq!(moment(Value::Number("1e9"), auto()), Ok(1_000_000_000_000_000));
    for number in ["-1", "0", "1e300", "1e-300", "170416", "20240102"] {
        assert_eq!(moment(Value::Number(number), auto()), err("timestamp_implausible"), "{number}");
    }
    assert_eq!(moment(Value::Number("1704164645"), unit(EpochUnit::S)), Ok(MOMENT));
    assert_eq!(moment(Value::Number("1704164645123"), unit(EpochUnit::S)), err("timestamp_implausible"));
    for text in ["1704164645", "170416", "20240102"] {
        assert_eq!(iso(text), err("timestamp_format"));
    }
}

#[test]
fn t06_moments_before_1970_and_2000() {
    assert_eq!(iso("1970-01-01T00:00:00Z"), Ok(0));
    assert_eq!(iso("1999-12-31T23:59:59.999999Z"), Ok(946_684_799_999_999));
    let stored = bytes(ColumnType::Timestamptz, Value::Text("2000-01-01T00:00:00Z")).unwrap();
    assert_eq!(stored, 0_i64.to_be_bytes());
}

#[test]
fn t08_the_ends_of_the_calendar() {
    assert_eq!(iso("0001-01-01T00:00:00Z"), Ok(-62_135_596_800_000_000));
    assert_eq!(iso("9999-12-31T23:59:59Z"), Ok(253_402_300_799_000_000));
    for text in [
        "0000-00-00 00:00:00",
        "-0001-01-01",
        "+010000-01-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-02T24:00:00Z",
        "2024-01-02T23:60:00Z",
    ] {
        assert_eq!(iso(text), err("timestamp_range"), "{text}");
    }
}

#[test]
fn t10_an_empty_timestamp_is_null_only_where_configured() {
    assert_eq!(iso(""), err("timestamp_empty"));
    let policy = Policy { empty_as_null: true, ..Policy::default() };
    assert_eq!(full(ColumnType::Timestamptz, policy, Value::Text("")).unwrap().0, b"");
}

#[test]
fn t12_ambiguous_forms() {
    for text in [
        "01/02/2024",
        "13/02/2024",
        "2024-01-02 03:04:05 IST",
        "2024-1-2 3:4:5",
        "2024-002",
        "2024-01-02 3:4:5",
        // A fraction of a minute in ISO 8601, minutes and seconds to PostgreSQL.
        "2024-01-02T23:59.5",
        "1.2.2024",
    ] {
        assert_eq!(iso(text), err("timestamp_ambiguous"), "{text}");
    }
}

#[test]
fn t13_forms_of_libraries() {
    let text = "/Date(1704164645123+0100)/";
    assert_eq!(iso(text), err("timestamp_format"));
    for json in ["[2024,1,2,3,4,5,123000000]", r#"{"$date":"2024-01-02T03:04:05Z"}"#] {
        assert_eq!(moment(Value::Json(json), Policy::default()), err("timestamp_format"));
    }
    for text in ["yesterday", "None", "2024", "12:00", "2024-01-02T", "2024-01-02X03:04:05Z", "2024-01-02T03:04:05.Z"] {
        assert_eq!(iso(text), err("timestamp_format"), "{text}");
    }
}

proptest! {
    #[test]
    fn integers_are_read_back(number: i64) {
        prop_assert_eq!(int8(Value::Text(&number.to_string())), Ok(number));
        prop_assert_eq!(int8(Value::Number(&format!("{number}.000"))), Ok(number));
    }

    #[test]
    fn moments_are_read_back(millis in -62_135_596_800_000_i64..253_402_300_800_000) {
        let mut text = String::new();
        push_rfc3339(&mut text, millis);
        prop_assert_eq!(iso(&text), Ok(millis * 1000));
        // jiff's last moment is a day and a bit before the end of the year 9999.
        if millis <= jiff::Timestamp::MAX.as_millisecond() {
            let jiff: jiff::Timestamp = text.parse().unwrap();
            prop_assert_eq!(jiff.as_millisecond(), millis);
        }
    }

    #[test]
    fn no_text_makes_any_encoder_panic(text in "[-+0-9:TZP ./eE,a-zYMDHS]{0,30}", offset in -50_000..50_000_i32) {
        let policy = Policy { assume_offset: Some(offset), epoch_unit: Some(EpochUnit::Auto), ..Policy::default() };
        for column_type in [
            ColumnType::Timestamptz,
            ColumnType::Int8,
            ColumnType::Float4,
            ColumnType::Bool,
            ColumnType::Uuid,
            ColumnType::Numeric(None),
            ColumnType::Numeric(Some(crate::model::NumericLimit { precision: 5, scale: 2 })),
            ColumnType::Date,
            ColumnType::Time(6),
            ColumnType::Timetz(2),
            ColumnType::Timestamp(3),
            ColumnType::Interval(-1),
            ColumnType::Inet,
            ColumnType::Cidr,
            ColumnType::Macaddr8,
        ] {
            let _ = full(column_type.clone(), policy.clone(), Value::Text(&text));
            let _ = full(column_type, policy.clone(), Value::Number(&text));
        }
    }
}
