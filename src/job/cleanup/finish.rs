//! The end of a cleanup: the account, the backup, the ledger, the audit log.

use super::Found;
use super::account::Taken;
use super::work::Learned;
use crate::config::Settings;
use crate::flow::Stop;
use crate::job::audit::{CleanedEntry, write_cleaned};
use crate::job::close::said;
use crate::job::link::{Link, Waits};
use crate::job::setup;
use crate::ledger::{self, CleanupEnd, CleanupLease};
use crate::model::{Cleanup, CleanupBackup, Exit, Failure, MappingId};
use crate::postgres::{Verdict, failure as failed, verdict};
use crate::report::Books;
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;

/// Closes it. `failure`: why it did not go to its end.
pub(super) async fn finish(
    (settings, stop): (&Settings, &Stop),
    mut learned: Learned,
    books: &Books,
    (started, complete): (String, bool),
    failure: Option<Failure>,
) -> Found {
    let Some(account) = learned.account.take() else { return Found { cleanup: None, failure } };
    let listed = listed(books);
    let scanned: i64 = books.phases().iter().map(|phase| i64::try_from(phase.scanned).unwrap_or(i64::MAX)).sum();
    let matched: i64 = listed.values().map(|(count, _)| count).sum();
    // A stop leaves keys that were listed and not read: those are no sightings, and of the others it is not told which.
    let others = if complete { scanned - matched } else { i64::try_from(learned.unmatched.keys).unwrap_or(i64::MAX) };
    let Taken { total, mappings, shown, file } = account.take(&listed, (others, &learned.unmatched));
    let mut failure = failure;
    if complete && !total.balances() {
        failure.get_or_insert_with(|| {
            Failure::internal(format!("the books do not balance: some keys have no outcome, or two: {total:?}"))
        });
    }
    if let Some(Err(error)) = file.map(crate::report::KeptKeysFile::finish) {
        let dir = settings.run.report.clone().unwrap_or_default();
        failure.get_or_insert_with(|| crate::job::close::report_unwritable(&dir, &error));
    }
    let backup = match &learned.backup {
        Some(backup) => Some(backup.finish().await.unwrap_or_else(|error| {
            failure.get_or_insert(error);
            backup.unfinished(total.deleted)
        })),
        None => None,
    };
    let mut cleanup = Cleanup {
        id: learned.lease.as_ref().map(|lease| lease.held.0.to_string()),
        run: learned.run.clone(),
        started,
        ended: super::now(),
        dry_run: settings.run.dry_run,
        complete: complete && failure.is_none(),
        pattern: learned.pattern.clone(),
        account: total,
        mappings,
        kept: shown,
        settled: learned.settled,
        backup,
        notes: std::mem::take(&mut learned.notes),
    };
    notes(&mut cleanup);
    let mut found = Found { cleanup: Some(cleanup), failure };
    if let Some(lease) = learned.lease.as_ref().filter(|lease| !lease.is_lost())
        && let Err(error) = close((settings, stop), lease.held, &learned, &mut found).await
    {
        found.failure.get_or_insert(error);
    }
    found
}

/// How many keys of each mapping were listed, and how many of those are beyond a limit.
fn listed(books: &Books) -> BTreeMap<MappingId, (i64, i64)> {
    let of = |id: MappingId| {
        let tally = books.tally(id)?;
        Some((id, (tally.matched, tally.skipped.get("excluded").copied().unwrap_or(0))))
    };
    books.mappings().filter_map(of).collect()
}

/// What is to be known of the outcome.
fn notes(cleanup: &mut Cleanup) {
    if cleanup.settled > 0 {
        cleanup.notes.push(format!(
            "{} keys were deleted by a cleanup that was interrupted, as it is known now",
            cleanup.settled
        ));
    }
    if cleanup.account.unconfirmed > 0 {
        cleanup.notes.push(format!(
            "of {} keys the answer to their deletion was lost, and they are not there now: deleted, or gone by themselves",
            cleanup.account.unconfirmed
        ));
    }
    if let Some(CleanupBackup { path, complete: false, .. }) = &cleanup.backup {
        cleanup.notes.push(format!("the backup has no end mark: {path} (`redis2pg restore --salvage` reads it)"));
    }
}

/// Writes the end into the ledger and the audit logs, in one transaction.
async fn close(
    (settings, stop): (&Settings, &Stop),
    lease: CleanupLease,
    learned: &Learned,
    found: &mut Found,
) -> Result<(), Failure> {
    let mut waits = Waits::new(settings);
    // A server that the cleanup failed by has been waited for already.
    if found.failure.as_ref().is_some_and(|failure| failure.exit == Exit::Postgres) {
        waits.retry = std::time::Duration::ZERO;
    }
    let mut link = Link::anew(setup::target(settings)?, waits, stop.clone());
    let state = match (&found.failure, &found.cleanup) {
        (Some(failure), _) if failure.exit != Exit::Stopped => "failed",
        (None, Some(cleanup)) if cleanup.complete => "done",
        _ => "stopped",
    };
    let Some(cleanup) = &found.cleanup else { return Ok(()) };
    let end = CleanupEnd {
        state,
        exit_code: found.exit().code(),
        error: found.failure.as_ref().map(said),
        account: serde_json::to_string(&cleanup.account).unwrap_or_else(|_| "{}".to_owned()),
    };
    let id = lease.0.to_string();
    let entries: Vec<CleanedEntry<'_>> = (learned.tables.iter())
        .filter_map(|(name, table, audit)| {
            let keys = cleanup.mappings.get(name)?.deleted;
            let entry = CleanedEntry { audit: audit.as_ref()?, table, run: &learned.run, cleanup: &id, keys };
            (keys > 0).then_some(entry)
        })
        .collect();
    match write(&mut link, lease, &end, &entries).await? {
        Ok(()) => Ok(()),
        // The audit log is the application's; that it cannot be written must not leave the cleanup open.
        Err(refused) => {
            let end = CleanupEnd { exit_code: refused.exit.code(), error: Some(said(&refused)), ..end };
            let written = write(&mut link, lease, &end, &[]).await?;
            found.failure.get_or_insert(refused);
            written
        }
    }
}

/// Gives why the audit log cannot be written, where that is so; nothing is written then.
async fn write(
    link: &mut Link,
    lease: CleanupLease,
    end: &CleanupEnd,
    entries: &[CleanedEntry<'_>],
) -> Result<Result<(), Failure>, Failure> {
    let write = async |connection: &mut PgConnection| -> Result<_, Error> {
        let mut transaction = ledger::begin_held(connection, lease.1, lease.2).await?;
        if ledger::finish_cleanup(&mut transaction, lease, end).await?
            && let Err(error) = write_cleaned(&mut transaction, entries).await
        {
            if verdict(&error) == Verdict::Transient {
                return Err(error);
            }
            transaction.rollback().await?;
            return Ok(Err(failed("writing the audit log", error)));
        }
        transaction.commit().await?;
        Ok(Ok(()))
    };
    link.call("closing the cleanup in the ledger", write).await
}
