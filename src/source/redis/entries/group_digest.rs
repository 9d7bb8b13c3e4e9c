//! What a stream's groups, their consumers and what is pending in them come to, whatever the order that they are told in.

use crate::backup::StreamGroup;
use crate::model::{ContentDigest, ContentHasher, Packer, RedisType};
use bytes::Bytes;
use std::collections::BTreeSet;

/// Takes in groups piece by piece. When a pending entry was delivered is no part of it: Redis tells for how long it has been pending,
/// and that is another answer at each moment. Nor is how many entries a group has read, which older servers do not tell.
#[derive(Clone, Debug)]
pub(in crate::source::redis) struct GroupsHasher {
    content: ContentHasher,
    named: BTreeSet<Bytes>,
}

impl GroupsHasher {
    /// Of a stream of which no group was told yet.
    pub(in crate::source::redis) fn new() -> Self {
        Self { content: ContentHasher::new(RedisType::Set), named: BTreeSet::new() }
    }

    /// Takes in a group, or a part of one.
    pub(in crate::source::redis) fn update(&mut self, group: &StreamGroup) {
        let mut items = Packer::default();
        let mut one = |parts: &[&[u8]]| items.push(&parts.iter().copied().collect::<Packer>().finish());
        // A copy: the name is a slice of its block or answer, and would keep all of that.
        if !self.named.contains(&group.name) && self.named.insert(Bytes::copy_from_slice(&group.name)) {
            one(&[b"group", &group.name, group.last_id.as_bytes()]);
        }
        group.consumers.iter().for_each(|consumer| one(&[b"consumer", &group.name, consumer]));
        for pending in &group.pending {
            let deliveries = pending.deliveries.to_string();
            one(&[b"pending", &group.name, pending.id.as_bytes(), &pending.consumer, deliveries.as_bytes()]);
        }
        self.content.update(&items.finish(), None);
    }

    /// What all of them come to.
    pub(in crate::source::redis) fn finish(self) -> ContentDigest {
        self.content.finish()
    }
}
