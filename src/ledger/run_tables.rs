//! The tables that a run loads, as it knew them: what is needed to undo or to judge it without its configuration.

use super::rollback::{HELD, take_from_sleepers};
use super::shards::begin_held;
use crate::model::TableName;
use crate::postgres::query;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};
use std::time::Duration;
use uuid::Uuid;

/// Where it is kept which key, value and run a row is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum LineagePlace {
    /// In the lineage object of this jsonb column.
    Object {
        /// The column.
        column: String,
    },
    /// In columns of its own.
    Columns {
        /// The one of the Redis key.
        key: String,
        /// The one of the value's digest.
        digest: String,
        /// The one of the database's number.
        database: Option<String>,
        /// The one of the run.
        run: Option<String>,
        /// The one of the time of expiry.
        expires_at: Option<String>,
    },
    /// In `redis2pg.loaded`.
    Ledger,
    /// Nowhere.
    Nowhere,
}

/// A table that a mapping of a run loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunTable {
    /// The mapping's name.
    pub mapping: String,
    /// The table.
    pub table: TableName,
    /// The key columns.
    pub key_columns: Vec<String>,
    /// Where the lineage is kept.
    pub lineage: LineagePlace,
    /// The column with the time of expiry, where the lineage has none.
    pub expiry: Option<String>,
    /// Whether a key is several rows.
    pub explodes: bool,
    /// The table's OID, where the run made it because its mapping says `create`.
    pub created_oid: Option<i64>,
    /// The application's audit log.
    pub audit: Option<TableName>,
}

/// The advisory lock under which a run tells of its tables, and a rollback claims its own: each sees the other then.
pub(super) const TABLES_LOCK: i64 = 0x7265_6469_7332_7062;

/// Writes the tables of a run, once its own are made. One that an earlier attempt at the run has made stays marked so.
/// `made`: the tables that this attempt made. Gives the run that is being rolled back in one of them, if there is one: then
/// nothing is written, and the run may not go. A rollback whose lease is over loses it.
///
/// # Errors
/// The server's.
pub async fn write_run_tables(
    connection: &mut PgConnection,
    (run, lease, lease_time): (Uuid, Uuid, Duration),
    tables: &[RunTable],
    made: &[TableName],
) -> Result<Option<String>, Error> {
    let mut transaction = begin_held(connection, lease, lease_time).await?;
    query("SELECT pg_catalog.pg_advisory_xact_lock($1)").bind(TABLES_LOCK).execute(&mut *transaction).await?;
    if let Some(undone) = undone(&mut transaction, tables).await? {
        transaction.rollback().await?;
        return Ok(Some(undone));
    }
    for table in tables {
        let is_made = made.contains(&table.table);
        query(
            "INSERT INTO redis2pg.run_tables AS o (run_id, mapping, table_name, schema_part, table_part, key_columns, lineage, \
             expiry, explodes, audit, created_oid) \
             SELECT $1::text::uuid, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, $10::text::jsonb, \
             (SELECT c.oid::bigint FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
              WHERE $11 AND n.nspname = $4 AND c.relname = $5) \
             ON CONFLICT (run_id, mapping) DO UPDATE SET key_columns = excluded.key_columns, lineage = excluded.lineage, \
             expiry = excluded.expiry, explodes = excluded.explodes, audit = excluded.audit, \
             created_oid = coalesce(excluded.created_oid, o.created_oid)",
        )
        .bind(run.to_string())
        .bind(&table.mapping)
        .bind(table.table.to_string())
        .bind(&table.table.schema)
        .bind(&table.table.table)
        .bind(&table.key_columns)
        .bind(encoded(&table.lineage)?)
        .bind(table.expiry.as_deref())
        .bind(table.explodes)
        .bind(table.audit.as_ref().map(|audit| encoded(&[&audit.schema, &audit.table])).transpose()?)
        .bind(is_made)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(None)
}

/// A run that a process is rolling back in one of these tables. The others lose their token.
async fn undone(connection: &mut PgConnection, tables: &[RunTable]) -> Result<Option<String>, Error> {
    let runs = query(format!(
        "SELECT r.id::text FROM redis2pg.runs r WHERE {HELD} AND \
         (EXISTS (SELECT FROM redis2pg.run_tables t WHERE t.run_id = r.id AND t.table_name = ANY ($1)) \
         OR EXISTS (SELECT FROM redis2pg.batches b WHERE b.run_id = r.id AND b.table_name = ANY ($1)))"
    ))
    .bind(tables.iter().map(|table| table.table.to_string()).collect::<Vec<_>>())
    .fetch_all(&mut *connection)
    .await?;
    let runs: Vec<String> = runs.iter().map(|row| row.try_get(0)).collect::<Result<_, Error>>()?;
    take_from_sleepers(connection, &runs).await?;
    query(format!("SELECT id::text FROM redis2pg.runs WHERE id = ANY ($1::text[]::uuid[]) AND {HELD} LIMIT 1"))
        .bind(runs)
        .fetch_optional(connection)
        .await?
        .map(|row| row.try_get(0))
        .transpose()
}

/// The present name of a table by its OID; `None`: there is no such table any more.
///
/// # Errors
/// The server's.
pub async fn present_name(connection: &mut PgConnection, oid: i64) -> Result<Option<TableName>, Error> {
    let mut transaction = connection.begin().await?;
    let row = query(
        "SELECT n.nspname::text AS schema, c.relname::text AS name FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid::bigint = $1 AND c.relkind IN ('r', 'p')",
    )
    .bind(oid)
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    row.map(|row| Ok(TableName { schema: row.try_get("schema")?, table: row.try_get("name")? })).transpose()
}

/// The tables of a run, by mapping; none of a run of an earlier version.
///
/// # Errors
/// The server's.
pub async fn run_tables(connection: &mut PgConnection, run: Uuid) -> Result<Vec<RunTable>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(
        "SELECT mapping, schema_part, table_part, key_columns, lineage::text AS lineage, expiry, explodes, created_oid, \
         audit::text AS audit FROM redis2pg.run_tables WHERE run_id = $1::text::uuid ORDER BY mapping",
    )
    .bind(run.to_string())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter().map(run_table).collect()
}

fn run_table(row: &PgRow) -> Result<RunTable, Error> {
    let audit: Option<String> = row.try_get("audit")?;
    let audit = audit.map(|text| decoded::<[String; 2]>(&text)).transpose()?;
    Ok(RunTable {
        mapping: row.try_get("mapping")?,
        table: TableName { schema: row.try_get("schema_part")?, table: row.try_get("table_part")? },
        key_columns: row.try_get("key_columns")?,
        lineage: decoded(row.try_get("lineage")?)?,
        expiry: row.try_get("expiry")?,
        explodes: row.try_get("explodes")?,
        created_oid: row.try_get("created_oid")?,
        audit: audit.map(|[schema, table]| TableName { schema, table }),
    })
}

fn encoded<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Encode(error.into()))
}

fn decoded<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Decode(error.into()))
}
