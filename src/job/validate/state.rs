//! What was counted, shown and set aside so far in a validation.

use super::aside::Aside;
use crate::model::{Class, Database, Discrepancy, Failure, MappingCounts, MappingId, RedisKey, Side};
use crate::report::DifferencesFile;
use crate::sink::{Compared, RowSum};
use std::collections::{BTreeMap, HashMap};

/// Discrepancies of each mapping and class that are kept to show; all are counted.
const SHOWN: usize = 20;

/// A key, wherever it is.
pub(super) type Place = (MappingId, u8, RedisKey);

/// Of each mapping in each database the rows whose keys were asked for, and how many of them are extra.
pub(super) type AskedOf = BTreeMap<(MappingId, u8), (i64, i64)>;

/// The rows that were met, by slice of their table and by the database of their keys.
pub(super) type MetSlices = BTreeMap<u64, BTreeMap<u8, RowSum>>;

/// Behind the lock of [`super::Findings`].
#[derive(Default)]
pub(super) struct State {
    pub(super) counts: BTreeMap<MappingId, MappingCounts>,
    pub(super) aside: Option<Aside>,
    pub(super) shown: Vec<Discrepancy>,
    pub(super) shown_of: HashMap<(MappingId, Class), usize>,
    /// Missing keys whose values would be rejected now, as far as they are looked for.
    pub(super) sought: HashMap<Place, Compared>,
    /// How many more there are.
    pub(super) unsought: u64,
    pub(super) file: Option<DifferencesFile>,
    /// Whether a key was counted as it was found first, since there was no more room to set it aside.
    pub(super) full: bool,
    /// The rows whose keys were asked for.
    pub(super) asked: AskedOf,
    /// Of each mapping the rows that were met.
    pub(super) met: BTreeMap<MappingId, MetSlices>,
}

impl State {
    /// Sets a key aside to be looked at again. `false`: it counts now.
    pub(super) fn set_aside(
        &mut self,
        mapping: MappingId,
        database: Database,
        key: &Compared,
    ) -> Result<bool, Failure> {
        let Some(aside) = self.aside.as_mut().filter(|_| key.class > Class::Rejected) else { return Ok(false) };
        let kept = aside.push((mapping, database), &key.key)?;
        self.full |= !kept;
        Ok(kept)
    }

    pub(super) fn show(&mut self, names: &[String], found: Discrepancy) -> Result<(), Failure> {
        if let Some(file) = &mut self.file {
            let name = names.get(usize::from(found.mapping.0)).map_or("", String::as_str);
            file.write(name, &found).map_err(|error| {
                Failure::usage(
                    Side::Settings,
                    format!("run.report: differences.jsonl cannot be written: {error}"),
                    "Check the directory and its rights.",
                )
            })?;
        }
        let shown = self.shown_of.entry((found.mapping, found.class)).or_default();
        if *shown < SHOWN {
            *shown += 1;
            self.shown.push(found);
        }
        Ok(())
    }
}
