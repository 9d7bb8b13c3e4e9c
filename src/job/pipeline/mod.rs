//! The stages of one pass, joined by bounded channels: list → fetch → transform → gather → write.
//!
//! Fetch and transform run in lanes, and writers side by side. A key always goes through the same lane and a row to the
//! same writer, so that two reads of one key are never loaded in the wrong order.
//!
//! Data goes right and nothing comes back but freed memory. A stage that ends (done, failed, or cut) closes its
//! channels, and its neighbours end with it. Nothing here is cancelled half-way: stages look at the stop signal
//! between units.

mod drain;
mod fetch;
mod gather;
mod list;
mod outlet;
mod partition;
mod sample;
mod transform;
mod unmatched;
mod write;

use crate::config::Settings;
use crate::flow::{ByteBudget, KeySpill, RateLimit, Stop, Watermark};
use crate::job::databases::Base;
use crate::job::limit::RejectLimit;
use crate::job::retry::Retry;
use crate::mapping::Plan;
use crate::model::{Database, EventSender, Failure, MappingId};
use crate::source::{ServerClock, Source};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

pub(super) use list::{Listing, Scope};
pub(super) use sample::Sample;
pub(super) use transform::{Made, STORED_VALUE, Transformer, passed_over};
pub(super) use write::Writer;

/// What every stage of a run shares.
#[derive(Clone)]
pub(super) struct Shared<S> {
    /// The database at hand.
    pub(super) source: S,
    /// The plan for the keys of that database.
    pub(super) plan: Arc<Plan>,
    pub(super) database: Database,
    /// All databases that the run reads, this one among them.
    pub(super) bases: Arc<[Base<S>]>,
    pub(super) budget: ByteBudget,
    pub(super) rate: Arc<RateLimit>,
    /// Whether it is to be known what each key holds as a whole, also where it comes in slices.
    pub(super) hashes: bool,
    /// Redis's clock; `None` where no key is judged by it, or it is not told.
    pub(super) clock: Option<ServerClock>,
    /// The rejects of another run that this one takes; `None`: it is no retry.
    pub(super) retry: Option<Arc<Retry>>,
    pub(super) stop: Stop,
    /// How many rejects the run lets pass.
    pub(super) limit: Arc<RejectLimit>,
    pub(super) events: EventSender,
}

impl<S: Source> Shared<S> {
    /// The same run, at work on another database.
    pub(super) fn within(&self, base: &Base<S>) -> Self {
        let Base { database, source, plan, .. } = base.clone();
        Self { source, plan, database, ..self.clone() }
    }

    /// The databases in which keys of a mapping are looked for: the one at hand first, where the mapping reads it.
    pub(super) fn bases_of(&self, mapping: MappingId) -> Vec<Base<S>> {
        let reads = |base: &&Base<S>| base.plan.mapping(mapping).reads(base.database.number);
        let mut bases: Vec<Base<S>> = self.bases.iter().filter(reads).cloned().collect();
        bases.sort_by_key(|base| base.database != self.database);
        bases
    }
}

/// When a batch is closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    pub(super) age: Duration,
}

impl BatchLimits {
    /// Those that the settings name.
    pub(super) fn of(settings: &Settings) -> Self {
        let flow = &settings.flow;
        Self {
            rows: usize::try_from(flow.batch_rows).unwrap_or(usize::MAX),
            bytes: usize::try_from(flow.batch_bytes.0).unwrap_or(usize::MAX),
            age: flow.batch_age.0,
        }
    }

    /// With so many parts of their bytes.
    pub(super) fn lighter(self, parts: usize) -> Self {
        Self { bytes: (self.bytes / parts).max(1), ..self }
    }
}

/// One pass over keys.
pub(super) struct Pass<S: Source> {
    pub(super) listing: Listing<S::Scan>,
    pub(super) scope: Scope,
    pub(super) limits: BatchLimits,
    pub(super) writers: Vec<Writer<S>>,
    pub(super) watermark: Watermark,
}

/// How a pass ended.
pub(super) struct PassEnd {
    /// Whether every key was listed and read (else a stop was asked for).
    pub(super) complete: bool,
    /// Keys of later phases, if they were set aside and all had room.
    pub(super) set_aside: Option<KeySpill>,
}

/// Pages listed ahead of reading, and chunks read ahead of mapping, in each lane: enough to overlap, little enough to hold.
const AHEAD: usize = 1;
/// Lanes of reading and mapping. One lane leaves Redis idle while it takes in a reply; a third finds it busy.
const LANES: usize = 2;

/// Runs a pass to its end.
///
/// # Errors
/// The first failure of a stage, with what the others had in flight given up.
pub(super) async fn run<S: Source>(shared: &Shared<S>, pass: Pass<S>) -> Result<PassEnd, Failure> {
    let (mapped, to_gather) = mpsc::channel(AHEAD * LANES);
    let mut stages: JoinSet<Result<Done, Failure>> = JoinSet::new();
    let (mut outlets, finished) = (Vec::new(), Arc::<Notify>::default());
    for writer in pass.writers {
        let (outlet, batches) = outlet::outlet(finished.clone());
        outlets.push(outlet);
        let stop = shared.stop.clone();
        stages.spawn(async move { writer.run(batches, stop).await.map(|()| Done::Passed) });
    }
    let mut lanes = Vec::new();
    for _ in 0..LANES {
        let (lane, to_fetch) = mpsc::channel(AHEAD);
        let (fetched, to_transform) = mpsc::channel(AHEAD);
        lanes.push(lane);
        let (one, two, mapped) = (shared.clone(), shared.clone(), mapped.clone());
        stages.spawn(async move { fetch::run(one, to_fetch, fetched).await });
        stages.spawn(async move { transform::run(two, to_transform, mapped).await.map(|()| Done::Passed) });
    }
    drop(mapped);
    let (one, two, limits) = (shared.clone(), shared.clone(), pass.limits);
    stages.spawn(async move { gather::run(one, to_gather, (outlets, finished), limits).await.map(|()| Done::Passed) });
    let (listing, scope, watermark) = (pass.listing, pass.scope, pass.watermark);
    stages.spawn(async move { list::run(two, listing, scope, watermark, lanes).await.map(Done::Listed) });

    let (mut end, mut left, mut failure) = (None, false, None);
    while let Some(joined) = stages.join_next().await {
        if !matches!(joined, Ok(Ok(_))) {
            // What is in flight may never be settled.
            shared.limit.give_up();
        }
        match joined {
            Ok(Ok(Done::Passed)) => {}
            Ok(Ok(Done::Left)) => left = true,
            Ok(Ok(Done::Listed(listed))) => end = Some(listed),
            // The first tells why; those after it are its echo.
            Ok(Err(error)) => failure = failure.or(Some(error)),
            Err(error) => failure = failure.or(Some(Failure::internal(format!("a stage broke off: {error}")))),
        }
    }
    match (failure, end) {
        (Some(failure), _) => Err(failure),
        // Every key may have been listed, and some not read.
        (None, Some(end)) => Ok(PassEnd { complete: end.complete && !left, ..end }),
        (None, None) => Err(Failure::internal("the listing ended without a word")),
    }
}

/// What a stage has to say at its end.
enum Done {
    /// Nothing: whatever it was given, it passed on.
    Passed,
    /// It left keys unread, since a stop was asked for.
    Left,
    /// The listing's word.
    Listed(PassEnd),
}

/// Mappings by id: which of them a pass takes.
pub(super) fn contains(mappings: &[MappingId], id: MappingId) -> bool {
    mappings.contains(&id)
}
