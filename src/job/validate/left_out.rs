//! Keys that the run which is validated left out, as far as it is known which.

use crate::model::{RedisKey, glob_matches};

/// Keys that a run left out: no row of theirs can be missing.
#[derive(Clone, Debug)]
pub(in crate::job) enum LeftOut {
    /// None of those that are looked at.
    None,
    /// Those that do not match this pattern.
    ButFor(String),
    /// Some, and which is not known.
    Some,
}

impl LeftOut {
    /// Whether a key may be one of them.
    pub(in crate::job) fn may_be(&self, key: &RedisKey) -> bool {
        match self {
            Self::None => false,
            Self::ButFor(pattern) => !glob_matches(pattern.as_bytes(), key.as_bytes()),
            Self::Some => true,
        }
    }

    /// What there is to say of them.
    pub(super) fn said(&self, run: impl std::fmt::Display) -> Option<String> {
        let which = match self {
            Self::None => return None,
            Self::ButFor(pattern) => format!("keys like {pattern} only: others"),
            Self::Some => "a part of the keys only, and which is not known: keys".to_owned(),
        };
        Some(format!("run {run} took {which} without a row count as excluded, not as missing"))
    }
}
