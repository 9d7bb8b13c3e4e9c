//! What an attempt finds of each row: booked for its key, or, where a key is several rows, for the reading of the key.

use super::attempt::Lost;
use crate::model::{Group, GroupCounts, Reject, Row, RowOutcome, Tally};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// What became of some rows of each key that is several.
pub(super) type Groups = Vec<(Arc<Group>, GroupCounts)>;

/// The findings of one attempt. They hold once it is committed.
#[derive(Debug)]
pub(super) struct Book<'a> {
    rows: &'a [Row],
    pub(super) tally: Tally,
    pub(super) lost: Vec<Lost>,
    pub(super) groups: Groups,
    /// Where in `groups` a reading is.
    places: HashMap<Uuid, usize>,
    /// The places of rows of keys that are several, which are as they should be.
    settled: Vec<usize>,
    /// Readings of kept values whose keys have rows of a later run.
    pub(super) outdated: HashSet<Uuid>,
    /// Before-images that were taken.
    pub(super) images: u64,
}

impl<'a> Book<'a> {
    /// Begins with outcomes that were known before.
    pub(super) fn new(rows: &'a [Row], tally: Tally) -> Self {
        Self {
            rows,
            tally,
            lost: Vec::new(),
            groups: Groups::new(),
            places: HashMap::new(),
            settled: Vec::new(),
            outdated: HashSet::new(),
            images: 0,
        }
    }

    /// Books rows by their places in the piece.
    pub(super) fn rows(&mut self, places: &[usize], outcome: RowOutcome) {
        for place in places {
            self.row(*place, outcome);
        }
    }

    /// Books the row at a place of the piece.
    pub(super) fn row(&mut self, place: usize, outcome: RowOutcome) {
        let rows = self.rows;
        let repairs = rows.get(place).map_or(&[][..], |row| &row.altered);
        if let Some(group) = rows.get(place).and_then(|row| row.group.as_ref()) {
            self.settled.push(place);
            return self.group(group).row(outcome, repairs);
        }
        let tally = &mut self.tally;
        // What was repaired counts with the row that it is in: not where that was rejected, left alone or met before.
        repairs.iter().filter(|_| outcome.is_stored()).for_each(|repair| tally.alter(repair));
        match outcome {
            RowOutcome::Inserted => tally.inserted += 1,
            RowOutcome::Updated => tally.updated += 1,
            RowOutcome::Unchanged => tally.unchanged += 1,
            RowOutcome::Duplicate => tally.duplicates += 1,
            RowOutcome::Newer => tally.skip(outcome.name(), 1),
            RowOutcome::WouldLoad => tally.would_load += 1,
            // Only of keys that are several rows.
            RowOutcome::Deleted | RowOutcome::Kept => {}
        }
    }

    /// The elements that have their row so far, by reading and digest.
    pub(super) fn elements(&self) -> HashSet<(Uuid, String)> {
        let rows = self.settled.iter().filter_map(|place| self.rows.get(*place));
        rows.filter_map(|row| Some((row.group.as_ref()?.id, row.digest.to_string()))).collect()
    }

    /// Notes that no run wrote the row that is there.
    pub(super) fn foreign(&mut self, place: usize) {
        if let Some(group) = self.rows.get(place).and_then(|row| row.group.clone()) {
            self.group(&group).foreign();
        }
    }

    /// Books a row that is rejected; `pending`: the run tries it again at the end of the phase.
    pub(super) fn lose(&mut self, place: usize, reject: Reject, pending: bool) {
        match self.rows.get(place).and_then(|row| row.group.clone()) {
            Some(group) => self.group(&group).reject(reject, pending),
            None => self.lost.push(Lost { reject, pending }),
        }
    }

    /// What was found of a key that is several rows.
    pub(super) fn group(&mut self, group: &Arc<Group>) -> &mut GroupCounts {
        let place = *self.places.entry(group.id).or_insert_with(|| {
            self.groups.push((group.clone(), GroupCounts::default()));
            self.groups.len() - 1
        });
        &mut self.groups[place].1
    }

    /// What was found of it, if anything.
    pub(super) fn found(&self, group: &Arc<Group>) -> Option<&GroupCounts> {
        self.groups.get(*self.places.get(&group.id)?).map(|(_, counts)| counts)
    }
}
