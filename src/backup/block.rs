//! Blocks: entries, encoded and compressed. Making one is pure, and done on the thread that read the keys.

use super::counts::KeyCounts;
use super::cut::cut;
use super::encoding::{self, OVERHEAD};
use super::entry::{Entry, Logical};
use super::frame::{Compression, MAX_RAW, crc};
use crate::model::{Exit, Failure, Side};

/// Bytes of a block before compression, about: no more but for a single item that is longer.
pub(super) const TARGET: usize = 1 << 20;

/// Entries as they are written into a file.
#[derive(Clone, Debug)]
pub struct Block {
    pub(super) stored: Vec<u8>,
    pub(super) raw: u32,
    pub(super) compression: Compression,
    pub(super) crc: u32,
    pub(super) keys: KeyCounts,
}

impl Block {
    /// Bytes that it takes in the file, but for its head.
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// Never: a block holds at least a part of a key.
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// The keys that end in it.
    pub fn keys(&self) -> &KeyCounts {
        &self.keys
    }

    fn of(raw: &[u8], keys: KeyCounts) -> Self {
        let packed = lz4_flex::block::compress(raw);
        let (stored, compression) = match packed.len() < raw.len() {
            true => (packed, Compression::Lz4),
            false => (raw.to_vec(), Compression::None),
        };
        Self { raw: raw.len() as u32, compression, crc: crc(&stored), stored, keys }
    }
}

/// Entries as blocks of about 1 MiB before compression, in their order; entries that do not fit in one are cut into parts.
///
/// # Errors
/// A usage [`Failure`]: a single item, with its key, has more than 1 GiB. An internal one: a collection has no item.
pub fn encode(entries: &[Entry]) -> Result<Vec<Block>, Failure> {
    let mut building = Building::default();
    for entry in entries {
        if entry.bytes() + OVERHEAD > TARGET {
            for part in cut(entry.clone()) {
                building.push(&part)?;
            }
        } else {
            building.push(entry)?;
        }
    }
    building.seal();
    Ok(building.blocks)
}

#[derive(Default)]
struct Building {
    raw: Vec<u8>,
    keys: KeyCounts,
    blocks: Vec<Block>,
}

impl Building {
    fn push(&mut self, entry: &Entry) -> Result<(), Failure> {
        // A reader refuses the whole file then.
        if entry.part.is_whole() && entry.logical.as_ref().is_some_and(Logical::is_void) {
            return Err(Failure::internal(format!(
                "{}: a collection without an item was read for a backup",
                entry.key
            )));
        }
        let size = entry.bytes() + OVERHEAD;
        if size > MAX_RAW {
            return Err(too_large(entry));
        }
        if self.raw.len() + size > TARGET {
            self.seal();
        }
        encoding::write(entry, &mut self.raw);
        self.keys.count(entry);
        Ok(())
    }

    fn seal(&mut self) {
        if !self.raw.is_empty() {
            self.blocks.push(Block::of(&self.raw, std::mem::take(&mut self.keys)));
            self.raw.clear();
        }
    }
}

fn too_large(entry: &Entry) -> Failure {
    let message = format!("{}: one of its items has more than 1 GiB, and cannot be kept in a backup", entry.key);
    Failure::new(Exit::Usage, Side::Redis, message, "Leave the key out: `--keys PATTERN`.")
}
