//! What goes with keys although their rows are equal, and what a person can do for keys that stay, in sentences.

use super::reason;
use crate::mapping::{Mapping, Plan};
use crate::model::{CleanupAccount, MappingId};
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

/// What becomes of rows when somebody adds to a key that is not there any more. `positional`: the mappings whose lists go all the
/// same.
pub(super) fn begun_anew(plan: &Plan, positional: &[String]) -> Vec<String> {
    let said = |mapping: &Mapping| {
        let name = mapping.name();
        if mapping.knows_by_place() {
            let why = "rows of lists are known by the places of their elements, and what is pushed to a list after its deletion begins at \
                       place 0 again: the next run puts it into the rows of what was deleted, whose only copy is a before-image then";
            let is_agreed = positional.iter().any(|agreed| agreed == name);
            return Some(match is_agreed {
                true => format!("{name}: {why} (cleanup.positional names it: its lists go)"),
                false => format!(
                    "{name}: {why}. So they stay (positional). A key column that comes from the element itself, such as its id, has no \
                     such rows; or cleanup.positional = [\"{name}\"] lets them go"
                ),
            });
        }
        mapping.holds_items_in_a_row().then(|| {
            format!(
                "{name}: a key with all its items is one row. What is added to a key after its deletion is all that it holds then: the \
                 next run puts that into the row, and what the row had is a before-image"
            )
        })
    };
    plan.mappings().filter_map(|(_, mapping)| said(mapping)).collect()
}

/// What to do about keys that stay as rounded, and would in the next cleanup too. `columns`: those of each mapping, by name, that round.
pub(super) fn for_good<'a>(
    mappings: impl Iterator<Item = (&'a str, &'a CleanupAccount)>,
    columns: &BTreeMap<String, Vec<String>>,
) -> Vec<String> {
    let rounded = |(name, account): (&str, &CleanupAccount)| {
        let count = account.kept.get(reason::ROUNDED)?;
        let columns = columns.get(name).map_or(&[][..], Vec::as_slice);
        Some(format!(
            "{name}: {count} keys stay as rounded, and will until their columns ({}) hold what the values say: in a type that has all of \
             it (numeric, or text for a time with nanoseconds), or in another column beside it (text or jsonb from \"$\" or \"value\"). \
             If the rest may be lost: cleanup.lossy = [{}]",
            reason::some(columns.iter().cloned()),
            quoted(name, columns)
        ))
    };
    mappings.filter_map(rounded).collect()
}

/// Columns of a mapping as the settings name them.
fn quoted(mapping: &str, columns: &[String]) -> String {
    reason::some(columns.iter().map(|column| format!("\"{mapping}.{column}\"")))
}

/// What to do about keys in whose rows nothing differs but columns whose changes a run ignores: the columns of each mapping, and how many
/// keys.
pub(super) fn ignored(
    counts: BTreeMap<MappingId, (i64, Vec<String>)>,
    name: impl Fn(MappingId) -> String,
) -> Vec<String> {
    let said = |(mapping, (count, columns)): (MappingId, (i64, Vec<String>))| {
        let name = name(mapping);
        let (differ, have) = if columns.len() == 1 { ("differs", "has") } else { ("differ", "have") };
        format!(
            "{name}: in {count} keys that stay nothing but {} {differ}, which {have} ignore_changes: PostgreSQL does not have what the key \
             says there. If that may be lost, as where a trigger of the table keeps the column: cleanup.lossy = [{}]",
            reason::some(columns.iter().cloned()),
            quoted(&name, &columns)
        )
    };
    counts.into_iter().map(said).collect()
}
