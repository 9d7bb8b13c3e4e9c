//! How many rows may be deleted: so many, or a share of those that there are.

use super::max_rejects::MaxRejects;
use super::value::{Raw, SettingValue};
use serde_json::Value;
use std::fmt;

/// A limit of deletion. Unlike that of rejects, 0 lets none pass; all of them is `100%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteLimit {
    /// So many.
    Rows(u64),
    /// So many of 10,000 rows.
    Share(u64),
}

impl Default for DeleteLimit {
    fn default() -> Self {
        Self::Rows(0)
    }
}

impl fmt::Display for DeleteLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => rows.fmt(f),
            Self::Share(share) => MaxRejects::Share(*share).fmt(f),
        }
    }
}

impl SettingValue for DeleteLimit {
    const KIND: &'static str = MaxRejects::KIND;

    fn read(raw: &Raw) -> Result<Self, String> {
        Ok(match MaxRejects::read(raw)? {
            MaxRejects::Unlimited => Self::Rows(0),
            MaxRejects::Count(rows) => Self::Rows(rows),
            MaxRejects::Share(share) => Self::Share(share),
        })
    }

    fn show(&self) -> Value {
        match self {
            Self::Rows(rows) => (*rows).into(),
            Self::Share(_) => self.to_string().into(),
        }
    }
}
