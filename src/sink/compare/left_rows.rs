//! Rows that keys which are one row left behind: a column of the row's key comes from the value, which has changed since. The ledger
//! says of which key each row is.

use super::attempt::Found;
use super::met::Met;
use super::rows_of_key::{Others, RowsOfKey};
use super::{Compared, Comparer};
use crate::model::{Class, Database, Failure, RedisKey, Row};
use crate::sink::table::LoadTable;
use std::collections::{BTreeMap, HashMap};

/// By key, the rows that there are of it beside the one that it makes now. Keys without such are not there.
#[derive(Debug, Default)]
pub(super) struct LeftRows(HashMap<RedisKey, Others>);

impl LeftRows {
    /// Those of a key.
    pub(super) fn of(&self, key: &RedisKey) -> Others {
        self.0.get(key).copied().unwrap_or_default()
    }
}

impl Comparer {
    /// The rows that there are of the keys of these rows, each of which is one row; nothing where no row can be left behind.
    pub(super) async fn count_of_single(
        &mut self,
        table: &LoadTable,
        database: Database,
        rows: &[Row],
    ) -> Result<HashMap<RedisKey, RowsOfKey>, Failure> {
        if !table.tells_left_rows() || rows.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<RedisKey> = rows.iter().map(|row| row.key.clone()).collect();
        let counted = self.rows_of(table, database, &keys).await?;
        Ok(counted.into_iter().filter_map(|(place, rows)| Some((keys.get(place)?.clone(), rows))).collect())
    }

    /// Those among counted rows that their keys do not make now: they were left behind, or are of a key of that name that a cleanup
    /// deleted, for which it is asked where there are any.
    pub(super) async fn left_rows(
        &mut self,
        database: Database,
        looked: &[(Vec<Row>, Found)],
        mut counted: HashMap<RedisKey, RowsOfKey>,
    ) -> Result<LeftRows, Failure> {
        if counted.is_empty() {
            return Ok(LeftRows::default());
        }
        let (mut met, mut asked) = (HashMap::new(), Vec::new());
        for (rows, found) in looked {
            for (place, row) in rows.iter().enumerate() {
                let Some(rows) = counted.get(&row.key) else { continue };
                let of_key = found.met.get(&place).and_then(|met| met.run_of_key(row));
                let of_key: BTreeMap<String, i64> = of_key.map(|run| (run.to_owned(), 1)).into_iter().collect();
                if rows.beside(&of_key).extra > 0 {
                    asked.extend(rows.runs().map(|run| (row.key.clone(), run.clone())));
                    met.insert(row.key.clone(), of_key);
                }
            }
        }
        let cleaned = if asked.is_empty() { Default::default() } else { self.cleaned(database, &asked).await? };
        for (key, run) in cleaned.into_iter().filter_map(|place| asked.get(place)) {
            counted.get_mut(key).into_iter().for_each(|rows| rows.note_cleaned(run.clone()));
        }
        let beside = |(key, met)| {
            let others = counted.get(&key).map(|rows| rows.beside(&met))?;
            Some((key, others))
        };
        Ok(LeftRows(met.into_iter().filter_map(beside).collect()))
    }
}

impl Compared {
    /// The key with the rows that it left behind, beside the one that it makes now, which met this.
    pub(super) fn beside(mut self, Others { kept, extra }: Others, met: Option<&Met>) -> Self {
        self.rows.add(Class::Cleaned, kept);
        if extra == 0 {
            return self;
        }
        self.rows.add(Class::Extra, extra);
        self.differing.clear();
        // A value that made another row before has not changed: the mapping has, and the row that it makes now is missing.
        self.moved = met.is_some_and(|met| !met.there && !met.was_there && !met.was_of_value);
        if self.class < Class::Extra {
            self.class = Class::Extra;
            self.detail = format!("{extra} of its rows it made before: its value makes another one now");
        }
        self
    }

    /// A row of an earlier value is there, and no run wrote the one that the value makes now: the key has changed.
    pub(super) fn tell_moved(&mut self) {
        if !std::mem::take(&mut self.moved) {
            return;
        }
        for class in [Class::Missing, Class::Rejected] {
            let rows = self.rows.get(class);
            self.rows.add(class, -rows);
            self.rows.add(Class::Stale, rows);
        }
        self.class = self.rows.worst().unwrap_or(Class::Stale);
        self.detail = "its value makes another row now, and the one that a run made of it is there".to_owned();
    }
}
