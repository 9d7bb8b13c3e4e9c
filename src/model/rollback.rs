//! What a rollback came to: rows by table and outcome, and the rows that it kept.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Why a row was kept. The names are those of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptReason {
    /// Somebody changed the row after the run.
    Changed,
    /// Somebody deleted the row after the run: what it was before is not put back.
    Deleted,
    /// A row that is not the run's refers to it.
    ReferredTo,
    /// The row from before cannot be put back: another row has what must be unique.
    PlaceTaken,
    /// The row from before cannot be put back: a row that it refers to is not there.
    MissingParent,
    /// It cannot be told which row is meant: its key is there more than once, or another row has the same lineage.
    Ambiguous,
    /// Another run wrote the row since, and is not rolled back, or its rollback kept the row.
    OtherRun,
    /// Another row of the same key is kept.
    KeyKept,
    /// The server took the statement and left the row: a trigger or a policy keeps it.
    NotDone,
    /// The server refuses it.
    Refused,
}

impl KeptReason {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Deleted => "deleted",
            Self::ReferredTo => "referred_to",
            Self::PlaceTaken => "place_taken",
            Self::MissingParent => "missing_parent",
            Self::Ambiguous => "ambiguous",
            Self::OtherRun => "other_run",
            Self::KeyKept => "key_kept",
            Self::NotDone => "not_done",
            Self::Refused => "refused",
        }
    }

    /// Whether it may be over once other rows of the run are gone.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::ReferredTo | Self::PlaceTaken | Self::MissingParent)
    }
}

impl fmt::Display for KeptReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Changed => "changed since",
            Self::Deleted => "deleted since",
            Self::ReferredTo => "referred to by a row that is not the run's",
            Self::PlaceTaken => "its place is taken",
            Self::MissingParent => "what it refers to is not there",
            Self::Ambiguous => "another row has the same key or lineage",
            Self::OtherRun => "another run wrote it since",
            Self::KeyKept => "another row of the same key is kept",
            Self::NotDone => "a trigger or a policy keeps it",
            Self::Refused => "the server refuses it",
        })
    }
}

/// A row that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRow {
    /// Its key, as a JSON object of the key columns.
    pub row_key: String,
    /// The Redis key that it came from, where that is told.
    pub redis_key: Option<Vec<u8>>,
    /// Why.
    pub reason: KeptReason,
    /// The constraint, table or message that it is about; may be empty.
    pub detail: String,
}

/// What was done with the rows of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableAccount {
    /// Rows that the run inserted, and that are gone.
    pub deleted: u64,
    /// Rows that the run changed or deleted, and that are as they were.
    pub restored: u64,
    /// Rows that were kept, by reason.
    pub kept: BTreeMap<KeptReason, u64>,
    /// The table itself: dropped, or why it was kept; `None`: the run did not make it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// What of it the audit log has, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audited: Option<Audited>,
    /// Whether it was not looked at: it, or its key columns, were gone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
}

/// Rows that the audit log has been told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// Of those that are gone.
    pub deleted: u64,
    /// Of those that are as they were.
    pub restored: u64,
}

/// What is said of a table that the run made, and that is gone with its rows.
pub const DROPPED: &str = "dropped";

impl TableAccount {
    /// Whether it was the run's own table, and was dropped.
    pub fn is_dropped(&self) -> bool {
        self.table.as_deref() == Some(DROPPED)
    }

    /// How many rows were kept.
    pub fn kept(&self) -> u64 {
        self.kept.values().sum()
    }
}

/// What a rollback did so far, by table as `schema.table`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RollbackAccount {
    /// The tables.
    pub tables: BTreeMap<String, TableAccount>,
}

impl RollbackAccount {
    /// The account of a table.
    pub fn table(&mut self, name: &str) -> &mut TableAccount {
        self.tables.entry(name.to_owned()).or_default()
    }

    /// Whether nothing is left that may be done once its reason is gone: no row was kept, no table left out, and none that the run made
    /// is there.
    pub fn is_settled(&self) -> bool {
        let is_open =
            |table: &TableAccount| table.kept() > 0 || table.left_out || table.table.is_some() && !table.is_dropped();
        !self.tables.values().any(is_open)
    }

    /// Rows deleted, restored and kept, in all tables.
    pub fn totals(&self) -> (u64, u64, u64) {
        self.tables.values().fold((0, 0, 0), |(deleted, restored, kept), table| {
            (deleted + table.deleted, restored + table.restored, kept + table.kept())
        })
    }
}
