//! A batch: rows of one mapping that are settled together, with everything else that their pages brought.

use crate::flow::{PagePart, Permit};
use crate::model::{Database, Group, MappingId, RedisKey, Reject, Row, RowOutcome, Tally};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What one transaction settles.
#[derive(Debug, Default)]
pub struct Batch {
    /// The mapping.
    pub mapping: MappingId,
    /// The database that its keys are in.
    pub database: Database,
    /// The scan of the shard that it belongs to.
    pub epoch: u32,
    /// The rows, in the order in which they were read.
    pub rows: Vec<Row>,
    /// Sightings that have an outcome already (rejects, skips) and repairs made.
    pub tally: Tally,
    /// The rejects behind `tally.rejected`.
    pub rejects: Vec<Reject>,
    /// Keys of several rows whose last rows are among these, or in an earlier batch of the same writer.
    pub closed: Vec<Arc<Group>>,
    /// The pages that it settles, or helps to settle.
    pub pages: Vec<PagePart>,
    /// The memory of what it was made from, given back when the batch is done.
    pub memory: Vec<Arc<Permit>>,
    /// Whether this is another try of rejected keys: their rejects are taken back, and what has no parent now stays so.
    pub retry: bool,
    /// Whether a retry is followed by another: what refers to a row of its own table that is not there waits for it.
    pub again: bool,
    /// Keys of a retry that have neither a row nor a reject any more.
    pub gone: Vec<RedisKey>,
    /// Where another run's rejects are retried: keys that could not be had. Their rejects stay open.
    pub left: Vec<RedisKey>,
    /// What is known about the missing parent of a key of a retry.
    pub notes: HashMap<RedisKey, String>,
}

impl Batch {
    /// The batch in parts of so many rows at most, in their order. All but its rows is in the last one.
    pub fn parts(mut self, rows: usize) -> Vec<Self> {
        let (mapping, database, epoch) = (self.mapping, self.database, self.epoch);
        let mut parts = Vec::new();
        while self.rows.len() > rows.max(1) {
            let rest = self.rows.split_off(rows.max(1));
            let rows = std::mem::replace(&mut self.rows, rest);
            parts.push(Self { mapping, database, epoch, rows, ..Self::default() });
        }
        parts.push(self);
        parts
    }
}

/// Rows of which no two are the same row of the table.
#[derive(Debug, Default)]
pub struct Deduplicated {
    /// The rows, sorted by identity: neighbours in the index are written together.
    pub rows: Vec<Row>,
    /// How many sightings were older reads of a key that is there.
    pub duplicates: i64,
    /// Rows of other keys that map to a row that is there, in the order in which they were read. Which of the keys has
    /// the row is for the table to say.
    pub rivals: Vec<Row>,
}

/// Sorts rows by identity and keeps one for each: of several reads of one key the last; of several keys the first.
pub(super) fn deduplicate(rows: Vec<Row>) -> Deduplicated {
    let mut result = Deduplicated { rows: Vec::with_capacity(rows.len()), ..Deduplicated::default() };
    let order = order(&rows);
    let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
    for row in order.into_iter().filter_map(|at| rows.get_mut(at).and_then(Option::take)) {
        match result.rows.last_mut() {
            Some(kept) if kept.identity() == row.identity() && of_one_reading(kept, &row) => {
                // A cursor may give an element twice; two elements of a key for one row are another matter.
                if let Some(group) = row.group.as_ref().filter(|_| kept.value != row.value) {
                    let detail = "another element of the same key maps to the same row";
                    group.reject(Reject::of_row(&row, "key_collision", detail));
                }
            }
            Some(kept) if kept.identity() == row.identity() && kept.key == row.key => {
                match &kept.group {
                    Some(older) => older.settle_rows(RowOutcome::Duplicate, 1),
                    None => result.duplicates += 1,
                }
                *kept = row;
            }
            Some(kept) if kept.identity() == row.identity() => result.rivals.push(row),
            _ => result.rows.push(row),
        }
    }
    result
}

/// Whether both are elements of one key, read at once.
fn of_one_reading(one: &Row, other: &Row) -> bool {
    one.group.as_ref().zip(other.group.as_ref()).is_some_and(|(one, other)| Arc::ptr_eq(one, other))
}

/// Keeps the last reject of each key: a key that is rejected again is one reject, and a duplicate.
pub(super) fn each_once(mut rejects: Vec<Reject>, tally: &mut Tally) -> Vec<Reject> {
    let mut seen = HashSet::new();
    rejects.reverse();
    rejects.retain(|reject| {
        let first = seen.insert(reject.key.clone());
        if !first {
            tally.take_back(&reject.reason, 1);
            tally.duplicates += 1;
        }
        first
    });
    rejects.reverse();
    rejects
}

/// The places of rows, sorted by identity; equal ones stay in the order in which they were read.
///
/// Places are sorted, not rows, which are large: each row then moves once. The start of the identity is copied beside
/// the place, so that most comparisons do not look at the row at all.
fn order(rows: &[Row]) -> Vec<usize> {
    let mut order: Vec<(u128, usize)> = rows.iter().map(start_of_identity).zip(0..).collect();
    let identity = |at: usize| rows.get(at).map_or(&[][..], Row::identity);
    order.sort_unstable_by(|(a, at), (b, bt)| a.cmp(b).then_with(|| identity(*at).cmp(identity(*bt))).then(at.cmp(bt)));
    order.into_iter().map(|(_, at)| at).collect()
}

/// The first 16 bytes of the first key column, behind its length: all of a UUID or a number.
fn start_of_identity(row: &Row) -> u128 {
    let mut start = [0; 16];
    let field = row.identity().get(4..).unwrap_or_default();
    start.iter_mut().zip(field).for_each(|(to, from)| *to = *from);
    u128::from_be_bytes(start)
}

#[cfg(test)]
mod tests {
    use super::deduplicate;
    use crate::model::{Digest, Losses, RedisKey, RedisType, Row, Shape};
    use bytes::Bytes;

    fn row(key: &'static str, id: u8, value: &'static str) -> Row {
        Row {
            key: RedisKey::new(key),
            redis_type: RedisType::String,
            value: Bytes::from_static(value.as_bytes()),
            stored: None,
            expires_at: None,
            facts: None,
            digest: Digest::default(),
            shape: Shape(1),
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
    fn the_last_read_of_a_key_wins_and_another_key_is_its_rival() {
        let rows = vec![row("k:b", 2, "b"), row("k:a", 1, "old"), row("k:A", 1, "other"), row("k:a", 1, "new")];
        let result = deduplicate(rows);
        let values: Vec<_> = result.rows.iter().map(|row| row.value.as_ref()).collect();
        assert_eq!(values, [&b"new"[..], b"b"]);
        assert_eq!(result.duplicates, 1);
        assert_eq!(result.rivals.len(), 1);
        assert_eq!(result.rivals[0].key.as_bytes(), b"k:A");
    }
}
