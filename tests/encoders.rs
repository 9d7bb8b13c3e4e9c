//! Whatever an encoder accepts is read back equal from a real PostgreSQL, and what has no encoder is known beforehand.
//!
//! PostgreSQL's own reader of text is the judge: a value that went in through binary COPY must equal the same text
//! cast to the column's type.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis2pg::encode::{Encoder, Policy, Value, has_encoder};
use redis2pg::model::{Column, ColumnType, Digest, RedisKey, RedisType, Row, Shape, TableName};
use redis2pg::postgres::{CopyBuffer, copy_rows, read_table};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row as _};
use std::cell::RefCell;

/// Property cases for each type; each case is one COPY of up to [`VALUES`] values.
const CASES: u32 = 24;
const VALUES: usize = 40;

/// How a value is given to the encoder.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Number,
    Json,
}

fn column(name: &str, column_type: ColumnType) -> Column {
    Column { name: name.into(), column_type, not_null: false, has_default: false, generated: false }
}

fn row(fields: Vec<u8>) -> Row {
    Row {
        redis_type: RedisType::String,
        key: RedisKey::new("k"),
        value: Bytes::new(),
        digest: Digest::default(),
        shape: Shape(0b11),
        fields: fields.into(),
        splice: None,
        key_len: 8,
        group: None,
        parent_keys: Vec::new(),
        altered: Vec::new(),
    }
}

/// Sends values through the encoder and COPY, and gives those that PostgreSQL does not read back equal.
async fn unequal(
    connection: &mut PgConnection,
    (column_type, sql_type): (&ColumnType, &str),
    kind: Kind,
    values: &[Option<String>],
) -> Result<Vec<String>, sqlx::Error> {
    let number = Encoder::new(&column("n", ColumnType::Int4), Policy::default()).unwrap();
    let encoder = Encoder::new(&column("c", column_type.clone()), Policy::default()).unwrap();
    let mut rows = Vec::new();
    for (place, value) in values.iter().enumerate() {
        let mut fields = Vec::new();
        number.encode(Value::Number(&place.to_string()), &mut fields).unwrap();
        let value = match (value, kind) {
            (None, _) => Value::Null,
            (Some(text), Kind::Text) => Value::Text(text),
            (Some(text), Kind::Number) => Value::Number(text),
            (Some(text), Kind::Json) => Value::Json(text),
        };
        let encoded = encoder.encode(value, &mut fields);
        assert!(encoded.is_ok(), "{value:?}: {encoded:?}");
        rows.push(row(fields));
    }
    let rows: Vec<&Row> = rows.iter().collect();
    let mut transaction = connection.begin().await?;
    let create = format!("CREATE TEMPORARY TABLE t (n int4, c {sql_type}) ON COMMIT DROP");
    sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *transaction).await?;
    let (mut buffer, copy) = (CopyBuffer::default(), "COPY t FROM STDIN (FORMAT binary)");
    let copied = copy_rows(&mut transaction, &mut buffer, copy, &rows, false).await?;
    assert_eq!(copied, values.len() as u64);
    // json has no equality of its own: its text is what must stay. bytea takes the text's bytes.
    let (stored, wanted) = match column_type {
        ColumnType::Json => ("c::text", "x".to_owned()),
        ColumnType::Bytea => ("c", "convert_to(x, 'UTF8')".to_owned()),
        _ => ("c", format!("x::{sql_type}")),
    };
    let sql = format!(
        "SELECT coalesce(x, 'NULL') || ' became ' || coalesce(c::text, 'NULL') FROM unnest($1::text[]) \
         WITH ORDINALITY u (x, ord) LEFT JOIN t ON n = ord - 1 WHERE n IS NULL OR {stored} IS DISTINCT FROM {wanted}"
    );
    let found = sqlx::query(AssertSqlSafe(sql)).bind(values).fetch_all(&mut *transaction).await?;
    transaction.rollback().await?;
    found.iter().map(|row| row.try_get(0)).collect()
}

/// Fails unless every value of the strategy is read back equal.
fn round_trip(column_type: ColumnType, sql_type: &str, kind: Kind, value: impl Strategy<Value = String>) {
    let (_, url) = support::database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connection = RefCell::new(runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        // Nothing of what is stored may depend on the session.
        sqlx::raw_sql("SET timezone = 'America/New_York'; CREATE TYPE mood AS ENUM ('ok', 'sad', 'so so', 'ü')")
            .execute(&mut connection)
            .await
            .unwrap();
        connection
    }));
    let values = prop::collection::vec(prop::option::weighted(0.9, value), 1..VALUES);
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let checked = runner.run(&values, |values| {
        let mut connection = connection.borrow_mut();
        let found = runtime.block_on(unequal(&mut connection, (&column_type, sql_type), kind, &values));
        prop_assert_eq!(found.unwrap(), Vec::<String>::new());
        Ok(())
    });
    checked.unwrap();
}

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

#[test]
fn the_catalog_says_which_encoder_a_column_gets_and_which_columns_get_none() {
    let known = [
        ("bool", ColumnType::Bool),
        ("int2", ColumnType::Int2),
        ("int4", ColumnType::Int4),
        ("int8", ColumnType::Int8),
        ("float4", ColumnType::Float4),
        ("float8", ColumnType::Float8),
        ("text", ColumnType::Text),
        ("varchar", ColumnType::Text),
        ("varchar(7)", ColumnType::Varchar(7)),
        ("uuid", ColumnType::Uuid),
        ("json", ColumnType::Json),
        ("jsonb", ColumnType::Jsonb),
        ("timestamptz", ColumnType::Timestamptz),
        ("bytea", ColumnType::Bytea),
        ("mood", ColumnType::Enum(vec!["ok".into(), "sad".into()])),
        ("positive", ColumnType::Int8),
    ];
    // Several are as wide as a type that has an encoder, and would store its bytes as garbage without an error.
    let unknown = [
        "timestamp",
        "date",
        "time",
        "timetz",
        "interval",
        "money",
        "oid",
        "xid8",
        "pg_lsn",
        "inet",
        "cidr",
        "macaddr8",
        "point",
        "box",
        "int4[]",
        "text[]",
        "int8range",
        "bit(8)",
        "varbit",
        "tsvector",
        "regclass",
        "\"char\"",
    ];
    let (name, url) = support::database();
    let types: Vec<&str> = known.iter().map(|(name, _)| *name).chain(unknown).collect();
    let columns: Vec<String> = types.iter().enumerate().map(|(place, kind)| format!("c{place} {kind}")).collect();
    let sql = format!(
        "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE DOMAIN positive AS int8 CHECK (VALUE > 0); \
         CREATE TABLE every (id text PRIMARY KEY, {})",
        columns.join(", ")
    );
    support::postgres().execute(&name, &sql).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let facts = runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let table = TableName { schema: "public".into(), table: "every".into() };
        read_table(&mut connection, &table, &["id".to_owned()]).await.unwrap().unwrap()
    });
    for (place, kind) in types.iter().enumerate() {
        let column = facts.table.column(&format!("c{place}")).unwrap();
        match known.get(place) {
            Some((_, wanted)) => {
                assert_eq!(&column.column_type, wanted, "{kind}");
                assert!(has_encoder(wanted) && Encoder::new(column, Policy::default()).is_some(), "{kind}");
            }
            None => {
                assert!(matches!(column.column_type, ColumnType::Unsupported(_)), "{kind}: {:?}", column.column_type);
                assert!(Encoder::new(column, Policy::default()).is_none(), "{kind}");
            }
        }
    }
}
