//! Owned rows: those of a table that given runs wrote, or whose lineage names one of them, slice by slice.
//!
//! A slice is a range of pages of the table, of each of its partitions, so that what is held at once does not grow with the
//! table, and no index is needed. A row that is written while the slices go by may move to a later one; it is
//! somebody else's then.

mod read;
mod slices;
mod sums;

pub use slices::Extent;
pub use sums::{RowSum, SliceSums, SumsWanted};
pub(in crate::sink) use sums::{hash, row_sum, slice};

use crate::ledger::{LineagePlace, RunTable};
use crate::model::TableName;
use crate::postgres::{ident, literal};
use uuid::Uuid;

/// One row that is owned, or once was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRow {
    /// The row's key as the ledger writes it: a JSON object of the key columns.
    pub row_key: String,
    /// The lower half of the id of the transaction that wrote the row.
    pub xmin: i64,
    /// The run that wrote it, if nobody changed it since: of whatever run.
    pub owner: Option<String>,
    /// The run that its lineage names; `None` where the lineage is not kept, or does not tell.
    pub lineage_run: Option<String>,
    /// The Redis key that it was made from, where that is told.
    pub redis_key: Option<Vec<u8>>,
    /// The number of that key's database as its lineage has it; `None`: the own one of the run's source.
    pub redis_db: Option<String>,
    /// The digest of the value that it was made from.
    pub digest: Option<String>,
    /// When Redis was to expire the key, as text that PostgreSQL reads as timestamptz.
    pub expires_at: Option<String>,
}

/// Reads the owned rows of one table.
#[derive(Clone, Debug)]
pub struct OwnedReader {
    table: TableName,
    /// The runs, as text.
    runs: Vec<String>,
    sql: String,
    /// The statement of [`OwnedReader::sum`].
    sums: String,
}

impl OwnedReader {
    /// A reader of the rows of `table` that are of one of `runs`, by who wrote them or by their lineage.
    pub fn new(table: &RunTable, runs: &[Uuid]) -> Self {
        Self::told(table, runs, true)
    }

    /// The same; `told`: whether lineage is kept there for all rows, so that a row is a run's only if it names that run.
    pub fn told(table: &RunTable, runs: &[Uuid], told: bool) -> Self {
        let runs = runs.iter().map(Uuid::to_string).collect();
        let (sql, sums) = (read::statement(table, told), sums::statement(table));
        Self { table: table.table.clone(), runs, sql, sums }
    }
}

/// The run that the lineage of row `t` names, as an expression of type text; `None` where that is not kept. `name`: the table's
/// in the ledger, as an expression.
pub(in crate::sink) fn named_run(table: &RunTable, name: &str) -> Option<String> {
    match &table.lineage {
        LineagePlace::Ledger => Some(format!(
            "SELECT w.run_id::text FROM redis2pg.loaded w WHERE w.table_name = {name} AND w.row_key = {}",
            row_key("t", &table.key_columns)
        )),
        LineagePlace::Object { .. } | LineagePlace::Columns { run: Some(_), .. } => Some(lineage(table).run),
        LineagePlace::Columns { .. } | LineagePlace::Nowhere => None,
    }
}

/// The key of a row of that alias as the ledger writes it, as an expression of type jsonb.
pub(in crate::sink) fn row_key(alias: &str, key_columns: &[String]) -> String {
    let pair = |name: &String| format!("{}, {alias}.{}", literal(name), ident(name));
    format!("pg_catalog.jsonb_build_object({})", key_columns.iter().map(pair).collect::<Vec<_>>().join(", "))
}

/// What the lineage of a row says, as expressions.
pub(in crate::sink) struct LineageOf {
    /// The run, as text.
    pub(in crate::sink) run: String,
    /// The Redis key, as bytes.
    pub(in crate::sink) key: String,
    /// The database's number, as text.
    pub(in crate::sink) database: String,
    /// The digest.
    pub(in crate::sink) digest: String,
    /// The time of expiry, as text.
    pub(in crate::sink) expires_at: String,
}

/// The lineage of row `t`; `l` is its row of `redis2pg.loaded`, where the ledger has it.
pub(in crate::sink) fn lineage(table: &RunTable) -> LineageOf {
    let nothing = || "NULL::text".to_owned();
    let column = |name: &String| format!("t.{}::text", ident(name));
    let named = |name: &Option<String>| name.as_ref().map_or_else(nothing, column);
    let mut found = match &table.lineage {
        LineagePlace::Object { column } => {
            let object = format!("t.{}", ident(column));
            let own = |key: &str| format!("{object} -> 'redis2pg' ->> '{key}'");
            LineageOf {
                run: own("run"),
                key: format!("pg_catalog.convert_to({object} ->> 'redis_key', 'UTF8')"),
                database: own("database"),
                digest: own("digest"),
                expires_at: own("expires_at"),
            }
        }
        LineagePlace::Columns { key, digest, database, run, expires_at } => LineageOf {
            run: named(run),
            key: format!("pg_catalog.convert_to({}, 'UTF8')", column(key)),
            database: named(database),
            digest: column(digest),
            expires_at: named(expires_at),
        },
        LineagePlace::Ledger => LineageOf {
            run: "l.run_id::text".to_owned(),
            key: "l.redis_key".to_owned(),
            database: "l.redis_db::text".to_owned(),
            digest: "l.digest".to_owned(),
            expires_at: nothing(),
        },
        LineagePlace::Nowhere => LineageOf {
            run: nothing(),
            key: "NULL::bytea".to_owned(),
            database: nothing(),
            digest: nothing(),
            expires_at: nothing(),
        },
    };
    if found.expires_at == nothing() {
        found.expires_at = named(&table.expiry);
    }
    found
}
