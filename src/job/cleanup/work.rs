//! The work of a cleanup: what comes before it, the comparison with the deletion beside it, and what is learned on the way.

use super::CleanupRequest;
use super::account::Account;
use super::backup::Backup;
use super::claim::claim;
use super::delete::Deleter;
use super::lease::Lease;
use super::sorter::{Sorter, Work};
use super::{refuse, settle};
use crate::config::Settings;
use crate::flow::{RateLimit, Stop, Watermark};
use crate::job::close::report_unwritable;
use crate::job::key_list::KeyList;
use crate::job::migrate::End;
use crate::job::pipeline::{self, BatchLimits, Listing, Pass, Sample, Scope, Writer};
use crate::job::validate::{Findings, Ready, Rounds, ValidateRequest, begin};
use crate::ledger::Cleanable;
use crate::model::{Event, EventSender, Failure, TableName, Unmatched};
use crate::report::KeptKeysFile;
use crate::sink::{Compare, Comparer, Proof};
use crate::source::Source;
use crate::source::redis::{RedisSource, UnlinkOptions, Unlinker};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Batches that wait to be deleted, beside the one at work: enough to overlap, little enough to hold.
const AHEAD: usize = 1;

/// What is learned on the way, that the end needs.
#[derive(Default)]
pub(super) struct Learned {
    pub(super) run: String,
    /// The lease, once keys may be deleted.
    pub(super) lease: Option<Lease>,
    pub(super) account: Option<Account>,
    pub(super) unmatched: Unmatched,
    pub(super) settled: i64,
    pub(super) backup: Option<Backup>,
    pub(super) pattern: Option<String>,
    pub(super) notes: Vec<String>,
    /// Each mapping's name and table, and its audit log.
    pub(super) tables: Vec<(String, TableName, Option<TableName>)>,
}

/// Does all that comes before the end.
///
/// # Errors
/// Whatever forbids it, or ends it.
pub(super) async fn execute(
    (settings, request): (&Settings, &CleanupRequest),
    (keys, stop): (Option<Arc<KeyList>>, &Stop),
    events: EventSender,
    learned: &mut Learned,
) -> Result<End, Failure> {
    let wanted = ValidateRequest { run: request.run.clone(), cleans: true, ..ValidateRequest::default() };
    let Some(mut ready) = begin(settings, (&wanted, None), stop, &events).await? else { return Ok(End::Stopped) };
    let source = ready.databases.first().map(|opened| opened.source.clone());
    let source = source.ok_or_else(|| Failure::internal("no mapping reads any database"))?;
    let identity = ready.identity.clone();
    let found = refuse::look(&mut ready, &identity).await?;
    let dry = settings.run.dry_run;
    learned.learn(&mut ready).await?;
    let names: Arc<[String]> = ready.checked.plan.mappings().map(|(_, mapping)| mapping.name().to_owned()).collect();
    let started = Event::RunStarted { run: learned.run.clone(), mappings: names.clone(), resumed: false };
    let _ = events.send(started).await;
    let file = (settings.run.report.as_ref())
        .map(|dir| KeptKeysFile::create(dir).map_err(|error| report_unwritable(dir, &error)))
        .transpose()?;
    if !dry {
        learned.lease = Some(claim((settings, request), &ready, (&identity, &source, &found), learned).await?);
    }
    let account = learned.account.insert(Account::new(names.clone(), (ready.chosen.partial, dry), file)).clone();
    let (done, lease) = (CancellationToken::new(), learned.lease.clone());
    let keeper = lease
        .clone()
        .map(|lease| tokio::spawn(lease.keep(ready.target.clone(), (stop.clone(), events.clone()), done.clone())));
    let cleaning = Cleaning { account, names, lease, backup: learned.backup.clone() };
    let ended = match cleaning.settle(&mut ready, &identity).await {
        Ok(settled) => {
            learned.settled = settled;
            cleaning.run((settings, &mut ready), (keys, stop), (&found, events), &mut learned.unmatched).await
        }
        Err(failure) => Err(failure),
    };
    done.cancel();
    if let Some(keeper) = keeper {
        let _ = keeper.await;
    }
    match &learned.lease {
        Some(lease) if lease.is_lost() => Err(super::lease::taken_over()),
        _ => ended,
    }
}

impl Learned {
    async fn learn(&mut self, ready: &mut Ready) -> Result<(), Failure> {
        self.run = ready.chosen.run.of.run.to_string();
        self.pattern = ready.settings.run.keys.clone();
        self.notes.append(&mut ready.chosen.untold);
        self.notes.extend(refuse::durability(&mut ready.link).await?);
        let plan = &ready.checked.plan;
        let partly = plan.mappings().filter(|(_, mapping)| !mapping.keeps_whole());
        self.notes.extend(partly.map(|(_, mapping)| {
            format!(
                "{} keeps no more of a value than its columns take: the rest goes with the key, unless there is a backup",
                mapping.name()
            )
        }));
        for table in &ready.checked.tables {
            let ignored = table.columns.iter().filter(|column| column.compare == Compare::Never);
            let names: Vec<&str> = ignored.map(|column| column.name.as_str()).collect();
            if !names.is_empty() {
                let (mapping, names) = (&table.mapping, names.join(", "));
                self.notes.push(format!(
                    "{mapping}: {names} (ignore_changes) is not compared: a key whose value has changed in that alone goes"
                ));
            }
        }
        let mappings = plan.mappings().zip(&ready.specs);
        self.tables = mappings
            .map(|((_, mapping), spec)| {
                let audit = spec.audit_table().ok().flatten();
                (mapping.name().to_owned(), mapping.table().clone(), audit)
            })
            .collect();
        Ok(())
    }
}

/// What the comparison and the deletion work with.
struct Cleaning {
    account: Account,
    names: Arc<[String]>,
    lease: Option<Lease>,
    backup: Option<Backup>,
}

impl Cleaning {
    /// Settles what cleanups that were interrupted left; gives how many keys count as deleted by them.
    async fn settle(&self, ready: &mut Ready, identity: &str) -> Result<i64, Failure> {
        match &self.lease {
            Some(lease) => settle::former(ready, identity, lease).await,
            None => Ok(0),
        }
    }

    async fn run(
        &self,
        (settings, ready): (&Settings, &mut Ready),
        (keys, stop): (Option<Arc<KeyList>>, &Stop),
        (found, events): (&Cleanable, EventSender),
        unmatched: &mut Unmatched,
    ) -> Result<End, Failure> {
        let findings = Findings::new(self.names.clone(), events.clone(), ready.chosen.partial, None);
        let mut rounds = Rounds::new(ready, keys, findings, (events, stop))?;
        rounds.shared.hashes = true;
        let proof = Proof { runs: found.runs.clone().into(), rejects: found.open_rejects > 0 };
        rounds.options.proof = Some(proof);
        // Whatever a validation leaves out, keys go by all of it.
        (rounds.options.content, rounds.options.relationships, rounds.options.shown) = (true, true, 0);
        let mut deleters = JoinSet::new();
        let ended = self.passes((settings, ready), &rounds, &mut deleters, unmatched).await;
        let mut failure = None;
        while let Some(joined) = deleters.join_next().await {
            match joined {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failure = failure.or(Some(error)),
                Err(error) => {
                    failure = failure.or(Some(Failure::internal(format!("a stage broke off: {error}"))));
                }
            }
        }
        for base in rounds.shared.bases.iter() {
            RedisSource::close(&base.source).await;
        }
        // What deletes says itself why it ended; the comparison only that it did.
        match failure {
            Some(failure) => Err(failure),
            None => ended,
        }
    }

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
            let listing = match &rounds.keys {
                Some(keys) => Listing::File(keys.lines()?),
                None => Listing::Scan(base.source.scan(None)),
            };
            let reads = |id: &&_| base.plan.mapping(**id).reads(base.database.number);
            let scope = Scope {
                now: rounds.on.iter().filter(reads).copied().collect(),
                later: Vec::new(),
                off: rounds.off.clone(),
                limit: ready.settings.run.limit,
                sample: Sample::ALL,
                spill: None,
            };
            let watermark = Watermark::default();
            let writers = sorters.iter().map(|sorter| {
                let (target, tables, options) = (ready.target.clone(), rounds.tables.clone(), rounds.options.clone());
                let ends = (rounds.shared.events.clone(), rounds.shared.stop.clone());
                let comparer = Comparer::new(target, tables, options, ready.chosen.run.of, ends);
                Writer::Clean(Box::new(comparer), sorter.clone())
            });
            let writers = writers.collect();
            let pass = Pass {
                listing,
                scope,
                limits: BatchLimits::of(&ready.settings),
                writers,
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
        let plan = &ready.checked.plan;
        let timed: Arc<[bool]> = plan.mappings().map(|(_, mapping)| mapping.wanted().expiry).collect();
        let some = |value: u64| (value > 0).then_some(value);
        let pace = Arc::new(RateLimit::new(some(settings.cleanup.keys_per_second), None));
        let mut sorters = Vec::new();
        for _ in 0..settings.flow.writers.max(1) {
            let mut out = None;
            if let Some(lease) = &self.lease {
                let (sender, work) = mpsc::channel::<Work>(AHEAD);
                let mut unlinkers = BTreeMap::<u8, Unlinker>::new();
                for base in rounds.shared.bases.iter() {
                    let unlinker = base.source.unlinker(UnlinkOptions::default()).await?;
                    unlinkers.insert(base.database.number, unlinker);
                }
                let deleter = Deleter {
                    account: self.account.clone(),
                    link: ready.beside(),
                    lease: lease.clone(),
                    unlinkers,
                    names: self.names.clone(),
                    backup: self.backup.clone(),
                    pace: pace.clone(),
                    stop: rounds.shared.stop.clone(),
                    patience: settings.target.retry_deadline.0,
                };
                deleters.spawn(deleter.run(work));
                out = Some(sender);
            }
            let sorter = Sorter::new(self.account.clone(), out, timed.clone(), rounds.shared.events.clone());
            sorters.push(sorter);
        }
        Ok(sorters)
    }
}
