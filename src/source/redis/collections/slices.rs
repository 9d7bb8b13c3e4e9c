//! A large collection or string a slice at a time: so it never is in memory as a whole.

use super::is_wrong_type;
use super::pace::Pace;
use super::slice::{self, Place};
use super::watched::{ATTEMPTS, Ending, Watch};
use crate::model::{Failure, Fetched, LargeKey, Packer, Record, RedisKey, RedisType, Slice};
use crate::source::Slices;
use crate::source::redis::RedisSource;
use crate::source::redis::errors::{is_key_refused, is_loading};
use crate::source::redis::loading::Loading;
use bytes::Bytes;
use fred::error::Error;
use std::sync::atomic::Ordering;

/// Bytes that a slice is to have, about, and items at most: each becomes a row.
const SLICE: usize = 512 * 1024;
const ITEMS: usize = 2_000;
/// Bytes of a slice of a string.
const PIECE: usize = 1 << 20;

/// Reads the slices of one key.
pub struct SliceReader {
    source: RedisSource,
    key: RedisKey,
    large: LargeKey,
    reading: Option<Reading>,
    /// How often it changed while it was read.
    changes: u32,
    /// How often the server failed meanwhile.
    failures: u32,
    /// How long it was waited meanwhile for a server that was loading its data.
    loading: Loading,
    finished: bool,
}

/// One reading, from the beginning.
struct Reading {
    watch: Watch,
    place: Place,
    /// Elements so far.
    elements: u64,
    pace: Pace,
    first: bool,
}

/// What the next step of a reading came to.
enum Step {
    Read(Record),
    Gone,
    Changed,
    WatchRefused,
}

impl Reading {
    /// Goes on behind a slice of so many elements; gives the slice's place.
    fn went_on(&mut self, next: Option<Place>, elements: usize) -> Slice {
        let slice = Slice { from: self.elements, first: self.first, last: next.is_none() };
        self.first = false;
        self.elements += elements as u64;
        if let Some(next) = next {
            self.place = next;
        }
        slice
    }
}

/// A slice as a record holds it, and how many elements, or bytes of a string, it has.
fn packed(redis_type: RedisType, items: Vec<Bytes>) -> (Bytes, usize) {
    if redis_type == RedisType::String {
        let piece = items.into_iter().next().unwrap_or_default();
        let bytes = piece.len();
        return (piece, bytes);
    }
    (items.iter().map(|item| item.as_ref()).collect::<Packer>().finish(), items.len())
}

impl SliceReader {
    pub(in crate::source) fn new(source: RedisSource, key: RedisKey, large: LargeKey) -> Self {
        let loading = Loading::new(&source.inner.settings);
        Self { source, key, large, reading: None, changes: 0, failures: 0, loading, finished: false }
    }

    async fn step(&mut self) -> Result<Step, Error> {
        let reading = match &mut self.reading {
            Some(reading) => reading,
            none => {
                let pace = Pace::new(self.large.redis_type, (SLICE, ITEMS), PIECE);
                let watch = !self.source.inner.unwatched.load(Ordering::Relaxed);
                match Watch::begin(&self.source, &self.key, watch).await? {
                    Some(watch) => none.insert(Reading { watch, place: Place::Start, elements: 0, pace, first: true }),
                    None => return Ok(Step::WatchRefused),
                }
            }
        };
        let read =
            slice::read(reading.watch.wire()?, &self.key, self.large.redis_type, &reading.place, reading.pace.count())
                .await;
        let slice = match read {
            Ok(slice) => slice,
            Err(error) if is_wrong_type(&error) => return Ok(Step::Changed),
            Err(error) => return Err(error),
        };
        let (last, empty) = (slice.next.is_none(), slice.items.is_empty());
        reading.pace.saw(&slice.items);
        let (value, elements) = packed(self.large.redis_type, slice.items);
        let hash = (self.key.clone(), value.clone());
        let timed = match self.source.time_fields(reading.watch.wire()?, &[hash], self.large.fields).await? {
            Some(mut timed) => match timed.pop().flatten() {
                Some(timed) => Some(timed),
                None => return Ok(Step::Changed),
            },
            None => None,
        };
        if last {
            match reading.watch.unchanged().await? {
                Ending::Same => {}
                Ending::Changed => return Ok(Step::Changed),
                Ending::Refused => return Ok(Step::WatchRefused),
            }
        }
        if last && reading.elements == 0 && empty && self.large.redis_type != RedisType::Stream {
            // Also where an empty slice of it was given already: all fields of a hash may have expired since it was begun.
            return Ok(Step::Gone);
        }
        let place = reading.went_on(slice.next, elements);
        let (key, LargeKey { redis_type, expires_at, facts, .. }) = (self.key.clone(), self.large.clone());
        let record = Record { key, redis_type, value, stored: None, slice: Some(place), expires_at, facts };
        Ok(Step::Read(match timed {
            Some((value, fields)) => super::with_fields(Record { value, ..record }, fields),
            None => record,
        }))
    }

    fn end(&mut self, with: Fetched) -> Result<Option<Fetched>, Failure> {
        self.finished = true;
        self.reading = None;
        Ok(Some(with))
    }
}

impl Slices for SliceReader {
    async fn next(&mut self) -> Result<Option<Fetched>, Failure> {
        if self.finished {
            return Ok(None);
        }
        let source = self.source.clone();
        // Each failure begins the key anew: they are counted for all of it, or a slice that never comes would be asked for
        // for ever.
        let mut retry = source.retry_more("HSCAN", self.failures);
        loop {
            match self.step().await {
                Ok(Step::Read(record)) => {
                    if record.slice.is_some_and(|slice| slice.last) {
                        return self.end(Fetched::Record(record));
                    }
                    return Ok(Some(Fetched::Record(record)));
                }
                Ok(Step::Gone) => return self.end(Fetched::Gone(self.key.clone())),
                Ok(Step::Changed) if self.changes == ATTEMPTS => {
                    let detail = format!("it was changed while it was read, {} times in a row", ATTEMPTS + 1);
                    let (key, redis_type) = (self.key.clone(), self.large.redis_type);
                    return self.end(Fetched::Unreadable { key, redis_type, reason: "changed_while_read", detail });
                }
                Ok(Step::Changed) => {
                    self.changes += 1;
                    self.reading = None;
                }
                Ok(Step::WatchRefused) => {
                    self.reading = None;
                    self.source.go_unwatched();
                }
                Err(error) if is_key_refused(&error) => return self.end(Fetched::Forbidden(self.key.clone())),
                Err(error) => {
                    // The watch is lost with the connection: from the beginning.
                    self.reading = None;
                    if is_loading(&error) {
                        self.loading.wait(&error, source.waiting()).await?;
                    } else {
                        self.failures += 1;
                        retry.after(error).await?;
                    }
                }
            }
        }
    }
}
