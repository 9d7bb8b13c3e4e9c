//! The run's own connection to its ledger: made again when it is lost, for as long as a batch would be tried again.

use crate::model::{Event, EventSender, Failure};
use crate::postgres::{Target, Verdict, failure, verdict};
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::time::{Duration, Instant};

/// The longest pause between two attempts.
const PAUSE: Duration = Duration::from_secs(5);

/// A connection that outlasts a restart of the server.
pub(super) struct Link {
    target: Target,
    connection: Option<PgConnection>,
    deadline: Duration,
    events: EventSender,
}

impl Link {
    /// Goes on with an open connection; what fails is tried again until `deadline` has passed.
    pub(super) fn new(target: Target, connection: PgConnection, deadline: Duration, events: EventSender) -> Self {
        Self { target, connection: Some(connection), deadline, events }
    }

    /// Does something that may be done twice: an attempt whose answer was lost is repeated.
    ///
    /// # Errors
    /// The server's, once it is none that passes or the deadline is over; `what` says what could not be done.
    pub(super) async fn call<T>(
        &mut self,
        what: &str,
        mut work: impl AsyncFnMut(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        let mut first = None;
        let mut pause = Duration::from_millis(100);
        loop {
            let error = match self.once(&mut work).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let since = *first.get_or_insert_with(Instant::now);
            if verdict(&error) != Verdict::Transient || since.elapsed() >= self.deadline {
                return Err(failure(what, error));
            }
            let text = format!("PostgreSQL: {what}: {error}; trying again in {pause:.1?}");
            let _ = self.events.send(Event::Notice(text)).await;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
    }

    /// Does something at most once.
    ///
    /// # Errors
    /// The server's. The next call connects anew.
    pub(super) async fn once<T>(
        &mut self,
        mut work: impl AsyncFnMut(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.target.try_connect().await?,
        };
        let done = work(&mut connection).await?;
        self.connection = Some(connection);
        Ok(done)
    }
}
