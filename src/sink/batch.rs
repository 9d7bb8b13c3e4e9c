//! A batch: rows of one mapping that are settled together, with everything else that their pages brought.

use crate::flow::{PagePart, Permit};
use crate::model::{MappingId, RedisKey, Reject, Row, Tally};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

/// What one transaction settles.
#[derive(Debug, Default)]
pub struct Batch {
    /// The mapping.
    pub mapping: MappingId,
    /// The scan of the shard that it belongs to.
    pub epoch: u32,
    /// The rows, in the order in which they were read.
    pub rows: Vec<Row>,
    /// Sightings that have an outcome already (rejects, skips) and repairs made.
    pub tally: Tally,
    /// The rejects behind `tally.rejected`.
    pub rejects: Vec<Reject>,
    /// The pages that it settles, or helps to settle.
    pub pages: Vec<PagePart>,
    /// The memory of what it was made from, given back when the batch is done.
    pub memory: Vec<Arc<Permit>>,
    /// Whether this is another try of rejected keys: their rejects are taken back, and what has no parent now stays so.
    pub retry: bool,
    /// Keys of a retry that have neither a row nor a reject any more.
    pub gone: Vec<RedisKey>,
    /// What is known about the missing parent of a key of a retry.
    pub notes: HashMap<RedisKey, String>,
}

/// Rows of which no two are the same row of the table.
#[derive(Debug, Default)]
pub struct Deduplicated {
    /// The rows, sorted by identity: neighbours in the index are written together.
    pub rows: Vec<Row>,
    /// How many sightings were older reads of a key that is there.
    pub duplicates: i64,
    /// Other keys that map to a row that is there.
    pub collisions: Vec<Reject>,
}

/// Sorts rows by identity and keeps one for each: of several reads of one key the last; of several keys the first.
pub(super) fn deduplicate(rows: Vec<Row>) -> Deduplicated {
    // Places are sorted, not rows, which are large: each row then moves once. Stable: equal identities stay in the
    // order in which they were read.
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|a, b| identity_at(&rows, *a).cmp(identity_at(&rows, *b)));
    let mut result = Deduplicated { rows: Vec::with_capacity(rows.len()), ..Deduplicated::default() };
    let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
    for row in order.into_iter().filter_map(|at| rows.get_mut(at).and_then(Option::take)) {
        match result.rows.last_mut() {
            Some(kept) if kept.identity().cmp(row.identity()) == Ordering::Equal => {
                if kept.key == row.key {
                    result.duplicates += 1;
                    *kept = row;
                } else {
                    let detail = format!("maps to the same row as {}", kept.key);
                    result.collisions.push(Reject::new(row.key, "key_collision", detail, Some(row.value)));
                }
            }
            _ => result.rows.push(row),
        }
    }
    result
}

fn identity_at(rows: &[Row], at: usize) -> &[u8] {
    rows.get(at).map_or(&[], Row::identity)
}

#[cfg(test)]
mod tests {
    use super::deduplicate;
    use crate::model::{RedisKey, Row, Shape};
    use bytes::Bytes;

    fn row(key: &'static str, id: u8, value: &'static str) -> Row {
        Row {
            key: RedisKey::new(key),
            value: Bytes::from_static(value.as_bytes()),
            shape: Shape(1),
            fields: Bytes::copy_from_slice(&[0, 0, 0, 1, id]),
            key_len: 5,
            altered: Vec::new(),
        }
    }

    #[test]
    fn the_last_read_of_a_key_wins_and_another_key_is_a_collision() {
        let rows = vec![row("k:b", 2, "b"), row("k:a", 1, "old"), row("k:A", 1, "other"), row("k:a", 1, "new")];
        let result = deduplicate(rows);
        let values: Vec<_> = result.rows.iter().map(|row| row.value.as_ref()).collect();
        assert_eq!(values, [&b"new"[..], b"b"]);
        assert_eq!(result.duplicates, 1);
        assert_eq!(result.collisions.len(), 1);
        assert_eq!(result.collisions[0].key.as_bytes(), b"k:A");
        assert_eq!(result.collisions[0].reason, "key_collision");
    }
}
