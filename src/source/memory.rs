//! A keyspace in memory, for tests and benches of everything that comes after the source.
//!
//! Uses the trait of this room only.

use super::{Checkpoint, FetchedPage, Scan, ScanPage, Source};
use crate::model::{Failure, Fetched, Record, RedisKey, UnixMillis};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The run id that an in-memory source gives.
const RUN_ID: &str = "memory";

/// What a key holds.
#[derive(Clone, Debug)]
enum Held {
    String(Bytes, Option<UnixMillis>),
    Other(String),
}

/// Keys and values in memory. Scans go in the order of insertion; a key listed and not held is one that has gone.
#[derive(Clone, Debug)]
pub struct MemorySource {
    listed: Arc<Vec<RedisKey>>,
    held: Arc<BTreeMap<RedisKey, Held>>,
    page: usize,
}

impl MemorySource {
    /// An empty source whose scans give `page` keys at a time (at least 1).
    pub fn new(page: usize) -> Self {
        Self { listed: Arc::default(), held: Arc::default(), page: page.max(1) }
    }

    /// A string without expiry.
    #[must_use]
    pub fn with(self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.insert(key.into(), Some(Held::String(value.into(), None)))
    }

    /// A string that expires.
    #[must_use]
    pub fn with_expiry(self, key: impl Into<Bytes>, value: impl Into<Bytes>, at: UnixMillis) -> Self {
        self.insert(key.into(), Some(Held::String(value.into(), Some(at))))
    }

    /// A key of another type.
    #[must_use]
    pub fn with_type(self, key: impl Into<Bytes>, redis_type: &str) -> Self {
        self.insert(key.into(), Some(Held::Other(redis_type.to_owned())))
    }

    /// A sighting only: a key seen before is listed once more, any other is listed and gone when it is read.
    #[must_use]
    pub fn listed(self, key: impl Into<Bytes>) -> Self {
        self.insert(key.into(), None)
    }

    fn insert(mut self, key: Bytes, held: Option<Held>) -> Self {
        let key = RedisKey::new(key);
        Arc::make_mut(&mut self.listed).push(key.clone());
        if let Some(held) = held {
            Arc::make_mut(&mut self.held).insert(key, held);
        }
        self
    }

    fn read(&self, key: &RedisKey, want_expiry: bool) -> Fetched {
        match self.held.get(key) {
            None => Fetched::Gone(key.clone()),
            Some(Held::Other(redis_type)) => Fetched::WrongType { key: key.clone(), redis_type: redis_type.clone() },
            Some(Held::String(value, expires_at)) => Fetched::Record(Record {
                key: key.clone(),
                value: value.clone(),
                expires_at: expires_at.filter(|_| want_expiry),
            }),
        }
    }
}

/// A scan over a [`MemorySource`]; its cursor is the position in the list.
#[derive(Debug)]
pub struct MemoryScan {
    source: MemorySource,
    epoch: u32,
    number: u64,
    position: usize,
    finished: bool,
}

impl Source for MemorySource {
    type Scan = MemoryScan;

    fn scan(&self, from: Option<Checkpoint>) -> MemoryScan {
        let mut scan = MemoryScan { source: self.clone(), epoch: 0, number: 0, position: 0, finished: false };
        if let Some(from) = from {
            if from.server_run_id.as_deref() == Some(RUN_ID) {
                scan.epoch = from.epoch;
                scan.number = from.number;
                scan.position = from.cursor.parse().unwrap_or(0);
                scan.finished = scan.position == 0 && scan.number > 0;
            } else {
                scan.epoch = from.epoch + 1;
            }
        }
        scan
    }

    async fn absent(&self, keys: &[RedisKey]) -> Result<Vec<RedisKey>, Failure> {
        Ok(keys.iter().filter(|key| !self.held.contains_key(*key)).cloned().collect())
    }

    async fn fetch_some(&self, keys: &[RedisKey], want_expiry: bool, max_bytes: usize) -> Result<FetchedPage, Failure> {
        let mut page = FetchedPage::default();
        for key in keys {
            let fetched = self.read(key, want_expiry);
            let size = super::redis::size_of(&fetched);
            if !page.records.is_empty() && page.bytes + size > max_bytes as u64 {
                break;
            }
            page.bytes += size;
            page.records.push(fetched);
        }
        Ok(page)
    }
}

impl Scan for MemoryScan {
    async fn next(&mut self) -> Result<Option<ScanPage>, Failure> {
        if self.finished {
            return Ok(None);
        }
        let all = &self.source.listed;
        let end = all.len().min(self.position.saturating_add(self.source.page));
        let keys = all.get(self.position..end).unwrap_or_default().to_vec();
        let last = end == all.len();
        let resume_cursor = if last { "0".to_owned() } else { end.to_string() };
        let page = ScanPage { epoch: self.epoch, number: self.number, keys, resume_cursor, last };
        self.position = end;
        self.number += 1;
        self.finished = last;
        Ok(Some(page))
    }

    fn server_run_id(&self) -> Option<&str> {
        Some(RUN_ID)
    }
}

#[cfg(test)]
mod tests {
    use super::MemorySource;
    use crate::model::{Fetched, RedisKey};
    use crate::source::{Checkpoint, Scan, Source};

    #[tokio::test]
    async fn a_scan_goes_on_where_it_was() {
        let source = MemorySource::new(2).with("a", "1").with("b", "2").with("c", "3").listed("gone");
        let mut scan = source.scan(None);
        let first = scan.next().await.unwrap().unwrap();
        assert!(!first.last);
        let from = Checkpoint {
            server_run_id: scan.server_run_id().map(str::to_owned),
            cursor: first.resume_cursor,
            epoch: 0,
            number: 1,
        };
        let mut rest = source.scan(Some(from.clone()));
        let second = rest.next().await.unwrap().unwrap();
        assert_eq!((second.number, second.last), (1, true));
        assert_eq!(second.keys, [RedisKey::new("c"), RedisKey::new("gone")]);
        assert!(rest.next().await.unwrap().is_none());
        let other = Checkpoint { server_run_id: None, ..from };
        let again = source.scan(Some(other)).next().await.unwrap().unwrap();
        assert_eq!((again.epoch, again.number, again.keys.len()), (1, 0, 2));
    }

    #[tokio::test]
    async fn reading_stops_at_the_cap_and_fetch_goes_on() {
        let source = MemorySource::new(9).with("a", "12345").with("b", "12345").with_type("h", "hash").listed("gone");
        let keys: Vec<_> = ["a", "b", "h", "gone"].map(RedisKey::new).into();
        assert_eq!(source.fetch_some(&keys, false, 8).await.unwrap().records.len(), 1);
        let all = source.fetch(&keys, false, 8).await.unwrap();
        assert_eq!(all.records.len(), 4);
        assert!(matches!(&all.records[2], Fetched::WrongType { redis_type, .. } if redis_type == "hash"));
        assert!(matches!(&all.records[3], Fetched::Gone(_)));
    }
}
