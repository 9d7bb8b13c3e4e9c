//! Reading: memory is claimed before values are asked for, as many as fit.

use super::drain::{Unread, hold, pace};
use super::list::Listed;
use super::{Done, Shared};
use crate::flow::{PagePart, Permit};
use crate::model::{Event, Failure, Fetched, Items, LargeKey, MappingId, RedisKey, RedisType};
use crate::source::{Collector, Slices, Source};
use std::ops::ControlFlow;
use tokio::sync::mpsc;

/// Records of one mapping, with the memory that they hold.
pub(super) struct Chunk {
    pub(super) mapping: MappingId,
    pub(super) epoch: u32,
    pub(super) records: Vec<Fetched>,
    pub(super) permit: Permit,
    pub(super) part: PagePart,
}

/// A value is held once as read, once more as the slack of its reply's buffer, and once encoded; the frames around them
/// are counted per row.
pub(super) const HELD_PER_BYTE: u64 = 3;
/// Bytes of the frames around a key, a value and a row.
pub(super) const HELD_PER_KEY: u64 = 300;
/// What a slice of a large value is taken to hold before one was read.
const SLICE_MEMORY: u64 = 2 << 20;

pub(super) async fn run<S: Source>(
    shared: Shared<S>,
    mut pages: mpsc::Receiver<Listed>,
    out: mpsc::Sender<Chunk>,
) -> Result<Done, Failure> {
    let mut unread = Unread::default();
    // Until something was read, a key is taken to be of a kilobyte.
    let mut average: u64 = 1024;
    while let Some(Listed { part, epoch, keys }) = pages.recv().await {
        for (mapping, keys) in &keys {
            let mut rest = keys.as_slice();
            while !rest.is_empty() {
                hold(&shared).await;
                if shared.stop.cut() {
                    return unread.done();
                }
                if shared.stop.requested() {
                    unread.leave(&shared, *mapping, rest.len()).await;
                    break;
                }
                let (records, permit) = read(&shared, *mapping, rest, &mut average).await?;
                rest = rest.get(records.len()..).unwrap_or_default();
                let (large, records): (Vec<_>, Vec<_>) =
                    records.into_iter().partition(|fetched| matches!(fetched, Fetched::Large { .. }));
                let lane = Lane { shared: &shared, mapping: *mapping, epoch, part: &part, out: &out };
                // What has gone from Redis may have been kept in the ledger.
                let kept = |fetched: &Fetched| shared.retry.is_some() && matches!(fetched, Fetched::Gone(_));
                let (gone, records): (Vec<_>, Vec<_>) = records.into_iter().partition(kept);
                if lane.send(records, permit).await.is_err() {
                    return unread.done();
                }
                if lane.look_in_ledger(&gone).await?.is_break() {
                    return unread.done();
                }
                for fetched in large {
                    // One that was begun is read to its end; each is work of its own.
                    if shared.stop.requested() {
                        unread.leave(&shared, *mapping, 1).await;
                    } else if lane.large(fetched).await?.is_break() {
                        return unread.done();
                    }
                }
            }
        }
        // What came of the page travels in the chunks; nothing is left here, unless a stop left keys unread.
        if unread.is_none() {
            part.settle();
        }
    }
    unread.done()
}

/// Where what is read goes.
struct Lane<'a, S> {
    shared: &'a Shared<S>,
    mapping: MappingId,
    epoch: u32,
    part: &'a PagePart,
    out: &'a mpsc::Sender<Chunk>,
}

/// Whoever takes what is read has gone.
struct Gone;

impl<S: Source> Lane<'_, S> {
    async fn send(&self, records: Vec<Fetched>, permit: Permit) -> Result<(), Gone> {
        let chunk = Chunk { mapping: self.mapping, epoch: self.epoch, records, permit, part: self.part.split() };
        self.out.send(chunk).await.map_err(|_| Gone)
    }

    /// Looks for keys that have gone from Redis in the ledger, a part at a time.
    async fn look_in_ledger(&self, gone: &[Fetched]) -> Result<ControlFlow<()>, Failure> {
        let Some(retry) = self.shared.retry.as_ref().filter(|_| !gone.is_empty()) else {
            return Ok(ControlFlow::Continue(()));
        };
        let keys: Vec<RedisKey> = gone.iter().map(|fetched| fetched.key().clone()).collect();
        let of = (self.shared.plan.mapping(self.mapping), self.shared.database);
        let mut rest = keys.as_slice();
        while !rest.is_empty() {
            let permit = self.claim(SLICE_MEMORY).await;
            let most = (SLICE_MEMORY / HELD_PER_BYTE) as usize;
            let records = retry.kept(of, rest, most, self.shared.clock).await?;
            rest = rest.get(records.len().max(1)..).unwrap_or_default();
            if self.send(records, permit).await.is_err() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads what is too large for a page. Breaks where nobody takes it any more.
    async fn large(&self, fetched: Fetched) -> Result<ControlFlow<()>, Failure> {
        let Fetched::Large { key, large } = fetched else { return Ok(ControlFlow::Continue(())) };
        let streams = self.shared.plan.mapping(self.mapping).wanted().streams;
        match large.redis_type {
            RedisType::String if streams => self.set_aside(key, large).await,
            RedisType::String => self.alone(key, large).await,
            _ => self.slices(key, large).await,
        }
    }

    /// Reads a large collection in slices, each with memory of its own.
    async fn slices(&self, key: RedisKey, large: LargeKey) -> Result<ControlFlow<()>, Failure> {
        let mut slices = self.shared.source.slices(key, large);
        let mut expected = SLICE_MEMORY;
        loop {
            if self.shared.stop.cut() {
                return Ok(ControlFlow::Break(()));
            }
            let permit = self.claim(expected).await;
            let Some(slice) = slices.next().await? else { return Ok(ControlFlow::Continue(())) };
            let bytes = self.account(&slice).await;
            if let Fetched::Record(record) = &slice {
                let items = Items::of(&record.value).count() as u64;
                expected = bytes * HELD_PER_BYTE + items * HELD_PER_KEY;
            }
            if self.send(vec![slice], permit).await.is_err() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// Reads a large string in slices, into a file: all of them take the memory of one.
    async fn set_aside(&self, key: RedisKey, large: LargeKey) -> Result<ControlFlow<()>, Failure> {
        let permit = self.claim(SLICE_MEMORY).await;
        let mut slices = self.shared.source.slices(key, large);
        let mut collector = Collector::default();
        while let Some(slice) = slices.next().await? {
            if self.shared.stop.cut() {
                return Ok(ControlFlow::Break(()));
            }
            self.account(&slice).await;
            if let Some(whole) = collector.push(slice).await? {
                // The connection for large values is free for others while this one waits to be taken.
                drop(slices);
                let taken = self.send(vec![whole], permit).await;
                return Ok(if taken.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) });
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads a large string by itself, with the memory that it takes; nothing else is in flight where that is all.
    async fn alone(&self, key: RedisKey, large: LargeKey) -> Result<ControlFlow<()>, Failure> {
        let permit = self.shared.budget.claim(large.bytes.unwrap_or(0) * HELD_PER_BYTE + HELD_PER_KEY).await;
        if self.shared.stop.cut() {
            return Ok(ControlFlow::Break(()));
        }
        let wanted = self.shared.plan.mapping(self.mapping).wanted();
        let read = self.shared.source.whole(Fetched::Large { key, large }, wanted).await?;
        self.account(&read).await;
        let taken = self.send(vec![read], permit).await;
        Ok(if taken.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    }

    async fn claim(&self, bytes: u64) -> Permit {
        let most = (self.shared.budget.total() / 4).max(1);
        self.shared.budget.claim(bytes.min(most)).await
    }

    /// Counts what was read against the rate limit and in the books; gives its bytes.
    async fn account(&self, read: &Fetched) -> u64 {
        let (keys, bytes) = match read {
            Fetched::Record(record) => {
                let first = record.slice.is_none_or(|slice| slice.first);
                (u64::from(first), record.value.len() as u64)
            }
            _ => (1, 0),
        };
        pace(self.shared, keys, bytes).await;
        let _ = self.shared.events.send(Event::Read { bytes }).await;
        bytes
    }
}

async fn read<S: Source>(
    shared: &Shared<S>,
    mapping: MappingId,
    keys: &[RedisKey],
    average: &mut u64,
) -> Result<(Vec<Fetched>, Permit), Failure> {
    let keys = shared.rate.keys_at_once().and_then(|burst| keys.get(..burst)).unwrap_or(keys);
    // A quarter at a time: what is read, what is mapped and what is being loaded overlap.
    let most = (shared.budget.total() / 4).max(1);
    let expected = keys.len() as u64 * (*average * HELD_PER_BYTE + HELD_PER_KEY);
    let permit = shared.budget.claim(expected.min(most)).await;
    let max_bytes = usize::try_from(most / HELD_PER_BYTE).unwrap_or(usize::MAX);
    let page = shared.source.fetch_some(keys, shared.plan.mapping(mapping).wanted(), max_bytes).await?;
    let count = page.records.len() as u64;
    if count == 0 {
        return Err(Failure::internal("reading some keys gave none"));
    }
    // What is left to be read by itself or in slices is counted when it is.
    let read = page.records.iter().filter(|fetched| !matches!(fetched, Fetched::Large { .. })).count() as u64;
    if let Some(newest) = page.bytes.checked_div(read) {
        *average = (*average * 3 + newest) / 4;
    }
    // After the fact, by what was really read: how many of the keys fit was not known before.
    pace(shared, read, page.bytes).await;
    let _ = shared.events.send(Event::Read { bytes: page.bytes }).await;
    Ok((page.records, permit))
}
