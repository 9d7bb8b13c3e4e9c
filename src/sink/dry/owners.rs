//! What a dry run of several databases remembers of whose a row would be.

use crate::model::{Database, Row, TableName};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Rows that are remembered: 16 MiB of them.
const ROWS: usize = 900_000;

/// The database that each row would be made from, within bounds: of what is not known nothing is said.
#[derive(Debug, Default)]
pub(super) struct Owners {
    /// By the hash of table and key columns: 64 bits, so that one in 10¹³ questions is answered wrongly.
    databases: HashMap<u64, u8>,
    hasher: RandomState,
}

impl Owners {
    /// Whether a row may be this database's: no other one has it. Remembers that it is, as far as there is room.
    pub(super) fn claim(&mut self, table: &TableName, database: Database, row: &Row) -> bool {
        let hash = self.hasher.hash_one((table, row.identity()));
        match self.databases.get(&hash) {
            Some(owner) => *owner == database.number,
            None => {
                if self.databases.len() < ROWS {
                    self.databases.insert(hash, database.number);
                }
                true
            }
        }
    }
}
