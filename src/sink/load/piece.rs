//! Pieces of a batch: what is tried in one transaction, and how it is cut up when a row of it is at fault.

use crate::flow::PagePart;
use crate::model::{Database, Group, RedisKey, Reject, Row, Shape, Tally};
use crate::sink::batch::{Batch, Deduplicated, deduplicate, each_once};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// So many staging tables are made in one transaction at most: the server has room for some thousand locks.
const MAX_STAGES: usize = 64;

/// Rows that are tried together, with the outcomes that travel with them.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// The journal's id: a new one for each piece, the same for every attempt at it.
    pub(super) id: Uuid,
    pub(super) epoch: u32,
    /// The database that its keys are in.
    pub(super) database: Database,
    pub(super) rows: Vec<Row>,
    /// Outcomes that were known before the load, and the rejects behind them.
    pub(super) tally: Tally,
    pub(super) rejects: Vec<Reject>,
    /// Rejects that the load itself found in this piece.
    pub(super) found: Vec<(Reject, Option<Arc<Group>>)>,
    /// Keys of several rows whose last rows are among these, or came before.
    pub(super) closed: Vec<Arc<Group>>,
    /// The rows of one key may be in this piece and in others.
    pub(super) split: bool,
    pub(super) pages: Vec<i64>,
    /// Straight COPY did not do: merge.
    pub(super) merge: bool,
    /// A foreign key failed: look for the rows without a parent.
    pub(super) orphans: bool,
    /// Its rows were part of a piece that the server kept not storing: one more attempt is enough to see it again.
    pub(super) unstored: bool,
    /// These are rejected keys, tried again: what is rejected now stays so.
    pub(super) retry: bool,
    /// The table did not let rows go whose elements are gone: it is looked which, before any is deleted.
    pub(super) singly: bool,
    /// Another retry follows, for rows that refer to rows of their own table.
    pub(super) again: bool,
    /// Keys of a retry that have neither a row nor a reject any more.
    pub(super) gone: Vec<RedisKey>,
    /// Keys of a retried run that could not be had: their rejects stay open.
    pub(super) left: Vec<RedisKey>,
    /// What is known about the missing parent of a key.
    pub(super) notes: HashMap<RedisKey, String>,
}

impl Piece {
    /// Whether the run will try a row again that refers to one of its own table.
    pub(super) fn is_tried_again(&self) -> bool {
        !self.retry || self.again
    }

    /// Rejects among its outcomes that were noted when their value was mapped.
    pub(super) fn noted(&self) -> i64 {
        self.tally.noted + self.closed.iter().filter(|group| group.is_noted()).count() as i64
    }

    /// A piece of other rows of the same pages, to be tried the same way.
    pub(super) fn beside(&self, rows: Vec<Row>) -> Self {
        Self {
            id: Uuid::new_v4(),
            epoch: self.epoch,
            database: self.database,
            rows,
            pages: self.pages.clone(),
            merge: self.merge,
            orphans: self.orphans,
            unstored: self.unstored,
            singly: self.singly,
            split: true,
            retry: self.retry,
            again: self.again,
            notes: self.notes.clone(),
            ..Self::default()
        }
    }
}

/// What is tried first, last of all. Keys that map to one row come in pieces of their own, each after the one before:
/// the table then says whose the row is, as it does for keys of different batches. `apart`: the columns that the rows of one
/// staging table all have or all lack.
pub(super) fn first_pieces(batch: Batch, pages: &[PagePart], apart: Shape) -> Vec<Piece> {
    let Deduplicated { rows, duplicates, mut rivals } = deduplicate(batch.rows);
    let mut tally = batch.tally;
    tally.duplicates += duplicates;
    let rejects = each_once(batch.rejects, &mut tally);
    let mut groups = by_stages(rows, apart).into_iter();
    let mut pieces = vec![Piece {
        id: Uuid::new_v4(),
        epoch: batch.epoch,
        database: batch.database,
        rows: groups.next().unwrap_or_default(),
        tally,
        rejects,
        pages: pages.iter().map(|page| page.number().cast_signed()).collect(),
        retry: batch.retry,
        again: batch.again,
        gone: batch.gone,
        left: batch.left,
        split: groups.len() > 0 || !rivals.is_empty(),
        notes: batch.notes,
        ..Piece::default()
    }];
    for rows in groups {
        let piece = pieces.first().map_or_else(Piece::default, |first| first.beside(rows));
        pieces.push(piece);
    }
    while !rivals.is_empty() {
        let next = deduplicate(rivals);
        let mut piece = pieces.first().map_or_else(Piece::default, |first| first.beside(next.rows));
        piece.merge = true;
        piece.tally.duplicates = next.duplicates;
        pieces.push(piece);
        rivals = next.rivals;
    }
    // The rows of these keys may be in any of the pieces.
    if let Some(last) = pieces.last_mut() {
        last.closed = batch.closed;
    }
    pieces.reverse();
    pieces
}

/// The rows, cut up so that none of the parts takes too many staging tables; in one part, as they are, where they take few.
fn by_stages(rows: Vec<Row>, apart: Shape) -> Vec<Vec<Row>> {
    let stage = |row: &Row| row.shape.0 & apart.0;
    let stages: BTreeSet<u64> = rows.iter().map(stage).collect();
    if stages.len() <= MAX_STAGES {
        return vec![rows];
    }
    let parts: HashMap<u64, usize> =
        stages.iter().enumerate().map(|(place, stage)| (*stage, place / MAX_STAGES)).collect();
    let mut cut: Vec<Vec<Row>> = Vec::new();
    cut.resize_with(stages.len().div_ceil(MAX_STAGES), Vec::new);
    for row in rows {
        let part = parts.get(&stage(&row)).copied().unwrap_or_default();
        if let Some(part) = cut.get_mut(part) {
            part.push(row);
        }
    }
    cut
}

/// Sets the row at fault aside, or halves the piece to come nearer to it. `reject` says why the row is refused.
pub(super) fn isolate(mut piece: Piece, row: Option<usize>, reject: impl Fn(&Row) -> Reject) -> Vec<Piece> {
    piece.merge = true;
    let culprit = row.or((piece.rows.len() == 1).then_some(0)).filter(|row| *row < piece.rows.len());
    if let Some(culprit) = culprit {
        let row = piece.rows.remove(culprit);
        piece.found.push((reject(&row), row.group.clone()));
        piece.split = true;
        return vec![piece];
    }
    let half = piece.rows.split_off(piece.rows.len() / 2);
    let mut second = piece.beside(half);
    second.closed = std::mem::take(&mut piece.closed);
    piece.split = true;
    vec![piece, second]
}

#[cfg(test)]
mod tests {
    use super::{MAX_STAGES, by_stages, first_pieces};
    use crate::model::{Digest, Losses, RedisKey, RedisType, Row, Shape};
    use crate::sink::batch::Batch;
    use bytes::Bytes;
    use std::collections::BTreeSet;

    fn row(id: u8, shape: u64) -> Row {
        Row {
            key: RedisKey::new(vec![id]),
            redis_type: RedisType::String,
            value: Bytes::new(),
            stored: None,
            expires_at: None,
            facts: None,
            digest: Digest::default(),
            shape: Shape(shape),
            fields: Bytes::copy_from_slice(&[0, 0, 0, 1, id]),
            splice: None,
            key_len: 5,
            group: None,
            element: 0,
            parent_keys: Vec::new(),
            altered: Vec::new(),
            losses: Losses::default(),
        }
    }

    #[test]
    fn rows_that_take_many_staging_tables_are_loaded_in_several_transactions() {
        let rows: Vec<Row> = (0..200).map(|id| row(id, u64::from(id) % 150 + 1)).collect();
        let few: Vec<Row> = (0..200).map(|id| row(id, u64::from(id) % 64 + 1)).collect();
        assert_eq!(by_stages(few, Shape(u64::MAX)).len(), 1);
        assert_eq!(by_stages(rows.clone(), Shape(0b111)).len(), 1);
        let pieces = first_pieces(Batch { rows, ..Batch::default() }, &[], Shape(u64::MAX));
        assert_eq!(pieces.iter().map(|piece| piece.rows.len()).sum::<usize>(), 200);
        let (ids, mut shapes) = (pieces.iter().map(|piece| piece.id).collect::<BTreeSet<_>>(), BTreeSet::new());
        for piece in &pieces {
            let own: BTreeSet<Shape> = piece.rows.iter().map(|row| row.shape).collect();
            assert!(own.len() <= MAX_STAGES && piece.split && own.is_disjoint(&shapes));
            shapes.extend(own);
        }
        assert_eq!((ids.len(), shapes.len()), (3, 150));
    }
}
