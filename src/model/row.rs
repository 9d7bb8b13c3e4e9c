//! A row ready for COPY: from mapping on, a row is its bytes.

use super::{Digest, RedisKey};
use bytes::Bytes;

/// Which of a mapping's columns a row has a value for: bit `i` stands for the mapping's column `i`.
///
/// A field that the record does not have is absent (the column's default applies on insert, and an update leaves it
/// alone), which is not the same as NULL. The mapping's key columns come first and are always present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape(pub u64);

impl Shape {
    /// Whether column `index` of the mapping is present.
    pub fn has(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    /// How many columns are present.
    pub fn columns(self) -> u32 {
        self.0.count_ones()
    }
}

/// A mapped row.
#[derive(Clone, Debug)]
pub struct Row {
    /// The Redis key that it came from.
    pub key: RedisKey,
    /// The value as read, kept until the row is committed for the case that the server rejects it.
    pub value: Bytes,
    /// The digest of `value`.
    pub digest: Digest,
    /// The columns present.
    pub shape: Shape,
    /// The present columns in the mapping's order, each as COPY's binary format wants it: a big-endian `i32` length
    /// (−1 for NULL), then the bytes. The tuple's leading column count is not part of it.
    pub fields: Bytes,
    /// How many bytes at the start of `fields` are the key columns.
    pub key_len: u32,
    /// The repairs that were made on the way, by name.
    pub altered: Vec<&'static str>,
}

impl Row {
    /// The encoded key columns. Equal for two rows exactly when they are the same row of the table.
    pub fn identity(&self) -> &[u8] {
        self.fields.get(..self.key_len as usize).unwrap_or(&self.fields)
    }

    /// The bytes of column `index` of the mapping; `None` where it is NULL or absent.
    pub fn field(&self, index: usize) -> Option<&[u8]> {
        let mut rest = self.fields.as_ref();
        for present in (0..=index).filter(|at| self.shape.has(*at)) {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            let length = i32::from_be_bytes(*length);
            let (field, tail) = tail.split_at_checked(usize::try_from(length).unwrap_or(0))?;
            if present == index {
                return (length >= 0).then_some(field);
            }
            rest = tail;
        }
        None
    }

    /// Bytes held by the row: the key, the source value, the encoded fields and the row's own frame.
    pub fn memory(&self) -> usize {
        self.key.as_bytes().len() + self.value.len() + self.fields.len() + std::mem::size_of::<Self>()
    }
}
