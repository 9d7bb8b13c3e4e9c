//! Reading: memory is claimed before values are asked for, as many as fit.

use super::Shared;
use super::list::Listed;
use crate::flow::{PagePart, Permit};
use crate::model::{Event, Failure, Fetched, MappingId, RedisKey};
use crate::source::Source;
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
                let chunk = Chunk { mapping: *mapping, epoch, records, permit, part: part.split() };
                if out.send(chunk).await.is_err() {
                    return Ok(());
                }
            }
        }
        // What came of the page travels in the chunks; nothing is left here.
        part.settle();
    }
    Ok(())
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
