//! Mapping: each record becomes a row, a reject or a skip. Pure work between two channels.

use super::Shared;
use super::fetch::{Chunk, HELD_PER_BYTE, HELD_PER_KEY};
use crate::flow::{PagePart, Permit};
use crate::job::limit::RejectLimit;
use crate::mapping::{Mapping, Scratch};
use crate::model::{
    ContentHasher, Failure, Fetched, Group, MappingId, Record, RedisKey, Reject, Row, SkipReason, Tally, UnixMillis,
};
use crate::source::{ServerClock, Source};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::mpsc;

/// What a chunk became.
pub(super) struct Mapped {
    pub(super) mapping: MappingId,
    pub(super) epoch: u32,
    pub(super) made: Made,
    /// In a retry: keys that are settled without a row, and keys that could not be had.
    pub(super) gone: Vec<RedisKey>,
    pub(super) left: Vec<RedisKey>,
    pub(super) permit: Arc<Permit>,
    pub(super) part: PagePart,
}

/// Keys without a row or a reject: those that are settled so, and, where another run's rejects are retried, those that
/// could not be had, whose rejects stay open.
pub(in crate::job) fn passed_over<S>(
    shared: &Shared<S>,
    keys: Vec<(RedisKey, SkipReason)>,
) -> (Vec<RedisKey>, Vec<RedisKey>) {
    let retries = shared.retry.is_some();
    let (left, gone): (Vec<_>, Vec<_>) = keys.into_iter().partition(|(_, reason)| retries && reason.leaves_open());
    let keys = |passed: Vec<(RedisKey, SkipReason)>| passed.into_iter().map(|(key, _)| key).collect();
    (keys(gone), keys(left))
}

/// Counts, among what is repaired, the keys that were taken from the ledger since Redis has them no more.
pub(in crate::job) const STORED_VALUE: &str = "stored_value";

/// Rows, and the sightings that have an outcome already.
#[derive(Default)]
pub(in crate::job) struct Made {
    pub(in crate::job) rows: Vec<Row>,
    pub(in crate::job) rejects: Vec<Reject>,
    pub(in crate::job) tally: Tally,
    /// Keys that were passed over, and why: they have neither a row nor a reject.
    pub(in crate::job) passed_over: Vec<(RedisKey, SkipReason)>,
    /// Keys of several rows, all of which are among these or came before.
    pub(in crate::job) closed: Vec<Arc<Group>>,
}

pub(super) async fn run<S: Source>(
    shared: Shared<S>,
    mut chunks: mpsc::Receiver<Chunk>,
    out: mpsc::Sender<Mapped>,
) -> Result<(), Failure> {
    let mut transformer = Transformer { hashes: shared.hashes, ..Transformer::new(shared.clock) };
    while let Some(chunk) = chunks.recv().await {
        let mut made = transformer.transform(shared.plan.mapping(chunk.mapping), chunk.records);
        note(&shared.limit, &mut made);
        let (gone, left) = match &shared.retry {
            Some(_) => passed_over(&shared, std::mem::take(&mut made.passed_over)),
            None => Default::default(),
        };
        let mut permit = chunk.permit;
        let held = held(&made);
        // What is really held, now that it is known: more is owed to the budget, less is given back.
        if held > permit.bytes() {
            permit.grow_unchecked(held)
        } else {
            permit.shrink(held)
        }
        let (mapping, epoch, part) = (chunk.mapping, chunk.epoch, chunk.part);
        let mapped = Mapped { mapping, epoch, made, gone, left, permit: Arc::new(permit), part };
        if out.send(mapped).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Tells the limit of rejects where they arise: what came of them is known only once their batch is settled.
fn note(limit: &RejectLimit, made: &mut Made) {
    made.tally.noted = made.rejects.len() as i64;
    let groups = made.closed.iter().filter(|group| group.note()).count() as i64;
    if made.tally.noted + groups > 0 {
        limit.note(made.tally.noted + groups);
    }
}

/// Maps what was read, in the order in which it was read.
#[derive(Default)]
pub(in crate::job) struct Transformer {
    scratch: Scratch,
    /// Redis's clock; without it no key is taken for expired.
    clock: Option<ServerClock>,
    /// The key whose slices are coming.
    open: Option<Arc<Group>>,
    /// Why the key is passed over whose slices are coming.
    passing: Option<SkipReason>,
    /// Whether it is to be known what a key holds that comes in slices.
    hashes: bool,
    /// What came of it so far.
    hasher: Option<ContentHasher>,
}

impl Transformer {
    /// Judges keys that expire by this clock.
    pub(in crate::job) fn new(clock: Option<ServerClock>) -> Self {
        Self { clock, ..Self::default() }
    }

    /// Maps what was read for some keys of one mapping.
    pub(in crate::job) fn transform(&mut self, mapping: &Mapping, records: Vec<Fetched>) -> Made {
        let now = now();
        let server = self.clock.as_ref().filter(|_| mapping.judges_expiry()).map(ServerClock::now);
        let mut made = Made { rows: Vec::with_capacity(records.len()), ..Made::default() };
        for fetched in records {
            if let Some(server) = server
                && self.pass_over(mapping, &fetched, server, &mut made)
            {
                continue;
            }
            if let Err(reject) = self.one(mapping, fetched, now, &mut made) {
                made.tally.reject(&reject.reason);
                made.rejects.push(reject);
            }
        }
        made
    }

    /// Whether a key is passed over. One that comes in slices is judged by the first and counted with the last.
    fn pass_over(&mut self, mapping: &Mapping, fetched: &Fetched, server: UnixMillis, made: &mut Made) -> bool {
        let Fetched::Record(record) = fetched else { return false };
        let (first, last) = record.slice.map_or((true, true), |slice| (slice.first, slice.last));
        if first {
            self.passing = mapping.passes_over(record.expires_at, server);
        }
        let Some(reason) = self.passing else { return false };
        if last {
            made.pass_over(record.key.clone(), reason);
        }
        true
    }

    fn one(&mut self, mapping: &Mapping, fetched: Fetched, now: UnixMillis, made: &mut Made) -> Result<(), Reject> {
        match fetched {
            Fetched::Record(record) if mapping.explodes() => {
                made.note(&record);
                self.explode(mapping, &record, now, made)
            }
            Fetched::Record(record) => {
                made.note(&record);
                let row = mapping.map(&record, now, &mut self.scratch)?;
                made.rows.push(row);
                Ok(())
            }
            Fetched::Gone(key) => {
                made.pass_over(key, SkipReason::Gone);
                Ok(())
            }
            Fetched::Orphan(key) => {
                made.pass_over(key, SkipReason::Orphan);
                Ok(())
            }
            Fetched::Forbidden(key) => {
                made.pass_over(key, SkipReason::Forbidden);
                Ok(())
            }
            Fetched::WrongType { key, redis_type } => {
                let detail = format!("the key holds a {redis_type}; the mapping reads {}", mapping.wanted().types);
                let reason = format!("redis_type ({redis_type})");
                Err(Reject { redis_type: Cow::Owned(redis_type), ..Reject::new(key, reason, detail, None) })
            }
            Fetched::Unreadable { key, redis_type, reason, detail } => {
                Err(Reject { redis_type: Cow::Borrowed(redis_type.name()), ..Reject::new(key, reason, detail, None) })
            }
            // Reading takes them apart; only a mapping that takes slices is given one.
            Fetched::Large { key, large } => {
                let detail = "too large to be read at once";
                let reject = Reject::new(key, "value_too_large", detail, None);
                Err(Reject { redis_type: Cow::Borrowed(large.redis_type.name()), ..reject })
            }
        }
    }

    /// Takes a key apart, or a slice of one.
    fn explode(&mut self, mapping: &Mapping, record: &Record, now: UnixMillis, made: &mut Made) -> Result<(), Reject> {
        let (first, last) = record.slice.map_or((true, true), |slice| (slice.first, slice.last));
        let group = match self.open.take().filter(|_| !first) {
            Some(group) => group,
            None => Arc::new(Group::of(record, mapping.exploded_array())),
        };
        if self.hashes && group.sliced {
            self.hash(record, &group, (first, last));
        }
        let rows = mapping.explode(record, now, &mut self.scratch, &group);
        // A key that was refused in the middle is not known as a whole.
        made.rows.extend(rows.inspect_err(|_| self.hasher = None)?);
        if last {
            made.closed.push(group);
        } else {
            self.open = Some(group);
        }
        Ok(())
    }

    /// Takes a slice into what its key holds.
    fn hash(&mut self, record: &Record, group: &Group, (first, last): (bool, bool)) {
        if first {
            self.hasher = Some(ContentHasher::new(record.redis_type));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.push(record);
        }
        if last && let Some(hasher) = self.hasher.take() {
            let _ = group.content.set(hasher.finish());
        }
    }
}

impl Made {
    /// Counts a record whose key has gone from Redis, and which is what the ledger kept of it.
    fn note(&mut self, record: &Record) {
        if record.is_from_ledger() {
            self.tally.alter(STORED_VALUE);
        }
    }

    /// The same of keys that this run has read before: what was taken from the ledger is counted already.
    pub(in crate::job) fn again(mut self) -> Self {
        self.tally.altered.remove(STORED_VALUE);
        self
    }

    fn pass_over(&mut self, key: RedisKey, reason: SkipReason) {
        self.tally.skip(reason.code(), 1);
        self.passed_over.push((key, reason));
    }
}

fn held(made: &Made) -> u64 {
    // Values are slices of a reply whose buffer grew by doubling: what stays allocated is up to twice what was read.
    let rows: usize = made.rows.iter().map(|row| row.memory() + row.value.len()).sum();
    let rejects: usize = made.rejects.iter().map(|reject| reject.value.as_ref().map_or(0, bytes::Bytes::len)).sum();
    let asked_for = (rows as u64) + (rejects as u64) * HELD_PER_BYTE + (made.rejects.len() as u64) * HELD_PER_KEY;
    // The allocator holds more than it is asked for, by about a third while threads free what others made: measured over
    // 4,400,000 keys.
    asked_for + asked_for / 3
}

/// The time that lineage says; what is judged by time uses the servers' clocks.
fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
