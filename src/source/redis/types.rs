//! The types of keys: as TYPE tells them, or as far as it goes without.

use super::RedisSource;
use super::collections::{NONE, is_wrong_type};
use super::errors::unexpected;
use super::fetch::PerKey;
use crate::model::{Failure, RedisKey};
use fred::interfaces::FredResult;
use fred::types::Value;

/// What stands for the type of a key that is no string, where TYPE is refused.
const UNTOLD: &str = "non-string";

impl RedisSource {
    /// The type of each key, with the usual attempts.
    pub(super) async fn types(&self, keys: &[RedisKey]) -> Result<Vec<String>, Failure> {
        if !self.inner.abilities.types {
            return self.types_untold(keys).await;
        }
        let mut retry = self.retry("TYPE");
        loop {
            let replies = match self.each(keys, PerKey::Type).await {
                Ok(replies) => replies.into_iter().collect::<FredResult<Vec<Value>>>(),
                Err(error) => Err(error),
            };
            let text = |reply: Value| reply.as_string().ok_or_else(|| unexpected("TYPE", "no type"));
            match replies.and_then(|replies| replies.into_iter().map(text).collect()) {
                Ok(types) => return Ok(types),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// As far as it goes without TYPE: whether each key is there, and whether it is a string.
    async fn types_untold(&self, keys: &[RedisKey]) -> Result<Vec<String>, Failure> {
        let lengths = self.each_answered(keys, PerKey::Strlen, "STRLEN").await?;
        let there = self.each_answered(keys, PerKey::Exists, "EXISTS").await?;
        let types = lengths.into_iter().zip(there).map(|(length, there)| match length {
            Err(error) if is_wrong_type(&error) => Ok(UNTOLD.to_owned()),
            Err(error) => Err(self.failure(&error, "STRLEN")),
            // An empty string has no length either.
            Ok(length) if length.as_u64() == Some(0) && there.is_ok_and(|there| there.as_u64() == Some(0)) => {
                Ok(NONE.to_owned())
            }
            Ok(_) => Ok("string".to_owned()),
        });
        types.collect()
    }
}
