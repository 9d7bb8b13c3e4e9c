//! What a restore came to: one outcome for each key of the file, counted by database.

use super::RedisKey;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What became of a key of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// It was not there, and is now as the file has it.
    Restored,
    /// It was there with something else, which was replaced, as asked for.
    Replaced,
    /// It was there and holds what the file has, and expires as it says there.
    Equal,
    /// It is left as it is, on purpose.
    Kept(NotWritten),
    /// It could not be restored; the second says more, and may be empty.
    Failed(RestoreFault, String),
}

/// Why a key is left as it is. The names are those of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotWritten {
    /// There is a key of that name, which holds something else or expires at another time.
    Exists,
    /// Its time of expiry is past.
    Expired,
    /// The key stands in the file again, further on: that entry is the newer one.
    Superseded,
}

/// Why a key could not be restored. The names are those of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreFault {
    /// The user may not write it, or not read what is there.
    Forbidden,
    /// The server refuses its value.
    Refused,
    /// Its type is a module's, and the server does not take its dump.
    ModuleType,
    /// Fields of it expire, and the server keeps no times for fields.
    FieldExpiry,
    /// Somebody else wrote or deleted it each time that it was to be written, or what was built of it was evicted.
    Changing,
    /// A part of it is missing in the file, which is damaged.
    Damaged,
}

impl NotWritten {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
        }
    }
}

impl RestoreFault {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Refused => "refused",
            Self::ModuleType => "module_type",
            Self::FieldExpiry => "field_expiry",
            Self::Changing => "changing",
            Self::Damaged => "damaged",
        }
    }
}

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exists => "there is another key of that name (--replace replaces it)",
            Self::Expired => "expired since the backup",
            Self::Superseded => "the key stands again further on in the file: that entry counts",
        })
    }
}

impl fmt::Display for RestoreFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forbidden => "the user may not write it, or not read what is there",
            Self::Refused => "the server refuses it",
            Self::ModuleType => "a module's type, whose dump the server does not take",
            Self::FieldExpiry => "its fields expire, which the server does not know",
            Self::Changing => "written by somebody else, deleted or evicted again and again",
            Self::Damaged => "a part of it is missing in the file",
        })
    }
}

/// What became of the keys of one database, as numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RestoreCounts {
    /// Keys written that were not there.
    pub restored: u64,
    /// Keys written over others.
    pub replaced: u64,
    /// Keys that were there already, with what the file has.
    pub equal: u64,
    /// Keys left as they are, by reason.
    pub kept: BTreeMap<NotWritten, u64>,
    /// Keys that could not be restored, by reason.
    pub failed: BTreeMap<RestoreFault, u64>,
}

impl RestoreCounts {
    /// Counts a key.
    pub fn count(&mut self, outcome: &RestoreOutcome) {
        let place = match outcome {
            RestoreOutcome::Restored => &mut self.restored,
            RestoreOutcome::Replaced => &mut self.replaced,
            RestoreOutcome::Equal => &mut self.equal,
            RestoreOutcome::Kept(why) => self.kept.entry(*why).or_default(),
            RestoreOutcome::Failed(why, _) => self.failed.entry(*why).or_default(),
        };
        *place += 1;
    }

    /// Adds those of another database.
    pub fn add(&mut self, other: &Self) {
        self.restored += other.restored;
        self.replaced += other.replaced;
        self.equal += other.equal;
        other.kept.iter().for_each(|(why, keys)| *self.kept.entry(*why).or_default() += keys);
        other.failed.iter().for_each(|(why, keys)| *self.failed.entry(*why).or_default() += keys);
    }

    /// Keys left as they are.
    pub fn kept(&self) -> u64 {
        self.kept.values().sum()
    }

    /// Keys that could not be restored.
    pub fn failed(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Keys that have an outcome.
    pub fn settled(&self) -> u64 {
        self.restored + self.replaced + self.equal + self.kept() + self.failed()
    }
}

/// What became of the keys, by the number of their database in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RestoreAccount {
    /// The databases.
    pub databases: BTreeMap<u8, RestoreCounts>,
}

impl RestoreAccount {
    /// Counts a key.
    pub fn count(&mut self, database: u8, outcome: &RestoreOutcome) {
        self.databases.entry(database).or_default().count(outcome);
    }

    /// All databases together.
    pub fn total(&self) -> RestoreCounts {
        let mut total = RestoreCounts::default();
        self.databases.values().for_each(|counts| total.add(counts));
        total
    }
}

/// A key that is not as the file has it, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftKey {
    /// The number of its database in the file.
    pub database: u8,
    /// The key.
    pub key: RedisKey,
    /// The reason's name in reports.
    pub reason: &'static str,
    /// More about it; may be empty.
    pub detail: String,
}

impl LeftKey {
    /// What is told of a key with this outcome; `None` where it is as the file has it.
    pub fn of(database: u8, key: &RedisKey, outcome: &RestoreOutcome) -> Option<Self> {
        let (reason, detail) = match outcome {
            RestoreOutcome::Restored | RestoreOutcome::Replaced | RestoreOutcome::Equal => return None,
            // What becomes of the key is told of its last entry.
            RestoreOutcome::Kept(NotWritten::Superseded) => return None,
            RestoreOutcome::Kept(why) => (why.name(), ""),
            RestoreOutcome::Failed(why, detail) => (why.name(), detail.as_str()),
        };
        Some(Self { database, key: key.detached(), reason, detail: detail.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::{LeftKey, NotWritten, RestoreAccount, RestoreFault, RestoreOutcome};
    use crate::model::RedisKey;

    #[test]
    fn each_key_counts_once_and_those_that_are_not_as_the_file_has_them_are_named() {
        let mut account = RestoreAccount::default();
        let outcomes = [
            RestoreOutcome::Restored,
            RestoreOutcome::Replaced,
            RestoreOutcome::Equal,
            RestoreOutcome::Kept(NotWritten::Exists),
            RestoreOutcome::Kept(NotWritten::Expired),
            RestoreOutcome::Kept(NotWritten::Superseded),
            RestoreOutcome::Failed(RestoreFault::Refused, "why".to_owned()),
        ];
        for (database, outcome) in [0, 3].into_iter().flat_map(|database| outcomes.iter().map(move |o| (database, o))) {
            account.count(database, outcome);
        }
        let total = account.total();
        assert_eq!((total.settled(), total.kept(), total.failed(), account.databases[&3].settled()), (14, 6, 2, 7));
        let key = RedisKey::new(&b"k"[..]);
        let left: Vec<_> = outcomes.iter().filter_map(|outcome| LeftKey::of(3, &key, outcome)).collect();
        assert_eq!(left.iter().map(|left| left.reason).collect::<Vec<_>>(), ["exists", "expired", "refused"]);
        assert_eq!((left[2].database, left[2].detail.as_str()), (3, "why"));
    }
}
