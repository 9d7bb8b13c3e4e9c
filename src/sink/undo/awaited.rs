//! Rows of the run to which before-images of later runs refer: without them those cannot be put back.

use super::Undo;
use super::restore::set_merge_joins;
use crate::postgres::{IncomingKey, ident, literal, query, script};
use sqlx::Error;
use sqlx::Row as _;
use sqlx::postgres::PgConnection;

impl Undo<'_> {
    /// The later runs that are not rolled back and whose before-images refer, by this foreign key, to rows that this run inserted and wrote last: each with
    /// when it began, in microseconds, and how many images. Both sides are spelled as images are; the images and the table are read once each.
    ///
    /// # Errors
    /// The server's.
    pub async fn awaited_by(
        &self,
        connection: &mut PgConnection,
        referrer: &IncomingKey,
    ) -> Result<Vec<(String, i64, i64)>, Error> {
        // There is no index to go by, and pair by pair it would be images times rows.
        set_merge_joins(connection, true).await?;
        script("SET LOCAL enable_nestloop = off").execute(&mut *connection).await?;
        let pair = |(own, parent, _): &(String, String, String)| {
            format!("pg_catalog.to_jsonb(t.{}) = i.image -> {}", ident(parent), literal(own))
        };
        let pairs: Vec<String> = referrer.columns.iter().map(pair).collect();
        let rows = query(format!(
            "SELECT i.run_id::text, (extract(epoch FROM r.started_at) * 1000000)::bigint, pg_catalog.count(*) \
             FROM redis2pg.before_images i JOIN redis2pg.runs r ON r.id = i.run_id \
             JOIN redis2pg.runs o ON o.id = $1::text::uuid AND o.started_at < r.started_at JOIN {} t ON {} \
             WHERE i.run_id <> $1::text::uuid AND r.rolled_back_at IS NULL AND i.table_name = $3 AND t.xmin::text::bigint IN \
             (SELECT b.xid & 4294967295 FROM redis2pg.batches b WHERE b.run_id = $1::text::uuid AND b.table_name = $2 \
              AND b.xmin::text::bigint = (b.xid & 4294967295)) AND {} GROUP BY 1, 2",
            self.table.only(),
            pairs.join(" AND "),
            self.table.has_no_image("$1"),
        ))
        .bind(self.run.to_string())
        .bind(self.table.name())
        .bind(referrer.table.to_string())
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
    }
}
