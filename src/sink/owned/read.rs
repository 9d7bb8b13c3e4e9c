//! The reading of one slice.

use super::slices::{Extent, Slice};
use super::{LineageOf, OwnedReader, OwnedRow, lineage, named_run, row_key};
use crate::ledger::{LineagePlace, RunTable};
use crate::postgres::{query, script, table_ident};
use crate::sink::ownership::{TEXT_SETTINGS, owner};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};

/// What stands for the condition on the place of a row.
pub(super) const PLACE: &str = "{place}";

/// What stands for the word before the table's name.
pub(super) const ONLY: &str = "{only}";

/// The statement that reads a slice. `$1`: the table's name in the ledger; `$2`: the runs, as text.
pub(super) fn statement(table: &RunTable, told: bool) -> String {
    let LineageOf { run, key, database, digest, expires_at } = lineage(table);
    let row_key = row_key("t", &table.key_columns);
    let of_ledger = match table.lineage {
        LineagePlace::Ledger => format!(
            " LEFT JOIN LATERAL (SELECT l.* FROM redis2pg.loaded l WHERE l.table_name = $1 AND l.row_key = {row_key} \
             OFFSET 0) l ON true"
        ),
        _ => String::new(),
    };
    // The rule of [`owner`], for the lineage that is read anyway.
    let owner_of_row = match told && named_run(table, "$1").is_some() {
        true => "CASE WHEN f.run = w.owner THEN w.owner END",
        false => "w.owner",
    };
    // Neighbours were written by few transactions: whose those are is asked for each once.
    format!(
        "WITH found AS MATERIALIZED (SELECT t.xmin AS writer, {row_key} AS row_key, {run} AS run, {key} AS redis_key, \
         {database} AS redis_db, {digest} AS digest, {expires_at} AS expires_at \
         FROM {ONLY}{} t{of_ledger} WHERE {PLACE}), \
         writers AS MATERIALIZED (SELECT w.writer, {} AS owner FROM (SELECT DISTINCT f.writer FROM found f) w) \
         SELECT f.writer::text::bigint AS xmin, f.row_key::text AS row_key, {owner_of_row} AS owner, f.run, f.redis_key, f.redis_db, \
         f.digest, f.expires_at FROM found f JOIN writers w ON w.writer = f.writer \
         WHERE {owner_of_row} = ANY ($2) OR f.run = ANY ($2)",
        table_ident(&table.table),
        owner("w.writer", "$1", None),
    )
}

impl OwnedReader {
    /// How far the table goes now.
    ///
    /// # Errors
    /// The server's.
    pub async fn extent(&self, connection: &mut PgConnection) -> Result<Extent, Error> {
        let mut transaction = connection.begin().await?;
        let extent = Extent::read(&mut transaction, &self.table).await?;
        transaction.commit().await?;
        Ok(extent)
    }

    /// The owned rows of a slice, in a transaction of their own. `number`: below [`Extent::slices`].
    ///
    /// # Errors
    /// The server's.
    pub async fn read(
        &self,
        connection: &mut PgConnection,
        extent: &Extent,
        number: u64,
    ) -> Result<Vec<OwnedRow>, Error> {
        let mut transaction = connection.begin().await?;
        // Keys are spelled as the ledger has them.
        script(TEXT_SETTINGS).execute(&mut *transaction).await?;
        let Slice { condition, only } = extent.slice(number);
        let rows = query(self.sql.replacen(ONLY, only, 1).replacen(PLACE, &condition, 1))
            .bind(self.table.to_string())
            .bind(&self.runs)
            .fetch_all(&mut *transaction)
            .await?;
        transaction.commit().await?;
        rows.iter().map(owned_row).collect()
    }
}

fn owned_row(row: &PgRow) -> Result<OwnedRow, Error> {
    Ok(OwnedRow {
        row_key: row.try_get("row_key")?,
        xmin: row.try_get("xmin")?,
        owner: row.try_get("owner")?,
        lineage_run: row.try_get("run")?,
        redis_key: row.try_get("redis_key")?,
        redis_db: row.try_get("redis_db")?,
        digest: row.try_get("digest")?,
        expires_at: row.try_get("expires_at")?,
    })
}
