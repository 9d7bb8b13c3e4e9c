//! What is known of a key before it is read: its type, about how much memory it takes, and when it expires.

use super::super::errors::unexpected;
use super::super::fetch::PerKey;
use super::super::{RedisSource, bytes_of, number_of};
use crate::model::{Failure, KeyFacts, RedisKey, UnixMillis};
use fred::error::Error;
use fred::types::Resp3Frame;
use std::sync::Arc;

/// Asks for all of it with one command a page. Read-only.
pub(in crate::source::redis) const FACTS_SCRIPT: &str = "local r = {} for i, key in ipairs(KEYS) do \
    r[3 * i - 2] = redis.call('TYPE', key).ok r[3 * i - 1] = redis.call('MEMORY', 'USAGE', key) or -1 \
    r[3 * i] = redis.call('PEXPIRETIME', key) end return r";

/// What is known of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::source::redis) struct Facts {
    /// What TYPE answers; `none` for a key that is not there.
    pub(in crate::source::redis) type_name: String,
    /// What the server holds for it, by a sample of its items: mostly more than its bytes. `None`: it does not tell.
    pub(in crate::source::redis) memory: Option<u64>,
    /// As PEXPIRETIME answers.
    pub(in crate::source::redis) expiry: Option<UnixMillis>,
    /// What its mapping wants beside the value, once it was asked for.
    pub(super) beside: Option<Arc<KeyFacts>>,
    /// Why its dump cannot be had although it is wanted.
    pub(super) too_large: Option<String>,
}

impl RedisSource {
    /// The facts of each key, with the usual attempts.
    pub(in crate::source::redis) async fn facts(
        &self,
        keys: &[RedisKey],
        want_expiry: bool,
    ) -> Result<Vec<Facts>, Failure> {
        let mut retry = self.retry("TYPE");
        loop {
            match self.facts_once(keys, want_expiry).await {
                Ok(facts) => return Ok(facts),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn facts_once(&self, keys: &[RedisKey], want_expiry: bool) -> Result<Vec<Facts>, Error> {
        if self.inner.abilities.facts_script {
            return self.facts_by_script(keys).await;
        }
        let (types, memory, expiries) = tokio::join!(biased; self.each(keys, PerKey::Type), self.each(keys, PerKey::Memory), async {
            if want_expiry { self.expiries(keys).await.map(Some) } else { Ok(None) }
        });
        let (memory, expiries) = (memory?, expiries?);
        let held = |index: usize| memory.get(index).and_then(|reply| reply.as_ref().ok()?.as_u64());
        let facts = types?.into_iter().enumerate().map(|(index, reply)| {
            let type_name = reply?.as_string().ok_or_else(|| unexpected("TYPE", "no type"))?;
            Ok(Facts {
                type_name,
                memory: held(index),
                expiry: expiries.as_ref().and_then(|all| all.get(index)).copied(),
                ..Facts::default()
            })
        });
        facts.collect()
    }

    async fn facts_by_script(&self, keys: &[RedisKey]) -> Result<Vec<Facts>, Error> {
        let wrong = || unexpected("EVAL_RO", "something else than three facts a key");
        let Resp3Frame::Array { data, .. } = self.once("EVAL_RO", self.script(FACTS_SCRIPT, keys)).await? else {
            return Err(wrong());
        };
        let facts: Option<Vec<Facts>> = data.chunks_exact(3).map(of_reply).collect();
        facts.filter(|facts| facts.len() == keys.len()).ok_or_else(wrong)
    }
}

fn of_reply(three: &[Resp3Frame]) -> Option<Facts> {
    let [type_name, memory, expiry] = three else { return None };
    let type_name = bytes_of(type_name.clone())?;
    Some(Facts {
        type_name: String::from_utf8_lossy(&type_name).into_owned(),
        memory: u64::try_from(number_of(memory)?).ok(),
        expiry: Some(number_of(expiry)?),
        ..Facts::default()
    })
}
