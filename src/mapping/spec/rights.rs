//! Rights on a table that is made.

use serde::{Deserialize, Serialize};

/// A right on a table, by its name in SQL, in upper or lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Right {
    /// SELECT
    #[serde(alias = "select")]
    Select,
    /// INSERT
    #[serde(alias = "insert")]
    Insert,
    /// UPDATE
    #[serde(alias = "update")]
    Update,
    /// DELETE
    #[serde(alias = "delete")]
    Delete,
    /// TRUNCATE
    #[serde(alias = "truncate")]
    Truncate,
    /// REFERENCES
    #[serde(alias = "references")]
    References,
    /// TRIGGER
    #[serde(alias = "trigger")]
    Trigger,
    /// All of them.
    #[serde(alias = "all")]
    All,
}

impl Right {
    /// Its name in SQL.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
            Self::References => "REFERENCES",
            Self::Trigger => "TRIGGER",
            Self::All => "ALL",
        }
    }
}
