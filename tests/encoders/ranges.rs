//! Ranges under texts that are nearly right: what is sent for one is the range that PostgreSQL reads in the text itself.

use crate::oracle::{near, texts};
use crate::round_trip::column;
use crate::support;
use redis2pg::encode::{Encoder, Policy, Value};
use redis2pg::model::{CastType, ColumnType};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row as _};

const TEXTS: usize = 3_000;

/// Fails where a text that the encoder takes is another range to PostgreSQL, read as `x`, or none.
#[track_caller]
fn agrees(name: &str, read: &str, seeds: &'static [&'static str], alphabet: &str) {
    let sql = format!("\"pg_catalog\".\"{name}\"");
    let cast = CastType { name: name.to_owned(), sql, equality: None, delimiter: None, element: None };
    let encoder = Encoder::new(&column("c", ColumnType::Cast(cast)), Policy::default()).unwrap();
    let (mut given, mut sent) = (Vec::new(), Vec::new());
    for text in texts(&near(seeds, alphabet), TEXTS) {
        let mut field = Vec::new();
        if encoder.encode(Value::Text(&text), &mut field).is_ok() {
            sent.push(String::from_utf8(field.split_off(4)).unwrap());
            given.push(text);
        }
    }
    assert!(given.len() > TEXTS / 20, "{name}: only {} texts were accepted", given.len());
    // What its reader refuses, such as a lower bound above the upper one, it refuses in what is sent as well.
    let setup = format!(
        "SET timezone = 'UTC'; \
         CREATE FUNCTION given(x text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN ({read})::text; \
         EXCEPTION WHEN others THEN RETURN SQLERRM; END $$; \
         CREATE FUNCTION sent(x text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN x::{name}::text; \
         EXCEPTION WHEN others THEN RETURN SQLERRM; END $$"
    );
    let (_, url) = support::database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let wrong: Vec<String> = runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(setup)).execute(&mut connection).await.unwrap();
        let query =
            "SELECT x, sent(s), given(x) FROM unnest($1::text[], $2::text[]) u (x, s) WHERE sent(s) <> given(x)";
        let found = sqlx::query(query).bind(&given).bind(&sent).fetch_all(&mut connection).await.unwrap();
        found.iter().map(|row| [0, 1, 2].map(|column| row.get::<String, _>(column)).join(" | ")).collect()
    });
    assert!(wrong.is_empty(), "{name}: {wrong:#?}");
}

// Integers with an exponent are integers here and none to the server: no letter e.
#[test]
fn ranges_of_numbers() {
    let seeds = &["[1,3]", "(,5)", "[-2147483648,9)", "(1,\"2\")", "[7,7] ", " [2,)", "[\\3,\"4\"\"\"]"];
    agrees("int4range", "x::int4range", seeds, "0123456789,-+[]()\"\\ _x");
    agrees("int8range", "x::int8range", seeds, "0123456789,-+[]()\"\\ _x");
    let seeds = &["[1.50,2e3)", "(,-0.1]", "empty", "[1,1]", "[\"1.5\",2 ]", "(0,1e-3)", "[ 1,)"];
    agrees("numrange", "x::numrange", seeds, "0123456789.,-+[]()\"\\ eNaninf");
}

#[test]
fn several_ranges() {
    let seeds = &["{[1,2), [5,7]}", "{}", "{(,1],[3,)}", " { [1,3] } ", "{[\"1\",2)}"];
    agrees("int4multirange", "x::int4multirange", seeds, "0123456789,-[](){}\"\\ ");
}

#[test]
fn ranges_of_moments() {
    let days = &["[2024-01-02,2024-02-29)", "(,2024-01-02]", "[2024-12-31,)", "[\"2024-01-02\",infinity)", "empty"];
    agrees("daterange", "x::daterange", days, "0123456789-,[]()\"\\ T:Z");
    let moments = &[
        "[2024-01-02 03:04:05+05:30,)",
        "(2024-01-02T03:04:05.1234567Z,2025-01-02 03:04)",
        "[,\"2024-02-29 23:59:59-08\"]",
        "[2024-01-02,now)",
        "empty",
    ];
    // More than six digits of a second are cut, where PostgreSQL rounds.
    // (Quotes and backslashes may stand among the digits; no moment needs them.)
    let cut = "regexp_replace(translate(x, '\"\\', ''), '(:[0-9]+[.][0-9]{6})[0-9]+', '\\1', 'g')::tstzrange";
    agrees("tstzrange", cut, moments, "0123456789-,[]()\"\\ :.TZ+");
}
