//! The rows that there are of a key that is several, beside those that it makes now: of elements that are gone from it, or of a key of
//! the same name that a cleanup deleted.

use crate::model::RedisKey;
use crate::postgres::{query, refuses_value, script};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row as _};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How many rows there are, by the run that wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RowsOfKey {
    of_run: BTreeMap<String, i64>,
    /// The runs after which a cleanup deleted the key.
    cleaned: HashSet<String>,
}

/// Rows of a key that it does not make now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Others {
    /// Of a key of the same name that a cleanup deleted: the key that is there never had their elements, as far as is known.
    pub(super) kept: i64,
    /// Of elements that are gone from the key.
    pub(super) extra: i64,
}

impl RowsOfKey {
    /// Those that are not among the rows that the key makes now: `met`, by the run that wrote them.
    pub(super) fn beside(&self, met: &BTreeMap<String, i64>) -> Others {
        let left = |run: &String, rows: i64| rows - met.get(run).copied().unwrap_or(0);
        let cleaned = self.of_run.iter().filter(|(run, _)| self.cleaned.contains(*run));
        let kept = cleaned.map(|(run, rows)| left(run, *rows).max(0)).sum();
        let all = self.of_run.values().sum::<i64>() - met.values().sum::<i64>();
        Others { kept, extra: (all - kept).max(0) }
    }

    /// The runs that wrote them.
    pub(super) fn runs(&self) -> impl Iterator<Item = &String> {
        self.of_run.keys()
    }

    /// Notes that a cleanup deleted the key after this run.
    pub(super) fn note_cleaned(&mut self, run: String) {
        self.cleaned.insert(run);
    }
}

/// Reads the rows of each key, by its place. Nothing is known where the ledger has rows of a former table of this name, whose keys
/// do not fit this one. `table`: its name in the ledger.
pub(super) async fn read(
    connection: &mut PgConnection,
    (settings, sql): (&str, &str),
    table: &str,
    keys: &[RedisKey],
) -> Result<HashMap<usize, RowsOfKey>, Error> {
    let mut transaction = connection.begin().await?;
    script(settings).execute(&mut *transaction).await?;
    let bytes: Vec<&[u8]> = keys.iter().map(RedisKey::as_bytes).collect();
    let rows = query(sql).bind(table).bind(bytes).fetch_all(&mut *transaction).await;
    transaction.rollback().await?;
    let rows = match rows {
        Err(error) if refuses_value(&error) => {
            tracing::warn!(
                "rows of {table} whose elements are gone are not looked for: redis2pg.loaded has keys that do not fit ({error})"
            );
            return Ok(HashMap::new());
        }
        rows => rows?,
    };
    let mut found = HashMap::<usize, RowsOfKey>::new();
    for (place, run, rows) in rows.iter().map(of_run).collect::<Result<Vec<_>, _>>()? {
        found.entry(place).or_default().of_run.insert(run, rows);
    }
    Ok(found)
}

fn of_run(row: &PgRow) -> Result<(usize, String, i64), Error> {
    let place = usize::try_from(row.try_get::<i64, _>("place")?).unwrap_or(usize::MAX);
    Ok((place, row.try_get("run")?, row.try_get("rows")?))
}

#[cfg(test)]
mod tests {
    use super::{Others, RowsOfKey};
    use std::collections::BTreeMap;

    fn of(counts: &[(&str, i64)]) -> BTreeMap<String, i64> {
        counts.iter().map(|(run, rows)| ((*run).to_owned(), *rows)).collect()
    }

    #[test]
    fn rows_of_a_key_that_a_cleanup_deleted_are_told_from_those_of_elements_that_are_gone() {
        let rows = RowsOfKey { of_run: of(&[("first", 5), ("second", 3)]), cleaned: ["first".to_owned()].into() };
        // One element of the deleted key is in the new one, too.
        assert_eq!(rows.beside(&of(&[("first", 1), ("second", 2)])), Others { kept: 4, extra: 1 });
        assert_eq!(rows.beside(&of(&[("first", 5), ("second", 3)])), Others::default());
        assert_eq!(RowsOfKey::default().beside(&of(&[("second", 3)])), Others::default());
        let none = RowsOfKey { cleaned: [].into(), ..rows };
        assert_eq!(none.beside(&of(&[("second", 3)])), Others { kept: 0, extra: 5 });
    }
}
