//! Comparing under a watch: whatever writes to one of the watched keys undoes the deletion of all of them.
//!
//! Nothing here rests on the order in which a client writes commands that were given to it at once. The watch is
//! confirmed before the first byte is read, the transaction before it is told to delete, and each deletion is queued
//! before EXEC is sent: so there is no moment at which a command that was refused, or lost, leaves another one to delete
//! what nobody watches. Just before, the connection and the server are asked whether they are the ones that watch. The last that is asked for
//! before EXEC is the right to delete.

use super::super::errors::{cause, is_full, is_key_refused};
use super::super::fetch::MISSING;
use super::super::wire::Wire;
use super::batches::batches;
use super::connection::Connection;
use super::deleting::{Deletion, Doomed, Seal, by_seals, in_transaction};
use super::fates::One;
use super::reading::Found;
use super::warrant::{By, outdated};
use super::{Candidate, UnlinkOutcome, Unlinker, full, stream};
use crate::model::{ContentDigest, Failure};
use fred::error::{Error, ErrorKind};
use fred::types::Value;
use futures::future::try_join_all;
use futures::stream::{StreamExt, TryStreamExt, iter};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Keys and bytes that are watched together.
const KEYS: usize = 64;
const BYTES: u64 = 1 << 20;
/// Connections side by side: most of the time each waits for an answer.
const CONNECTIONS: usize = 4;
/// So often a key that is written to while it is compared is looked at again.
const ATTEMPTS: u32 = 5;
/// So many groups go by their seals before it is tried again whether the server has memory for a transaction.
const SEALED: u32 = 64;
/// So often a part may find that there is no memory: by the first time, or since others counted that down; or its keys have no such seal.
const REFUSED: u32 = 3;
/// Within this time it is sure, as a rule without any waiting, whether this process may delete.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What one attempt came to.
pub(super) enum Attempt {
    /// What became of each key is told.
    Done,
    /// One of the keys was written to: nothing was deleted.
    Aborted,
    /// The user may not use one of the keys: nothing was deleted.
    KeyRefused,
    /// What the keys must hold is too old by now: nothing was deleted.
    Outdated,
    /// The right to delete has ended: nothing was deleted.
    Ended(Failure),
}

/// Keys that are watched together, and what they go by.
#[derive(Clone, Copy)]
pub(super) struct Begun<'a> {
    some: &'a [One<'a>],
    pub(super) by: By<'a>,
    /// How often this process had stood still when it began with them.
    interruptions: u64,
}

impl Begun<'_> {
    /// Why the keys must not go now, when all that goes before the deletion is done. Reading a large key takes as long as it takes: that it
    /// was begun in time is enough, unless this process stood still meanwhile, or it was the right to delete that had to be waited for.
    pub(super) async fn withheld(&self) -> Option<Attempt> {
        let (warrant, asked) = (self.by.0, Instant::now());
        if let Err(failure) = warrant.sure().await {
            return Some(Attempt::Ended(failure));
        }
        let is_large = matches!(self.some, [one] if one.candidate.bytes() > BYTES);
        let takes_its_time = is_large && asked.elapsed() < AT_ONCE && warrant.interruptions() == self.interruptions;
        (!takes_its_time && !warrant.is_fresh()).then_some(Attempt::Outdated)
    }
}

impl Unlinker {
    /// Compares and deletes candidates of any kind.
    pub(super) async fn unlink_watched(&self, all: Vec<One<'_>>, by: By<'_>) -> Result<(), Failure> {
        let sizes = all.into_iter().map(|one| (one, one.candidate.bytes()));
        let groups: Vec<_> = batches(sizes, KEYS, BYTES).into_iter().map(|some| self.group(some, by)).collect();
        iter(groups).buffer_unordered(CONNECTIONS).try_collect().await
    }

    /// Keys that are watched together; those among them that another one keeps from being deleted are looked at apart.
    async fn group(&self, some: Vec<One<'_>>, by: By<'_>) -> Result<(), Failure> {
        let mut parts = vec![some];
        while let Some(mut part) = parts.pop() {
            if !self.part(&mut part, by).await? {
                let rest = part.split_off(part.len() / 2);
                parts.extend([rest, part]);
            }
        }
        Ok(())
    }

    /// Keys that are watched together, with the usual attempts, each at those that have no outcome yet. `false`: nothing was deleted because
    /// of some of them.
    async fn part(&self, some: &mut Vec<One<'_>>, by: By<'_>) -> Result<bool, Failure> {
        let (warrant, fates) = by;
        let mut retry = self.source.retry("WATCH");
        let (mut aborted, mut refused) = (0, 0);
        loop {
            some.retain(|one| fates.is_open(one));
            let alone = match some.as_slice() {
                [] => return Ok(true),
                [one] => Some(*one),
                _ => None,
            };
            // Before it is asked how old the comparison is, so that nothing lies between the two.
            let interruptions = warrant.interruptions();
            warrant.sure().await?;
            if !warrant.is_fresh() {
                return outdated(some, fates).map(|()| true);
            }
            match (self.attempt_group(Begun { some, by, interruptions }).await, alone) {
                (Ok(Attempt::Done), _) => return Ok(true),
                (Ok(Attempt::Outdated), _) => return outdated(some, fates).map(|()| true),
                (Ok(Attempt::Ended(failure)), _) => return Err(failure),
                (Ok(Attempt::Aborted | Attempt::KeyRefused), None) => return Ok(false),
                (Ok(Attempt::KeyRefused), Some(one)) => fates.found(&one, UnlinkOutcome::Forbidden),
                (Ok(Attempt::Aborted), Some(one)) if aborted == ATTEMPTS => fates.found(&one, UnlinkOutcome::Changed),
                (Ok(Attempt::Aborted), Some(_)) => aborted += 1,
                // Nothing was run. There is no other way for this key, and there may be one for all others.
                (Err(error), Some(one)) if is_full(&error) && !full::takes(one.candidate) => {
                    self.full.store(SEALED, Ordering::Relaxed);
                    fates.found(&one, UnlinkOutcome::NoMemory);
                }
                // From now on keys go another way; where they do not, it is the last word.
                (Err(error), _) if is_full(&error) && refused < REFUSED => {
                    refused += 1;
                    self.full.store(SEALED, Ordering::Relaxed);
                }
                (Err(error), _) => retry.after(error).await.map_err(|failure| self.without_seals(failure))?,
            }
        }
    }

    /// What to do besides, where the server is full, and no seals could be had.
    fn without_seals(&self, failure: Failure) -> Failure {
        if !cause(&failure).is_some_and(is_full) {
            return failure;
        }
        let asks = if self.source.inner.abilities.expire_time { "PEXPIRETIME" } else { "PTTL" };
        let hint = format!("{} Or let this user run EVAL, DUMP and {asks}: keys of up to 16 MiB go so.", failure.hint);
        Failure { hint, ..failure }
    }

    /// One attempt. A connection is kept only where everything on it has come to its end.
    async fn attempt_group(&self, begun: Begun<'_>) -> Result<Attempt, Error> {
        let connection = self.watching.take(&self.source).await?;
        match connection.until_it_ends(self.compare(&connection, begun)).await {
            Ok((attempt, clean)) => {
                if clean {
                    self.watching.keep(connection);
                }
                Ok(attempt)
            }
            Err(error) if is_key_refused(&error) => Ok(Attempt::KeyRefused),
            Err(error) => Err(error),
        }
    }

    /// Watches the keys, reads them, and deletes those that are equal. Whether nothing is left over on the connection.
    async fn compare(&self, connection: &Connection, begun: Begun<'_>) -> Result<(Attempt, bool), Error> {
        let (wire, some, fates) = (&connection.wire, begun.some, begun.by.1);
        wire.send("WATCH", some.iter().map(|one| Value::Bytes(one.candidate.key.bytes())).collect()).await?;
        let seals = self.seals(wire, some).await?;
        let judged = self.judged(wire, some).await?;
        let is_equal = |outcome: &UnlinkOutcome| *outcome == UnlinkOutcome::Deleted;
        let others = || {
            let others = some.iter().zip(&judged).filter(|(_, outcome)| !is_equal(outcome));
            others.for_each(|(one, outcome)| fates.found(one, *outcome));
        };
        let equal = some.iter().zip(&seals).zip(&judged).filter(|(_, outcome)| is_equal(outcome));
        let doomed: Vec<Doomed<'_>> = equal.map(|((one, seal), _)| (*one, seal)).collect();
        if doomed.is_empty() {
            others();
            let unwatched = wire.send("UNWATCH", Vec::new()).await.is_ok();
            return Ok((Attempt::Done, unwatched));
        }
        if !connection.is_the_same().await? {
            return Err(Error::new(ErrorKind::IO, "the server behind the connection has changed"));
        }
        let deletion = if doomed.iter().all(|(_, seal)| matches!(seal, Some(Seal::Dump { .. }))) {
            // By and by it is looked whether there is memory again.
            let _ = self.full.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |more| more.checked_sub(1));
            by_seals(wire, &doomed, begun).await?
        } else {
            in_transaction(wire, &doomed, begun).await?
        };
        match deletion {
            Deletion::Nothing(attempt, clean) => Ok((attempt, clean)),
            Deletion::Run => {
                others();
                Ok((Attempt::Done, true))
            }
        }
    }

    /// Whether the server had no memory left a moment ago.
    fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed) > 0
    }

    /// The seals that keys have before they are read.
    async fn seals(&self, wire: &Wire, some: &[One<'_>]) -> Result<Vec<Option<Seal>>, Error> {
        if !self.is_full() {
            return stream::seals(wire, some).await;
        }
        let dumps = full::seals(wire, some, self.source.inner.abilities.expire_time).await?;
        if dumps.iter().all(Option::is_some) {
            return Ok(dumps);
        }
        // What has none goes in a transaction, if at all.
        let streams = stream::seals(wire, some).await?;
        Ok(dumps.into_iter().zip(streams).map(|(dump, stream)| dump.or(stream)).collect())
    }

    /// What is to become of each key: `Deleted` where nothing speaks against it.
    async fn judged(&self, wire: &Wire, some: &[One<'_>]) -> Result<Vec<UnlinkOutcome>, Error> {
        let candidates: Vec<&Candidate> = some.iter().map(|one| one.candidate).collect();
        let expected: Vec<ContentDigest> = candidates.iter().map(|candidate| candidate.digest()).collect();
        let read = candidates.iter().zip(&expected).map(|(candidate, expected)| self.held(wire, candidate, expected));
        let found = try_join_all(read).await?;
        let expiries = self.expiries_on(wire, &candidates).await?;
        let judge = |(candidate, expected, found, at): (&Candidate, &ContentDigest, Found, Option<i64>)| match found {
            Found::Gone => UnlinkOutcome::Gone,
            // It expired between the two.
            _ if at == Some(MISSING) => UnlinkOutcome::Gone,
            Found::Holds(held) if held == *expected && self.is_timed(candidate, at) => UnlinkOutcome::Deleted,
            Found::Holds(held) if held == *expected => UnlinkOutcome::Retimed,
            Found::Holds(_) | Found::Other => UnlinkOutcome::Changed,
        };
        let all = candidates.into_iter().zip(&expected).zip(found).zip(expiries);
        Ok(all.map(|(((candidate, expected), found), at)| judge((candidate, expected, found, at))).collect())
    }
}
