//! The keys of a page that no mapping takes: counted by family, and by the mappings that they look like.

use super::contains;
use crate::mapping::{Miss, Plan};
use crate::model::{MappingId, RedisKey, Unmatched};

/// Counts them. Each comes with whether a mapping takes it that is switched off; those mappings are `off`.
pub(super) fn count(plan: &Plan, off: &[MappingId], keys: &[(RedisKey, bool)]) -> Unmatched {
    let mut refused = Vec::new();
    let mut shape_refused = 0;
    let mut judged = Vec::with_capacity(keys.len());
    for (key, is_off) in keys {
        let mut set_apart = *is_off;
        let before = refused.len();
        let misses = plan.misses(key.as_bytes()).filter(|(mapping, _)| !is_off && !contains(off, *mapping));
        for (mapping, miss) in misses {
            match miss {
                Miss::Excluded => set_apart = true,
                Miss::Refused => refused.push((mapping, key)),
            }
        }
        judged.push((key, set_apart));
        shape_refused += u64::from(!set_apart && refused.len() > before);
    }
    let mut unmatched = Unmatched::count(judged.into_iter());
    unmatched.shape_refused = shape_refused;
    for (mapping, key) in refused {
        unmatched.refuse(mapping, key);
    }
    unmatched
}
