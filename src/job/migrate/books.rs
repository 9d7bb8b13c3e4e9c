//! The run's place in the ledger: its shards, its checkpoints, and what earlier attempts at it have settled.

use super::Migration;
use crate::job::link::Link;
use crate::ledger::{self, Checkpoint, RetryOf, Shard, ShardId};
use crate::model::{Event, Failure, Tally};
use crate::source::Source;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// The run's place in the ledger.
pub(in crate::job) struct Books {
    pub(in crate::job) run: Uuid,
    pub(in crate::job) lease: Uuid,
    pub(in crate::job) lease_time: Duration,
    pub(in crate::job) link: Link,
    /// The run whose rejects this one takes.
    pub(in crate::job) retry_of: Option<RetryOf>,
    /// Shards of an earlier attempt at this run.
    pub(in crate::job) shards: Vec<Shard>,
}

impl Books {
    /// Opens a shard of a phase. `scans`: Redis is scanned for it.
    pub(super) async fn open_shard(&mut self, phase: u32, shard: u32, scans: bool) -> Result<ShardId, Failure> {
        let (run, lease, time) = (self.run, self.lease, self.lease_time);
        let shard = ShardId { run, phase, shard, lease, retry_of: self.retry_of };
        // Between phases nobody else renews the lease.
        let renew = async |connection: &mut _| ledger::renew(connection, run, lease, time).await;
        if !self.link.call("renewing the lease", renew).await? {
            return Err(ledger::taken_over());
        }
        let open = async |connection: &mut _| ledger::open(connection, shard, time, scans).await;
        if self.link.call("opening the shard", open).await? { Ok(shard) } else { Err(ledger::taken_over()) }
    }

    /// A shard of an earlier attempt that came to a checkpoint; one that did not starts like a new one.
    pub(super) fn earlier(&self, phase: u32, shard: u32) -> Option<Shard> {
        let begun = |shard: &&Shard| shard.checkpoint.complete || shard.checkpoint.watermark > 0;
        self.shards.iter().find(|known| (known.phase, known.shard) == (phase, shard)).filter(begun).cloned()
    }

    /// Saves the checkpoint, which only the holder of the lease may.
    pub(super) async fn save(&mut self, shard: ShardId, at: &Checkpoint) -> Result<(), Failure> {
        let time = self.lease_time;
        let save = async |connection: &mut _| ledger::save(connection, shard, time, at).await;
        if self.link.call("saving the checkpoint", save).await? { Ok(()) } else { Err(ledger::taken_over()) }
    }

    /// Saves the checkpoint of a phase that failed. The server may be why: it is tried once, and the first failure is told.
    pub(super) async fn try_save(&mut self, shard: ShardId, at: &Checkpoint) {
        let time = self.lease_time;
        let save = async |connection: &mut _| ledger::save(connection, shard, time, at).await;
        let _ = self.link.once(save).await;
    }
}

/// Tells the run's books what earlier attempts at a resumed run have settled.
pub(in crate::job) async fn book_earlier<S: Source>(migration: &mut Migration<'_, S>) -> Result<(), Failure> {
    let Some(ledger) = &mut migration.ledger else { return Ok(()) };
    let run = ledger.run;
    let totals: BTreeMap<String, Tally> = ledger
        .link
        .read("reading what the run has done", async |connection| ledger::totals(connection, run).await)
        .await?;
    for (id, mapping) in migration.shared.plan.mappings() {
        let Some(tally) = totals.get(mapping.name()) else { continue };
        let settled = u64::try_from(tally.settled()).unwrap_or(0);
        let events = &migration.shared.events;
        let _ = events.send(Event::Listed { matched: vec![(id, settled)], scanned: 0 }).await;
        let _ = events.send(Event::Earlier { mapping: id, tally: tally.clone() }).await;
    }
    Ok(())
}
