//! Whole entries, a page at a time.

use super::awaited::Awaited;
use super::build::{Building, Piece, left};
use super::large::MemoryParts;
use super::line::{Command, outcome};
use super::same::Standing;
use super::stream::StreamBuild;
use super::verdict::Verdict;
use super::{ROUNDS, Restorer, Trouble};
use crate::backup::{Entry, Logical};
use crate::model::{Failure, NotWritten, RestoreFault, RestoreOutcome, UnixMillis};
use fred::interfaces::FredResult;
use fred::types::Value;

/// A value with a longer logical form is made in pieces.
const SMALL: usize = 256 << 10;

/// A key of the page.
struct Work<'a> {
    entry: &'a Entry,
    outcome: Option<RestoreOutcome>,
    way: Way,
    /// Whether something else was there at the last look.
    there: bool,
    /// Whether it was written, and no answer came.
    tried: bool,
    rounds: u32,
}

/// How a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Set,
    Dump,
    /// By commands, at once.
    Commands,
    /// By commands, in pieces.
    Pieces,
}

impl Restorer {
    /// Restores whole entries; the outcome of each, in their order.
    ///
    /// # Errors
    /// The server is gone, is no primary any more or out of memory, or a right is missing. Some of them may be restored by
    /// then: a further attempt finds them equal.
    pub async fn restore(&mut self, entries: &[Entry]) -> Result<Vec<RestoreOutcome>, Failure> {
        let mut page: Vec<Work<'_>> = entries.iter().map(|entry| self.work(entry)).collect();
        let source = self.source.clone();
        let mut retry = source.retry("RESTORE");
        while page.iter().any(|work| work.outcome.is_none()) {
            if let Err(trouble) = self.round(&mut page).await {
                let error = self.give_up(trouble).await?;
                retry.after(error).await?;
                // Nobody else came in between.
                page.iter_mut().for_each(|work| work.rounds = work.rounds.saturating_sub(1));
            }
        }
        Ok(page.into_iter().filter_map(|work| work.outcome).collect())
    }

    fn work<'a>(&self, entry: &'a Entry) -> Work<'a> {
        let now = self.clock.now();
        let outcome = has_expired(entry, now).then_some(RestoreOutcome::Kept(NotWritten::Expired));
        Work { entry, outcome, way: self.way(entry, false), there: false, tried: false, rounds: 0 }
    }

    /// How an entry is written, where its own dump is taken or not.
    fn way(&self, entry: &Entry, refused: bool) -> Way {
        let dump = entry.dump.is_some() && self.restores && !refused;
        match &entry.logical {
            None => Way::Dump,
            Some(_) if dump && self.options.dumps => Way::Dump,
            Some(Logical::Bytes(_)) if entry.redis_type() == crate::model::RedisType::String => Way::Set,
            Some(logical) if logical.bytes() <= SMALL => Way::Commands,
            Some(_) => Way::Pieces,
        }
    }

    /// Looks at the keys without an outcome, and writes those that are to be written.
    async fn round(&mut self, page: &mut [Work<'_>]) -> Result<(), Trouble> {
        self.look(page).await?;
        if self.options.dry {
            return Ok(());
        }
        self.write_at_once(page).await?;
        for work in page.iter_mut().filter(|work| work.outcome.is_none() && work.way == Way::Pieces) {
            let entry = Entry { dump: None, ..work.entry.clone() };
            let mut parts = MemoryParts::new(entry);
            let outcome = self.restore_parts(&mut parts).await?;
            work.outcome = Some(outcome);
        }
        Ok(())
    }

    async fn look(&mut self, page: &mut [Work<'_>]) -> Result<(), Failure> {
        let open: Vec<&mut Work<'_>> = page.iter_mut().filter(|work| work.outcome.is_none()).collect();
        let entries: Vec<&Entry> = open.iter().map(|work| work.entry).collect();
        let standing = self.source.standing(&entries, self.clock.now()).await?;
        let (replace, dry) = (self.options.replace, self.options.dry);
        for (work, standing) in open.into_iter().zip(standing) {
            work.outcome = match standing {
                // The answer to the attempt that did it was lost.
                Standing::Same if work.tried => Some(written(work.there)),
                Standing::Same => Some(RestoreOutcome::Equal),
                Standing::Forbidden => Some(RestoreOutcome::Failed(RestoreFault::Forbidden, String::new())),
                standing if !replace && standing.is_other() => standing.unless_replaced(),
                _ if work.rounds > ROUNDS => Some(RestoreOutcome::Failed(RestoreFault::Changing, String::new())),
                standing if dry => Some(written(standing.is_other())),
                Standing::Other | Standing::Unread(_) | Standing::Absent => None,
            };
            if !work.tried {
                work.there = standing.is_other();
            }
            work.rounds += 1;
        }
        Ok(())
    }

    /// Writes what takes few commands, all at once.
    async fn write_at_once(&mut self, page: &mut [Work<'_>]) -> Result<(), Trouble> {
        self.sweep().await?;
        let is_direct = |work: &&mut Work<'_>| work.outcome.is_none() && matches!(work.way, Way::Set | Way::Dump);
        let mut direct: Vec<&mut Work<'_>> = page.iter_mut().filter(is_direct).collect();
        let commands: Vec<Command> = direct.iter().map(|work| self.direct(work)).collect();
        direct.iter_mut().for_each(|work| work.tried = true);
        let answers = self.line().await?.send(&commands).await?;
        for ((work, command), answer) in direct.into_iter().zip(&commands).zip(answers) {
            work.tried = false;
            match answer {
                Ok(Value::Null) => {}
                Ok(_) => work.outcome = Some(written(work.there)),
                Err(error) => self.refused(work, self.source.judge(&error, command.name))?,
            }
        }
        self.build_at_once(page).await
    }

    /// The one command that writes a key.
    fn direct(&self, work: &Work<'_>) -> Command {
        let Entry { key, expires_at, dump, logical, .. } = work.entry;
        let key = Value::Bytes(key.bytes());
        if work.way == Way::Dump {
            let (at, dump) = (expires_at.unwrap_or(0), dump.clone().unwrap_or_default());
            let mut args = vec![key, at.to_string().into(), Value::Bytes(dump), "ABSTTL".into()];
            args.extend(self.options.replace.then(|| Value::from("REPLACE")));
            return Command::new("RESTORE", args);
        }
        let value = match logical {
            Some(Logical::Bytes(value)) => value.clone(),
            _ => bytes::Bytes::new(),
        };
        let mut args = vec![key, Value::Bytes(value)];
        args.extend((!self.options.replace).then(|| Value::from("NX")));
        if let Some(at) = expires_at {
            if self.release().is_none_or(|release| release >= (6, 2)) {
                args.extend(["PXAT".into(), at.to_string().into()]);
            } else {
                let left = at.saturating_sub(self.clock.now()).max(1);
                args.extend(["PX".into(), left.to_string().into()]);
            }
        }
        Command::new("SET", args)
    }

    /// Builds what is small by commands, all of it at once, and then moves it.
    async fn build_at_once(&mut self, page: &mut [Work<'_>]) -> Result<(), Trouble> {
        let now = self.clock.now();
        let is_built = |work: &&mut Work<'_>| work.outcome.is_none() && work.way == Way::Commands;
        let mut built: Vec<(&mut Work<'_>, Building, Piece)> = Vec::new();
        for work in page.iter_mut().filter(is_built) {
            let stream = StreamBuild::new(self.release(), Awaited::of(work.entry));
            let mut building = Building::new(work.entry.redis_type(), stream);
            let piece = building.piece(work.entry, now);
            built.push((work, building, piece));
        }
        if built.is_empty() {
            return Ok(());
        }
        self.strays.extend(built.iter().map(|(_, building, _)| building.name()));
        let pieces: Vec<Vec<Command>> = built.iter().map(|(_, _, piece)| piece.commands.clone()).collect();
        let answers = self.transactions(pieces).await?;
        let (mut whole, mut left) = (Vec::with_capacity(built.len()), Vec::new());
        for ((work, mut building, piece), answer) in built.into_iter().zip(answers) {
            match answer {
                Ok(answers) if building.added(&piece, &answers) => whole.push((work, building)),
                // It is begun anew.
                Ok(_) => left.push(building.name()),
                Err(error) => {
                    left.push(building.name());
                    self.refused(work, self.source.judge(&error, first(&piece)))?;
                }
            }
        }
        self.move_all(whole, left).await
    }

    /// Moves what was built; `left` is what was not, and goes.
    async fn move_all(
        &mut self,
        mut whole: Vec<(&mut Work<'_>, Building)>,
        mut left: Vec<Value>,
    ) -> Result<(), Trouble> {
        let replace = self.options.replace;
        let moving = whole.iter().map(|(work, building)| building.moving(work.entry, replace)).collect();
        whole.iter_mut().for_each(|(work, _)| work.tried = true);
        let answers = self.transactions(moving).await?;
        for ((work, building), answer) in whole.into_iter().zip(answers) {
            work.tried = false;
            match answer {
                Ok(answers) if answers.last().and_then(Value::as_i64) != Some(0) => {
                    self.lost_pending += building.lost_pending();
                    self.hashes_built += u64::from(building.is_hash());
                    work.outcome = Some(written(work.there));
                }
                // There is such a key by now.
                Ok(_) => {}
                Err(error) => self.refused(work, self.source.judge(&error, "RENAME"))?,
            }
            if !work.outcome.as_ref().is_some_and(is_written) {
                left.push(building.name());
            }
        }
        self.strays = left;
        Ok(self.sweep().await?)
    }

    /// Runs transactions, all written at once; what came of each.
    async fn transactions(&mut self, all: Vec<Vec<Command>>) -> Result<Vec<FredResult<Vec<Value>>>, Trouble> {
        let sizes: Vec<usize> = all.iter().map(|commands| commands.len() + 2).collect();
        let wrap = |commands: Vec<Command>| {
            std::iter::once(Command::bare("MULTI")).chain(commands).chain([Command::bare("EXEC")])
        };
        let commands: Vec<Command> = all.into_iter().flat_map(wrap).collect();
        let mut answers = self.line().await?.send(&commands).await?.into_iter();
        let of_each = sizes.into_iter().map(|size| outcome(answers.by_ref().take(size).collect()));
        Ok(of_each.collect::<Result<_, _>>()?)
    }

    /// Takes note of what was refused for a key.
    fn refused(&mut self, work: &mut Work<'_>, verdict: Verdict) -> Result<(), Trouble> {
        match verdict {
            Verdict::Again => {}
            Verdict::Fault(fault, detail) => work.outcome = Some(RestoreOutcome::Failed(fault, detail)),
            Verdict::NoDump(detail) if work.entry.logical.is_none() => {
                work.outcome = Some(RestoreOutcome::Failed(RestoreFault::ModuleType, detail));
            }
            Verdict::NoDumps if work.entry.logical.is_none() => {
                let detail = "RESTORE is not known, or not allowed to this user".to_owned();
                work.outcome = Some(RestoreOutcome::Failed(RestoreFault::ModuleType, detail));
            }
            Verdict::NoDump(_) => {
                self.dumps_refused += 1;
                work.way = self.way(work.entry, true);
            }
            Verdict::NoDumps => {
                self.restores = false;
                self.dumps_refused += 1;
                work.way = self.way(work.entry, true);
            }
            Verdict::End(failure) => return Err(Trouble::Final(failure)),
        }
        Ok(())
    }
}

fn is_written(outcome: &RestoreOutcome) -> bool {
    matches!(outcome, RestoreOutcome::Restored | RestoreOutcome::Replaced)
}

/// The outcome of a key that was written.
pub(super) fn written(there: bool) -> RestoreOutcome {
    if there { RestoreOutcome::Replaced } else { RestoreOutcome::Restored }
}

/// Whether the time of a key is past, or that of all its fields.
pub(super) fn has_expired(entry: &Entry, now: UnixMillis) -> bool {
    let fields = match &entry.logical {
        Some(Logical::Hash { items, expiries: Some(expiries) }) if entry.part.is_whole() && !items.is_empty() => {
            left(items, Some(expiries), now).1.is_empty()
        }
        _ => false,
    };
    fields || entry.expires_at.is_some_and(|at| at <= now)
}

fn first(piece: &Piece) -> &'static str {
    piece.commands.first().map_or("MULTI", |command| command.name)
}
