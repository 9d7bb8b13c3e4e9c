//! `rollback`: what a run inserted is deleted, what it changed or deleted is put back, and what somebody else did since is
//! left alone.
//!
//! `plan` says which tables, in which order, and whether it may be, `before` what the before-images have against it; `work` goes through
//! them, `by_image` in an `order` that parents need and `by_row`, with `apply` for the transactions, at the `pace` that the server bears;
//! `own_writes` knows the rollback's own transactions; `books` counts what is kept; `finish` closes it in the ledger; `notices` is what a person should know of
//! the tables.

mod apply;
mod before;
mod books;
mod by_image;
mod by_row;
mod finish;
mod kept_keys;
mod notices;
mod order;
mod own_writes;
mod pace;
mod plan;
mod work;

use super::close::report_unwritable;
use super::link::{Link, Waits};
use super::setup;
use crate::config::Settings;
use crate::flow::Stop;
use crate::ledger::{self, CleanupEntry, RollbackClaim, Undoable};
use crate::model::{Exit, Failure, KeptRow, RollbackAccount, Side};
use crate::postgres::{Target, failure};
use crate::report::write_rollback;
use crate::sink::undo::Undo;
use books::Books;
use plan::Plan;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use uuid::Uuid;
use work::Work;

/// What is to be rolled back.
#[derive(Clone, Debug)]
pub struct RollbackRequest {
    /// The run's id, or its beginning.
    pub run: String,
    /// Whether rows that were changed or deleted since are taken back too.
    pub force: bool,
}

/// Where a rollback stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A dry run: this is what would be done.
    Planned,
    /// It is done.
    Done,
    /// It was done before; nothing was done now.
    Before,
    /// A stop was asked for; the same command goes on.
    Stopped,
}

impl Standing {
    /// As reports name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Done | Self::Before => "done",
            Self::Stopped => "stopped",
        }
    }
}

/// What a rollback came to.
#[derive(Debug)]
pub struct RolledBack {
    /// The run.
    pub run: String,
    /// Where it stands.
    pub standing: Standing,
    /// What was done, in all attempts at it; of a dry run what would be.
    pub account: RollbackAccount,
    /// Some of the kept rows, by table.
    pub samples: Vec<(String, KeptRow)>,
    /// What else is to be known.
    pub notices: Vec<String>,
    /// Why it did not go to its end.
    pub failure: Option<Failure>,
}

/// How far it is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The table at hand.
    pub table: String,
    /// Rows deleted so far, in this attempt.
    pub deleted: u64,
    /// Rows put back.
    pub restored: u64,
    /// Rows kept.
    pub kept: u64,
}

/// Rolls a run back as the settings say: as a dry run, with a report, as patient as a load. `tell` hears of each batch.
///
/// # Errors
/// What forbids it. What ends it once it has begun is in what it gives.
pub async fn rollback(
    settings: &Settings,
    request: &RollbackRequest,
    stop: &Stop,
    tell: &mut dyn FnMut(&Progress),
) -> Result<RolledBack, Failure> {
    let target = setup::target(settings)?;
    let mut link = open(settings, &target, stop).await?;
    let dry = settings.run.dry_run;
    let found = find(&mut link, request, dry).await?;
    let run = found.run;
    // What was kept may go now; and the rollback of another run may have put rows of this one back.
    if found.rolled_back_at.is_some() && found.account.totals().2 == 0 && !found.has_again {
        if let Some(dir) = &settings.run.report {
            write_rollback(dir, &run.to_string(), Standing::Before.name(), &found.account)
                .map_err(|error| report_unwritable(dir, &error))?;
        }
        return Ok(RolledBack {
            run: run.to_string(),
            standing: Standing::Before,
            account: found.account,
            samples: Vec::new(),
            notices: found.rolled_back_at.map(|at| format!("it was rolled back at {at}")).into_iter().collect(),
            failure: None,
        });
    }
    let plan = Plan::make(&mut link, &found, request.force).await?;
    before::rights(&mut link, settings, &plan, (run, request.force)).await?;
    later_first(&mut link, settings, &plan, run).await?;
    let held = if dry { None } else { Some(claim(&mut link, settings, run).await?) };
    if !dry {
        // What takes long is better known before.
        notices::unindexed(&plan.steps).iter().for_each(|notice| tracing::warn!("{notice}"));
    }
    let books = Books::new(settings.run.report.as_deref())?;
    let mut work = Work::new(settings, link, (&plan, run, held), (stop, request.force), books, tell);
    let end = work.run().await;
    let (link, books) = work.end();
    finish::finish(settings, link, (&plan, run, held), books, end).await
}

async fn open(settings: &Settings, target: &Target, stop: &Stop) -> Result<Link, Failure> {
    let mut connection = target.connect().await?;
    let there = ledger::exists(&mut connection).await.map_err(|error| failure("looking for the ledger", error))?;
    if !there {
        return Err(super::ledger::without_ledger());
    }
    let mut link = Link::anew(target.clone(), Waits::new(settings), stop.clone());
    link.keep(connection);
    Ok(link)
}

/// The run that is meant, where it may be rolled back.
async fn find(link: &mut Link, request: &RollbackRequest, dry: bool) -> Result<Undoable, Failure> {
    let id = request.run.as_str();
    let named = async |connection: &mut PgConnection| ledger::runs_named(connection, id).await;
    let named = link.call("looking for the run", named).await?;
    super::ledger::names_one(id, &named)?;
    if named.is_empty() {
        return Err(super::ledger::no_such_run(Some(id)));
    }
    if !dry {
        link.call("bringing the ledger up to date", super::begin::migrate).await?;
    } else {
        let outstanding = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            let outstanding = ledger::outstanding(&mut transaction).await?;
            transaction.commit().await?;
            Ok::<_, Error>(outstanding)
        };
        let outstanding = link.call("looking at the ledger", outstanding).await?;
        if matches!(outstanding, ledger::Outstanding::Migrations(_)) {
            let message = "the ledger is of an earlier version, and a dry run does not bring it up to date";
            let hint = "Any run of this version brings it up to date, and so does the rollback itself.";
            return Err(Failure::usage(Side::Postgres, message, hint));
        }
    }
    let read = async |connection: &mut PgConnection| ledger::undoable(connection, id).await;
    let found = link.call("reading the run", read).await?;
    let found = found.ok_or_else(|| super::ledger::no_such_run(Some(id)))?;
    if found.is_alive {
        return Err(at_work(found.run));
    }
    let run = found.run;
    let changed = async |connection: &mut PgConnection| ledger::changed_by(connection, run).await;
    let changed = link.call("looking for runs that came after it", changed).await?;
    refused_by(&format!("rows of run {run} were changed by a later run"), &changed)?;
    if !request.force {
        let id = run.to_string();
        let cleanups = async |connection: &mut PgConnection| ledger::cleanups_of(connection, &id).await;
        cleaned(run, &link.call("looking for cleanups", cleanups).await?)?;
    }
    Ok(found)
}

/// Refuses where later runs come first.
fn refused_by(what: &str, later: &[(String, i64)]) -> Result<(), Failure> {
    let Some((latest, _)) = later.first() else { return Ok(()) };
    let named: Vec<String> = later.iter().map(|(run, rows)| format!("{run} ({rows} rows)")).collect();
    let hint = format!("Roll that back first: --run {latest}.");
    Err(Failure::usage(Side::Postgres, format!("{what}: {}", named.join(", ")), hint))
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
    let hint =
        "Put the keys back first, where there is a backup (`redis2pg restore`). --force rolls back all the same.";
    Err(Failure::usage(Side::Postgres, message, hint))
}

/// Refuses where a later run wrote rows again that this one had deleted: it has no image of them.
async fn later_first(link: &mut Link, settings: &Settings, plan: &Plan, run: Uuid) -> Result<(), Failure> {
    let options = setup::load_options(settings);
    for step in &plan.steps {
        let undo = Undo { table: &step.table, run, force: false };
        let again = before::written_again(link, &options, undo).await?;
        refused_by(&format!("rows that run {run} deleted were written again by a later run"), &again)?;
    }
    Ok(())
}

fn at_work(run: Uuid) -> Failure {
    let hint = "Wait for it, or stop it. After a crash its lease ends by itself within flow.lease.";
    Failure::usage(Side::Postgres, format!("run {run} is still at work"), hint)
}

/// What the rollback is held by: the run, its token, and how long that lasts.
pub(super) type Held = (Uuid, Uuid, std::time::Duration);

async fn claim(link: &mut Link, settings: &Settings, run: Uuid) -> Result<Held, Failure> {
    let held = (run, Uuid::new_v4(), settings.flow.lease.0);
    let claim = async |connection: &mut PgConnection| ledger::claim_rollback(connection, held).await;
    match link.call("claiming the rollback in the ledger", claim).await? {
        RollbackClaim::Ours => Ok(held),
        RollbackClaim::Running => Err(at_work(run)),
        RollbackClaim::Writing(other) => {
            let hint = "Wait for it, or stop it. After a crash its lease ends by itself within flow.lease.";
            Err(Failure::usage(Side::Postgres, format!("run {other} is at work on tables of run {run}"), hint))
        }
        RollbackClaim::Cleaning(cleanup) => {
            let hint = "Wait for it, or stop it. After a crash its lease ends by itself within flow.lease.";
            Err(Failure::usage(Side::Postgres, format!("cleanup {cleanup} is deleting keys of run {run}"), hint))
        }
        RollbackClaim::Busy => {
            let hint = "Wait for it, or stop it. After a crash its lease ends by itself within flow.lease.";
            Err(Failure::usage(Side::Postgres, format!("another process is rolling run {run} back"), hint))
        }
    }
}

/// A stop between batches.
pub(super) fn stopped() -> Failure {
    Failure::new(
        Exit::Stopped,
        Side::Postgres,
        "stopped before the end of the rollback",
        "Run the same command again: it goes on where it was.",
    )
}
