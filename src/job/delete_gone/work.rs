//! The work of deletion: the mappings with their tables, first counted, then gone over until no more rows come free.

use super::limit::{self, Part};
use super::look::Seen;
use super::pass::Allowed;
use super::{Lease, another_server};
use crate::config::Settings;
use crate::job::link::Link;
use crate::job::migrate::End;
use crate::job::pipeline::Shared;
use crate::ledger::{LineagePlace, RunTable, Shard};
use crate::model::{Event, Failure, MappingId};
use crate::sink::{Extent, GoneCounts, OwnedReader, OwnedRow, SourceRun, Writers, runs_elsewhere, runs_of_source};
use crate::source::{Answering, Holders, Source};
use sqlx::postgres::PgConnection;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// The rows of one mapping.
pub(super) struct Place<'t> {
    pub(super) phase: u32,
    pub(super) id: MappingId,
    pub(super) table: &'t RunTable,
    reader: OwnedReader,
    /// Reads the rows of runs of other sources too.
    of_all: OwnedReader,
    pub(super) extent: Extent,
    /// What the count has seen.
    pub(super) seen: Seen,
    /// Rows that runs of other sources wrote, by source.
    pub(super) others: BTreeMap<String, i64>,
    /// What the last pass of deletion over it came to, but for what earlier ones deleted.
    pub(super) last: GoneCounts,
    /// Rows, in the same pass, that another key maps to, which was rejected for that.
    pub(super) collided: i64,
}

impl<'t> Place<'t> {
    /// `runs`: those of this source, and all.
    async fn new(
        link: &mut Link,
        (phase, id, table): (u32, MappingId, &'t RunTable),
        runs: (&[Uuid], &[Uuid]),
    ) -> Result<Self, Failure> {
        let reader = OwnedReader::new(table, runs.0);
        let extent = async |connection: &mut PgConnection| reader.extent(connection).await;
        let extent = link.read("looking how far a table goes", extent).await?;
        Ok(Self {
            phase,
            id,
            table,
            of_all: OwnedReader::new(table, runs.1),
            reader,
            extent,
            seen: Seen::default(),
            others: BTreeMap::new(),
            last: GoneCounts::default(),
            collided: 0,
        })
    }
}

/// The work at hand: mappings, children before parents.
pub(super) struct Work<'w, 't, S> {
    pub(super) shared: &'w Shared<S>,
    pub(super) settings: &'w Settings,
    pub(super) link: &'w mut Link,
    /// The source, as the ledger has it.
    pub(super) source: String,
    /// The runs of the same source, with the database that their rows are of which name none.
    pub(super) runs: HashMap<String, Option<u8>>,
    pub(super) names: Vec<String>,
    /// The runs of other sources, each with its own.
    pub(super) elsewhere: HashMap<String, String>,
    /// Which server answers for each database.
    pub(super) answering: Vec<Answering>,
    /// Which servers hold its keys.
    pub(super) holders: Vec<Holders>,
    /// What the count has seen of each of them, by the places of the database and of the server.
    held: BTreeMap<(usize, usize), Seen>,
    pub(super) places: Vec<Place<'t>>,
}

impl<'w, 't, S: Source> Work<'w, 't, S> {
    pub(super) async fn begin(
        (shared, settings): (&'w Shared<S>, &'w Settings),
        link: &'w mut Link,
        source: &str,
        mappings: Vec<(u32, MappingId, &'t RunTable)>,
    ) -> Result<Self, Failure> {
        let runs = async |connection: &mut PgConnection| runs_of_source(connection, source).await;
        let runs: Vec<SourceRun> = link.read("reading which runs were of this source", runs).await?;
        let ids: Vec<Uuid> = runs.iter().map(|run| run.run).collect();
        let runs: HashMap<String, Option<u8>> =
            runs.into_iter().map(|run| (run.run.to_string(), run.database)).collect();
        let elsewhere = async |connection: &mut PgConnection| runs_elsewhere(connection, source).await;
        let elsewhere = link.read("reading which runs were of another source", elsewhere).await?;
        let all: Vec<Uuid> = ids.iter().chain(elsewhere.keys()).copied().collect();
        let elsewhere = elsewhere.into_iter().map(|(run, source)| (run.to_string(), source)).collect();
        let (mut answering, mut holders, mut places) = (Vec::new(), Vec::new(), Vec::new());
        for base in shared.bases.iter() {
            answering.push(base.source.answering().await?);
            holders.push(base.source.holders().await);
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
            places.push(Place::new(link, (phase, id, table), (&ids, &all)).await?);
        }
        let names = runs.keys().cloned().collect();
        let source = source.to_owned();
        Ok(Self {
            shared,
            settings,
            link,
            source,
            runs,
            names,
            elsewhere,
            answering,
            holders,
            held: BTreeMap::new(),
            places,
        })
    }

    /// Whether the server is the one that the phases scanned, as far as that is told.
    pub(super) fn is_scanned(&self, shards: &[Shard]) -> Result<(), Failure> {
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
    pub(super) async fn count(&mut self) -> Result<End, Failure> {
        for place in 0..self.places.len() {
            let slices = self.places.get(place).map_or(0, |place| place.extent.slices());
            for number in 0..slices {
                if self.shared.stop.requested() {
                    return Ok(End::Stopped);
                }
                for rows in self.counted(place, number).await?.chunks(self.at_once()) {
                    let looked = self.look(place, rows).await?;
                    for (part, seen) in &looked.held {
                        self.held.entry(*part).or_default().add(seen);
                    }
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
        let limit = self.settings.run.delete_gone_limit;
        limit::refusal(limit, &seen).or_else(|| limit::emptied(limit, &self.parts()))
    }

    /// The databases, where there are several, and the nodes of a cluster.
    fn parts(&self) -> Vec<Part> {
        let mut parts = Vec::new();
        for (at, (base, holders)) in self.shared.bases.iter().zip(&self.holders).enumerate() {
            let of = |server: usize| self.held.get(&(at, server)).copied().unwrap_or_default();
            let mut all = Seen::default();
            for (server, holder) in holders.servers.iter().enumerate() {
                all.add(&of(server));
                if holders.servers.len() > 1 {
                    let strictly = holder.keys == Some(0);
                    let name = if strictly { "which has no key any more" } else { "of the cluster" };
                    let name = format!("the node {}, {name}", holder.place);
                    parts.push(Part { name, seen: of(server), strictly });
                }
            }
            if self.shared.bases.len() > 1 {
                parts.push(Part { name: format!("database {}", base.database.number), seen: all, strictly: true });
            }
        }
        parts
    }

    /// Deletes them: over and over while rows go that others referred to.
    pub(super) async fn delete(&mut self, writers: &Writers, by: Lease) -> Result<End, Failure> {
        let seen = self.places.iter().map(|place| place.seen);
        let (owned, counted) = seen.fold((0, 0), |(owned, gone), seen| (owned + seen.owned, gone + seen.gone));
        let most = limit::at_most(self.settings.run.delete_gone_limit, owned, counted);
        let (mut allowed, mut first) = (Allowed { deleted: 0, most }, true);
        loop {
            let before = allowed.deleted;
            for place in 0..self.places.len() {
                let due = |place: &Place<'_>| if first { place.seen.gone > 0 } else { place.last.referred > 0 };
                if !self.places.get(place).is_some_and(due) {
                    continue;
                }
                if self.pass(place, (writers, by), &mut allowed).await? == End::Stopped {
                    return Ok(End::Stopped);
                }
            }
            first = false;
            if allowed.deleted == before || !self.places.iter().any(|place| place.last.referred > 0) {
                break;
            }
        }
        self.tell(false).await;
        Ok(End::Complete)
    }

    /// Rows that are looked at and deleted at once.
    pub(super) fn at_once(&self) -> usize {
        let rows = usize::try_from(self.settings.flow.batch_rows).unwrap_or(usize::MAX);
        rows.min(self.shared.rate.keys_at_once().unwrap_or(rows)).max(1)
    }

    /// The rows of a slice that are to be counted; those of other sources are counted here.
    async fn counted(&mut self, place: usize, number: u64) -> Result<Vec<OwnedRow>, Failure> {
        let Some(Place { of_all, extent, .. }) = self.places.get(place) else { return Ok(Vec::new()) };
        let read = async |connection: &mut PgConnection| of_all.read(connection, extent, number).await;
        let rows = self.link.read("reading the rows that runs wrote", read).await?;
        let Some((own, others)) = self.places.get(place).map(|place| self.own(place, rows)) else {
            return Ok(Vec::new());
        };
        if let Some(place) = self.places.get_mut(place) {
            others.into_iter().for_each(|(source, rows)| *place.others.entry(source).or_default() += rows);
        }
        Ok(own)
    }

    pub(super) async fn slice(&mut self, place: usize, number: u64) -> Result<Vec<OwnedRow>, Failure> {
        let Some(Place { reader, extent, .. }) = self.places.get(place) else { return Ok(Vec::new()) };
        let read = async |connection: &mut PgConnection| reader.read(connection, extent, number).await;
        self.link.read("reading the rows that runs wrote", read).await
    }
}
