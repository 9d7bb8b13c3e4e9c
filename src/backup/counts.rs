//! How many keys there are, by database and type.

use super::entry::Entry;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Keys by database and what TYPE answers. A key that is in a file twice counts twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyCounts(pub BTreeMap<u8, BTreeMap<String, u64>>);

impl KeyCounts {
    /// All keys.
    pub fn total(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).sum()
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
