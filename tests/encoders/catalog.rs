//! Which encoder a column gets, by the catalog of a real server.

use crate::support;
use redis2pg::encode::{Encoder, Policy, has_encoder};
use redis2pg::model::{ArrayType, CastType, ColumnType, NumericLimit, TableName};
use redis2pg::postgres::read_table;
use sqlx::{Connection, PgConnection};

fn array(element: ColumnType, element_oid: u32) -> ColumnType {
    ColumnType::Array(Box::new(ArrayType { element, element_oid }))
}

fn cast(name: &str, has_equality: bool, delimiter: Option<char>) -> ColumnType {
    let sql = format!("\"pg_catalog\".\"{name}\"");
    let element = name.strip_prefix('_').map(|name| format!("\"pg_catalog\".\"{name}\""));
    let equality = has_equality.then(|| "=".to_owned());
    ColumnType::Cast(CastType { name: name.to_owned(), sql, equality, delimiter, element })
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
        ("numeric", ColumnType::Numeric(None)),
        ("numeric(10, 2)", ColumnType::Numeric(Some(NumericLimit { precision: 10, scale: 2 }))),
        ("char(3)", ColumnType::Bpchar(3)),
        ("name", ColumnType::Name),
        ("date", ColumnType::Date),
        ("time", ColumnType::Time(6)),
        ("time(0)", ColumnType::Time(0)),
        ("timetz(3)", ColumnType::Timetz(3)),
        ("timestamp", ColumnType::Timestamp(6)),
        ("timestamp(3)", ColumnType::Timestamp(3)),
        ("timestamptz(6)", ColumnType::Timestamptz),
        ("timestamptz(2)", ColumnType::TimestamptzDigits(2)),
        ("interval", ColumnType::Interval(-1)),
        ("inet", ColumnType::Inet),
        ("cidr", ColumnType::Cidr),
        ("macaddr", ColumnType::Macaddr),
        ("macaddr8", ColumnType::Macaddr8),
        ("money_due", ColumnType::Numeric(Some(NumericLimit { precision: 6, scale: 1 }))),
        ("int4[]", array(ColumnType::Int4, 23)),
        ("varchar(7)[][]", array(ColumnType::Varchar(7), 1043)),
        ("numbers", array(ColumnType::Int2, 21)),
        ("money", cast("money", true, None)),
        ("oid", cast("oid", true, None)),
        ("pg_lsn", cast("pg_lsn", true, None)),
        ("point", cast("point", false, None)),
        ("box", cast("box", false, None)),
        ("box[]", cast("_box", false, Some(';'))),
        ("int8range", cast("int8range", true, None)),
        ("int4multirange", cast("int4multirange", true, None)),
        ("bit(8)", cast("bit", true, None)),
        ("tsvector", cast("tsvector", true, None)),
        ("tsvector[]", cast("_tsvector", true, Some(','))),
        ("regclass", cast("regclass", false, None)),
        ("xml", cast("xml", false, None)),
        ("jsonpath", cast("jsonpath", false, None)),
        ("\"char\"", cast("char", true, None)),
        ("pg_snapshot", cast("pg_snapshot", false, None)),
        ("mood", ColumnType::Enum(vec!["ok".into(), "sad".into()])),
        ("positive", ColumnType::Int8),
    ];
    // The server makes these itself.
    let unknown = ["pg_node_tree", "pg_mcv_list", "gtsvector", "gtsvector[]"];
    let (name, url) = support::database();
    let types: Vec<&str> = known.iter().map(|(name, _)| *name).chain(unknown).collect();
    let columns: Vec<String> = types.iter().enumerate().map(|(place, kind)| format!("c{place} {kind}")).collect();
    let sql = format!(
        "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE DOMAIN positive AS int8 CHECK (VALUE > 0); \
         CREATE DOMAIN money_due AS numeric(6, 1); CREATE DOMAIN numbers AS int2[]; \
         CREATE TABLE every (id text PRIMARY KEY, {})",
        columns.join(", ")
    );
    support::postgres().execute(&name, &sql).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let facts = runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let table = TableName { schema: "public".into(), table: "every".into() };
        read_table(&mut connection, &table).await.unwrap().unwrap()
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
