//! What a cleanup came to: each key that was listed has one outcome, and the sums agree.

use super::{Counts, RedisKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What became of keys that were listed. A key that SCAN gives twice is listed twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CleanupAccount {
    /// Keys that were listed.
    pub listed: i64,
    /// Keys that were deleted.
    pub deleted: i64,
    /// Dry run: keys that would be deleted, unless they change before that.
    pub would_delete: i64,
    /// Keys that were not there any more when it was their turn.
    pub gone: i64,
    /// Those among them of which the answer to their deletion was lost: deleted, or gone by themselves.
    pub unconfirmed: i64,
    /// Keys that were listed once more.
    pub duplicates: i64,
    /// Keys that stayed, by reason.
    pub kept: Counts,
}

impl CleanupAccount {
    /// Counts keys that stayed.
    pub fn keep(&mut self, reason: &str, count: i64) {
        if count != 0 {
            *self.kept.entry(reason.to_owned()).or_default() += count;
        }
    }

    /// How many keys stayed.
    pub fn kept(&self) -> i64 {
        self.kept.values().sum()
    }

    /// Counts all of another's.
    pub fn add(&mut self, other: &Self) {
        self.listed += other.listed;
        self.deleted += other.deleted;
        self.would_delete += other.would_delete;
        self.gone += other.gone;
        self.unconfirmed += other.unconfirmed;
        self.duplicates += other.duplicates;
        other.kept.iter().for_each(|(reason, count)| self.keep(reason, *count));
    }

    /// Whether each key that was listed has an outcome, and none has two.
    pub fn balances(&self) -> bool {
        self.without_outcome() == 0
    }

    /// How many keys that were listed have no outcome; negative where some have two.
    pub fn without_outcome(&self) -> i64 {
        self.listed - (self.deleted + self.would_delete + self.gone + self.duplicates + self.kept())
    }
}

/// A key that stayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptKey {
    /// The name of its mapping.
    pub mapping: String,
    /// The number of its database.
    pub database: u8,
    /// The key.
    pub key: RedisKey,
    /// Why, as it is counted.
    pub reason: &'static str,
    /// A sentence for people; empty where the reason says all. Never holds a secret.
    pub detail: String,
}

/// What another cleanup of the same run did before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierCleanup {
    /// Its id.
    pub id: String,
    /// `running`, `done`, `stopped`, `failed` or `abandoned`.
    pub state: String,
    /// When it began (RFC 3339).
    pub started: String,
    /// Keys that it deleted, those among them that were settled later.
    pub deleted: i64,
    /// Keys of which it is not known yet.
    pub unsettled: i64,
}

/// The file that keys were written to before they went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanupBackup {
    /// Where it is.
    pub path: String,
    /// Keys in it.
    pub keys: i64,
    /// Whether it has its end mark: else it is a part, under another name.
    pub complete: bool,
}

/// What a cleanup came to.
#[derive(Clone, Debug, Default)]
pub struct Cleanup {
    /// Its id in the ledger; `None` of a dry run.
    pub id: Option<String>,
    /// The run whose keys it deleted.
    pub run: String,
    /// When it began and ended (RFC 3339).
    pub started: String,
    /// See `started`.
    pub ended: String,
    /// Whether it only looked.
    pub dry_run: bool,
    /// Whether it came to its end.
    pub complete: bool,
    /// The pattern of the keys that were looked at; `None`: all.
    pub pattern: Option<String>,
    /// The account of all keys, those that no mapping takes among them.
    pub account: CleanupAccount,
    /// The account of each mapping's keys.
    pub mappings: BTreeMap<String, CleanupAccount>,
    /// Some of the keys that stayed.
    pub kept: Vec<KeptKey>,
    /// Keys of cleanups that were interrupted, which this one found gone.
    pub settled: i64,
    /// The other cleanups of this run that deleted keys, the latest first; `settled` is part of what they deleted.
    pub earlier: Vec<EarlierCleanup>,
    /// Keys of which it is not known whether they are gone, since what was to delete them failed: a later cleanup settles them.
    pub unknown: i64,
    /// The backup, where there is one.
    pub backup: Option<CleanupBackup>,
    /// What is to be known, in sentences.
    pub notes: Vec<String>,
}

impl Cleanup {
    /// How many keys this one and those before it deleted.
    pub fn deleted_in_all(&self) -> i64 {
        self.account.deleted + self.earlier.iter().map(|earlier| earlier.deleted).sum::<i64>()
    }
}

#[cfg(test)]
mod tests {
    use super::CleanupAccount;

    #[test]
    fn the_sums_agree_exactly_when_each_key_has_one_outcome() {
        let mut account =
            CleanupAccount { listed: 7, deleted: 3, gone: 1, unconfirmed: 1, ..CleanupAccount::default() };
        account.keep("changed", 2);
        account.keep("missing", 0);
        assert!(!account.balances(), "one has none");
        account.duplicates = 1;
        assert!(account.balances());
        assert_eq!((account.kept(), account.kept.len()), (2, 1));
        let mut total = account.clone();
        total.add(&account);
        assert!(total.balances());
        total.deleted += 1;
        assert!(!total.balances(), "one has two");
    }
}
