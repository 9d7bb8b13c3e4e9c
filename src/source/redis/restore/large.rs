//! A key in parts: never in memory as a whole. It is built under a name of its own, part by part, and moved once the last is
//! there.

use super::awaited::Awaited;
use super::batch::{has_expired, written};
use super::build::Building;
use super::same::{Fingerprint, Standing};
use super::stream::StreamBuild;
use super::verdict::Verdict;
use super::{ROUNDS, Restorer, Trouble};
use crate::backup::{Entry, cut};
use crate::model::{Failure, NotWritten, RedisType, RestoreFault, RestoreOutcome};
use fred::types::Value;
use std::future::Future;

/// What comes after a part.
#[derive(Debug)]
pub enum NextPart {
    /// A further part.
    Part(Box<Entry>),
    /// Nothing: the part before was the last.
    End,
    /// The rest is not there: the file is damaged.
    Torn,
}

/// The parts of one key. They can be gone through again.
pub trait Parts: Send {
    /// The first part.
    fn first(&self) -> &Entry;

    /// The next part; at the beginning the second.
    ///
    /// # Errors
    /// It cannot be read.
    fn next(&mut self) -> impl Future<Output = Result<NextPart, Failure>> + Send;

    /// Goes back behind the first part.
    ///
    /// # Errors
    /// It cannot be read.
    fn again(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;

    /// All of it, where that is in memory.
    fn whole(&self) -> Option<&Entry> {
        None
    }
}

/// A whole entry, in parts as it is built.
pub(super) struct MemoryParts {
    parts: Vec<Entry>,
    at: usize,
    whole: Entry,
}

impl MemoryParts {
    pub(super) fn new(entry: Entry) -> Self {
        Self { parts: cut(entry.clone()), at: 1, whole: entry }
    }
}

impl Parts for MemoryParts {
    fn first(&self) -> &Entry {
        self.parts.first().unwrap_or(&self.whole)
    }

    async fn next(&mut self) -> Result<NextPart, Failure> {
        let part = self.parts.get(self.at).cloned();
        self.at += 1;
        Ok(part.map_or(NextPart::End, |part| NextPart::Part(Box::new(part))))
    }

    async fn again(&mut self) -> Result<(), Failure> {
        self.at = 1;
        Ok(())
    }

    fn whole(&self) -> Option<&Entry> {
        Some(&self.whole)
    }
}

/// What came of an attempt to build a key.
enum Built {
    Outcome(RestoreOutcome),
    /// Somebody else wrote the key, or the name that it was built under is gone.
    Again,
}

impl Restorer {
    /// Restores a key that comes in parts. In the end all of its parts were gone through, or the first alone.
    ///
    /// # Errors
    /// As [`Restorer::restore`], and what keeps its parts from being read.
    pub async fn restore_parts(&mut self, parts: &mut impl Parts) -> Result<RestoreOutcome, Failure> {
        let source = self.source.clone();
        let mut retry = source.retry("RENAME");
        let (mut rounds, mut before) = (0, None);
        loop {
            match self.parts_round(parts, &mut before).await {
                Ok(Built::Outcome(outcome)) => return Ok(outcome),
                Ok(Built::Again) if rounds == ROUNDS => {
                    return Ok(RestoreOutcome::Failed(RestoreFault::Changing, String::new()));
                }
                Ok(Built::Again) => rounds += 1,
                Err(trouble) => {
                    let error = self.give_up(trouble).await?;
                    retry.after(error).await?;
                }
            }
            parts.again().await?;
        }
    }

    /// Looks at the key, and builds it where it is to be written. `before`: whether something else was there before it was moved
    /// without an answer.
    async fn parts_round(&mut self, parts: &mut impl Parts, before: &mut Option<bool>) -> Result<Built, Trouble> {
        let now = self.clock.now();
        if has_expired(parts.first(), now) {
            return Ok(Built::Outcome(RestoreOutcome::Kept(NotWritten::Expired)));
        }
        let there = match self.parts_standing(parts).await? {
            Err(outcome) => return Ok(Built::Outcome(outcome)),
            Ok(Standing::Same) => {
                return Ok(Built::Outcome(before.map_or(RestoreOutcome::Equal, written)));
            }
            Ok(Standing::Forbidden) => {
                let forbidden = RestoreOutcome::Failed(RestoreFault::Forbidden, String::new());
                return Ok(Built::Outcome(forbidden));
            }
            Ok(standing) => match standing.unless_replaced().filter(|_| !self.options.replace) {
                Some(outcome) => return Ok(Built::Outcome(outcome)),
                None => standing.is_other(),
            },
        };
        if self.options.dry {
            return Ok(Built::Outcome(written(there)));
        }
        parts.again().await?;
        let Some(awaited) = awaited(parts).await? else { return Ok(Built::Outcome(torn())) };
        let stream = StreamBuild::new(self.release(), awaited);
        let mut building = Building::new(parts.first().redis_type(), stream);
        self.sweep().await?;
        // Whatever ends it, the name is known.
        self.strays.push(building.name());
        let built = self.build(parts, &mut building).await?;
        let built = match built {
            None => self.move_one(parts.first(), &building, (there, before)).await?,
            Some(built) => built,
        };
        if matches!(built, Built::Outcome(RestoreOutcome::Restored | RestoreOutcome::Replaced)) {
            self.strays.clear();
        }
        self.sweep().await?;
        Ok(built)
    }

    /// What there is under the key; or what becomes of it already.
    async fn parts_standing(&self, parts: &mut impl Parts) -> Result<Result<Standing, RestoreOutcome>, Failure> {
        let now = self.clock.now();
        let key = parts.first().key.clone();
        let types = self.source.types_permitted(std::slice::from_ref(&key)).await?;
        match types.into_iter().next().flatten() {
            None => return Ok(Ok(Standing::Forbidden)),
            Some(name) if name == super::super::collections::NONE => return Ok(Ok(Standing::Absent)),
            Some(name) if name != parts.first().type_name => return Ok(Ok(Standing::Other)),
            Some(_) => {}
        }
        let there = match self.source.print(key, now).await? {
            Ok(there) => there,
            Err(standing) => return Ok(Ok(standing)),
        };
        let mut wanted = Fingerprint::of(parts.whole().unwrap_or(parts.first()), now);
        if parts.whole().is_none() && !parts.first().part.last {
            loop {
                match parts.next().await? {
                    NextPart::Part(part) => wanted.take(&part),
                    NextPart::End => break,
                    NextPart::Torn => return Ok(Err(torn())),
                }
            }
        }
        Ok(Ok(if there.is_some_and(|there| wanted.is(there)) { Standing::Same } else { Standing::Other }))
    }

    /// Builds the value; `None` once it is whole.
    async fn build(&mut self, parts: &mut impl Parts, building: &mut Building) -> Result<Option<Built>, Trouble> {
        let mut part = Box::new(parts.first().clone());
        loop {
            let piece = building.piece(&part, self.clock.now());
            let answers = match piece.commands.is_empty() {
                true => Ok(Vec::new()),
                false => self.line().await?.transact(piece.commands.clone()).await?,
            };
            match answers {
                Ok(answers) if building.added(&piece, &answers) => {}
                Ok(_) => return Ok(Some(Built::Again)),
                Err(error) => {
                    let command = piece.commands.first().map_or("MULTI", |command| command.name);
                    return self.verdict_of(self.source.judge(&error, command)).map(Some);
                }
            }
            part = match parts.next().await? {
                NextPart::Part(part) => part,
                NextPart::End => return Ok(building.is_empty().then_some(Built::Outcome(expired()))),
                NextPart::Torn => return Ok(Some(Built::Outcome(torn()))),
            };
        }
    }

    async fn move_one(
        &mut self,
        entry: &Entry,
        building: &Building,
        (there, before): (bool, &mut Option<bool>),
    ) -> Result<Built, Trouble> {
        before.get_or_insert(there);
        let moving = building.moving(entry, self.options.replace);
        let answers = self.line().await?.transact(moving).await?;
        *before = None;
        match answers {
            Ok(answers) if answers.last().and_then(Value::as_i64) != Some(0) => {
                self.lost_pending += building.lost_pending();
                self.hashes_built += u64::from(building.is_hash());
                Ok(Built::Outcome(written(there)))
            }
            Ok(_) => Ok(Built::Again),
            Err(error) => self.verdict_of(self.source.judge(&error, "RENAME")),
        }
    }

    fn verdict_of(&self, verdict: Verdict) -> Result<Built, Trouble> {
        match verdict {
            Verdict::Again => Ok(Built::Again),
            Verdict::Fault(fault, detail) => Ok(Built::Outcome(RestoreOutcome::Failed(fault, detail))),
            // Nothing is restored by its dump here.
            Verdict::NoDump(detail) => Ok(Built::Outcome(RestoreOutcome::Failed(RestoreFault::Refused, detail))),
            Verdict::NoDumps => Ok(Built::Outcome(RestoreOutcome::Failed(RestoreFault::Refused, String::new()))),
            Verdict::End(failure) => Err(Trouble::Final(failure)),
        }
    }
}

/// What is pending in a stream, by going through its parts once; `None` where they are not all there.
async fn awaited(parts: &mut impl Parts) -> Result<Option<Awaited>, Failure> {
    let mut awaited = Awaited::of(parts.first());
    if parts.first().redis_type() != RedisType::Stream || parts.first().part.last {
        return Ok(Some(awaited));
    }
    loop {
        match parts.next().await? {
            NextPart::Part(part) => awaited.take(&part),
            NextPart::End => break,
            NextPart::Torn => return Ok(None),
        }
    }
    parts.again().await?;
    Ok(Some(awaited))
}

fn torn() -> RestoreOutcome {
    RestoreOutcome::Failed(RestoreFault::Damaged, String::new())
}

fn expired() -> RestoreOutcome {
    RestoreOutcome::Kept(NotWritten::Expired)
}
