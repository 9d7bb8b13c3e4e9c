//! What is kept up beside a pass: the run's lease, and the checkpoint in the ledger.

use crate::flow::{Level, Stop, Watermark};
use crate::ledger::{self, Checkpoint, ShardId};
use crate::model::{Event, EventSender};
use crate::postgres::Target;
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Checkpoints are saved so often, where there is anything new.
const SAVE: Duration = Duration::from_secs(1);

/// Keeps a run's lease and its checkpoint until it is told to end.
pub(super) struct Keeper {
    pub(super) target: Target,
    pub(super) shard: ShardId,
    pub(super) lease_time: Duration,
    pub(super) watermark: Watermark,
    pub(super) stop: Stop,
    pub(super) events: EventSender,
    /// Whether checkpoints are saved; else the lease alone is kept.
    pub(super) saves: bool,
    /// Set when somebody else took the run over.
    pub(super) lost: Arc<AtomicBool>,
}

impl Keeper {
    /// Runs until `done`. A server that does not answer is tried again: what it protects is fenced anyway.
    pub(super) async fn run(self, done: CancellationToken) {
        let mut connection = None;
        // At once, however long ago the phase before it did.
        let mut renewed = None;
        let pause = SAVE.min(self.lease_time / 4);
        let mut saved = None;
        let mut told = false;
        loop {
            let turn = self.turn(&mut connection, &mut renewed, &mut saved);
            // A server that vanished without a word must not keep the run from ending.
            let turn = tokio::time::timeout(self.lease_time, turn)
                .await
                .unwrap_or_else(|_| Err(Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer"))));
            match turn {
                Ok(true) => told = false,
                Ok(false) => {
                    self.lost.store(true, Ordering::Release);
                    self.stop.raise(Level::Cut);
                    return;
                }
                Err(error) => {
                    connection = None;
                    if !told {
                        let text = format!("PostgreSQL: the lease cannot be renewed now: {error}");
                        let _ = self.events.try_send(Event::Notice(text));
                        told = true;
                    }
                }
            }
            if done.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    async fn turn(
        &self,
        connection: &mut Option<PgConnection>,
        renewed: &mut Option<Instant>,
        saved: &mut Option<Checkpoint>,
    ) -> Result<bool, Error> {
        let connection = match connection {
            Some(connection) => connection,
            none => none.insert(self.target.try_connect().await?),
        };
        if renewed.is_none_or(|renewed| renewed.elapsed() >= self.lease_time / 3) {
            *renewed = Some(Instant::now());
            if !ledger::renew(connection, self.shard.run, self.shard.lease, self.lease_time).await? {
                return Ok(false);
            }
        }
        let now = checkpoint(&self.watermark);
        if self.saves && saved.as_ref() != Some(&now) {
            if !ledger::save(connection, self.shard, self.lease_time, &now).await? {
                return Ok(false);
            }
            *saved = Some(now);
        }
        Ok(true)
    }
}

/// The watermark as the ledger keeps it.
pub(super) fn checkpoint(watermark: &Watermark) -> Checkpoint {
    let (epoch, position) = watermark.position();
    Checkpoint {
        epoch,
        server_run_id: watermark.server(),
        watermark: position.page,
        cursor: position.cursor,
        unmatched: position.unmatched,
        scanned: false,
        complete: false,
    }
}
