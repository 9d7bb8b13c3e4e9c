//! A migration: phases in order, each one pass of the pipeline, with what surrounds it: lease, checkpoints, retries of
//! children, the books of an earlier attempt.

mod books;
mod pass;

pub(super) use books::{Books, book_earlier};

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
use pass::is_partial;
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
    /// Keys that a scan will list, about.
    pub(super) expected: Option<u64>,
    /// The keys to look at, instead of a scan.
    pub(super) keys: Option<KeyList>,
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
            let before = self.ledger.as_ref().and_then(|books| books.earlier(phase));
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
        let shard = match &mut self.ledger {
            Some(books) => Some(books.open_shard(phase, aside.is_none()).await?),
            None => None,
        };
        let pass = self.pass((mappings, later), shard, aside, before)?;
        let end = match shard {
            Some(shard) => self.while_kept(pass, shard, mappings).await?,
            None => self.dry_pass(pass).await?,
        };
        let _ = self.shared.events.send(Event::PhaseEnded { phase }).await;
        Ok(end)
    }

    /// Runs a pass while the lease and the checkpoint are kept up beside it.
    async fn while_kept(&mut self, pass: Pass<S>, shard: ShardId, mappings: &[MappingId]) -> Result<PhaseEnd, Failure> {
        let done = CancellationToken::new();
        let lost = Arc::new(AtomicBool::new(false));
        let keeper = Keeper {
            target: self.target.clone(),
            shard,
            lease_time: self.settings.flow.lease.0,
            watermark: pass.watermark.clone(),
            stop: self.shared.stop.clone(),
            events: self.shared.events.clone(),
            saves: !is_partial(self.settings),
            lost: lost.clone(),
        };
        let keeper = tokio::spawn(keeper.run(done.clone()));
        let result = self.pass_and_retry(pass, shard, mappings).await;
        done.cancel();
        let _ = keeper.await;
        if lost.load(Ordering::Acquire) { Err(ledger::taken_over()) } else { result }
    }

    /// The pass itself; then, once all is loaded, children whose parent came late.
    async fn pass_and_retry(
        &mut self,
        pass: Pass<S>,
        shard: ShardId,
        mappings: &[MappingId],
    ) -> Result<PhaseEnd, Failure> {
        let watermark = pass.watermark.clone();
        let end = pipeline::run(&self.shared, pass).await;
        let mut at = checkpoint(&watermark);
        at.scanned = self.is_complete(&end);
        let Some(books) = &mut self.ledger else {
            return Err(Failure::internal("a shard is open and there is no ledger"));
        };
        let saves = !is_partial(self.settings);
        if saves {
            match &end {
                Ok(_) => books.save(shard, &at).await?,
                Err(_) => books.try_save(shard, &at).await,
            }
        }
        let end = end?;
        if at.scanned {
            let mut loader = self.writers.writer(shard);
            let (shared, tables) = (&self.shared, &*self.tables);
            let retrying = Retrying { shared, tables, loader: &mut loader, link: &mut books.link, shard };
            retry_children(retrying, mappings).await?;
            at.complete = !self.shared.stop.cut();
            if saves {
                books.save(shard, &at).await?;
            }
        }
        Ok(PhaseEnd { complete: at.complete, set_aside: end.set_aside, unmatched: at.unmatched })
    }

    async fn dry_pass(&self, pass: Pass<S>) -> Result<PhaseEnd, Failure> {
        let watermark = pass.watermark.clone();
        let end = pipeline::run(&self.shared, pass).await;
        let complete = self.is_complete(&end);
        Ok(PhaseEnd { complete, set_aside: end?.set_aside, unmatched: checkpoint(&watermark).unmatched })
    }

    /// Whether a pass came to its end and nothing in flight was given up.
    fn is_complete(&self, end: &Result<pipeline::PassEnd, Failure>) -> bool {
        matches!(end, Ok(end) if end.complete) && !self.shared.stop.cut()
    }
}

struct PhaseEnd {
    complete: bool,
    set_aside: Option<KeySpill>,
    unmatched: Unmatched,
}
