//! The application's own audit log: a row for each table that a run touched.

use crate::model::{TableName, Tally};
use crate::postgres::{query, table_ident};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// What a run did to one table.
pub(super) struct Entry<'a> {
    pub(super) audit: &'a TableName,
    pub(super) table: &'a TableName,
    pub(super) run: &'a str,
    pub(super) tally: &'a Tally,
}

/// Writes the rows inside the caller's transaction. An audit table that is not there is left alone: it is the
/// application's to have.
///
/// # Errors
/// The server's.
pub(super) async fn write(connection: &mut PgConnection, entries: &[Entry<'_>]) -> Result<(), Error> {
    for entry in entries {
        let audit = table_ident(entry.audit);
        // Some installations have a uuid for `resource_id`.
        let id_type = query(
            "SELECT format_type(a.atttypid, NULL) FROM pg_catalog.pg_attribute a \
             WHERE a.attrelid = to_regclass($1) AND a.attname = 'resource_id'",
        )
        .bind(&audit)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(id_type) = id_type else { continue };
        let id_type: String = id_type.try_get(0)?;
        query(format!(
            "INSERT INTO {audit} (action, resource_type, resource_id, details) \
             VALUES ('redis2pg.migrate', $1, $2::text::{id_type}, \
             jsonb_build_object('run', $2::text, 'tally', $3::text::jsonb))"
        ))
        .bind(entry.table.to_string())
        .bind(entry.run)
        .bind(serde_json::to_string(entry.tally).map_err(|error| Error::Encode(error.into()))?)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
