//! The archive's table: made where it is missing.

use super::Check;
use crate::config::Settings;
use crate::job::link::Trouble;
use crate::mapping::MappingSpec;
use crate::model::{Exit, Finding, Side, TableName};
use crate::postgres::{failure, ident, query, table_ident};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

/// Makes the archive's table, where there is an archive and no such table, and says so.
///
/// # Errors
/// Where the role may not make it.
pub(super) async fn make_missing(
    connection: &mut PgConnection,
    settings: &Settings,
    specs: &[MappingSpec],
    check: Check,
) -> Result<Option<Finding>, Trouble> {
    let archive = specs.iter().find(|spec| spec.unmatched).filter(|_| settings.target.create_schema);
    let Some(table) = archive.and_then(|spec| spec.table_name().ok()) else { return Ok(None) };
    let there = query("SELECT to_regclass($1) IS NOT NULL, to_regnamespace($2) IS NOT NULL")
        .bind(table_ident(&table))
        .bind(ident(&table.schema))
        .fetch_one(&mut *connection)
        .await?;
    if there.try_get(0)? {
        return Ok(None);
    }
    let statement = statement(&table);
    let schema = format!("CREATE SCHEMA IF NOT EXISTS {}", ident(&table.schema));
    let statements = if there.try_get(1)? { statement.clone() } else { format!("{schema}; {statement}") };
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(connection).await.map_err(|error| {
        Trouble::said(error, |error| {
            let mut failure = failure("making the archive's table", error);
            if failure.exit == Exit::Usage {
                failure.hint =
                    format!("GRANT CREATE ON SCHEMA {} TO the role, or create the table first.", table.schema);
            }
            failure
        })
    })?;
    let message = match check {
        Check::Dry => "the archive's table is missing; a run would make it",
        Check::Rehearsal | Check::Real => "the archive's table was missing and is made",
    };
    Ok(Some(Finding::warning(Side::Postgres, table.to_string(), format!("{message}: {statement}"), "")))
}

fn statement(table: &TableName) -> String {
    format!(
        "CREATE TABLE {} (key bytea, db integer, type text NOT NULL, expires_at timestamptz, value jsonb, \
         value_bytes bytea, dump bytea, redis_version text, loaded_at timestamptz NOT NULL, PRIMARY KEY (key, db))",
        table_ident(table)
    )
}
