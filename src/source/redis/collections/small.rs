//! Small collections: one command for each, all written at once.

use super::super::errors::{is_transient, unexpected};
use super::super::wire::Wire;
use super::is_wrong_type;
use super::pack::pack;
use crate::model::{RedisKey, RedisType};
use bytes::Bytes;
use fred::clients::{Client, Pipeline};
use fred::error::Error;
use fred::interfaces::{
    HashesInterface, KeysInterface, ListInterface, SetsInterface, SortedSetsInterface, StreamsInterface,
};
use fred::types::Value;

/// The value of each key; `None` where it is not there any more, or of another type, or empty.
///
/// # Errors
/// What is true of the connection or of the server as a whole, or a right that is missing.
pub(super) async fn read(wire: &Wire, keys: &[(RedisKey, RedisType)]) -> Result<Vec<Option<Bytes>>, Error> {
    let batch = wire.batch();
    for (key, redis_type) in keys {
        queue(batch.next().await?, key, *redis_type).await?;
    }
    let replies = batch.answers(keys.len()).await?;
    let mut values = Vec::with_capacity(keys.len());
    for (reply, (_, redis_type)) in replies.into_iter().zip(keys) {
        values.push(match reply {
            Ok(reply) => value(*redis_type, reply)?,
            Err(error) if is_wrong_type(&error) && !is_transient(&error) => None,
            Err(error) => return Err(error),
        });
    }
    Ok(values)
}

/// Only queues: the answers come all together.
async fn queue(pipeline: &Pipeline<Client>, key: &RedisKey, redis_type: RedisType) -> Result<(), Error> {
    let key = key.bytes();
    match redis_type {
        RedisType::Hash => pipeline.hgetall(key).await,
        RedisType::Set => pipeline.smembers(key).await,
        RedisType::Zset => pipeline.zrange(key, 0, -1, None, false, None, true).await,
        RedisType::List => pipeline.lrange(key, 0, -1).await,
        RedisType::Stream => pipeline.xrange(key, "-", "+", None).await,
        // The others are not read here.
        RedisType::String | RedisType::Json | RedisType::Module => pipeline.get(key).await,
    }
}

fn value(redis_type: RedisType, reply: Value) -> Result<Option<Bytes>, Error> {
    if redis_type.is_whole() {
        return if reply.is_null() { Ok(None) } else { bytes(reply).map(Some) };
    }
    let mut items = Vec::new();
    if redis_type == RedisType::Stream {
        for entry in list(reply)? {
            let mut parts = list(entry)?.into_iter();
            let (Some(id), Some(fields)) = (parts.next(), parts.next()) else {
                return Err(unexpected("XRANGE", "something else than entries"));
            };
            let mut own = Vec::new();
            flatten(fields, &mut own)?;
            items.push(bytes(id)?);
            items.push((own.len() / 2).to_string().into());
            items.append(&mut own);
        }
        // A stream may be empty, and is there all the same.
        return Ok(Some(pack(redis_type, items)));
    }
    flatten(reply, &mut items)?;
    Ok((!items.is_empty()).then(|| pack(redis_type, items)))
}

/// The strings of a reply, whether names and values come in turn, in twos, or as a map.
fn flatten(reply: Value, items: &mut Vec<Bytes>) -> Result<(), Error> {
    match reply {
        Value::Array(parts) => parts.into_iter().try_for_each(|part| flatten(part, items)),
        Value::Map(map) => map.inner().into_iter().try_for_each(|(name, value)| {
            items.push(name.into_bytes());
            flatten(value, items)
        }),
        Value::Null => Ok(()),
        one => {
            items.push(bytes(one)?);
            Ok(())
        }
    }
}

fn list(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(parts) => Ok(parts),
        Value::Null => Ok(Vec::new()),
        _ => Err(unexpected("a read of a collection", "something else than an array")),
    }
}

fn bytes(value: Value) -> Result<Bytes, Error> {
    match value {
        Value::String(text) => Ok(text.into_inner()),
        Value::Bytes(bytes) => Ok(bytes),
        Value::Integer(number) => Ok(number.to_string().into()),
        Value::Double(number) => Ok(number.to_string().into()),
        _ => Err(unexpected("a read of a collection", "an item that is no string")),
    }
}
