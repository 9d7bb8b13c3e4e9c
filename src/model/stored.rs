//! A large value that is not in memory: it was set aside in a file while it was read.

use super::{Digest, Withheld, hex_digits};
use bytes::Bytes;
use std::fs::File;

/// A value in a file without a name, and what was learned of its bytes while they came by. Whoever needs the bytes reads
/// the file by place, so that any number of readers can share it.
#[derive(Debug)]
pub struct Stored {
    /// The file; the value is all of it.
    pub file: File,
    /// Its length in bytes.
    pub len: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Where the bytes cease to be UTF-8; `None` where all of them are.
    pub invalid_utf8: Option<u64>,
    /// The first byte 0.
    pub nul: Option<u64>,
    /// Its first bytes, by which other encodings are known; far fewer than it has.
    pub head: Bytes,
}

impl Stored {
    /// The digest that [`Digest::of`] gives of the bytes.
    pub fn digest(&self) -> Digest {
        Digest::of_sha256(&self.sha256)
    }

    /// What is kept of it with a reject.
    pub fn withheld(&self) -> Withheld {
        Withheld { bytes: i64::try_from(self.len).unwrap_or(i64::MAX), sha256: hex_digits(&self.sha256) }
    }
}
