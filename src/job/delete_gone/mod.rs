//! `run.delete_gone`: rows of this tool whose key does not exist in Redis any more are deleted, once the run has loaded all
//! that it found.
//!
//! First all are counted, then they are deleted: a Redis that was emptied, or restarted without its data, must not empty
//! the tables. Each batch's keys are asked for right before its transaction, and the answers count only if the server is
//! still the one that was scanned.

mod expiry;
mod limit;
mod look;

use super::keeper::Keeper;
use super::link::{Link, Waits};
use super::migrate::{End, Migration};
use super::pipeline::Shared;
use crate::config::Settings;
use crate::flow::Watermark;
use crate::ledger::{self, LineagePlace, Outstanding, RunTable, Shard, ShardId};
use crate::model::{Event, Failure, GoneRow, MappingId, Tally};
use crate::sink::{Extent, GoneCounts, OwnedReader, OwnedRow, SourceRun, Writers, runs_of_source};
use crate::source::{Answering, Source};
use look::Seen;
use sqlx::postgres::PgConnection;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

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
    let first = mappings.first().map_or(1, |(phase, ..)| *phase);
    let by = Lease { run: books.run, lease: books.lease };
    let (done, lost) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
    let keeper = Keeper {
        target: target.clone(),
        shard: by.shard(first, 0),
        lease_time: settings.flow.lease.0,
        watermark: Watermark::default(),
        stop: shared.stop.clone(),
        events: shared.events.clone(),
        saves: false,
        lost: lost.clone(),
    };
    let keeper = tokio::spawn(keeper.run(done.clone()));
    let result = async {
        let run = by.run;
        let shards = async |connection: &mut PgConnection| ledger::load_all_if(connection, run, true).await;
        let shards = books.link.call("reading which server was scanned", shards).await?;
        let mut work = Work::begin((shared, settings), &mut books.link, source, mappings).await?;
        work.is_scanned(&shards)?;
        match work.count().await? {
            End::Complete => work.delete(writers, by).await,
            stopped => Ok(stopped),
        }
    };
    let result = result.await;
    done.cancel();
    let _ = keeper.await;
    if lost.load(Ordering::Acquire) { Err(ledger::taken_over()) } else { result }
}

/// Whether a dry run can tell which rows are this tool's.
async fn can_count<S: Source>(link: &mut Link, shared: &Shared<S>) -> Result<bool, Failure> {
    let there = async |connection: &mut PgConnection| ledger::exists(connection).await;
    if !link.call("looking for the ledger", there).await? {
        return Ok(false);
    }
    let state = async |connection: &mut PgConnection| ledger::outstanding(connection).await;
    let current = link.call("looking at the ledger", state).await? == Outstanding::Nothing;
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

/// The rows of one mapping.
struct Place<'t> {
    phase: u32,
    id: MappingId,
    table: &'t RunTable,
    reader: OwnedReader,
    extent: Extent,
    /// What the count has seen.
    seen: Seen,
    /// What the last pass of deletion over it came to, but for what earlier ones deleted.
    last: GoneCounts,
}

/// The work at hand: mappings, children before parents.
struct Work<'w, 't, S> {
    shared: &'w Shared<S>,
    settings: &'w Settings,
    link: &'w mut Link,
    /// The runs of the same source, with the database that their rows are of which name none.
    runs: HashMap<String, Option<u8>>,
    names: Vec<String>,
    /// Which server answers for each database.
    answering: Vec<Answering>,
    places: Vec<Place<'t>>,
}

impl<'w, 't, S: Source> Work<'w, 't, S> {
    async fn begin(
        (shared, settings): (&'w Shared<S>, &'w Settings),
        link: &'w mut Link,
        source: &str,
        mappings: Vec<(u32, MappingId, &'t RunTable)>,
    ) -> Result<Self, Failure> {
        let runs = async |connection: &mut PgConnection| runs_of_source(connection, source).await;
        let runs: Vec<SourceRun> = link.call("reading which runs were of this source", runs).await?;
        let ids: Vec<Uuid> = runs.iter().map(|run| run.run).collect();
        let runs: HashMap<String, Option<u8>> =
            runs.into_iter().map(|run| (run.run.to_string(), run.database)).collect();
        let (mut answering, mut places) = (Vec::new(), Vec::new());
        for base in shared.bases.iter() {
            answering.push(base.source.answering().await?);
        }
        for (phase, id, table) in mappings {
            if table.lineage == LineagePlace::Nowhere {
                let text = format!(
                    "rows of {} do not tell of which key they are (lineage = \"none\"): none of them is deleted",
                    table.mapping
                );
                let _ = shared.events.send(Event::Notice(text)).await;
                continue;
            }
            let reader = OwnedReader::new(table, &ids);
            let extent = async |connection: &mut PgConnection| reader.extent(connection).await;
            let extent = link.call("looking how far a table goes", extent).await?;
            places.push(Place { phase, id, table, reader, extent, seen: Seen::default(), last: GoneCounts::default() });
        }
        let names = runs.keys().cloned().collect();
        Ok(Self { shared, settings, link, runs, names, answering, places })
    }

    /// Whether the server is the one that the phases scanned, as far as that is told.
    fn is_scanned(&self, shards: &[Shard]) -> Result<(), Failure> {
        for (base, answering) in self.shared.bases.iter().zip(&self.answering) {
            let Some(now) = &answering.run_id else { continue };
            let scanned = shards.iter().filter(|shard| shard.shard == base.database.shard() && shard.scans);
            if scanned.filter_map(|shard| shard.checkpoint.server_run_id.as_ref()).any(|then| then != now) {
                return Err(another_server(true));
            }
        }
        Ok(())
    }

    /// Counts the rows whose keys are gone, and tells whether they may be so many.
    async fn count(&mut self) -> Result<End, Failure> {
        for place in 0..self.places.len() {
            let slices = self.places.get(place).map_or(0, |place| place.extent.slices());
            for number in 0..slices {
                if self.shared.stop.requested() {
                    return Ok(End::Stopped);
                }
                for rows in self.slice(place, number).await?.chunks(self.at_once()) {
                    let looked = self.look(place, rows).await?;
                    if let Some(place) = self.places.get_mut(place) {
                        place.seen.add(&looked.seen);
                    }
                }
            }
        }
        let dry = self.settings.run.dry_run;
        let refused = self.refusal();
        if dry || refused.is_some() {
            self.tell(dry).await;
        }
        refused.map_or(Ok(End::Complete), Err)
    }

    /// Why none is deleted.
    fn refusal(&self) -> Option<Failure> {
        let seen: Vec<(&str, Seen)> =
            self.places.iter().map(|place| (place.table.mapping.as_str(), place.seen)).collect();
        limit::refusal(self.settings.run.delete_gone_limit, &seen)
    }

    /// Deletes them: over and over while rows go that others referred to.
    async fn delete(&mut self, writers: &Writers, by: Lease) -> Result<End, Failure> {
        let owned = self.places.iter().map(|place| place.seen.owned).sum();
        let most = limit::most(self.settings.run.delete_gone_limit, owned);
        let mut deleted = 0;
        let mut first = true;
        loop {
            let before = deleted;
            for place in 0..self.places.len() {
                let due = |place: &Place<'_>| if first { place.seen.gone > 0 } else { place.last.referred > 0 };
                if !self.places.get(place).is_some_and(due) {
                    continue;
                }
                if self.pass(place, (writers, by), (&mut deleted, most)).await? == End::Stopped {
                    return Ok(End::Stopped);
                }
            }
            first = false;
            if deleted == before || !self.places.iter().any(|place| place.last.referred > 0) {
                break;
            }
        }
        self.tell(false).await;
        Ok(End::Complete)
    }

    /// Goes over the rows of a mapping once, from the end of its table: rows that refer to others were mostly written after them.
    async fn pass(
        &mut self,
        place: usize,
        (writers, by): (&Writers, Lease),
        (deleted, most): (&mut i64, i64),
    ) -> Result<End, Failure> {
        let Some((phase, id, slices)) = self.places.get_mut(place).map(|place| {
            place.last = GoneCounts::default();
            (place.phase, place.id, place.extent.slices())
        }) else {
            return Ok(End::Complete);
        };
        let databases: Vec<u32> = self.shared.bases.iter().map(|base| base.database.shard()).collect();
        for number in (0..slices).rev() {
            for rows in self.slice(place, number).await?.chunks(self.at_once()) {
                if self.shared.stop.requested() {
                    return Ok(End::Stopped);
                }
                let looked = self.look(place, rows).await?;
                for (shard, gone) in databases.iter().zip(looked.gone).filter(|(_, gone)| !gone.is_empty()) {
                    if *deleted + gone.len() as i64 > most {
                        return Err(limit::crossed(self.settings.run.delete_gone_limit, *deleted));
                    }
                    let mut writer = writers.writer(by.shard(phase, *shard));
                    let counts = writer.delete_gone(id, gone, &self.names).await?;
                    *deleted += counts.deleted;
                    if let Some(place) = self.places.get_mut(place) {
                        place.last.add(counts);
                    }
                }
            }
        }
        Ok(End::Complete)
    }

    /// Rows that are looked at and deleted at once.
    fn at_once(&self) -> usize {
        let rows = usize::try_from(self.settings.flow.batch_rows).unwrap_or(usize::MAX);
        rows.min(self.shared.rate.keys_at_once().unwrap_or(rows)).max(1)
    }

    async fn slice(&mut self, place: usize, number: u64) -> Result<Vec<OwnedRow>, Failure> {
        let Some(Place { reader, extent, .. }) = self.places.get(place) else { return Ok(Vec::new()) };
        let read = async |connection: &mut PgConnection| reader.read(connection, extent, number).await;
        self.link.call("reading the rows that runs wrote", read).await
    }

    /// Tells the books what stays, and a person what is not as it should be.
    async fn tell(&self, dry: bool) {
        for place in &self.places {
            let mut tally = Tally::default();
            let Place { seen, last, table, .. } = place;
            let mut gone = |what, rows| tally.gone(what, rows, table.explodes);
            gone(GoneRow::Expired, seen.expired);
            gone(GoneRow::ExpiryUnknown, seen.expiry_unknown);
            gone(GoneRow::Changed, seen.changed + last.changed);
            gone(GoneRow::Forbidden, seen.forbidden);
            gone(GoneRow::Referred, last.referred);
            gone(GoneRow::Refused, last.refused);
            gone(GoneRow::WouldDelete, if dry { seen.gone } else { 0 });
            let _ = self.shared.events.send(Event::Settled { mapping: place.id, tally, bytes: 0, pending: 0 }).await;
            let mut notices = Vec::new();
            if last.refused > 0 {
                let why = last.said.as_deref().unwrap_or("a trigger, a rule or a policy of the table keeps them");
                notices.push(format!(
                    "{} rows of {} whose keys are gone were not deleted: {why}",
                    last.refused, table.table
                ));
            }
            if seen.expiry_unknown > 0 {
                notices.push(format!(
                    "{} rows of {} whose keys are gone stay: nothing tells whether the keys expired, since the mapping keeps \
                     no time of expiry; --delete-expired deletes them too",
                    seen.expiry_unknown, table.table
                ));
            }
            for text in notices {
                let _ = self.shared.events.send(Event::Notice(text)).await;
            }
        }
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
