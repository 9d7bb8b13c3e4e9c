//! Listing and reading: pages of keys, taken by whichever lane is free; entries become blocks where they were read.

use super::take::{Shared, locked};
use super::writing::Message;
use crate::backup::{Entry, encode};
use crate::flow::{RateLimit, Stop};
use crate::job::key_list::KeyLines;
use crate::model::{Failure, LeftOut, RedisKey};
use crate::source::Scan;
use crate::source::redis::{EntryRead, RedisScan, RedisSource};
use std::sync::Arc;
use tokio::sync::{Mutex, RwLock, mpsc};

/// Keys a page, where no server says how many.
const PAGE: usize = 1000;

/// Where keys come from.
pub(super) enum Listing {
    Scan(Box<RedisScan>),
    File(KeyLines),
}

/// How a stage ended, in the order of what counts for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ended {
    /// It did all that there was to do.
    Complete,
    /// Another server answers than before.
    Restarted,
    /// A stop was asked for, or nobody takes what it gives.
    Left,
}

/// Lists keys, a page at a time.
pub(super) async fn list(
    mut listing: Listing,
    pages: mpsc::Sender<Vec<RedisKey>>,
    stop: Stop,
    account: Shared,
) -> Result<Ended, Failure> {
    let mut epoch = None;
    while !stop.requested() {
        let keys = match &mut listing {
            Listing::File(lines) => match lines.next_page(PAGE)? {
                Some(keys) => keys,
                None => return Ok(Ended::Complete),
            },
            Listing::Scan(scan) => match scan.next().await? {
                Some(page) if *epoch.get_or_insert(page.epoch) != page.epoch => return Ok(Ended::Restarted),
                Some(page) => page.keys,
                None => return Ok(Ended::Complete),
            },
        };
        if keys.is_empty() {
            continue;
        }
        locked(&account).listed += keys.len() as u64;
        if pages.send(keys).await.is_err() {
            return Ok(Ended::Left);
        }
    }
    Ok(Ended::Left)
}

/// A lane: reads, encodes, and passes on.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) source: RedisSource,
    pub(super) stop: Stop,
    pub(super) account: Shared,
    pub(super) out: mpsc::Sender<Message>,
    /// Who may pass on blocks: all of them, or the one whose key has several, which must stand one behind the other.
    pub(super) turn: Arc<RwLock<()>>,
    pub(super) rate: Arc<RateLimit>,
    /// Bytes of a reply at most.
    pub(super) max_bytes: usize,
}

impl Lane {
    pub(super) async fn run(self, pages: Arc<Mutex<mpsc::Receiver<Vec<RedisKey>>>>) -> Result<Ended, Failure> {
        loop {
            let page = pages.lock().await.recv().await;
            let Some(keys) = page else { return Ok(Ended::Complete) };
            let mut rest = keys.as_slice();
            while !rest.is_empty() {
                if self.stop.requested() {
                    return Ok(Ended::Left);
                }
                let most = self.rate.keys_at_once().unwrap_or(usize::MAX).min(rest.len());
                let read = self.source.entries(rest.get(..most).unwrap_or(rest), self.max_bytes).await?;
                if read.is_empty() {
                    return Err(Failure::internal("a source returned nothing for a run of keys"));
                }
                rest = rest.get(read.len()..).unwrap_or_default();
                if self.keep(read).await? == Ended::Left {
                    return Ok(Ended::Left);
                }
            }
        }
    }

    /// Passes on what was read.
    async fn keep(&self, read: Vec<EntryRead>) -> Result<Ended, Failure> {
        let keys = read.len() as u64;
        let (mut entries, mut large): (Vec<Entry>, Vec<RedisKey>) = (Vec::with_capacity(read.len()), Vec::new());
        for one in read {
            match one {
                EntryRead::Entry(entry) => entries.push(entry),
                EntryRead::Large(key) => large.push(key),
                other => self.leave_out(other),
            }
        }
        let bytes: usize = entries.iter().map(Entry::bytes).sum();
        if !entries.is_empty() {
            let blocks = encode(&entries)?;
            drop(entries);
            let _turn = self.turn.read().await;
            if self.out.send(Message::Blocks(blocks)).await.is_err() {
                return Ok(Ended::Left);
            }
        }
        self.pace(keys, bytes as u64).await;
        for key in large {
            if self.stop.requested() || self.keep_large(key).await? == Ended::Left {
                return Ok(Ended::Left);
            }
        }
        Ok(Ended::Complete)
    }

    /// Reads a key in parts; nobody else passes anything on meanwhile.
    async fn keep_large(&self, key: RedisKey) -> Result<Ended, Failure> {
        let _alone = self.turn.write().await;
        let mut parts = self.source.entry_parts(key);
        loop {
            if self.stop.cut() {
                return Ok(Ended::Left);
            }
            let (messages, ends) = match parts.next().await? {
                Some(EntryRead::Entry(part)) => {
                    let (first, last) = (part.part.is_first(), part.part.last);
                    self.pace(u64::from(first), part.bytes() as u64).await;
                    let blocks = encode(&[part])?;
                    let begin = first.then_some(Message::Begin);
                    let keep = last.then_some(Message::Keep);
                    (begin.into_iter().chain([Message::Blocks(blocks)]).chain(keep).collect::<Vec<_>>(), last)
                }
                Some(other) => {
                    self.leave_out(other);
                    (vec![Message::Undo], true)
                }
                None => return Err(Failure::internal("a key in parts has no last one")),
            };
            for message in messages {
                if self.out.send(message).await.is_err() {
                    return Ok(Ended::Left);
                }
            }
            if ends {
                return Ok(Ended::Complete);
            }
        }
    }

    fn leave_out(&self, read: EntryRead) {
        let mut account = locked(&self.account);
        let (key, reason, detail) = match read {
            EntryRead::Forbidden(key) => (key, "forbidden", String::new()),
            EntryRead::Unreadable { key, reason, detail } => (key, reason, detail),
            EntryRead::Gone(_) | EntryRead::Large(_) | EntryRead::Entry(_) => {
                account.gone += 1;
                return;
            }
        };
        account.leave_out(LeftOut { database: self.source.database(), key, reason, detail });
    }

    /// Waits until so much may pass, or a stop is asked for.
    async fn pace(&self, keys: u64, bytes: u64) {
        tokio::select! {
            () = self.rate.take(keys, bytes) => {}
            () = self.stop.wait_drain() => {}
        }
    }
}
