//! The work of deletion: the mappings with their tables, first counted, then gone over until no more rows come free.

use super::look::{Seen, absent};
use super::{Lease, another_server, collided, limit};
use crate::config::Settings;
use crate::job::link::Link;
use crate::job::migrate::End;
use crate::job::pipeline::Shared;
use crate::ledger::{LineagePlace, RunTable, Shard};
use crate::model::{Event, Failure, GoneRow, MappingId, SkipReason, Tally};
use crate::sink::{Extent, GoneCounts, OwnedReader, OwnedRow, SourceRun, Writers, runs_of_source};
use crate::source::{Answering, Source};
use sqlx::postgres::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// The rows of one mapping.
pub(super) struct Place<'t> {
    phase: u32,
    pub(super) id: MappingId,
    pub(super) table: &'t RunTable,
    reader: OwnedReader,
    extent: Extent,
    /// What the count has seen.
    seen: Seen,
    /// What the last pass of deletion over it came to, but for what earlier ones deleted.
    last: GoneCounts,
    /// Rows, in the same pass, that another key maps to, which was rejected for that.
    collided: i64,
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
    names: Vec<String>,
    /// Which server answers for each database.
    pub(super) answering: Vec<Answering>,
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
            places.push(Place {
                phase,
                id,
                table,
                reader,
                extent,
                seen: Seen::default(),
                last: GoneCounts::default(),
                collided: 0,
            });
        }
        let names = runs.keys().cloned().collect();
        Ok(Self { shared, settings, link, source: source.to_owned(), runs, names, answering, places })
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
    pub(super) async fn delete(&mut self, writers: &Writers, by: Lease) -> Result<End, Failure> {
        let seen = self.places.iter().map(|place| place.seen);
        let (owned, counted) = seen.fold((0, 0), |(owned, gone), seen| (owned + seen.owned, gone + seen.gone));
        let most = limit::at_most(self.settings.run.delete_gone_limit, owned, counted);
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
            place.collided = 0;
            (place.phase, place.id, place.extent.slices())
        }) else {
            return Ok(End::Complete);
        };
        for number in (0..slices).rev() {
            for rows in self.slice(place, number).await?.chunks(self.at_once()) {
                if self.shared.stop.requested() {
                    return Ok(End::Stopped);
                }
                let looked = self.look(place, rows).await?;
                let bases = self.shared.bases.iter().zip(&self.answering).zip(looked.gone);
                for ((base, answering), mut gone) in bases.filter(|(_, gone)| !gone.is_empty()) {
                    let kept = collided::keep(self.link, by.run, base.database, &mut gone).await?;
                    if let Some(place) = self.places.get_mut(place) {
                        place.collided += kept;
                    }
                    if *deleted + gone.len() as i64 > most {
                        return Err(limit::crossed(self.settings.run.delete_gone_limit, *deleted));
                    }
                    let mut writer = writers.writer(by.shard(phase, base.database.shard()));
                    // They are asked for once more under their locks, where nothing is to be waited for.
                    self.shared.rate.take(gone.len() as u64, 0).await;
                    let still = async |rows: &[String]| {
                        let keys = rows.iter().filter_map(|row| gone.get(row)).collect();
                        let absent = absent(base, answering, keys).await?;
                        let is_gone =
                            |row: &&String| gone.get(*row).and_then(|key| absent.get(key)) == Some(&SkipReason::Gone);
                        Ok(rows.iter().filter(is_gone).cloned().collect())
                    };
                    let rows = gone.keys().cloned().collect();
                    let counts = writer.delete_gone(id, rows, (&self.names, &still)).await?;
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
            gone(GoneRow::Cleaned, seen.cleaned);
            gone(GoneRow::Referred, last.referred);
            gone(GoneRow::Collided, place.collided);
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
