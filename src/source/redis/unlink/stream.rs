//! What a stream has beside its entries, which no digest of them covers: the ids that it has given, its groups with their consumers,
//! and what is pending in them.

use super::super::entries::{GroupsHasher, GroupsLeft};
use super::super::wire::Wire;
use super::Content;
use super::deleting::{Seal, UNLINK, sealed};
use super::fates::One;
use crate::backup::{Logical, StreamFacts, StreamGroup};
use crate::model::{ContentDigest, RedisKey};
use fred::error::Error;
use futures::future::try_join_all;

/// A watch does not see what changes a stream's groups, nor XSETID (tried with Redis 7.0): only what changes its entries. So a script seals
/// how the stream stands before it is read, and the deletion is a script that finds the same seal. It has what XINFO tells of the stream
/// and its groups, and how many entries are pending for each consumer. `REST` is what follows.
const SEAL: &str = "local parts = {} \
    local function add(told) \
    if type(told) == 'table' then for _, one in ipairs(told) do add(one) end \
    else local text = tostring(told) parts[#parts + 1] = #text .. ':' .. text end end \
    add(redis.call('XINFO', 'STREAM', KEYS[1])) \
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do add(group) \
    for at = 1, #group, 2 do if group[at] == 'name' then \
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group[at + 1])) do \
    for fact = 1, #consumer, 2 do if consumer[fact] == 'name' or consumer[fact] == 'pending' then add(consumer[fact + 1]) end \
    end end end end end \
    local seal = redis.sha1hex(table.concat(parts)) REST";
/// So begins the deletion, where the key is not there any more.
const THERE: &str = "if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end ";

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

/// The seals of those of these keys that are compared as streams; none of one that has none, or where this user may not run such a
/// script.
pub(super) async fn seals(wire: &Wire, some: &[One<'_>]) -> Result<Vec<Option<Seal>>, Error> {
    let seals = some.iter().map(|One { candidate, .. }| async {
        if !matches!(candidate.content, Content::Stream(..)) {
            return Ok(None);
        }
        let seal = sealed(wire, SEAL.replace("REST", "return seal"), &candidate.key).await?;
        Ok(seal.map(Seal::Stream))
    });
    try_join_all(seals).await
}

/// The script that deletes a stream that has its seal.
pub(super) fn deletion() -> String {
    format!("{THERE}{}", SEAL.replace("REST", UNLINK))
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
