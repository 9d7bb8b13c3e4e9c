//! Columns of which it matters to the server that a statement names them, whatever it sets them to.

use super::sql::query;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// The columns of table `$1` that a statement must not name for a row that has no value for them.
///
/// A trigger for UPDATE OF a generated column fires for any that it is made of: then all are among them. Rights are no matter:
/// they are asked for on the table.
const APART: &str = "WITH RECURSIVE types AS ( \
       SELECT a.attnum, a.atttypid AS oid FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 \
       UNION ALL \
       SELECT y.attnum, t.typbasetype FROM types y JOIN pg_catalog.pg_type t ON t.oid = y.oid WHERE t.typtype = 'd'), \
     relations AS ( \
       SELECT $1::oid AS oid \
       UNION SELECT i.inhrelid FROM relations r JOIN pg_catalog.pg_inherits i ON i.inhparent = r.oid), \
     watched AS ( \
       SELECT a.attname, a.attgenerated <> '' AS is_generated FROM relations r \
       JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D' \
       JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = ANY (t.tgattr::int2[])) \
     SELECT a.attname::text AS name FROM pg_catalog.pg_attribute a \
     WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.attidentity = 'a' \
       OR EXISTS (SELECT FROM watched w WHERE w.is_generated OR w.attname = a.attname) \
       OR EXISTS (SELECT FROM types y JOIN pg_catalog.pg_type t ON t.oid = y.oid WHERE y.attnum = a.attnum \
            AND (t.typnotnull OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid)))) \
     ORDER BY a.attnum";

/// The names of the columns that must not be named for a row that has no value for them: those that triggers for
/// `UPDATE OF` watch, in the table or a partition of it; those that are `GENERATED ALWAYS AS IDENTITY`; and those of domains
/// with constraints, which may refuse a NULL even in a staging table.
///
/// # Errors
/// The server's.
pub(super) async fn read_columns_apart(connection: &mut PgConnection, table: i64) -> Result<Vec<String>, Error> {
    query(APART).bind(table).fetch_all(connection).await?.iter().map(|row| row.try_get("name")).collect()
}
