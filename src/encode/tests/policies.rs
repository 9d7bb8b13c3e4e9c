//! Repairs that a column asks for, each under its name.

use super::super::{Nonfinite, Note, Nul, Policy, TooLong, Value};
use super::{EpochUnit, full};
use crate::model::{ArrayType, ColumnType, NumericLimit};

fn made(column_type: ColumnType, policy: &Policy, text: &str) -> Result<(Vec<u8>, Note), String> {
    full(column_type, policy.clone(), Value::Text(text)).map_err(|error| error.reason.into_owned())
}

#[test]
fn p05_a_text_that_is_too_long_is_cut_where_configured() {
    let policy = Policy { too_long: Some(TooLong::Truncate), ..Policy::default() };
    let cut = |text: &str| Ok((text.as_bytes().to_vec(), Some("too_long")));
    assert_eq!(made(ColumnType::Varchar(5), &policy, "日本語日本語"), cut("日本語日本"));
    assert_eq!(made(ColumnType::Varchar(5), &policy, "abc        "), cut("abc  "));
    assert_eq!(made(ColumnType::Bpchar(2), &policy, "abc"), cut("ab"));
    assert_eq!(made(ColumnType::Name, &policy, &"ü".repeat(40)), cut(&"ü".repeat(31)));
    assert_eq!(made(ColumnType::Varchar(5), &policy, "abcde"), Ok((b"abcde".to_vec(), None)));
    assert_eq!(made(ColumnType::Varchar(5), &policy, "a\0"), Err("text_nul".into()));
}

#[test]
fn v01_a_nul_in_a_text_is_left_out_or_replaced_where_configured() {
    let strip = Policy { nul: Some(Nul::Strip), ..Policy::default() };
    let replace = Policy { nul: Some(Nul::Replace), ..Policy::default() };
    assert_eq!(made(ColumnType::Text, &strip, "a\0b\0"), Ok((b"ab".to_vec(), Some("nul"))));
    assert_eq!(
        made(ColumnType::Citext("=".into()), &replace, "a\0"),
        Ok(("a\u{fffd}".as_bytes().to_vec(), Some("nul")))
    );
    assert_eq!(made(ColumnType::Jsonb, &strip, "a\0b"), Ok((b"\x01\"ab\"".to_vec(), Some("nul"))));
    assert_eq!(made(ColumnType::Varchar(2), &strip, "a\0b"), Ok((b"ab".to_vec(), Some("nul"))));
    assert_eq!(made(ColumnType::Varchar(2), &replace, "a\0b"), Err("too_long".into()));
    let both = Policy { too_long: Some(TooLong::Truncate), ..strip };
    assert_eq!(made(ColumnType::Varchar(2), &both, "a\0bcd"), Ok((b"ab".to_vec(), Some("nul"))));
}

#[test]
fn v05_what_is_not_finite_is_null_or_kept_where_configured() {
    let null = Policy { nonfinite: Some(Nonfinite::Null), ..Policy::default() };
    let keep = Policy { nonfinite: Some(Nonfinite::Keep), ..Policy::default() };
    let numeric = || ColumnType::Numeric(None);
    for text in ["NaN", "nan", "Infinity", "-Infinity", "+inf"] {
        for column_type in [ColumnType::Float4, ColumnType::Float8, numeric()] {
            assert_eq!(made(column_type.clone(), &Policy::default(), text), Err("number".into()));
            assert_eq!(made(column_type, &null, text), Ok((Vec::new(), Some("nonfinite"))), "{text}");
        }
    }
    assert_eq!(made(ColumnType::Float8, &keep, "-inf"), Ok((f64::NEG_INFINITY.to_be_bytes().to_vec(), None)));
    assert_eq!(made(numeric(), &keep, "NaN"), Ok((vec![0, 0, 0, 0, 0xc0, 0, 0, 0], None)));
    let limited = ColumnType::Numeric(Some(NumericLimit { precision: 3, scale: 0 }));
    assert_eq!(made(limited, &keep, "Infinity"), Err("number_range".into()));
    assert_eq!(made(ColumnType::Float8, &null, "1e400"), Err("number_range".into()));
}

#[test]
fn v29_an_integer_with_an_exponent_is_refused_where_configured() {
    let policy = Policy { reject_exponent: true, ..Policy::default() };
    assert_eq!(made(ColumnType::Int8, &policy, "1.2e3"), Err("integer_from_exponent".into()));
    assert_eq!(made(ColumnType::Int8, &policy, "1200"), Ok((1200_i64.to_be_bytes().to_vec(), None)));
}

#[test]
fn a_number_is_an_interval_in_the_unit_that_is_configured() {
    let interval = |unit, number| {
        let policy = Policy { epoch_unit: Some(unit), ..Policy::default() };
        made(ColumnType::Interval(-1), &policy, number).map(|(bytes, _)| bytes)
    };
    let iso = |text| made(ColumnType::Interval(-1), &Policy::default(), text).map(|(bytes, _)| bytes);
    assert_eq!(interval(EpochUnit::S, "90.5"), iso("PT1M30.5S"));
    assert_eq!(interval(EpochUnit::Ms, "-1500"), iso("-PT1.5S"));
    assert_eq!(interval(EpochUnit::Ns, "1500"), Err("too_precise".into()));
}

#[test]
fn a_repair_of_an_element_is_the_arrays() {
    let array = ColumnType::Array(Box::new(ArrayType { element: ColumnType::Varchar(2), element_oid: 1043 }));
    let policy = Policy { too_long: Some(TooLong::Truncate), null_tokens: vec!["-".into()], ..Policy::default() };
    let repaired = full(array.clone(), policy, Value::Json(r#"["ab","abc","-"]"#)).unwrap();
    let stored = full(array, Policy::default(), Value::Json(r#"["ab","ab",null]"#)).unwrap().0;
    assert_eq!(repaired, (stored, Some("too_long")));
}
