//! Locks that the check wants and does not get: it asks for none that the application would notice, and waits for none long.

use crate::config::Settings;
use crate::job::link::Trouble;
use crate::model::Failure;
use crate::postgres::{milliseconds, query};
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::fmt::Display;

/// Bounds how long each statement of the transaction waits for a lock.
///
/// # Errors
/// The server's.
pub(super) async fn limit(connection: &mut PgConnection, settings: &Settings) -> Result<(), Error> {
    let timeout = milliseconds(settings.target.lock_timeout.0);
    query(format!("SET LOCAL lock_timeout = {timeout}")).execute(connection).await.map(|_| ())
}

/// A lock that was not given ends the check: asking again and again would hold up the application just as well. Any other error
/// stays what it is.
pub(super) fn given_up(what: impl Display, error: Error) -> Trouble {
    // lock_not_available
    if error.as_database_error().and_then(|error| error.code()).is_none_or(|code| code != "55P03") {
        return error.into();
    }
    let message = format!("looking at {what}: another transaction held a lock for longer than target.lock_timeout");
    let hint = "Wait until that transaction ends (pg_stat_activity, pg_locks), or raise target.lock_timeout: as long as it waits, \
                the application's statements wait behind it.";
    Failure::postgres(message, hint).because(error).into()
}
