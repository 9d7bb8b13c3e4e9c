//! Rows of tables that refer to one another in a circle, in a dry run: a row goes once those that refer to it have gone, so that rows in a
//! circle stay.

use super::ask::ask;
use super::kept_keys::Key;
use super::plan::Plan;
use super::work::{Mode, Work};
use crate::model::{Failure, KeptReason};
use crate::sink::undo::{Undo, UndoTable, Wait};
use sqlx::postgres::PgConnection;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

/// A row that waits for others.
struct Waiting {
    /// Its table's place among those in a circle.
    table: usize,
    key: String,
    redis_key: Option<Key>,
    /// Those that it waits for: their tables' places, and their hashes.
    referrers: Vec<(usize, u64)>,
}

/// A row that stays, and the place of the table of a row that keeps it.
type Stays = (Waiting, usize);

/// Rows that wait for others to go.
#[derive(Default)]
pub(super) struct Rings {
    /// The tables that refer to one another in a circle.
    tables: Vec<String>,
    /// By their hashes; of those that they wait for no more is remembered than these.
    waits: HashMap<u64, Waiting>,
    /// How many rows that refer to others are remembered.
    remembered: usize,
    hasher: RandomState,
}

impl Rings {
    pub(super) fn new(tables: BTreeSet<String>) -> Self {
        Self { tables: tables.into_iter().collect(), ..Self::default() }
    }

    /// Whether a table is one of those in a circle.
    pub(super) fn has(&self, table: &str) -> bool {
        self.tables.iter().any(|of| of == table)
    }

    /// The tables, in their places.
    fn of_plan<'p>(&self, plan: &'p Plan) -> Vec<&'p UndoTable> {
        let named = |name: &String, rows: bool| {
            plan.steps.iter().find(|step| (step.rows || !rows) && step.table.name() == *name)
        };
        let of = |name: &String| named(name, true).or_else(|| named(name, false));
        self.tables.iter().filter_map(of).map(|step| &step.table).collect()
    }

    fn hash(&self, table: usize, key: &str) -> u64 {
        self.hasher.hash_one((table, key))
    }

    /// Notes that a row waits.
    fn wait(&mut self, (table, key): (usize, &str), redis_key: Option<&Key>, referrer: (usize, u64)) {
        let row = self.hash(table, key);
        let waiting = self.waits.entry(row).or_insert_with(|| Waiting {
            table,
            key: key.to_owned(),
            redis_key: redis_key.cloned(),
            referrers: Vec::new(),
        });
        waiting.referrers.push(referrer);
    }

    /// Those that go, by their tables' places, and those that stay.
    fn settle(&mut self) -> (Vec<usize>, Vec<Stays>) {
        let mut waits = std::mem::take(&mut self.waits);
        let (mut parents, mut open): (HashMap<u64, Vec<u64>>, HashMap<u64, usize>) = Default::default();
        for (row, waiting) in &waits {
            open.insert(*row, waiting.referrers.len());
            waiting.referrers.iter().for_each(|(_, referrer)| parents.entry(*referrer).or_default().push(*row));
        }
        // A row that waits for nobody goes.
        let mut gone: Vec<u64> = parents.keys().filter(|row| !waits.contains_key(*row)).copied().collect();
        let mut going = Vec::new();
        while let Some(row) = gone.pop() {
            for parent in parents.remove(&row).unwrap_or_default() {
                let Some(left) = open.get_mut(&parent) else { continue };
                *left -= 1;
                if *left == 0 {
                    going.extend(waits.remove(&parent).map(|waiting| waiting.table));
                    gone.push(parent);
                }
            }
        }
        let left: BTreeSet<u64> = waits.keys().copied().collect();
        let by = |waiting: &Waiting| {
            let stays = waiting.referrers.iter().find(|(_, referrer)| left.contains(referrer));
            stays.map(|(table, _)| *table).unwrap_or_default()
        };
        let stays = waits.into_values().map(|waiting| {
            let by = by(&waiting);
            (waiting, by)
        });
        (going, stays.collect())
    }
}

impl Work<'_> {
    /// Notes those of some rows that would go which wait for rows of other tables to go; gives how many.
    pub(super) async fn wait_in_rings(
        &mut self,
        undo: Undo<'_>,
        keys: &[String],
        keys_of: &HashMap<String, Key>,
    ) -> Result<usize, Failure> {
        let (name, ring) = (undo.table.name(), self.rings.of_plan(self.plan));
        let Some(place) = self.rings.tables.iter().position(|table| *table == name).filter(|_| !keys.is_empty()) else {
            return Ok(0);
        };
        let texts: Vec<&str> = keys.iter().map(String::as_str).collect();
        let (rings, most) = (&self.rings, self.foresight.room());
        let question = async |connection: &mut PgConnection| {
            undo.waits(connection, &ring, (&texts, most), |table, key| rings.hash(table, key)).await
        };
        let found = ask((&mut self.link, &self.options), "looking for rows that refer to the run's", question).await?;
        let before = self.rings.waits.len();
        for Wait { row, table, referrer } in &found {
            let Some(key) = keys.get(*row) else { continue };
            self.rings.wait((place, key), keys_of.get(key), (*table, *referrer));
        }
        self.rings.remembered += found.len();
        self.foresight.remember(found.len());
        // Where there is no more room, there may have been more of them.
        let _ = self.foresight.has_room();
        Ok(self.rings.waits.len() - before)
    }

    /// Counts the rows that waited.
    pub(super) fn settle_rings(&mut self) -> Result<(), Failure> {
        let (going, stays) = self.rings.settle();
        self.foresight.forget(std::mem::take(&mut self.rings.remembered));
        let name = |rings: &Rings, place: usize| rings.tables.get(place).cloned().unwrap_or_default();
        going.iter().for_each(|table| self.books.deleted(&name(&self.rings, *table), 1));
        for (Waiting { table, key, redis_key, .. }, by) in stays {
            let (table, by) = (name(&self.rings, table), name(&self.rings, by));
            self.keep(&table, Mode::Survey, (&key, redis_key.as_ref()), KeptReason::ReferredTo, by)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Rings;

    fn row(of: &str) -> (usize, &str) {
        let (table, key) = of.split_once(':').unwrap();
        (usize::from(table == "b"), key)
    }

    #[test]
    fn rows_in_a_circle_stay_with_what_they_refer_to() {
        let mut rings = Rings::new(["a".to_owned(), "b".to_owned()].into());
        for (of, referrers) in
            [("a:1", &["b:1"][..]), ("b:1", &["a:2"]), ("a:3", &["b:3"]), ("b:3", &["a:3"]), ("a:4", &["b:9", "b:3"])]
        {
            for referrer in referrers {
                let (table, key) = row(referrer);
                let hash = rings.hash(table, key);
                rings.wait(row(of), None, (table, hash));
            }
        }
        let (mut going, stays) = rings.settle();
        going.sort_unstable();
        assert_eq!(going, [0, 1], "a:1 and b:1");
        let mut stays: Vec<_> = stays.iter().map(|(of, by)| (of.table, of.key.as_str(), *by)).collect();
        stays.sort_unstable();
        assert_eq!(stays, [(0, "3", 1), (0, "4", 1), (1, "3", 0)]);
    }
}
