//! What a stream has beside its entries, which no digest of them covers: the ids that it has given, its groups with their consumers,
//! and what is pending in them.

use super::super::entries::{GroupsHasher, GroupsLeft};
use super::super::wire::Wire;
use crate::backup::{Logical, StreamFacts, StreamGroup};
use crate::model::{ContentDigest, RedisKey};
use fred::error::Error;

/// How a stream stands beside its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamState {
    facts: Option<StreamFacts>,
    groups: ContentDigest,
}

/// Makes a [`StreamState`] of what is read piece by piece.
#[derive(Clone, Debug)]
pub struct StreamReading {
    facts: Option<StreamFacts>,
    groups: GroupsHasher,
}

impl StreamReading {
    /// Of a stream of which nothing was read yet.
    pub fn new() -> Self {
        Self { facts: None, groups: GroupsHasher::new() }
    }

    /// Takes in what a part tells; a group may come in several.
    pub fn take(&mut self, facts: Option<&StreamFacts>, groups: &[StreamGroup]) {
        self.facts = facts.cloned().or(self.facts.take());
        groups.iter().for_each(|group| self.groups.update(group));
    }

    /// How it stands.
    pub fn finish(self) -> StreamState {
        StreamState { facts: self.facts, groups: self.groups.finish() }
    }
}

impl Default for StreamReading {
    fn default() -> Self {
        Self::new()
    }
}

/// How a stream stands, on the connection that watches it.
pub(super) async fn state(wire: &Wire, key: &RedisKey) -> Result<StreamState, Error> {
    let (mut left, mut reading) = (GroupsLeft::of(wire, key).await?, StreamReading::new());
    loop {
        let (piece, last) = left.next(wire, key).await?;
        if let Logical::Stream { facts, groups, .. } = &piece {
            reading.take(facts.as_ref(), groups);
        }
        if last {
            return Ok(reading.finish());
        }
    }
}
