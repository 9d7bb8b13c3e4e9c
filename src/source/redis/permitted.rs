//! Keys that a SCAN lists and the user may not read (ACL key patterns): each is passed over, and costs no other its place.
//!
//! A page is read as if all of it were permitted; only one that is refused is looked at key by key.

use super::RedisSource;
use super::errors::{is_key_refused, is_unavailable};
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
        // A user who may not run one of them may run another. The first three take the right to read the value.
        let questions = [
            (PerKey::Ttl, "PTTL"),
            (PerKey::ExpireTime, "PEXPIRETIME"),
            (PerKey::Peek, "GETRANGE"),
            (PerKey::Type, "TYPE"),
            (PerKey::Strlen, "STRLEN"),
        ];
        self.refused_by(keys, &questions).await
    }

    /// Which of these keys the user may not read, as far as that can be learned without making one look used.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn unreadable(&self, keys: &[RedisKey]) -> Result<Vec<bool>, Failure> {
        if let Some(cluster) = &self.cluster {
            return cluster.unreadable(keys).await;
        }
        let questions = [(PerKey::Ttl, "PTTL"), (PerKey::ExpireTime, "PEXPIRETIME"), (PerKey::Type, "TYPE")];
        self.refused_by(keys, &questions).await
    }

    /// The keys that are refused by the first command that the user may run, and the server knows.
    async fn refused_by(&self, keys: &[RedisKey], questions: &[(PerKey, &'static str)]) -> Result<Vec<bool>, Failure> {
        for (command, name) in questions {
            let replies = self.each_answered(keys, *command, name).await?;
            if !replies.iter().any(|reply| reply.as_ref().is_err_and(is_unavailable)) {
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
