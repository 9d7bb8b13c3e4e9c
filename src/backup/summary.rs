//! What is in a backup, and whether all of it is whole.

use super::counts::KeyCounts;
use super::damage::ReadError;
use super::reader::Reader;
use std::io::{Read, Seek};

/// What was read of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The keys, counted when their last part was read.
    pub keys: KeyCounts,
    /// Blocks.
    pub blocks: u32,
    /// Their bytes, before compression.
    pub bytes: u64,
    /// Whether the end mark was met, and says the same.
    pub complete: bool,
}

/// Reads a backup to its end, and tells what is in it. `progress` is told the byte that was reached.
///
/// # Errors
/// It cannot be read, or is damaged: where, and why.
pub fn verify<R: Read + Seek>(mut reader: Reader<R>, mut progress: impl FnMut(u64)) -> Result<Summary, ReadError> {
    while reader.read()?.is_some() {
        progress(reader.position());
    }
    Ok(reader.summary().clone())
}
