//! What a dry run remembers of the rows that others refer to.

use crate::model::{Database, MappingId, Reason, RedisKey};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// Keys are of a mapping, in a database.
type Of = (MappingId, Database);

/// Loadable parents that are remembered: 9 MiB of them.
const LOADABLE: usize = 900_000;
/// Bytes of rejected keys, with what holding one costs, that are remembered for their children.
const REASONS_BYTES: usize = 8 << 20;
const REASON_FRAME: usize = 128;

/// What became of the keys that children refer to, within bounds: what is not known must be asked for.
#[derive(Debug, Default)]
pub(super) struct Parents {
    /// Rejected keys with their reasons.
    reasons: HashMap<(Of, RedisKey), Reason>,
    /// Bytes of the keys in `reasons`; above the bound no reject is remembered any more.
    reason_bytes: usize,
    /// Hashes of keys that would be loaded: 64 bits, so that one in 10¹³ questions is answered wrongly.
    loadable: HashSet<u64>,
    hasher: RandomState,
}

impl Parents {
    /// Remembers keys that would be loaded, as far as there is room.
    pub(super) fn would_load<'k>(&mut self, of: Of, keys: impl IntoIterator<Item = &'k RedisKey>) {
        for key in keys.into_iter().take(LOADABLE.saturating_sub(self.loadable.len())) {
            let hash = self.hash(of, key);
            self.loadable.insert(hash);
        }
    }

    /// Remembers a reject, unless there are too many of them.
    pub(super) fn reject(&mut self, of: Of, key: &RedisKey, reason: &Reason) {
        if !self.knows_all_rejects() {
            return;
        }
        if self.reasons.insert((of, key.clone()), reason.clone()).is_none() {
            self.reason_bytes += key.as_bytes().len() + REASON_FRAME;
        }
        if !self.knows_all_rejects() {
            self.reasons = HashMap::new();
        }
    }

    /// The rejected ones among keys, with their reasons; `None` where not all rejects could be remembered.
    pub(super) fn rejected(&self, of: Of, keys: &[RedisKey]) -> Option<Vec<(RedisKey, Reason)>> {
        let rejected = |key: &RedisKey| Some((key.clone(), self.reasons.get(&(of, key.clone()))?.clone()));
        self.knows_all_rejects().then(|| keys.iter().filter_map(rejected).collect())
    }

    /// Whether a key is known to be loadable.
    pub(super) fn is_loadable(&self, of: Of, key: &RedisKey) -> bool {
        self.loadable.contains(&self.hash(of, key))
    }

    fn knows_all_rejects(&self) -> bool {
        self.reason_bytes <= REASONS_BYTES
    }

    fn hash(&self, of: Of, key: &RedisKey) -> u64 {
        self.hasher.hash_one((of, key))
    }
}

#[cfg(test)]
mod tests {
    use super::{Parents, REASON_FRAME, REASONS_BYTES};
    use crate::model::{Database, MappingId, RedisKey};

    fn of(mapping: u16) -> (MappingId, Database) {
        (MappingId(mapping), Database::only(0))
    }

    fn reject(parents: &mut Parents, mapping: u16, key: &str) {
        parents.reject(of(mapping), &RedisKey::new(key.to_owned()), &"json_syntax".into());
    }

    #[test]
    fn a_reject_is_known_by_mapping_and_key() {
        let mut parents = Parents::default();
        reject(&mut parents, 1, "a");
        let keys = ["a", "b"].map(RedisKey::new);
        let rejected = parents.rejected(of(1), &keys).unwrap();
        assert_eq!(rejected, [(RedisKey::new("a"), "json_syntax".into())]);
        assert_eq!(parents.rejected(of(2), &keys), Some(Vec::new()));
    }

    #[test]
    fn beyond_the_bound_nothing_is_claimed() {
        let mut parents = Parents::default();
        let key = "k".repeat(REASONS_BYTES / 4 - REASON_FRAME - 1);
        for number in 0..4 {
            reject(&mut parents, 0, &format!("{number}{key}"));
            assert!(parents.rejected(of(0), &[]).is_some());
        }
        reject(&mut parents, 0, "one more");
        assert_eq!(parents.rejected(of(0), &[]), None);
        reject(&mut parents, 0, "small");
        assert_eq!(parents.rejected(of(0), &[]), None, "it stays so");
    }
}
