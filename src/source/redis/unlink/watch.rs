//! Comparing under a watch: whatever writes to one of the watched keys undoes the deletion of all of them.
//!
//! Nothing here rests on the order in which a client writes commands that were given to it at once. The watch is
//! confirmed before the first byte is read, the transaction before it is told to delete, and each deletion is queued
//! before EXEC is sent: so there is no moment at which a command that was refused, or lost, leaves another one to delete
//! what nobody watches. Just before, the connection and the server are asked whether they are the ones that watch. The last that is asked for
//! before EXEC is the right to delete.

use super::super::errors::{is_full, is_key_refused, is_not_ready, is_transient};
use super::super::fetch::MISSING;
use super::super::wire::Wire;
use super::batches::batches;
use super::connection::Connection;
use super::deleting::{Doomed, Seal, Told, by_seals, in_transaction};
use super::reading::Found;
use super::warrant::outdated;
use super::{Candidate, UnlinkOutcome, Unlinker, Warrant, full, stream};
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

/// Keys that are watched together, by what right they go, and how often this process had stood still when they were begun with.
type Begun<'a> = (&'a [&'a Candidate], &'a dyn Warrant, u64);

/// What one attempt came to.
pub(super) enum Attempt {
    Done(Vec<UnlinkOutcome>),
    /// One of the keys was written to: nothing was deleted.
    Aborted,
    /// The user may not use one of the keys: nothing was deleted.
    KeyRefused,
    /// What the keys must hold is too old by now: nothing was deleted.
    Outdated,
    /// The right to delete has ended: nothing was deleted.
    Ended(Failure),
}

/// Keys that are watched together, and for which of them the answer to a deletion was lost.
struct Part<'a> {
    some: &'a [&'a Candidate],
    lost: Vec<bool>,
}

impl Part<'_> {
    fn outdated(&self) -> Result<Vec<UnlinkOutcome>, Failure> {
        outdated(self.some.len(), self.lost.contains(&true))
    }

    fn halves(mut self) -> [Self; 2] {
        let (front, rest) = self.some.split_at(self.some.len() / 2);
        let rest_lost = self.lost.split_off(front.len());
        [Self { some: front, lost: self.lost }, Self { some: rest, lost: rest_lost }]
    }
}

/// What is asked last before keys go, when all that goes before the deletion is done.
pub(super) struct Last<'a> {
    begun: Begun<'a>,
    places: &'a [usize],
    doomed: &'a mut Vec<usize>,
}

impl Last<'_> {
    /// What stands against the deletion. If nothing does, the keys may be gone from here on.
    pub(super) async fn ended(self) -> Option<Attempt> {
        let ended = withheld(self.begun).await;
        if ended.is_none() {
            self.doomed.extend_from_slice(self.places);
        }
        ended
    }
}

impl Unlinker {
    /// Compares and deletes candidates of any kind; each outcome with the candidate's place.
    pub(super) async fn unlink_watched(
        &self,
        (candidates, warrant): (&[Candidate], &dyn Warrant),
        places: Vec<usize>,
    ) -> Result<Vec<(usize, UnlinkOutcome)>, Failure> {
        let sizes = places.into_iter().map(|place| (place, candidates.get(place).map_or(0, Candidate::bytes)));
        let groups = batches(sizes, KEYS, BYTES).into_iter().map(|batch| async move {
            let some: Vec<&Candidate> = batch.iter().filter_map(|place| candidates.get(*place)).collect();
            let outcomes = self.group(&some, warrant).await?;
            Ok::<_, Failure>(batch.into_iter().zip(outcomes).collect::<Vec<_>>())
        });
        iter(groups).buffer_unordered(CONNECTIONS).try_concat().await
    }

    /// Keys that are watched together; those among them that another one keeps from being deleted are looked at apart.
    async fn group(&self, some: &[&Candidate], warrant: &dyn Warrant) -> Result<Vec<UnlinkOutcome>, Failure> {
        let mut outcomes = Vec::with_capacity(some.len());
        let mut parts = vec![Part { some, lost: vec![false; some.len()] }];
        while let Some(mut part) = parts.pop() {
            match self.part(&mut part, warrant).await? {
                Some(done) => {
                    let told = |(outcome, lost): (UnlinkOutcome, bool)| match lost {
                        true => outcome.after_a_lost_answer(),
                        false => outcome,
                    };
                    outcomes.extend(done.into_iter().zip(part.lost).map(told));
                }
                None => parts.extend(part.halves().into_iter().rev()),
            }
        }
        Ok(outcomes)
    }

    /// What became of keys that are watched together; `None`: nothing was deleted because of some of them.
    async fn part(&self, part: &mut Part<'_>, warrant: &dyn Warrant) -> Result<Option<Vec<UnlinkOutcome>>, Failure> {
        let mut retry = self.source.retry("WATCH");
        let (mut aborted, mut refused, one) = (0, 0, part.some.len() == 1);
        loop {
            // Before it is asked how old the comparison is, so that nothing lies between the two.
            let begun = warrant.interruptions();
            warrant.sure().await?;
            if !warrant.is_fresh() {
                return part.outdated().map(Some);
            }
            let mut doomed = Vec::new();
            match self.attempt_group((part.some, warrant, begun), &mut doomed).await {
                Ok(Attempt::Outdated) => return part.outdated().map(Some),
                Ok(Attempt::Ended(failure)) => return Err(failure),
                Ok(Attempt::Done(outcomes)) => return Ok(Some(outcomes)),
                Ok(Attempt::Aborted | Attempt::KeyRefused) if !one => return Ok(None),
                Ok(Attempt::KeyRefused) => return Ok(Some(vec![UnlinkOutcome::Forbidden])),
                Ok(Attempt::Aborted) if aborted == ATTEMPTS => return Ok(Some(vec![UnlinkOutcome::Changed])),
                Ok(Attempt::Aborted) => aborted += 1,
                // Nothing was queued. From now on keys go another way; where they do not, it is the last word.
                Err(error) if is_full(&error) && refused < REFUSED => {
                    refused += 1;
                    self.full.store(SEALED, Ordering::Relaxed);
                }
                Err(error) => {
                    if is_transient(&error) && !is_not_ready(&error) {
                        part.lost.iter_mut().enumerate().for_each(|(place, lost)| *lost |= doomed.contains(&place));
                    }
                    retry.after(error).await?;
                }
            }
        }
    }

    /// One attempt. `doomed`: the places of the keys that an EXEC may have deleted, from the moment that it is sent. A
    /// connection is kept only where everything on it has come to its end.
    async fn attempt_group(&self, some: Begun<'_>, doomed: &mut Vec<usize>) -> Result<Attempt, Error> {
        let connection = self.watching.take(&self.source).await?;
        match connection.until_it_ends(self.compare(&connection, some, doomed)).await {
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
    async fn compare(
        &self,
        connection: &Connection,
        (some, warrant, begun): Begun<'_>,
        doomed: &mut Vec<usize>,
    ) -> Result<(Attempt, bool), Error> {
        let wire = &connection.wire;
        wire.send("WATCH", some.iter().map(|candidate| Value::Bytes(candidate.key.bytes())).collect()).await?;
        let seals = self.seals(wire, some).await?;
        let mut outcomes = self.judged(wire, some).await?;
        let equal = |(place, outcome): (usize, &UnlinkOutcome)| (*outcome == UnlinkOutcome::Deleted).then_some(place);
        let places: Vec<usize> = outcomes.iter().enumerate().filter_map(equal).collect();
        if places.is_empty() {
            let unwatched = wire.send("UNWATCH", Vec::new()).await.is_ok();
            return Ok((Attempt::Done(outcomes), unwatched));
        }
        let equal: Vec<Doomed<'_>> =
            places.iter().filter_map(|place| some.get(*place).copied().zip(seals.get(*place))).collect();
        if !connection.is_the_same().await? {
            return Err(Error::new(ErrorKind::IO, "the server behind the connection has changed"));
        }
        let last = Last { begun: (some, warrant, begun), places: &places, doomed };
        let told = if equal.iter().all(|(_, seal)| matches!(seal, Some(Seal::Dump { .. }))) {
            // By and by it is looked whether there is memory again.
            let _ = self.full.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |more| more.checked_sub(1));
            by_seals(wire, &equal, last).await?
        } else {
            in_transaction(wire, &equal, last).await?
        };
        let told = match told {
            Told::Outcomes(told) => told,
            Told::Nothing(attempt, clean) => return Ok((attempt, clean)),
        };
        for (place, told) in places.into_iter().zip(told) {
            if let Some(outcome) = outcomes.get_mut(place) {
                *outcome = told;
            }
        }
        Ok((Attempt::Done(outcomes), true))
    }

    /// Whether the server had no memory left a moment ago.
    fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed) > 0
    }

    /// The seals that keys have before they are read.
    async fn seals(&self, wire: &Wire, some: &[&Candidate]) -> Result<Vec<Option<Seal>>, Error> {
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
    async fn judged(&self, wire: &Wire, some: &[&Candidate]) -> Result<Vec<UnlinkOutcome>, Error> {
        let expected: Vec<ContentDigest> = some.iter().map(|candidate| candidate.digest()).collect();
        let read = some.iter().zip(&expected).map(|(candidate, expected)| self.held(wire, candidate, expected));
        let found = try_join_all(read).await?;
        let expiries = self.expiries_on(wire, some).await?;
        let judge = |(candidate, expected, found, at): (&Candidate, &ContentDigest, Found, Option<i64>)| match found {
            Found::Gone => UnlinkOutcome::Gone,
            // It expired between the two.
            _ if at == Some(MISSING) => UnlinkOutcome::Gone,
            Found::Holds(held) if held == *expected && self.is_timed(candidate, at) => UnlinkOutcome::Deleted,
            Found::Holds(held) if held == *expected => UnlinkOutcome::Retimed,
            Found::Holds(_) | Found::Other => UnlinkOutcome::Changed,
        };
        let all = some.iter().zip(&expected).zip(found).zip(expiries);
        Ok(all.map(|(((candidate, expected), found), at)| judge((candidate, expected, found, at))).collect())
    }
}

/// Why keys that were read must not go now. Reading a large key takes as long as it takes: that it was begun in time is enough, unless this
/// process stood still meanwhile, or it was the right to delete that had to be waited for.
async fn withheld((some, warrant, begun): Begun<'_>) -> Option<Attempt> {
    let asked = Instant::now();
    if let Err(failure) = warrant.sure().await {
        return Some(Attempt::Ended(failure));
    }
    let is_large = matches!(some, [one] if one.bytes() > BYTES);
    let takes_its_time = is_large && asked.elapsed() < AT_ONCE && warrant.interruptions() == begun;
    (!takes_its_time && !warrant.is_fresh()).then_some(Attempt::Outdated)
}
