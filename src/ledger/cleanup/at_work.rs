//! Which cleanups are at work. One whose lease is over may only be suspended: whoever begins something that must not go on beside it
//! takes its token first, so that it deletes nothing more should it wake up.

use super::{CleanupClaim, place};
use crate::postgres::query;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};
use std::time::Duration;
use uuid::Uuid;

/// Of whose keys a cleanup is.
#[derive(Clone, Copy)]
pub(in crate::ledger) enum Whose<'a> {
    /// Of the Redis of this source, whatever the database.
    Redis(&'a str),
    /// Of rows of this run.
    Run(Uuid),
}

impl Whose<'_> {
    /// As a condition on `redis2pg.cleanups c`, of which `$1` is [`Whose::value`].
    fn condition(self) -> String {
        match self {
            Self::Redis(_) => format!("{} = {}", place("c.source"), place("$1::text")),
            Self::Run(_) => "$1::text::uuid = ANY (c.runs)".to_owned(),
        }
    }

    fn value(self) -> String {
        match self {
            Self::Redis(source) => source.to_owned(),
            Self::Run(run) => run.to_string(),
        }
    }
}

/// The cleanup that is at work, with the seconds until its lease ends, after those whose lease is over have lost their token. Under the
/// lock under which whoever asks begins, and with a lock_timeout.
pub(in crate::ledger) async fn at_work(
    connection: &mut PgConnection,
    whose: Whose<'_>,
) -> Result<Option<(String, Duration)>, Error> {
    take_from_sleepers(connection, whose).await?;
    // Of those that are left each had its lease a moment ago, and may have renewed it since.
    of(connection, whose, "true").await
}

async fn take_from_sleepers(connection: &mut PgConnection, whose: Whose<'_>) -> Result<(), Error> {
    let asleep =
        format!("c.state = 'running' AND c.lease_expires_at <= pg_catalog.clock_timestamp() AND {}", whose.condition());
    // Most often there is none, and then a run needs no right to write here.
    let any = query(format!("SELECT EXISTS (SELECT FROM redis2pg.cleanups c WHERE {asleep})"));
    if !any.bind(whose.value()).fetch_one(&mut *connection).await?.try_get::<bool, _>(0)? {
        return Ok(());
    }
    query(format!(
        "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(a.pid)) FROM pg_catalog.pg_stat_activity a \
         JOIN redis2pg.cleanups c ON a.application_name = 'redis2pg ' || c.lease::text WHERE {asleep} \
         AND a.datname = pg_catalog.current_database() AND a.usename = current_user AND a.pid <> pg_catalog.pg_backend_pid()"
    ))
    .bind(whose.value())
    .execute(&mut *connection)
    .await?;
    // Waits for a transaction that takes part in the lease already: what that writes down counts as deleted. One that has renewed its
    // lease by then is looked at again, and keeps it.
    query(format!(
        "UPDATE redis2pg.cleanups c SET state = 'abandoned', lease = pg_catalog.gen_random_uuid() WHERE {asleep}"
    ))
    .bind(whose.value())
    .execute(connection)
    .await
    .map(|_| ())
}

async fn of(
    connection: &mut PgConnection,
    whose: Whose<'_>,
    condition: &str,
) -> Result<Option<(String, Duration)>, Error> {
    let row = query(format!(
        "SELECT c.id::text, extract(epoch FROM c.lease_expires_at - pg_catalog.clock_timestamp())::float8 AS left_s \
         FROM redis2pg.cleanups c WHERE c.state = 'running' AND {condition} AND {} LIMIT 1",
        whose.condition()
    ))
    .bind(whose.value())
    .fetch_optional(connection)
    .await?;
    let lease = |row: PgRow| {
        let left: f64 = row.try_get("left_s")?;
        Ok((row.try_get("id")?, Duration::from_secs_f64(left.clamp(0.0, 86_400.0))))
    };
    row.map(lease).transpose()
}

/// The cleanup that is at work on the Redis of a source, as what keeps another from beginning. It changes nothing.
///
/// # Errors
/// The server's.
pub async fn cleanup_at_work(connection: &mut PgConnection, source: &str) -> Result<Option<CleanupClaim>, Error> {
    let mut transaction = connection.begin().await?;
    let alive = "c.lease_expires_at > pg_catalog.clock_timestamp()";
    let cleaning = of(&mut transaction, Whose::Redis(source), alive).await?;
    transaction.rollback().await?;
    Ok(cleaning.map(|(id, _)| CleanupClaim::Cleaning(id)))
}
