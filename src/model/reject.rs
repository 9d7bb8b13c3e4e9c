//! Why a key was not loaded: rejected (somebody must act) or skipped (nobody needs to).

use super::{ElementOf, KeyFacts, Record, RedisKey, Rivals, Row, Stored, UnixMillis};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

/// A stable code for the reason of a reject, such as `json_syntax` or `too_long`. Reports count by it.
pub type Reason = Cow<'static, str>;

/// One key that could not be loaded, with all that a person needs to see why and to try again.
#[derive(Clone, Debug)]
pub struct Reject {
    /// The key.
    pub key: RedisKey,
    /// The number of its database; `None` until the reject is shown to somebody: its batch knows it.
    pub database: Option<u8>,
    /// The reason's stable code.
    pub reason: Reason,
    /// A sentence for people: what was found and where. Never holds a secret; may quote a short piece of the value.
    pub detail: String,
    /// Where in the value it was found, as a JSON path such as `$.title`, if that is known.
    pub path: Option<String>,
    /// The target column, if one was concerned.
    pub column: Option<String>,
    /// PostgreSQL's SQLSTATE, if the server refused the row.
    pub sqlstate: Option<String>,
    /// The key's type in Redis.
    pub redis_type: Cow<'static, str>,
    /// The value as read; `None` where none was read, or where it is too large for memory.
    pub value: Option<Bytes>,
    /// What is known of a value that was read and is too large for memory.
    pub withheld: Option<Withheld>,
    /// What else it takes to load the key again; `None` where nothing was read.
    pub replay: Option<Box<Replay>>,
    /// The keys that have the rows which it maps to, where it was rejected for that.
    pub rivals: Option<Box<Rivals>>,
}

/// What was read of a rejected key beside the value of its reject: enough to load it later, when it has gone from Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// When Redis was to expire the key; `None` where it had no TTL, or no mapping asked for it.
    pub expires_at: Option<UnixMillis>,
    /// What else was read of the key, its dump among it.
    pub facts: Option<Arc<KeyFacts>>,
    /// Whether the reject's value is a part of the key's: an element, or a slice of a large collection.
    pub part: bool,
    /// Which element of the key the reject is of, for people, such as `field "size"`; the reject of its key says it in
    /// `detail`.
    pub element: Option<String>,
    /// Of the reject of a key that is several rows: what its rejected elements are known by, the [`Digest`](super::Digest) of the bytes
    /// of each, one behind the other; of [`ELEMENTS_KNOWN`](super::ELEMENTS_KNOWN) at most.
    pub elements: Option<Bytes>,
    /// The key's value, where that of the reject is a part of it and all of it was read at once.
    pub whole: Option<Bytes>,
}

impl Replay {
    /// Whether all of it came from the ledger itself: the key had gone from Redis.
    pub fn is_from_ledger(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.from_ledger)
    }
}

/// What is known of a value that was read and is not kept itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// Its size.
    pub bytes: i64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Reject {
    /// A reject of a record that was read.
    pub fn of(record: &Record, reason: impl Into<Reason>, detail: impl Into<String>) -> Self {
        let redis_type = record.type_name();
        let (value, withheld) = kept(&record.value, record.stored.as_deref());
        let part = record.slice.is_some_and(|slice| !(slice.first && slice.last));
        let replay = Replay { expires_at: record.expires_at, facts: record.facts.clone(), part, ..Replay::default() };
        let replay = Some(Box::new(replay));
        Self { redis_type, withheld, replay, ..Self::new(record.key.clone(), reason, detail, value) }
    }

    /// A reject of a row.
    pub fn of_row(row: &Row, reason: impl Into<Reason>, detail: impl Into<String>) -> Self {
        let redis_type = Cow::Borrowed(row.redis_type.name());
        let (value, withheld) = kept(&row.value, row.stored.as_deref());
        let reject = Self { redis_type, withheld, ..Self::new(row.key.clone(), reason, detail, value) };
        if let Some(group) = &row.group {
            let element = ElementOf { redis_type: row.redis_type, bytes: &row.value, index: row.element };
            return reject.of_element(group, element);
        }
        let replay = Replay { expires_at: row.expires_at, facts: row.facts.clone(), ..Replay::default() };
        Self { replay: Some(Box::new(replay)), ..reject }
    }

    /// A reject of a string key, without path, column or SQLSTATE. The reason is one of [`super::REASONS`]: every reject is
    /// made here, so that whatever tests come by knows a code that is not.
    pub fn new(key: RedisKey, reason: impl Into<Reason>, detail: impl Into<String>, value: Option<Bytes>) -> Self {
        let reason = reason.into();
        debug_assert!(super::is_reason(&reason), "{reason} is not among the reasons");
        Self {
            key,
            database: None,
            reason,
            detail: detail.into(),
            path: None,
            column: None,
            sqlstate: None,
            redis_type: Cow::Borrowed("string"),
            value,
            withheld: None,
            replay: None,
            rivals: None,
        }
    }

    /// Which element of the key it is of, for people.
    pub fn element(&self) -> Option<&str> {
        self.replay.as_ref()?.element.as_deref()
    }

    /// The same of an element of a key that is taken apart: its value is a part of the key's, and so is its path.
    pub fn of_element(self, group: &super::Group, element: ElementOf<'_>) -> Self {
        let path = element.path(&group.array, self.path);
        let replay = Replay { element: Some(element.name()), ..group.replay() };
        Self { replay: Some(Box::new(replay)), path, ..self }
    }
}

/// What a reject keeps of a value.
fn kept(value: &Bytes, stored: Option<&Stored>) -> (Option<Bytes>, Option<Withheld>) {
    match stored {
        None => (Some(value.clone()), None),
        Some(stored) => (None, Some(stored.withheld())),
    }
}

/// Why a matched key was left alone on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SkipReason {
    /// Listed by SCAN, not there any more when it was read.
    Gone,
    /// Listed by a node of a Redis Cluster, and not there at the node that serves its slot.
    Orphan,
    /// Listed by SCAN, and this user of Redis may not read it.
    Forbidden,
    /// Its time of expiry had passed when its row was to be made.
    Expired,
    /// It has less time left than its mapping's `min_ttl`.
    ShortLived,
    /// The row in PostgreSQL was written or changed by somebody else.
    ExistsNewer,
    /// Listed when `--limit` had been reached.
    Excluded,
}

impl SkipReason {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Gone, Self::Orphan, Self::Forbidden, Self::Expired, Self::ShortLived, Self::ExistsNewer, Self::Excluded];

    /// The stable code that reports count by.
    pub fn code(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Orphan => "orphan",
            Self::Forbidden => "forbidden",
            Self::Expired => "expired",
            Self::ShortLived => "short_lived",
            Self::ExistsNewer => "exists_newer",
            Self::Excluded => "excluded",
        }
    }

    /// Whether a reject stays open whose key is left alone for this: nothing was judged of it.
    pub fn leaves_open(self) -> bool {
        matches!(self, Self::Gone | Self::Orphan | Self::Forbidden | Self::Excluded)
    }
}
