//! When the fields of hashes expire, each for itself (Redis 7.4, Valkey 9), and whether any do.
//!
//! Asked for behind the values, since a field can only be named once it is known. One that has gone in between is taken
//! out: it was read, and is not there any more, as if it had gone a moment earlier.

use super::super::connect::PROBE_KEY;
use super::super::errors::{is_transient, is_unavailable, unexpected};
use super::super::wire::Wire;
use super::super::{RedisSource, bytes_of};
use super::is_wrong_type;
use crate::model::{Failure, FieldExpiries, FieldTimes, Items, Packer, RedisKey};
use bytes::Bytes;
use fred::error::Error;
use fred::interfaces::{ClientLike, FredResult};
use fred::types::{ClusterHash, CustomCommand, Value};
use std::sync::atomic::Ordering;

/// Fields that one command asks for.
const FIELDS: usize = 1_000;
/// What HPEXPIRETIME answers for a field that is not there.
const MISSING: i64 = -2;
/// What INFO calls the number of hashes that have fields with a TTL: Redis, Valkey.
const COUNTS: [&str; 2] = ["subexpiry", "keys_with_volatile_items"];

/// A hash whose fields were asked for: its value, without those that have gone, and the times of the others.
pub(in crate::source::redis) type Timed = (Bytes, FieldExpiries);

impl RedisSource {
    /// Why the server does not tell when fields of hashes expire; `None` where it does. It is not asked again then.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn hides_field_expiry(&self) -> Result<Option<String>, Failure> {
        let args = || vec![PROBE_KEY.into(), "FIELDS".into(), "1".into(), "field".into()];
        let mut retry = self.retry(COMMAND);
        loop {
            match self.once(COMMAND, args()).await {
                Err(error) if is_transient(&error) => retry.after(error).await?,
                Err(error) if is_unavailable(&error) => {
                    self.inner.fields_untold.store(true, Ordering::Relaxed);
                    return Ok(Some(self.untold(&error)));
                }
                // The user may read other keys than the probe.
                _ => return Ok(None),
            }
        }
    }

    /// Whether the server tells it, as far as is known; after [`RedisSource::hides_field_expiry`].
    pub fn tells_field_expiry(&self) -> bool {
        !self.inner.fields_untold.load(Ordering::Relaxed)
    }

    /// How many hashes of the database have fields with a TTL; `None` where the server does not tell.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn hashes_with_field_expiry(&self) -> Result<Option<u64>, Failure> {
        let Some(cluster) = &self.cluster else { return self.hashes_with_field_expiry_here().await };
        let mut count = None;
        for node in cluster.primaries().await? {
            let here = node.hashes_with_field_expiry_here().await?;
            count = here.map(|here| count.unwrap_or(0) + here).or(count);
        }
        Ok(count)
    }

    async fn hashes_with_field_expiry_here(&self) -> Result<Option<u64>, Failure> {
        let mut retry = self.retry("INFO");
        let reply = loop {
            match self.once("INFO", vec!["keyspace".into()]).await {
                Err(error) if is_transient(&error) => retry.after(error).await?,
                answer => break answer.ok().and_then(bytes_of),
            }
        };
        let text = reply.map(|text| String::from_utf8_lossy(&text).into_owned());
        Ok(text.and_then(|text| counted(&text, self.database())))
    }

    /// Asks on this connection when the fields of these hashes expire; `None` for a key that is no hash any more. `None` as a
    /// whole where the server does not tell, or nobody wants to know.
    pub(in crate::source::redis) async fn time_fields(
        &self,
        wire: &Wire,
        hashes: &[(RedisKey, Bytes)],
        wanted: FieldTimes,
    ) -> Result<Option<Vec<Option<Timed>>>, Error> {
        if wanted == FieldTimes::Unasked || self.inner.fields_untold.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let replies = match ask(wire, hashes).await {
            Err(error) if is_unavailable(&error) => {
                self.say_fields_untold(&error);
                return Ok(None);
            }
            replies => replies?,
        };
        let now = if wanted == FieldTimes::ExpiryAndTtl { Some(self.time().await?) } else { None };
        let timed = |((_, value), times): (&(RedisKey, Bytes), Option<Vec<i64>>)| Some(join(value, &times?, now));
        Ok(Some(hashes.iter().zip(replies).map(timed).collect()))
    }

    fn say_fields_untold(&self, error: &Error) {
        if !self.inner.fields_untold.swap(true, Ordering::Relaxed) {
            let why = self.untold(error);
            self.notice(format!("element.expires_at and element.ttl are null: {why}"));
        }
    }

    fn untold(&self, error: &Error) -> String {
        let why = self.inner.target.scrub(error.details());
        let why = why.split(", with args").next().unwrap_or_default();
        format!("Redis does not tell when fields of hashes expire ({COMMAND}): {why}")
    }
}

const COMMAND: &str = "HPEXPIRETIME";

/// The times of the fields of each hash, in the order of its value; `None` for what is no hash any more.
async fn ask(wire: &Wire, hashes: &[(RedisKey, Bytes)]) -> Result<Vec<Option<Vec<i64>>>, Error> {
    let batch = wire.batch();
    let mut commands = Vec::with_capacity(hashes.len());
    for (key, value) in hashes {
        let fields: Vec<Value> =
            Items::of(value).pairs().map(|(field, _)| Value::Bytes(value.slice_ref(field))).collect();
        commands.push(fields.chunks(FIELDS).len());
        for chunk in fields.chunks(FIELDS) {
            let mut args = vec![Value::Bytes(key.bytes()), "FIELDS".into(), chunk.len().to_string().into()];
            args.extend_from_slice(chunk);
            let command = CustomCommand::new_static(COMMAND, ClusterHash::FirstKey, false);
            // Only queues: the answers come all together.
            let () = batch.next().await?.custom(command, args).await?;
        }
    }
    let asked: usize = commands.iter().sum();
    if asked == 0 {
        return Ok(vec![Some(Vec::new()); hashes.len()]);
    }
    let mut replies = batch.answers(asked).await?.into_iter();
    commands.into_iter().map(|count| times(replies.by_ref().take(count))).collect()
}

fn times(replies: impl Iterator<Item = FredResult<Value>>) -> Result<Option<Vec<i64>>, Error> {
    let (mut times, mut other) = (Vec::new(), false);
    // To the last, so that the next hash begins with its own.
    for reply in replies {
        match reply {
            Ok(Value::Array(all)) => times.extend(all.iter().filter_map(Value::as_i64)),
            Ok(_) => return Err(unexpected(COMMAND, "something else than an array")),
            Err(error) if is_wrong_type(&error) && !is_transient(&error) => other = true,
            Err(error) => return Err(error),
        }
    }
    Ok((!other).then_some(times))
}

/// The value without the fields that have gone, and the times of the others.
fn join(value: &Bytes, times: &[i64], now: Option<i64>) -> Timed {
    let at: Vec<i64> = times.iter().copied().filter(|at| *at != MISSING).collect();
    let there = Items::of(value).pairs().zip(times).filter(|(_, at)| **at != MISSING);
    let value = if at.len() == times.len() {
        value.clone()
    } else {
        there.flat_map(|((field, value), _)| [field, value]).collect::<Packer>().finish()
    };
    (value, FieldExpiries { at, now })
}

/// How many hashes of a database have fields with a TTL, as INFO says it. A database that it does not name has no keys.
fn counted(info: &str, database: u8) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("db{database}:")))?;
    let mut counts = line.trim().split(',').filter_map(|part| part.split_once('='));
    counts.find(|(name, _)| COUNTS.contains(name))?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{counted, join};
    use crate::model::{Items, Packer};

    #[test]
    fn a_field_that_has_gone_is_taken_out_with_its_value() {
        let value = [&b"a"[..], b"1", b"b", b"2", b"c", b"3"].into_iter().collect::<Packer>().finish();
        let (left, expiries) = join(&value, &[5, -2, -1], Some(1));
        assert_eq!(Items::of(&left).collect::<Vec<_>>(), [&b"a"[..], b"1", b"c", b"3"]);
        assert_eq!((expiries.at, expiries.now), (vec![5, -1], Some(1)));
        let (whole, _) = join(&value, &[-1, -1, -1], None);
        assert_eq!(whole, value);
    }

    #[test]
    fn redis_and_valkey_count_hashes_with_expiring_fields_in_words_of_their_own() {
        let redis = "# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0,subexpiry=7\r\ndb1:keys=1,expires=0,avg_ttl=0,subexpiry=0\r\n";
        assert_eq!((counted(redis, 0), counted(redis, 1), counted(redis, 2)), (Some(7), Some(0), None));
        let valkey = "# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0,keys_with_volatile_items=3\r\n";
        assert_eq!(counted(valkey, 0), Some(3));
        assert_eq!(counted("db0:keys=1,expires=0,avg_ttl=0\r\n", 0), None);
    }
}
