//! What a watched key holds and when it expires, on the connection that watches it.

use super::super::collections::is_wrong_type;
use super::super::collections::pace::Pace;
use super::super::collections::slice::{self, Place};
use super::super::errors::{is_no_group, is_no_key, is_transient, unexpected};
use super::super::expiry::time;
use super::super::fetch::FOREVER;
use super::super::wire::Wire;
use super::super::{bytes_of, number_of};
use super::stream::state;
use super::{Candidate, Content, Unlinker};
use crate::model::{ContentDigest, ContentHasher, FieldTimes, Packer, RedisType};
use fred::error::Error;
use fred::types::Value;
use futures::future::try_join_all;

/// Bytes that a slice is to have, about, and items at most.
const SLICE: usize = 1 << 20;
const ITEMS: usize = 10_000;
/// Items of the first slice of what is less than a slice as a whole.
const FIRST_OF_SMALL: usize = 64;

/// What was found of a key.
pub(super) enum Found {
    /// This is what it holds.
    Holds(ContentDigest),
    /// It holds something else: it is of another type, or has more.
    Other,
    Gone,
}

impl Unlinker {
    /// What a key holds, as far as it takes to compare it with what it should.
    pub(super) async fn held(
        &self,
        wire: &Wire,
        candidate: &Candidate,
        expected: &ContentDigest,
    ) -> Result<Found, Error> {
        let read = match candidate.redis_type {
            RedisType::Json => whole(wire, "JSON.GET", candidate).await,
            RedisType::Module => whole(wire, "DUMP", candidate).await,
            _ => self.sliced(wire, candidate, expected).await,
        };
        let read = match (read, &candidate.content) {
            (Ok(Found::Holds(held)), Content::Stream(_, wanted)) if held == *expected => {
                let same = state(wire, &candidate.key).await.map(|state| state == *wanted);
                same.map(|same| if same { Found::Holds(held) } else { Found::Other })
            }
            (read, _) => read,
        };
        match read {
            Err(error) if !is_transient(&error) && is_no_key(&error) => Ok(Found::Gone),
            Err(error) if !is_transient(&error) && is_another(&error) => Ok(Found::Other),
            read => read,
        }
    }

    async fn sliced(&self, wire: &Wire, candidate: &Candidate, expected: &ContentDigest) -> Result<Found, Error> {
        let (key, redis_type) = (&candidate.key, candidate.redis_type);
        let wanted = if expected.has_field_expiry() { FieldTimes::Expiry } else { FieldTimes::Unasked };
        let mut hasher = ContentHasher::new(redis_type);
        let (mut place, mut empty) = (Some(Place::Start), true);
        // One byte more than there should be tells that there is more.
        let bytes = usize::try_from(expected.bytes()).unwrap_or(SLICE).saturating_add(1).min(SLICE);
        let mut pace = Pace::new(redis_type, (SLICE, ITEMS), bytes);
        if expected.bytes() < SLICE as u64 {
            pace = pace.beginning_with(FIRST_OF_SMALL);
        }
        while let Some(from) = place {
            let slice = slice::read(wire, key, redis_type, &from, pace.count()).await?;
            empty &= slice.items.is_empty();
            pace.saw(&slice.items);
            if redis_type == RedisType::String {
                slice.items.iter().for_each(|piece| hasher.update(piece, None));
            } else {
                let packed = slice.items.iter().map(|item| item.as_ref()).collect::<Packer>().finish();
                let hash = [(key.clone(), packed)];
                match self.source.time_fields(wire, &hash, wanted).await?.and_then(|mut timed| timed.pop()) {
                    Some(Some((value, fields))) => hasher.update(&value, Some(&fields)),
                    Some(None) => return Ok(Found::Other),
                    None => hash.iter().for_each(|(_, packed)| hasher.update(packed, None)),
                }
            }
            if hasher.bytes() > expected.bytes() {
                return Ok(Found::Other);
            }
            place = slice.next;
        }
        // A stream may be empty, and is there all the same.
        if empty && (redis_type != RedisType::Stream || !exists(wire, candidate).await?) {
            return Ok(Found::Gone);
        }
        Ok(Found::Holds(hasher.finish()))
    }

    /// When each key expires: in milliseconds, or as PEXPIRETIME says it; `None` where nobody wants to know it.
    pub(super) async fn expiries_on(&self, wire: &Wire, some: &[&Candidate]) -> Result<Vec<Option<i64>>, Error> {
        if some.iter().all(|candidate| candidate.expires_at.is_none()) {
            return Ok(vec![None; some.len()]);
        }
        let expire_time = self.source.inner.abilities.expire_time;
        let command = if expire_time { "PEXPIRETIME" } else { "PTTL" };
        let now = if expire_time { 0 } else { time(wire).await? };
        let asked = some.iter().map(|candidate| async move {
            if candidate.expires_at.is_none() {
                return Ok(None);
            }
            let reply = wire.send(command, vec![Value::Bytes(candidate.key.bytes())]).await?;
            let at = number_of(&reply).ok_or_else(|| unexpected(command, "no number"))?;
            Ok(Some(if at >= 0 { at.saturating_add(now) } else { at }))
        });
        try_join_all(asked).await
    }

    /// Whether a key expires when it should, as far as that matters.
    pub(super) fn is_timed(&self, candidate: &Candidate, at: Option<i64>) -> bool {
        match (candidate.expires_at, at) {
            (None, _) => true,
            (Some(None), Some(at)) => at == FOREVER,
            (Some(Some(expected)), Some(at)) => at >= 0 && at.abs_diff(expected) <= self.tolerance,
            (Some(_), None) => false,
        }
    }
}

async fn whole(wire: &Wire, command: &'static str, candidate: &Candidate) -> Result<Found, Error> {
    let reply = wire.send(command, vec![Value::Bytes(candidate.key.bytes())]).await?;
    let digest = |value: bytes::Bytes| Found::Holds(ContentDigest::of(candidate.redis_type, &value));
    Ok(bytes_of(reply).map_or(Found::Gone, digest))
}

async fn exists(wire: &Wire, candidate: &Candidate) -> Result<bool, Error> {
    let reply = wire.send("EXISTS", vec![Value::Bytes(candidate.key.bytes())]).await?;
    Ok(number_of(&reply) == Some(1))
}

/// Whether a command says that the key is another by now: of another type, or without a group that it had a moment ago.
fn is_another(error: &Error) -> bool {
    is_wrong_type(error) || is_no_group(error)
}
