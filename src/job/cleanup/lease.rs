//! The lease of a cleanup: renewed beside the work, and looked at before each deletion. A process that was suspended for so
//! long that another may have taken its place deletes nothing more.

use super::pulse::Pulse;
use crate::flow::{Level, Stop};
use crate::job::upkeep::{Renewal, Upkeep};
use crate::ledger::{self, CleanupLease};
use crate::model::{Event, EventSender, Failure, Moment};
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
    renewed: Mutex<Moment>,
    lost: AtomicBool,
    pulse: Pulse,
}

impl Lease {
    /// One that was claimed after `since`.
    pub(super) fn new(held: CleanupLease, since: Moment) -> Self {
        let (renewed, lost) = (Mutex::new(since), AtomicBool::new(false));
        Self { held, state: Arc::new(State { renewed, lost, pulse: Pulse::new() }) }
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

    /// How often the process stood still so far: see [`Pulse`].
    pub(super) fn interruptions(&self) -> u64 {
        self.state.pulse.interruptions()
    }

    /// Renews it until `done`. Cuts the work where somebody else has it.
    pub(super) async fn keep(mut self, target: Target, (stop, events): (Stop, EventSender), done: CancellationToken) {
        let (lease_time, tell) = (self.held.2, |text| drop(events.try_send(Event::Notice(text))));
        let upkeep = Upkeep { target, pause: lease_time / 4, patience: lease_time, tell };
        let state = self.state.clone();
        let lost = tokio::select! {
            lost = upkeep.until_lost(&mut self, &done) => lost,
            () = state.pulse.beat() => false,
        };
        if lost {
            // Noted before the work is cut, so that whoever is cut knows why.
            self.state.lost.store(true, Ordering::Release);
            stop.raise(Level::Cut);
        }
    }
}

impl Renewal for Lease {
    async fn renew(&mut self, connection: &mut PgConnection) -> Result<bool, Error> {
        let asked = Moment::now();
        let is_ours = ledger::renew_cleanup(connection, self.held).await?;
        if is_ours {
            *self.state.renewed.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        }
        Ok(is_ours)
    }
}

/// Another process has begun what must not be beside the cleanup.
pub(super) fn taken_over() -> Failure {
    let failure = ledger::taken_over();
    let message = "another process has begun a cleanup, a run or a rollback here; nothing more is deleted".to_owned();
    Failure { message, ..failure }
}
