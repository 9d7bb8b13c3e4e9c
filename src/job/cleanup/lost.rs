//! What goes with keys although their rows are equal, in sentences.

use crate::model::MappingId;
use crate::source::redis::GroupCounts;
use std::collections::BTreeMap;

/// That repairs have made other values of what keys hold that may go.
pub(super) fn repaired(
    counts: BTreeMap<(MappingId, &'static str), i64>,
    name: impl Fn(MappingId) -> String,
) -> Vec<String> {
    let mut of = BTreeMap::<MappingId, Vec<String>>::new();
    for ((mapping, repair), count) in counts {
        of.entry(mapping).or_default().push(format!("{repair} {count}"));
    }
    let said = |(mapping, repairs): (MappingId, Vec<String>)| {
        format!(
            "{}: the columns have what repairs have made of the values, and what the keys hold themselves goes with them, unless there \
             is a backup (keys that were equal, by repair: {})",
            name(mapping),
            repairs.join(", ")
        )
    };
    of.into_iter().map(said).collect()
}

/// That streams had groups, which no row has.
pub(super) fn groups(counts: BTreeMap<MappingId, GroupCounts>, name: impl Fn(MappingId) -> String) -> Vec<String> {
    let mut notes = Vec::new();
    for (mapping, GroupCounts { streams, groups, pending, untold }) in counts {
        let name = name(mapping);
        if streams > 0 {
            notes.push(format!(
                "{name}: {streams} streams that were equal have {groups} consumer groups with {pending} pending entries: no row has \
                 those, and they go with the keys, unless there is a backup"
            ));
        }
        if untold > 0 {
            notes.push(format!(
                "{name}: of {untold} streams that were equal it is not known whether they have consumer groups, which go with them: the \
                 user may not run XINFO GROUPS"
            ));
        }
    }
    notes
}
