//! Deletes keys that were compared: first the ledger, and the disk under it, has them; then each is compared once more and
//! deleted, on the server, in one step; then the ledger says which are gone.

use super::account::{Account, reason};
use super::backup::Backup;
use super::lease::{Lease, taken_over};
use super::sorter::Work;
use crate::flow::{RateLimit, Stop};
use crate::job::link::Link;
use crate::ledger::{self, CleanupBatch};
use crate::model::{Failure, RedisKey};
use crate::source::redis::{Candidate, UnlinkOutcome, Unlinker};
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
    pub(super) pace: Arc<RateLimit>,
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
        let Work { of, mut candidates, memory } = work;
        if self.stop.requested() {
            return self.leave(of, candidates);
        }
        if let Some(backup) = &self.backup {
            let saved = backup.saving(of.1.number, candidates).await?;
            candidates = saved.on_disk;
            self.account.unlinked(of, saved.stayed.into_iter())?;
            for (key, detail) in saved.unreadable {
                self.account.keep(of, key, reason::NOT_SAVED, detail)?;
            }
        }
        if candidates.is_empty() {
            return Ok(());
        }
        let keys: Vec<RedisKey> = candidates.iter().map(|candidate| candidate.key.clone()).collect();
        let mapping = self.names.get(usize::from(of.0.0)).cloned().unwrap_or_default();
        let id = Uuid::new_v4();
        self.begin(CleanupBatch { id, mapping: &mapping, database: of.1.number, keys: &keys }).await?;
        let outcomes = self.unlink(of.1.number, &candidates).await?;
        let gone = |outcome: &UnlinkOutcome| matches!(outcome, UnlinkOutcome::Deleted | UnlinkOutcome::Unconfirmed);
        let deleted = outcomes.iter().filter(|outcome| gone(outcome)).count() as i64;
        let stayed = |(place, key): (usize, &RedisKey)| (!outcomes.get(place).is_some_and(gone)).then(|| key.clone());
        let stayed: Vec<RedisKey> = keys.iter().enumerate().filter_map(stayed).collect();
        self.settle((id, deleted), &stayed).await?;
        let left = candidates.split_off(outcomes.len());
        self.account.unlinked(of, keys.into_iter().zip(outcomes))?;
        self.leave(of, left)?;
        drop(memory);
        Ok(())
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

    /// Writes how many keys of a batch are gone, and which stayed.
    async fn settle(&mut self, batch: (Uuid, i64), stayed: &[RedisKey]) -> Result<(), Failure> {
        let mut backoff = self.link.backoff();
        loop {
            let attempt = async {
                let mut connection = self.link.take().await?;
                let settle = ledger::settle_cleanup_batch(&mut connection, self.lease.held, batch, stayed);
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

    /// Deletes a part after the other; gives what became of those that there was time for.
    async fn unlink(&self, database: u8, candidates: &[Candidate]) -> Result<Vec<UnlinkOutcome>, Failure> {
        let unlinker = self.unlinkers.get(&database);
        let unlinker = unlinker.ok_or_else(|| Failure::internal("keys of a database that was not opened"))?;
        let at_once = self.pace.keys_at_once().unwrap_or(AT_ONCE).clamp(1, AT_ONCE);
        let mut outcomes = Vec::with_capacity(candidates.len());
        for part in candidates.chunks(at_once) {
            tokio::select! {
                () = self.pace.take(part.len() as u64, 0) => {}
                () = self.stop.wait_drain() => {}
            }
            if self.stop.requested() {
                break;
            }
            self.lease.sure(self.patience).await?;
            outcomes.extend(unlinking(unlinker, part).await?);
        }
        Ok(outcomes)
    }

    /// Leaves keys since a stop was asked for.
    fn leave(&self, of: super::account::Of, candidates: Vec<Candidate>) -> Result<(), Failure> {
        let stopped = "the cleanup was stopped before it";
        let mut all = candidates.into_iter();
        all.try_for_each(|candidate| self.account.keep(of, candidate.key, reason::NOT_REACHED, stopped.to_owned()))
    }
}

/// Boxed, since what goes on within is large, and would be part of every task that deletes.
fn unlinking<'a>(unlinker: &'a Unlinker, part: &'a [Candidate]) -> BoxFuture<'a, Result<Vec<UnlinkOutcome>, Failure>> {
    Box::pin(unlinker.unlink(part))
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
