//! Keys that are looked at again in the next round: kept on disk, each once, as far as there is room.

use crate::flow::{KeyReader, KeySpill};
use crate::model::{Database, Failure, MappingId, RedisKey, Side};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// Keys that are known by their hashes, so that none is set aside twice: some MiB of them.
const TOLD_APART: usize = 500_000;
/// Bytes on disk beside each key.
const FRAME: u64 = 6;

/// Keys that are set aside, by database.
pub(super) struct Aside {
    room: u64,
    spills: BTreeMap<u8, KeySpill>,
    told_apart: HashSet<u64>,
    hasher: RandomState,
}

/// What is looked at in the next round.
#[derive(Default)]
pub(super) struct Again(pub(super) BTreeMap<u8, KeyReader>);

impl Aside {
    /// None yet. `room`: how many bytes on disk they may take.
    pub(super) fn new(room: u64) -> Self {
        Self { room, spills: BTreeMap::new(), told_apart: HashSet::new(), hasher: RandomState::new() }
    }

    /// Sets a key aside, unless it is already. `false`: there is no room.
    ///
    /// # Errors
    /// The disk gave way: nobody knows any more which keys there were.
    pub(super) fn push(&mut self, (mapping, database): (MappingId, Database), key: &RedisKey) -> Result<bool, Failure> {
        let hash = self.hasher.hash_one((mapping, database.number, key));
        if self.told_apart.contains(&hash) {
            return Ok(true);
        }
        let used: u64 = self.spills.values().map(KeySpill::bytes).sum();
        if used + FRAME + key.as_bytes().len() as u64 > self.room {
            return Ok(false);
        }
        if self.told_apart.len() < TOLD_APART {
            self.told_apart.insert(hash);
        }
        let spill = match self.spills.entry(database.number) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(KeySpill::new(u64::MAX)?),
        };
        if spill.push(mapping, key) { Ok(true) } else { Err(lost()) }
    }

    /// Gives them, and how many there are.
    ///
    /// # Errors
    /// As [`Aside::push`].
    pub(super) fn finish(self) -> Result<(Again, u64), Failure> {
        let (mut again, mut count) = (Again::default(), 0);
        for (database, spill) in self.spills {
            count += spill.keys();
            again.0.insert(database, spill.finish().ok_or_else(lost)?);
        }
        Ok((again, count))
    }
}

fn lost() -> Failure {
    let message = "the keys to look at again could not be written to a temporary file: is the disk full?";
    let hint = "Make room in the directory for temporary files, set TMPDIR to a directory that has room, or look once only: \
                --validate-rounds 1.";
    Failure::usage(Side::Settings, message, hint)
}

#[cfg(test)]
mod tests {
    use super::lost;
    use crate::model::Exit;

    #[test]
    fn a_full_disk_is_for_the_operator_to_mend() {
        assert_eq!(lost().exit, Exit::Usage);
    }
}
