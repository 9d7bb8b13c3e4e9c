//! What tells a file from an older copy of itself, and from any other: a digest over all that was written so far.

use super::frame::HEAD;
use crate::model::Digest;
use sha2::{Digest as _, Sha256};

/// A digest over the heads of all frames so far. A head has the file's id, the frame's place and the checksum of its content, so
/// that no byte goes unseen; and it is short, so that this costs next to nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail(Sha256);

impl Trail {
    /// Takes in the head of the next frame.
    pub(super) fn take(&mut self, head: &[u8; HEAD]) {
        self.0.update(head);
    }

    /// The digest so far.
    pub(super) fn digest(&self) -> Digest {
        Digest::of_sha256(&self.0.clone().finalize().into())
    }
}
