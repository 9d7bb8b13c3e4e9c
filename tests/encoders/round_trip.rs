//! Values through the encoder and binary COPY into a real table, and back.

use crate::support;
use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis2pg::encode::{Encoder, Policy, Value};
use redis2pg::model::{Column, ColumnType, Digest, Losses, RedisKey, RedisType, Row, Shape};
use redis2pg::postgres::{CopyBuffer, copy_rows};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row as _};
use std::cell::RefCell;

/// Property cases for each type; each case is one COPY of up to [`VALUES`] values.
const CASES: u32 = 24;
const VALUES: usize = 40;

/// How a value is given to the encoder.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    Number,
    Json,
}

pub(crate) fn column(name: &str, column_type: ColumnType) -> Column {
    Column { name: name.into(), column_type, not_null: false, has_default: false, generated: false }
}

pub(crate) fn row(fields: Vec<u8>) -> Row {
    Row {
        redis_type: RedisType::String,
        group: None,
        element: 0,
        key: RedisKey::new("k"),
        value: Bytes::new(),
        stored: None,
        expires_at: None,
        facts: None,
        digest: Digest::default(),
        shape: Shape(0b11),
        fields: fields.into(),
        splice: None,
        key_len: 8,
        parent_keys: Vec::new(),
        altered: Vec::new(),
        losses: Losses::default(),
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
    let (stored, wanted) = read_back(column_type, sql_type);
    let sql = format!(
        "SELECT coalesce(x, 'NULL') || ' became ' || coalesce(c::text, 'NULL') FROM unnest($1::text[]) \
         WITH ORDINALITY u (x, ord) LEFT JOIN t ON n = ord - 1 WHERE n IS NULL OR {stored} IS DISTINCT FROM {wanted}"
    );
    let found = sqlx::query(AssertSqlSafe(sql)).bind(values).fetch_all(&mut *transaction).await?;
    transaction.rollback().await?;
    found.iter().map(|row| row.try_get(0)).collect()
}

/// What is stored, and the value as PostgreSQL itself reads it, as SQL expressions.
fn read_back(column_type: &ColumnType, sql_type: &str) -> (&'static str, String) {
    match column_type {
        // json has no equality of its own: its text is what must stay. bytea takes the text's bytes.
        ColumnType::Json => ("c::text", "x".to_owned()),
        ColumnType::Bytea => ("c", "convert_to(x, 'UTF8')".to_owned()),
        // Equal ones may still differ, such as 1.0 and 1.00, or '1 mon' and '30 days'.
        ColumnType::Numeric(_) | ColumnType::Interval(_) | ColumnType::Citext(_) => {
            ("c::text", format!("x::{sql_type}::text"))
        }
        ColumnType::Array(_) => {
            let element = sql_type.strip_suffix("[]").unwrap();
            ("c", format!("(SELECT array_agg(e::{element}) FROM jsonb_array_elements_text(x::jsonb) e)"))
        }
        _ => ("c", format!("x::{sql_type}")),
    }
}

/// Fails unless every value of the strategy is read back equal.
pub(crate) fn round_trip(column_type: ColumnType, sql_type: &str, kind: Kind, value: impl Strategy<Value = String>) {
    let (_, url) = support::database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connection = RefCell::new(runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        // Nothing of what is stored may depend on the session.
        let session = "SET timezone = 'America/New_York'; SET datestyle = 'SQL, DMY'; SET intervalstyle = 'iso_8601'; \
                       CREATE TYPE mood AS ENUM ('ok', 'sad', 'so so', 'ü')";
        sqlx::raw_sql(session).execute(&mut connection).await.unwrap();
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
