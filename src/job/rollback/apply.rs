//! One batch of a rollback: one short transaction, cut up where the server refuses a row of it or gives it up.

use super::Held;
use super::own_writes::OwnWrites;
use super::pace::Pace;
use crate::flow::Stop;
use crate::job::link::{Link, Trouble};
use crate::ledger;
use crate::model::{Failure, KeptReason};
use crate::postgres::{Verdict, describe, is_not_supported, query, said, verdict};
use crate::sink::LoadOptions;
use crate::sink::undo::{Group, RowOrigin, Undo, Undone, prepare};
use sqlx::error::DatabaseError;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};
use std::collections::HashSet;
use std::time::Instant;
use uuid::Uuid;

/// `query_canceled`: its `statement_timeout`, or somebody who cancels it.
pub(super) const STATEMENT_TIMEOUT: &str = "57014";

/// `lock_not_available`: its `lock_timeout`.
const LOCK_TIMEOUT: &str = "55P03";

/// So many single rows that the server gives up, one behind the other, are not what is slow or held: the table is.
const STUCK: usize = 8;

/// What is done with the rows of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Task<'a> {
    /// They are deleted.
    Delete,
    /// They are put back.
    Restore(&'a Group),
}

/// What an attempt came to.
enum Tried {
    Done(Undone),
    /// The server took it, and left rows as they were; nothing of it is kept.
    Swallowed(Undone),
    Refused(KeptReason, String),
    /// The server gave it up: it took too long, or waited too long for a lock.
    GivenUp(Error),
}

/// What an attempt is made with.
pub(super) struct Means<'a> {
    pub(super) link: &'a mut Link,
    pub(super) options: &'a LoadOptions,
    pub(super) held: Held,
    pub(super) stop: &'a Stop,
    pub(super) pace: &'a mut Pace,
    pub(super) own: &'a mut OwnWrites,
}

/// Does it with all rows of the batch that can be done; gives those, and the others with what is against them. After a stop it
/// leaves the rest.
///
/// # Errors
/// The server's; another process has the rollback now.
pub(super) async fn apply(
    mut means: Means<'_>,
    undo: Undo<'_>,
    task: Task<'_>,
    keys: Vec<String>,
) -> Result<Undone, Failure> {
    let mut all = Undone::default();
    // Single rows that the server gave up are tried again, and waited for, once the others are done.
    let (mut parts, mut late, mut stuck) = (vec![keys], Vec::new(), 0);
    while let Some((part, is_last)) = parts.pop().map(|part| (part, false)).or_else(|| Some((late.pop()?, true))) {
        if means.stop.requested() {
            break;
        }
        if part.len() > means.pace.size() {
            parts.extend(cut(task, part, means.pace.size()));
            continue;
        }
        let single = part.len() < 2;
        match means.tried(undo, task, &part, single && is_last || stuck >= STUCK).await? {
            Tried::Done(undone) => {
                stuck = 0;
                all.append(undone);
            }
            // All of them alike.
            Tried::Swallowed(undone) if undone.done.is_empty() || single => {
                all.append(Undone { done: Vec::new(), ..undone });
            }
            Tried::Refused(reason, detail) if single => {
                all.kept.extend(part.into_iter().map(|key| (key, reason, detail.clone())));
            }
            Tried::GivenUp(_) if single => {
                stuck += 1;
                late.push(part);
            }
            Tried::Swallowed(_) | Tried::Refused(..) | Tried::GivenUp(_) => {
                let half = part.len().div_ceil(2);
                parts.extend(cut(task, part, half));
            }
        }
    }
    means.tell_own(&mut all);
    Ok(all)
}

/// Takes so many rows off a batch: what is left, and then those. What is put back has parents before children, what is deleted
/// mostly too.
fn cut(task: Task<'_>, mut keys: Vec<String>, rows: usize) -> [Vec<String>; 2] {
    match task {
        Task::Restore(_) => [keys.split_off(rows), keys],
        Task::Delete => {
            let last = keys.split_off(keys.len() - rows);
            [keys, last]
        }
    }
}

impl Means<'_> {
    /// Says of rows that were changed meanwhile whether the rollback itself did.
    fn tell_own(&self, undone: &mut Undone) {
        for (key, reason, detail) in &mut undone.kept {
            if *reason == KeptReason::Changed {
                *detail = self.own.detail(undone.writers.get(key).copied(), std::mem::take(detail));
            }
        }
    }

    /// One attempt; `to_the_end`: what the server gives up is waited for, as for a server that is away.
    async fn tried(
        &mut self,
        undo: Undo<'_>,
        task: Task<'_>,
        keys: &[String],
        to_the_end: bool,
    ) -> Result<Tried, Failure> {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let (since, options, held, own) = (Instant::now(), self.options, self.held, &mut *self.own);
        let work = async |connection: &mut PgConnection| {
            let tried = attempt(connection, (options, held), own, undo, (task, &keys)).await?;
            match tried {
                Tried::GivenUp(error) if to_the_end => Err(Trouble::Server(error)),
                tried => Ok(tried),
            }
        };
        let tried = self.link.call("rolling back", work).await?;
        match &tried {
            Tried::Done(_) => self.pace.took(keys.len(), since.elapsed()),
            Tried::GivenUp(error) => {
                tracing::warn!("PostgreSQL: rolling back {} rows: {}; trying fewer", keys.len(), describe(error));
                if code(error) == STATEMENT_TIMEOUT {
                    self.pace.timed_out(keys.len());
                }
            }
            Tried::Swallowed(_) | Tried::Refused(..) => {}
        }
        Ok(tried)
    }
}

async fn attempt(
    connection: &mut PgConnection,
    (options, held): (&LoadOptions, Held),
    own: &mut OwnWrites,
    undo: Undo<'_>,
    (task, keys): (Task<'_>, &[&str]),
) -> Result<Tried, Trouble> {
    let mut transaction = connection.begin().await?;
    prepare(&mut transaction, options, &ledger::holder_name(held.1)).await?;
    if !ledger::is_rollback_held(&mut transaction, held).await? {
        return Err(Trouble::Final(ledger::taken_over()));
    }
    let id =
        query("SELECT pg_catalog.pg_current_xact_id()::text::bigint & 4294967295").fetch_one(&mut *transaction).await?;
    own.insert(id.try_get(0)?);
    // Of the run's rows as they are now: what comes back may be from another key.
    let origins = if undo.retries { undo.origins(&mut transaction, keys).await? } else { Vec::new() };
    let undone = match task {
        Task::Delete => undo.delete(&mut transaction, keys).await,
        Task::Restore(group) => undo.restore(&mut transaction, group, keys).await,
    };
    let undone = match undone {
        Ok(undone) => undone,
        Err(error) => {
            transaction.rollback().await?;
            if matches!(code(&error).as_str(), STATEMENT_TIMEOUT | LOCK_TIMEOUT) {
                return Ok(Tried::GivenUp(error));
            }
            let (reason, detail) = refusal(error, task)?;
            return Ok(Tried::Refused(reason, detail));
        }
    };
    if undone.is_swallowed() {
        transaction.rollback().await?;
        return Ok(Tried::Swallowed(undone));
    }
    let Some(mut account) = ledger::hold_rollback(&mut transaction, held).await? else {
        return Err(Trouble::Final(ledger::taken_over()));
    };
    let table = account.table(&undo.table.name());
    let rows = undone.done.len() as u64;
    match task {
        Task::Delete => table.deleted += rows,
        Task::Restore(_) => table.restored += rows,
    }
    // A run of which no row was taken back is none that is half undone.
    if rows > 0 {
        reopen(&mut transaction, (held.0, undo), &undone.done, origins).await?;
        ledger::save_rollback(&mut transaction, held.0, &account).await?;
    }
    transaction.commit().await?;
    Ok(Tried::Done(undone))
}

/// The SQLSTATE of an error; empty where it is none of the server's.
pub(super) fn code(error: &Error) -> String {
    error.as_database_error().and_then(DatabaseError::code).unwrap_or_default().into_owned()
}

/// The rejects of keys that a retry had loaded are open again: their rows are gone, or as they were before.
async fn reopen(
    connection: &mut PgConnection,
    (run, undo): (Uuid, Undo<'_>),
    done: &[String],
    origins: Vec<RowOrigin>,
) -> Result<(), Error> {
    let done: HashSet<&str> = done.iter().map(String::as_str).collect();
    let (mut keys, mut unknown) = (Vec::new(), false);
    for origin in origins.into_iter().filter(|origin| done.contains(origin.row_key.as_str())) {
        match origin.redis_key {
            Some(key) => keys.push((key, origin.database)),
            None => unknown = true,
        }
    }
    ledger::reopen_closed(connection, run, &keys).await?;
    if unknown {
        // Which key it was is not told. A reject that is open for nothing is closed by the next retry.
        ledger::reopen_closed_of(connection, run, &undo.table.name()).await?;
    }
    Ok(())
}

/// Why a row is kept, where the error speaks of one.
fn refusal(error: Error, task: Task<'_>) -> Result<(KeptReason, String), Error> {
    let verdict = verdict(&error);
    let Some(database) = error.as_database_error() else { return Err(error) };
    let code = database.code().unwrap_or_default();
    let constraint = database.constraint().unwrap_or_default().to_owned();
    if is_not_supported(&error) {
        return Ok((KeptReason::Refused, said(&error)));
    }
    Ok(match verdict {
        Verdict::ForeignKey => match task {
            Task::Delete => (KeptReason::ReferredTo, constraint),
            Task::Restore(_) => (KeptReason::MissingParent, constraint),
        },
        Verdict::Unique => (KeptReason::PlaceTaken, constraint),
        Verdict::Row if code == "23P01" => (KeptReason::PlaceTaken, constraint),
        Verdict::Row => (KeptReason::Refused, said(&error)),
        Verdict::Transient | Verdict::Systemic => return Err(error),
    })
}
