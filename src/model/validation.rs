//! What a validation found: the classes of keys and rows, their counts, and single discrepancies.

use super::{Counts, MappingId, RedisKey};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// What a key, or one of its rows, is found to be. A key that is several rows is the worst of them: what comes later here
/// is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The row is as the value makes it.
    Equal,
    /// A row of the run whose key a cleanup deleted from Redis; a key of the same name that came later has no part in it.
    Cleaned,
    /// There is no row, and the run knows: the key is an open reject.
    Rejected,
    /// A row of the run whose key is gone, as its recorded time of expiry has passed.
    Expired,
    /// A row of the run whose key, or whose element of the key, is gone.
    Extra,
    /// The row differs, and somebody else wrote or changed it.
    Newer,
    /// The row differs, and the key has changed since it was made.
    Stale,
    /// The row refers to a row that is not there.
    Orphaned,
    /// The row differs, nobody changed it, and the key is as it was.
    Different,
    /// There is no row.
    Missing,
}

impl Class {
    /// All of them, the least bad first.
    pub const ALL: [Self; 10] = [
        Self::Equal,
        Self::Cleaned,
        Self::Rejected,
        Self::Expired,
        Self::Extra,
        Self::Newer,
        Self::Stale,
        Self::Orphaned,
        Self::Different,
        Self::Missing,
    ];

    /// The name that reports count by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Cleaned => "cleaned",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Extra => "extra",
            Self::Newer => "newer",
            Self::Stale => "stale",
            Self::Orphaned => "orphaned",
            Self::Different => "different",
            Self::Missing => "missing",
        }
    }

    /// Whether a validation with one such key has not passed; `strict`: whatever is not equal fails, but for known rejects.
    pub fn fails(self, strict: bool) -> bool {
        match self {
            Self::Missing | Self::Different | Self::Orphaned => true,
            Self::Stale | Self::Newer | Self::Extra | Self::Expired => strict,
            Self::Equal | Self::Cleaned | Self::Rejected => false,
        }
    }
}

/// How many are of each class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassCounts(BTreeMap<Class, i64>);

impl ClassCounts {
    /// Counts so many more.
    pub fn add(&mut self, class: Class, count: i64) {
        if count != 0 {
            *self.0.entry(class).or_default() += count;
        }
    }

    /// Counts all of another's.
    pub fn add_all(&mut self, other: &Self) {
        other.0.iter().for_each(|(class, count)| self.add(*class, *count));
    }

    /// How many are of a class.
    pub fn get(&self, class: Class) -> i64 {
        self.0.get(&class).copied().unwrap_or(0)
    }

    /// The worst class that there is one of.
    pub fn worst(&self) -> Option<Class> {
        self.0.iter().rev().find(|(_, count)| **count > 0).map(|(class, _)| *class)
    }

    /// How many there are in all.
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }

    /// Gives all of one class to another.
    pub fn turn(&mut self, from: Class, to: Class) {
        if let Some(count) = self.0.remove(&from) {
            self.add(to, count);
        }
    }
}

/// As an object with every class, those of which there are none among them.
impl Serialize for ClassCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Class::ALL.into_iter().map(|class| (class.name(), self.get(class))))
    }
}

/// What was counted for one mapping.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MappingCounts {
    /// Keys that were compared, and keys that are gone and have rows, by class. A key that SCAN gives twice is counted twice.
    pub keys: ClassCounts,
    /// Their rows, by class; a row that is not there counts as missing or rejected.
    pub rows: ClassCounts,
    /// Keys that were read and not compared, by reason, as a run skips them.
    pub passed_over: Counts,
    /// In how many rows each column differs, stale and newer ones among them.
    pub columns: Counts,
    /// Keys that were read.
    pub source_keys: i64,
    /// Rows of the table that the run and its like wrote and nobody changed since; `None` where they were not looked at.
    pub owned_rows: Option<i64>,
    /// Rows of the table: exact where they were all looked at, else by the server's statistics.
    pub target_rows: Option<i64>,
}

impl MappingCounts {
    /// Whether no key is of a class that fails.
    pub fn passed(&self, strict: bool) -> bool {
        Class::ALL.into_iter().all(|class| !class.fails(strict) || self.keys.get(class) == 0)
    }
}

/// A column of a row that differs, both values cut to a length that people read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnValues {
    /// The column.
    pub column: String,
    /// What the value in Redis makes, as text; `None` is NULL.
    pub expected: Option<String>,
    /// What the row has.
    pub found: Option<String>,
}

/// One key that is not equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    /// Its mapping.
    pub mapping: MappingId,
    /// The number of its database.
    pub database: u8,
    /// The key.
    pub key: RedisKey,
    /// What it is found to be.
    pub class: Class,
    /// Where it is several rows: the element of the worst one, for people, such as `field "size"`.
    pub element: Option<String>,
    /// A sentence for people; empty where the class says all. Never holds a secret.
    pub detail: String,
    /// The names of the columns that differ.
    pub columns: Vec<String>,
    /// Their values, for some of the keys.
    pub values: Vec<ColumnValues>,
}

/// What a validation came to.
#[derive(Clone, Debug, Default)]
pub struct Validation {
    /// The run whose rows were looked at.
    pub run: String,
    /// When it began and ended (RFC 3339).
    pub started: String,
    /// See `started`.
    pub ended: String,
    /// How many rounds it took.
    pub rounds: u64,
    /// The parts that were on: `content`, `relationships`.
    pub parts: Vec<&'static str>,
    /// The share of keys that was looked at, as it was written; `None`: all.
    pub sample: Option<String>,
    /// The pattern of the keys that were looked at; `None`: all.
    pub pattern: Option<String>,
    /// Whether there was nothing to look at, though there should have been.
    pub nothing: bool,
    /// Whether whatever is not equal fails.
    pub strict: bool,
    /// Whether it came to its end.
    pub complete: bool,
    /// The counts by the mapping's name.
    pub mappings: BTreeMap<String, MappingCounts>,
    /// Some of the keys that are not equal, with the mapping's name.
    pub discrepancies: Vec<(String, Discrepancy)>,
    /// What nobody must overlook, though it may have passed, in sentences.
    pub warnings: Vec<String>,
    /// What cannot be told, and why, in sentences.
    pub untold: Vec<String>,
}

impl Validation {
    /// Whether nothing was found that fails; `None` where it did not come to its end and has found nothing yet,
    /// or where there was nothing to look at.
    pub fn passed(&self) -> Option<bool> {
        let passed = self.mappings.values().all(|counts| counts.passed(self.strict));
        (!self.nothing && (self.complete || !passed)).then_some(passed)
    }

    /// The counts of all mappings.
    pub fn total(&self) -> MappingCounts {
        let mut total = MappingCounts::default();
        for counts in self.mappings.values() {
            total.keys.add_all(&counts.keys);
            total.rows.add_all(&counts.rows);
            total.source_keys += counts.source_keys;
            for (mine, theirs) in [(&mut total.passed_over, &counts.passed_over), (&mut total.columns, &counts.columns)]
            {
                theirs.iter().for_each(|(name, count)| *mine.entry(name.clone()).or_default() += count);
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, ClassCounts, MappingCounts, Validation};

    #[test]
    fn the_worst_class_of_a_key_is_told_and_what_fails_fails() {
        let mut counts = ClassCounts::default();
        assert_eq!(counts.worst(), None);
        counts.add(Class::Equal, 3);
        counts.add(Class::Stale, 1);
        assert_eq!((counts.worst(), counts.total()), (Some(Class::Stale), 4));
        counts.add(Class::Missing, 1);
        counts.turn(Class::Missing, Class::Rejected);
        assert_eq!((counts.get(Class::Missing), counts.get(Class::Rejected)), (0, 1));
        assert!(Class::ALL.is_sorted());
        let failing = |strict| Class::ALL.into_iter().filter(|class| class.fails(strict)).count();
        assert_eq!((failing(false), failing(true)), (3, 7));
    }

    #[test]
    fn a_validation_that_was_stopped_has_not_passed_but_may_have_failed() {
        let of = |class| {
            let mut counts = MappingCounts::default();
            counts.keys.add(class, 1);
            counts
        };
        let validation = |class, complete| Validation {
            complete,
            mappings: [("documents".to_owned(), of(class))].into(),
            ..Validation::default()
        };
        assert_eq!(validation(Class::Equal, true).passed(), Some(true));
        assert_eq!(validation(Class::Equal, false).passed(), None);
        assert_eq!(validation(Class::Missing, false).passed(), Some(false));
        assert_eq!(validation(Class::Stale, true).passed(), Some(true));
        assert_eq!(Validation { strict: true, ..validation(Class::Stale, true) }.passed(), Some(false));
        let json = serde_json::to_value(of(Class::Newer)).unwrap();
        assert_eq!((json["keys"]["newer"].as_i64(), json["keys"]["missing"].as_i64()), (Some(1), Some(0)));
    }
}
