//! Rows that the run inserted and another run wrote since: their lineage names that one, so that they are found by the images that it took.

use super::Undo;
use crate::postgres::query;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// Images that are looked at at once.
const PAGE: i64 = 500;

/// Such a row.
#[derive(Clone, Debug)]
pub struct Overwritten {
    /// The row's key.
    pub row_key: String,
    /// The Redis key that the row was made from, and its database, where that is told.
    pub redis_key: Option<(Vec<u8>, Option<String>)>,
}

/// The image `i` is of a row as the run `$1` wrote it into the table `$2`.
const OF_RUN: &str = "i.row_xmin IN (SELECT b.xid & 4294967295 FROM redis2pg.batches b WHERE b.run_id = $1::text::uuid \
     AND b.table_name = $2 AND b.xmin::text::bigint = (b.xid & 4294967295))";

impl Undo<'_> {
    /// The other runs whose before-images are of rows as this run wrote them, each with whether it is rolled back and kept those.
    ///
    /// # Errors
    /// The server's.
    pub async fn overwriters(&self, connection: &mut PgConnection) -> Result<Vec<(String, bool)>, Error> {
        let rows = query(format!(
            "SELECT DISTINCT i.run_id::text, r.rolled_back_at IS NOT NULL FROM redis2pg.before_images i \
             JOIN redis2pg.runs r ON r.id = i.run_id WHERE i.run_id <> $1::text::uuid AND i.table_name = $2 AND {OF_RUN} ORDER BY 1"
        ))
        .bind(self.run.to_string())
        .bind(self.table.name())
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// A page of the rows that this run inserted, that the run `by` wrote since, and that are there, behind the key `after`; empty behind
    /// the last one.
    ///
    /// # Errors
    /// The server's.
    pub async fn overwritten(
        &self,
        connection: &mut PgConnection,
        by: &str,
        after: Option<&str>,
    ) -> Result<Vec<Overwritten>, Error> {
        let table = self.table;
        let (key, database, join) = table.redis_key();
        // An image of this run that is no older tells of a later turn, and one that is older of a row that it did not insert.
        let rows = query(format!(
            "SELECT i.row_key::text AS row_key, o.redis_key AS redis_key, o.redis_db AS redis_db \
             FROM redis2pg.before_images i CROSS JOIN LATERAL {} \
             LEFT JOIN redis2pg.before_images f ON f.run_id = $1::text::uuid AND f.table_name = i.table_name AND f.row_key = i.row_key \
             CROSS JOIN LATERAL (SELECT coalesce({}, '') AS owner, {key} AS redis_key, {database} AS redis_db FROM {} t{join} \
             WHERE {} OFFSET 0) o \
             WHERE i.run_id = $3::text::uuid AND i.table_name = $2 AND {OF_RUN} AND ($4::text IS NULL OR i.row_key > $4::text::jsonb) \
             AND i.row_key ?& $5::text[] AND i.row_key - $5::text[] = '{{}}' \
             AND CASE WHEN f.run_id IS NULL THEN o.owner <> $1 ELSE EXISTS (SELECT FROM redis2pg.batches b WHERE b.run_id = i.run_id \
             AND b.table_name = $2 AND (b.xid & 4294967295) = f.row_xmin AND b.xmin::text::bigint = f.row_xmin) END \
             ORDER BY i.row_key LIMIT {PAGE}",
            table.key_record("i.row_key"),
            table.owner(),
            table.only(),
            table.key_join(),
        ))
        .bind(self.run.to_string())
        .bind(table.name())
        .bind(by)
        .bind(after)
        .bind(&table.run.key_columns)
        .fetch_all(connection)
        .await?;
        let row = |row: &sqlx::postgres::PgRow| {
            let (key, database): (Option<Vec<u8>>, Option<String>) =
                (row.try_get("redis_key")?, row.try_get("redis_db")?);
            Ok(Overwritten { row_key: row.try_get("row_key")?, redis_key: key.map(|key| (key, database)) })
        };
        let mut page: Vec<Overwritten> = rows.iter().map(row).collect::<Result<_, Error>>()?;
        page.dedup_by(|later, earlier| later.row_key == earlier.row_key);
        Ok(page)
    }
}
