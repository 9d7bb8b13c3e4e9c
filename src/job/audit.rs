//! The application's own audit log: a row for each table that a run touched, and the rehearsal of that before the run.

use crate::mapping::MappingSpec;
use crate::model::{Counts, Finding, Side, TableName, Tally};
use crate::postgres::{Verdict, milliseconds, query, script, shown_table, table_ident, verdict};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};
use std::collections::BTreeSet;
use std::time::Duration;

/// What a rollback did to one table, in one way.
pub(super) struct UndoEntry<'a> {
    pub(super) audit: &'a TableName,
    pub(super) table: &'a TableName,
    pub(super) run: &'a str,
    /// `delete` or `restore`.
    pub(super) operation: &'a str,
    pub(super) rows: u64,
}

/// Writes the rows of a rollback, as [`write`] does those of a run.
///
/// # Errors
/// The server's.
pub(super) async fn write_undone(connection: &mut PgConnection, entries: &[UndoEntry<'_>]) -> Result<(), Error> {
    for entry in entries {
        let audit = table_ident(entry.audit);
        let Some(id_type) = id_type(connection, &audit).await? else { continue };
        query(format!(
            "INSERT INTO {audit} (action, resource_type, resource_id, details) \
             VALUES ($1, $2, $3::text::{id_type}, pg_catalog.jsonb_build_object('run', $3::text, 'rows', $4::bigint))"
        ))
        .bind(format!("redis2pg.rollback.{}", entry.operation))
        .bind(entry.table.to_string())
        .bind(entry.run)
        .bind(i64::try_from(entry.rows).unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What a cleanup did to the keys of one table's rows.
pub(super) struct CleanedEntry<'a> {
    pub(super) audit: &'a TableName,
    pub(super) table: &'a TableName,
    pub(super) run: &'a str,
    pub(super) cleanup: &'a str,
    pub(super) keys: i64,
}

/// Writes the rows of a cleanup, as [`write`] does those of a run.
///
/// # Errors
/// The server's.
pub(super) async fn write_cleaned(connection: &mut PgConnection, entries: &[CleanedEntry<'_>]) -> Result<(), Error> {
    for entry in entries {
        let audit = table_ident(entry.audit);
        let Some(id_type) = id_type(connection, &audit).await? else { continue };
        query(format!(
            "INSERT INTO {audit} (action, resource_type, resource_id, details) VALUES ('redis2pg.cleanup', $1, \
             $2::text::{id_type}, pg_catalog.jsonb_build_object('run', $2::text, 'cleanup', $3::text, 'keys', $4::bigint))"
        ))
        .bind(entry.table.to_string())
        .bind(entry.run)
        .bind(entry.cleanup)
        .bind(entry.keys)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What a run did to one table.
pub(super) struct Entry<'a> {
    pub(super) audit: &'a TableName,
    pub(super) table: &'a TableName,
    pub(super) run: &'a str,
    pub(super) what: Done<'a>,
}

/// An operation, with what it came to.
#[derive(Clone, Copy)]
pub(super) enum Done<'a> {
    /// Rows were loaded.
    Migrated(&'a Tally),
    /// Rows were deleted whose keys are gone.
    DeletedGone(&'a Counts),
}

impl Done<'_> {
    fn action(self) -> &'static str {
        match self {
            Self::Migrated(_) => "redis2pg.migrate",
            Self::DeletedGone(_) => "redis2pg.delete_gone",
        }
    }

    fn details(self) -> serde_json::Result<String> {
        match self {
            Self::Migrated(tally) => serde_json::to_string(tally),
            Self::DeletedGone(counts) => serde_json::to_string(counts),
        }
    }
}

/// Writes the rows inside the caller's transaction. An audit table that is not there is left alone: it is the
/// application's to have.
///
/// # Errors
/// The server's.
pub(super) async fn write(connection: &mut PgConnection, entries: &[Entry<'_>]) -> Result<(), Error> {
    for entry in entries {
        let audit = table_ident(entry.audit);
        let Some(id_type) = id_type(connection, &audit).await? else { continue };
        query(format!(
            "INSERT INTO {audit} (action, resource_type, resource_id, details) \
             VALUES ($4, $1, $2::text::{id_type}, pg_catalog.jsonb_build_object('run', $2::text, 'tally', $3::text::jsonb))"
        ))
        .bind(entry.table.to_string())
        .bind(entry.run)
        .bind(entry.what.details().map_err(|error| Error::Encode(error.into()))?)
        .bind(entry.what.action())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The type of `resource_id`, which some installations have as a uuid; `None`: there is no such table. Where the column
/// is missing, the server says so once a row is written.
async fn id_type(connection: &mut PgConnection, audit: &str) -> Result<Option<String>, Error> {
    let found = query(
        "SELECT coalesce((SELECT pg_catalog.format_type(a.atttypid, NULL) FROM pg_catalog.pg_attribute a \
                          WHERE a.attrelid = c.oid AND a.attname = 'resource_id'), 'text') \
         FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)",
    )
    .bind(audit)
    .fetch_optional(connection)
    .await?;
    found.map(|row| row.try_get(0)).transpose()
}

/// The audit logs that the mappings name and that are not there: a run writes nothing there, and should say so. `made`: tables
/// that are made beside, whether or not they are still there.
///
/// # Errors
/// The server's.
pub(super) async fn find_missing(
    connection: &mut PgConnection,
    specs: &[MappingSpec],
    made: &[TableName],
) -> Result<Vec<Finding>, Error> {
    let named: BTreeSet<TableName> = specs.iter().filter_map(|spec| spec.audit_table().ok().flatten()).collect();
    let mut findings = Vec::new();
    for audit in named.into_iter().filter(|audit| !made.contains(audit)) {
        // Not by to_regclass, which wants a right on the schema: a dry run may lack it.
        let there: bool = query(
            "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relname = $2)",
        )
        .bind(&audit.schema)
        .bind(&audit.table)
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
        if !there {
            let message = "there is no such audit log: nothing is written there";
            let hint = "Create it, or take `audit` out of the mapping.";
            findings.push(Finding::warning(Side::Postgres, audit.to_string(), message, hint));
        }
    }
    Ok(findings)
}

/// Writes the rows that the end of a run would write, and takes them back: what refuses them then is found before the
/// work and not after it. What the rows draw from a sequence stays drawn: only a real row meets the constraints and triggers of
/// the application's table, which the catalog tells nothing of, and the numbers of a sequence have gaps in any case.
///
/// # Errors
/// The server's, where it says nothing of the audit log.
pub(super) async fn rehearse(
    connection: &mut PgConnection,
    specs: &[MappingSpec],
    run: &str,
    lock_timeout: Duration,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for spec in specs {
        let (Ok(Some(audit)), Ok(table)) = (spec.audit_table(), spec.table_name()) else { continue };
        let tally = Tally::default();
        let entry = Entry { audit: &audit, table: &table, run, what: Done::Migrated(&tally) };
        let mut savepoint = connection.begin().await?;
        let written = write_at_once(&mut savepoint, entry, lock_timeout).await;
        savepoint.rollback().await?;
        if let Err(error) = written {
            let finding = refusal(&audit, error)?;
            // The same for several mappings: said once.
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    Ok(findings)
}

/// Writes a row and asks for what the server would check at COMMIT only.
async fn write_at_once(connection: &mut PgConnection, entry: Entry<'_>, lock_timeout: Duration) -> Result<(), Error> {
    let settings = format!("SET LOCAL lock_timeout = {}", milliseconds(lock_timeout));
    script(settings).execute(&mut *connection).await?;
    write(connection, &[entry]).await?;
    script("SET CONSTRAINTS ALL IMMEDIATE").execute(connection).await.map(|_| ())
}

/// What the server said against a row of the audit log; an error that is of the server itself stays one.
fn refusal(audit: &TableName, error: Error) -> Result<Finding, Error> {
    let Some(database) = error.as_database_error() else { return Err(error) };
    let code = database.code().unwrap_or_default();
    // 53: out of resources, 58: its disk fails.
    if verdict(&error) == Verdict::Transient || code.starts_with("53") || code.starts_with("58") {
        return Err(error);
    }
    let message = format!("the audit log takes no row of a run: {} (SQLSTATE {code})", database.message());
    let hint = format!(
        "Give a column that a run does not fill a default, GRANT INSERT ON {} TO the role, or take `audit` out of \
         the mapping.",
        shown_table(audit)
    );
    Ok(Finding::critical(Side::Postgres, audit.to_string(), message, hint))
}
