//! Begins the backup of a cleanup, and claims the right to delete.

use super::CleanupRequest;
use super::backup::{Backup, may_save, unfinished_others};
use super::learned::Learned;
use super::lease::Lease;
use crate::config::Settings;
use crate::job::backup::header;
use crate::job::link::Link;
use crate::job::validate::Ready;
use crate::ledger::{self, Cleanable, CleanupClaim, NewCleanup};
use crate::model::{Exit, Failure, Moment, Side};
use crate::source::redis::RedisSource;
use sqlx::postgres::PgConnection;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Begins the backup, and claims the right to delete.
pub(super) async fn claim(
    (settings, request): (&Settings, &CleanupRequest),
    ready: &Ready,
    (identity, source, found): (&str, &RedisSource, &Cleanable),
    learned: &mut Learned,
) -> Result<Lease, Failure> {
    let path = request.backup.as_ref().or(settings.cleanup.backup.as_ref());
    let path = path.map(|path| PathBuf::from(path.to_string_lossy().replace("{run}", &learned.run)));
    let mut link = ready.beside();
    let mut backup_id = None;
    if let Some(path) = &path {
        // The file of one that is at work, here or on another machine, is not as it will be left: it is not even opened.
        at_work(&mut link, identity).await?;
        match begin_backup(path, (ready, &mut link), (identity, source), learned).await {
            Ok((backup, id)) => (learned.backup, backup_id) = (Some(backup), Some(id)),
            // It may have begun meanwhile.
            Err(failure) if failure.exit == Exit::Usage => return at_work(&mut link, identity).await.and(Err(failure)),
            Err(failure) => return Err(failure),
        }
    }
    let held = (Uuid::now_v7(), Uuid::new_v4(), settings.flow.lease.0);
    let new = NewCleanup {
        lease: held,
        run: ready.chosen.run.of.run,
        runs: found.runs.clone(),
        source: identity.to_owned(),
        settings: settings.redacted_json().to_string(),
        backup: path.map(|path| std::path::absolute(&path).unwrap_or(path).display().to_string()),
        backup_id,
    };
    let since = Moment::now();
    let claim = async |connection: &mut PgConnection| ledger::claim_cleanup(connection, &new).await;
    let claimed = match link.call("claiming the cleanup in the ledger", claim).await {
        Ok(CleanupClaim::Ours) => return Ok(Lease::new(held, since)),
        Ok(other) => refused(&other),
        Err(failure) => failure,
    };
    if let Some(backup) = learned.backup.take() {
        backup.abandon().await;
    }
    Err(claimed)
}

/// Fails where another cleanup is at work on this Redis.
async fn at_work(link: &mut Link, identity: &str) -> Result<(), Failure> {
    let look = async |connection: &mut PgConnection| ledger::cleanup_at_work(connection, identity).await;
    let other = link.call("looking for cleanups that are at work", look).await?;
    other.map_or(Ok(()), |other| Err(refused(&other)))
}

/// Begins the file that keys are written to before they go, or goes on with it; with its id.
async fn begin_backup(
    path: &Path,
    (ready, link): (&Ready, &mut Link),
    (identity, source): (&str, &RedisSource),
    learned: &mut Learned,
) -> Result<(Backup, String), Failure> {
    may_save(source, &ready.checked.plan).await?;
    let opened: Vec<&RedisSource> = ready.databases.iter().map(|opened| &opened.source).collect();
    let (header, untold) = header(source, "cleanup", &opened, &ready.settings).await?;
    let sources = ready.databases.iter().map(|opened| (opened.database.number, opened.source.clone())).collect();
    let files = async |connection: &mut PgConnection| ledger::cleanup_files(connection, identity).await;
    let known = link.call("reading by which backups keys were deleted", files).await?;
    for opened in &ready.databases {
        // Known from here on: what the backup has of fields of hashes must be so when they go.
        let _ = opened.source.hides_field_expiry().await?;
    }
    let backup = Backup::begin(path, header, sources, (&known, link)).await?;
    let id = backup.file_id().to_owned();
    let others = unfinished_others(known, id.clone()).await?;
    learned.notes.extend(untold);
    learned.notes.extend(others.notes);
    learned.missed = others.missed;
    Ok((backup, id))
}

fn refused(claim: &CleanupClaim) -> Failure {
    let (message, hint) = match claim {
        CleanupClaim::Running(run) => (
            format!("run {run} is at work on this Redis: no key is deleted"),
            "Wait for it, or stop it. After a crash its lease ends by itself within flow.lease.",
        ),
        CleanupClaim::Cleaning(cleanup) => (
            format!("cleanup {cleanup} is at work on this Redis"),
            "Wait for it, or stop it. After a crash its lease ends by itself within flow.lease.",
        ),
        CleanupClaim::Undone(run) => (
            format!("run {run} is being rolled back, or was: no key is deleted"),
            "Run again, and validate, before keys go.",
        ),
        CleanupClaim::Ours => return Failure::internal("a cleanup that may go was refused"),
    };
    Failure::usage(Side::Postgres, message, hint)
}
