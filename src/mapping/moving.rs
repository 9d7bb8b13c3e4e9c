//! Key columns that come from the value: when it changes, its key makes another row, and the one that it made before stays.

use super::candidate::Candidate;
use super::compile::Check;
use super::plan::Target;
use super::source::Source;
use super::{Lineage, Mapping, MappingSpec};
use crate::model::{Column, Finding, Side};

impl Mapping {
    /// Whether a key that is one row may make another one later, and leave the first behind. Rows of keys that are several are told
    /// apart by their elements.
    pub fn may_move_rows(&self) -> bool {
        !self.explodes() && first_moving(&self.columns, &self.targets, self.key_columns).is_some()
    }
}

impl Check {
    /// A column of `key` that comes from the value, where a key is one row.
    pub(super) fn moving_key(&mut self, spec: &MappingSpec, (columns, targets): (&[Column], &[Target]), kept: Lineage) {
        let Some(column) = first_moving(columns, targets, spec.key.len()).filter(|_| !spec.explodes()) else { return };
        let message = format!(
            "key column `{column}` comes from the value: when that changes, its key makes another row, and the one before stays"
        );
        let found = match kept {
            Lineage::Ledger => "`redis2pg validate --strict` finds such rows as `extra`",
            _ => {
                "with `lineage = \"ledger\"` `redis2pg validate --strict` finds such rows as `extra`, and nothing does as it is"
            }
        };
        let hint = format!(
            "Feed it from the key where that has it, or take it out of `key` if the table allows; else {found}, and they are yours to delete."
        );
        self.findings.push(Finding::warning(Side::Settings, format!("{}.{column}", spec.into), message, hint));
    }
}

/// The first column of the key that something else says than the name and the database of a key.
fn first_moving<'c>(columns: &'c [Column], targets: &[Target], key_columns: usize) -> Option<&'c str> {
    let keys = columns.iter().zip(targets).take(key_columns);
    let mut moving = keys.filter(|(_, target)| !target.candidates.iter().all(Candidate::is_of_name));
    moving.next().map(|(column, _)| column.name.as_str())
}

impl Candidate {
    /// Whether it says the same of a key whatever its value is.
    fn is_of_name(&self) -> bool {
        let is_fixed = match &self.source {
            Source::Key | Source::Database | Source::Text(_) | Source::Json(_) => true,
            Source::Template(template) => template.paths().next().is_none(),
            _ => false,
        };
        is_fixed && self.when.is_none()
    }
}
