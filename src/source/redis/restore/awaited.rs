//! What is pending in a stream, and its own numbers: gathered before it is built.

use crate::backup::{Entry, Logical, StreamFacts};
use std::collections::VecDeque;

/// Ids of pending entries that are remembered of a stream at most, 16 bytes each.
const REMEMBERED: usize = 1 << 20;

/// An id by its two numbers.
pub(super) type Id = (u64, u64);

/// What must be known of a stream before it is built, and stands behind its entries: gathered from all of it first.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    /// What is pending.
    ids: Vec<Id>,
    /// The stream's own numbers.
    pub(super) facts: Option<StreamFacts>,
}

impl Awaited {
    /// That of a whole stream.
    pub(super) fn of(entry: &Entry) -> Self {
        let mut awaited = Self::default();
        awaited.take(entry);
        awaited
    }

    /// Takes in a part. Beyond what is remembered, pending entries without a message are lost, and counted as such.
    pub(super) fn take(&mut self, part: &Entry) {
        let Some(Logical::Stream { facts, groups, .. }) = &part.logical else { return };
        let pending = groups.iter().flat_map(|group| &group.pending);
        self.ids.extend(pending.filter_map(|pending| number_of(&pending.id)));
        if self.ids.len() > REMEMBERED {
            self.ids.sort_unstable();
            self.ids.dedup();
            self.ids.truncate(REMEMBERED);
        }
        self.facts = facts.clone().or_else(|| self.facts.take());
    }

    /// The ids in their order.
    pub(super) fn finish(mut self) -> VecDeque<Id> {
        self.ids.sort_unstable();
        self.ids.dedup();
        let last = self.facts.as_ref().and_then(|facts| number_of(&facts.last_id));
        self.ids.retain(|id| last.is_none_or(|last| *id <= last));
        self.ids.into()
    }
}

/// The two numbers of an id.
pub(super) fn number_of(id: &str) -> Option<Id> {
    let (ms, count) = id.split_once('-')?;
    Some((ms.parse().ok()?, count.parse().ok()?))
}
