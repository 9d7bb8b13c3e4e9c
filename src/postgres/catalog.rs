//! The target tables as the catalog describes them. Read before the first row: a binary field of the right width and
//! the wrong type is stored as garbage without an error.

use super::columns::{ColumnSql, read_columns};
use super::columns_apart::read_columns_apart;
use super::incoming_keys::{IncomingKey, read_incoming_keys};
use super::partitioning::{Partitioning, read_partitioning};
use super::row_security::{RowSecurity, read_row_security};
use super::sequences::{FedColumn, read_fed_columns};
use super::sql::query;
use super::triggers::{RowTrigger, Rule, has_insert_triggers, read_row_triggers, read_rules};
use super::unique_index::{UniqueIndex, read_unique_indexes};
use crate::model::{Table, TableName};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Error, Row};

/// What the load must know of a table beside its columns.
#[derive(Clone, Debug)]
pub struct TableFacts {
    /// Name and columns.
    pub table: Table,
    /// The same columns as SQL speaks of them.
    pub columns_sql: Vec<ColumnSql>,
    /// What it is where it is no table that rows can be loaded into, such as `a view`.
    pub no_table: Option<&'static str>,
    /// The indexes that keep its rows apart.
    pub indexes: Vec<UniqueIndex>,
    /// How it is partitioned; `None` where it is not.
    pub partitioning: Option<Partitioning>,
    /// What row-level security does to us.
    pub row_security: RowSecurity,
    /// The triggers that may change or drop a row before it is stored.
    pub row_triggers: Vec<RowTrigger>,
    /// Whether any trigger fires for a row that is inserted.
    pub insert_triggers: bool,
    /// Its rules for INSERT and UPDATE.
    pub rules: Vec<Rule>,
    /// The columns that a statement must not name for a row that has no value for them.
    pub columns_apart: Vec<String>,
    /// The columns that sequences feed.
    pub fed_columns: Vec<FedColumn>,
    /// What the role may do.
    pub privileges: Privileges,
    /// Whether the role may use the schema: without it no other right is of use.
    pub schema_usage: bool,
    /// The foreign keys of one column that are checked at once.
    pub foreign_keys: Vec<ForeignKey>,
    /// The foreign keys of other tables, or of itself, that refer to it or to one of its partitions.
    pub incoming_keys: Vec<IncomingKey>,
}

/// A foreign key of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// The column.
    pub column: String,
    /// The table that it refers to.
    pub parent: TableName,
    /// The column of that table.
    pub parent_column: String,
}

/// What the role may do with a table.
#[derive(Clone, Copy, Debug)]
pub struct Privileges {
    /// SELECT
    pub select: Privilege,
    /// INSERT
    pub insert: Privilege,
    /// UPDATE
    pub update: Privilege,
    /// DELETE, which is of tables only.
    pub delete: Privilege,
}

/// How far a right goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// Not at all.
    None,
    /// To some columns, perhaps to all there are.
    Columns,
    /// To the table.
    Table,
}

impl TableFacts {
    /// How SQL speaks of the column of that name.
    pub fn column_sql(&self, name: &str) -> Option<&ColumnSql> {
        self.columns_sql.iter().find(|column| column.name == name)
    }

    /// Whether a usable unique index (whole, immediate, on plain columns) is on exactly these columns.
    pub fn is_unique(&self, key: &[String]) -> bool {
        self.indexes.iter().any(|index| index.supports(key))
    }
}

/// Reads a table; `None` where there is none of that name.
///
/// # Errors
/// The server's.
pub async fn read_table(connection: &mut PgConnection, name: &TableName) -> Result<Option<TableFacts>, Error> {
    let Some(head) = query(
        "SELECT c.oid::bigint AS oid, c.relkind::text AS kind, \
         pg_catalog.has_table_privilege(c.oid, 'SELECT') AS may_select, pg_catalog.has_any_column_privilege(c.oid, 'SELECT') AS some_select, \
         pg_catalog.has_table_privilege(c.oid, 'INSERT') AS may_insert, pg_catalog.has_any_column_privilege(c.oid, 'INSERT') AS some_insert, \
         pg_catalog.has_table_privilege(c.oid, 'UPDATE') AS may_update, pg_catalog.has_any_column_privilege(c.oid, 'UPDATE') AS some_update, \
         pg_catalog.has_table_privilege(c.oid, 'DELETE') AS may_delete, false AS some_delete, \
         pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS schema_usage \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'f', 'v', 'm')",
    )
    .bind(&name.schema)
    .bind(&name.table)
    .fetch_optional(&mut *connection)
    .await?
    else {
        return Ok(None);
    };
    let oid: i64 = head.try_get("oid")?;
    let kind: String = head.try_get("kind")?;
    let (columns, columns_sql) = read_columns(connection, oid).await?;
    Ok(Some(TableFacts {
        table: Table { name: name.clone(), columns },
        columns_sql,
        no_table: match kind.as_str() {
            "v" => Some("a view"),
            "m" => Some("a materialized view"),
            "f" => Some("a foreign table"),
            _ => None,
        },
        indexes: read_unique_indexes(connection, oid).await?,
        partitioning: read_partitioning(connection, oid).await?,
        row_security: read_row_security(connection, oid).await?,
        row_triggers: read_row_triggers(connection, oid).await?,
        insert_triggers: has_insert_triggers(connection, oid).await?,
        rules: read_rules(connection, oid).await?,
        columns_apart: read_columns_apart(connection, oid).await?,
        fed_columns: read_fed_columns(connection, oid).await?,
        privileges: Privileges {
            select: privilege(&head, "select")?,
            insert: privilege(&head, "insert")?,
            update: privilege(&head, "update")?,
            delete: privilege(&head, "delete")?,
        },
        schema_usage: head.try_get("schema_usage")?,
        foreign_keys: read_foreign_keys(connection, oid).await?,
        incoming_keys: read_incoming_keys(connection, oid).await?,
    }))
}

/// Those among some tables that are not there. Not by to_regclass, which fails where the role may not use a schema.
///
/// # Errors
/// The server's.
pub async fn missing_tables(connection: &mut PgConnection, names: &[TableName]) -> Result<Vec<TableName>, Error> {
    let (schemas, tables): (Vec<&str>, Vec<&str>) =
        names.iter().map(|name| (name.schema.as_str(), name.table.as_str())).unzip();
    let missing = query(
        "SELECT t.schema, t.name FROM unnest($1::text[], $2::text[]) t (schema, name) WHERE NOT EXISTS \
         (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
          WHERE n.nspname = t.schema AND c.relname = t.name)",
    )
    .bind(schemas)
    .bind(tables)
    .fetch_all(connection)
    .await?;
    missing.iter().map(|row| Ok(TableName { schema: row.try_get(0)?, table: row.try_get(1)? })).collect()
}

fn privilege(head: &PgRow, right: &str) -> Result<Privilege, Error> {
    let (table, columns): (bool, bool) =
        (head.try_get(format!("may_{right}").as_str())?, head.try_get(format!("some_{right}").as_str())?);
    Ok(match (table, columns) {
        (true, _) => Privilege::Table,
        (false, true) => Privilege::Columns,
        (false, false) => Privilege::None,
    })
}

/// Whether the table has no row that we can see.
///
/// # Errors
/// The server's.
pub async fn table_is_empty(connection: &mut PgConnection, table: &str) -> Result<bool, Error> {
    query(format!("SELECT NOT EXISTS (SELECT 1 FROM {table})")).fetch_one(connection).await?.try_get(0)
}

/// About how many rows a table has, by the server's statistics: a count would read every page of what may be a very
/// large table, and after a load rewrite it.
///
/// # Errors
/// The server's.
pub async fn estimate_rows(connection: &mut PgConnection, table: &TableName) -> Result<i64, Error> {
    // The counter follows every change and is lost in a crash; reltuples is as of the last ANALYZE and stays.
    query(
        "SELECT coalesce(nullif(pg_catalog.pg_stat_get_live_tuples(c.oid), 0), greatest(c.reltuples, 0)::bigint) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2",
    )
    .bind(&table.schema)
    .bind(&table.table)
    .fetch_one(connection)
    .await?
    .try_get(0)
}

async fn read_foreign_keys(connection: &mut PgConnection, oid: i64) -> Result<Vec<ForeignKey>, Error> {
    query(
        "SELECT a.attname::text AS name, n.nspname::text AS schema, c.relname::text AS parent, \
         p.attname::text AS parent_column \
         FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.confrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] \
         JOIN pg_catalog.pg_attribute p ON p.attrelid = k.confrelid AND p.attnum = k.confkey[1] \
         WHERE k.conrelid = $1::oid AND k.contype = 'f' AND k.convalidated AND NOT k.condeferrable \
         AND pg_catalog.array_length(k.conkey, 1) = 1",
    )
    .bind(oid)
    .fetch_all(connection)
    .await?
    .iter()
    .map(|row| {
        Ok(ForeignKey {
            column: row.try_get("name")?,
            parent: TableName { schema: row.try_get("schema")?, table: row.try_get("parent")? },
            parent_column: row.try_get("parent_column")?,
        })
    })
    .collect()
}
