//! Candidates and constants that are never looked at, since one before them always has a value.

use super::Check;
use crate::mapping::ColumnSpec;
use crate::mapping::candidate::Candidate;
use crate::mapping::source::Source;

const HINT: &str = "Take it out, or put the one that always has a value last.";

impl Check {
    /// What stands behind a candidate that always gives a value. `candidates` are those of the column's sources.
    pub(super) fn unreachable(&mut self, subject: &str, column: &ColumnSpec, candidates: &[Candidate]) {
        if candidates.len() != column.from.len() {
            return;
        }
        let Some(last) = candidates.iter().position(|candidate| candidate.always_gives(column)) else { return };
        let gives = |candidate: &Candidate| format!("`{}` always has a value", candidate.label);
        let Some(giver) = candidates.get(last).map(gives) else { return };
        if let Some(next) = candidates.get(last + 1) {
            self.critical(subject, format!("`from`: {giver}: `{}` is never looked at", next.label), HINT);
        }
        for (setting, given) in [("default", &column.default), ("null_as", &column.null_as)] {
            if given.is_some() {
                self.critical(subject, format!("`{setting}` is never needed: {giver}"), HINT);
            }
        }
    }
}

impl Candidate {
    /// Whether it has a value on every record, and one that is not null.
    pub(super) fn always_gives(&self, column: &ColumnSpec) -> bool {
        if self.when.is_some() {
            return false;
        }
        let names_null = column.empty_as_null || !column.null_tokens.is_empty();
        match &self.source {
            // What functions make of a constant is looked at elsewhere: where it is nothing, that is a mistake.
            Source::Text(text) => !(column.null_tokens.contains(text) || column.empty_as_null && text.is_empty()),
            Source::Json(text) => !names_null || !text.starts_with('"'),
            _ if names_null || !self.with.is_empty() => false,
            // A capture that takes nothing makes the key a reject.
            Source::Template(template) => template.paths().next().is_none(),
            Source::Key | Source::Type | Source::Database | Source::Digest | Source::RunId | Source::RunTime => true,
            // Only where a key is taken apart; elsewhere it is refused.
            Source::ElementIndex => true,
            _ => false,
        }
    }
}
