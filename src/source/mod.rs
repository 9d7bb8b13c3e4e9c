//! Where records come from: keys page by page, then values for the keys that a mapping wants.
//!
//! Owns the trait that the pipeline reads through, and its Redis implementation. Uses `model`.

mod clock;
mod collector;
mod holders;
pub mod redis;

pub use clock::ServerClock;
pub use collector::Collector;
pub use holders::{Holder, Holders};

use crate::model::{Failure, Fetched, LargeKey, RedisKey, RedisType, SkipReason, Wanted};
use std::future::Future;

/// Where a scan goes on: the server and place that an earlier scan had reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The run id of the server that the cursor belongs to; without it the cursor can't be trusted.
    pub server_run_id: Option<String>,
    /// The cursor to ask for next; "0" with a `number` above 0 where the scan had come to its end.
    pub cursor: String,
    /// The epoch of the scan.
    pub epoch: u32,
    /// The number that the next page gets within the epoch.
    pub number: u64,
}

/// Which server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answering {
    /// Its run id, as a scan has it; `None` where it is not told, and of a cluster.
    pub run_id: Option<String>,
    /// Differs where another process answers than before, or one in another role: a restart, a failover, a proxy.
    pub token: String,
}

/// One page of a scan. An empty page is no sign of the end.
#[derive(Clone, Debug)]
pub struct ScanPage {
    /// Counts the starts of the scan: a page with a new epoch and number 0 says that it was restarted.
    pub epoch: u32,
    /// The page's number within its epoch, from 0.
    pub number: u64,
    /// The keys listed, slices of one reply.
    pub keys: Vec<RedisKey>,
    /// The cursor to ask for the page after this one; "0" after the last.
    pub resume_cursor: String,
}

/// What reading some keys gave.
#[derive(Clone, Debug, Default)]
pub struct FetchedPage {
    /// One entry a key, in the order of the keys.
    pub records: Vec<Fetched>,
    /// Bytes of the keys and values among them.
    pub bytes: u64,
}

/// A scan over the keyspace.
pub trait Scan: Send + 'static {
    /// The next page; `None` after the last. Every key that exists throughout an epoch is listed in it at least once.
    /// Cancel-safe: a page that was not returned is asked for again.
    ///
    /// # Errors
    /// A [`Failure`] of the Redis side, or a missing right. An error is never the end of the keyspace.
    fn next(&mut self) -> impl Future<Output = Result<Option<ScanPage>, Failure>> + Send;

    /// The run id of the server that this epoch reads, where it is known.
    fn server_run_id(&self) -> Option<&str>;
}

/// A reading of one large collection or string, a slice at a time.
pub trait Slices: Send {
    /// The next slice: a record with its [`crate::model::Slice`], or what became of the key instead; `None` at the end. A
    /// value that changed while it was read begins anew, with a first slice. A string's slices go into a [`Collector`].
    ///
    /// # Errors
    /// As [`Source::fetch_some`].
    fn next(&mut self) -> impl Future<Output = Result<Option<Fetched>, Failure>> + Send;
}

/// A keyspace that can be scanned and read. Cheap to clone.
pub trait Source: Clone + Send + Sync + 'static {
    /// Its scan.
    type Scan: Scan;

    /// Its reader of large values.
    type Slices: Slices;

    /// Starts a scan, or goes on with one.
    fn scan(&self, from: Option<Checkpoint>) -> Self::Scan;

    /// Reads a run of `keys` from their front whose values fit in `max_bytes`: the answer may be shorter than `keys`. It
    /// is [`Fetched::Large`] for a string that does not fit by itself, and for what `wanted` takes in slices.
    ///
    /// # Errors
    /// A [`Failure`] of the Redis side, or a missing right.
    fn fetch_some(
        &self,
        keys: &[RedisKey],
        wanted: Wanted,
        max_bytes: usize,
    ) -> impl Future<Output = Result<FetchedPage, Failure>> + Send;

    /// Reads the slices of a value that [`Fetched::Large`] named.
    fn slices(&self, key: RedisKey, large: LargeKey) -> Self::Slices;

    /// The keys among these that cannot be had, each with why: it has gone, or may not be read. Values are not looked at.
    ///
    /// # Errors
    /// As [`Source::fetch_some`].
    fn absent(&self, keys: &[RedisKey]) -> impl Future<Output = Result<Vec<(RedisKey, SkipReason)>, Failure>> + Send;

    /// Which server answers now: whatever was answered before this by another one shows in a token that differs.
    ///
    /// # Errors
    /// As [`Source::fetch_some`].
    fn answering(&self) -> impl Future<Output = Result<Answering, Failure>> + Send;

    /// Which server holds which keys, and how many each holds now. What cannot be learned is left open.
    fn holders(&self) -> impl Future<Output = Holders> + Send;

    /// Reads all of `keys`, in replies of at most `max_reply_bytes` each (but for single values above it). Strings that
    /// are taken in slices are set aside in files.
    ///
    /// # Errors
    /// As [`Source::fetch_some`].
    fn fetch(
        &self,
        keys: &[RedisKey],
        wanted: Wanted,
        max_reply_bytes: usize,
    ) -> impl Future<Output = Result<FetchedPage, Failure>> + Send {
        async move {
            let mut page = FetchedPage::default();
            while let Some(rest) = keys.get(page.records.len()..).filter(|rest| !rest.is_empty()) {
                let part = self.fetch_part(rest, wanted, max_reply_bytes).await?;
                page.bytes += part.bytes;
                page.records.extend(part.records);
            }
            Ok(page)
        }
    }

    /// Reads a run of `keys` from their front, as [`Source::fetch`] reads all of them: one reply of at most
    /// `max_reply_bytes`, and one large string at most beside it. It is never empty.
    ///
    /// # Errors
    /// As [`Source::fetch_some`].
    fn fetch_part(
        &self,
        keys: &[RedisKey],
        wanted: Wanted,
        max_reply_bytes: usize,
    ) -> impl Future<Output = Result<FetchedPage, Failure>> + Send {
        async move {
            let some = self.fetch_some(keys, wanted, max_reply_bytes).await?;
            let mut page = FetchedPage { records: Vec::new(), bytes: some.bytes };
            let mut held = false;
            for fetched in some.records {
                let large = matches!(fetched, Fetched::Large { .. });
                // A second large one is asked for again.
                if large && std::mem::replace(&mut held, true) {
                    break;
                }
                let whole = self.whole(fetched, wanted).await?;
                if let (true, Fetched::Record(record)) = (large, &whole) {
                    page.bytes += (record.key.as_bytes().len() + record.value.len()) as u64;
                }
                page.records.push(whole);
            }
            if page.records.is_empty() {
                return Err(Failure::internal("a source returned nothing for a run of keys"));
            }
            Ok(page)
        }
    }

    /// A large string, read by itself or set aside in a file; anything else as it is.
    ///
    /// # Errors
    /// As [`Source::fetch_some`].
    fn whole(&self, fetched: Fetched, wanted: Wanted) -> impl Future<Output = Result<Fetched, Failure>> + Send {
        async move {
            let (key, large) = match fetched {
                Fetched::Large { key, large } if large.redis_type == RedisType::String => (key, large),
                other => return Ok(other),
            };
            if wanted.streams {
                let mut slices = self.slices(key.clone(), large);
                let mut collector = Collector::default();
                while let Some(slice) = slices.next().await? {
                    if let Some(whole) = collector.push(slice).await? {
                        return Ok(whole);
                    }
                }
                return Ok(Fetched::Gone(key));
            }
            let mut room = usize::try_from(large.bytes.unwrap_or(0)).unwrap_or(usize::MAX);
            loop {
                let page = self.fetch_some(std::slice::from_ref(&key), wanted, room).await?;
                match page.records.into_iter().next() {
                    // It has grown since; what is too large for memory is not asked for again.
                    Some(Fetched::Large { large, .. }) => {
                        room = room.max(usize::try_from(large.bytes.unwrap_or(0)).unwrap_or(0))
                    }
                    Some(read) => return Ok(read),
                    None => return Ok(Fetched::Gone(key)),
                }
            }
        }
    }
}
