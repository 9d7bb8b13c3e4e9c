//! The end of a run.

use crate::postgres::query;
use sqlx::Error;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct RunEnd {
    /// `done`, `stopped` or `failed`.
    pub state: &'static str,
    /// What it exits with.
    pub exit_code: u8,
    /// Why it did not go to its end.
    pub error: Option<String>,
    /// The totals, as JSON.
    pub tally: String,
}

/// What became of writing a run's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It is written.
    Written,
    /// It was there: an earlier attempt was committed, and its answer was lost.
    Before,
    /// The lease is not ours any more; nothing was written.
    Lost,
}

/// Writes how a run ended and gives the lease back, inside the caller's transaction. What else belongs to the end goes
/// into the same transaction, so that it happens once.
///
/// # Errors
/// The server's.
pub async fn finish(connection: &mut PgConnection, (run, lease): (Uuid, Uuid), end: &RunEnd) -> Result<Finish, Error> {
    let done = query(
        "UPDATE redis2pg.runs SET state = $3, exit_code = $4, error = $5, tally = $6::text::jsonb, finished_at = pg_catalog.now(), \
         lease_expires_at = pg_catalog.now() \
         WHERE id = $1::text::uuid AND lease = $2::text::uuid AND state IN ('running', 'abandoned')",
    )
    .bind(run.to_string())
    .bind(lease.to_string())
    .bind(end.state)
    .bind(i32::from(end.exit_code))
    .bind(end.error.as_deref())
    .bind(&end.tally)
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 1 {
        // Left by readings that a kill cut off.
        query("DELETE FROM redis2pg.seen WHERE run_id = $1::text::uuid")
            .bind(run.to_string())
            .execute(connection)
            .await?;
        return Ok(Finish::Written);
    }
    let ours = query("SELECT 1 FROM redis2pg.runs WHERE id = $1::text::uuid AND lease = $2::text::uuid")
        .bind(run.to_string())
        .bind(lease.to_string())
        .fetch_optional(connection)
        .await?;
    Ok(if ours.is_some() { Finish::Before } else { Finish::Lost })
}
