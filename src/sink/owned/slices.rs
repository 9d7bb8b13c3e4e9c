//! How a table is cut: by ranges of pages, the same in each of its partitions.

use crate::model::TableName;
use crate::postgres::query;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// So many pages are read at once, in all partitions together: a megabyte, of which keys are a small part.
const PAGES: u64 = 128;

/// The first version whose plans go to a range of places directly.
const RANGES: i32 = 140_000;

/// How far a table goes, of which slices are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The pages of its largest partition.
    pages: u64,
    /// Pages of each partition in a slice.
    step: u64,
    /// The most rows that a page can hold; `None`, where the server reads ranges.
    most_rows: Option<u64>,
    /// Whether it is an ordinary table: rows of those that inherit from it are not its own.
    is_ordinary: bool,
}

/// A slice of a table.
pub(super) struct Slice {
    /// What is true of its rows `t`.
    pub(super) condition: String,
    /// What stands before the table's name.
    pub(super) only: &'static str,
}

impl Extent {
    /// Reads it, inside the caller's transaction. Foreign partitions have no places: their rows are nobody's.
    pub(super) async fn read(connection: &mut PgConnection, table: &TableName) -> Result<Self, Error> {
        let row = query(
            "WITH RECURSIVE parts AS (SELECT c.oid, c.relkind, true AS is_root FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 \
             UNION SELECT c.oid, c.relkind, false FROM parts p JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid \
               JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid) \
             SELECT pg_catalog.count(*) AS parts, \
             coalesce(pg_catalog.max(pg_catalog.pg_relation_size(p.oid)), 0) / pg_catalog.current_setting('block_size')::bigint AS pages, \
             pg_catalog.bool_or(p.is_root AND p.relkind = 'r') AS is_ordinary, \
             pg_catalog.current_setting('block_size')::bigint AS block_size, pg_catalog.current_setting('server_version_num')::int AS version \
             FROM parts p WHERE p.relkind = 'r' AND (p.is_root OR NOT (SELECT r.relkind = 'r' FROM parts r WHERE r.is_root))",
        )
        .bind(&table.schema)
        .bind(&table.table)
        .fetch_one(connection)
        .await?;
        let (parts, pages): (i64, i64) = (row.try_get("parts")?, row.try_get("pages")?);
        let block_size: i64 = row.try_get("block_size")?;
        // A row has a pointer of 4 bytes and a header of 24.
        let most_rows = (row.try_get::<i32, _>("version")? < RANGES).then(|| block_size.cast_unsigned() / 28);
        let step = (PAGES / parts.cast_unsigned().max(1)).max(1);
        Ok(Self {
            pages: pages.cast_unsigned(),
            step,
            most_rows,
            is_ordinary: row.try_get::<Option<bool>, _>("is_ordinary")?.unwrap_or(false),
        })
    }

    /// How many slices there are.
    pub fn slices(&self) -> u64 {
        self.pages.div_ceil(self.step)
    }

    /// Pages of each partition in a slice.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// A slice, by its number from 0.
    pub(super) fn slice(&self, number: u64) -> Slice {
        let (from, to) = (number * self.step, (number + 1) * self.step);
        let condition = match self.most_rows {
            None => format!("t.ctid >= '({from},0)'::tid AND t.ctid < '({to},0)'::tid"),
            Some(most) => format!(
                "t.ctid = ANY (ARRAY(SELECT pg_catalog.format('(%s,%s)', p, o)::tid \
                 FROM pg_catalog.generate_series({from}::bigint, {}::bigint) p, \
                 pg_catalog.generate_series(1, {most}) o))",
                to - 1
            ),
        };
        Slice { condition, only: if self.is_ordinary { "ONLY " } else { "" } }
    }
}

#[cfg(test)]
mod tests {
    use super::Extent;

    #[test]
    fn slices_cover_all_pages_once() {
        let extent = Extent { pages: 10, step: 4, most_rows: None, is_ordinary: true };
        assert_eq!(extent.slices(), 3);
        let conditions: Vec<String> = (0..3).map(|number| extent.slice(number).condition).collect();
        assert_eq!(
            conditions,
            [
                "t.ctid >= '(0,0)'::tid AND t.ctid < '(4,0)'::tid",
                "t.ctid >= '(4,0)'::tid AND t.ctid < '(8,0)'::tid",
                "t.ctid >= '(8,0)'::tid AND t.ctid < '(12,0)'::tid",
            ]
        );
        assert_eq!(Extent { pages: 0, ..extent }.slices(), 0);
        let old = Extent { most_rows: Some(292), ..extent }.slice(1).condition;
        assert!(old.contains("pg_catalog.generate_series(4::bigint, 7::bigint)") && old.contains("(1, 292)"), "{old}");
    }
}
