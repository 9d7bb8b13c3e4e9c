//! A target table as the load needs it: columns in the order of a row's shape, how they compare, what must exist.

use super::load::ProbeGauge;
use crate::model::{Column, ColumnType, MappingId, Shape, TableName};
use crate::postgres::{IncomingKey, exact_text, ident, table_ident};
use std::sync::atomic::{AtomicBool, Ordering};

/// How a column is compared to tell whether a row has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// By the type's own equality: by meaning for jsonb and numbers.
    Value,
    /// As text: the type has no equality, as `json`, or it, or the column's collation, takes different values for equal.
    Text,
    /// As a dump of Redis, which is not always the same of the same key.
    Dump,
    /// As jsonb without the keys of lineage.
    Lineage,
    /// As a time that may be off by a second: a TTL is measured, not stored.
    Expiry,
    /// Not at all: the table itself keeps it.
    Never,
}

/// What to do about a row that is there and differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Update what a run loaded and nobody changed since; leave the rest.
    UpdateOwn,
    /// Redis wins.
    Update,
    /// The table wins.
    Skip,
    /// Reject the record.
    Error,
}

/// A column that the mapping writes.
#[derive(Clone, Debug)]
pub struct LoadColumn {
    /// Its name.
    pub name: String,
    /// How it is compared.
    pub compare: Compare,
    /// Of a dump: the column of its row that has the value itself wherever it is not NULL, and is compared.
    pub value_beside: Option<String>,
    /// Whether it holds the key's time of expiry, in whatever form: that changes while the value stays.
    pub of_expiry: bool,
    /// Its type as SQL, of a domain the one that it stands on: see [`crate::postgres::ColumnSql::base_type`].
    pub base_type: String,
    /// The type to which its text is cast, as SQL; `None` where values are sent in the type's binary form.
    pub cast: Option<String>,
    /// The type that staging tables give it, as SQL, where that is not its own.
    pub staged_type: Option<&'static str>,
    /// Whether its collation takes texts for equal that are not the same.
    pub folds: bool,
    /// The operator by which two keys are the same, as SQL.
    pub equality: String,
    /// Whether a row that lacks it gets another value than NULL when it is inserted.
    pub has_default: bool,
    /// Whether no statement may name it for a row that lacks it, not even to leave it as it is.
    pub stands_apart: bool,
}

impl LoadColumn {
    /// The column of the staged row `s`, as an expression of the target's type.
    pub fn staged(&self) -> String {
        self.staged_as("s")
    }

    /// A value of the column, as an expression that has no other for equal: by its bytes, where the collation would fold it.
    pub(super) fn unfolded(&self, value: String) -> String {
        if self.folds { exact_text(&value) } else { value }
    }

    /// The column of a staged row of that alias, as an expression of the target's type.
    pub(super) fn staged_as(&self, alias: &str) -> String {
        let column = format!("{alias}.{}", ident(&self.name));
        match &self.cast {
            Some(cast) => format!("{column}::{cast}"),
            None => column,
        }
    }
}

/// Where it is kept which Redis key and which value a row was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// In the lineage object of this jsonb column.
    Object(usize),
    /// In text columns.
    Columns {
        /// The one of the key.
        key: usize,
        /// The one of the digest.
        digest: usize,
        /// The one of the database's number, where there is one.
        database: Option<usize>,
        /// The one of the run, where there is one.
        run: Option<usize>,
    },
    /// In the ledger.
    Ledger,
    /// Nowhere: a row tells only that a run wrote it.
    Nowhere,
}

/// A reference that must lead to a row.
#[derive(Clone, Debug)]
pub struct ParentCheck {
    /// The parent's mapping.
    pub mapping: MappingId,
    /// The position of the referring column.
    pub column: usize,
    /// The parent's table.
    pub table: TableName,
    /// The parent's key column.
    pub key: String,
    /// The operator between that column, before it, and the referring one, as SQL: the collation of the former goes for both.
    pub equality: String,
    /// Whether a foreign key checks it anyway: then it is looked at only once one has failed.
    pub foreign_key: bool,
    /// The parent's jsonb column of lineage, where it has rows that an older script left under other ids: a parent that is not
    /// there under its own may be one of them.
    pub lineage: Option<String>,
}

/// A reference of the table's rows to rows of the table itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfReference {
    /// Its columns, each with the column that it refers to.
    pub columns: Vec<SelfReferenceColumn>,
    /// Which of the parent checks it is; `None` where only a foreign key of the table says it.
    pub parent: Option<usize>,
}

/// One column of a reference to the table itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfReferenceColumn {
    /// The position of the referring column.
    pub from: usize,
    /// The column that it refers to.
    pub to: String,
    /// The operator between that column, before it, and the referring one, as SQL.
    pub equality: String,
    /// The position of that column, where the mapping writes it.
    pub to_index: Option<usize>,
}

/// A column that a row's jsonb does not hold as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exact {
    /// Its name.
    pub name: String,
    /// What else is kept of it.
    pub how: Exactly,
}

/// What is kept of a column beside the row's jsonb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exactly {
    /// Its text.
    Text,
    /// Whether it is a null of JSON's own: the type is jsonb.
    JsonNull,
    /// Whether it is a zero below zero: jsonb has no such number.
    NegativeZero,
}

impl Exact {
    /// What must be kept beside the jsonb of a row of these columns; nothing of what is generated, or what nothing can be written to.
    pub fn among(columns: &[Column]) -> Vec<Self> {
        let exact = |column: &Column| {
            let how = match column.column_type {
                _ if column.generated => return None,
                ColumnType::Jsonb => Exactly::JsonNull,
                ColumnType::Float4 | ColumnType::Float8 => Exactly::NegativeZero,
                // Spelling, the lower bounds of an array, and what casts to json make of a type.
                ColumnType::Json | ColumnType::Array(_) | ColumnType::Cast(_) => Exactly::Text,
                _ => return None,
            };
            Some(Self { name: column.name.clone(), how })
        };
        columns.iter().filter_map(exact).collect()
    }
}

/// One mapping's target.
#[derive(Debug)]
pub struct LoadTable {
    /// The mapping's id.
    pub id: MappingId,
    /// The mapping's name.
    pub mapping: String,
    /// The table.
    pub name: TableName,
    /// The mapping's columns; the key columns come first.
    pub columns: Vec<LoadColumn>,
    /// How many key columns there are.
    pub key_columns: usize,
    /// Whether a column is written that is `GENERATED ALWAYS AS IDENTITY`: an INSERT must say that it means it. COPY need not.
    pub overrides_identity: bool,
    /// Whether rows are looked for once they are inserted: a trigger may have given one another key, or taken it out again.
    pub looks_again: bool,
    /// Where the lineage is kept.
    pub provenance: Provenance,
    /// What to do about rows that are there.
    pub conflict: Conflict,
    /// References that must lead to a row.
    pub parents: Vec<ParentCheck>,
    /// References to rows of the table itself: such a row may be new with the one that refers to it.
    pub own_references: Vec<SelfReference>,
    /// What makes its rows of their values: the mapping, its columns and the tool's version.
    pub fingerprint: String,
    /// Whether it pays to ask first which rows are there already; `None`: it cannot be known from key and value alone,
    /// since a parent may have gone unnoticed, or a column holds something else that changes.
    pub probe: Option<ProbeGauge>,
    /// What an image of a row keeps beside its jsonb: of all columns of the table.
    pub exact: Vec<Exact>,
    /// Whether a key is several of its rows.
    pub explodes: bool,
    /// Whether the rows of elements that a key no longer has are to be deleted.
    pub deletes_removed: bool,
    /// Whether a key that is one row may make another one when its value changes, and leave the first behind.
    pub moves_rows: bool,
    /// Whether two keys may be equal to the database and differ in their bytes, as `a` and `A` in citext or by a collation.
    pub loose_key: bool,
    /// The foreign keys by which rows may refer to its rows.
    pub referrers: Vec<IncomingKey>,
    /// Whether it has partitions. Tables that merely inherit from it are others: their rows are not its own.
    pub partitioned: bool,
    /// Whether a row came before the one of its table that it refers to: then each batch is looked through for such rows
    /// before the server finds them.
    pub out_of_order: AtomicBool,
    /// Whether batches still go straight into the table: it was empty at the start and nothing has collided yet.
    pub straight: AtomicBool,
    /// Whether a row that is new in the table is taken to be new in the ledger's lineage too, until one is not.
    pub lineage_is_new: AtomicBool,
}

impl LoadTable {
    /// The quoted, qualified name.
    pub fn ident(&self) -> String {
        table_ident(&self.name)
    }

    /// Its rows, as SQL: without those of tables that inherit from it.
    pub fn rows(&self) -> String {
        if self.partitioned { self.ident() } else { format!("ONLY {}", self.ident()) }
    }

    /// The columns that a shape has, in order.
    pub fn present(&self, shape: Shape) -> impl Iterator<Item = (usize, &LoadColumn)> {
        self.columns.iter().enumerate().filter(move |(index, _)| shape.has(*index))
    }

    /// The quoted names of the columns that a shape has, joined by commas.
    pub fn column_list(&self, shape: Shape) -> String {
        self.list(shape, |column| ident(&column.name))
    }

    /// An expression for each column that a shape has, joined by commas.
    pub fn list(&self, shape: Shape, expression: impl Fn(&LoadColumn) -> String) -> String {
        self.present(shape).map(|(_, column)| expression(column)).collect::<Vec<_>>().join(", ")
    }

    /// Whether values of some column are cast from text.
    pub fn casts(&self) -> bool {
        self.columns.iter().any(|column| column.cast.is_some())
    }

    /// Column `index` of the target's row `t`.
    pub fn of_target(&self, index: usize) -> Option<String> {
        self.columns.get(index).map(|column| format!("t.{}", ident(&column.name)))
    }

    /// The quoted names of the key columns.
    pub fn key_idents(&self) -> impl Iterator<Item = String> + '_ {
        self.columns.iter().take(self.key_columns).map(|column| ident(&column.name))
    }

    /// Whether its rows may refer to one another.
    pub fn refers_to_itself(&self) -> bool {
        !self.own_references.is_empty()
    }

    /// Whether rows that refer to rows of the same table are to be expected before these.
    pub fn is_out_of_order(&self) -> bool {
        self.out_of_order.load(Ordering::Relaxed)
    }

    /// A row came before the one that it refers to: from here on it is looked for such rows, and nothing goes straight.
    pub fn expect_disorder(&self) {
        if self.refers_to_itself() {
            self.out_of_order.store(true, Ordering::Relaxed);
            self.stop_going_straight();
        }
    }

    /// Whether the rows of elements that are gone are deleted: the ledger says which rows came of a key.
    pub fn deletes_gone(&self) -> bool {
        self.deletes_removed && self.provenance == Provenance::Ledger
    }

    /// Whether keys that are one row may have left rows behind, and the ledger says of which key those are.
    pub fn tells_left_rows(&self) -> bool {
        self.moves_rows && self.provenance == Provenance::Ledger
    }

    /// Whether batches go straight into the table.
    pub fn goes_straight(&self) -> bool {
        self.straight.load(Ordering::Relaxed)
    }

    /// Whether the lineage of new rows is inserted without a look at what is there.
    pub fn inserts_lineage(&self) -> bool {
        self.lineage_is_new.load(Ordering::Relaxed)
    }

    /// From here on the lineage of new rows may take the place of what rows left behind that somebody deleted.
    pub fn stop_inserting_lineage(&self) {
        self.lineage_is_new.store(false, Ordering::Relaxed);
    }

    /// From here on every batch of this table is merged.
    pub fn stop_going_straight(&self) {
        self.straight.store(false, Ordering::Relaxed);
    }
}
