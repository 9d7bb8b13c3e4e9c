//! What is known of a row beside its record: which element it is made of, and when.

use crate::model::{Digest, FieldExpiry, UnixMillis};

/// What is known of a row beside its record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Which element it is, where the row is that of a key that is taken apart.
    pub(super) element: Option<ElementPlace>,
    /// The digest of the record's value, where it was worked out already.
    pub(super) digest: Option<Digest>,
    /// When the row is made.
    pub(super) now: UnixMillis,
}

/// One element of a key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ElementPlace {
    /// Its place, from 0.
    pub(super) index: u64,
    /// When it expires: a field of a hash that has a TTL.
    pub(super) expiry: Option<FieldExpiry>,
}

impl Place {
    /// That of an element of which nothing else is asked.
    pub(super) fn element(element: ElementPlace) -> Self {
        Self { element: Some(element), ..Self::default() }
    }
}
