//! Whatever an encoder accepts is read back equal from a real PostgreSQL, and what has no encoder is known beforehand.
//!
//! PostgreSQL's own reader of text is the judge: a value that went in through binary COPY must equal the same text
//! cast to the column's type.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod arrays;
mod catalog;
mod formats;
mod further;
mod near;
mod oracle;
mod ranges;
mod round_trip;
#[path = "../support/mod.rs"]
mod support;

use proptest::prelude::*;
use redis2pg::encode::{Encoder, Policy, Value};
use redis2pg::model::{ColumnType, Row, Shape};
use redis2pg::postgres::{CopyBuffer, copy_rows};
use round_trip::{Kind, column, round_trip, row};
use sqlx::{Connection, PgConnection, Row as _};

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[^\u{0}]{0,40}", "[ -~]{0,200}", Just("a\\b\t\n\"'".to_owned())]
}

/// Strings, escapes, numbers of any length, arrays and objects.
fn json() -> impl Strategy<Value = String> {
    let string = "[^\u{0}]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap());
    let number = prop_oneof!["-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?"];
    let word = prop_oneof![Just("true"), Just("false"), Just("null"), Just(r#""\ud83d\ude00\/""#)];
    let leaf = prop_oneof![string.clone(), number, word.prop_map(str::to_owned)];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(("[a-c]{0,2}", inner), 0..6).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(key, value)| format!("{key:?} :{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn moment() -> impl Strategy<Value = String> {
    let date = (1..=9999_u32, 1..=12_u32, 1..=28_u32);
    let time = (0..24_u32, 0..60_u32, 0..60_u32);
    let fraction = prop_oneof![Just(String::new()), "\\.[0-9]{1,6}"];
    let zone =
        prop_oneof![Just("Z".to_owned()), "[+-](0[0-9]|1[0-4]):[0-5][0-9]", "[+-]0[0-9]", "[+-]0[0-9][0-5][0-9]"];
    (date, time, prop_oneof![Just('T'), Just(' ')], fraction, zone).prop_map(
        |((year, month, day), (hour, minute, second), between, fraction, zone)| {
            format!("{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}{fraction}{zone}")
        },
    )
}

#[test]
fn booleans_round_trip() {
    let tokens = ["true", "f", "YES", "no", "on", "OFF", "1", "0", "True", "False"].map(str::to_owned);
    round_trip(ColumnType::Bool, "bool", Kind::Text, prop::sample::select(tokens.to_vec()));
}

#[test]
fn integers_round_trip() {
    round_trip(ColumnType::Int2, "int2", Kind::Number, any::<i16>().prop_map(|n| n.to_string()));
    round_trip(ColumnType::Int4, "int4", Kind::Text, any::<i32>().prop_map(|n| n.to_string()));
    let edges = prop_oneof![any::<i64>(), Just(i64::MAX), Just(i64::MIN), -9..9_i64];
    round_trip(ColumnType::Int8, "int8", Kind::Number, edges.prop_map(|n| n.to_string()));
}

#[test]
fn floats_round_trip_to_the_last_bit() {
    use prop::num::{f32, f64};
    let single = f32::NORMAL | f32::SUBNORMAL | f32::ZERO | f32::NEGATIVE;
    round_trip(ColumnType::Float4, "float4", Kind::Number, single.prop_map(|n| format!("{n:e}")));
    let double = f64::NORMAL | f64::SUBNORMAL | f64::ZERO | f64::NEGATIVE;
    round_trip(ColumnType::Float8, "float8", Kind::Text, double.prop_map(|n| format!("{n:e}")));
    round_trip(ColumnType::Float8, "float8", Kind::Number, "-?[0-9]{1,40}\\.[0-9]{1,40}");
}

#[test]
fn texts_round_trip() {
    round_trip(ColumnType::Text, "text", Kind::Text, text());
    round_trip(ColumnType::Varchar(12), "varchar(12)", Kind::Text, "[^\u{0}]{0,12}");
    round_trip(ColumnType::Bytea, "bytea", Kind::Text, text());
    let labels = ["ok", "sad", "so so", "ü"];
    let mood = ColumnType::Enum(labels.map(str::to_owned).into());
    round_trip(mood, "mood", Kind::Text, prop::sample::select(labels.map(str::to_owned).to_vec()));
}

#[test]
fn uuids_round_trip_in_every_spelling() {
    let spelling = (any::<u128>(), 0..4).prop_map(|(number, form)| {
        let id = uuid::Uuid::from_u128(number);
        match form {
            0 => id.to_string(),
            1 => id.simple().to_string(),
            2 => id.braced().to_string(),
            _ => id.to_string().to_uppercase(),
        }
    });
    round_trip(ColumnType::Uuid, "uuid", Kind::Text, spelling);
}

#[test]
fn json_round_trips_to_the_last_digit() {
    round_trip(ColumnType::Jsonb, "jsonb", Kind::Json, json());
    round_trip(ColumnType::Json, "json", Kind::Json, json());
}

#[test]
fn text_becomes_a_json_string() {
    let (_, url) = support::database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let encoder = Encoder::new(&column("c", ColumnType::Jsonb), Policy::default()).unwrap();
    for text in ["plain", "a\"b\\c\n\u{1}", "{\"a\":1}", "😀", ""] {
        let mut fields = Vec::new();
        encoder.encode(Value::Text(text), &mut fields).unwrap();
        let row = Row { shape: Shape(1), ..row(fields) };
        let stored: String = runtime.block_on(async {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            sqlx::raw_sql("CREATE TEMPORARY TABLE t (c jsonb)").execute(&mut connection).await.unwrap();
            let copy = "COPY t FROM STDIN (FORMAT binary)";
            copy_rows(&mut connection, &mut CopyBuffer::default(), copy, &[&row], false).await.unwrap();
            let row = sqlx::query("SELECT c #>> '{}' FROM t").fetch_one(&mut connection).await.unwrap();
            row.try_get(0).unwrap()
        });
        assert_eq!(stored, text);
    }
}

#[test]
fn moments_round_trip_in_any_session_time_zone() {
    round_trip(ColumnType::Timestamptz, "timestamptz", Kind::Text, moment());
}
