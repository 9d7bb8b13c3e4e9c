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

    /// How long a server may be silent before it is given up: longer than its own timeouts take to speak. `None`, where a
    /// statement may take as long as it takes: a server that is busy and one that is gone cannot be told apart then.
    pub fn silence(&self) -> Option<Duration> {
        (!self.statement.is_zero()).then(|| self.statement * 2 + self.idle)
    }

    /// Sets them for the transaction that is open.
    ///
    /// # Errors
    /// The server's.
    pub async fn set(&self, connection: &mut PgConnection) -> Result<(), Error> {
        script(self.statements()).execute(connection).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::Limits;
    use std::time::Duration;

    #[test]
    fn a_server_without_a_timeout_of_its_own_is_waited_for() {
        let silence = |statement| {
            let (statement, idle) = (Duration::from_secs(statement), Duration::from_secs(15));
            Limits { statement, lock: Duration::ZERO, idle }.silence()
        };
        assert_eq!(silence(0), None);
        assert_eq!(silence(2), Some(Duration::from_secs(19)));
    }
}
