//! The lease of a cleanup: renewed beside the work, and looked at before each deletion. A process that was suspended for so
//! long that another may have taken its place deletes nothing more.

use crate::flow::{Level, Stop};
use crate::ledger::{self, CleanupLease};
use crate::model::{Event, EventSender, Failure};
use crate::postgres::Target;
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether it is renewed again.
const LOOK: Duration = Duration::from_millis(20);

/// The lease. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lease {
    pub(super) held: CleanupLease,
    state: Arc<State>,
}

struct State {
    /// When the last renewal was asked for that was answered.
    renewed: Mutex<Instant>,
    lost: AtomicBool,
}

impl Lease {
    /// One that was claimed after `since`.
    pub(super) fn new(held: CleanupLease, since: Instant) -> Self {
        Self { held, state: Arc::new(State { renewed: Mutex::new(since), lost: AtomicBool::new(false) }) }
    }

    /// Waits until it is sure that nobody else has it; `patience`: for how long.
    ///
    /// # Errors
    /// Somebody has taken over; PostgreSQL does not answer.
    pub(super) async fn sure(&self, patience: Duration) -> Result<(), Failure> {
        let since = Instant::now();
        loop {
            if self.is_lost() {
                return Err(taken_over());
            }
            let renewed = *self.state.renewed.lock().unwrap_or_else(PoisonError::into_inner);
            // By two thirds a renewal was tried more than twice.
            if renewed.elapsed() < self.held.2 * 2 / 3 {
                return Ok(());
            }
            if since.elapsed() > patience {
                let message = "the lease of the cleanup cannot be renewed: nothing more is deleted";
                return Err(Failure::postgres(message, "The same command goes on."));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.state.lost.load(Ordering::Acquire)
    }

    /// Renews it until `done`. Cuts the work where somebody else has it.
    pub(super) async fn keep(self, target: Target, (stop, events): (Stop, EventSender), done: CancellationToken) {
        let pause = self.held.2 / 4;
        let mut connection: Option<PgConnection> = None;
        let mut told = false;
        loop {
            let asked = Instant::now();
            let turn = tokio::time::timeout(self.held.2, renew(&target, &mut connection, self.held)).await;
            match turn.unwrap_or_else(|_| Err(Error::Io(std::io::ErrorKind::TimedOut.into()))) {
                Ok(true) => {
                    *self.state.renewed.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                    told = false;
                }
                Ok(false) => {
                    self.state.lost.store(true, Ordering::Release);
                    stop.raise(Level::Cut);
                    return;
                }
                Err(error) => {
                    connection = None;
                    if !std::mem::replace(&mut told, true) {
                        let text = format!("PostgreSQL: the lease cannot be renewed now: {error}");
                        let _ = events.try_send(Event::Notice(text));
                    }
                }
            }
            if done.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }
}

async fn renew(target: &Target, connection: &mut Option<PgConnection>, held: CleanupLease) -> Result<bool, Error> {
    let connection = match connection {
        Some(connection) => connection,
        none => none.insert(target.try_connect().await?),
    };
    ledger::renew_cleanup(connection, held).await
}

/// Another process has the cleanup's place.
pub(super) fn taken_over() -> Failure {
    let failure = ledger::taken_over();
    Failure { message: "another process has begun a cleanup here; nothing more is deleted".to_owned(), ..failure }
}
