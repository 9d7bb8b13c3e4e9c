//! What a table does to rows by itself before they are stored: triggers for each row, and rules.

use super::sql::query;
use crate::model::TableName;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// A trigger that runs before a row is stored, and can change it or drop it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowTrigger {
    /// Its name.
    pub name: String,
    /// The table that has it: the table itself, or one of its partitions.
    pub table: TableName,
    /// The text of its function.
    pub source: String,
}

/// A rule for INSERT or UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// `INSERT` or `UPDATE`.
    pub event: String,
    /// Whether it takes the place of the statement, for all rows.
    pub replaces_all: bool,
    /// Whether it is on. One for UPDATE keeps `INSERT … ON CONFLICT` from working even where it is off.
    pub enabled: bool,
}

/// The triggers BEFORE INSERT or UPDATE FOR EACH ROW that fire for us, of the table and of its partitions. A partition's copy
/// of its table's trigger is left out.
///
/// # Errors
/// The server's.
pub(super) async fn read_row_triggers(connection: &mut PgConnection, table: i64) -> Result<Vec<RowTrigger>, Error> {
    // The bits of tgtype: 1 for each row, 2 before, 4 on insert, 16 on update.
    query(
        "SELECT t.tgname::text AS name, n.nspname::text AS schema, c.relname::text AS relation, p.prosrc AS source \
         FROM (SELECT $1::oid AS oid UNION SELECT relid FROM pg_catalog.pg_partition_tree($1::oid::regclass)) r \
         JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid JOIN pg_catalog.pg_class c ON c.oid = r.oid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid \
         WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 3 = 3 AND t.tgtype & 20 <> 0 \
         AND (r.oid = $1::oid OR NOT EXISTS (SELECT FROM pg_catalog.pg_trigger o WHERE o.tgrelid = $1::oid \
              AND o.tgname = t.tgname AND o.tgfoid = t.tgfoid)) ORDER BY c.oid <> $1::oid, c.oid, t.tgname",
    )
    .bind(table)
    .fetch_all(connection)
    .await?
    .iter()
    .map(|row| {
        Ok(RowTrigger {
            name: row.try_get("name")?,
            table: TableName { schema: row.try_get("schema")?, table: row.try_get("relation")? },
            source: row.try_get("source")?,
        })
    })
    .collect()
}

/// Whether any trigger of the table or of its partitions fires for us when rows are inserted: before it or after, for each row
/// or for all. Those of constraints are the server's own and change nothing.
///
/// # Errors
/// The server's.
pub(super) async fn has_insert_triggers(connection: &mut PgConnection, table: i64) -> Result<bool, Error> {
    query(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') \
         AND t.tgtype & 4 <> 0 AND (t.tgrelid = $1::oid OR t.tgrelid IN \
           (SELECT relid FROM pg_catalog.pg_partition_tree($1::oid::regclass))))",
    )
    .bind(table)
    .fetch_one(connection)
    .await?
    .try_get(0)
}

/// The table's rules for INSERT and UPDATE, those that are off among them.
///
/// # Errors
/// The server's.
pub(super) async fn read_rules(connection: &mut PgConnection, table: i64) -> Result<Vec<Rule>, Error> {
    query(
        "SELECT r.rulename::text AS name, CASE r.ev_type WHEN '3' THEN 'INSERT' ELSE 'UPDATE' END AS event, \
         r.is_instead AND r.ev_qual::text = '<>' AS replaces_all, r.ev_enabled IN ('O', 'A') AS enabled \
         FROM pg_catalog.pg_rewrite r WHERE r.ev_class = $1::oid AND r.ev_type IN ('2', '3') ORDER BY r.rulename",
    )
    .bind(table)
    .fetch_all(connection)
    .await?
    .iter()
    .map(|row| {
        Ok(Rule {
            name: row.try_get("name")?,
            event: row.try_get("event")?,
            replaces_all: row.try_get("replaces_all")?,
            enabled: row.try_get("enabled")?,
        })
    })
    .collect()
}
