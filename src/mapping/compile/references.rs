//! What mappings have to do with each other: names, keys, parents, and what waits for what.

use super::Check;
use super::conflict::{Doubt, Keys, conflicts};
use super::coverage::which_column;
use crate::config::nearest;
use crate::mapping::MappingSpec;
use crate::mapping::pattern::KeySet;
use crate::mapping::plan::{Mapping, ParentRef, Target};
use crate::mapping::reference::functions_before_id;
use crate::model::MappingId;

impl Check {
    /// The mappings and columns that it names.
    pub(super) fn references(&mut self, specs: &[MappingSpec], spec: &MappingSpec, subject: &str) {
        let known = |name: &String| specs.iter().any(|other| other.name == *name);
        for after in spec.after.iter().filter(|after| !known(after)) {
            self.critical(
                subject,
                format!("`after` names `{after}`, which is no mapping"),
                &which_mapping(specs, after),
            );
        }
        for parent in &spec.parents {
            if !known(&parent.mapping) {
                let message = format!("`parents` names `{}`, which is no mapping", parent.mapping);
                self.critical(subject, message, &which_mapping(specs, &parent.mapping));
            }
            if !spec.columns.iter().any(|column| column.name == parent.column) {
                let message =
                    format!("`parents` names the column `{}`, which the mapping does not write", parent.column);
                self.critical(subject, message, &which_column(spec, &parent.column));
            }
        }
    }

    /// A mapping that waits for itself.
    pub(super) fn circle(&mut self, specs: &[MappingSpec], name: &str) {
        // That a mapping is its own parent leads nowhere.
        let others = |spec: &MappingSpec| spec.parents.iter().any(|parent| parent.mapping != name);
        let refers = specs.iter().any(|spec| spec.name == name && others(spec));
        let setting = if refers { "parents" } else { "after" };
        let message = format!("`{setting}` leads back to the mapping itself");
        self.critical(format!("mapping {name}"), message, "Take one of the references out.");
    }

    pub(super) fn names(&mut self, mappings: &[Mapping]) {
        for (index, mapping) in mappings.iter().enumerate() {
            if mappings.iter().take(index).any(|earlier| earlier.name == mapping.name) {
                self.critical(format!("mapping {}", mapping.name), "`name` is taken by another mapping", ITS_OWN);
            }
        }
    }

    pub(super) fn keys(&mut self, mappings: &[Mapping], own: u8) -> Vec<Doubt> {
        let keys: Vec<Keys<'_>> = (mappings.iter())
            .map(|mapping| Keys { mapping: &mapping.name, set: &mapping.pattern, databases: &mapping.databases })
            .collect();
        let (findings, doubts) = conflicts(&keys, own);
        self.findings.extend(findings);
        doubts
    }

    pub(super) fn parents(&mut self, specs: &[MappingSpec], mappings: &mut [Mapping]) {
        let known: Vec<(String, KeySet)> = mappings.iter().map(|m| (m.name.clone(), m.pattern.clone())).collect();
        for (spec, mapping) in specs.iter().zip(mappings) {
            let subject = format!("mapping {}", spec.name);
            for after in spec.after.iter().filter(|after| !known.iter().any(|(name, _)| name == *after)) {
                self.critical(
                    &subject,
                    format!("`after` names `{after}`, which is no mapping"),
                    &which_mapping(specs, after),
                );
            }
            for parent in &spec.parents {
                let index = known.iter().position(|(name, _)| *name == parent.mapping);
                let column = mapping.columns.iter().position(|column| column.name == parent.column);
                let (Some(index), Some(column)) = (index, column) else {
                    let message =
                        format!("`parents`: no mapping `{}` or no column `{}`", parent.mapping, parent.column);
                    self.critical(&subject, message, &which_mapping(specs, &parent.mapping));
                    continue;
                };
                mapping.parents.push(ParentRef { mapping: MappingId(index as u16), column });
                if let (Some(target), Some(parent_spec)) = (mapping.targets.get_mut(column), specs.get(index)) {
                    refer(target, spec, &parent.column, parent_spec);
                }
                mapping.parent_patterns.extend(known.get(index).map(|(_, pattern)| pattern.clone()));
            }
        }
    }
}

/// What to do about a name that is taken.
pub(super) const ITS_OWN: &str = "Give each a name of its own.";

/// Which mapping is meant by a name that none has.
pub(super) fn which_mapping(specs: &[MappingSpec], name: &str) -> String {
    let names = || specs.iter().map(|spec| spec.name.as_str());
    match nearest(name, names()) {
        Some(near) => format!("Did you mean {near}?"),
        None => format!("The mappings are {}.", names().collect::<Vec<_>>().join(", ")),
    }
}

/// Tells the candidates of a referring column how to get at the id in the parent's key.
fn refer(target: &mut Target, spec: &MappingSpec, column: &str, parent: &MappingSpec) {
    let own = spec.columns.iter().find(|known| known.name == column);
    let key = parent.columns.iter().find(|known| parent.key.first() == Some(&known.name));
    let (Some(own), Some(key)) = (own, key) else { return };
    for (candidate, from) in target.candidates.iter_mut().zip(&own.from) {
        candidate.before_id = functions_before_id(own, from, key);
    }
}
