//! What became of the keys of a backup.

use super::RedisKey;
use std::collections::BTreeMap;

/// Keys that are told by name where they are not in a backup.
const SAMPLES: usize = 20;

/// The account of one backup. Each key that was listed is in exactly one of its counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupAccount {
    /// Keys that were listed; one that a scan listed twice counts twice.
    pub listed: u64,
    /// Keys in the file, by database and type.
    pub written: BTreeMap<u8, BTreeMap<String, u64>>,
    /// Keys that were not there any more when they were to be read.
    pub gone: u64,
    /// Keys that the user may not read.
    pub forbidden: u64,
    /// Keys that cannot be had, by reason.
    pub unreadable: BTreeMap<&'static str, u64>,
    /// Some of those that are not in the file although they are there.
    pub samples: Vec<LeftOut>,
    /// Bytes of the entries before compression.
    pub bytes: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
}

/// A key that is there and is not in the backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its database.
    pub database: u8,
    /// The key.
    pub key: RedisKey,
    /// Why: `forbidden`, or the reason as rejects have it.
    pub reason: &'static str,
    /// What a person is told beside that.
    pub detail: String,
}

impl BackupAccount {
    /// Keys in the file.
    pub fn kept(&self) -> u64 {
        self.written.values().flat_map(BTreeMap::values).sum()
    }

    /// Keys that are there and are not in the file.
    pub fn left_out(&self) -> u64 {
        self.forbidden + self.unreadable.values().sum::<u64>()
    }

    /// Whether every key that was listed has its outcome.
    pub fn balances(&self) -> bool {
        self.listed == self.kept() + self.gone + self.left_out()
    }

    /// Counts a key that is left out.
    pub fn leave_out(&mut self, key: LeftOut) {
        match key.reason {
            "forbidden" => self.forbidden += 1,
            reason => *self.unreadable.entry(reason).or_default() += 1,
        }
        if self.samples.len() < SAMPLES {
            self.samples.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BackupAccount, LeftOut};
    use crate::model::RedisKey;

    #[test]
    fn a_key_without_an_outcome_is_found() {
        let mut account = BackupAccount { listed: 4, gone: 1, ..BackupAccount::default() };
        account.written.entry(0).or_default().insert("string".to_owned(), 1);
        for reason in ["forbidden", "value_too_large"] {
            let (key, detail) = (RedisKey::new("a"), String::new());
            assert!(!account.balances(), "{account:?}");
            account.leave_out(LeftOut { database: 0, key, reason, detail });
        }
        assert!(account.balances() && account.left_out() == 2 && account.samples.len() == 2, "{account:?}");
    }
}
