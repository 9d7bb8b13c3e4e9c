//! How long the statements of a transaction may take: as the settings say, not as the role or the database has it for itself.

use super::sql::{milliseconds, script};
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::time::Duration;

/// What bounds a transaction. Zero is no bound.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a statement may take.
    pub statement: Duration,
    /// How long a statement waits for a lock.
    pub lock: Duration,
    /// How long the transaction may stand idle before the server ends it, and its locks with it.
    pub idle: Duration,
}

impl Limits {
    /// The statements that set them, each with its semicolon: for the transaction only, since a pooler hands the connection to others
    /// afterwards.
    pub fn statements(&self) -> String {
        format!(
            "SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; \
             SET LOCAL idle_in_transaction_session_timeout = {}; ",
            milliseconds(self.statement),
            milliseconds(self.lock),
            milliseconds(self.idle),
        )
    }

    /// Sets them for the transaction that is open.
    ///
    /// # Errors
    /// The server's.
    pub async fn set(&self, connection: &mut PgConnection) -> Result<(), Error> {
        script(self.statements()).execute(connection).await.map(|_| ())
    }
}
