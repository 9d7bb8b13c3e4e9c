//! What is wrong with mappings as they are written, whatever the tables are.

use super::compile::Check;
use super::conflict::check_keys;
use super::graph::phases;
use super::pattern::KeySet;
use super::source::Source;
use super::{LineageSpec, MappingSpec};
use crate::model::Finding;

/// Everything that can be found without a look at any table: keys, chains, sources, functions, references.
pub fn check_specs(specs: &[MappingSpec]) -> Vec<Finding> {
    let specs: Vec<_> = specs.iter().map(MappingSpec::with_lineage_columns).collect();
    let specs = specs.as_slice();
    let mut check = Check::default();
    check.findings.extend(check_keys(specs).err().unwrap_or_default());
    for (index, spec) in specs.iter().enumerate() {
        let subject = format!("mapping {}", spec.name);
        if specs.iter().take(index).any(|earlier| earlier.name == spec.name) {
            check.critical(&subject, "`name` is taken by another mapping", "Give each a name of its own.");
        }
        check.alone(spec, &subject);
        check.references(specs, spec, &subject);
    }
    if let Err(circle) = phases(specs) {
        check.critical(circle, "`parents` lead back to itself", "Take one of the references out.");
    }
    check.findings
}

impl Check {
    /// One mapping by itself.
    fn alone(&mut self, spec: &MappingSpec, subject: &str) {
        self.read(subject, spec.table_name().map_err(|why| format!("`into`: {why}")));
        self.read(subject, spec.audit_table().map_err(|why| format!("`audit`: {why}")));
        self.decoder(spec);
        self.types(subject, spec);
        self.own_coverage(spec);
        self.key_twice(subject, spec);
        // A pattern that cannot be read is told already.
        let Ok(keys) = KeySet::parse(spec) else { return };
        for column in &spec.columns {
            let subject = format!("{}.{}", spec.into, column.name);
            let lineage = spec.lineage_column() == Some(&column.name);
            self.own_contradictions(&subject, column, lineage);
            let candidates = self.candidates(&subject, column, keys.first());
            self.idle(spec, &subject, column, &candidates);
        }
        if let Some(LineageSpec::Column { document_id, .. }) = &spec.lineage {
            let read = Source::parse(document_id, keys.first());
            self.read(subject, read.map_err(|why| format!("`lineage`: document_id: {why}")));
        }
    }

    /// The mappings and columns that it names.
    fn references(&mut self, specs: &[MappingSpec], spec: &MappingSpec, subject: &str) {
        let known = |name: &String| specs.iter().any(|other| other.name == *name);
        for after in spec.after.iter().filter(|after| !known(after)) {
            self.critical(subject, format!("`after` names `{after}`, which is no mapping"), "");
        }
        for parent in &spec.parents {
            if !known(&parent.mapping) {
                self.critical(subject, format!("`parents` names `{}`, which is no mapping", parent.mapping), "");
            }
            if !spec.columns.iter().any(|column| column.name == parent.column) {
                let message =
                    format!("`parents` names the column `{}`, which the mapping does not write", parent.column);
                self.critical(subject, message, "Add the column.");
            }
        }
    }
}
