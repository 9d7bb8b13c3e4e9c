//! Where each setting of a mapping stands in its text, so that a mistake is told with its line.

use super::layers::Origin;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The places of a mapping's settings: `match`, `column email` for a column, `column email.from` for a setting of one, and
/// `column number 2` for one that may have no name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places(BTreeMap<String, Origin>);

impl Places {
    /// The places in a mapping's table; `origin` turns an offset into a place.
    pub(super) fn of(mapping: &DeTable<'_>, origin: &dyn Fn(usize) -> Origin) -> Self {
        let mut places = BTreeMap::new();
        for (key, value) in mapping {
            let name = key.get_ref();
            places.insert(name.to_string(), origin(key.span().start));
            let columns = value.get_ref().as_array().filter(|_| name == "column");
            for (index, column) in columns.into_iter().flat_map(|columns| columns.iter()).enumerate() {
                places.insert(format!("column number {}", index + 1), origin(column.span().start));
                of_column(column, origin, &mut places);
            }
        }
        Self(places)
    }

    /// Where a setting stands; where it is not found, the nearest thing around it.
    pub fn find(&self, setting: &str) -> Option<&Origin> {
        let around = setting.rsplit_once('.').map(|(around, _)| around);
        self.0.get(setting).or_else(|| self.0.get(around?))
    }
}

fn of_column(column: &Spanned<DeValue<'_>>, origin: &dyn Fn(usize) -> Origin, places: &mut BTreeMap<String, Origin>) {
    let Some(table) = column.get_ref().as_table() else { return };
    let Some(name) = table.get("name").and_then(|name| name.get_ref().as_str()) else { return };
    let first = table.iter().map(|(key, _)| key.span().start).min().unwrap_or(column.span().start);
    places.insert(format!("column {name}"), origin(first));
    for (key, _) in table {
        places.insert(format!("column {name}.{}", key.get_ref()), origin(key.span().start));
    }
}
