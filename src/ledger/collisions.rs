//! Which keys' rows other keys were rejected for.

use crate::postgres::query;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};
use std::collections::HashSet;
use uuid::Uuid;

/// Those of some keys, named as [`crate::model::Rivals`] does, whose rows a key of the run maps to that was rejected for it, and still
/// is; perhaps the name that stands for any other key among them.
///
/// # Errors
/// The server's.
pub async fn collisions(connection: &mut PgConnection, run: Uuid, names: &[String]) -> Result<HashSet<String>, Error> {
    let mut transaction = connection.begin().await?;
    let found = query(
        "SELECT DISTINCT v.name FROM redis2pg.rejects r CROSS JOIN LATERAL pg_catalog.jsonb_array_elements_text(r.rivals) v (name) \
         WHERE r.run_id = $1::text::uuid AND r.rivals IS NOT NULL AND r.state <> 'closed' AND v.name = ANY ($2 || '*'::text)",
    )
    .bind(run.to_string())
    .bind(names)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    found.iter().map(|row| row.try_get(0)).collect()
}
