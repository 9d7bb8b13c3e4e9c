//! Keys that a SCAN lists and the user may not read (ACL key patterns): each is passed over, and costs no other its place.
//!
//! A page is read as if all of it were permitted; only one that is refused is looked at key by key.

use super::RedisSource;
use super::errors::{is_command_refused, is_key_refused};
use super::fetch::PerKey;
use crate::model::{Failure, Fetched, RedisKey, Wanted};
use crate::source::FetchedPage;
use std::sync::atomic::Ordering;

impl RedisSource {
    /// Reads a run of keys that was refused as a whole; `refused` where that was for another reason than its keys.
    pub(super) async fn read_permitted(
        &self,
        keys: &[RedisKey],
        wanted: Wanted,
        max_bytes: usize,
        refused: Failure,
    ) -> Result<FetchedPage, Failure> {
        let forbidden = self.forbidden(keys).await?;
        let Some(first) = keys.iter().zip(&forbidden).find_map(|(key, forbidden)| forbidden.then_some(key)) else {
            return Err(refused);
        };
        self.say_forbidden(first);
        let permitted = keys.iter().zip(&forbidden).filter(|(_, forbidden)| !**forbidden);
        let permitted: Vec<RedisKey> = permitted.map(|(key, _)| key.clone()).collect();
        let mut read = FetchedPage::default();
        if !permitted.is_empty() {
            read = self.read(&permitted, wanted, max_bytes).await?;
        }
        let mut records = read.records.into_iter();
        // Up to the first that did not fit any more.
        let entries = keys.iter().zip(forbidden).map_while(|(key, forbidden)| {
            if forbidden { Some(Fetched::Forbidden(key.clone())) } else { records.next() }
        });
        Ok(FetchedPage { records: entries.collect(), bytes: read.bytes })
    }

    /// Which of these keys the user may not read.
    pub(super) async fn forbidden(&self, keys: &[RedisKey]) -> Result<Vec<bool>, Failure> {
        // A user who may not run one of them may run the other. TYPE does not take the right to read the value.
        for (command, name) in [(PerKey::Peek, "GETRANGE"), (PerKey::Type, "TYPE")] {
            let replies = self.each_answered(keys, command, name).await?;
            if !replies.iter().any(|reply| reply.as_ref().is_err_and(is_command_refused)) {
                return Ok(replies.iter().map(|reply| reply.as_ref().is_err_and(is_key_refused)).collect());
            }
        }
        Ok(vec![false; keys.len()])
    }

    fn say_forbidden(&self, key: &RedisKey) {
        if !self.inner.told_forbidden.swap(true, Ordering::Relaxed) {
            self.notice(format!(
                "Redis does not let this user read every key that it lists in database {}, such as {key}: they are skipped \
                 as forbidden. To move them too, allow their pattern: ACL SETUSER … ~PATTERN",
                self.database()
            ));
        }
    }
}
