//! Foreign keys of a table to itself: they count as named in `parents`, so that a run and a dry run look for the parent's key.

use crate::mapping::{MappingSpec, ParentSpec};
use crate::model::TableName;
use crate::postgres::TableFacts;
use std::borrow::Cow;
use std::collections::HashMap;

/// The mappings with those parents of their own. A table of several mappings does not say which of them has the parent, nor
/// does a key of several rows say which of them it is.
pub(super) fn name_own_parents<'a>(
    specs: &'a [MappingSpec],
    facts: &HashMap<TableName, TableFacts>,
) -> Cow<'a, [MappingSpec]> {
    let mut specs = Cow::Borrowed(specs);
    for at in 0..specs.len() {
        let missing = unnamed(&specs, at, facts);
        if !missing.is_empty() {
            specs.to_mut()[at].parents.extend(missing);
        }
    }
    specs
}

fn unnamed(specs: &[MappingSpec], at: usize, facts: &HashMap<TableName, TableFacts>) -> Vec<ParentSpec> {
    let Some(spec) = specs.get(at).filter(|spec| !spec.explodes()) else { return Vec::new() };
    let Ok(table) = spec.table_name() else { return Vec::new() };
    let others = specs.iter().filter(|other| other.table_name().as_ref() == Ok(&table)).count();
    let Some(facts) = facts.get(&table).filter(|_| others == 1) else { return Vec::new() };
    let to_key = facts.foreign_keys.iter().filter(|key| key.parent == table && spec.key == [key.parent_column.clone()]);
    to_key
        .filter(|key| spec.columns.iter().any(|column| column.name == key.column))
        .filter(|key| !spec.parents.iter().any(|parent| parent.column == key.column))
        .map(|key| ParentSpec { mapping: spec.name.clone(), column: key.column.clone() })
        .collect()
}
