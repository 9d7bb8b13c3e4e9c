//! What single commands tell of one key, asked over the connection on which it is read.

use super::super::errors::is_unavailable;
use super::super::wire::Wire;
use super::super::{RedisSource, bytes_of, number_of};
use crate::model::{RedisKey, UnixMillis};
use bytes::Bytes;
use fred::error::Error;
use fred::types::Value;

/// What came of a dump.
pub(super) enum Dump {
    Made(Bytes),
    Gone,
    /// The user may not have it.
    Refused,
}

/// What came of the text of a document.
pub(super) enum Text {
    Read(Bytes),
    Gone,
    /// The module does not print it, or not for this user.
    None,
}

/// The text of a document.
pub(super) async fn text(wire: &Wire, key: &RedisKey) -> Result<Text, Error> {
    match wire.send("JSON.GET", vec![Value::Bytes(key.bytes())]).await {
        Ok(reply) => Ok(bytes_of(reply).map_or(Text::Gone, Text::Read)),
        Err(error) if is_unavailable(&error) => Ok(Text::None),
        Err(error) => Err(error),
    }
}

/// A key's dump.
pub(super) async fn dump(wire: &Wire, key: &RedisKey) -> Result<Dump, Error> {
    match wire.send("DUMP", vec![Value::Bytes(key.bytes())]).await {
        Ok(reply) => Ok(bytes_of(reply).map_or(Dump::Gone, Dump::Made)),
        Err(error) if is_unavailable(&error) => Ok(Dump::Refused),
        Err(error) => Err(error),
    }
}

/// About how much memory the key takes.
pub(super) enum Held {
    /// Bytes; `None`: it is not there.
    Told(Option<u64>),
    /// The server does not tell.
    Untold,
}

impl Held {
    /// Bytes, where they are known.
    pub(super) fn bytes(&self) -> Option<u64> {
        match self {
            Self::Told(bytes) => *bytes,
            Self::Untold => None,
        }
    }
}

/// Asks how much memory the key takes.
pub(super) async fn held(wire: &Wire, key: &RedisKey) -> Result<Held, Error> {
    match wire.send("MEMORY", vec!["USAGE".into(), Value::Bytes(key.bytes())]).await {
        Ok(held) => Ok(Held::Told(number_of(&held).and_then(|held| u64::try_from(held).ok()))),
        Err(error) if is_unavailable(&error) => Ok(Held::Untold),
        Err(error) => Err(error),
    }
}

/// When the key expires, asked over this connection.
pub(super) async fn expiry(source: &RedisSource, wire: &Wire, key: &RedisKey) -> Result<Option<UnixMillis>, Error> {
    let args = || vec![Value::Bytes(key.bytes())];
    if source.inner.abilities.expire_time {
        let at = number_of(&wire.send("PEXPIRETIME", args()).await?);
        return Ok(at.filter(|at| *at >= 0));
    }
    let left = number_of(&wire.send("PTTL", args()).await?).filter(|left| *left >= 0);
    Ok(match left {
        Some(left) => Some(source.time().await?.saturating_add(left)),
        None => None,
    })
}
