//! A key that becomes several rows: what became of the key is known once all of them are settled.

use super::element::RejectedElements;
use super::equal_elements::EqualElements;
use super::{ContentDigest, Counts, KeyFacts, Record, RedisKey, RedisType, Reject, Replay, Tally, UnixMillis};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use uuid::Uuid;

/// What became of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowOutcome {
    /// It is new.
    Inserted,
    /// It was there and differed.
    Updated,
    /// It was there and is equal.
    Unchanged,
    /// This run had written it already, and it is equal.
    Duplicate,
    /// Somebody else wrote or changed it: it is left alone.
    Newer,
    /// Its element is gone from the key, and so it was deleted.
    Deleted,
    /// Its element is gone from the key, and it stays: somebody else changed it, or rows of others refer to it.
    Kept,
    /// Dry run: it would be loaded.
    WouldLoad,
}

impl RowOutcome {
    /// Those of rows that are met anew whenever their key is read.
    pub(super) const STANDING: [Self; 7] =
        [Self::Inserted, Self::Updated, Self::Duplicate, Self::Unchanged, Self::Newer, Self::Kept, Self::WouldLoad];

    /// Whether the row is there, as this reading of its key made it: then what was repaired in it counts.
    pub fn is_stored(self) -> bool {
        matches!(self, Self::Inserted | Self::Updated | Self::Unchanged | Self::WouldLoad)
    }

    /// The name that reports count by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inserted => "inserted",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Duplicate => "duplicates",
            Self::Newer => "exists_newer",
            Self::Deleted => "deleted",
            Self::Kept => "kept",
            Self::WouldLoad => "would_load",
        }
    }
}

/// What became of some of a key's rows.
#[derive(Clone, Debug, Default)]
pub struct GroupCounts {
    rows: BTreeMap<RowOutcome, i64>,
    /// What was repaired in rows that are stored.
    altered: Counts,
    /// The same in rows that were equal before, and in the value as a whole: another reading of the key meets it again.
    altered_again: Counts,
    /// What was repaired in the value as a whole; it counts once a row of it is stored.
    altered_whole: Vec<&'static str>,
    /// The elements that were rejected.
    rejected: Option<RejectedElements>,
    /// Whether any element is tried again by the run itself.
    pending: bool,
    /// Rows that are equal, or newer, and that no run wrote: the ledger does not have them.
    foreign: i64,
    /// Whether an element was rejected that may have a row from an earlier time.
    keeps_rows: bool,
    /// Whether the key was noted as a reject before it had an outcome.
    noted: bool,
}

/// What became of a key.
#[derive(Clone, Debug)]
pub struct GroupEnd {
    /// The outcome of its sighting and of its rows.
    pub tally: Tally,
    /// Its reject, and whether it is tried again.
    pub reject: Option<(Reject, bool)>,
    /// Of the repairs those that count once, however often the run reads the key.
    pub altered_again: Counts,
}

/// One reading of a key whose elements became rows. Its rows share it.
#[derive(Debug)]
pub struct Group {
    /// The key.
    pub key: RedisKey,
    /// Tells this reading from others of the same key.
    pub id: Uuid,
    /// Whether it comes in several parts.
    pub sliced: bool,
    /// Whether there were rows of the key before this reading; not known yet where it is not set.
    pub had_rows: OnceLock<bool>,
    /// Of a key that comes in parts: what it holds, once all of it was read, where somebody wants to know.
    pub content: OnceLock<ContentDigest>,
    /// Its type.
    pub redis_type: RedisType,
    /// All of its value, unless it comes in parts.
    whole: Option<Bytes>,
    /// The path of the array that its elements are of, where the value is JSON.
    pub(super) array: Arc<str>,
    expires_at: Option<UnixMillis>,
    facts: Option<Arc<KeyFacts>>,
    elements: Mutex<EqualElements>,
    settled: Mutex<GroupCounts>,
}

impl Group {
    /// A key of which nothing is settled yet.
    pub fn new(key: RedisKey, sliced: bool) -> Self {
        Self {
            key,
            id: Uuid::new_v4(),
            sliced,
            had_rows: OnceLock::new(),
            content: OnceLock::new(),
            redis_type: RedisType::default(),
            whole: None,
            array: "$".into(),
            expires_at: None,
            facts: None,
            elements: Mutex::default(),
            settled: Mutex::default(),
        }
    }

    /// The reading that begins with this record; `array` is the path of the array that is taken apart, where it is JSON.
    pub fn of(record: &Record, array: Arc<str>) -> Self {
        let sliced = record.slice.is_some_and(|slice| !(slice.first && slice.last));
        Self {
            redis_type: record.redis_type,
            whole: (!sliced).then(|| record.value.clone()),
            array,
            expires_at: record.expires_at,
            facts: record.facts.clone(),
            ..Self::new(record.key.clone(), sliced)
        }
    }

    /// What it takes to load the key again, for the reject of one of its elements.
    pub fn replay(&self) -> Replay {
        Replay {
            expires_at: self.expires_at,
            facts: self.facts.clone(),
            part: true,
            element: None,
            elements: None,
            whole: self.whole.clone(),
        }
    }

    /// The key as it was read, where that was in one piece.
    pub fn record(&self) -> Option<Record> {
        Some(Record {
            key: self.key.clone(),
            redis_type: self.redis_type,
            value: self.whole.clone()?,
            stored: None,
            slice: None,
            expires_at: self.expires_at,
            facts: self.facts.clone(),
        })
    }

    /// When Redis will expire the key, as far as it was asked for.
    pub fn expires_at(&self) -> Option<UnixMillis> {
        self.expires_at
    }

    /// Whether the value is one that the ledger kept: the key has gone from Redis.
    pub fn is_from_ledger(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.from_ledger)
    }

    /// Books what is settled: committed, or rejected before it came to a row.
    pub fn settle(&self, counts: &GroupCounts) {
        self.counts().add(counts);
    }

    /// Books rows that are settled.
    pub fn settle_rows(&self, outcome: RowOutcome, count: i64) {
        self.counts().rows(outcome, count);
    }

    /// Books what was repaired in the value as a whole.
    pub fn altered(&self, repairs: &[&'static str]) {
        self.counts().altered_whole.extend(repairs);
    }

    /// Notes elements by hashes of their rows and values; `last`: none follow. Where equal ones are among them, that is booked as a repair
    /// of the value, once.
    pub fn note_elements(&self, hashes: impl Iterator<Item = u64>, last: bool) {
        let found = self.elements.lock().unwrap_or_else(PoisonError::into_inner).note(hashes, last);
        if found {
            self.altered(&["equal_elements"]);
        }
    }

    /// Whether elements of it are one row since they are equal, or may be: of very many that is not known.
    pub fn may_have_equal_elements(&self) -> bool {
        self.elements.lock().unwrap_or_else(PoisonError::into_inner).may_be()
    }

    /// Books a row that is settled.
    pub fn settle_row(&self, outcome: RowOutcome, repairs: &[&'static str]) {
        self.counts().row(outcome, repairs);
    }

    /// Books an element that was rejected before it came to a row.
    pub fn reject(&self, reject: Reject) {
        self.counts().reject(reject, false);
    }

    /// Notes the key as a reject, where an element of it was rejected before it came to a row. Gives whether it is one.
    pub fn note(&self) -> bool {
        let mut counts = self.counts();
        counts.noted = counts.is_rejected();
        counts.noted
    }

    /// Whether the key was noted.
    pub fn is_noted(&self) -> bool {
        self.counts().noted
    }

    /// Whether any element was rejected so far that may have a row from an earlier time.
    pub fn keeps_rows(&self) -> bool {
        self.counts().keeps_rows
    }

    /// What is settled so far, together with `more`.
    pub fn with(&self, more: Option<&GroupCounts>) -> GroupCounts {
        let mut counts = self.counts().clone();
        if let Some(more) = more {
            counts.add(more);
        }
        counts
    }

    fn counts(&self) -> MutexGuard<'_, GroupCounts> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GroupCounts {
    /// Books rows.
    pub fn rows(&mut self, outcome: RowOutcome, count: i64) {
        if count != 0 {
            *self.rows.entry(outcome).or_default() += count;
        }
    }

    /// Books a row, and what was repaired in it.
    pub fn row(&mut self, outcome: RowOutcome, repairs: &[&'static str]) {
        self.rows(outcome, 1);
        for repair in repairs.iter().filter(|_| outcome.is_stored()) {
            *self.altered.entry((*repair).to_owned()).or_default() += 1;
            if outcome == RowOutcome::Unchanged {
                *self.altered_again.entry((*repair).to_owned()).or_default() += 1;
            }
        }
    }

    /// Books a rejected element.
    pub fn reject(&mut self, reject: Reject, pending: bool) {
        self.pending |= pending;
        // The row of a collision is another key's.
        self.keeps_rows |= reject.reason != "key_collision";
        match &mut self.rejected {
            Some(rejected) => rejected.add(&reject),
            none => *none = Some(RejectedElements::new(reject)),
        }
    }

    /// Whether any element was rejected.
    pub fn is_rejected(&self) -> bool {
        self.rejected.is_some()
    }

    /// Books a row that no run wrote.
    pub fn foreign(&mut self) {
        self.foreign += 1;
    }

    /// Whether any element was rejected that may have a row from an earlier time.
    pub fn keeps_rows(&self) -> bool {
        self.keeps_rows
    }

    /// Rows that the ledger has, each counted once for each of the key's elements.
    pub fn in_ledger(&self) -> i64 {
        let gone = [RowOutcome::Deleted, RowOutcome::Kept];
        let there = self.rows.iter().filter(|(outcome, _)| !gone.contains(outcome));
        there.map(|(_, count)| count).sum::<i64>() - self.foreign
    }

    fn add(&mut self, other: &Self) {
        for (outcome, count) in &other.rows {
            self.rows(*outcome, *count);
        }
        for (mine, theirs) in [(&mut self.altered, &other.altered), (&mut self.altered_again, &other.altered_again)] {
            theirs.iter().for_each(|(repair, count)| *mine.entry(repair.clone()).or_default() += count);
        }
        self.altered_whole.extend(&other.altered_whole);
        self.pending |= other.pending;
        self.foreign += other.foreign;
        self.keeps_rows |= other.keeps_rows;
        match (&mut self.rejected, &other.rejected) {
            (Some(rejected), Some(further)) => rejected.extend(further),
            (none @ None, Some(first)) => *none = Some(first.clone()),
            (_, None) => {}
        }
    }

    /// The key's outcome: rejected if any element was, else the strongest of its rows'.
    pub fn end(mut self) -> GroupEnd {
        let stored = self.rows.iter().any(|(outcome, count)| outcome.is_stored() && *count > 0);
        for repair in self.altered_whole.iter().filter(|_| stored) {
            *self.altered.entry((*repair).to_owned()).or_default() += 1;
            *self.altered_again.entry((*repair).to_owned()).or_default() += 1;
        }
        let mut tally = Tally { altered: self.altered, noted: i64::from(self.noted), ..Tally::default() };
        let has = |outcome| self.rows.get(&outcome).is_some_and(|count| *count > 0);
        let reject = self.rejected.map(|rejected| (rejected.into_reject(), self.pending));
        match &reject {
            Some((reject, _)) => tally.reject(&reject.reason),
            None if has(RowOutcome::WouldLoad) => tally.would_load = 1,
            None if has(RowOutcome::Updated) || has(RowOutcome::Deleted) => tally.updated = 1,
            // New elements of a key that was loaded before change it.
            None if has(RowOutcome::Inserted) && has(RowOutcome::Unchanged) => tally.updated = 1,
            None if has(RowOutcome::Inserted) => tally.inserted = 1,
            None if has(RowOutcome::Newer) => tally.skip("exists_newer", 1),
            None if has(RowOutcome::Duplicate) => tally.duplicates = 1,
            // No element, or all of them as they were.
            None => tally.unchanged = 1,
        }
        // Where the run has seen the whole key before, its rows are counted.
        let seen = tally.duplicates > 0;
        let rows = self.rows.into_iter().filter(|_| !seen);
        tally.rows = rows.map(|(outcome, count)| (outcome.name().to_owned(), count)).collect();
        GroupEnd { tally, reject, altered_again: self.altered_again }
    }
}

#[cfg(test)]
mod tests {
    use super::{Group, GroupCounts, RowOutcome};
    use crate::model::{RedisKey, Reject};

    fn reject(reason: &'static str) -> Reject {
        Reject::new(RedisKey::new("k"), reason, "why", None)
    }

    fn counts(rows: &[(RowOutcome, i64)]) -> GroupCounts {
        let mut counts = GroupCounts::default();
        rows.iter().for_each(|(outcome, count)| counts.rows(*outcome, *count));
        counts
    }

    #[test]
    fn a_key_has_one_outcome_whatever_became_of_its_rows() {
        let end = |rows: &[(RowOutcome, i64)]| counts(rows).end().tally;
        assert_eq!(end(&[]).unchanged, 1);
        assert_eq!(end(&[(RowOutcome::Inserted, 3)]).inserted, 1);
        assert_eq!(end(&[(RowOutcome::Inserted, 3), (RowOutcome::Unchanged, 1)]).updated, 1);
        assert_eq!(end(&[(RowOutcome::Deleted, 1), (RowOutcome::Unchanged, 1)]).updated, 1);
        assert_eq!(end(&[(RowOutcome::Newer, 1), (RowOutcome::Unchanged, 1)]).skipped["exists_newer"], 1);
        let again = end(&[(RowOutcome::Duplicate, 2)]);
        assert_eq!((again.duplicates, again.rows.len()), (1, 0), "its rows are counted already");
        for rows in [&[(RowOutcome::Inserted, 3), (RowOutcome::Kept, 2)][..], &[]] {
            assert_eq!(end(rows).settled(), 1);
        }
        assert_eq!(end(&[(RowOutcome::Inserted, 3)]).rows["inserted"], 3);
    }

    #[test]
    fn what_was_repaired_counts_where_it_is_stored() {
        let group = Group::new(RedisKey::new("k"), false);
        group.altered(&["bom"]);
        group.settle_row(RowOutcome::Inserted, &["nul"]);
        group.settle_row(RowOutcome::Unchanged, &["nul"]);
        group.settle_row(RowOutcome::Duplicate, &["nul"]);
        group.settle_row(RowOutcome::Newer, &["nul"]);
        let end = group.with(None).end();
        assert_eq!((end.tally.altered["nul"], end.tally.altered["bom"]), (2, 1));
        assert_eq!((end.altered_again["nul"], end.altered_again["bom"]), (1, 1));
        let none = Group::new(RedisKey::new("k"), false);
        none.altered(&["bom"]);
        none.reject(reject("too_long"));
        assert!(none.with(None).end().tally.altered.is_empty(), "nothing of it is stored");
    }

    #[test]
    fn one_rejected_element_rejects_the_key_and_the_others_are_counted() {
        let group = Group::new(RedisKey::new("k"), false);
        group.reject(reject("json_syntax"));
        let mut more = counts(&[(RowOutcome::Inserted, 2)]);
        more.reject(reject("too_long"), true);
        let end = group.with(Some(&more)).end();
        assert_eq!((end.tally.rejects(), end.tally.settled(), end.tally.rows["inserted"]), (1, 1, 2));
        let Some((reject, pending)) = end.reject else { panic!("a reject") };
        assert_eq!((reject.reason.as_ref(), pending), ("json_syntax", true));
        assert!(reject.detail.contains("1 more"), "{}", reject.detail);
    }
}
