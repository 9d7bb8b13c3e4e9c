//! Rows of different shapes that are loaded together: which rows those are, and which columns they have.
//!
//! A staging table has the columns that any of its rows has, and says for each row which of them it has. So a batch takes
//! about as many statements however many shapes there are in it. Only where it matters to the server that a column is not even
//! named, rows that have it and rows that do not are kept apart.

use crate::model::{Row, Shape};
use crate::postgres::{CopyBuffer, copy_mixed_rows, copy_rows};
use crate::sink::table::{Compare, LoadColumn, LoadTable};
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;

/// Which columns a staged row has, as a shape; only in a staging table with rows of several shapes.
pub(super) const HAS: &str = "redis2pg_has";

/// The columns of rows that share their statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sink) struct Columns {
    /// Those that any of the rows has.
    pub(in crate::sink) all: Shape,
    /// Those that each of them has.
    common: Shape,
}

impl From<Shape> for Columns {
    fn from(shape: Shape) -> Self {
        Self { all: shape, common: shape }
    }
}

impl Columns {
    /// Those of some rows.
    pub(in crate::sink) fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let mut shapes = rows.into_iter().map(|row| row.shape);
        let first = Self::from(shapes.next().unwrap_or(Shape(0)));
        shapes.fold(first, |columns, shape| Self {
            all: Shape(columns.all.0 | shape.0),
            common: Shape(columns.common.0 & shape.0),
        })
    }

    /// Whether the rows are of several shapes.
    pub(in crate::sink) fn differ(self) -> bool {
        self.all != self.common
    }

    /// Whether the staged row `s` has column `index`, as a condition; `None` where each row has it.
    pub(in crate::sink) fn condition(self, index: usize) -> Option<String> {
        (!self.common.has(index)).then(|| format!("s.{HAS} >> {index} & 1 = 1"))
    }
}

/// The columns that the rows of one staging table all have or all lack.
pub(in crate::sink) fn kept_apart_in_stage(table: &LoadTable) -> Shape {
    // Rows that refer to one another go in by one statement, and one that leaves a column to its default does not name it.
    let by_default = |column: &LoadColumn| column.has_default && table.refers_to_itself();
    // The probe looks for those that expire at the same time.
    let expires = |column: &LoadColumn| column.compare == Compare::Expiry;
    shape_of(table, |column| column.stands_apart || expires(column) || by_default(column))
}

/// The columns that the rows of one COPY straight into the table all have or all lack.
pub(super) fn kept_apart_in_copy(table: &LoadTable) -> Shape {
    shape_of(table, |column| column.stands_apart || column.has_default)
}

/// The columns with a default: a statement that names one sets it.
pub(super) fn with_default(table: &LoadTable) -> Shape {
    shape_of(table, |column| column.has_default)
}

fn shape_of(table: &LoadTable, is: impl Fn(&LoadColumn) -> bool) -> Shape {
    let bits = table.columns.iter().enumerate().filter(|(_, column)| is(column)).map(|(index, _)| 1 << index);
    Shape(bits.fold(0, |shape, bit| shape | bit))
}

/// The places of rows that are loaded together, in order: of those that have the same columns among `apart`.
pub(in crate::sink) fn grouped(rows: &[Row], apart: Shape) -> Vec<Vec<usize>> {
    let mut groups = BTreeMap::<u64, Vec<usize>>::new();
    for (index, row) in rows.iter().enumerate() {
        groups.entry(row.shape.0 & apart.0).or_default().push(index);
    }
    groups.into_values().collect()
}

/// Sends rows that have these columns by the COPY `statement`; gives how many the server took. `numbered`: to a staging table, each
/// with its place, and with its shape where they are of several.
pub(in crate::sink) async fn send(
    connection: &mut PgConnection,
    buffer: &mut CopyBuffer,
    statement: &str,
    (rows, columns): (&[&Row], Columns),
    numbered: bool,
) -> Result<u64, Error> {
    if columns.differ() {
        copy_mixed_rows(connection, buffer, statement, (rows, columns.all), numbered).await
    } else {
        copy_rows(connection, buffer, statement, rows, numbered).await
    }
}
