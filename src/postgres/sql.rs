//! The only file that vouches for SQL text: quoting, and the two doors through which built statements are sent.
//!
//! Both see to it, where assertions are on (the tests), that no function is called without its schema.

use super::qualified::unqualified;
use crate::model::TableName;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::{AssertSqlSafe, RawSql, query::Query};
use std::time::Duration;

/// A quoted identifier.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A quoted, schema-qualified table.
pub fn table_ident(name: &TableName) -> String {
    format!("{}.{}", ident(&name.schema), ident(&name.table))
}

/// The words that PostgreSQL takes for something else where a name stands bare.
const RESERVED: &str = " all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate \
    collation column concurrently constraint create cross current_catalog current_date current_role current_schema \
    current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch for \
    foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral leading \
    left like limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing \
    primary references returning right select session_user similar some symmetric table tablesample then to trailing \
    true union unique user using variadic verbose when where window with ";

/// An identifier as people write it: quoted only where it must be. For statements that are shown, not sent.
pub fn shown_ident(name: &str) -> String {
    let first = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
    let plain = name.as_bytes().first().is_some_and(first)
        && name.bytes().all(|byte| first(&byte) || byte.is_ascii_digit() || byte == b'$')
        && !RESERVED.contains(&format!(" {name} "));
    if plain { name.to_owned() } else { ident(name) }
}

/// A table, or what is named like one, as people write it.
pub fn shown_table(name: &TableName) -> String {
    format!("{}.{}", shown_ident(&name.schema), shown_ident(&name.table))
}

/// A list of columns as people write it.
pub fn shown_list(names: &[String]) -> String {
    names.iter().map(|name| shown_ident(name)).collect::<Vec<_>>().join(", ")
}

/// A quoted string literal that means the same whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Whether two values of one type differ, where NULL is a value; the type's equality is one of PostgreSQL's own, which may be one of other
/// types (`varchar` has that of `text`). `IS DISTINCT FROM` takes the best that the search path has, whoever made it.
pub fn distinct(one: &str, other: &str) -> String {
    format!("coalesce(NOT {one} OPERATOR(pg_catalog.=) {other}, ({one} IS NULL) <> ({other} IS NULL))")
}

/// A value as text that is the same as another only where it is so byte by byte, whatever the collation of its column takes for equal.
pub fn exact_text(value: &str) -> String {
    format!("{value}::text COLLATE pg_catalog.\"C\"")
}

/// A statement built from constants, [`ident`]s and [`literal`]s; data goes in as arguments.
///
/// Not a named prepared statement: a pooler in transaction mode may run the next one elsewhere.
pub fn query<'q>(text: impl Into<String>) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(checked(text.into())).persistent(false)
}

/// As [`query`], with conditions of a table in it as PostgreSQL has printed them: it names the schema of a function where another one
/// would be found without.
pub fn query_with_conditions<'q>(text: impl Into<String>) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(AssertSqlSafe(text.into())).persistent(false)
}

/// Statements without arguments, which go to the server in one message; built as for [`query`].
pub fn script(text: impl Into<String>) -> RawSql {
    sqlx::raw_sql(checked(text.into()))
}

/// A script that a person has read and could have run himself: a preset's tables. Its functions have no arguments, which no other's can fit
/// better.
pub fn published_script(text: &'static str) -> RawSql {
    sqlx::raw_sql(AssertSqlSafe(text))
}

fn checked(text: String) -> AssertSqlSafe<String> {
    debug_assert_eq!(unqualified(&text), None, "a function is called without its schema: {text}");
    AssertSqlSafe(text)
}

/// A duration as PostgreSQL's timeouts take it: in milliseconds, as many as it knows.
pub fn milliseconds(duration: Duration) -> u128 {
    duration.as_millis().min(i32::MAX as u128)
}

/// Set first in each transaction that locks rows and asks what they are then: a new statement has to see what was committed
/// while the locks were waited for, whatever a role's or database's default for transactions is.
pub const READ_COMMITTED: &str = "SET LOCAL transaction_isolation = 'read committed'; ";

#[cfg(test)]
mod tests {
    use super::{ident, literal, shown_ident};

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(ident("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\'b"), r"E'a\\''b'");
    }

    #[test]
    fn names_are_shown_bare_where_they_can_be() {
        for (name, shown) in
            [("items", "items"), ("a$1", "a$1"), ("Items", "\"Items\""), ("order", "\"order\""), ("1a", "\"1a\"")]
        {
            assert_eq!(shown_ident(name), shown);
        }
    }
}
