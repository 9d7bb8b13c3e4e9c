//! The work of a cleanup: what comes before the comparison, and what is kept up beside it.

use super::CleanupRequest;
use super::account::{Account, Columns};
use super::claim::claim;
use super::cleaning::Cleaning;
use super::learned::Learned;
use super::{refuse, settle};
use crate::config::Settings;
use crate::flow::Stop;
use crate::job::close::report_unwritable;
use crate::job::key_list::KeyList;
use crate::job::migrate::End;
use crate::job::named::is_column;
use crate::job::validate::{Ready, ValidateRequest, begin};
use crate::ledger::Cleanable;
use crate::mapping::{ColumnSpec, Mapping, MappingSpec};
use crate::model::{Event, EventSender, Failure, MappingId};
use crate::report::KeptKeysFile;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Does all that comes before the end.
///
/// # Errors
/// Whatever forbids it, or ends it.
pub(super) async fn execute(
    (settings, request): (&Settings, &CleanupRequest),
    (keys, stop): (Option<Arc<KeyList>>, &Stop),
    events: EventSender,
    learned: &mut Learned,
) -> Result<End, Failure> {
    let wanted = ValidateRequest { run: request.run.clone(), cleans: true, ..ValidateRequest::default() };
    let Some(mut ready) = begin(settings, (&wanted, None), stop, &events).await? else { return Ok(End::Stopped) };
    let source = ready.databases.first().map(|opened| opened.source.clone());
    let source = source.ok_or_else(|| Failure::internal("no mapping reads any database"))?;
    let identity = ready.identity.clone();
    let found = refuse::look(&mut ready, (&identity, settings.run.dry_run)).await?;
    learned.learn(&mut ready).await?;
    let lossy = &settings.cleanup.lossy;
    let may_lose = |mapping: &str, column: &str| lossy.iter().any(|name| is_column(name, mapping, column));
    ready.checked.plan = ready.checked.plan.telling_losses(may_lose);
    let names: Arc<[String]> = ready.checked.plan.mappings().map(|(_, mapping)| mapping.name().to_owned()).collect();
    let started = Event::RunStarted { run: learned.run.clone(), mappings: names.clone(), resumed: false };
    let _ = events.send(started).await;
    let account = account(settings, &ready, names.clone())?;
    if !settings.run.dry_run {
        learned.lease = Some(claim((settings, request), &ready, (&identity, &source, &found), learned).await?);
    }
    let account = learned.account.insert(account).clone();
    let (done, lease) = (CancellationToken::new(), learned.lease.clone());
    let keeper = lease
        .clone()
        .map(|lease| tokio::spawn(lease.keep(ready.target.clone(), (stop.clone(), events.clone()), done.clone())));
    let cleaning = Cleaning { account, names, lease, backup: learned.backup.clone() };
    let ended = clean(&cleaning, (settings, &mut ready), (keys, stop), (&found, events), learned).await;
    done.cancel();
    if let Some(keeper) = keeper {
        let _ = keeper.await;
    }
    match &learned.lease {
        Some(lease) if lease.is_lost() => Err(super::lease::taken_over()),
        _ => ended,
    }
}

/// An account in which nothing is booked yet, and its file in the report.
fn account(settings: &Settings, ready: &Ready, names: Arc<[String]>) -> Result<Account, Failure> {
    let dir = settings.run.report.as_ref();
    let file = dir.map(|dir| KeptKeysFile::create(dir).map_err(|error| report_unwritable(dir, &error))).transpose()?;
    let how = (ready.chosen.left_out.clone(), settings.run.dry_run);
    Ok(Account::new((names, columns(ready, &settings.cleanup.lossy)), how, file))
}

/// The columns of each mapping. Of those whose changes a run ignores the ones that may keep less than their values say are not compared.
fn columns(ready: &Ready, lossy: &[String]) -> Vec<Columns> {
    let of = |(spec, (_, mapping)): (&MappingSpec, (MappingId, &Mapping))| {
        let is_named = |column: &ColumnSpec| lossy.iter().any(|name| is_column(name, &spec.name, &column.name));
        let ignored = spec.columns.iter().filter(|column| column.ignore_changes && !is_named(column));
        Columns {
            all: mapping.columns().iter().map(|column| column.name.clone()).collect(),
            ignored: ignored.map(|column| column.name.clone()).collect(),
        }
    };
    ready.specs.iter().zip(ready.checked.plan.mappings()).map(of).collect()
}

/// Settles what cleanups that were interrupted left, and then compares and deletes.
async fn clean(
    cleaning: &Cleaning,
    (settings, ready): (&Settings, &mut Ready),
    (keys, stop): (Option<Arc<KeyList>>, &Stop),
    (found, events): (&Cleanable, EventSender),
    learned: &mut Learned,
) -> Result<End, Failure> {
    if let Some(lease) = &cleaning.lease {
        let identity = ready.identity.clone();
        let settled = settle::former(ready, &identity, lease).await?;
        learned.settled = settled.deleted;
        learned.notes.extend((settled.untold > 0).then(|| {
            format!(
                "of {} keys of an interrupted cleanup it is not known whether they are gone, since this user may not read them: a cleanup \
                 by one who may settles that",
                settled.untold
            )
        }));
    }
    learned.look_back(ready).await?;
    let told = (&mut learned.unmatched, &mut learned.notes);
    cleaning.run((settings, ready), (keys, stop), (found, events), told).await
}
