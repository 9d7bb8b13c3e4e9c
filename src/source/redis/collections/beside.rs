//! What is asked of a key beside its value: how long it will live, how long it has been idle, and its dump.
//!
//! Before the values are read: reading one makes its key look used.

use super::super::RedisSource;
use super::super::errors::is_unavailable;
use super::super::fetch::PerKey;
use super::facts::Facts;
use super::{NONE, WHOLE_LIMIT};
use crate::model::{Failure, KeyFacts, RedisKey, RedisType, UnixMillis, ValueWanted, Wanted};
use bytes::Bytes;
use fred::error::Error;
use fred::types::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A key that takes more memory than this is not dumped. By the server's estimate, which is mostly above what a dump
/// takes.
const DUMP_MEMORY: u64 = 128 << 20;

/// What came of a dump.
enum Dump {
    NotAsked,
    Made(Bytes),
    Gone,
    TooLarge(String),
}

impl RedisSource {
    /// Asks for what is wanted of these keys beside their values, and notes it in their facts.
    pub(super) async fn ask_beside(
        &self,
        keys: &[RedisKey],
        facts: &mut [Facts],
        wanted: Wanted,
    ) -> Result<(), Failure> {
        if !wanted.has_facts() {
            return Ok(());
        }
        let idle = if wanted.idle { self.idle_times(keys).await? } else { Vec::new() };
        let now = if wanted.ttl { Some(self.now().await?) } else { None };
        let mut dumps = if wanted.dump { self.dumps(keys, facts, wanted).await? } else { Vec::new() }.into_iter();
        for (index, facts) in facts.iter_mut().enumerate() {
            let redis_type = RedisType::named(&facts.type_name);
            let mut beside = KeyFacts {
                module_type: (redis_type == RedisType::Module).then(|| facts.type_name.clone()),
                ttl: now.and_then(|now| time_left(facts.expiry, now)),
                idle: idle.get(index).copied().flatten(),
                dump: None,
                fields: None,
                without_value: wanted.value == ValueWanted::Never || redis_type == RedisType::Module,
                from_ledger: false,
            };
            match dumps.next().unwrap_or(Dump::NotAsked) {
                Dump::NotAsked => {}
                Dump::Made(dump) => beside.dump = Some(dump),
                Dump::Gone => facts.type_name = NONE.to_owned(),
                Dump::TooLarge(detail) => facts.too_large = Some(detail),
            }
            facts.beside = Some(Arc::new(beside));
        }
        Ok(())
    }

    /// As [`Self::ask_beside`] for a key that has changed since: its idle time stays what it was before it was read.
    pub(super) async fn ask_beside_again(
        &self,
        key: &RedisKey,
        before: &Facts,
        wanted: Wanted,
    ) -> Result<Facts, Failure> {
        let keys = std::slice::from_ref(key);
        let mut facts = self.facts(keys, wanted.expiry).await?;
        self.ask_beside(keys, &mut facts, Wanted { idle: false, ..wanted }).await?;
        let mut facts = facts.into_iter().next().unwrap_or_else(|| before.clone());
        if let (Some(beside), Some(before)) = (&mut facts.beside, &before.beside) {
            Arc::make_mut(beside).idle = before.idle;
        }
        Ok(facts)
    }

    /// Seconds since each key was used. A server that evicts by frequency does not know.
    async fn idle_times(&self, keys: &[RedisKey]) -> Result<Vec<Option<u64>>, Failure> {
        let unknown = || vec![None; keys.len()];
        if self.inner.idle_refused.load(Ordering::Relaxed) {
            return Ok(unknown());
        }
        let replies = self.each_answered(keys, PerKey::Idle, "OBJECT").await?;
        if let Some(error) = replies.iter().find_map(|reply| reply.as_ref().err()) {
            if !is_untold(error) {
                return Err(self.failure(error, "OBJECT"));
            }
            self.say_untold(error);
            return Ok(unknown());
        }
        Ok(replies.into_iter().map(|reply| reply.ok()?.as_u64()).collect())
    }

    fn say_untold(&self, error: &Error) {
        if !self.inner.idle_refused.swap(true, Ordering::Relaxed) {
            let why = self.inner.target.scrub(error.details());
            let why = why.split(". ").next().unwrap_or_default();
            self.notice(format!("redis.idle is null: Redis does not tell how long keys have been idle: {why}"));
        }
    }

    /// The dump of each key that is of a wanted type and not too large.
    async fn dumps(&self, keys: &[RedisKey], facts: &[Facts], wanted: Wanted) -> Result<Vec<Dump>, Failure> {
        let mut dumps: Vec<Dump> = facts.iter().map(|facts| undumped(facts, wanted)).collect();
        let places: Vec<usize> =
            (0..dumps.len()).filter(|place| matches!(dumps.get(*place), Some(Dump::Gone))).collect();
        let asked: Vec<RedisKey> = places.iter().filter_map(|place| keys.get(*place).cloned()).collect();
        if asked.is_empty() {
            return Ok(dumps);
        }
        let replies = self.each_answered(&asked, PerKey::Dump, "DUMP").await?;
        for (place, reply) in places.into_iter().zip(replies) {
            let reply = reply.map_err(|error| self.failure(&error, "DUMP"))?;
            if let Some(dump) = dumps.get_mut(place) {
                *dump = dump_of(reply);
            }
        }
        Ok(dumps)
    }

    /// The server's clock, with the usual attempts.
    async fn now(&self) -> Result<UnixMillis, Failure> {
        let mut retry = self.retry("TIME");
        loop {
            match self.time().await {
                Ok(now) => return Ok(now),
                Err(error) => retry.after(error).await?,
            }
        }
    }
}

/// What is known of a dump before it is asked for; `Gone` until there is an answer.
fn undumped(facts: &Facts, wanted: Wanted) -> Dump {
    if facts.type_name == NONE || !wanted.types.has(RedisType::named(&facts.type_name)) {
        return Dump::NotAsked;
    }
    match facts.memory.filter(|memory| *memory > DUMP_MEMORY) {
        Some(memory) => {
            Dump::TooLarge(format!("it takes {memory} bytes in Redis, and is not dumped above {DUMP_MEMORY}"))
        }
        None => Dump::Gone,
    }
}

fn dump_of(reply: Value) -> Dump {
    if reply.is_null() {
        return Dump::Gone;
    }
    let dump = match reply {
        Value::Bytes(bytes) => bytes,
        // Bytes that happen to be text.
        other => other.into_bytes().unwrap_or_default(),
    };
    match dump.len() {
        length if length > WHOLE_LIMIT => {
            Dump::TooLarge(format!("its dump has {length} bytes, more than {WHOLE_LIMIT}"))
        }
        _ => Dump::Made(dump),
    }
}

/// Milliseconds from `now` to the time of expiry, both by the server's clock.
fn time_left(expiry: Option<UnixMillis>, now: UnixMillis) -> Option<i64> {
    expiry.filter(|at| *at >= 0).map(|at| at.saturating_sub(now).max(0))
}

/// Whether the server keeps no idle times, or does not let this user ask for them.
fn is_untold(error: &Error) -> bool {
    error.details().contains("LFU maxmemory policy") || is_unavailable(error)
}

#[cfg(test)]
mod tests {
    use super::{is_untold, time_left};
    use fred::error::{Error, ErrorKind};

    #[test]
    fn time_left_is_never_below_nothing() {
        assert_eq!(time_left(Some(5_000), 3_500), Some(1_500));
        assert_eq!(time_left(Some(5_000), 6_000), Some(0));
        assert_eq!((time_left(Some(-1), 1), time_left(None, 1)), (None, None));
    }

    #[test]
    fn a_server_that_keeps_no_idle_times_is_no_failure() {
        let said = |text: &'static str| is_untold(&Error::new(ErrorKind::Unknown, text));
        assert!(said("ERR An LFU maxmemory policy is selected, idle time not tracked."));
        assert!(said("NOPERM this user has no permissions to run the 'object|idletime' command"));
        assert!(!said("ERR something else"));
    }
}
