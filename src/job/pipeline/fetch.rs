//! Reading: memory is claimed before values are asked for, as many as fit.

use super::Shared;
use super::list::Listed;
use crate::flow::{PagePart, Permit};
use crate::model::{Event, Failure, Fetched, Items, MappingId, RedisKey};
use crate::source::{Slices, Source};
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
/// What a slice of a large collection is taken to hold before one was read.
const SLICE_MEMORY: u64 = 2 << 20;

pub(super) async fn run<S: Source>(
    shared: Shared<S>,
    mut pages: mpsc::Receiver<Listed>,
    out: mpsc::Sender<Chunk>,
) -> Result<(), Failure> {
    // Until something was read, a key is taken to be of a kilobyte.
    let mut average: u64 = 1024;
    while let Some(Listed { part, epoch, keys }) = pages.recv().await {
        for (mapping, keys) in &keys {
            let mut rest = keys.as_slice();
            while !rest.is_empty() {
                if shared.stop.cut() {
                    return Ok(());
                }
                let (records, permit) = read(&shared, *mapping, rest, &mut average).await?;
                rest = rest.get(records.len()..).unwrap_or_default();
                let (large, records): (Vec<_>, Vec<_>) =
                    records.into_iter().partition(|fetched| matches!(fetched, Fetched::Large { .. }));
                let lane = Lane { shared: &shared, mapping: *mapping, epoch, part: &part, out: &out };
                if lane.send(records, permit).await.is_err() {
                    return Ok(());
                }
                for fetched in large {
                    if lane.slices(fetched).await?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
        // What came of the page travels in the chunks; nothing is left here.
        part.settle();
    }
    Ok(())
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

    /// Reads a large collection in slices, each with memory of its own. Breaks where nobody takes them any more.
    async fn slices(&self, fetched: Fetched) -> Result<ControlFlow<()>, Failure> {
        let Fetched::Large { key, large } = fetched else { return Ok(ControlFlow::Continue(())) };
        let mut slices = self.shared.source.slices(key, large);
        let mut expected = SLICE_MEMORY;
        loop {
            if self.shared.stop.cut() {
                return Ok(ControlFlow::Break(()));
            }
            let most = (self.shared.budget.total() / 4).max(1);
            let permit = self.shared.budget.claim(expected.min(most)).await;
            let Some(slice) = slices.next().await? else { return Ok(ControlFlow::Continue(())) };
            let (keys, bytes) = match &slice {
                Fetched::Record(record) => {
                    let items = Items::of(&record.value).count() as u64;
                    let bytes = record.value.len() as u64;
                    expected = bytes * HELD_PER_BYTE + items * HELD_PER_KEY;
                    (u64::from(record.slice.is_some_and(|slice| slice.first)), bytes)
                }
                _ => (1, 0),
            };
            self.shared.rate.take(keys, bytes).await;
            let _ = self.shared.events.send(Event::Read { bytes }).await;
            if self.send(vec![slice], permit).await.is_err() {
                return Ok(ControlFlow::Break(()));
            }
        }
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
    *average = (*average * 3 + page.bytes / count) / 4;
    // After the fact, by what was really read: how many of the keys fit was not known before.
    shared.rate.take(count, page.bytes).await;
    let _ = shared.events.send(Event::Read { bytes: page.bytes }).await;
    Ok((page.records, permit))
}
