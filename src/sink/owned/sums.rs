//! Sums over rows by slice: whether two looks at a table had the same rows, without holding them.
//!
//! A row is known by a hash of its key. The rows of a table are distinct, so that as many rows with the same sum of hashes are the
//! same rows, but for a chance of one in 2⁶⁴; a row that was met twice makes both differ.

use super::OwnedReader;
use super::read::{ONLY, PLACE};
use super::slices::{Extent, Slice};
use crate::ledger::RunTable;
use crate::postgres::{ident, query, script, table_ident};
use crate::sink::ownership::{TEXT_SETTINGS, owner};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row};
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// So many rows, and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowSum {
    /// How many.
    pub rows: i64,
    /// The sum, as it wraps.
    pub hash: u64,
}

impl AddAssign for RowSum {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.hash = self.hash.wrapping_add(other.hash);
    }
}

/// The sums of a table, by the number of the slice: see [`Extent`].
pub type SliceSums = BTreeMap<u64, RowSum>;

/// What is to be summed up beside a comparison: the rows that were met and that one of some runs wrote.
#[derive(Clone, Debug)]
pub struct SumsWanted {
    /// The runs, as text.
    pub runs: Vec<String>,
    /// By mapping the pages of a slice of its table. Mappings that are not there are not summed up.
    pub steps: BTreeMap<String, u64>,
}

/// The hash of row `t`, as an expression of type bigint. Keys are spelled by [`TEXT_SETTINGS`].
pub(in crate::sink) fn hash<'k>(key_columns: impl Iterator<Item = &'k str>) -> String {
    let keys: Vec<String> = key_columns.map(|name| format!("t.{}", ident(name))).collect();
    // Several as a row: what divides them is quoted where it is in them.
    let key = if let [key] = keys.as_slice() { key.clone() } else { format!("ROW({})", keys.join(", ")) };
    format!("pg_catalog.hashtextextended({key}::text, 20)")
}

/// The slice that row `t` is in, as an expression. `step`: pages of a slice.
pub(in crate::sink) fn slice(step: u64) -> String {
    format!("(t.ctid::text::point)[0]::bigint / {step}")
}

/// Reads a sum from the columns `rows` and `hash`.
pub(in crate::sink) fn row_sum(row: &PgRow) -> Result<RowSum, Error> {
    let hash: i128 = row.try_get::<String, _>("hash")?.parse().map_err(|error| Error::Decode(Box::new(error)))?;
    // The lower half is what a sum that wraps would have.
    Ok(RowSum { rows: row.try_get("rows")?, hash: hash as u64 })
}

/// The statement that sums up a slice. `$1`: the table's name in the ledger; `$2`: the runs, as text.
pub(super) fn statement(table: &RunTable) -> String {
    format!(
        "WITH g AS MATERIALIZED (SELECT t.xmin AS writer, pg_catalog.count(*) AS rows, pg_catalog.sum({}) AS hash FROM {ONLY}{} t \
         WHERE {PLACE} GROUP BY t.xmin) SELECT coalesce(pg_catalog.sum(g.rows), 0)::bigint AS rows, \
         coalesce(pg_catalog.sum(g.hash), 0)::text AS hash \
         FROM g WHERE {} = ANY ($2)",
        hash(table.key_columns.iter().map(String::as_str)),
        table_ident(&table.table),
        owner("g.writer", "$1", None),
    )
}

impl OwnedReader {
    /// The sum of those rows of a slice that one of the runs wrote, in a transaction of its own. A row that a trigger changed in a
    /// run's transaction counts too.
    ///
    /// # Errors
    /// The server's.
    pub async fn sum(&self, connection: &mut PgConnection, extent: &Extent, number: u64) -> Result<RowSum, Error> {
        let mut transaction = connection.begin().await?;
        script(TEXT_SETTINGS).execute(&mut *transaction).await?;
        let Slice { condition, only } = extent.slice(number);
        let row = query(self.sums.replacen(ONLY, only, 1).replacen(PLACE, &condition, 1))
            .bind(self.table.to_string())
            .bind(&self.runs)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        row_sum(&row)
    }
}

#[cfg(test)]
mod tests {
    use super::RowSum;

    #[test]
    fn sums_wrap() {
        let mut sum = RowSum { rows: 1, hash: u64::MAX };
        sum += RowSum { rows: 2, hash: 3 };
        assert_eq!(sum, RowSum { rows: 3, hash: 2 });
        assert_eq!(-5_i128 as u64, u64::MAX - 4);
    }
}
