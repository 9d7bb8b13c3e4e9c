//! The transactions of the rollback itself: a trigger or a foreign key's action may touch rows in them that are not at hand.

use std::collections::HashSet;

/// Transactions that are remembered.
const TRANSACTIONS: usize = 1_000_000;

/// What is said of a row that one of them wrote last. What the row was before is not known any more.
pub(super) const BY_ITSELF: &str = "the rollback's own transaction wrote it last, by a trigger or a foreign key's action; \
     whether somebody had changed it before cannot be told";

/// The lower halves of the ids of the transactions of this attempt.
#[derive(Debug, Default)]
pub(super) struct OwnWrites(HashSet<i64>);

impl OwnWrites {
    pub(super) fn insert(&mut self, transaction: i64) {
        if self.0.len() < TRANSACTIONS {
            self.0.insert(transaction);
        }
    }

    /// What is said of a changed row by who wrote it last; else `other`.
    pub(super) fn detail(&self, writer: Option<i64>, other: String) -> String {
        if writer.is_some_and(|writer| self.0.contains(&writer)) { BY_ITSELF.to_owned() } else { other }
    }
}
