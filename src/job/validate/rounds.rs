//! The rounds of a validation: all keys first, then those that were not equal, until they are or the rounds are over.

use super::Findings;
use super::aside::Again;
use super::begin::Ready;
use crate::flow::{ByteBudget, RateLimit, Stop, Watermark};
use crate::job::databases::{Base, Opened};
use crate::job::key_list::KeyList;
use crate::job::limit::RejectLimit;
use crate::job::migrate::End;
use crate::job::pipeline::{self, BatchLimits, Listing, Pass, Sample, Scope, Shared, Writer};
use crate::job::setup;
use crate::model::{Event, EventSender, Failure, MappingId};
use crate::sink::{CompareOptions, Comparer, LoadTable, SumsWanted};
use crate::source::Source;
use crate::source::redis::RedisSource;
use std::sync::Arc;
use std::time::Duration;

/// What is not equal waits so long for the second look; twice as long for each one after it.
const PAUSE: Duration = Duration::from_millis(300);
/// The bytes of a load's batch in so many parts. PostgreSQL is slower at comparing than Redis and the mapping are before it, so that full
/// batches wait everywhere. Fewer rows in each would cost more, as each batch is a staging table and a statement to plan.
const BATCH_PARTS: usize = 4;
/// The memory of a load in so many parts: what waits for PostgreSQL is no faster for being more, and with half of it a validation takes as
/// much memory as a run does.
const MEMORY_PARTS: u64 = 2;
/// Rows of a batch whose values are read for people.
const SHOWN: usize = 20;

/// What the rounds work with.
pub(in crate::job) struct Rounds {
    pub(in crate::job) shared: Shared<RedisSource>,
    pub(in crate::job) tables: Arc<[LoadTable]>,
    pub(super) findings: Findings,
    /// The mappings that are looked at.
    pub(in crate::job) on: Vec<MappingId>,
    pub(in crate::job) options: CompareOptions,
    pub(in crate::job) off: Vec<MappingId>,
    pub(in crate::job) keys: Option<Arc<KeyList>>,
}

impl Rounds {
    /// Puts them together. `keys`: the keys to look at, instead of a scan.
    pub(in crate::job) fn new(
        ready: &mut Ready,
        keys: Option<Arc<KeyList>>,
        findings: Findings,
        (events, stop): (EventSender, &Stop),
    ) -> Result<Self, Failure> {
        let settings = &ready.settings;
        let plan = &ready.checked.plan;
        let is_off = |id: &MappingId| settings.phases.skip.iter().any(|off| off == plan.mapping(*id).name());
        let (off, on): (Vec<_>, Vec<_>) = plan.mappings().map(|(id, _)| id).partition(is_off);
        let bases = std::mem::take(&mut ready.databases).into_iter().map(|Opened { database, source, keys }| {
            let plan = Arc::new(plan.within(database));
            Base { database, source, plan, expected: keys }
        });
        let bases: Arc<[_]> = bases.collect();
        let first = bases.first().cloned().ok_or_else(|| Failure::internal("no mapping reads any database"))?;
        let flow = &settings.flow;
        let some = |value: u64| (value > 0).then_some(value);
        let shared = Shared {
            source: first.source,
            plan: first.plan,
            database: first.database,
            bases,
            budget: ByteBudget::new(flow.memory.0),
            rate: Arc::new(RateLimit::new(some(flow.max_keys_per_second), some(flow.max_bytes_per_second.0))),
            hashes: false,
            clock: ready.clock,
            retry: None,
            stop: stop.clone(),
            limit: Arc::new(RejectLimit::none(stop.clone())),
            events,
        };
        let tables = std::mem::take(&mut ready.checked.tables).into();
        Ok(Self { shared, tables, findings, on, options: options(ready), off, keys })
    }

    /// The same, with as much memory as a comparison can use that nothing but PostgreSQL has to keep up with.
    pub(super) fn lighter(mut self) -> Self {
        self.shared.budget = ByteBudget::new((self.shared.budget.total() / MEMORY_PARTS).max(1));
        self
    }

    /// Goes through the rounds; gives how they ended, and how many there were. `sums`: what is to be summed up of the rows that the
    /// first one meets; each that a later one meets, it has met too, or it was not there then.
    ///
    /// # Errors
    /// The first failure of a stage.
    pub(super) async fn run(&self, ready: &Ready, mut sums: Option<Arc<SumsWanted>>) -> Result<(End, u64), Failure> {
        let (rounds, room) = (ready.settings.validation.rounds, ready.settings.flow.spill_limit.0);
        let (mut again, mut pause) = (None, PAUSE);
        for round in 1..=rounds {
            self.findings.begin((round < rounds).then_some(room));
            let expected = self.shared.bases.iter().map(|base| base.expected).sum();
            let started = Event::PhaseStarted { phase: round as u32, mappings: self.on.clone(), expected };
            let _ = self.shared.events.send(started).await;
            let complete = self.round(ready, again.take(), sums.take()).await?;
            let _ = self.shared.events.send(Event::PhaseEnded { phase: round as u32 }).await;
            if !complete {
                return Ok((End::Stopped, round));
            }
            let (keys, count) = self.findings.end()?;
            if count == 0 {
                return Ok((End::Complete, round));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shared.stop.wait_drain() => return Ok((End::Stopped, round)),
            }
            (again, pause) = (Some(keys), pause * 2);
        }
        Ok((End::Complete, rounds))
    }

    /// One pass over each database. `false`: a stop was asked for.
    async fn round(&self, ready: &Ready, again: Option<Again>, sums: Option<Arc<SumsWanted>>) -> Result<bool, Failure> {
        let (first, mut again) = (again.is_none(), again.unwrap_or_default());
        for base in self.shared.bases.iter() {
            let aside = again.0.remove(&base.database.number);
            let listing = match (aside, &self.keys) {
                (Some(keys), _) => Listing::SetAside(keys),
                (None, _) if !first => continue,
                (None, Some(keys)) => Listing::File(keys.lines()?),
                (None, None) => Listing::Scan(base.source.scan(None)),
            };
            let reads = |id: &&MappingId| base.plan.mapping(**id).reads(base.database.number);
            let scope = Scope {
                now: self.on.iter().filter(reads).copied().collect(),
                later: Vec::new(),
                off: self.off.clone(),
                limit: ready.settings.run.limit.filter(|_| first),
                sample: if first { Sample::of(ready.settings.validation.sample) } else { Sample::ALL },
                spill: None,
            };
            let (writers, watermark) = (self.writers(ready, &sums), Watermark::default());
            let limits = BatchLimits::of(&ready.settings).lighter(BATCH_PARTS);
            let end =
                pipeline::run(&self.shared.within(base), Pass { listing, scope, limits, writers, watermark }).await?;
            if !end.complete || self.shared.stop.cut() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn writers(&self, ready: &Ready, sums: &Option<Arc<SumsWanted>>) -> Vec<Writer<RedisSource>> {
        let options = CompareOptions { sums: sums.clone(), ..self.options.clone() };
        let writer = |_| {
            let (target, tables, options) = (ready.target.clone(), self.tables.clone(), options.clone());
            let ends = (self.shared.events.clone(), self.shared.stop.clone());
            Writer::Compare(
                Box::new(Comparer::new(target, tables, options, ready.chosen.run.of, ends)),
                self.findings.clone(),
            )
        };
        (0..ready.settings.flow.writers.max(1)).map(writer).collect()
    }
}

fn options(ready: &Ready) -> CompareOptions {
    let (load, validation) = (setup::load_options(&ready.settings), &ready.settings.validation);
    CompareOptions {
        content: validation.content,
        relationships: validation.relationships,
        ttl_tolerance: validation.ttl_tolerance.0,
        shown: SHOWN,
        limits: load.limits,
        retry_deadline: load.retry_deadline,
        staging: ready.checked.server.staging,
        run_has_ended: ready.chosen.run_has_ended,
        ledger_is_current: ready.chosen.ledger_is_current,
        sums: None,
        proof: None,
    }
}
