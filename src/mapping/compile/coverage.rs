//! Whether a mapping and its table have the same columns.

use super::Check;
use crate::config::nearest;
use crate::mapping::{ColumnSpec, MappingSpec};
use crate::model::{Column, Finding, Side, Table};
use crate::postgres::{shown_ident, shown_table};

impl Check {
    /// Whether the columns that the mapping names are there, each once.
    pub(super) fn own_coverage(&mut self, spec: &MappingSpec) {
        if spec.key.is_empty() {
            let message = "`key` names no column";
            self.critical(format!("mapping {}", spec.name), message, "Name the columns that identify a row.");
        }
        for key in &spec.key {
            if !spec.columns.iter().any(|column| column.name == *key) {
                let message = format!("`key` names the column {key}, which the mapping does not write");
                self.critical(format!("mapping {}", spec.name), message, &which_column(spec, key));
            }
        }
        for (index, column) in spec.columns.iter().enumerate() {
            if spec.columns.iter().take(index).any(|earlier| earlier.name == column.name) {
                self.critical(format!("{}.{}", spec.into, column.name), "the column is mapped twice", TWICE);
            }
        }
        if let Some(lineage) = spec.lineage_column()
            && !spec.columns.iter().any(|column| column.name == lineage)
        {
            let message = format!("`lineage` names the column {lineage}, which is not among the columns");
            self.critical(format!("mapping {}", spec.name), message, "Add it, with `from = []`.");
        }
    }

    pub(super) fn coverage(&mut self, spec: &MappingSpec, table: &Table, columns: &[Column]) {
        self.own_coverage(spec);
        for column in &table.columns {
            let mapped = columns.iter().any(|mapped| mapped.name == column.name)
                || spec.columns.iter().any(|mapped| mapped.name == column.name);
            if column.not_null && !column.has_default && !column.generated && !mapped {
                let subject = format!("{}.{}", spec.into, column.name);
                let message = "NOT NULL without a default, and no column of the mapping feeds it";
                let alter = format!("ALTER TABLE {} ALTER COLUMN {}", shown_into(spec), shown_ident(&column.name));
                self.target(
                    subject,
                    message,
                    &format!("Map it, or: {alter} SET DEFAULT …; or: {alter} DROP NOT NULL."),
                );
            }
        }
    }

    pub(super) fn missing_column(&mut self, spec: &MappingSpec, wanted: &ColumnSpec, subject: String) {
        if !wanted.optional || spec.key.contains(&wanted.name) {
            let column_type = wanted.sql_type.as_deref().unwrap_or("…");
            let hint = format!(
                "ALTER TABLE {} ADD COLUMN {} {column_type}; or take it out of the mapping.",
                shown_into(spec),
                shown_ident(&wanted.name)
            );
            return self.target(subject, "the column is missing", &hint);
        }
        let lineage = spec.lineage_column() == Some(&wanted.name);
        let message = if lineage {
            "the column is missing: the lineage is kept in the ledger, and the records' own values are left out"
        } else {
            "the column is missing: its values are left out"
        };
        self.findings.push(Finding::warning(Side::Postgres, subject, message, "Add the column to keep them."));
    }
}

/// The mapping's table as a statement names it.
fn shown_into(spec: &MappingSpec) -> String {
    spec.table_name().map_or_else(|_| spec.into.clone(), |name| shown_table(&name))
}

/// What to do about a column that is there twice.
const TWICE: &str = "Take one out. One column can have several sources: `from = [\"$.a\", \"$.b\"]`.";

/// Which column is meant by a name that no column has.
pub(super) fn which_column(spec: &MappingSpec, name: &str) -> String {
    if name.contains(',') {
        let names: Vec<String> = name.split(',').map(|part| format!("{:?}", part.trim())).collect();
        return format!("Write several as a list: [{}].", names.join(", "));
    }
    match nearest(name, spec.columns.iter().map(|column| column.name.as_str())) {
        Some(near) => format!("Did you mean {near}? Otherwise add the column."),
        None => "Add the column, and say where it comes from.".to_owned(),
    }
}
