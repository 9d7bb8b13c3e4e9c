//! Deletes keys that were compared: first the ledger, and the disk under it, has them; then each is compared once more and
//! deleted, on the server, in one step; then the ledger says which are gone.

use super::account::{Account, Of};
use super::backup::Backup;
use super::lease::{Lease, taken_over};
use super::pace::{Age, Pace};
use super::reason;
use super::rounds::rounds;
use super::sorter::Work;
use crate::flow::Stop;
use crate::job::link::Link;
use crate::ledger::{self, CleanupBatch, Settlement};
use crate::model::{BackupExtent, Exit, Failure, RedisKey, Side};
use crate::source::redis::{Candidate, Fate, Fates, UnlinkOutcome, Unlinker, Warrant};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Keys that are deleted before it is looked whether to go on.
const AT_ONCE: usize = 500;

/// What deletes, with connections of its own to both ends.
pub(super) struct Deleter {
    pub(super) account: Account,
    pub(super) link: Link,
    pub(super) lease: Lease,
    /// What deletes keys of each database.
    pub(super) unlinkers: BTreeMap<u8, Unlinker>,
    pub(super) names: Arc<[String]>,
    pub(super) backup: Option<Backup>,
    pub(super) pace: Pace,
    pub(super) stop: Stop,
    /// For how long PostgreSQL is waited for.
    pub(super) patience: Duration,
}

impl Deleter {
    /// Deletes until there is nothing more to delete.
    ///
    /// # Errors
    /// The first failure of either side: what was begun then, a later cleanup settles.
    pub(super) async fn run(mut self, mut work: mpsc::Receiver<Work>) -> Result<(), Failure> {
        while let Some(work) = work.recv().await {
            self.take(work).await.map_err(goes_on)?;
        }
        Ok(())
    }

    async fn take(&mut self, work: Work) -> Result<(), Failure> {
        let Work { of, candidates, age, memory } = work;
        let together = if self.backup.is_some() { rounds(candidates) } else { vec![candidates] };
        let mut rounds = together.into_iter();
        let mut ended = Ok(());
        while ended.is_ok()
            && let Some(round) = rounds.next()
        {
            ended = self.round(of, round, age).await;
        }
        rounds.try_for_each(|round| self.leave(of, keys_of(round), Left::Failed))?;
        drop(memory);
        ended
    }

    /// Saves keys, and deletes them.
    async fn round(&mut self, of: Of, candidates: Vec<Candidate>, age: Age) -> Result<(), Failure> {
        if self.stop.requested() {
            return self.leave(of, keys_of(candidates), Left::Stopped);
        }
        if !age.is_fresh() {
            return self.leave(of, keys_of(candidates), Left::Outdated);
        }
        let ((candidates, age), extent) = self.save(of, candidates, age).await?;
        if !candidates.is_empty() {
            self.delete(of, (candidates, age), extent.as_ref()).await?;
        }
        Ok(())
    }

    /// Writes keys into the backup, where there is one; gives those that may go, and how far the backup is on disk by then.
    async fn save(
        &self,
        of: Of,
        candidates: Vec<Candidate>,
        age: Age,
    ) -> Result<((Vec<Candidate>, Age), Option<BackupExtent>), Failure> {
        let Some(backup) = &self.backup else { return Ok(((candidates, age), None)) };
        let keys: Vec<RedisKey> = candidates.iter().map(|candidate| candidate.key.clone()).collect();
        let before = self.lease.interruptions();
        let Some(saved) = backup.saving((of.1.number, candidates), &self.stop).await? else {
            self.leave(of, keys, Left::Stopped)?;
            return Ok(((Vec::new(), age), None));
        };
        saved.stayed.into_iter().try_for_each(|(key, outcome)| self.account.unlinked(of, key, outcome))?;
        for (key, detail) in saved.unreadable {
            self.account.keep(of, key, reason::NOT_SAVED, detail)?;
        }
        // A large key takes as long as it takes. Nothing else does, such as a process that stood still meanwhile.
        let stood_still = self.lease.interruptions() != before;
        let writing = if stood_still { Duration::ZERO } else { saved.writing };
        Ok(((saved.on_disk, age.without(writing)), saved.extent))
    }

    /// Deletes keys; `saved`: how far the backup is on disk that has them.
    async fn delete(
        &mut self,
        of: Of,
        (candidates, age): (Vec<Candidate>, Age),
        saved: Option<&BackupExtent>,
    ) -> Result<(), Failure> {
        let keys: Vec<RedisKey> = candidates.iter().map(|candidate| candidate.key.clone()).collect();
        let mapping = self.names.get(usize::from(of.0.0)).cloned().unwrap_or_default();
        let id = Uuid::new_v4();
        self.begin(CleanupBatch { id, mapping: &mapping, database: of.1.number, keys: &keys, saved }).await?;
        let done = self.unlink(of.1.number, &candidates, age).await;
        // Whatever failed, what is known is told.
        let settled = self.settle(&done.settlement(id, &keys)).await;
        let (why, failure) = match done.end {
            UnlinkEnd::Done | UnlinkEnd::Stopped => (Left::Stopped, None),
            UnlinkEnd::Outdated => (Left::Outdated, None),
            UnlinkEnd::Failed(failure) if failure.exit == Exit::Stopped => (Left::Stopped, Some(failure)),
            UnlinkEnd::Failed(failure) => (Left::Failed, Some(failure)),
        };
        let mut booked = Ok(());
        for (key, fate) in keys.into_iter().zip(done.fates) {
            let told = match fate {
                Fate::Told(outcome) => self.account.unlinked(of, key, outcome),
                Fate::Open(0) => self.leave(of, [key], why),
                Fate::Open(_) => {
                    self.account.lose_sight(of);
                    Ok(())
                }
            };
            booked = booked.and(told);
        }
        failure.map_or(settled, Err).and(booked)
    }

    /// Writes which keys are about to go.
    async fn begin(&mut self, batch: CleanupBatch<'_>) -> Result<(), Failure> {
        let mut backoff = self.link.backoff();
        loop {
            let attempt = async {
                let mut connection = self.link.take().await?;
                let begin = ledger::begin_cleanup_batch(&mut connection, self.lease.held, &batch);
                let held = self.link.answer(begin).await?;
                self.link.keep(connection);
                Ok(held)
            };
            match attempt.await {
                Ok(held) => return held.then_some(()).ok_or_else(taken_over),
                Err(error) => self.link.wait(&mut backoff, "writing which keys are about to go", error).await?,
            }
        }
    }

    /// Writes how many keys of a batch are gone, which stayed, and of which it is not known.
    async fn settle(&mut self, settlement: &Settlement<'_>) -> Result<(), Failure> {
        let mut backoff = self.link.backoff();
        loop {
            let attempt = async {
                let mut connection = self.link.take().await?;
                let settle = ledger::settle_cleanup_batch(&mut connection, self.lease.held, settlement);
                let held = self.link.answer(settle).await?;
                self.link.keep(connection);
                Ok(held)
            };
            match attempt.await {
                Ok(held) => return held.then_some(()).ok_or_else(taken_over),
                Err(error) => self.link.wait(&mut backoff, "writing which keys are gone", error).await?,
            }
        }
    }

    /// Deletes a part after the other, as long as their comparison is fresh.
    async fn unlink(&self, database: u8, candidates: &[Candidate], age: Age) -> Unlinked {
        let at_once = self.pace.limit.keys_at_once().unwrap_or(AT_ONCE).clamp(1, AT_ONCE);
        let (mut fates, mut end) = (Vec::with_capacity(candidates.len()), UnlinkEnd::Done);
        for part in candidates.chunks(at_once) {
            tokio::select! {
                () = self.pace.limit.take(part.len() as u64, 0) => {}
                () = self.stop.wait_drain() => {}
            }
            let sure = if self.stop.requested() { Ok(()) } else { self.lease.sure(self.patience).await };
            end = match (sure, self.unlinkers.get(&database)) {
                _ if self.stop.requested() => UnlinkEnd::Stopped,
                (Err(failure), _) => UnlinkEnd::Failed(failure),
                (Ok(()), None) => UnlinkEnd::Failed(Failure::internal("keys of a database that was not opened")),
                // Whoever waited, for the pace or for a server, waited since the comparison.
                (Ok(()), Some(_)) if !age.is_fresh() => UnlinkEnd::Outdated,
                (Ok(()), Some(unlinker)) => {
                    let (known, ended) = self.unlinking(unlinker, part, age).await;
                    fates.extend(known);
                    match ended {
                        Ok(()) => continue,
                        Err(failure) => UnlinkEnd::Failed(failure),
                    }
                }
            };
            break;
        }
        fates.resize(candidates.len(), Fate::Open(0));
        Unlinked { fates, end }
    }

    /// Deletes a part; what is known of its keys then. A second signal, and the loss of the lease, end it: what may be gone is looked for by
    /// the next cleanup.
    async fn unlinking(&self, unlinker: &Unlinker, part: &[Candidate], age: Age) -> (Vec<Fate>, Result<(), Failure>) {
        let (warrant, fates) = (Held { deleter: self, age }, Fates::of(part.len()));
        // Boxed, since what goes on within is large, and would be part of every task that deletes.
        let unlinking: BoxFuture<'_, _> = Box::pin(unlinker.unlink(part, &warrant, &fates));
        let ended = tokio::select! {
            biased;
            done = unlinking => done,
            () = self.stop.wait_cut() => Err(if self.lease.is_lost() { taken_over() } else { cut_short() }),
        };
        (fates.known(), ended)
    }

    /// Leaves keys that it did not come to.
    fn leave(&self, of: Of, keys: impl IntoIterator<Item = RedisKey>, why: Left) -> Result<(), Failure> {
        let (reason, detail) = match why {
            Left::Stopped => (reason::NOT_REACHED, "the cleanup was stopped before it"),
            Left::Failed => (reason::NOT_REACHED, "the cleanup failed before it"),
            Left::Outdated => (reason::OUTDATED, "it waited for more than ten seconds after it was compared"),
        };
        keys.into_iter().try_for_each(|key| self.account.keep(of, key, reason, detail.to_owned()))
    }
}

/// Why keys are left that were to be deleted.
#[derive(Clone, Copy)]
enum Left {
    Stopped,
    Failed,
    Outdated,
}

/// What became of the keys of a batch.
struct Unlinked {
    /// That of each.
    fates: Vec<Fate>,
    end: UnlinkEnd,
}

/// How the deletion of a batch ended.
enum UnlinkEnd {
    Done,
    Stopped,
    /// The comparison has grown too old.
    Outdated,
    Failed(Failure),
}

impl Unlinked {
    /// What the ledger is told of a batch of these keys.
    fn settlement<'k>(&self, batch: Uuid, keys: &'k [RedisKey]) -> Settlement<'k> {
        let mut settlement = Settlement { batch, deleted: 0, anew: 0, stayed: Vec::new(), unknown: Vec::new() };
        for (key, fate) in keys.iter().zip(&self.fates) {
            match fate {
                Fate::Told(UnlinkOutcome::Deleted | UnlinkOutcome::Unconfirmed) => settlement.deleted += 1,
                Fate::Told(UnlinkOutcome::PerhapsAnew) => settlement.anew += 1,
                Fate::Told(_) | Fate::Open(0) => settlement.stayed.push(key),
                Fate::Open(_) => settlement.unknown.push(key),
            }
        }
        settlement
    }
}

fn keys_of(candidates: Vec<Candidate>) -> Vec<RedisKey> {
    candidates.into_iter().map(|candidate| candidate.key).collect()
}

/// The lease, and how old the comparison is: what keys go by.
struct Held<'a> {
    deleter: &'a Deleter,
    age: Age,
}

impl Warrant for Held<'_> {
    fn sure(&self) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(self.deleter.lease.sure(self.deleter.patience))
    }

    fn is_fresh(&self) -> bool {
        self.age.is_fresh()
    }

    fn interruptions(&self) -> u64 {
        self.deleter.lease.interruptions()
    }
}

/// A second signal came while keys were deleted.
fn cut_short() -> Failure {
    let hint = "The same command settles first which of them are gone.";
    Failure::new(Exit::Stopped, Side::Redis, "stopped at once, while keys were being deleted", hint)
}

/// How a cleanup goes on that failed.
fn goes_on(failure: Failure) -> Failure {
    let goes_on = "The same command goes on, and settles first what this one may have deleted.";
    let hint = if failure.hint.contains("same command") {
        failure.hint.clone()
    } else {
        format!("{} {goes_on}", failure.hint).trim_start().to_owned()
    };
    Failure { hint, ..failure }
}
