//! What a dry run knows by now: rows that stay, and images whose rows come back once those that they refer to do.
//!
//! A rollback goes through the tables again as long as something moves; a dry run moves nothing, so that it has to remember what it
//! would have.

use super::coming::{Kept, coming};
use super::kept_keys::Key;
use super::plan::Plan;
use crate::model::KeptReason;
use crate::sink::undo::{Group, Staying, UndoTable};
use std::collections::{HashMap, HashSet};

/// Rows that are remembered with their keys, since they wait for others, at about a KiB each; what hangs on more of them is not foreseen.
const ROWS: usize = 250_000;

/// Rows that are remembered by hashes, since they stay, or are kept by those that do, in some hundred MiB at most.
const HASHES: usize = 8_000_000;

/// A row, by its table's place among the steps of the plan and by its key.
pub(super) type Place = (usize, String);

/// An image that refers to rows which are not there, but of which the run has images too.
pub(super) struct Waiting {
    /// Its place.
    pub(super) place: Place,
    /// The Redis key that the row was made from.
    pub(super) redis_key: Option<Key>,
    /// How it would be put back.
    pub(super) group: Group,
    /// The tables and keys of the images that it waits for, each with the foreign key.
    pub(super) parents: Vec<(String, String, String)>,
}

/// What is known.
#[derive(Default)]
pub(super) struct Foresight {
    /// Rows that the run wrote and that stay.
    pub(super) staying: Staying,
    /// All rows that are kept in this pass, by hashes: until what waits is settled.
    kept: Kept,
    waiting: HashMap<(String, String), Waiting>,
    /// Whether what waits is settled in this pass.
    settled: bool,
    /// The tables of which rows were found to stay in this pass that were not known to.
    pub(super) grown: HashSet<String>,
    /// The tables whose images, or rows, have been looked at in this pass.
    looked_at: HashSet<String>,
    /// Rows that were counted as deleted in this pass, and that may yet be found to stay, by the hashes of [`Staying`].
    going: HashSet<u64>,
    /// Other rows of these tables that were found to be referred to by one that stays, by the same hashes.
    behind: HashSet<u64>,
    /// Whether one of them is of a key of several rows: then others of the key were taken to go.
    is_of_many: bool,
    /// Rows that are remembered with their keys.
    rows: usize,
    /// Rows that are remembered by hashes beyond this pass.
    hashes: usize,
    /// Whether a row was not remembered in this pass for want of room.
    pub(super) falls_short: bool,
}

impl Foresight {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { staying: Staying::new(plan.steps.iter().map(|step| &step.table)), ..Self::default() }
    }

    /// Begins a pass over all tables.
    pub(super) fn begin(&mut self) {
        self.rows -= self.waiting.len();
        (self.falls_short, self.settled, self.is_of_many) = (false, false, false);
        (self.kept, self.waiting, self.grown) = (Kept::default(), HashMap::new(), HashSet::new());
        (self.looked_at, self.going, self.behind) = (HashSet::new(), HashSet::new(), HashSet::new());
    }

    /// Whether one more row can be remembered with its key; it is noted where not.
    pub(super) fn has_room(&mut self) -> bool {
        self.falls_short |= self.rows >= ROWS;
        self.rows < ROWS
    }

    /// How many more rows can be.
    pub(super) fn room(&self) -> usize {
        ROWS.saturating_sub(self.rows)
    }

    fn has_room_for_hashes(&mut self) -> bool {
        let has_room = self.hashes + self.kept.len() + self.going.len() + self.behind.len() < HASHES;
        self.falls_short |= !has_room;
        has_room
    }

    /// So many more rows are remembered elsewhere.
    pub(super) fn remember(&mut self, rows: usize) {
        self.rows += rows;
    }

    /// So many are no more.
    pub(super) fn forget(&mut self, rows: usize) {
        self.rows -= rows;
    }

    /// Notes that a table's images, or its rows, are looked at: what is found of others from now on reaches back to them.
    pub(super) fn look_at(&mut self, table: &str) {
        if !self.looked_at.contains(table) {
            self.looked_at.insert(table.to_owned());
        }
    }

    /// Notes a row that is kept as it is.
    pub(super) fn keep(&mut self, table: &str, row_key: &str, reason: KeptReason) {
        self.keep_away(table, row_key);
        // Of the others the table itself tells that they are not the run's.
        let was_the_runs = !matches!(reason, KeptReason::Changed | KeptReason::Deleted | KeptReason::OtherRun);
        if was_the_runs && self.has_room_for_hashes() && self.staying.insert(table, row_key) {
            self.hashes += 1;
            if !self.grown.contains(table) {
                self.grown.insert(table.to_owned());
            }
        }
    }

    /// Notes a row that is not there, and does not come back.
    pub(super) fn keep_away(&mut self, table: &str, row_key: &str) {
        if !self.settled && self.has_room_for_hashes() {
            self.kept.insert(table, row_key);
        }
    }

    /// Notes rows that are counted as deleted. Those of a key of several rows are not taken back one by one.
    pub(super) fn go(&mut self, table: &UndoTable, rows: &[String]) {
        if table.run.explodes || !table.referrers.iter().any(|referrer| self.staying.is_of_run(&referrer.table)) {
            return;
        }
        let name = table.name();
        for row in rows {
            // Where there is no room, all is gone over once more instead.
            if self.hashes + self.kept.len() + self.going.len() + self.behind.len() < HASHES {
                self.going.insert(self.staying.hash_of(&name, row));
            }
        }
    }

    /// Notes a row to which one that stays refers. `referrer`: the foreign key's place among those that lead to its table. Whether it was counted as
    /// deleted, and is not any more.
    pub(super) fn hold(&mut self, table: &UndoTable, referrer: usize, row_key: &str) -> bool {
        let name = table.name();
        if !self.has_room_for_hashes() || !self.staying.hold((&name, referrer), row_key) {
            return false;
        }
        self.hashes += 1;
        let row = self.staying.hash_of(&name, row_key);
        if self.going.remove(&row) {
            return true;
        }
        if self.looked_at.contains(&name) {
            self.behind.insert(row);
            self.is_of_many |= table.run.explodes;
        }
        false
    }

    /// Whether rows that were found to stay may keep others that were looked at before them.
    pub(super) fn reaches_back(&self, plan: &Plan) -> bool {
        let takes_places = |table: &UndoTable| {
            !table.places.is_empty() && plan.imaged.contains(&table.name()) && self.grown.contains(&table.name())
        };
        // One that was found to stay when it was looked at is counted as such.
        self.is_of_many
            || self.behind.iter().any(|row| !self.staying.has(*row))
            || plan.steps.iter().any(|step| takes_places(&step.table))
    }

    /// Notes an image that waits for others. `false`: there is no room; it is taken to come back.
    pub(super) fn wait(&mut self, table: &str, waiting: Waiting) -> bool {
        if !self.has_room() {
            return false;
        }
        self.rows += 1;
        self.waiting.insert((table.to_owned(), waiting.place.1.clone()), waiting);
        true
    }

    /// Settles what waits, once all images were looked at: those that come back, and those that do not, each with the foreign key that
    /// keeps it.
    pub(super) fn settle(&mut self) -> (Vec<Waiting>, Vec<(Waiting, String)>) {
        let (waiting, kept) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.kept));
        self.rows -= waiting.len();
        self.settled = true;
        let coming = coming(&waiting, &kept);
        let (mut come, mut stay) = (Vec::new(), Vec::new());
        let is_lost =
            |of: &(String, String)| kept.has((&of.0, &of.1)) || waiting.contains_key(of) && !coming.contains(of);
        let lost = |of: &Waiting| {
            let parent = of.parents.iter().find(|(table, key, _)| is_lost(&(table.clone(), key.clone())));
            parent.map(|(.., constraint)| constraint.clone()).unwrap_or_default()
        };
        let mut constraints: HashMap<(String, String), String> = waiting
            .iter()
            .filter(|(of, _)| !coming.contains(*of))
            .map(|(of, found)| (of.clone(), lost(found)))
            .collect();
        for (of, found) in waiting {
            match constraints.remove(&of) {
                Some(constraint) => stay.push((found, constraint)),
                None => come.push(found),
            }
        }
        (come, stay)
    }
}

#[cfg(test)]
mod tests {
    use super::{Foresight, Waiting};
    use crate::model::KeptReason;
    use crate::sink::undo::Group;

    /// Images that wait, as `table:key` with what they wait for; gives those that come back.
    fn come(waits: &[(&str, &[&str])], kept: &[&str]) -> Vec<String> {
        let mut foresight = Foresight::default();
        let split = |of: &str| of.split_once(':').map(|(table, key)| (table.to_owned(), key.to_owned())).unwrap();
        for of in kept {
            let (table, key) = split(of);
            foresight.keep(&table, &key, KeptReason::Changed);
        }
        for (of, parents) in waits {
            let (table, key) = split(of);
            let group = Group { former: None, missing: Vec::new(), lost: Vec::new(), there: false };
            let parents = parents.iter().map(|parent| split(parent)).map(|(table, key)| (table, key, "fk".to_owned()));
            let waiting = Waiting { place: (0, key), redis_key: None, group, parents: parents.collect() };
            assert!(foresight.wait(&table, waiting));
        }
        let (come, stay) = foresight.settle();
        assert!(stay.iter().all(|(_, constraint)| constraint == "fk"));
        let mut names: Vec<String> = come.into_iter().map(|waiting| waiting.place.1).collect();
        names.sort();
        names
    }

    #[test]
    fn what_waits_comes_back_after_what_it_waits_for() {
        assert_eq!(come(&[("t:c", &["t:b"]), ("t:b", &["p:a"])], &[]), ["b", "c"]);
        assert_eq!(come(&[("t:c", &["t:b"]), ("t:b", &["p:a"]), ("t:x", &["p:y"])], &["p:a"]), ["x"]);
        assert_eq!(come(&[("t:c", &["t:b", "t:d"]), ("t:b", &[]), ("t:d", &["t:gone"])], &["t:gone"]), ["b"]);
    }

    #[test]
    fn a_circle_comes_back_together_within_one_table_alone() {
        assert_eq!(
            come(&[("t:a", &["t:b"]), ("t:b", &["t:a"]), ("t:c", &["t:b"]), ("t:s", &["t:s"])], &[]),
            ["a", "b", "c", "s"]
        );
        assert_eq!(come(&[("t:a", &["u:b"]), ("u:b", &["t:a"]), ("t:c", &["t:a"])], &[]), Vec::<String>::new());
        assert_eq!(come(&[("t:a", &["t:b"]), ("t:b", &["t:a", "t:x"])], &["t:x"]), Vec::<String>::new());
    }
}
