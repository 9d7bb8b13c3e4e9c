//! How many consumer groups streams have, and how many entries are pending in them: what is nowhere but in Redis.

use super::RedisSource;
use super::errors::{is_command_refused, is_key_refused};
use super::fetch::PerKey;
use crate::model::{Failure, RedisKey};
use fred::types::{Key, Value};

/// What streams have beside their entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Streams that have groups.
    pub streams: i64,
    /// Their groups.
    pub groups: i64,
    /// Entries that were delivered and not acknowledged.
    pub pending: i64,
    /// Streams of which it is not known: the user may not run XINFO on them.
    pub untold: i64,
}

impl GroupCounts {
    /// Counts others too.
    pub fn add(&mut self, other: Self) {
        self.streams += other.streams;
        self.groups += other.groups;
        self.pending += other.pending;
        self.untold += other.untold;
    }
}

impl RedisSource {
    /// What some streams have beside their entries. Keys that are gone, or no streams any more, have nothing.
    ///
    /// # Errors
    /// Redis is gone.
    pub async fn group_counts(&self, keys: &[RedisKey]) -> Result<GroupCounts, Failure> {
        let mut counts = GroupCounts::default();
        for reply in self.each_answered(keys, PerKey::Groups, "XINFO").await? {
            match reply {
                Ok(Value::Array(groups)) if !groups.is_empty() => {
                    counts.streams += 1;
                    counts.groups += groups.len() as i64;
                    counts.pending += groups.iter().map(pending).sum::<i64>();
                }
                Err(error) if is_key_refused(&error) || is_command_refused(&error) => counts.untold += 1,
                _ => {}
            }
        }
        Ok(counts)
    }
}

/// The pending entries of a group, which is told as names and values in turn, or as a map.
fn pending(group: &Value) -> i64 {
    let value = match group {
        Value::Array(parts) => {
            let named = parts.chunks(2).find(|pair| pair.first().and_then(Value::as_str).as_deref() == Some("pending"));
            named.and_then(|pair| pair.get(1))
        }
        Value::Map(parts) => parts.get(&Key::from("pending")),
        _ => None,
    };
    value.and_then(Value::as_i64).unwrap_or_default()
}
