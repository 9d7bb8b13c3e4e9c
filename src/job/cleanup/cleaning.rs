//! The comparison, with the deletion of what is equal beside it: the stages of a validation, with other ends.

use super::account::Account;
use super::backup::Backup;
use super::delete::Deleter;
use super::lease::Lease;
use super::pace::Pace;
use super::sorter::{Asked, Sorter, Work};
use crate::config::Settings;
use crate::flow::{Stop, Watermark};
use crate::job::databases::Base;
use crate::job::key_list::KeyList;
use crate::job::migrate::End;
use crate::job::pipeline::{self, BatchLimits, Listing, Pass, Sample, Scope, Writer};
use crate::job::validate::{Findings, Ready, Rounds};
use crate::ledger::Cleanable;
use crate::model::{Event, EventSender, Exit, Failure, MappingId, Unmatched};
use crate::sink::{Comparer, Proof};
use crate::source::redis::{RedisSource, UnlinkOptions, Unlinker};
use crate::source::{Answering, Source};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Batches that wait to be deleted, beside the one at work: enough to overlap, little enough to hold.
const AHEAD: usize = 1;

/// So long is it looked, after a stop or a failure, whether the same server is there.
const IN_PASSING: Duration = Duration::from_secs(1);

/// Which server answers, and from which history it was promoted.
type Answered = (Answering, Option<String>);

/// What the comparison and the deletion work with.
pub(super) struct Cleaning {
    pub(super) account: Account,
    pub(super) names: Arc<[String]>,
    /// Once keys may be deleted.
    pub(super) lease: Option<Lease>,
    pub(super) backup: Option<Backup>,
}

impl Cleaning {
    /// Compares, and deletes what may go.
    ///
    /// # Errors
    /// The first failure of a stage: of what deletes, or else of the comparison.
    pub(super) async fn run(
        &self,
        (settings, ready): (&Settings, &mut Ready),
        (keys, stop): (Option<Arc<KeyList>>, &Stop),
        (found, events): (&Cleanable, EventSender),
        (unmatched, notes): (&mut Unmatched, &mut Vec<String>),
    ) -> Result<End, Failure> {
        let findings = Findings::new(self.names.clone(), events.clone(), ready.chosen.left_out.clone(), None);
        let mut rounds = Rounds::new(ready, keys, findings, (events, stop))?;
        rounds.shared.hashes = true;
        let proof = Proof { runs: found.runs.clone().into(), rejects: found.open_rejects > 0 };
        rounds.options.proof = Some(proof);
        // Whatever a validation leaves out, keys go by all of it.
        (rounds.options.content, rounds.options.relationships, rounds.options.shown) = (true, true, 0);
        let before = self.answering(&rounds).await?;
        let mut deleters = JoinSet::new();
        let ended = self.passes((settings, ready), &rounds, &mut deleters, unmatched).await;
        let failure = failure_of(deleters).await;
        if let Some(backup) = &self.backup {
            backup.hang_up().await;
        }
        let ended = match failure.map_or(ended, Err) {
            // A stop may come when all is compared, and not all deleted.
            Ok(_) if self.account.is_cut_short() => Ok(End::Stopped),
            // What deletes says itself why it ended; the comparison only that it did.
            ended => ended,
        };
        let ended = self.looked_back((&rounds, &before), ended, notes).await;
        for base in rounds.shared.bases.iter() {
            RedisSource::close(&base.source).await;
        }
        ended
    }

    /// Which server answers, of each database, and from which history it was promoted; nothing where no key goes.
    async fn answering(&self, rounds: &Rounds) -> Result<Vec<Answered>, Failure> {
        let mut all = Vec::new();
        for base in rounds.shared.bases.iter().filter(|_| self.lease.is_some()) {
            all.push((base.source.answering().await?, base.source.promoted_from().await?));
        }
        Ok(all)
    }

    /// The end of the work, where the server is another than before: of one that went to its end that is a failure, else there is a note.
    async fn looked_back(
        &self,
        (rounds, before): (&Rounds, &[Answered]),
        ended: Result<End, Failure>,
        notes: &mut Vec<String>,
    ) -> Result<End, Failure> {
        if let Ok(End::Complete) = ended {
            let hint = "The same command goes on, and deletes those that are there again.";
            let other = self.other_server(rounds, before).await?;
            return other.map_or(Ok(End::Complete), |said| Err(Failure::redis(said, hint)));
        }
        if self.account.has_deleted() {
            // Nobody who stops it, and no failure, waits for a server that is away.
            let other = tokio::time::timeout(IN_PASSING, self.other_server(rounds, before)).await;
            notes.extend(other.ok().and_then(Result::ok).flatten());
        }
        ended
    }

    /// What is to be said where it is not the same server any more: what it had not saved when it ended, deletions among it, is not so now.
    async fn other_server(&self, rounds: &Rounds, before: &[Answered]) -> Result<Option<String>, Failure> {
        let after = self.answering(rounds).await?;
        // A server that was a replica for a while has the data of another one, and is the same process.
        let is_another = |((before, history), (after, now)): (&Answered, &Answered)| {
            let told = before.run_id.is_some() && after.run_id.is_some();
            told && (before.token != after.token || now.is_some() && history != now)
        };
        let changed = before.iter().zip(&after).zip(rounds.shared.bases.iter()).find(|(pair, _)| is_another(*pair));
        Ok(changed.map(|(_, base)| {
            format!(
                "{} was restarted or replaced, or was a replica, while keys were deleted: keys whose deletion it had not saved may be there \
                 again, and count once more when they go",
                base.source.display()
            )
        }))
    }

    /// One pass over each database.
    async fn passes(
        &self,
        (settings, ready): (&Settings, &Ready),
        rounds: &Rounds,
        deleters: &mut JoinSet<Result<(), Failure>>,
        unmatched: &mut Unmatched,
    ) -> Result<End, Failure> {
        let sorters = self.sorters((settings, ready), rounds, deleters).await?;
        let expected = rounds.shared.bases.iter().map(|base| base.expected).sum();
        let started = Event::PhaseStarted { phase: 1, mappings: rounds.on.clone(), expected };
        let _ = rounds.shared.events.send(started).await;
        for base in rounds.shared.bases.iter() {
            let watermark = Watermark::default();
            let pass = Pass {
                listing: match &rounds.keys {
                    Some(keys) => Listing::File(keys.lines()?),
                    None => Listing::Scan(base.source.scan(None)),
                },
                scope: scope(ready, rounds, base),
                limits: BatchLimits::of(&ready.settings),
                writers: writers(ready, rounds, &sorters),
                watermark: watermark.clone(),
            };
            let end = pipeline::run(&rounds.shared.within(base), pass).await?;
            unmatched.add(watermark.position().1.unmatched);
            if !end.complete || rounds.shared.stop.requested() {
                return Ok(End::Stopped);
            }
        }
        let _ = rounds.shared.events.send(Event::PhaseEnded { phase: 1 }).await;
        Ok(End::Complete)
    }

    /// What takes the compared batches, one for each writer, each with what deletes behind it.
    async fn sorters(
        &self,
        (settings, ready): (&Settings, &Ready),
        rounds: &Rounds,
        deleters: &mut JoinSet<Result<(), Failure>>,
    ) -> Result<Vec<Sorter>, Failure> {
        let sources = rounds.shared.bases.iter().map(|base| (base.database.number, base.source.clone())).collect();
        let slowly = self.backup.as_ref().is_some_and(|backup| !backup.reads_pages());
        let asked = Asked::of(&ready.checked.plan, (&settings.cleanup.positional, slowly), sources);
        let asked = Arc::new(asked);
        // A dry run deletes nothing that it would have to wait for.
        let pace = Pace::new(self.lease.as_ref().map_or(0, |_| settings.cleanup.keys_per_second));
        let count = pace.writers(settings.flow.writers.max(1));
        let mut sorters = Vec::new();
        for _ in 0..count {
            let mut out = None;
            if let Some(lease) = &self.lease {
                let (sender, work) = mpsc::channel::<Work>(AHEAD);
                let deleter = self.deleter((settings, ready), (rounds, &pace), lease).await?;
                deleters.spawn(deleter.run(work));
                out = Some(sender);
            }
            let sorter =
                Sorter::new(self.account.clone(), out, (asked.clone(), pace.rows(count)), rounds.shared.events.clone());
            sorters.push(sorter);
        }
        Ok(sorters)
    }

    /// What deletes behind one writer.
    async fn deleter(
        &self,
        (settings, ready): (&Settings, &Ready),
        (rounds, pace): (&Rounds, &Pace),
        lease: &Lease,
    ) -> Result<Deleter, Failure> {
        let mut unlinkers = BTreeMap::<u8, Unlinker>::new();
        for base in rounds.shared.bases.iter() {
            let unlinker = base.source.unlinker(UnlinkOptions::default()).await.map_err(changed)?;
            unlinkers.insert(base.database.number, unlinker);
        }
        Ok(Deleter {
            account: self.account.clone(),
            link: ready.beside(),
            lease: lease.clone(),
            unlinkers,
            names: self.names.clone(),
            backup: self.backup.clone(),
            pace: pace.clone(),
            stop: rounds.shared.stop.clone(),
            patience: settings.target.retry_deadline.0,
        })
    }
}

/// The mappings whose keys are looked at in a database.
fn scope(ready: &Ready, rounds: &Rounds, base: &Base<RedisSource>) -> Scope {
    let reads = |id: &&MappingId| base.plan.mapping(**id).reads(base.database.number);
    Scope {
        now: rounds.on.iter().filter(reads).copied().collect(),
        later: Vec::new(),
        off: rounds.off.clone(),
        limit: ready.settings.run.limit,
        sample: Sample::ALL,
        spill: None,
    }
}

/// What compares, each with what takes its batches.
fn writers(ready: &Ready, rounds: &Rounds, sorters: &[Sorter]) -> Vec<Writer<RedisSource>> {
    let writer = |sorter: &Sorter| {
        let (target, tables, options) = (ready.target.clone(), rounds.tables.clone(), rounds.options.clone());
        let ends = (rounds.shared.events.clone(), rounds.shared.stop.clone());
        let comparer = Comparer::new(target, tables, options, ready.chosen.run.of, ends);
        Writer::Clean(Box::new(comparer), sorter.clone())
    };
    sorters.iter().map(writer).collect()
}

/// What has come in the way of deletions since they were allowed, such as a failover: that is the server's doing, and no fault of the settings.
fn changed(failure: Failure) -> Failure {
    match failure.exit {
        Exit::Usage => Failure { exit: Exit::Redis, ..failure },
        _ => failure,
    }
}

/// Waits for what deletes; the first failure.
async fn failure_of(mut deleters: JoinSet<Result<(), Failure>>) -> Option<Failure> {
    let mut failure = None;
    while let Some(joined) = deleters.join_next().await {
        let ended = joined.unwrap_or_else(|error| Err(Failure::internal(format!("a stage broke off: {error}"))));
        failure = failure.or(ended.err());
    }
    failure
}
