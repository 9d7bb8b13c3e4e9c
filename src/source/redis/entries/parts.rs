//! A key in parts, each in bounded memory, all of one moment. One that changes meanwhile, or moves to another node of a
//! cluster, is begun anew.

use super::super::RedisSource;
use super::super::cluster::Cluster;
use super::super::cluster::attempts::Attempts;
use super::super::collections::is_wrong_type;
use super::super::collections::watched::{ATTEMPTS, Ending, Watch};
use super::super::errors::{is_key_refused, is_loading, is_no_group, is_no_key};
use super::super::loading::Loading;
use super::EntryRead;
use super::reading::{Begun, Piece, Reading};
use crate::backup::{Entry, Logical, Part, cut};
use crate::model::{Failure, RedisKey};
use fred::error::Error;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// An entry with a dump has no more bytes than this, whatever the server's estimate was: it is put together in memory.
const WITH_DUMP: usize = 64 << 20;

/// Reads one key in parts. One that changes while it is read begins anew: a part with the number 0 voids those before it.
pub struct EntryParts {
    source: RedisSource,
    key: RedisKey,
    reading: Option<Reading>,
    ready: VecDeque<Entry>,
    /// Whether it turned out to be too large for a dump.
    without_dump: bool,
    /// How often it changed while it was read.
    changes: u32,
    /// How often the server failed meanwhile.
    failures: u32,
    /// How long it was waited meanwhile for a server that was loading its data.
    loading: Loading,
    finished: bool,
    /// The cluster that it is in, and what was tried there.
    cluster: Option<(Arc<Cluster>, Attempts)>,
    /// Whether `source` is the node that has it.
    found: bool,
}

/// What the next step of a reading came to.
enum Step {
    Parts(Vec<Entry>),
    End(Box<EntryRead>),
    Changed,
    WatchRefused,
    TooLargeForDump,
}

impl EntryParts {
    pub(super) fn new(source: RedisSource, key: RedisKey) -> Self {
        let cluster = source.cluster.clone().map(|cluster| {
            let attempts = Attempts::new(&cluster);
            (cluster, attempts)
        });
        Self {
            key,
            reading: None,
            ready: VecDeque::new(),
            without_dump: false,
            changes: 0,
            failures: 0,
            loading: Loading::new(&source.inner.settings),
            finished: false,
            found: cluster.is_none(),
            source,
            cluster,
        }
    }

    /// The next part, or what became of the key instead; `None` at the end. Whatever comes before the last part may turn out
    /// to be void: by a part with the number 0, or by what became of the key.
    ///
    /// # Errors
    /// A [`Failure`] of the Redis side, or a missing right.
    pub async fn next(&mut self) -> Result<Option<EntryRead>, Failure> {
        loop {
            let failure = match Box::pin(self.next_here()).await {
                Ok(read) => return Ok(read),
                Err(failure) => failure,
            };
            let Some((cluster, attempts)) = &mut self.cluster else { return Err(failure) };
            (self.found, self.reading) = (false, None);
            self.ready.clear();
            attempts.after(cluster, failure).await?;
        }
    }

    /// The next part, from the node that has the key.
    async fn next_here(&mut self) -> Result<Option<EntryRead>, Failure> {
        if let (Some((cluster, _)), false) = (&self.cluster, self.found) {
            self.source = cluster.source_of(&self.key).await?;
            self.found = true;
        }
        let source = self.source.clone();
        // Each failure begins the key anew: they are counted for all of it.
        let mut retry = source.retry_more("WATCH", self.failures);
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Ok(Some(EntryRead::Entry(part)));
            }
            if self.finished {
                return Ok(None);
            }
            match self.step().await {
                Ok(step) => {
                    if let Some(read) = self.taken(step, &source) {
                        return Ok(Some(self.end(read)));
                    }
                }
                Err(error) if is_key_refused(&error) => {
                    let read = EntryRead::Forbidden(self.key.clone());
                    return Ok(Some(self.end(read)));
                }
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

    /// Takes note of a step; what became of the key, where that is its end.
    fn taken(&mut self, step: Step, source: &RedisSource) -> Option<EntryRead> {
        match step {
            Step::Parts(parts) => {
                self.finished = parts.last().is_some_and(|part| part.part.last);
                self.ready.extend(parts);
            }
            Step::End(read) => return Some(*read),
            Step::Changed if self.changes == ATTEMPTS => {
                let detail = format!("it was changed while it was read, {} times in a row", ATTEMPTS + 1);
                let (key, reason) = (self.key.clone(), "changed_while_read");
                return Some(EntryRead::Unreadable { key, reason, detail });
            }
            Step::Changed => self.changes += 1,
            Step::WatchRefused => source.go_unwatched(),
            Step::TooLargeForDump => self.without_dump = true,
        }
        None
    }

    fn end(&mut self, with: EntryRead) -> EntryRead {
        self.finished = true;
        self.reading = None;
        with
    }

    /// The next piece. The reading is given up where it cannot go on, and with its last piece.
    async fn step(&mut self) -> Result<Step, Error> {
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => {
                let watch = !self.source.inner.unwatched.load(Ordering::Relaxed);
                let Some(watch) = Watch::begin(&self.source, &self.key, watch).await? else {
                    return Ok(Step::WatchRefused);
                };
                match Reading::begin(&self.source, &self.key, watch, !self.without_dump).await? {
                    Begun::Reading(reading) => *reading,
                    Begun::End(read) => return Ok(Step::End(read)),
                }
            }
        };
        let (dump, logical, last) = match reading.next(&self.source, &self.key).await {
            Ok(Piece::Part(dump, logical, last)) => (dump, logical, last),
            Ok(Piece::Changed) => return Ok(Step::Changed),
            Ok(Piece::End(read)) => return Ok(Step::End(read)),
            // It went, or lost a group, between two questions of one reading.
            Err(error) if is_wrong_type(&error) || is_no_key(&error) || is_no_group(&error) => {
                return Ok(Step::Changed);
            }
            Err(error) => return Err(error),
        };
        if reading.has_dump() && logical.is_some() && reading.bytes > WITH_DUMP {
            return Ok(Step::TooLargeForDump);
        }
        if last && let Some(step) = self.ended(&mut reading, logical.as_ref()).await? {
            return Ok(step);
        }
        let part = Part { number: reading.number, last };
        let type_name = Cow::Owned(reading.type_name.clone());
        let (database, key, expires_at) = (self.source.database(), self.key.clone(), reading.expires_at);
        let parts = cut(Entry { database, key, type_name, expires_at, part, dump, logical });
        reading.number = parts.last().map_or(0, |part| part.part.number.saturating_add(1));
        self.reading = Some(reading).filter(|_| !last);
        Ok(Step::Parts(parts))
    }

    /// What came of a reading with this last piece, where that is no whole key.
    async fn ended(&self, reading: &mut Reading, last: Option<&Logical>) -> Result<Option<Step>, Error> {
        let is_watched = !self.source.inner.unwatched.load(Ordering::Relaxed);
        Ok(match reading.end().await? {
            Ending::Same if !reading.is_void(last) => None,
            // All fields of a hash may have expired, and the key is still there.
            Ending::Same if is_watched => Some(Step::End(Box::new(EntryRead::Gone(self.key.clone())))),
            // Without a watch, others may have come in the place of what was read.
            Ending::Same | Ending::Changed => Some(Step::Changed),
            Ending::Refused => Some(Step::WatchRefused),
        })
    }
}
