//! Arrays from JSON.

use crate::round_trip::{Kind, column, round_trip, row};
use crate::support;
use proptest::prelude::*;
use redis2pg::encode::{Encoder, Policy, Value};
use redis2pg::model::{ArrayType, ColumnType, Row, Shape};
use redis2pg::postgres::{CopyBuffer, copy_rows};
use sqlx::{Connection, PgConnection, Row as _};

fn array(element: ColumnType, element_oid: u32) -> ColumnType {
    ColumnType::Array(Box::new(ArrayType { element, element_oid }))
}

/// At least one element: an aggregate of none is null.
fn json(element: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let element = prop_oneof![9 => element, 1 => Just("null".to_owned())];
    prop::collection::vec(element, 1..9).prop_map(|items| format!("[{}]", items.join(" ,")))
}

fn quoted(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    text.prop_map(|text| serde_json::to_string(&text).unwrap())
}

#[test]
fn arrays_round_trip() {
    round_trip(array(ColumnType::Int4, 23), "int4[]", Kind::Json, json(any::<i32>().prop_map(|n| n.to_string())));
    round_trip(array(ColumnType::Text, 25), "text[]", Kind::Text, json(quoted("[^\u{0}]{0,9}")));
    round_trip(array(ColumnType::Text, 25), "text[]", Kind::Json, json(quoted("[]\\[,{}\"\\\\ ]{0,9}")));
    round_trip(
        array(ColumnType::Numeric(None), 1700),
        "numeric[]",
        Kind::Json,
        json("-?[1-9][0-9]{0,30}\\.[0-9]{1,9}"),
    );
    round_trip(array(ColumnType::Date, 1082), "date[]", Kind::Json, json("\"20[0-9]{2}-0[1-9]-[12][0-8]\""));
    let uuid = any::<u128>().prop_map(|id| uuid::Uuid::from_u128(id).to_string());
    round_trip(array(ColumnType::Uuid, 2950), "uuid[]", Kind::Json, json(quoted(uuid)));
    round_trip(array(ColumnType::Inet, 869), "inet[]", Kind::Json, json("\"10\\.[1-9][0-9]?\\.0\\.1\""));
}

#[test]
fn dimensions_and_empty_arrays_are_read_back() {
    let (_, url) = support::database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let encoder = Encoder::new(&column("c", array(ColumnType::Int8, 20)), Policy::default()).unwrap();
    for (json, stored) in [
        ("[]", "{}"),
        ("[[1,2,3],[4,null,6]]", "{{1,2,3},{4,NULL,6}}"),
        ("[[[1]],[[2]]]", "{{{1}},{{2}}}"),
        ("[null]", "{NULL}"),
    ] {
        let mut fields = Vec::new();
        encoder.encode(Value::Json(json), &mut fields).unwrap();
        let row = Row { shape: Shape(1), ..row(fields) };
        let found: String = runtime.block_on(async {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            sqlx::raw_sql("CREATE TEMPORARY TABLE t (c int8[])").execute(&mut connection).await.unwrap();
            let copy = "COPY t FROM STDIN (FORMAT binary)";
            copy_rows(&mut connection, &mut CopyBuffer::default(), copy, &[&row], false).await.unwrap();
            sqlx::query("SELECT c::text FROM t").fetch_one(&mut connection).await.unwrap().try_get(0).unwrap()
        });
        assert_eq!(found, stored);
    }
}
