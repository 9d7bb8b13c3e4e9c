//! One batch of a rollback: one short transaction, cut up where the server refuses a row of it.

use super::Held;
use crate::job::link::{Link, Trouble};
use crate::ledger;
use crate::model::{Failure, KeptReason};
use crate::postgres::{Verdict, is_not_supported, verdict};
use crate::sink::LoadOptions;
use crate::sink::undo::{Group, RowOrigin, Undo, Undone, prepare};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use std::collections::HashSet;
use uuid::Uuid;

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
}

/// Does it with all rows of the batch that can be done; gives those, and the others with what is against them.
///
/// # Errors
/// The server's; another process has the rollback now.
pub(super) async fn apply(
    link: &mut Link,
    (options, held): (&LoadOptions, Held),
    undo: Undo<'_>,
    task: Task<'_>,
    keys: Vec<String>,
) -> Result<Undone, Failure> {
    let mut all = Undone::default();
    let mut parts = vec![keys];
    while let Some(mut part) = parts.pop() {
        let tried = {
            let keys: Vec<&str> = part.iter().map(String::as_str).collect();
            let work =
                async |connection: &mut PgConnection| attempt(connection, (options, held), undo, task, &keys).await;
            link.call("rolling back", work).await?
        };
        match tried {
            Tried::Done(undone) => all.append(undone),
            // All of them alike.
            Tried::Swallowed(undone) if undone.done.is_empty() || part.len() < 2 => {
                all.append(Undone { done: Vec::new(), kept: undone.kept });
            }
            Tried::Refused(reason, detail) if part.len() < 2 => {
                all.kept.extend(part.into_iter().map(|key| (key, reason, detail.clone())));
            }
            Tried::Swallowed(_) | Tried::Refused(..) => {
                let half = part.split_off(part.len() / 2);
                parts.extend([half, part]);
            }
        }
    }
    Ok(all)
}

async fn attempt(
    connection: &mut PgConnection,
    (options, held): (&LoadOptions, Held),
    undo: Undo<'_>,
    task: Task<'_>,
    keys: &[&str],
) -> Result<Tried, Trouble> {
    let mut transaction = connection.begin().await?;
    prepare(&mut transaction, options, &ledger::holder_name(held.1)).await?;
    if !ledger::is_rollback_held(&mut transaction, held).await? {
        return Err(Trouble::Final(ledger::taken_over()));
    }
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
        return Ok((KeptReason::Refused, format!("{} (SQLSTATE {code})", database.message())));
    }
    Ok(match verdict {
        Verdict::ForeignKey => match task {
            Task::Delete => (KeptReason::ReferredTo, constraint),
            Task::Restore(_) => (KeptReason::MissingParent, constraint),
        },
        Verdict::Unique => (KeptReason::PlaceTaken, constraint),
        Verdict::Row if code == "23P01" => (KeptReason::PlaceTaken, constraint),
        Verdict::Row => (KeptReason::Refused, format!("{} (SQLSTATE {code})", database.message())),
        Verdict::Transient | Verdict::Systemic => return Err(error),
    })
}
