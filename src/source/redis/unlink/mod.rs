//! Deletes keys that still hold what was compared: the comparison and the deletion are one step on the server.
//!
//! Strings of up to a megabyte are compared by a script, some hundred at a time. All else is read under a watch, and so is
//! everything where scripts are refused: whatever writes to the key between the reading and the deletion undoes the
//! deletion. Connections are never made again behind our back: a watch that is lost with its connection would be no watch.

mod ability;
mod batches;
mod connection;
mod deleting;
mod fates;
mod full;
mod reading;
mod script;
mod stream;
mod warrant;
mod watch;

pub use ability::UnlinkAbility;
pub use fates::{Fate, Fates};
pub use stream::{StreamReading, StreamState};
pub use warrant::Warrant;

use super::RedisSource;
use crate::model::{ContentDigest, Failure, Record, RedisKey, RedisType, UnixMillis};
use bytes::Bytes;
use connection::{Common, Idle};
use fates::One;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// A key that is to go, with what it must hold for that.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The key.
    pub key: RedisKey,
    /// Its type.
    pub redis_type: RedisType,
    /// When it expires, `Some(None)` where it must have no TTL; `None`: that does not matter.
    pub expires_at: Option<Option<UnixMillis>>,
    /// What it holds.
    pub content: Content,
}

/// What a key must hold.
#[derive(Clone, Debug)]
pub enum Content {
    /// These bytes: of a string as they are, of a collection packed.
    Exact(Bytes),
    /// What this is the digest of.
    Digest(ContentDigest),
    /// The entries that this is the digest of, and what a stream has beside them.
    Stream(ContentDigest, StreamState),
}

impl Content {
    /// That of a whole record: of a string in memory its bytes, else a digest. `None` for a slice, and for a record whose
    /// value was not read.
    pub fn of_record(record: &Record) -> Option<Self> {
        let plain = record.redis_type == RedisType::String && record.stored.is_none() && record.has_value();
        match record.slice.is_none() && plain {
            true => Some(Self::Exact(record.value.clone())),
            false => ContentDigest::of_record(record).map(Self::Digest),
        }
    }
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnlinkOutcome {
    /// It held what was compared, and is gone now.
    Deleted,
    /// It holds something else, or was written to again and again while it was compared: it stays.
    Changed,
    /// It holds the same and expires at another time than was compared: it stays.
    Retimed,
    /// It was not there any more.
    Gone,
    /// The user may not read or delete it: it stays.
    Forbidden,
    /// The answer to a deletion was lost, and it is not there now: deleted by us, or gone by itself.
    Unconfirmed,
    /// The answer to a deletion was lost, and it is there now and is not what was compared: it stays. Perhaps we deleted it, and somebody made
    /// it anew.
    PerhapsAnew,
    /// What it must hold was too old when its turn came: it stays.
    Outdated,
    /// The server has no memory left for a transaction, and the key is too large to go without one: it stays.
    NoMemory,
}

impl Candidate {
    /// Bytes that it is expected to hold, about.
    pub fn bytes(&self) -> u64 {
        match &self.content {
            Content::Exact(value) => value.len() as u64,
            Content::Digest(digest) | Content::Stream(digest, _) => digest.bytes(),
        }
    }

    /// The digest of what it holds.
    pub fn digest(&self) -> ContentDigest {
        match &self.content {
            Content::Exact(value) => ContentDigest::of(self.redis_type, value),
            Content::Digest(digest) | Content::Stream(digest, _) => *digest,
        }
    }
}

impl UnlinkOutcome {
    /// The same of a key that an earlier attempt may have deleted.
    fn after_a_lost_answer(self) -> Self {
        match self {
            Self::Gone => Self::Unconfirmed,
            Self::Changed | Self::Retimed | Self::Forbidden | Self::NoMemory => Self::PerhapsAnew,
            told => told,
        }
    }
}

/// How keys are compared and deleted.
#[derive(Clone, Debug, Default)]
pub struct UnlinkOptions {
    /// How far the time of expiry may be off; `None`: not at all where the server tells it to the millisecond (Redis 7), a
    /// second elsewhere.
    pub expiry_tolerance: Option<Duration>,
}

/// How far the time of expiry may be off where it is the server's time and how long is left, asked for one after the other.
const TWO_ANSWERS: Duration = Duration::from_secs(1);

/// Deletes keys of one database of a server. It opens its connections when it needs them, and they close with it.
pub struct Unlinker {
    source: RedisSource,
    ability: UnlinkAbility,
    script: String,
    /// Milliseconds.
    tolerance: u64,
    scripting: Common,
    watching: Idle,
    /// How many more groups go by their seals, since the server has said that it has no memory left.
    full: AtomicU32,
}

impl RedisSource {
    /// What deletes keys of this database, after [`RedisSource::unlink_ability`].
    ///
    /// # Errors
    /// As that one.
    pub async fn unlinker(&self, options: UnlinkOptions) -> Result<Unlinker, Failure> {
        let ability = self.unlink_ability().await?;
        let expire_time = self.inner.abilities.expire_time;
        let tolerance = options.expiry_tolerance.unwrap_or(if expire_time { Duration::ZERO } else { TWO_ANSWERS });
        Ok(Unlinker {
            source: self.clone(),
            ability,
            script: script::script(expire_time),
            tolerance: u64::try_from(tolerance.as_millis()).unwrap_or(u64::MAX),
            scripting: Common::default(),
            watching: Idle::default(),
            full: AtomicU32::new(0),
        })
    }
}

impl Unlinker {
    /// How it goes about it.
    pub fn ability(&self) -> UnlinkAbility {
        self.ability
    }

    /// Compares and deletes these keys as long as `warrant` lets them go. Each key should be among them once. `fates` are theirs, and are told
    /// what became of each as soon as that is known: all of it where this comes to its end.
    ///
    /// Its values are held once more while they are sent: some megabytes, and a value in slices of a megabyte.
    ///
    /// # Errors
    /// The server is gone, has become a replica, or refuses writes altogether; the warrant has ended. What is known by then `fates` say. What was
    /// sent already may be done a moment later: whether a key was deleted shows only in whether it is there. So it is where this is broken off.
    pub async fn unlink(&self, candidates: &[Candidate], warrant: &dyn Warrant, fates: &Fates) -> Result<(), Failure> {
        if fates.len() != candidates.len() {
            return Err(Failure::internal("the fates of other keys than those that are to be unlinked"));
        }
        let by = (warrant, fates);
        let all = candidates.iter().enumerate().map(|(place, candidate)| One { candidate, place });
        let (scripted, watched): (Vec<One<'_>>, Vec<One<'_>>) =
            all.partition(|one| self.takes_by_script(one.candidate));
        let watching = async {
            if self.ability.watch {
                return self.unlink_watched(watched, by).await;
            }
            watched.iter().for_each(|one| fates.found(one, UnlinkOutcome::Forbidden));
            Ok(())
        };
        tokio::try_join!(self.unlink_by_script(scripted, by), watching)?;
        match fates.are_told() {
            true => Ok(()),
            false => Err(Failure::internal("a key that was to be unlinked has no outcome")),
        }
    }
}
