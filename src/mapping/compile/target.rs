//! One column against the table: its encoder, with the policies that the column's type can have, and how its value is made.

use super::policy::compile_policy;
use super::sameness::comparison;
use super::{Check, score};
use crate::encode::{Encoder, Policy};
use crate::mapping::pattern::Pattern;
use crate::mapping::plan::Target;
use crate::mapping::{ColumnSpec, MappingSpec};
use crate::model::{Column, ColumnType, Table};

impl Check {
    /// A column of the table with what is written to it; `None` where there is nothing to write, or it cannot be written.
    pub(super) fn column(
        &mut self,
        spec: &MappingSpec,
        wanted: &ColumnSpec,
        table: &Table,
        pattern: &Pattern,
    ) -> Option<(Column, Target)> {
        let subject = format!("{}.{}", spec.into, wanted.name);
        let Some(column) = table.column(&wanted.name) else {
            self.missing_column(spec, wanted, subject);
            return None;
        };
        let is_key = spec.key.contains(&wanted.name);
        let lineage = spec.lineage_column() == Some(&wanted.name);
        let policy = self.policy(&subject, wanted, &column.column_type)?;
        let policy = score::keep_infinity(spec, wanted, &column.column_type, policy);
        let Some(encoder) = Encoder::new(column, policy) else {
            let (message, hint) = match &column.column_type {
                ColumnType::Unsupported(name) => {
                    (format!("nothing can be written to the type {name}"), "Leave the column out of the mapping.")
                }
                _ => ("the column is generated and cannot be written".into(), "Leave the column out of the mapping."),
            };
            self.target(subject, message, hint);
            return None;
        };
        if lineage && column.column_type != ColumnType::Jsonb {
            self.target(subject, "lineage needs a jsonb column", "Name another column, or leave `lineage` out.");
            return None;
        }
        self.constants(&subject, wanted, &encoder);
        self.contradictions(&subject, wanted, &encoder, lineage);
        let candidates = self.candidates(&subject, wanted, pattern);
        self.constant_candidates(&subject, &candidates, &encoder);
        let target = Target {
            comparison: comparison(wanted.ignore_changes, lineage, &candidates),
            encoder,
            candidates,
            default: wanted.default.clone(),
            null_as: wanted.null_as.clone(),
            // A NOT NULL column says so of null itself.
            wants_value: wanted.required && !column.not_null,
            required: wanted.required || is_key || (column.not_null && !column.has_default),
            unwrap_json_string: wanted.unwrap_json_string,
            expect: wanted.expect,
            lineage,
            streams: false,
            has_all: false,
        };
        Some((column.clone(), target))
    }

    /// The policies of a column, as far as its type can have them.
    pub(super) fn policy(&mut self, subject: &str, wanted: &ColumnSpec, column_type: &ColumnType) -> Option<Policy> {
        compile_policy(wanted, column_type)
            .map_err(|faults| {
                faults.iter().for_each(|fault| self.critical(subject, fault.message.as_str(), fault.hint))
            })
            .ok()
    }
}
