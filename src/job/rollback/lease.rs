//! The lease of a rollback: claimed, renewed beside the work, and given back.

use super::{Held, find};
use crate::config::Settings;
use crate::job::link::Link;
use crate::job::upkeep::{Renewal, Upkeep};
use crate::ledger::{self, RollbackClaim};
use crate::model::{Failure, Side};
use crate::postgres::Target;
use sqlx::Error;
use sqlx::postgres::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Claims the right to roll the run back.
///
/// # Errors
/// Another process is at work on the run or its tables; the server's.
pub(super) async fn claim(link: &mut Link, settings: &Settings, run: Uuid) -> Result<Held, Failure> {
    let held = (run, Uuid::new_v4(), settings.flow.lease.0);
    let claim = async |connection: &mut PgConnection| ledger::claim_rollback(connection, held).await;
    let message = match link.call("claiming the rollback in the ledger", claim).await? {
        RollbackClaim::Ours => return Ok(held),
        RollbackClaim::Running => return Err(find::at_work(run)),
        RollbackClaim::Writing(other) => format!("run {other} is at work on tables of run {run}"),
        RollbackClaim::Cleaning(cleanup) => format!("cleanup {cleanup} is deleting keys of run {run}"),
        RollbackClaim::Busy => format!("another process is rolling run {run} back"),
    };
    Err(Failure::usage(Side::Postgres, message, find::WAIT))
}

/// Gives the lease back, so that the same command need not wait for its end. Where that fails it ends by itself.
pub(super) async fn give_back(link: &mut Link, (run, lease, _): Held) {
    let give = async |connection: &mut PgConnection| ledger::release_rollback(connection, (run, lease), false).await;
    if let Err(failure) = link.call("giving the rollback's lease back", give).await {
        tracing::warn!("{failure}");
    }
}

/// Renews the lease on a connection of its own, however long a batch takes or waits.
pub(super) struct Keeper {
    target: Target,
    /// `None`: a dry run, which needs none.
    held: Option<Held>,
}

impl Keeper {
    pub(super) fn new(target: Target, held: Option<Held>) -> Self {
        Self { target, held }
    }

    /// What it keeps.
    pub(super) fn held(&self) -> Option<Held> {
        self.held
    }

    /// Does something for as long as the lease is kept. What is cut off leaves nothing: each transaction is fenced.
    ///
    /// # Errors
    /// Those of the work; another process has the rollback now.
    pub(super) async fn beside<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let Some(held) = self.held else { return work.await };
        let tell = |text| tracing::warn!("{text}");
        let upkeep = Upkeep { target: self.target.clone(), pause: held.2 / 4, patience: held.2, tell };
        let (mut renewed, never) = (Renewed(held), CancellationToken::new());
        tokio::select! {
            biased;
            done = work => done,
            _ = upkeep.until_lost(&mut renewed, &never) => Err(ledger::taken_over()),
        }
    }
}

/// The lease that is renewed.
struct Renewed(Held);

impl Renewal for Renewed {
    async fn renew(&mut self, connection: &mut PgConnection) -> Result<bool, Error> {
        ledger::renew_rollback(connection, self.0).await
    }
}
