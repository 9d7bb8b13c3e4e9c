//! Rows that the run inserted and another run wrote since: their lineage names that one, so that they are found by the images that it took.

use super::Undo;
use super::restore::set_merge_joins;
use crate::postgres::query;
use sqlx::postgres::{PgConnection, PgRow};
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
    /// The run that wrote it since.
    pub by: String,
    /// Whether that one is rolled back, and kept it.
    pub kept: bool,
}

/// The image `i` is of a row as the run `$1` wrote it into the table `$2`.
const OF_RUN: &str = "i.row_xmin IN (SELECT b.xid & 4294967295 FROM redis2pg.batches b WHERE b.run_id = $1::text::uuid \
     AND b.table_name = $2 AND b.xmin::text::bigint = (b.xid & 4294967295))";

impl Undo<'_> {
    /// The other runs whose before-images are of rows as this run wrote them.
    ///
    /// # Errors
    /// The server's.
    pub async fn overwriters(&self, connection: &mut PgConnection) -> Result<Vec<String>, Error> {
        let rows = query(format!(
            "SELECT DISTINCT i.run_id::text FROM redis2pg.before_images i \
             WHERE i.run_id <> $1::text::uuid AND i.table_name = $2 AND {OF_RUN} ORDER BY 1"
        ))
        .bind(self.run.to_string())
        .bind(self.table.name())
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// Those of a page of the images of the run `by`, behind the key `after`, whose rows this run inserted, another one wrote since, and that
    /// are there; and the last key of the page: `None` behind the last one.
    ///
    /// # Errors
    /// The server's.
    pub async fn overwritten(
        &self,
        connection: &mut PgConnection,
        by: &str,
        after: Option<&str>,
    ) -> Result<(Vec<Overwritten>, Option<String>), Error> {
        set_merge_joins(connection, false).await?;
        let rows = query(self.page_of_overwritten())
            .bind(self.run.to_string())
            .bind(self.table.name())
            .bind(by)
            .bind(after)
            .bind(&self.table.run.key_columns)
            .fetch_all(&mut *connection)
            .await?;
        let last = rows.last().map(|row| row.try_get("row_key")).transpose()?;
        let row = |row: &PgRow| {
            if row.try_get::<Option<bool>, _>("is_one")? != Some(true) {
                return Ok(None);
            }
            let (key, database): (Option<Vec<u8>>, Option<String>) =
                (row.try_get("redis_key")?, row.try_get("redis_db")?);
            Ok(Some(Overwritten {
                row_key: row.try_get("row_key")?,
                redis_key: key.map(|key| (key, database)),
                by: row.try_get("writer")?,
                kept: row.try_get("kept")?,
            }))
        };
        let found = rows.iter().map(row).filter_map(Result::transpose);
        let mut found: Vec<Overwritten> = found.collect::<Result<_, Error>>()?;
        found.dedup_by(|later, earlier| later.row_key == earlier.row_key);
        Ok((found, last))
    }

    /// The page comes first, by its index: conditions on all images, of which the planner knows nothing, would have all of them read for each page.
    ///
    /// An image of this run that is younger tells of a later turn, and one that is older of a row that it did not insert. Whose lineage names
    /// this run is found by that; and where the other run deleted the row, one that is there and no run's is somebody's.
    fn page_of_overwritten(&self) -> String {
        let table = self.table;
        let (key, database, join) = table.redis_key();
        let named = table.named().map_or_else(|| "NULL::text".to_owned(), |named| format!("({named})"));
        format!(
            "SELECT i.row_key::text AS row_key, w.writer, r.rolled_back_at IS NOT NULL AS kept, o.redis_key, o.redis_db, \
             {OF_RUN} AND o.owner IS NOT NULL AND CASE WHEN f.run_id IS NOT NULL THEN EXISTS (SELECT FROM redis2pg.batches b \
             WHERE b.run_id = i.run_id AND b.table_name = $2 AND (b.xid & 4294967295) = f.row_xmin AND b.xmin::text::bigint = f.row_xmin) \
             ELSE o.owner <> $1 AND o.named IS DISTINCT FROM $1 AND NOT (coalesce(i.deleted, false) AND o.owner = '') END AS is_one \
             FROM (SELECT p.*, p.row_key ?& $5::text[] AND p.row_key - $5::text[] = '{{}}' AS fits FROM redis2pg.before_images p \
             WHERE p.run_id = $3::text::uuid AND p.table_name = $2 AND ($4::text IS NULL OR p.row_key > $4::text::jsonb) \
             ORDER BY p.row_key LIMIT {PAGE}) i \
             LEFT JOIN redis2pg.before_images f ON f.run_id = $1::text::uuid AND f.table_name = $2 AND f.row_key = i.row_key \
             CROSS JOIN LATERAL {} \
             LEFT JOIN LATERAL (SELECT coalesce({}, '') AS owner, {named} AS named, {key} AS redis_key, {database} AS redis_db \
             FROM {} t{join} WHERE {} OFFSET 0) o ON true \
             CROSS JOIN LATERAL (SELECT CASE WHEN o.owner IN ('', $1) THEN i.run_id::text ELSE coalesce(o.owner, '') END AS writer) w \
             LEFT JOIN redis2pg.runs r ON r.id::text = w.writer ORDER BY i.row_key",
            table.key_record("CASE WHEN i.fits THEN i.row_key END"),
            table.owner(),
            table.only(),
            table.key_join(),
        )
    }
}
