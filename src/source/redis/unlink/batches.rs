//! Which candidates are compared together.

/// Cuts candidates, each with its bytes, into runs of at most so many and, but for single ones, so many bytes.
///
/// A server by itself takes keys of any slots in one command. For a cluster this is where they are to be kept apart by slot.
pub(super) fn batches<T>(candidates: impl Iterator<Item = (T, u64)>, most: usize, most_bytes: u64) -> Vec<Vec<T>> {
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for (candidate, bytes) in candidates {
        // A key of nothing does not go beside one that is alone since it is large.
        let bytes = bytes.max(1);
        match batches.last_mut().filter(|batch| batch.len() < most && bytes <= room) {
            Some(batch) => {
                batch.push(candidate);
                room -= bytes;
            }
            None => {
                batches.push(vec![candidate]);
                room = most_bytes.saturating_sub(bytes);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::batches;

    #[test]
    fn a_batch_ends_where_it_has_enough_keys_or_bytes() {
        let sizes = [(0, 4), (1, 4), (2, 4), (3, 100), (5, 0), (6, 1), (7, 1), (8, 1), (9, 1)];
        let cut = batches(sizes.into_iter(), 3, 10);
        assert_eq!(cut, [vec![0, 1], vec![2], vec![3], vec![5, 6, 7], vec![8, 9]]);
        assert!(batches(std::iter::empty::<(usize, u64)>(), 3, 10).is_empty());
    }
}
