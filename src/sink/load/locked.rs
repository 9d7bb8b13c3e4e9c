//! Rows that are to be deleted, as they are under their locks: whose they are, and whether others refer to them.
//!
//! Both are asked in a statement of its own, once the locks are held: the one that waits for a lock judges by what was
//! committed before it began, and a row that refers to another may have been committed meanwhile. Nobody can add one
//! while the lock is held.

use super::key_record::key_record;
use super::statements::key_join;
use crate::postgres::{IncomingKey, ident, query};
use crate::sink::ownership::owner_of;
use crate::sink::table::LoadTable;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// A row under its lock.
pub(super) struct Locked {
    pub(super) row_key: String,
    /// The run that wrote it, if nobody changed it since.
    pub(super) owner: Option<String>,
    /// Whether another row refers to it.
    pub(super) referred_to: bool,
}

/// Locks rows, by their keys as the ledger writes them, against all that deleting them would meet.
pub(super) async fn lock<K>(connection: &mut PgConnection, table: &LoadTable, rows: &[K]) -> Result<(), Error>
where
    K: AsRef<str>,
{
    let sql = format!("SELECT 1 {} FOR UPDATE OF t", asked(table, "$1"));
    query(sql).bind(texts(rows)).execute(connection).await?;
    Ok(())
}

/// Those of some rows that are there. They are locked already.
pub(super) async fn look<K>(connection: &mut PgConnection, table: &LoadTable, rows: &[K]) -> Result<Vec<Locked>, Error>
where
    K: AsRef<str>,
{
    let sql = format!(
        "SELECT r.row_key, {} AS owner, {} AS referred_to {}",
        owner_of(table, "$1"),
        referred_to(table),
        asked(table, "$2")
    );
    let found = query(sql).bind(table.name.to_string()).bind(texts(rows)).fetch_all(connection).await?;
    let locked = |row: &sqlx::postgres::PgRow| {
        Ok(Locked {
            row_key: row.try_get("row_key")?,
            owner: row.try_get("owner")?,
            referred_to: row.try_get("referred_to")?,
        })
    };
    found.iter().map(locked).collect()
}

/// Those of some rows that are there, each with the run that wrote it, if nobody changed it since. They are locked already.
pub(super) async fn owners(
    connection: &mut PgConnection,
    table: &LoadTable,
    rows: &[String],
) -> Result<Vec<(String, Option<String>)>, Error> {
    let sql = format!("SELECT r.row_key, {} AS owner {}", owner_of(table, "$1"), asked(table, "$2"));
    let found = query(sql).bind(table.name.to_string()).bind(texts(rows)).fetch_all(connection).await?;
    found.iter().map(|row| Ok((row.try_get("row_key")?, row.try_get("owner")?))).collect()
}

/// The keys as an argument.
pub(super) fn texts<K: AsRef<str>>(rows: &[K]) -> Vec<&str> {
    rows.iter().map(AsRef::as_ref).collect()
}

/// The rows `t` of the table whose keys, as the ledger writes them, are in the array of texts `rows`.
pub(super) fn asked(table: &LoadTable, rows: &str) -> String {
    asked_of(table, &table.rows(), rows)
}

/// The same of a part of the table: `from`, as SQL.
pub(super) fn asked_of(table: &LoadTable, from: &str, rows: &str) -> String {
    format!(
        "FROM pg_catalog.unnest({rows}::text[]) r (row_key) CROSS JOIN LATERAL {} JOIN {from} t ON {}",
        key_record(table, "r.row_key::jsonb", "s"),
        key_join(table)
    )
}

/// Whether another row refers to the target's row `t`: deleting it would fail, or delete or change that one.
fn referred_to(table: &LoadTable) -> String {
    // What we cannot see may refer to any row.
    if table.referrers.iter().any(|referrer| !referrer.readable) {
        return "true".to_owned();
    }
    let checks: Vec<String> = table.referrers.iter().map(refers).collect();
    if checks.is_empty() { "false".to_owned() } else { checks.join(" OR ") }
}

fn refers(referrer: &IncomingKey) -> String {
    let pairs = referrer.columns.iter();
    let pairs: Vec<String> =
        pairs.map(|(own, of, operator)| format!("t.{} {operator} c.{}", ident(of), ident(own))).collect();
    // A row may refer to itself.
    let other = if referrer.is_own { " AND (c.tableoid, c.ctid) <> (t.tableoid, t.ctid)" } else { "" };
    format!("EXISTS (SELECT FROM {} c WHERE {}{other})", referrer.rows(), pairs.join(" AND "))
}
