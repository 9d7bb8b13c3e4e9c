//! `rollback`: what a run inserted is deleted, what it changed or deleted is put back, and what somebody else did since is
//! left alone.
//!
//! `find` looks for the run and for what forbids it, with runs in a `circle`; `plan` says which tables, in which order, and `before` what the before-images have
//! against it; `lease` is the right to do it; `work` goes through them, which `by_others` tells of what another run wrote since, then `by_image` in an `order` that parents need and `by_row`, with `ask` for what is only looked at and `apply` for
//! the transactions, at the `pace` that the server bears; `survey` is the way of a dry run, with what it can `foresee`, what images need (`needs`) and which of them are `coming`
//! back, what those refer to that stay (`follow`), and what waits in `rings`; `own_writes` knows the rollback's own transactions; `books` counts what is kept;
//! `finish` closes it in the ledger; `notices` is what a person should know of the tables.

mod apply;
mod ask;
mod before;
mod books;
mod by_image;
mod by_others;
mod by_row;
mod circle;
mod coming;
mod find;
mod finish;
mod follow;
mod foresee;
mod gone;
mod kept_keys;
mod lease;
mod needs;
mod notices;
mod order;
mod own_writes;
mod pace;
mod plan;
mod rings;
mod survey;
mod work;

use super::close::report_unwritable;
use super::link::{Link, Waits};
use super::setup;
use crate::config::Settings;
use crate::flow::Stop;
use crate::ledger;
use crate::model::{Exit, Failure, KeptRow, RollbackAccount, Side};
use crate::postgres::{Target, failure};
use crate::report::write_rollback;
use books::Books;
use lease::Keeper;
use plan::Plan;
use uuid::Uuid;
use work::Work;

/// What is to be rolled back.
#[derive(Clone, Debug)]
pub struct RollbackRequest {
    /// The run's id, or its beginning.
    pub run: String,
    /// Whether rows that were changed or deleted since are taken back too.
    pub force: bool,
    /// Whether it is taken back although a cleanup deleted keys of its rows from Redis.
    pub despite_cleanup: bool,
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
    let found = find::find(&mut link, settings, request).await?;
    let run = found.run;
    // What was kept or left out may go now; and the rollback of another run may have put rows of this one back.
    if found.rolled_back_at.is_some() && found.account.is_settled() && !found.has_again {
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
    // What keeps it from its end is better known before it begins.
    let books = Books::new(settings.run.report.as_deref())?;
    let mut plan = Plan::make(&mut link, &found, request.force).await?;
    before::rights(&mut link, settings, &plan, (run, request.force)).await?;
    let mut later = find::later_first(&mut link, settings, &plan, (run, request.force)).await?;
    let mut held = None;
    if !dry {
        let claimed = lease::claim(&mut link, settings, run).await?;
        // A run or a cleanup may have come and gone in between, or sleeps since then. From the claim on none can, and none wakes up.
        let keeper = Keeper::new(target.clone(), Some(claimed));
        let again = async {
            find::not_cleaned(&mut link, request, run).await?;
            find::later_first(&mut link, settings, &plan, (run, request.force)).await
        };
        match keeper.beside(again).await {
            Ok(now) => later = now,
            Err(refused) => {
                lease::give_back(&mut link, claimed).await;
                return Err(refused);
            }
        }
        held = Some(claimed);
        // What takes long is better known before.
        notices::unindexed(&plan.steps).iter().for_each(|notice| tracing::warn!("{notice}"));
    }
    plan.notices.extend(later);
    let keeper = Keeper::new(target, held);
    let mut work = Work::new(settings, link, (&plan, &found, held), (stop, request.force), books, tell);
    let end = keeper.beside(work.run()).await;
    let (link, books) = work.end();
    finish::finish(settings, link, (&plan, run, &keeper), books, end).await
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

/// What the rollback is held by: the run, its token, and how long that lasts.
pub(super) type Held = (Uuid, Uuid, std::time::Duration);

/// A stop between batches.
pub(super) fn stopped() -> Failure {
    Failure::new(
        Exit::Stopped,
        Side::Postgres,
        "stopped before the end of the rollback",
        "Run the same command again: it goes on where it was.",
    )
}
