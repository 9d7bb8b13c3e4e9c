//! The end of a cleanup: the account, the backup, the ledger, the audit log.

use super::Found;
use super::account::{Account, Taken};
use super::backup::Backup;
use super::learned::Learned;
use super::lease::taken_over;
use crate::config::Settings;
use crate::flow::Stop;
use crate::job::audit::{CleanedEntry, write_cleaned};
use crate::job::close::said;
use crate::job::link::{Link, Trouble, Waits};
use crate::job::setup;
use crate::ledger::{self, CleanupEnd, CleanupFinish, CleanupLease};
use crate::model::{Cleanup, CleanupAccount, CleanupBackup, Exit, Failure, MappingId, TableName, Unmatched};
use crate::postgres::{Verdict, failure as failed, verdict};
use crate::report::Books;
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;

/// Earlier cleanups that are told of one by one.
const TOLD: usize = 5;

/// So many keys that went by themselves are told of, where they are more than one in so many.
const VANISHED: i64 = 100;
const VANISHED_PART: i64 = 10;

/// Closes it. `failure`: why it did not go to its end.
pub(super) async fn finish(
    (settings, stop): (&Settings, &Stop),
    mut learned: Learned,
    books: &Books,
    (started, complete): (String, bool),
    failure: Option<Failure>,
) -> Found {
    let Some(account) = learned.account.take() else { return Found { cleanup: None, failure } };
    let Taken { total, mappings, shown, file, unknown, notes } =
        taken(&account, books, (complete && failure.is_none(), &learned.unmatched));
    let mut failure = failure.or_else(|| (complete && !total.balances()).then(|| unbalanced(&total)));
    if let Some(Err(error)) = file.map(crate::report::KeptKeysFile::finish) {
        let dir = settings.run.report.clone().unwrap_or_default();
        failure.get_or_insert_with(|| crate::job::close::report_unwritable(&dir, &error));
    }
    let backup = end_backup((settings, stop), &learned, (complete, total.deleted), &mut failure).await;
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
        earlier: std::mem::take(&mut learned.earlier),
        unknown,
        backup,
        notes: std::mem::take(&mut learned.notes).into_iter().chain(notes).collect(),
    };
    add_notes(&mut cleanup, learned.backup.as_ref());
    let mut found = Found { cleanup: Some(cleanup), failure };
    if let Some(lease) = learned.lease.as_ref().filter(|lease| !lease.is_lost())
        && let Err(error) = close((settings, stop), lease.held, &learned, &mut found).await
    {
        found.failure.get_or_insert(error);
    }
    found
}

fn unbalanced(total: &CleanupAccount) -> Failure {
    Failure::internal(format!("the books do not balance: some keys have no outcome, or two: {total:?}"))
}

/// What the account came to. A stop leaves keys that were listed and not read: those are no sightings, and of the others it is not
/// told which.
fn taken(account: &Account, books: &Books, (complete, unmatched): (bool, &Unmatched)) -> Taken {
    let listed = listed(books);
    let scanned: i64 = books.phases().iter().map(|phase| i64::try_from(phase.scanned).unwrap_or(i64::MAX)).sum();
    let matched: i64 = listed.values().map(|(count, _)| count).sum();
    let others = if complete { scanned - matched } else { i64::try_from(unmatched.keys).unwrap_or(i64::MAX) };
    account.take(&listed, (others, unmatched), complete)
}

/// Ends the backup, where the cleanup came to its end: until then it keeps its temporary name, and the same command goes on with it.
/// One that cannot be ended is told as a part; `deleted`: how many keys went by it at least.
async fn end_backup(
    with: (&Settings, &Stop),
    learned: &Learned,
    (complete, deleted): (bool, i64),
    failure: &mut Option<Failure>,
) -> Option<CleanupBackup> {
    let backup = learned.backup.as_ref()?;
    if !complete || failure.is_some() {
        return backup.leave().await;
    }
    Some(name(with, learned, backup).await.unwrap_or_else(|error| {
        failure.get_or_insert(error);
        backup.unfinished(deleted)
    }))
}

/// Ends a backup and gives it its name. In between the ledger is told, so that nobody waits for the temporary name once that is gone; and
/// where it does not get its name, that it still has that one. Should a crash come between, the file is found under its temporary name.
async fn name(
    (settings, stop): (&Settings, &Stop),
    learned: &Learned,
    backup: &Backup,
) -> Result<CleanupBackup, Failure> {
    let sealed = backup.seal().await?;
    let lease = learned.lease.as_ref().ok_or_else(|| Failure::internal("a backup without a cleanup"))?.held;
    let mut link = Link::anew(setup::target(settings)?, Waits::new(settings), stop.clone());
    let seal = async |connection: &mut PgConnection| ledger::seal_cleanup_file(connection, lease, true).await;
    if !link.call("writing that the backup is whole", seal).await? {
        return Err(taken_over());
    }
    let published = backup.publish(sealed).await;
    if published.is_err() && !backup.is_named() {
        let unseal = async |connection: &mut PgConnection| ledger::seal_cleanup_file(connection, lease, false).await;
        // As after a crash, where that cannot be written.
        let _ = link.call("writing that the backup has not got its name", unseal).await;
    }
    published
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
fn add_notes(cleanup: &mut Cleanup, backup: Option<&Backup>) {
    let (settled, unknown) = (cleanup.settled, cleanup.unknown);
    let (deleted, unconfirmed) = (cleanup.account.deleted, cleanup.account.unconfirmed);
    let mut notes = Vec::new();
    if settled > 0 {
        notes.push(format!("{settled} keys were deleted by a cleanup that was interrupted, as it is known now"));
    }
    notes.extend(before(cleanup));
    notes.extend(vanished(&cleanup.account));
    if unconfirmed > 0 {
        notes.push(format!(
            "of {unconfirmed} keys the answer to their deletion was lost, and they are not there now: deleted, or gone by themselves"
        ));
    }
    if unknown > 0 {
        notes.push(format!(
            "of {unknown} keys it is not known whether they are gone, since what was to delete them failed: the next cleanup settles that"
        ));
    }
    notes.extend(backup.zip(cleanup.backup.as_ref()).and_then(|(backup, told)| backup.note(told, deleted)));
    cleanup.notes.extend(notes);
}

/// That many keys went by themselves meanwhile: whoever reads the report in the morning should know whether Redis was emptied.
fn vanished(account: &CleanupAccount) -> Option<String> {
    let (listed, gone) = (account.listed, account.gone - account.unconfirmed);
    (gone > VANISHED && gone.saturating_mul(VANISHED_PART) > listed).then(|| {
        format!(
            "{gone} of {listed} keys went from Redis by themselves before it was their turn: they expired, Redis evicted them, or somebody \
             deleted them. Was Redis emptied? They count as gone and not as deleted, and a backup of this cleanup need not have them"
        )
    })
}

/// What cleanups before this one deleted of the same run, so that the numbers add up.
fn before(cleanup: &Cleanup) -> Option<String> {
    let earlier = &cleanup.earlier;
    let deleted: i64 = earlier.iter().map(|earlier| earlier.deleted).sum();
    if deleted == 0 {
        return None;
    }
    let each: Vec<String> = (earlier.iter().take(TOLD))
        .map(|earlier| format!("{} of {}, {}", earlier.deleted, earlier.started, earlier.state))
        .collect();
    let more = if earlier.len() > TOLD { "; …" } else { "" };
    let all = cleanup.deleted_in_all();
    Some(format!(
        "cleanups of this run before this one deleted {deleted} keys ({}{more}): {all} in all",
        each.join("; ")
    ))
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
    let entries = entries(learned, cleanup, &id);
    let missed = if state == "done" { learned.missed.as_slice() } else { &[] };
    match write(&mut link, lease, (&end, missed), &entries).await? {
        Ok(()) => Ok(()),
        // The audit log is the application's; that it cannot be written must not leave the cleanup open.
        Err(refused) => {
            let end = CleanupEnd { exit_code: refused.exit.code(), error: Some(said(&refused)), ..end };
            let written = write(&mut link, lease, (&end, missed), &[]).await?;
            found.failure.get_or_insert(refused);
            written
        }
    }
}

/// What the audit logs are told.
fn entries<'a>(learned: &'a Learned, cleanup: &Cleanup, id: &'a str) -> Vec<CleanedEntry<'a>> {
    let entry = |(name, table, audit): &'a (String, TableName, Option<TableName>)| {
        let keys = cleanup.mappings.get(name)?.deleted;
        let entry = CleanedEntry { audit: audit.as_ref()?, table, run: &learned.run, cleanup: id, keys };
        (keys > 0).then_some(entry)
    };
    learned.tables.iter().filter_map(entry).collect()
}

/// Gives why the audit log cannot be written, where that is so; nothing is written then. `missed`: the ids of backups of which it was
/// told that they are not there any more.
async fn write(
    link: &mut Link,
    lease: CleanupLease,
    (end, missed): (&CleanupEnd, &[String]),
    entries: &[CleanedEntry<'_>],
) -> Result<Result<(), Failure>, Failure> {
    let write = async |connection: &mut PgConnection| -> Result<_, Trouble> {
        let mut transaction = ledger::begin_held(connection, lease.1, lease.2).await?;
        match ledger::finish_cleanup(&mut transaction, lease, end).await? {
            CleanupFinish::Now => {}
            CleanupFinish::Before => return Ok(Ok(())),
            CleanupFinish::TakenOver => return Err(Trouble::Final(taken_over())),
        }
        ledger::forgo_cleanup_files(&mut transaction, missed).await?;
        if let Err(error) = write_cleaned(&mut transaction, entries).await {
            if verdict(&error) == Verdict::Transient {
                return Err(error.into());
            }
            transaction.rollback().await?;
            return Ok(Err(failed("writing the audit log", error)));
        }
        transaction.commit().await?;
        Ok(Ok(()))
    };
    link.call("closing the cleanup in the ledger", write).await
}

#[cfg(test)]
mod tests {
    use super::vanished;
    use crate::model::CleanupAccount;

    #[test]
    fn a_cache_that_was_emptied_meanwhile_is_told_of_and_a_few_keys_are_not() {
        let of = |listed, gone, unconfirmed| {
            vanished(&CleanupAccount { listed, gone, unconfirmed, ..CleanupAccount::default() })
        };
        assert!(of(7_200, 5_260, 0).is_some_and(|told| told.starts_with("5260 of 7200 keys")));
        assert_eq!((of(90, 90, 0), of(7_200, 700, 0), of(7_200, 5_260, 5_200)), (None, None, None));
    }
}
