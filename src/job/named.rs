//! Mappings and columns that settings name: whoever switches something off, or consents to a loss, must have meant one that is
//! there.

use crate::config::Settings;
use crate::mapping::MappingSpec;
use crate::model::{Finding, Side};

/// What is named and is not there.
pub(super) fn unknown(settings: &Settings, specs: &[MappingSpec]) -> Vec<Finding> {
    let skipped = settings.phases.skip.iter().map(|name| ("phases.skip", name));
    let positional = settings.cleanup.positional.iter().map(|name| ("cleanup.positional", name));
    let mappings = skipped.chain(positional).filter_map(|(setting, name)| no_mapping(setting, name, specs));
    mappings.chain(settings.cleanup.lossy.iter().filter_map(|name| no_column(name, specs))).collect()
}

fn no_mapping(setting: &'static str, name: &str, specs: &[MappingSpec]) -> Option<Finding> {
    if specs.iter().any(|spec| spec.name == name) {
        return None;
    }
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let hint = format!("The mappings are {}.", names.join(", "));
    Some(Finding::critical(Side::Settings, setting, format!("there is no mapping {name:?}"), hint))
}

fn no_column(name: &str, specs: &[MappingSpec]) -> Option<Finding> {
    const SETTING: &str = "cleanup.lossy";
    // A mapping's name may hold dots, a column's may too.
    if specs.iter().any(|spec| spec.columns.iter().any(|column| is_column(name, &spec.name, &column.name))) {
        return None;
    }
    let hint = match specs.iter().find(|spec| name.strip_prefix(&*spec.name).is_some_and(|rest| rest.starts_with('.')))
    {
        Some(spec) => {
            let columns: Vec<&str> = spec.columns.iter().map(|column| column.name.as_str()).collect();
            format!("The columns of {} are {}.", spec.name, columns.join(", "))
        }
        None => "Write it as mapping.column, such as \"documents.updated_at\".".to_owned(),
    };
    Some(Finding::critical(Side::Settings, SETTING, format!("there is no column {name:?}"), hint))
}

/// Whether a name of `cleanup.lossy` is that of this column.
pub(super) fn is_column(name: &str, mapping: &str, column: &str) -> bool {
    name.strip_prefix(mapping).and_then(|rest| rest.strip_prefix('.')) == Some(column)
}
