//! Rows of tables that refer to one another in a circle, in a dry run: a row goes once those that refer to it have gone, so that rows in a
//! circle stay.

use super::ask::ask;
use super::kept_keys::Key;
use super::work::Work;
use crate::model::{Failure, KeptReason};
use crate::sink::undo::Undo;
use sqlx::postgres::PgConnection;
use std::collections::{BTreeSet, HashMap};

/// A row: its table and its key.
type Row = (String, String);

/// A row that stays: with its Redis key, and the table of a row that keeps it.
type Staying = (Row, Option<Key>, String);

/// Rows that wait for others to go.
#[derive(Default)]
pub(super) struct Rings {
    /// The tables that refer to one another in a circle.
    pub(super) tables: BTreeSet<String>,
    waits: HashMap<Row, (Option<Key>, Vec<Row>)>,
    /// How many rows that refer to others are remembered.
    remembered: usize,
}

impl Rings {
    pub(super) fn new(tables: BTreeSet<String>) -> Self {
        Self { tables, waits: HashMap::new(), remembered: 0 }
    }

    /// Those that go, and those that stay.
    fn settle(&mut self) -> (Vec<Row>, Vec<Staying>) {
        let mut waits = std::mem::take(&mut self.waits);
        let (mut parents, mut open): (HashMap<Row, Vec<Row>>, HashMap<Row, usize>) = Default::default();
        for (row, (_, referrers)) in &waits {
            open.insert(row.clone(), referrers.len());
            referrers.iter().for_each(|referrer| parents.entry(referrer.clone()).or_default().push(row.clone()));
        }
        // A row that waits for nobody goes.
        let mut gone: Vec<Row> = parents.keys().filter(|row| !waits.contains_key(*row)).cloned().collect();
        let mut going = Vec::new();
        while let Some(row) = gone.pop() {
            for parent in parents.remove(&row).unwrap_or_default() {
                let Some(left) = open.get_mut(&parent) else { continue };
                *left -= 1;
                if *left == 0 {
                    waits.remove(&parent);
                    going.push(parent.clone());
                    gone.push(parent);
                }
            }
        }
        let by = |referrers: &[Row]| {
            let stays = referrers.iter().find(|referrer| waits.contains_key(*referrer));
            stays.map(|(table, _)| table.clone()).unwrap_or_default()
        };
        let staying: Vec<Staying> =
            waits.iter().map(|(row, (key, referrers))| (row.clone(), key.clone(), by(referrers))).collect();
        (going, staying)
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
        let name = undo.table.name();
        if keys.is_empty() || !self.rings.tables.contains(&name) || !self.foresight.has_room() {
            return Ok(0);
        }
        let texts: Vec<&str> = keys.iter().map(String::as_str).collect();
        let (tables, staying) = (&self.rings.tables, &self.foresight.staying);
        let question = async |connection: &mut PgConnection| undo.waits(connection, (tables, staying), &texts).await;
        let found = ask((&mut self.link, &self.options), "looking for rows that refer to the run's", question).await?;
        let (before, referrers) = (self.rings.waits.len(), found.len());
        for (key, referrer) in found {
            let redis_key = keys_of.get(&key).cloned();
            let (_, referrers) = self.rings.waits.entry((name.clone(), key)).or_insert((redis_key, Vec::new()));
            referrers.push(referrer);
        }
        self.rings.remembered += referrers;
        self.foresight.remember(referrers);
        Ok(self.rings.waits.len() - before)
    }

    /// Counts the rows that waited.
    pub(super) fn settle_rings(&mut self) -> Result<(), Failure> {
        let (going, staying) = self.rings.settle();
        self.foresight.forget(std::mem::take(&mut self.rings.remembered));
        going.iter().for_each(|(table, _)| self.books.deleted(table, 1));
        for ((table, key), redis_key, by) in staying {
            let row = (key.as_str(), redis_key.as_ref());
            self.keep(&table, super::work::Mode::Survey, row, KeptReason::ReferredTo, by)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Rings, Row};
    use std::collections::BTreeSet;

    fn row(of: &str) -> Row {
        let (table, key) = of.split_once(':').unwrap();
        (table.to_owned(), key.to_owned())
    }

    #[test]
    fn rows_in_a_circle_stay_with_what_they_refer_to() {
        let mut rings = Rings::new(BTreeSet::new());
        for (of, referrers) in
            [("a:1", &["b:1"][..]), ("b:1", &["a:2"]), ("a:3", &["b:3"]), ("b:3", &["a:3"]), ("a:4", &["b:3", "b:9"])]
        {
            rings.waits.insert(row(of), (None, referrers.iter().map(|of| row(of)).collect()));
        }
        let (mut going, staying) = rings.settle();
        going.sort();
        assert_eq!(going, [row("a:1"), row("b:1")]);
        let mut staying: Vec<Row> = staying.into_iter().map(|(row, ..)| row).collect();
        staying.sort();
        assert_eq!(staying, [row("a:3"), row("a:4"), row("b:3")]);
    }
}
