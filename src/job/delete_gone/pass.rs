//! One pass of deletion over the rows of a mapping: batch by batch from the end of the table, and then those that others of the table
//! referred to, in the order that they need.

use super::look::absent;
use super::order::children_first;
use super::work::Work;
use super::{Lease, collided, limit};
use crate::job::migrate::End;
use crate::model::{Failure, RedisKey, SkipReason};
use crate::sink::Writers;
use crate::source::Source;
use sqlx::postgres::PgConnection;
use std::collections::{BTreeMap, HashMap};

/// Rows that a pass remembers since others refer to them; the next one has those beyond.
const ROWS: usize = 250_000;

/// Rows of which it is asked at once to what they refer.
const ASKED: usize = 5000;

/// How far the deletion is, and may go.
pub(super) struct Allowed {
    /// Rows that are deleted.
    pub(super) deleted: i64,
    /// The most that may be.
    pub(super) most: i64,
}

/// Rows whose keys are gone, each with the place of its database and its Redis key.
type Waiting = HashMap<String, (usize, RedisKey)>;

impl<S: Source> Work<'_, '_, S> {
    /// Goes over the rows of a mapping once. From the end of its table: rows that refer to others were mostly written after them.
    pub(super) async fn pass(
        &mut self,
        place: usize,
        means: (&Writers, Lease),
        allowed: &mut Allowed,
    ) -> Result<End, Failure> {
        let Some((id, slices)) = self.places.get_mut(place).map(|place| {
            (place.last, place.collided) = Default::default();
            (place.id, place.extent.slices())
        }) else {
            return Ok(End::Complete);
        };
        let remembers = means.0.has_families(id);
        let mut waiting = Waiting::new();
        for number in (0..slices).rev() {
            for rows in self.slice(place, number).await?.chunks(self.at_once()) {
                if self.shared.stop.requested() {
                    return Ok(End::Stopped);
                }
                let looked = self.look(place, rows).await?;
                for (base, mut gone) in looked.gone.into_iter().enumerate().filter(|(_, gone)| !gone.is_empty()) {
                    let Some(database) = self.shared.bases.get(base).map(|base| base.database) else { continue };
                    let kept = collided::keep(self.link, means.1.run, database, &mut gone).await?;
                    if let Some(place) = self.places.get_mut(place) {
                        place.collided += kept;
                    }
                    let rows = gone.keys().cloned().collect();
                    let referred = self.delete_batch((place, base), means, (rows, &gone), allowed).await?;
                    let room = if remembers { ROWS - waiting.len() } else { 0 };
                    let known = referred.into_iter().take(room).filter_map(|row| {
                        let key = gone.remove(&row)?;
                        Some((row, (base, key)))
                    });
                    waiting.extend(known);
                }
            }
        }
        self.pass_in_order(place, means, waiting, allowed).await
    }

    /// Goes over those once more that others referred to: children before parents, so that a batch has all that refers to its rows, or
    /// comes after it.
    async fn pass_in_order(
        &mut self,
        place: usize,
        means: (&Writers, Lease),
        mut waiting: Waiting,
        allowed: &mut Allowed,
    ) -> Result<End, Failure> {
        let Some(id) = self.places.get(place).map(|place| place.id).filter(|_| !waiting.is_empty()) else {
            return Ok(End::Complete);
        };
        let mut rows: Vec<String> = waiting.keys().cloned().collect();
        rows.sort_unstable();
        let mut edges = Vec::new();
        for part in rows.chunks(ASKED) {
            let ask = async |connection: &mut PgConnection| means.0.own_parents(connection, id, part).await;
            let found = self.link.read("looking for rows that refer to one another", ask).await?;
            edges.extend(found.into_iter().filter(|(_, parent)| waiting.contains_key(parent)));
        }
        if let Some(place) = self.places.get_mut(place) {
            place.last.referred -= rows.len() as i64;
        }
        let mut ordered =
            children_first(rows, &edges, |row| waiting.get(row).map_or(0, |(base, _)| *base)).into_iter().peekable();
        while let Some(base) = ordered.peek().and_then(|row| waiting.get(row)).map(|(base, _)| *base) {
            if self.shared.stop.requested() {
                return Ok(End::Stopped);
            }
            let (mut rows, mut gone) = (Vec::new(), BTreeMap::new());
            while rows.len() < self.at_once()
                && let Some(row) = ordered.next_if(|row| waiting.get(row).is_some_and(|(of, _)| *of == base))
            {
                gone.extend(waiting.remove(&row).map(|(_, key)| (row.clone(), key)));
                rows.push(row);
            }
            self.delete_batch((place, base), means, (rows, &gone), allowed).await?;
        }
        Ok(End::Complete)
    }

    /// Deletes what can go of some rows of one database, each with its Redis key in `gone`; gives those that others refer to.
    async fn delete_batch(
        &mut self,
        (place, base): (usize, usize),
        (writers, by): (&Writers, Lease),
        (rows, gone): (Vec<String>, &BTreeMap<String, RedisKey>),
        allowed: &mut Allowed,
    ) -> Result<Vec<String>, Failure> {
        let of_place = self.places.get(place).map(|place| (place.phase, place.id));
        let of_base = self.shared.bases.get(base).zip(self.answering.get(base));
        let Some(((phase, id), (base, answering))) = of_place.zip(of_base) else { return Ok(Vec::new()) };
        if allowed.deleted + rows.len() as i64 > allowed.most {
            return Err(limit::crossed(self.settings.run.delete_gone_limit, allowed.deleted));
        }
        let mut writer = writers.writer(by.shard(phase, base.database.shard()));
        // They are asked for once more under their locks, where nothing is to be waited for.
        self.shared.rate.take(rows.len() as u64, 0).await;
        let still = async |rows: &[String]| {
            let keys = rows.iter().filter_map(|row| gone.get(row)).collect();
            let absent = absent(base, answering, keys).await?;
            let is_gone = |row: &&String| gone.get(*row).and_then(|key| absent.get(key)) == Some(&SkipReason::Gone);
            Ok(rows.iter().filter(is_gone).cloned().collect())
        };
        let mut counts = writer.delete_gone(id, rows, (&self.names, &still)).await?;
        allowed.deleted += counts.deleted;
        let referred = std::mem::take(&mut counts.waiting);
        if let Some(place) = self.places.get_mut(place) {
            place.last.add(counts);
        }
        Ok(referred)
    }
}
