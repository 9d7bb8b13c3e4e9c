//! A migration: phases in order, each one pass of the pipeline over each database that it reads, with what surrounds it:
//! lease, checkpoints, retries of children, the books of an earlier attempt.

mod books;
mod pass;

pub(super) use books::{Books, book_earlier};

use super::databases::Base;
use super::keeper::{Keeper, checkpoint};
use super::key_list::KeyList;
use super::parents::{Retrying, retry_children};
use super::pipeline::{self, Pass, Shared};
use crate::config::Settings;
use crate::flow::KeySpill;
use crate::ledger::{self, Checkpoint, ShardId};
use crate::model::{Event, Failure, MappingId, Unmatched};
use crate::postgres::Target;
use crate::sink::{DryRun, LoadTable, Writers};
use crate::source::Source;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;

/// What a migration works with.
pub(super) struct Migration<'a, S> {
    pub(super) shared: Shared<S>,
    pub(super) settings: &'a Settings,
    pub(super) target: Target,
    pub(super) tables: Arc<[LoadTable]>,
    pub(super) writers: Writers,
    /// The keys to look at, instead of a scan.
    pub(super) keys: Option<Arc<KeyList>>,
    /// Where rows go; `None` is a dry run.
    pub(super) ledger: Option<Books>,
    pub(super) dry: Option<DryRun>,
}

/// How the phases ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Every key has its outcome.
    Complete,
    /// A stop was asked for.
    Stopped,
}

/// What a pass over a database leaves to the next phase.
#[derive(Default)]
struct Left {
    set_aside: Option<KeySpill>,
    /// Of the last pass that looked at all keys.
    unmatched: Unmatched,
}

/// By the shards of the databases that were read so far, in earlier attempts too.
type AllLeft = BTreeMap<u32, Left>;

impl<S: Source> Migration<'_, S> {
    /// Runs every phase that is on and not done yet.
    ///
    /// # Errors
    /// The first failure.
    pub(super) async fn run(&mut self) -> Result<End, Failure> {
        let phases = self.phases();
        let mut left = self.left_by_earlier();
        let mut end = End::Complete;
        for (index, (phase, mappings)) in phases.iter().enumerate() {
            let later: Vec<MappingId> = phases.iter().skip(index + 1).flat_map(|(_, ids)| ids.clone()).collect();
            if !self.phase(*phase, (mappings, &later), &mut left).await? {
                end = End::Stopped;
                break;
            }
        }
        for left in left.into_values() {
            let _ = self.shared.events.send(Event::Unmatched(Box::new(left.unmatched))).await;
        }
        Ok(end)
    }

    /// What passes of earlier attempts have told. Of a database as well that is read no more: `all` are those that hold
    /// keys now.
    fn left_by_earlier(&self) -> AllLeft {
        let mut left = AllLeft::new();
        let shards = self.ledger.iter().flat_map(|books| &books.shards);
        for done in shards.filter(|shard| shard.checkpoint.complete && shard.scans) {
            left.entry(done.shard).or_default().unmatched = done.checkpoint.unmatched.clone();
        }
        left
    }

    /// The phases that are on. Their numbers are the plan's, whatever is switched off: a resume goes by them.
    pub(in crate::job) fn phases(&self) -> Vec<(u32, Vec<MappingId>)> {
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

    /// Runs a phase: a pass over each database that one of its mappings reads. `false`: a stop was asked for.
    async fn phase(
        &mut self,
        phase: u32,
        (mappings, later): (&[MappingId], &[MappingId]),
        left: &mut AllLeft,
    ) -> Result<bool, Failure> {
        let mut turns = Vec::new();
        for base in self.shared.bases.iter() {
            let now = reading(base, mappings);
            if now.is_empty() {
                continue;
            }
            let before = self.ledger.as_ref().and_then(|books| books.earlier(phase, base.database.shard()));
            if before.as_ref().is_some_and(|shard| shard.checkpoint.complete) {
                continue;
            }
            let aside = left.get(&base.database.shard()).and_then(|left| left.set_aside.as_ref());
            let listed = base.expected.filter(|_| self.shared.retry.is_none());
            let keys = aside.map(KeySpill::keys).or(listed);
            let turn = Turn { shared: self.shared.within(base), now, later: reading(base, later) };
            turns.push((turn, keys, before.map(|shard| shard.checkpoint)));
        }
        if turns.is_empty() {
            return Ok(true);
        }
        let expected = turns.iter().map(|(_, keys, _)| *keys).sum();
        let started = Event::PhaseStarted { phase, mappings: mappings.to_vec(), expected };
        let _ = self.shared.events.send(started).await;
        let mut complete = true;
        for (turn, _, before) in turns {
            complete = self.turn(phase, turn, before, left).await?;
            if !complete {
                break;
            }
        }
        let _ = self.shared.events.send(Event::PhaseEnded { phase }).await;
        Ok(complete)
    }

    /// A pass over one database. `false`: a stop was asked for.
    async fn turn(
        &mut self,
        phase: u32,
        turn: Turn<S>,
        before: Option<Checkpoint>,
        left: &mut AllLeft,
    ) -> Result<bool, Failure> {
        let database = turn.shared.database;
        let aside = left.entry(database.shard()).or_default().set_aside.take();
        let scans = aside.is_none();
        let before = before.filter(|_| scans);
        let shard = match &mut self.ledger {
            Some(books) => Some(books.open_shard(phase, database.shard(), scans).await?),
            None => None,
        };
        let room = left.values().filter_map(|left| left.set_aside.as_ref()).map(KeySpill::bytes).sum();
        let room = self.settings.flow.spill_limit.0.saturating_sub(room);
        let pass = self.pass(&turn, shard, aside, before, room)?;
        let end = match shard {
            Some(shard) => self.while_kept(pass, &turn, shard).await?,
            None => self.dry_pass(pass, &turn).await?,
        };
        let kept = left.entry(database.shard()).or_default();
        if scans {
            kept.unmatched = end.unmatched;
        }
        kept.set_aside = end.set_aside.filter(|_| end.complete);
        Ok(end.complete)
    }

    /// Runs a pass while the lease and the checkpoint are kept up beside it.
    async fn while_kept(&mut self, pass: Pass<S>, turn: &Turn<S>, shard: ShardId) -> Result<PassEnd, Failure> {
        let done = CancellationToken::new();
        let lost = Arc::new(AtomicBool::new(false));
        let keeper = Keeper {
            target: self.target.clone(),
            shard,
            lease_time: self.settings.flow.lease.0,
            watermark: pass.watermark.clone(),
            stop: self.shared.stop.clone(),
            events: self.shared.events.clone(),
            saves: !self.is_partial(),
            lost: lost.clone(),
        };
        let keeper = tokio::spawn(keeper.run(done.clone()));
        let result = self.pass_and_retry(pass, turn, shard).await;
        done.cancel();
        let _ = keeper.await;
        if lost.load(Ordering::Acquire) { Err(ledger::taken_over()) } else { result }
    }

    /// The pass itself; then, once all is loaded, children whose parent came late.
    async fn pass_and_retry(&mut self, pass: Pass<S>, turn: &Turn<S>, shard: ShardId) -> Result<PassEnd, Failure> {
        let watermark = pass.watermark.clone();
        let end = pipeline::run(&turn.shared, pass).await;
        let mut at = checkpoint(&watermark);
        at.scanned = self.is_complete(&end);
        let saves = !self.is_partial();
        let Some(books) = &mut self.ledger else {
            return Err(Failure::internal("a shard is open and there is no ledger"));
        };
        if saves {
            match &end {
                Ok(_) => books.save(shard, &at).await?,
                Err(_) => books.try_save(shard, &at).await,
            }
        }
        let end = end?;
        if at.scanned {
            let mut loader = self.writers.writer(shard);
            let (shared, tables) = (&turn.shared, &*self.tables);
            let retrying = Retrying { shared, tables, loader: &mut loader, link: &mut books.link, shard };
            retry_children(retrying, &turn.now).await?;
            at.complete = !self.shared.stop.cut();
            if saves {
                books.save(shard, &at).await?;
            }
        }
        Ok(PassEnd { complete: at.complete, set_aside: end.set_aside, unmatched: at.unmatched })
    }

    async fn dry_pass(&self, pass: Pass<S>, turn: &Turn<S>) -> Result<PassEnd, Failure> {
        let watermark = pass.watermark.clone();
        let end = pipeline::run(&turn.shared, pass).await;
        let complete = self.is_complete(&end);
        Ok(PassEnd { complete, set_aside: end?.set_aside, unmatched: checkpoint(&watermark).unmatched })
    }

    /// Whether a pass came to its end and nothing in flight was given up.
    fn is_complete(&self, end: &Result<pipeline::PassEnd, Failure>) -> bool {
        matches!(end, Ok(end) if end.complete) && !self.shared.stop.cut()
    }
}

/// A database's turn in a phase.
struct Turn<S> {
    /// The run, at work on that database.
    shared: Shared<S>,
    /// The phase's mappings that read it.
    now: Vec<MappingId>,
    /// Those of later phases.
    later: Vec<MappingId>,
}

/// Those among some mappings that read a database.
fn reading<S>(base: &Base<S>, mappings: &[MappingId]) -> Vec<MappingId> {
    mappings.iter().copied().filter(|id| base.plan.mapping(*id).reads(base.database.number)).collect()
}

/// How a pass ended.
struct PassEnd {
    complete: bool,
    set_aside: Option<KeySpill>,
    unmatched: Unmatched,
}
