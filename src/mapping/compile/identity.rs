//! What identifies a row: nothing that a second run would see otherwise although nothing was changed, and with keys of several
//! databases something that tells them apart.

use super::Check;
use super::decoding::Mistake;
use crate::mapping::candidate::Candidate;
use crate::mapping::source::Source;
use crate::mapping::{CandidateSpec, ColumnSpec, LineageApart, LineageSpec, MappingSpec};

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

    /// Whether keys of different databases are told apart; `own` is the number of the source's own.
    pub(super) fn told_apart(&mut self, spec: &MappingSpec, subject: &str, own: u8) {
        if let Err(mistake) = told_apart(spec, own) {
            self.mistake(subject.to_owned(), mistake);
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

/// What a mapping needs so that keys of different databases are told apart.
fn told_apart(spec: &MappingSpec, own: u8) -> Result<(), Mistake> {
    match &spec.lineage {
        Some(LineageSpec::Columns { columns }) if columns.database.is_none() && spec.databases.go_beyond(own) => {
            let message =
                "`lineage` has no column for the database, and `databases` names another one than the source's";
            Err((message.to_owned(), "Add `database = \"…\"` to its `columns`: an integer column."))
        }
        Some(LineageSpec::Apart(LineageApart::None)) if spec.databases.are_several() && !key_has_database(spec) => {
            let message = "`databases` names several, and without lineage a key of one would overwrite that of another";
            Err((message.to_owned(), "Add a column from `redis.db` to `key`, or give `lineage` a place."))
        }
        _ => Ok(()),
    }
}

fn key_has_database(spec: &MappingSpec) -> bool {
    // It is never absent: candidates behind it would not be looked at, and one before it would hide it.
    let first = |column: &ColumnSpec| match column.from.first() {
        Some(CandidateSpec::Source(source)) => source == Source::DATABASE,
        _ => false,
    };
    spec.columns.iter().any(|column| spec.key.contains(&column.name) && first(column))
}
