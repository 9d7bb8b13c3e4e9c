//! What a pass is fed with and where it goes: the keys that it lists, those that it sets aside, its batches and its ends.

use super::{Migration, Turn};
use crate::flow::{KeySpill, Position, Watermark};
use crate::job::dry_parents::DryParents;
use crate::job::pipeline::{BatchLimits, Listing, Pass, Sample, Scope, Shared, Writer};
use crate::job::setup;
use crate::ledger::{Checkpoint, ShardId};
use crate::model::{Failure, MappingId};
use crate::sink::DryRun;
use crate::source::{self, Source};
use std::sync::Arc;

impl<S: Source> Migration<'_, S> {
    /// The pass of a turn: over keys that were set aside for it, over the keys of a list, or over a scan that goes on
    /// where it was before. Keys of later phases are set aside as far as there is `room` for them, in bytes.
    pub(super) fn pass(
        &self,
        turn: &Turn<S>,
        shard: Option<ShardId>,
        aside: Option<KeySpill>,
        before: Option<Checkpoint>,
        room: u64,
    ) -> Result<Pass<S>, Failure> {
        let fresh = before.is_none();
        let (listing, watermark) = self.listing(turn, aside, before)?;
        // A list that somebody wrote, or the rest of an earlier scan, does not hold all keys of the later phases.
        let whole = matches!(listing, Listing::Scan(_) | Listing::SetAside(_));
        let scope = self.scope(turn, (whole && fresh).then_some(room))?;
        Ok(Pass {
            listing,
            scope,
            limits: BatchLimits::of(self.settings),
            writers: self.ends(&turn.shared, shard),
            watermark,
        })
    }

    fn listing(
        &self,
        turn: &Turn<S>,
        aside: Option<KeySpill>,
        before: Option<Checkpoint>,
    ) -> Result<(Listing<S::Scan>, Watermark), Failure> {
        let source = &turn.shared.source;
        if let Some(retry) = &turn.shared.retry {
            return Ok((Listing::Rejects(retry.keys(turn.shared.database)), Watermark::default()));
        }
        if let Some(reader) = aside.and_then(KeySpill::finish) {
            return Ok((Listing::SetAside(reader), Watermark::default()));
        }
        if let Some(keys) = &self.keys {
            return Ok((Listing::File(keys.lines()?), Watermark::default()));
        }
        let Some(before) = before else {
            return Ok((Listing::Scan(source.scan(None)), Watermark::default()));
        };
        let position = Position { page: before.watermark, cursor: before.cursor.clone(), unmatched: before.unmatched };
        let watermark = Watermark::at(before.epoch, position);
        let from = source::Checkpoint {
            server_run_id: before.server_run_id,
            cursor: before.cursor,
            epoch: before.epoch,
            number: before.watermark,
        };
        Ok((Listing::Scan(source.scan(Some(from))), watermark))
    }

    fn scope(&self, turn: &Turn<S>, room: Option<u64>) -> Result<Scope, Failure> {
        let (now, later) = (turn.now.clone(), turn.later.clone());
        let limit = self.settings.run.limit;
        let on: Vec<MappingId> = self.phases().into_iter().flat_map(|(_, ids)| ids).collect();
        let off = self.shared.plan.mappings().map(|(id, _)| id).filter(|id| !on.contains(id)).collect();
        let room = room.filter(|_| limit.is_none() && !later.is_empty());
        let spill = room.map(KeySpill::new).transpose()?;
        Ok(Scope { now, later, off, limit, sample: Sample::ALL, spill })
    }

    /// The mappings of which this run sees every key.
    fn judged(&self) -> Arc<[MappingId]> {
        if self.is_partial() {
            return Arc::default();
        }
        self.phases().into_iter().flat_map(|(_, mappings)| mappings).collect()
    }

    /// Whether the run looks at a part of the keys only. Such a run says nothing about the rest: it leaves no checkpoint,
    /// so that a resume without the limit begins at the beginning. A retry is never resumed: it is run again.
    pub(in crate::job) fn is_partial(&self) -> bool {
        let run = &self.settings.run;
        run.limit.is_some() || run.keys.is_some() || run.keys_from.is_some() || self.shared.retry.is_some()
    }

    fn ends(&self, shared: &Shared<S>, shard: Option<ShardId>) -> Vec<Writer<S>> {
        let count = self.settings.flow.writers.max(1);
        (0..count)
            .map(|_| match (shard, &self.dry) {
                (Some(shard), _) => Writer::Load(Box::new(self.writers.writer(shard))),
                (None, dry) => {
                    let dry =
                        dry.clone().unwrap_or_else(|| DryRun::new(self.tables.clone(), self.shared.events.clone(), 0));
                    let tables = self.tables.clone();
                    let target = (self.target.clone(), setup::limits(self.settings));
                    let parents = DryParents::new(shared.clone(), tables, target, dry.clone(), self.judged());
                    Writer::Dry(dry, Box::new(parents))
                }
            })
            .collect()
    }
}
