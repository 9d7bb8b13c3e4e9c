//! What may identify a row: nothing that a second run would see otherwise although nothing was changed.

use super::Check;
use crate::mapping::candidate::Candidate;
use crate::mapping::source::Source;
use crate::mapping::{ColumnSpec, MappingSpec};

impl Check {
    /// A column of the key whose sources say something about the reading, so that each run would make rows of its own.
    pub(super) fn volatile_key(&mut self, spec: &MappingSpec, subject: &str, column: &ColumnSpec, read: &[Candidate]) {
        if !spec.key.contains(&column.name) {
            return;
        }
        if let Some(candidate) = read.iter().find(|candidate| candidate.source.is_volatile()) {
            let message = format!(
                "`from`: `{}` is another one in the next run, and the column is part of `key`: that run would insert \
                 all rows again",
                candidate.label
            );
            let hint = "Take the column out of `key`, or feed it from the key or the value, such as \"{id}\".";
            self.critical(subject, message, hint);
        }
    }
}

impl Source {
    /// Whether it may differ from run to run though the key has the same value. Of a time of expiry some servers tell only
    /// what is left, and a key that is written again often has another one.
    fn is_volatile(&self) -> bool {
        matches!(self, Self::RunId | Self::RunTime | Self::Ttl | Self::Idle | Self::Version | Self::ExpiresAt)
    }
}
