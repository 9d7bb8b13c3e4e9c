//! The inserts of a merge: one for each set of columns that rows leave to their defaults, since a statement that names a column
//! sets it.

use super::columns::with_default;
use super::merge::Staged;
use super::statements::ORDINAL;
use crate::model::Shape;
use crate::postgres::query;
use crate::sink::table::{LoadColumn, LoadTable};
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;

impl Staged<'_> {
    /// Inserts the rows of these ordinals, but for those that are there all of a sudden. Gives how many it inserted.
    pub(super) async fn insert(&self, connection: &mut PgConnection, new: &[i32]) -> Result<u64, Error> {
        let (table, all) = (self.attempt.table, self.sql.columns.all);
        let defaults = with_default(table);
        let mut sets = BTreeMap::<u64, Vec<i32>>::new();
        for (ordinal, row) in new.iter().filter_map(|ordinal| Some((*ordinal, self.row(*ordinal)?))) {
            sets.entry(row.shape.0 & defaults.0).or_default().push(ordinal);
        }
        let mut inserted = 0;
        for (given, ordinals) in sets {
            let columns = Shape(all.0 & (given | !defaults.0));
            let every = ordinals.len() == self.rows.len();
            let sql = statement(table, columns, &self.sql.stage, every);
            let insert = if every { query(sql) } else { query(sql).bind(ordinals) };
            inserted += insert.execute(&mut *connection).await?.rows_affected();
        }
        Ok(inserted)
    }
}

/// Inserts these columns of all staged rows, or of the ordinals `$1`.
fn statement(table: &LoadTable, columns: Shape, stage: &str, every: bool) -> String {
    let overriding = if table.overrides_identity { "OVERRIDING SYSTEM VALUE " } else { "" };
    let only = if every { String::new() } else { format!("WHERE s.{ORDINAL} = ANY ($1) ") };
    format!(
        "INSERT INTO {} ({}) {overriding}SELECT {} FROM {stage} s {only}ON CONFLICT ({}) DO NOTHING",
        table.ident(),
        table.column_list(columns),
        table.list(columns, LoadColumn::staged),
        table.key_idents().collect::<Vec<_>>().join(", ")
    )
}
