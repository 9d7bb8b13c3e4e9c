//! The archive's table: made where it is missing.

use super::preset::refused;
use super::{Check, Created, locks, rights};
use crate::config::Settings;
use crate::job::link::Trouble;
use crate::mapping::MappingSpec;
use crate::model::{Finding, Side, TableName};
use crate::postgres::{ident, missing_tables, query, script, table_ident};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};

/// Makes the archive's table, where there is an archive and no such table, and says so, or why it cannot be made.
///
/// # Errors
/// The server's, where it says nothing of the table.
pub(super) async fn make_missing(
    connection: &mut PgConnection,
    settings: &Settings,
    specs: &[MappingSpec],
    check: Check,
) -> Result<Created, Trouble> {
    let archive = specs.iter().find(|spec| spec.unmatched).filter(|_| settings.target.create_schema);
    let table = archive.and_then(|spec| spec.table_name().ok());
    // A name with the quotes of SQL is said to be missing, with how it is written here.
    let Some(table) = table.filter(|table| table.unquoted().is_none()) else { return Ok(Created::default()) };
    if missing_tables(connection, std::slice::from_ref(&table)).await?.is_empty() {
        return Ok(Created::default());
    }
    let has_schema: bool = query("SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)")
        .bind(&table.schema)
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    let statement = statement(&table);
    let schema = format!("CREATE SCHEMA IF NOT EXISTS {}", ident(&table.schema));
    let statements = if has_schema { statement.clone() } else { format!("{schema}; {statement}") };
    let mut savepoint = connection.begin().await?;
    let made = script(statements).execute(&mut *savepoint).await;
    if let Err(error) = made {
        savepoint.rollback().await?;
        let error = locks::given_up(connection, &table, &[], error).await?;
        let lacking = rights::lacking_to_make(connection, &[table.schema.as_str()].into(), &[]).await?;
        let mut finding = refused(error, &table.to_string(), rights::grants(&lacking, "create the table first"))?;
        finding.message.push_str(&rights::in_words(&lacking));
        return Ok(Created { tables: vec![table], findings: vec![finding], ..Created::default() });
    }
    savepoint.commit().await?;
    let message = match check {
        Check::Dry | Check::Compare | Check::Rehearsal => "the archive's table is missing; a run would make it",
        Check::Real => "the archive's table was missing and is made",
    };
    let told = Finding::warning(Side::Postgres, table.to_string(), format!("{message}: {statement}"), "");
    Ok(Created { findings: vec![told], ..Created::default() })
}

fn statement(table: &TableName) -> String {
    format!(
        "CREATE TABLE {} (key bytea, db integer, type text NOT NULL, expires_at timestamptz, value jsonb, \
         value_bytes bytea, dump bytea, redis_version text, loaded_at timestamptz NOT NULL, PRIMARY KEY (key, db))",
        table_ident(table)
    )
}
