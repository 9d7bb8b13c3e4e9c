//! The sequences that feed a table's columns: identity columns, `serial`, and defaults that call `nextval`.

use super::sql::query;
use crate::model::TableName;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Error, Row};

/// A column that a sequence feeds where a row brings no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedColumn {
    /// The column.
    pub column: String,
    /// The sequence.
    pub sequence: TableName,
    /// `GENERATED ALWAYS`: a value of our own is only taken with OVERRIDING SYSTEM VALUE, and by no update.
    pub always: bool,
    /// Whether the role may draw from it where the default is used. Of an identity column anybody may who can insert.
    pub usable: bool,
    /// Whether the role may read how far it is.
    pub readable: bool,
    /// Whether the role may also read which value comes next where none was drawn since it was set.
    pub selectable: bool,
    /// Whether the role may move it.
    pub settable: bool,
    /// Whether the column holds numbers of any size and with fractions, which a sequence has not.
    pub numeric: bool,
    /// How it counts; `None` where its values are not the column's, such as in a default with an expression around it.
    pub steps: Option<Steps>,
}

/// How a sequence counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The step; below zero in a descending sequence.
    pub increment: i64,
    /// The least value that it gives.
    pub least: i64,
    /// The greatest.
    pub greatest: i64,
    /// The first value that it gives.
    pub start: i64,
    /// Whether it begins again after the last value.
    pub cycles: bool,
}

/// One row for each such column of table `$1`.
///
/// Domains are followed down to what they stand on; a domain's own default counts where the column has none. The sequence of
/// an identity column of a partition is that of the partitioned table.
const FED: &str = "WITH RECURSIVE base AS ( \
       SELECT a.attnum, t.oid, t.typtype, t.typbasetype \
       FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
       WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped \
       UNION ALL \
       SELECT b.attnum, t.oid, t.typtype, t.typbasetype \
       FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd') \
     SELECT a.attname::text AS name, n.nspname::text AS schema, c.relname::text AS sequence, \
       a.attidentity = 'a' AS always, \
       a.attidentity <> '' OR pg_catalog.has_sequence_privilege(c.oid, 'USAGE') \
         OR pg_catalog.has_sequence_privilege(c.oid, 'UPDATE') AS usable, \
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
         AND (pg_catalog.has_sequence_privilege(c.oid, 'USAGE') OR pg_catalog.has_sequence_privilege(c.oid, 'SELECT')) AS readable, \
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_sequence_privilege(c.oid, 'SELECT') AS selectable, \
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_sequence_privilege(c.oid, 'UPDATE') AS settable, \
       b.oid IN (20, 21, 23, 1700) AND (a.attidentity <> '' \
         OR coalesce(pg_catalog.pg_get_expr(k.adbin, k.adrelid), pg_catalog.pg_get_expr(t.typdefaultbin, 0)) \
           ~ '^(\\(nextval\\(''.*''::regclass\\)\\)::(smallint|integer|bigint|numeric)|nextval\\(''.*''::regclass\\))$') AS plain, \
       b.oid = 1700 AS numeric, \
       s.seqincrement AS increment, s.seqmin AS least, s.seqmax AS greatest, s.seqstart AS start, \
       s.seqcycle AS cycles \
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
     JOIN base b ON b.attnum = a.attnum AND b.typtype <> 'd' \
     LEFT JOIN pg_catalog.pg_attrdef k ON k.adrelid = a.attrelid AND k.adnum = a.attnum \
     CROSS JOIN LATERAL (SELECT d.objid AS oid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_attribute o \
         ON o.attrelid = d.refobjid AND o.attnum = d.refobjsubid AND o.attname = a.attname \
       WHERE a.attidentity <> '' AND d.refclassid = 'pg_catalog.pg_class'::regclass \
       AND d.refobjid IN (a.attrelid, pg_catalog.pg_partition_root(a.attrelid)) \
       AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype = 'i' \
       UNION ALL SELECT d.refobjid FROM pg_catalog.pg_depend d WHERE k.oid IS NULL AND t.typtype = 'd' \
       AND d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass \
       UNION ALL SELECT d.refobjid FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass \
       AND d.objid = k.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass) q \
     JOIN pg_catalog.pg_class c ON c.oid = q.oid AND c.relkind = 'S' \
     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid \
     WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum, c.oid";

/// The columns of a table that sequences feed.
///
/// # Errors
/// The server's.
pub(super) async fn read_fed_columns(connection: &mut PgConnection, table: i64) -> Result<Vec<FedColumn>, Error> {
    query(FED).bind(table).fetch_all(connection).await?.iter().map(fed).collect()
}

/// The columns of a table that sequences feed; none where there is no such table.
///
/// # Errors
/// The server's.
pub async fn fed_columns(connection: &mut PgConnection, table: &TableName) -> Result<Vec<FedColumn>, Error> {
    let found = query(
        "SELECT c.oid::bigint FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')",
    )
    .bind(&table.schema)
    .bind(&table.table)
    .fetch_optional(&mut *connection)
    .await?;
    match found {
        Some(row) => read_fed_columns(connection, row.try_get(0)?).await,
        None => Ok(Vec::new()),
    }
}

fn fed(row: &PgRow) -> Result<FedColumn, Error> {
    let plain: Option<bool> = row.try_get("plain")?;
    let steps = Steps {
        increment: row.try_get("increment")?,
        least: row.try_get("least")?,
        greatest: row.try_get("greatest")?,
        start: row.try_get("start")?,
        cycles: row.try_get("cycles")?,
    };
    Ok(FedColumn {
        column: row.try_get("name")?,
        sequence: TableName { schema: row.try_get("schema")?, table: row.try_get("sequence")? },
        always: row.try_get("always")?,
        usable: row.try_get("usable")?,
        readable: row.try_get("readable")?,
        selectable: row.try_get("selectable")?,
        settable: row.try_get("settable")?,
        numeric: row.try_get("numeric")?,
        steps: plain.unwrap_or(false).then_some(steps),
    })
}
