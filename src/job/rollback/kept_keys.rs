//! Which keys of several rows stay, since a row of them does.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Keys that are remembered, in 64 MiB; beyond that all others stay too.
const KEYS: usize = 4_000_000;

/// A Redis key and its database.
pub(super) type Key = (Vec<u8>, Option<String>);

/// The hashes of those keys: 64 bits, so that one in 10¹² keys stays for nothing.
pub(super) struct KeptKeys {
    /// Whether keys are several rows at all.
    on: bool,
    hashes: HashSet<u64>,
    hasher: RandomState,
    full: bool,
}

impl KeptKeys {
    pub(super) fn new(on: bool) -> Self {
        Self { on, hashes: HashSet::new(), hasher: RandomState::new(), full: false }
    }

    pub(super) fn insert(&mut self, key: &Key) {
        if self.on && !self.full {
            self.hashes.insert(self.hasher.hash_one(key));
            self.full = self.hashes.len() >= KEYS;
        }
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.full || self.hashes.contains(&self.hasher.hash_one(key))
    }
}
