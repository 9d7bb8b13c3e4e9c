//! Rows of which a dry run knows by now that they stay, though the run wrote them: what they refer to stays too.
//!
//! Each of them is asked for once, however often the tables are gone over: to which rows it refers (`referred_by`). From then on those are
//! known to be held. Of both no more is remembered than a hash.

use super::{Undo, UndoTable};
use crate::ledger::RunTable;
use crate::model::TableName;
use crate::postgres::{IncomingKey, ident, literal};
use crate::sink::owned::{named_run, row_key};
use crate::sink::ownership::owner;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher, RandomState};

/// Rows of one table and of the same key columns, by their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// The table, as `schema.table`.
    pub table: String,
    /// The key columns.
    pub columns: BTreeSet<String>,
    /// The keys.
    pub keys: Vec<String>,
}

/// The rows that stay, and the tables of the run. Rows are known by hashes of 64 bits: of ten million, one in a hundred thousand dry runs takes a
/// row for another.
#[derive(Debug, Default)]
pub struct Staying {
    tables: BTreeMap<String, RunTable>,
    /// Those of which it matters to what they refer.
    referring: BTreeSet<String>,
    known: HashSet<u64>,
    /// The tables of which rows are known.
    of_tables: BTreeSet<String>,
    /// Rows to which one that stays refers, each by one foreign key.
    held: HashSet<u64>,
    /// Foreign keys by which rows are held: the table that they refer to, and their place among those that do.
    by: BTreeSet<(String, usize)>,
    /// Of these it is not asked yet to what they refer.
    fresh: BTreeMap<(String, BTreeSet<String>), Vec<String>>,
    /// Tables of which all rows that are there stay, for the time being: a rollback has gone through them.
    settled: BTreeSet<String>,
    hasher: RandomState,
}

impl Staying {
    /// None yet, of these tables.
    pub fn new<'t>(tables: impl Iterator<Item = &'t UndoTable> + Clone) -> Self {
        let runs = tables.clone().map(|table| (table.name(), table.run.clone())).collect();
        let referrers = tables.flat_map(|table| &table.referrers).filter(|referrer| referrer.readable);
        let referring = referrers.map(|referrer| referrer.table.to_string()).collect();
        Self { tables: runs, referring, ..Self::default() }
    }

    /// Notes that a rollback has gone through a table, or is about to do so once more.
    pub fn settle(&mut self, table: &str, settled: bool) {
        if settled {
            self.settled.insert(table.to_owned());
        } else {
            self.settled.remove(table);
        }
    }

    /// Whether all rows of a table that are there stay for the time being.
    pub(super) fn is_settled(&self, table: &TableName) -> bool {
        self.settled.contains(&table.to_string())
    }

    /// Whether a table is one of the run's.
    pub fn is_of_run(&self, table: &TableName) -> bool {
        self.tables.contains_key(&table.to_string())
    }

    /// Notes a row by its key, a JSON object of its key columns. `false`: it was known.
    pub fn insert(&mut self, table: &str, key: &str) -> bool {
        if !self.known.insert(self.hash_of(table, key)) {
            return false;
        }
        self.of_tables.insert(table.to_owned());
        if self.referring.contains(table) {
            let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(key).unwrap_or_default();
            let columns = object.into_iter().map(|(name, _)| name).collect();
            self.fresh.entry((table.to_owned(), columns)).or_default().push(key.to_owned());
        }
        true
    }

    /// Whether a row is known to stay.
    pub(super) fn knows(&self, table: &str, key: &str) -> bool {
        self.known.contains(&self.hash_of(table, key))
    }

    /// Whether any row of a table is.
    pub(super) fn knows_of(&self, table: &str) -> bool {
        self.of_tables.contains(table)
    }

    /// Takes rows of which it is not asked yet to what they refer, as many at most as one statement may ask for: where there are so many,
    /// or where one of these tables is theirs.
    pub fn take_fresh(&mut self, most: usize, wanted: impl Fn(&str) -> bool) -> Option<Fresh> {
        let is_due = |(of, keys): &(&(String, BTreeSet<String>), &mut Vec<String>)| keys.len() >= most || wanted(&of.0);
        let ((table, columns), keys) = self.fresh.iter_mut().find(is_due)?;
        let (of, taken) = ((table.clone(), columns.clone()), keys.split_off(keys.len().saturating_sub(most)));
        if keys.is_empty() {
            self.fresh.remove(&of);
        }
        Some(Fresh { table: of.0, columns: of.1, keys: taken })
    }

    /// Notes that a row that stays refers to this one. `referrer`: the foreign key's place among those that lead to the table. `false`: it was
    /// known.
    pub fn hold(&mut self, (table, referrer): (&str, usize), key: &str) -> bool {
        if !self.by.contains(&(table.to_owned(), referrer)) {
            self.by.insert((table.to_owned(), referrer));
        }
        self.held.insert(self.hasher.hash_one((referrer, table, canonical(key))))
    }

    /// Whether a row that stays refers to this one.
    pub(super) fn is_held(&self, (table, referrer): (&str, usize), key: &str) -> bool {
        self.held.contains(&self.hasher.hash_one((referrer, table, canonical(key))))
    }

    /// Whether any row is held by a foreign key.
    pub(super) fn holds_by(&self, table: &str, referrer: usize) -> bool {
        self.by.iter().any(|(of, by)| of == table && *by == referrer)
    }

    /// Whether a row of that hash is known to stay.
    pub fn has(&self, hash: u64) -> bool {
        self.known.contains(&hash)
    }

    /// The hash of a row.
    pub fn hash_of(&self, table: &str, key: &str) -> u64 {
        self.hasher.hash_one((table, canonical(key)))
    }
}

/// A key with its numbers as short as they can be: 1.50 and 1.5 are the same row.
fn canonical(key: &str) -> Cow<'_, str> {
    if !key.contains('.') {
        return Cow::Borrowed(key);
    }
    let (mut short, mut number) = (String::with_capacity(key.len()), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for letter in key.chars() {
        let of_number = !quoted && (letter.is_ascii_digit() || letter == '.');
        if of_number {
            number.push(letter);
            continue;
        }
        short.push_str(shortest(&number));
        number.clear();
        short.push(letter);
        quoted ^= letter == '"' && !escaped;
        escaped = quoted && letter == '\\' && !escaped;
    }
    short.push_str(shortest(&number));
    Cow::Owned(short)
}

fn shortest(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// The row `c` of a table refers to row `t`.
pub(super) fn pairs(referrer: &IncomingKey) -> String {
    let pair = |(own, of, operator): &(String, String, String)| format!("t.{} {operator} c.{}", ident(of), ident(own));
    referrer.columns.iter().map(pair).collect::<Vec<_>>().join(" AND ")
}

impl Undo<'_> {
    /// Whether the row of that alias, of a table, is none that the run wrote, nor, by force, one that it once wrote: a condition over the run
    /// `$2`. Of the others those that stay are among the rows that are known to.
    pub(super) fn is_not_taken_back(&self, alias: &str, table: &TableName, staying: &Staying) -> String {
        let name = literal(&table.to_string());
        let others = format!("{} IS DISTINCT FROM $2::text", owner(&format!("{alias}.xmin"), &name, None));
        let Some(run) = staying.tables.get(&table.to_string()).filter(|_| self.force) else { return others };
        let image = format!(
            "NOT EXISTS (SELECT FROM redis2pg.before_images b WHERE b.run_id = $2::text::uuid AND b.table_name = {name} AND b.row_key = {})",
            row_key(alias, &run.key_columns)
        );
        let named = named_run(run, &name)
            .map(|named| format!(" AND (SELECT ({named}) FROM (SELECT {alias}.*) t) IS DISTINCT FROM $2::text"));
        format!("{others} AND {image}{}", named.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::{Staying, canonical};

    fn of(table: &str) -> Staying {
        Staying { referring: [table.to_owned()].into(), ..Staying::default() }
    }

    #[test]
    fn each_row_is_asked_for_once_with_others_of_its_key_columns() {
        let mut staying = of("public.items");
        assert!(staying.insert("public.items", r#"{"id": "a"}"#));
        assert!(!staying.insert("public.items", r#"{"id": "a"}"#));
        assert!(staying.insert("public.items", r#"{"n": 1, "id": "a"}"#));
        assert!(staying.insert("public.others", r#"{"id": "a"}"#));
        assert!(staying.knows("public.others", r#"{"id": "a"}"#) && !staying.knows("public.others", r#"{"id": "b"}"#));
        assert!(staying.knows_of("public.others") && !staying.knows_of("public.none"));
        assert_eq!(staying.take_fresh(5, |_| false), None, "few of them wait until they are wanted");
        let mut taken = Vec::new();
        while let Some(fresh) = staying.take_fresh(5, |table| table == "public.items") {
            taken.push((fresh.columns.len(), fresh.keys.len()));
        }
        taken.sort_unstable();
        assert_eq!(taken, [(1, 1), (2, 1)]);
    }

    #[test]
    fn no_statement_asks_for_more_than_it_may() {
        let mut staying = of("t");
        assert!((0..11).all(|id| staying.insert("t", &format!(r#"{{"id": {id}}}"#))));
        let taken = |staying: &mut Staying, wanted| {
            let mut taken = Vec::new();
            while let Some(fresh) = staying.take_fresh(4, |_| wanted) {
                taken.push(fresh.keys.len());
            }
            taken
        };
        assert_eq!((taken(&mut staying, false), taken(&mut staying, true)), (vec![4, 4], vec![3]));
        assert!(taken(&mut staying, true).is_empty());
    }

    #[test]
    fn rows_are_held_each_by_a_foreign_key() {
        let mut staying = of("t");
        assert!(staying.hold(("t", 1), r#"{"n": 1.50}"#));
        assert!(!staying.hold(("t", 1), r#"{"n": 1.5}"#));
        assert!(staying.is_held(("t", 1), r#"{"n": 1.500}"#) && !staying.is_held(("t", 0), r#"{"n": 1.5}"#));
        assert!(staying.holds_by("t", 1) && !staying.holds_by("t", 0) && !staying.holds_by("u", 1));
    }

    #[test]
    fn numbers_alone_are_shortened() {
        for (key, short) in [
            (r#"{"n": 10}"#, r#"{"n": 10}"#),
            (r#"{"n": -10.00, "m": 100.010}"#, r#"{"n": -10, "m": 100.01}"#),
            (r#"{"a\\": "1.50 \" 2.0", "n": [0.0]}"#, r#"{"a\\": "1.50 \" 2.0", "n": [0]}"#),
            (r#"{"a": "1.0\\", "n": 2.0}"#, r#"{"a": "1.0\\", "n": 2}"#),
        ] {
            assert_eq!(canonical(key), short);
        }
    }
}
