//! Keys that a node listed and another one serves: whether what is not there was left behind.

use crate::model::RedisKey;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// So many are remembered; of the oldest beyond it is said that they have gone.
const MOST: usize = 1 << 18;

/// The strays that were listed and not read yet, as hashes: some tens of bytes each.
#[derive(Debug, Default)]
pub(super) struct Strays {
    hasher: RandomState,
    listed: Mutex<Listed>,
}

#[derive(Debug, Default)]
struct Listed {
    /// The place of the node's name.
    by: HashMap<u64, usize>,
    order: VecDeque<u64>,
    names: Vec<String>,
}

impl Strays {
    /// Remembers that a node listed a key which it does not serve.
    pub(super) fn add(&self, key: &RedisKey, node: &str) {
        let hash = self.hasher.hash_one(key.as_bytes());
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = listed.names.iter().position(|name| name == node);
        let place = known.unwrap_or_else(|| {
            listed.names.push(node.to_owned());
            listed.names.len() - 1
        });
        if listed.by.insert(hash, place).is_none() {
            listed.order.push_back(hash);
        }
        while listed.order.len() > MOST {
            if let Some(oldest) = listed.order.pop_front() {
                listed.by.remove(&oldest);
            }
        }
    }

    /// The node that listed a key and does not serve it.
    pub(super) fn of(&self, key: &RedisKey) -> Option<String> {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.by.is_empty() {
            return None;
        }
        let place = *listed.by.get(&self.hasher.hash_one(key.as_bytes()))?;
        listed.names.get(place).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Strays};
    use crate::model::RedisKey;

    #[test]
    fn strays_are_remembered_within_bounds() {
        let strays = Strays::default();
        let key = |number: usize| RedisKey::new(format!("k{number}"));
        assert_eq!(strays.of(&key(0)), None);
        (0..=MOST).for_each(|number| strays.add(&key(number), "h:1"));
        strays.add(&key(1), "h:2");
        assert_eq!((strays.of(&key(0)), strays.of(&key(1)).as_deref()), (None, Some("h:2")));
        assert_eq!(strays.of(&key(MOST)).as_deref(), Some("h:1"));
    }
}
