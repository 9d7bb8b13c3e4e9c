//! The run that is meant, and what forbids that it is rolled back: that it is at work, later runs, a cleanup.

use super::plan::Plan;
use super::{RollbackRequest, before, circle};
use crate::config::Settings;
use crate::job::link::Link;
use crate::job::{begin, ledger as ledger_reads, setup};
use crate::ledger::{self, CleanupEntry, Undoable};
use crate::model::{Failure, Side};
use crate::sink::undo::Undo;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use uuid::Uuid;

/// What to do about another process that is at work.
pub(super) const WAIT: &str = "Wait for it, or stop it. After a crash its lease ends by itself within flow.lease.";

/// What `--force` makes of a later run, in the hint of the refusal and in the notice then.
struct Forced {
    hint: &'static str,
    notice: &'static str,
}

const KEPT: &Forced = &Forced {
    hint: "--force goes on without, and keeps the rows that it wrote last.",
    notice: "What it wrote last is kept; roll it back, and this run once more",
};
const TAKEN: &Forced = &Forced {
    hint: "--force goes on without: what that run had changed or deleted cannot be put back then (missing_parent).",
    notice: "They are taken back all the same: what that run had changed or deleted cannot be put back before they are there again",
};

/// So much of an id names the run that is to be taken back: a slip of the hand names another one by less.
const ENOUGH: usize = 8;

/// The run that is meant, where it may be rolled back.
///
/// # Errors
/// What forbids it; the server's.
pub(super) async fn find(link: &mut Link, settings: &Settings, request: &RollbackRequest) -> Result<Undoable, Failure> {
    let (id, dry) = (request.run.as_str(), settings.run.dry_run);
    let named = async |connection: &mut PgConnection| ledger::runs_named(connection, id).await;
    let named = link.read("looking for the run", named).await?;
    ledger_reads::names_one(id, &named)?;
    if id.len() < ENOUGH && !named.is_empty() {
        let message = format!("{id} is too little of an id to take a run back by");
        let hint = format!(
            "Give the first {ENOUGH} characters, as `redis2pg runs list` has them, or more: {}.",
            named.join(", ")
        );
        return Err(Failure::usage(Side::Settings, message, hint));
    }
    if named.is_empty() {
        return Err(ledger_reads::no_such_run(Some(id)));
    }
    if !dry {
        link.call("bringing the ledger up to date", begin::migrate).await?;
    } else {
        let outstanding = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            let outstanding = ledger::outstanding(&mut transaction).await?;
            transaction.commit().await?;
            Ok::<_, Error>(outstanding)
        };
        let outstanding = link.read("looking at the ledger", outstanding).await?;
        if matches!(outstanding, ledger::Outstanding::Migrations(_)) {
            let message = "the ledger is of an earlier version, and a dry run does not bring it up to date";
            let hint = "Any run of this version brings it up to date, and so does the rollback itself.";
            return Err(Failure::usage(Side::Postgres, message, hint));
        }
    }
    let read = async |connection: &mut PgConnection| ledger::undoable(connection, id).await;
    let found = link.read("reading the run", read).await?;
    let found = found.ok_or_else(|| ledger_reads::no_such_run(Some(id)))?;
    if found.is_alive {
        return Err(at_work(found.run));
    }
    let run = found.run;
    changed_since(link, settings, (run, request.force)).await?;
    not_cleaned(link, request, run).await?;
    Ok(found)
}

/// Refuses where a cleanup has deleted keys of these rows, or of rows like them, or may have.
///
/// # Errors
/// Such a cleanup; the server's.
pub(super) async fn not_cleaned(link: &mut Link, request: &RollbackRequest, run: Uuid) -> Result<(), Failure> {
    if request.despite_cleanup {
        return Ok(());
    }
    let id = run.to_string();
    let cleanups = async |connection: &mut PgConnection| ledger::cleanups_of(connection, &id).await;
    cleaned(run, &link.read("looking for cleanups", cleanups).await?)
}

pub(super) fn at_work(run: Uuid) -> Failure {
    Failure::usage(Side::Postgres, format!("run {run} is still at work"), WAIT)
}

/// Refuses where later runs come first, unless neither could go first. Gives notices of those that do not: the rows that they wrote
/// last are kept.
///
/// # Errors
/// Later runs; the server's.
pub(super) async fn later_first(
    link: &mut Link,
    settings: &Settings,
    plan: &Plan,
    (run, force): (Uuid, bool),
) -> Result<Vec<String>, Failure> {
    let mut notices = changed_since(link, settings, (run, force)).await?;
    let options = setup::load_options(settings);
    for step in &plan.steps {
        // Where a later run wrote rows again that this one had deleted, it has no image of them.
        let undo = Undo { table: &step.table, run, force: false, retries: false };
        let again = before::written_again(link, &options, undo).await?;
        let what = format!("rows that run {run} deleted were written again by a later run");
        notices.extend(refused_by(link, settings, (run, force), (&what, again, KEPT)).await?);
        if step.rows {
            // What that run changed or deleted could not be put back without them.
            let awaited = before::awaited(link, &options, undo).await?;
            let what = format!("before-images of a later run refer to rows of run {run} in {}", step.table.name());
            notices.extend(refused_by(link, settings, (run, force), (&what, awaited, TAKEN)).await?);
        }
    }
    Ok(notices)
}

async fn changed_since(
    link: &mut Link,
    settings: &Settings,
    (run, force): (Uuid, bool),
) -> Result<Vec<String>, Failure> {
    let changed = async |connection: &mut PgConnection| ledger::changed_by(connection, run).await;
    let changed = link.read("looking for runs that came after it", changed).await?;
    let what = format!("rows of run {run} were changed by a later run");
    refused_by(link, settings, (run, force), (&what, changed, KEPT)).await
}

/// Refuses where later runs come first.
async fn refused_by(
    link: &mut Link,
    settings: &Settings,
    (run, force): (Uuid, bool),
    (what, mut later, forced): (&str, Vec<(String, i64)>, &Forced),
) -> Result<Vec<String>, Failure> {
    if later.is_empty() {
        return Ok(Vec::new());
    }
    let mut notices = Vec::new();
    let circle = circle::of(link, settings, run, &later).await?;
    later.retain(|(other, _)| !circle.contains(other));
    if !circle.is_empty() {
        notices.push(format!(
            "run {run} and {} changed rows of one another: those that another of them wrote last are kept here (other_run). Roll that one \
             back then, and this one once more",
            circle.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
        ));
    }
    let Some((latest, _)) = later.first() else { return Ok(notices) };
    let named: Vec<String> = later.iter().map(|(run, rows)| format!("{run} ({rows} rows)")).collect();
    let named = named.join(", ");
    if force {
        notices.push(format!("{what}: {named}. {}", forced.notice));
        return Ok(notices);
    }
    let hint = format!("Roll that back first: --run {latest}. {}", forced.hint);
    Err(Failure::usage(Side::Postgres, format!("{what}: {named}"), hint))
}

/// Refuses where a cleanup has deleted keys from Redis of which these rows, or rows like them, are all that is left.
fn cleaned(run: Uuid, cleanups: &[CleanupEntry]) -> Result<(), Failure> {
    let keys: i64 = cleanups.iter().map(|cleanup| cleanup.deleted + cleanup.unsettled).sum();
    if keys == 0 {
        return Ok(());
    }
    let of = |cleanup: &&CleanupEntry| cleanup.deleted + cleanup.unsettled > 0;
    let named = cleanups.iter().filter(of).map(|cleanup| {
        let backup = cleanup.backup.as_ref().map(|path| format!(", backup {path}")).unwrap_or_default();
        format!("{} of {} ({} keys{backup})", cleanup.id, cleanup.started_at, cleanup.deleted + cleanup.unsettled)
    });
    let named: Vec<String> = named.collect();
    let message = format!(
        "{keys} keys of run {run}, or of runs like it, were deleted from Redis by cleanup {}: its rows are what is left of them",
        named.join(", ")
    );
    let hint = "Put the keys back first, where there is a backup (`redis2pg restore`), and see that `redis2pg validate` finds them. Then \
                --despite-cleanup rolls back all the same.";
    Err(Failure::usage(Side::Postgres, message, hint))
}
