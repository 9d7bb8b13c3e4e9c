//! Buffers of the mapping, and the blocks that rows share.

use crate::decode::Field;
use bytes::{Bytes, BytesMut};

/// Rows are written into blocks of this size, which they share: an allocation for each row, made by one thread and freed
/// by another, costs more than the copy.
const BLOCK: usize = 64 * 1024;

/// Buffers that are used again for every record. One for each worker.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) out: Vec<u8>,
    pub(super) block: BytesMut,
    pub(super) fields: Vec<Field>,
    pub(super) own_fields: Vec<Field>,
    pub(super) lineage: String,
}

/// Copies a row's fields into the current block, or into one of their own where they would fill most of it.
pub(super) fn keep(block: &mut BytesMut, fields: &[u8]) -> Bytes {
    if fields.len() > BLOCK / 4 {
        return Bytes::copy_from_slice(fields);
    }
    if block.capacity() < fields.len() {
        *block = BytesMut::with_capacity(BLOCK);
    }
    block.extend_from_slice(fields);
    block.split().freeze()
}
