//! The run's own connection to its target: made again when it is lost, for as long as a batch would be tried again.

use crate::config::Settings;
use crate::flow::{Backoff, Stop};
use crate::job::setup;
use crate::model::{Event, EventSender, Exit, Failure};
use crate::postgres::{Limits, Target, Verdict, answered, describe, failure, verdict};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use std::time::{Duration, Instant};

/// A connection that outlasts a restart of the server.
pub(super) struct Link {
    target: Target,
    connection: Option<PgConnection>,
    waits: Waits,
    /// Ends the waiting once it is cut.
    stop: Stop,
    events: Option<EventSender>,
}

/// How long a link waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// What fails is tried again until so long after its first failure.
    pub(super) retry: Duration,
    /// A connection is given up where the server takes longer for one attempt; `None`: never.
    pub(super) silence: Option<Duration>,
    /// What bounds a transaction that only reads.
    limits: Limits,
}

impl Waits {
    /// As a batch is waited for.
    pub(super) fn new(settings: &Settings) -> Self {
        let limits = setup::limits(settings);
        Self { retry: settings.target.retry_deadline.0, silence: limits.silence(), limits }
    }
}

/// Why a piece of work did not do.
pub(super) enum Trouble {
    /// The server's error; it may be one that passes.
    Server(Error),
    /// No second attempt mends it.
    Final(Failure),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Final(failure)
    }
}

impl Link {
    /// Goes on with an open connection.
    pub(super) fn new(target: Target, connection: PgConnection, waits: Waits, stop: Stop, events: EventSender) -> Self {
        Self { target, connection: Some(connection), waits, stop, events: Some(events) }
    }

    /// Connects when it is first used. For when the events are over: only the log hears of what is tried again.
    pub(super) fn anew(target: Target, waits: Waits, stop: Stop) -> Self {
        Self { target, connection: None, waits, stop, events: None }
    }

    /// One more connection to the same server, made when it is first used.
    pub(super) fn another(&self) -> Self {
        let Self { target, waits, stop, events, .. } = self;
        Self { target: target.clone(), connection: None, waits: *waits, stop: stop.clone(), events: events.clone() }
    }

    /// What is tried again is told here as well.
    pub(super) fn telling(self, events: EventSender) -> Self {
        Self { events: Some(events), ..self }
    }

    /// Does something that may be done twice: an attempt whose answer was lost is repeated.
    ///
    /// # Errors
    /// The server's, once it is none that passes or the deadline is over; `what` says what could not be done. After a
    /// deadline the next call is tried once only.
    pub(super) async fn call<T, E: Into<Trouble>>(
        &mut self,
        what: &str,
        mut work: impl AsyncFnMut(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let mut backoff = Backoff::until(self.waits.retry);
        loop {
            let error = match self.attempt(&mut work).await {
                Ok(done) => return Ok(done),
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Server(error)) => error,
            };
            self.wait(&mut backoff, what, error).await?;
        }
    }

    /// Asks something, in a transaction that is bounded as the settings say, whatever the role or the database has for itself, and that
    /// leaves nothing. A transaction that the work begins is a part of it.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(super) async fn read<T, E: Into<Trouble>>(
        &mut self,
        what: &str,
        mut work: impl AsyncFnMut(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, Failure> {
        let limits = self.waits.limits;
        let bounded = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            limits.set(&mut transaction).await?;
            let answer = work(&mut transaction).await.map_err(Into::into)?;
            transaction.rollback().await?;
            Ok::<_, Trouble>(answer)
        };
        self.call(what, bounded).await
    }

    /// How long what is begun now is tried again: for those who do the attempts themselves, since a stage cannot hand a
    /// closure over to [`Self::call`].
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::until(self.waits.retry)
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The attempt's, where none follows.
    pub(super) async fn wait(&mut self, backoff: &mut Backoff, what: &str, error: Error) -> Result<(), Failure> {
        if verdict(&error) != Verdict::Transient {
            return Err(failure(what, error));
        }
        let pause = backoff.pause(Instant::now()).filter(|_| !self.stop.cut());
        let Some(pause) = pause else {
            self.waits.retry = Duration::ZERO;
            let mut failure = failure(what, error);
            if self.stop.cut() {
                failure.exit = Exit::Stopped;
            }
            return Err(failure);
        };
        self.tell(format!("PostgreSQL: {what}: {}; trying again in {pause:.1?}", describe(&error))).await;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.stop.wait_cut() => {}
        }
        Ok(())
    }

    /// Waits for an answer on a connection that was taken, no longer than for any attempt.
    ///
    /// # Errors
    /// The server's; a silent one.
    pub(super) async fn answer<T>(&self, work: impl Future<Output = Result<T, Error>> + Send) -> Result<T, Error> {
        answered(self.waits.silence, work).await?
    }

    /// Gives a connection back that is in order.
    pub(super) fn keep(&mut self, connection: PgConnection) {
        self.connection = Some(connection);
    }

    /// Does something at most once.
    ///
    /// # Errors
    /// The server's. The next call connects anew.
    pub(super) async fn once<T>(
        &mut self,
        mut work: impl AsyncFnMut(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut connection = self.take().await?;
        let done = answered(self.waits.silence, work(&mut connection)).await??;
        self.connection = Some(connection);
        Ok(done)
    }

    async fn attempt<T, E: Into<Trouble>>(
        &mut self,
        work: &mut impl AsyncFnMut(&mut PgConnection) -> Result<T, E>,
    ) -> Result<T, Trouble> {
        let mut connection = self.take().await?;
        let done = answered(self.waits.silence, work(&mut connection)).await?.map_err(Into::into)?;
        self.connection = Some(connection);
        Ok(done)
    }

    /// A connection, the one that was kept if there is one.
    ///
    /// # Errors
    /// As connecting gives them.
    pub(super) async fn take(&mut self) -> Result<PgConnection, Error> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.target.try_connect().await,
        }
    }

    async fn tell(&self, text: String) {
        match &self.events {
            Some(events) => {
                let _ = events.send(Event::Notice(text)).await;
            }
            None => tracing::warn!("{text}"),
        }
    }
}
