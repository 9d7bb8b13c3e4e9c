//! `run.delete_gone`: rows of this tool whose key does not exist in Redis any more are deleted, once the run has loaded all
//! that it found.
//!
//! First all are counted, then they are deleted: a Redis that was emptied, or restarted without its data, must not empty
//! the tables. Each batch's keys are asked for once more in its transaction, under the locks of the rows, and the answers count only
//! if the server is still the one that was scanned.

mod collided;
mod limit;
mod look;
mod order;
mod pass;
mod told;
mod work;

pub(super) use limit::{allows, is_emptied};

use super::keeper::Keeper;
use super::link::{Link, Waits};
use super::migrate::{End, Migration};
use super::pipeline::Shared;
use crate::config::Settings;
use crate::flow::Watermark;
use crate::ledger::{self, Outstanding, RunTable, ShardId};
use crate::model::{Event, Failure, MappingId};
use crate::sink::Writers;
use crate::source::Source;
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use work::Work;

/// Deletes the rows whose keys are gone, or counts them in a dry run. `source`: the run's, as the ledger has it; `tables`:
/// of each mapping, in order.
///
/// # Errors
/// More rows are gone than the settings allow; Redis is not the server that was scanned; a server failed.
pub(super) async fn delete_gone<S: Source>(
    migration: &mut Migration<'_, S>,
    source: &str,
    tables: &[RunTable],
) -> Result<End, Failure> {
    if migration.is_partial() {
        let text = "run.delete_gone is of runs that look at all keys: a retry deletes no rows".to_owned();
        let _ = migration.shared.events.send(Event::Notice(text)).await;
        return Ok(End::Complete);
    }
    let mut phases = migration.phases();
    phases.reverse();
    let mappings = phases.iter().flat_map(|(phase, ids)| ids.iter().map(|id| (*phase, *id)));
    let mappings: Vec<(u32, MappingId, &RunTable)> =
        mappings.filter_map(|(phase, id)| Some((phase, id, tables.get(usize::from(id.0))?))).collect();
    let Migration { shared, settings, target, writers, ledger, .. } = migration;
    let Some(books) = ledger else {
        let mut link = Link::anew(target.clone(), Waits::new(settings), shared.stop.clone());
        if !can_count(&mut link, shared).await? {
            return Ok(End::Complete);
        }
        let mut work = Work::begin((shared, settings), &mut link, source, mappings).await?;
        return work.count().await;
    };
    let by = Lease { run: books.run, lease: books.lease };
    let (done, lost) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
    let keeper = Keeper {
        target: target.clone(),
        shard: by.shard(mappings.first().map_or(1, |(phase, ..)| *phase), 0),
        lease_time: settings.flow.lease.0,
        watermark: Watermark::default(),
        stop: shared.stop.clone(),
        events: shared.events.clone(),
        saves: false,
        lost: lost.clone(),
    };
    let keeper = tokio::spawn(keeper.run(done.clone()));
    let result = count_and_delete((shared, settings), (&mut books.link, by), (source, mappings), writers).await;
    done.cancel();
    let _ = keeper.await;
    if lost.load(Ordering::Acquire) { Err(ledger::taken_over()) } else { result }
}

/// Counts, and then deletes.
async fn count_and_delete<S: Source>(
    (shared, settings): (&Shared<S>, &Settings),
    (link, by): (&mut Link, Lease),
    (source, mappings): (&str, Vec<(u32, MappingId, &RunTable)>),
    writers: &Writers,
) -> Result<End, Failure> {
    let shards = async |connection: &mut PgConnection| ledger::load_all_if(connection, by.run, true).await;
    let shards = link.read("reading which server was scanned", shards).await?;
    let mut work = Work::begin((shared, settings), link, source, mappings).await?;
    work.is_scanned(&shards)?;
    match work.count().await? {
        End::Complete => work.delete(writers, by).await,
        stopped => Ok(stopped),
    }
}

/// Whether a dry run can tell which rows are this tool's.
async fn can_count<S: Source>(link: &mut Link, shared: &Shared<S>) -> Result<bool, Failure> {
    let there = async |connection: &mut PgConnection| ledger::exists(connection).await;
    if !link.read("looking for the ledger", there).await? {
        return Ok(false);
    }
    let state = async |connection: &mut PgConnection| ledger::outstanding(connection).await;
    let current = link.read("looking at the ledger", state).await? == Outstanding::Nothing;
    if !current {
        let text =
            "the ledger is of an earlier version, which the run would bring up to date: rows whose keys are gone are \
                    not counted"
                .to_owned();
        let _ = shared.events.send(Event::Notice(text)).await;
    }
    Ok(current)
}

/// By what right rows are deleted.
#[derive(Clone, Copy)]
struct Lease {
    run: Uuid,
    lease: Uuid,
}

impl Lease {
    fn shard(self, phase: u32, shard: u32) -> ShardId {
        ShardId { run: self.run, phase, shard, lease: self.lease, retry_of: None }
    }
}

/// Redis is another server than before. `scanned`: than was scanned.
fn another_server(scanned: bool) -> Failure {
    let when = if scanned { "since it was scanned" } else { "while it was asked which keys are gone" };
    let hint = "Its answers say nothing of the keys that were there. Look whether it still has its data, and start a new run \
                with --delete-gone.";
    Failure::redis(
        format!("Redis was restarted or replaced {when}, or took another role: no more rows are deleted"),
        hint,
    )
}
