//! Which keys of a batch are saved and deleted together, where there is a backup. Pure.

use crate::source::redis::Candidate;

/// Bytes of a value that takes long to write.
const LARGE: u64 = 1 << 20;

/// Whether a key is saved and deleted by itself: whatever went with it would wait for it.
pub(super) fn is_alone(candidate: &Candidate) -> bool {
    candidate.bytes() > LARGE
}

/// The keys of a batch in rounds, each of which is deleted before the next one is saved: first all that are small, then each large one.
pub(super) fn rounds(candidates: Vec<Candidate>) -> Vec<Vec<Candidate>> {
    let (large, small): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_alone);
    std::iter::once(small).filter(|small| !small.is_empty()).chain(large.into_iter().map(|one| vec![one])).collect()
}

#[cfg(test)]
mod tests {
    use super::{LARGE, rounds};
    use crate::model::{RedisKey, RedisType};
    use crate::source::redis::{Candidate, Content};
    use bytes::Bytes;

    fn candidate(key: &'static str, bytes: u64) -> Candidate {
        let content = Content::Exact(Bytes::from(vec![0; usize::try_from(bytes).unwrap()]));
        Candidate { key: RedisKey::new(key), redis_type: RedisType::String, expires_at: None, content }
    }

    #[test]
    fn small_keys_wait_for_no_large_one_and_large_ones_go_one_by_one() {
        let keys = [("large", LARGE + 1), ("a", LARGE), ("larger", LARGE * 3), ("b", 0)];
        let rounds = rounds(keys.map(|(key, bytes)| candidate(key, bytes)).into());
        let keys: Vec<Vec<String>> =
            rounds.iter().map(|round| round.iter().map(|candidate| candidate.key.to_string()).collect()).collect();
        assert_eq!(keys, [vec!["a", "b"], vec!["large"], vec!["larger"]]);
        assert!(super::rounds(Vec::new()).is_empty());
    }
}
