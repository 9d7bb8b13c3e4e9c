//! A piece of a collection: one command, and where the next one goes on.

use super::super::errors::unexpected;
use super::super::wire::Wire;
use super::super::{bytes_of, number_of};
use crate::model::{RedisKey, RedisType};
use bytes::Bytes;
use fred::error::Error;
use fred::types::{Resp3Frame, Value};

/// Where the reading of a collection goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source::redis) enum Place {
    /// At the beginning.
    Start,
    /// At a cursor of HSCAN, SSCAN or ZSCAN.
    Cursor(String),
    /// At an element of a list, or a byte of a string.
    Index(u64),
    /// Behind an entry of a stream.
    Behind(String),
}

/// Some items, as the packed form has them.
#[derive(Debug)]
pub(in crate::source::redis) struct Slice {
    pub(in crate::source::redis) items: Vec<Bytes>,
    /// `None` after the last.
    pub(in crate::source::redis) next: Option<Place>,
}

/// Reads about `count` items from `place` on. A hash or set that Redis keeps in one piece comes whole.
pub(in crate::source::redis) async fn read(
    wire: &Wire,
    key: &RedisKey,
    redis_type: RedisType,
    place: &Place,
    count: usize,
) -> Result<Slice, Error> {
    match redis_type {
        RedisType::Hash => scanned(wire, "HSCAN", key, place, count).await,
        RedisType::Set => scanned(wire, "SSCAN", key, place, count).await,
        RedisType::Zset => scanned(wire, "ZSCAN", key, place, count).await,
        RedisType::List => elements(wire, key, place, count).await,
        RedisType::Stream => entries(wire, key, place, count).await,
        RedisType::String => bytes(wire, key, place, count).await,
        RedisType::Json | RedisType::Module => Err(unexpected("TYPE", "a type that has no items")),
    }
}

async fn scanned(
    wire: &Wire,
    command: &'static str,
    key: &RedisKey,
    place: &Place,
    count: usize,
) -> Result<Slice, Error> {
    let cursor = match place {
        Place::Cursor(cursor) => cursor.as_str(),
        _ => "0",
    };
    let args = vec![Value::Bytes(key.bytes()), cursor.into(), "COUNT".into(), count.to_string().into()];
    let wrong = || unexpected(command, "something else than a cursor and items");
    let Resp3Frame::Array { data, .. } = wire.send(command, args).await? else { return Err(wrong()) };
    let mut parts = data.into_iter();
    let (Some(cursor), Some(Resp3Frame::Array { data, .. })) = (parts.next().and_then(bytes_of), parts.next()) else {
        return Err(wrong());
    };
    let cursor = String::from_utf8_lossy(&cursor).into_owned();
    Ok(Slice { items: strings(data, command)?, next: (cursor != "0").then_some(Place::Cursor(cursor)) })
}

async fn elements(wire: &Wire, key: &RedisKey, place: &Place, count: usize) -> Result<Slice, Error> {
    let from = match place {
        Place::Index(index) => *index,
        _ => 0,
    };
    let behind = from.saturating_add(count as u64);
    let args = vec![Value::Bytes(key.bytes()), from.to_string().into(), (behind - 1).to_string().into()];
    let reply = wire.send("LRANGE", args).await?;
    let items = strings(array(reply, "LRANGE")?, "LRANGE")?;
    let next = (items.len() >= count).then_some(Place::Index(behind));
    Ok(Slice { items, next })
}

/// `count` bytes of a string, as one item. An empty string is an item, a key that has gone is none.
async fn bytes(wire: &Wire, key: &RedisKey, place: &Place, count: usize) -> Result<Slice, Error> {
    let from = match place {
        Place::Index(index) => *index,
        _ => 0,
    };
    let behind = from.saturating_add(count as u64);
    let args = vec![Value::Bytes(key.bytes()), from.to_string().into(), (behind - 1).to_string().into()];
    let piece = bytes_of(wire.send("GETRANGE", args).await?);
    let piece = piece.ok_or_else(|| unexpected("GETRANGE", "something else than a string"))?;
    let next = (piece.len() >= count).then_some(Place::Index(behind));
    let exists = async || {
        let reply = wire.send("EXISTS", vec![Value::Bytes(key.bytes())]).await?;
        Ok::<bool, Error>(number_of(&reply) == Some(1))
    };
    let gone = piece.is_empty() && from == 0 && !exists().await?;
    Ok(Slice { items: if gone { Vec::new() } else { vec![piece] }, next })
}

async fn entries(wire: &Wire, key: &RedisKey, place: &Place, count: usize) -> Result<Slice, Error> {
    let from = match place {
        Place::Behind(id) => after(id).ok_or_else(|| unexpected("XRANGE", "an id that is none"))?,
        _ => "-".to_owned(),
    };
    let args = vec![Value::Bytes(key.bytes()), from.into(), "+".into(), "COUNT".into(), count.to_string().into()];
    let entries = array(wire.send("XRANGE", args).await?, "XRANGE")?;
    let full = entries.len() >= count;
    let mut items = Vec::new();
    let mut last = None;
    for entry in entries {
        last = Some(push_entry(entry, &mut items)?);
    }
    // Nothing can be behind the highest id that there is.
    let next = last.filter(|id| full && after(id).is_some()).map(Place::Behind);
    Ok(Slice { items, next })
}

/// Appends an entry as the packed form has it; gives its id.
pub(super) fn push_entry(entry: Resp3Frame, items: &mut Vec<Bytes>) -> Result<String, Error> {
    let wrong = || unexpected("XRANGE", "something else than entries");
    let mut parts = array(entry, "XRANGE")?.into_iter();
    let id = parts.next().and_then(bytes_of).ok_or_else(wrong)?;
    // Fields are nil for an entry that was deleted and is still pending; XRANGE does not show such ones.
    let fields = strings(array(parts.next().ok_or_else(wrong)?, "XRANGE")?, "XRANGE")?;
    items.push(id.clone());
    items.push((fields.len() / 2).to_string().into());
    items.extend(fields);
    Ok(String::from_utf8_lossy(&id).into_owned())
}

/// The smallest id behind an id; both parts are u64.
pub(in crate::source::redis) fn after(id: &str) -> Option<String> {
    let (time, number) = id.split_once('-')?;
    let (time, number): (u64, u64) = (time.parse().ok()?, number.parse().ok()?);
    match number.checked_add(1) {
        Some(number) => Some(format!("{time}-{number}")),
        None => Some(format!("{}-0", time.checked_add(1)?)),
    }
}

pub(in crate::source::redis) fn array(frame: Resp3Frame, command: &'static str) -> Result<Vec<Resp3Frame>, Error> {
    match frame {
        Resp3Frame::Array { data, .. } => Ok(data),
        _ => Err(unexpected(command, "something else than an array")),
    }
}

pub(in crate::source::redis) fn strings(frames: Vec<Resp3Frame>, command: &'static str) -> Result<Vec<Bytes>, Error> {
    let string = |frame| bytes_of(frame).ok_or_else(|| unexpected(command, "an item that is no string"));
    frames.into_iter().map(string).collect()
}

#[cfg(test)]
mod tests {
    use super::after;

    #[test]
    fn ids_of_streams_go_up_to_the_largest_there_is() {
        assert_eq!(after("5-7").as_deref(), Some("5-8"));
        assert_eq!(after("5-18446744073709551615").as_deref(), Some("6-0"));
        assert_eq!(after("18446744073709551615-18446744073709551615"), None);
        assert_eq!(after("x"), None);
    }
}
