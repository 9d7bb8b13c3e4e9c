//! What is renewed in the ledger again and again beside some work, on a connection of its own: a lease, for one.

use crate::postgres::Target;
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What is renewed.
pub(super) trait Renewal: Send {
    /// Renews it. `false`: it is somebody else's now.
    fn renew(&mut self, connection: &mut PgConnection) -> impl Future<Output = Result<bool, Error>> + Send;
}

/// Where and how often something is renewed.
pub(super) struct Upkeep<T> {
    pub(super) target: Target,
    /// Between two turns.
    pub(super) pause: Duration,
    /// How long the server may take for one turn.
    pub(super) patience: Duration,
    /// Tells a person that it cannot be renewed now.
    pub(super) tell: T,
}

impl<T: Fn(String) + Sync> Upkeep<T> {
    /// Renews it until `done`, or until it is lost: whether that is so. A server that does not answer is tried again: what is protected is
    /// fenced anyway.
    pub(super) async fn until_lost(&self, renewal: &mut impl Renewal, done: &CancellationToken) -> bool {
        let (mut connection, mut told) = (None, false);
        loop {
            // A server that vanished without a word must not keep the work from ending.
            let turn = tokio::time::timeout(self.patience, self.turn(&mut connection, renewal)).await;
            match turn.unwrap_or_else(|_| Err(no_answer())) {
                Ok(true) => told = false,
                Ok(false) => return true,
                Err(error) => {
                    connection = None;
                    if !std::mem::replace(&mut told, true) {
                        (self.tell)(format!("PostgreSQL: the lease cannot be renewed now: {error}"));
                    }
                }
            }
            if done.run_until_cancelled(tokio::time::sleep(self.pause)).await.is_none() {
                return false;
            }
        }
    }

    async fn turn(&self, connection: &mut Option<PgConnection>, renewal: &mut impl Renewal) -> Result<bool, Error> {
        let connection = match connection {
            Some(connection) => connection,
            none => none.insert(self.target.try_connect().await?),
        };
        renewal.renew(connection).await
    }
}

fn no_answer() -> Error {
    Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer"))
}
