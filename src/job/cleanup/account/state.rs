//! What the account of a cleanup holds, behind its lock.

use crate::model::{CleanupAccount, Failure, KeptKey, MappingId, Shape, Side};
use crate::report::KeptKeysFile;
use crate::sink::Unproven;
use crate::source::redis::GroupCounts;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::RandomState;

/// Kept keys of each mapping and reason that are told; all are counted.
const SHOWN: usize = 20;

#[derive(Default)]
pub(super) struct State {
    pub(super) mappings: BTreeMap<MappingId, CleanupAccount>,
    pub(super) shown: Vec<KeptKey>,
    pub(super) shown_of: HashMap<(MappingId, &'static str), usize>,
    pub(super) kept: HashSet<u64>,
    pub(super) repaired: BTreeMap<(MappingId, &'static str), i64>,
    pub(super) groups: BTreeMap<MappingId, GroupCounts>,
    /// Keys in whose rows nothing differs but columns whose changes a run ignores, and these columns.
    pub(super) ignored: BTreeMap<MappingId, (i64, Vec<String>)>,
    /// The columns that do not give back the values of keys that stay for that.
    pub(super) rounded: BTreeMap<MappingId, Shape>,
    /// Keys of which it is not known whether they are gone.
    pub(super) unknown: BTreeMap<MappingId, i64>,
    pub(super) hasher: RandomState,
    pub(super) file: Option<KeptKeysFile>,
}

impl State {
    pub(super) fn of(&mut self, mapping: MappingId) -> &mut CleanupAccount {
        self.mappings.entry(mapping).or_default()
    }

    pub(super) fn show(&mut self, mapping: MappingId, key: KeptKey) -> Result<(), Failure> {
        if let Some(file) = &mut self.file {
            file.write(&key).map_err(|error| {
                let message = format!("run.report: kept.jsonl cannot be written: {error}");
                Failure::usage(Side::Settings, message, "Check the directory and its rights.")
            })?;
        }
        let shown = self.shown_of.entry((mapping, key.reason)).or_default();
        if *shown < SHOWN {
            *shown += 1;
            self.shown.push(key);
        }
        Ok(())
    }

    /// Counts keys by the repairs that have made other values of what they hold.
    pub(super) fn note_repaired(&mut self, mapping: MappingId, counts: BTreeMap<&'static str, i64>) {
        for (repair, count) in counts {
            *self.repaired.entry((mapping, repair)).or_default() += count;
        }
    }

    /// Notes why an equal key may not go: the columns, where these do not give back what it says.
    pub(super) fn note_unproven(&mut self, mapping: MappingId, why: Unproven) {
        if let Unproven::Rounded(columns) = why {
            self.rounded.entry(mapping).or_default().0 |= columns.0;
        }
    }

    /// Notes a key that differs in these columns and in nothing else, where a run ignores changes of all of them.
    pub(super) fn note_ignored(&mut self, mapping: MappingId, columns: &[String], ignored: &[String]) {
        if columns.is_empty() || !columns.iter().all(|column| ignored.contains(column)) {
            return;
        }
        let (keys, named) = self.ignored.entry(mapping).or_default();
        *keys += 1;
        for column in columns {
            if !named.contains(column) {
                named.push(column.clone());
            }
        }
    }
}
