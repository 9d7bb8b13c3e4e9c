//! Fresh statistics for the tables that a run loaded rows into: the application's first queries should not be planned
//! for the empty table of before.

use super::link::Link;
use super::setup;
use crate::config::Settings;
use crate::model::{Failure, TableName};
use crate::postgres::{failure, ident, query, script, table_ident};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};

/// A tenth of PostgreSQL's own: a first look, on 3,000 rows a table. With whole samples and all columns it took 1.3 s after
/// 440,000 rows, a seventh of the whole run. An ANALYZE that names columns leaves the table due for autovacuum's own,
/// which then makes the statistics that stay. Columns with a target of their own keep it.
const TARGET: u32 = 10;

/// Runs ANALYZE on a table. Gives `false` where the role may not: the server would only warn, and skip it.
///
/// # Errors
/// The server's; the rows are loaded all the same.
pub(super) async fn analyze(link: &mut Link, table: &TableName, settings: &Settings) -> Result<bool, Failure> {
    let what = format!("ANALYZE {table}");
    let columns = match link.read(&what, async |connection: &mut _| may_analyze(connection, table).await).await? {
        Some((true, columns)) if !columns.is_empty() => columns,
        Some((false, _)) => return Ok(false),
        // A view or a foreign table, whose statistics are not ours to make, or nothing to make them of.
        Some(_) | None => return Ok(true),
    };
    // One message, which is a transaction by itself, so that a pooler keeps it together: it must not wait for ever for a
    // lock that somebody holds on the table.
    let statements = format!(
        "{}SET LOCAL default_statistics_target = {TARGET}; ANALYZE {} ({})",
        setup::limits(settings).statements(),
        table_ident(table),
        columns.iter().map(|column| ident(column)).collect::<Vec<_>>().join(", "),
    );
    let run = async |connection: &mut PgConnection| script(statements.clone()).execute(connection).await.map(|_| ());
    link.once(run).await.map_err(|error| failure(&what, error))?;
    Ok(true)
}

/// Whether the role owns the table or the database, or was granted MAINTAIN (PostgreSQL 17), and the columns of which
/// statistics are of use; `None` for what is no table.
///
/// Documents and bytes are left to autovacuum: plans hardly use their statistics.
async fn may_analyze(connection: &mut PgConnection, table: &TableName) -> Result<Option<(bool, Vec<String>)>, Error> {
    let mut transaction = connection.begin().await?;
    let may = query(
        "SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE') OR pg_catalog.pg_has_role(d.datdba, 'USAGE') \
         OR CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 170000 \
                 THEN pg_catalog.has_table_privilege(c.oid, 'MAINTAIN') ELSE false END, \
         ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 \
               AND NOT a.attisdropped AND a.atttypid NOT IN ('json'::regtype, 'jsonb'::regtype, 'bytea'::regtype)) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database() \
         WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')",
    )
    .bind(&table.schema)
    .bind(&table.table)
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    may.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}
