//! Numbers and runs of bytes out of a block.

use bytes::Bytes;
use std::str::FromStr;

/// What is left of a run of bytes. Each method takes from its front; `None` where there is not enough.
#[derive(Clone, Debug)]
pub(super) struct Input(Bytes);

impl Input {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<Bytes> {
        (count <= self.0.len()).then(|| self.0.split_to(count))
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    pub(super) fn long(&mut self) -> Option<u32> {
        self.bytes(4)?.first_chunk().map(|four| u32::from_be_bytes(*four))
    }

    pub(super) fn moment(&mut self) -> Option<i64> {
        self.bytes(8)?.first_chunk().map(|eight| i64::from_be_bytes(*eight))
    }

    /// Bytes behind their number.
    pub(super) fn counted(&mut self) -> Option<Bytes> {
        let count = self.long()?;
        self.bytes(usize::try_from(count).ok()?)
    }
}

/// A number as text.
pub(super) fn number<T: FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
