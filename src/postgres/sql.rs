//! The only file that vouches for SQL text: quoting, and the one door through which built statements are sent.

use crate::model::TableName;
use sqlx::postgres::{PgArguments, Postgres};
use sqlx::{AssertSqlSafe, query::Query};
use std::time::Duration;

/// A quoted identifier.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A quoted, schema-qualified table.
pub fn table_ident(name: &TableName) -> String {
    format!("{}.{}", ident(&name.schema), ident(&name.table))
}

/// A quoted string literal that means the same whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    if text.contains('\\') {
        format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// A statement built from constants, [`ident`]s and [`literal`]s; data goes in as arguments.
///
/// Not a named prepared statement: a pooler in transaction mode may run the next one elsewhere.
pub fn query<'q>(text: impl Into<String>) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(AssertSqlSafe(text.into())).persistent(false)
}

/// A duration as PostgreSQL's timeouts take it: in milliseconds, as many as it knows.
pub fn milliseconds(duration: Duration) -> u128 {
    duration.as_millis().min(i32::MAX as u128)
}

#[cfg(test)]
mod tests {
    use super::{ident, literal};

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(ident("a\"; DROP TABLE x; --"), "\"a\"\"; DROP TABLE x; --\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\'b"), r"E'a\\''b'");
    }
}
