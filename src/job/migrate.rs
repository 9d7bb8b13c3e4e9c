//! A migration: phases in order, each one pass of the pipeline, with what surrounds it: lease, checkpoints, retries of
//! children, the books of an earlier attempt.

use super::dry_parents::DryParents;
use super::keeper::{Keeper, checkpoint};
use super::key_list::KeyList;
use super::link::Link;
use super::parents::retry_children;
use super::pipeline::{self, BatchLimits, Listing, Pass, Scope, Shared, Writer};
use crate::config::Settings;
use crate::flow::{KeySpill, Position, Watermark};
use crate::ledger::{self, Checkpoint, Shard, ShardId};
use crate::model::{Event, Exit, Failure, MappingId, Side, Unmatched};
use crate::postgres::Target;
use crate::sink::{DryRun, LoadTable, Writers};
use crate::source::{self, Source};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a migration works with.
pub(super) struct Migration<'a, S> {
    pub(super) shared: Shared<S>,
    pub(super) settings: &'a Settings,
    pub(super) target: Target,
    pub(super) tables: Arc<[LoadTable]>,
    pub(super) writers: Writers,
    /// Keys that a scan will list, about.
    pub(super) expected: Option<u64>,
    /// The keys to look at, instead of a scan.
    pub(super) keys: Option<KeyList>,
    /// Where rows go; `None` is a dry run.
    pub(super) ledger: Option<Books>,
    pub(super) dry: Option<DryRun>,
}

/// The run's place in the ledger.
pub(super) struct Books {
    pub(super) run: Uuid,
    pub(super) lease: Uuid,
    pub(super) link: Link,
    /// Shards of an earlier attempt at this run.
    pub(super) shards: Vec<Shard>,
}

/// How the phases ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Every key has its outcome.
    Complete,
    /// A stop was asked for.
    Stopped,
}

impl<S: Source> Migration<'_, S> {
    /// Runs every phase that is on and not done yet.
    ///
    /// # Errors
    /// The first failure.
    pub(super) async fn run(&mut self) -> Result<End, Failure> {
        let phases = self.phases();
        let mut set_aside: Option<KeySpill> = None;
        let mut unmatched = Unmatched::default();
        for (index, (phase, mappings)) in phases.iter().enumerate() {
            let phase = *phase;
            let before = self.earlier(phase);
            if let Some(done) = before.as_ref().filter(|shard| shard.checkpoint.complete) {
                if done.scans {
                    unmatched = done.checkpoint.unmatched.clone();
                }
                continue;
            }
            let later: Vec<MappingId> = phases.iter().skip(index + 1).flat_map(|(_, ids)| ids.clone()).collect();
            let aside = set_aside.take();
            let scans = aside.is_none();
            let end = self.phase(phase, mappings, &later, aside, before.map(|shard| shard.checkpoint)).await?;
            if scans {
                unmatched = end.unmatched;
            }
            if !end.complete {
                self.book_unmatched(unmatched).await;
                return Ok(End::Stopped);
            }
            set_aside = end.set_aside;
        }
        self.book_unmatched(unmatched).await;
        Ok(End::Complete)
    }

    /// Keys that no mapping took, by the last pass that looked at all keys.
    async fn book_unmatched(&self, unmatched: Unmatched) {
        let _ = self.shared.events.send(Event::Unmatched(Box::new(unmatched))).await;
    }

    /// The phases that are on. Their numbers are the plan's, whatever is switched off: a resume goes by them.
    fn phases(&self) -> Vec<(u32, Vec<MappingId>)> {
        let on = |id: &MappingId| {
            let name = self.shared.plan.mapping(*id).name();
            !self.settings.phases.skip.iter().any(|off| off == name)
        };
        self.shared
            .plan
            .phases()
            .iter()
            .zip(1..)
            .map(|(phase, number)| (number, phase.iter().copied().filter(on).collect::<Vec<_>>()))
            .filter(|(_, phase)| !phase.is_empty())
            .collect()
    }

    fn earlier(&self, phase: u32) -> Option<Shard> {
        let shards = &self.ledger.as_ref()?.shards;
        // One that never came to a checkpoint starts like a new one.
        let begun = |shard: &&Shard| shard.checkpoint.complete || shard.checkpoint.watermark > 0;
        shards.iter().find(|shard| shard.phase == phase).filter(begun).cloned()
    }

    async fn phase(
        &mut self,
        phase: u32,
        mappings: &[MappingId],
        later: &[MappingId],
        aside: Option<KeySpill>,
        before: Option<Checkpoint>,
    ) -> Result<PhaseEnd, Failure> {
        let before = before.filter(|_| aside.is_none());
        let expected = aside.as_ref().map(KeySpill::keys).or(self.expected);
        let started = Event::PhaseStarted { phase, mappings: mappings.to_vec(), expected };
        let _ = self.shared.events.send(started).await;
        let shard = self.open_shard(phase, aside.is_none()).await?;
        let fresh = before.is_none();
        let (listing, watermark) = self.listing(aside, before)?;
        // A list that somebody wrote, or the rest of an earlier scan, does not hold all keys of the later phases.
        let whole = matches!(listing, Listing::Scan(_) | Listing::SetAside(_));
        let scope = self.scope(mappings, later, whole && fresh)?;
        let writers = self.ends(shard);
        let pass = Pass { listing, scope, limits: self.limits(), writers, watermark: watermark.clone() };

        let done = CancellationToken::new();
        let lost = Arc::new(AtomicBool::new(false));
        let keeper = shard.map(|shard| {
            let keeper = Keeper {
                target: self.target.clone(),
                shard,
                lease_time: self.settings.flow.lease.0,
                watermark: watermark.clone(),
                stop: self.shared.stop.clone(),
                events: self.shared.events.clone(),
                saves: !is_partial(self.settings),
                lost: lost.clone(),
            };
            tokio::spawn(keeper.run(done.clone()))
        });
        let result = self.pass_and_retry(pass, shard, mappings, &watermark).await;
        done.cancel();
        if let Some(keeper) = keeper {
            let _ = keeper.await;
        }
        if lost.load(Ordering::Acquire) {
            return Err(taken_over());
        }
        let end = result?;
        let _ = self.shared.events.send(Event::PhaseEnded { phase }).await;
        Ok(end)
    }

    /// The pass itself; then, once all is loaded, children whose parent came late.
    async fn pass_and_retry(
        &mut self,
        pass: Pass<S>,
        shard: Option<ShardId>,
        mappings: &[MappingId],
        watermark: &Watermark,
    ) -> Result<PhaseEnd, Failure> {
        let end = pipeline::run(&self.shared, pass).await;
        let mut at = checkpoint(watermark);
        let complete = matches!(&end, Ok(end) if end.complete) && !self.shared.stop.cut();
        at.scanned = complete;
        let saves = !is_partial(self.settings);
        let lease_time = self.settings.flow.lease.0;
        if let (Some(ledger), Some(shard)) = (&mut self.ledger, shard) {
            if saves {
                if end.is_ok() {
                    save(&mut ledger.link, shard, lease_time, &at).await?;
                } else {
                    // It failed already, and the server may be why: tried once, and the first failure is told.
                    let save = async |connection: &mut _| ledger::save(connection, shard, lease_time, &at).await;
                    let _ = ledger.link.once(save).await;
                }
            }
            let end = end?;
            if complete {
                let mut loader = self.writers.writer(shard);
                retry_children(&self.shared, &mut loader, &mut ledger.link, shard, mappings).await?;
                at.complete = !self.shared.stop.cut();
                if saves {
                    save(&mut ledger.link, shard, lease_time, &at).await?;
                }
            }
            let complete = at.complete;
            return Ok(PhaseEnd { complete, set_aside: end.set_aside, unmatched: at.unmatched });
        }
        Ok(PhaseEnd { complete, set_aside: end?.set_aside, unmatched: at.unmatched })
    }

    async fn open_shard(&mut self, phase: u32, scans: bool) -> Result<Option<ShardId>, Failure> {
        let Some(ledger) = &mut self.ledger else { return Ok(None) };
        let shard = ShardId { run: ledger.run, phase, shard: 0, lease: ledger.lease };
        // Between phases nobody else renews the lease.
        let (run, lease, time) = (ledger.run, ledger.lease, self.settings.flow.lease.0);
        let renew = async |connection: &mut _| ledger::renew(connection, run, lease, time).await;
        if !ledger.link.call("renewing the lease", renew).await? {
            return Err(taken_over());
        }
        let open = async |connection: &mut _| ledger::open(connection, shard, scans).await;
        if ledger.link.call("opening the shard", open).await? { Ok(Some(shard)) } else { Err(taken_over()) }
    }

    fn listing(
        &self,
        aside: Option<KeySpill>,
        before: Option<Checkpoint>,
    ) -> Result<(Listing<S::Scan>, Watermark), Failure> {
        if let Some(reader) = aside.and_then(KeySpill::finish) {
            return Ok((Listing::SetAside(reader), Watermark::default()));
        }
        if let Some(keys) = &self.keys {
            return Ok((Listing::File(keys.lines()?), Watermark::default()));
        }
        let Some(before) = before else {
            return Ok((Listing::Scan(self.shared.source.scan(None)), Watermark::default()));
        };
        let position = Position { page: before.watermark, cursor: before.cursor.clone(), unmatched: before.unmatched };
        let watermark = Watermark::at(before.epoch, position);
        let from = source::Checkpoint {
            server_run_id: before.server_run_id,
            cursor: before.cursor,
            epoch: before.epoch,
            number: before.watermark,
        };
        Ok((Listing::Scan(self.shared.source.scan(Some(from))), watermark))
    }

    fn scope(&self, now: &[MappingId], later: &[MappingId], may_set_aside: bool) -> Result<Scope, Failure> {
        let limit = self.settings.run.limit;
        let on: Vec<MappingId> = self.phases().into_iter().flat_map(|(_, ids)| ids).collect();
        let off = self.shared.plan.mappings().map(|(id, _)| id).filter(|id| !on.contains(id)).collect();
        let spill = if may_set_aside && limit.is_none() && !later.is_empty() {
            Some(KeySpill::new(self.settings.flow.spill_limit.0)?)
        } else {
            None
        };
        Ok(Scope { now: now.to_vec(), later: later.to_vec(), off, limit, spill })
    }

    fn limits(&self) -> BatchLimits {
        let flow = &self.settings.flow;
        BatchLimits {
            rows: usize::try_from(flow.batch_rows).unwrap_or(usize::MAX),
            bytes: usize::try_from(flow.batch_bytes.0).unwrap_or(usize::MAX),
            age: flow.batch_age.0,
        }
    }

    /// The mappings of which this run sees every key.
    fn judged(&self) -> Arc<[MappingId]> {
        if is_partial(self.settings) {
            return Arc::default();
        }
        self.phases().into_iter().flat_map(|(_, mappings)| mappings).collect()
    }

    fn ends(&self, shard: Option<ShardId>) -> Vec<Writer<S>> {
        let count = self.settings.flow.writers.max(1);
        (0..count)
            .map(|_| match (shard, &self.dry) {
                (Some(shard), _) => Writer::Load(Box::new(self.writers.writer(shard))),
                (None, dry) => {
                    let dry =
                        dry.clone().unwrap_or_else(|| DryRun::new(self.tables.clone(), self.shared.events.clone(), 0));
                    let (source, plan) = (self.shared.source.clone(), self.shared.plan.clone());
                    let (tables, target, judged) = (self.tables.clone(), self.target.clone(), self.judged());
                    let parents = DryParents::new(source, plan, tables, target, dry.clone(), judged);
                    Writer::Dry(dry, Box::new(parents))
                }
            })
            .collect()
    }
}

struct PhaseEnd {
    complete: bool,
    set_aside: Option<KeySpill>,
    unmatched: Unmatched,
}

/// Whether a run looks at a part of the keys only. Such a run says nothing about the rest: it leaves no checkpoint, so
/// that a resume without the limit begins at the beginning.
fn is_partial(settings: &Settings) -> bool {
    let run = &settings.run;
    run.limit.is_some() || run.keys.is_some() || run.keys_from.is_some()
}

/// Tells the books what earlier attempts at a resumed run have settled.
pub(super) async fn book_earlier<S: Source>(migration: &mut Migration<'_, S>) -> Result<(), Failure> {
    let Some(ledger) = &mut migration.ledger else { return Ok(()) };
    let run = ledger.run;
    let totals: BTreeMap<String, crate::model::Tally> = ledger
        .link
        .call("reading what the run has done", async |connection| ledger::totals(connection, run).await)
        .await?;
    for (id, mapping) in migration.shared.plan.mappings() {
        let Some(tally) = totals.get(mapping.name()) else { continue };
        let settled = u64::try_from(tally.settled()).unwrap_or(0);
        let events = &migration.shared.events;
        let _ = events.send(Event::Listed { matched: vec![(id, settled)], scanned: 0 }).await;
        // Marked as pending: what was rejected before does not count against a limit of this attempt.
        let pending = tally.rejects();
        let _ = events.send(Event::Settled { mapping: id, tally: tally.clone(), bytes: 0, pending }).await;
    }
    Ok(())
}

/// Waits for the lease of a process that died, where it is asked to resume; such a lease ends by itself.
pub(super) async fn wait_for_lease(left: Duration, stop: &crate::flow::Stop) -> bool {
    tokio::select! {
        () = tokio::time::sleep(left + Duration::from_millis(200)) => true,
        () = stop.wait_drain() => false,
    }
}

/// Saves the checkpoint, which only the holder of the lease may.
async fn save(link: &mut Link, shard: ShardId, lease_time: Duration, at: &Checkpoint) -> Result<(), Failure> {
    let save = async |connection: &mut _| ledger::save(connection, shard, lease_time, at).await;
    if link.call("saving the checkpoint", save).await? { Ok(()) } else { Err(taken_over()) }
}

fn taken_over() -> Failure {
    Failure::new(
        Exit::Stopped,
        Side::Postgres,
        "another process took this run over; nothing more is written here",
        "Look at `redis2pg runs list`. If this process was suspended for long, that is why.",
    )
}
