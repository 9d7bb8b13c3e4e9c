//! Which keys' rows other keys were rejected for.

use crate::postgres::query;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};
use std::collections::HashSet;
use uuid::Uuid;

/// Those of some details that a key of the run was rejected with as `key_collision`, and still is.
///
/// # Errors
/// The server's.
pub async fn collisions(
    connection: &mut PgConnection,
    run: Uuid,
    details: &[String],
) -> Result<HashSet<String>, Error> {
    let mut transaction = connection.begin().await?;
    let found = query(
        "SELECT DISTINCT r.detail FROM redis2pg.rejects r WHERE r.run_id = $1::text::uuid AND r.reason = 'key_collision' \
         AND r.state <> 'closed' AND r.detail = ANY ($2)",
    )
    .bind(run.to_string())
    .bind(details)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    found.iter().map(|row| row.try_get(0)).collect()
}
