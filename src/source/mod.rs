//! Where records come from: keys page by page, then values for the keys that a mapping wants.
//!
//! Owns the trait that the pipeline reads through, and its Redis implementation. Uses `model`.

mod clock;
pub mod redis;

pub use clock::ServerClock;

use crate::model::{Failure, Fetched, RedisKey, RedisType, UnixMillis, Wanted};
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

/// A reading of one large collection, a slice at a time.
pub trait Slices: Send {
    /// The next slice: a record with its [`crate::model::Slice`], or what became of the key instead; `None` at the end. A
    /// collection that changed while it was read begins anew, with a first slice.
    ///
    /// # Errors
    /// As [`Source::fetch_some`].
    fn next(&mut self) -> impl Future<Output = Result<Option<Fetched>, Failure>> + Send;
}

/// A keyspace that can be scanned and read. Cheap to clone.
pub trait Source: Clone + Send + Sync + 'static {
    /// Its scan.
    type Scan: Scan;

    /// Its reader of large collections.
    type Slices: Slices;

    /// Starts a scan, or goes on with one.
    fn scan(&self, from: Option<Checkpoint>) -> Self::Scan;

    /// Reads a run of `keys` from their front whose values fit in `max_bytes` (at least one key, however large): the
    /// answer may be shorter than `keys`.
    ///
    /// # Errors
    /// A [`Failure`] of the Redis side, or a missing right.
    fn fetch_some(
        &self,
        keys: &[RedisKey],
        wanted: Wanted,
        max_bytes: usize,
    ) -> impl Future<Output = Result<FetchedPage, Failure>> + Send;

    /// Reads the slices of a collection that [`Fetched::Large`] named.
    fn slices(&self, key: RedisKey, redis_type: RedisType, expires_at: Option<UnixMillis>) -> Self::Slices;

    /// The keys among these that are not there. Their values are not looked at.
    ///
    /// # Errors
    /// As [`Source::fetch_some`].
    fn absent(&self, keys: &[RedisKey]) -> impl Future<Output = Result<Vec<RedisKey>, Failure>> + Send;

    /// Reads all of `keys`, in replies of at most `max_reply_bytes` each (but for single values above it).
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
                let some = self.fetch_some(rest, wanted, max_reply_bytes).await?;
                if some.records.is_empty() {
                    return Err(Failure::internal("a source returned nothing for a run of keys"));
                }
                page.bytes += some.bytes;
                page.records.extend(some.records);
            }
            Ok(page)
        }
    }
}
