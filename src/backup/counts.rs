//! How many keys there are, by database and type.

use super::entry::Entry;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Types of a file, each counted for each database that has it: no Redis has nearly as many modules.
const MAX_TYPES: usize = 4_096;

/// Keys by database and what TYPE answers. A key that is in a file twice counts twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyCounts(pub BTreeMap<u8, BTreeMap<String, u64>>);

impl KeyCounts {
    /// All keys.
    pub fn total(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).sum()
    }

    /// Whether there is room for the type of an entry. Names stay in memory, and in a file that was made to do harm each key could have
    /// another; those of the types that are known always have room.
    pub(super) fn has_room_for(&self, entry: &Entry) -> bool {
        let name = match &entry.type_name {
            Cow::Borrowed(_) => return true,
            Cow::Owned(name) => name,
        };
        let is_counted = || self.0.get(&entry.database).is_some_and(|types| types.contains_key(name));
        is_counted() || self.0.values().map(BTreeMap::len).sum::<usize>() < MAX_TYPES
    }

    /// Counts an entry: a key in parts with its last one.
    pub fn count(&mut self, entry: &Entry) {
        if entry.part.last {
            self.add_some(entry.database, &entry.type_name, 1);
        }
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (database, types) in &other.0 {
            types.iter().for_each(|(name, count)| self.add_some(*database, name, *count));
        }
    }

    fn add_some(&mut self, database: u8, type_name: &str, count: u64) {
        let types = self.0.entry(database).or_default();
        match types.get_mut(type_name) {
            Some(counted) => *counted += count,
            None => {
                types.insert(type_name.to_owned(), count);
            }
        }
    }
}
