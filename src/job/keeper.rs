//! What is kept up beside a pass: the run's lease, and the checkpoint in the ledger.

use super::upkeep::{Renewal, Upkeep};
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
    /// Runs until `done`.
    pub(super) async fn run(self, done: CancellationToken) {
        let Self { target, shard, lease_time, watermark, stop, events, saves, lost } = self;
        let tell = |text| drop(events.try_send(Event::Notice(text)));
        let upkeep = Upkeep { target, pause: SAVE.min(lease_time / 4), patience: lease_time, tell };
        // The lease is renewed at once, however long ago the phase before it did.
        let mut kept = Kept { shard, lease_time, watermark, saves, renewed: None, saved: None };
        if upkeep.until_lost(&mut kept, &done).await {
            // Noted before the work is cut, so that whoever is cut knows why.
            lost.store(true, Ordering::Release);
            stop.raise(Level::Cut);
        }
    }
}

/// The lease and the checkpoint, as they were written last.
struct Kept {
    shard: ShardId,
    lease_time: Duration,
    watermark: Watermark,
    saves: bool,
    renewed: Option<Instant>,
    saved: Option<Checkpoint>,
}

impl Renewal for Kept {
    async fn renew(&mut self, connection: &mut PgConnection) -> Result<bool, Error> {
        if self.renewed.is_none_or(|renewed| renewed.elapsed() >= self.lease_time / 3) {
            self.renewed = Some(Instant::now());
            if !ledger::renew(connection, self.shard.run, self.shard.lease, self.lease_time).await? {
                return Ok(false);
            }
        }
        let now = checkpoint(&self.watermark);
        if self.saves && self.saved.as_ref() != Some(&now) {
            if !ledger::save(connection, self.shard, self.lease_time, &now).await? {
                return Ok(false);
            }
            self.saved = Some(now);
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
