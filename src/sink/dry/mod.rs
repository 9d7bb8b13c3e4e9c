//! The dry run's end: judges what would be loaded and writes nothing, not even the ledger.
//!
//! It also remembers, within bounds, what became of the keys that other rows refer to.

mod owners;
mod parents;

use super::batch::{Batch, deduplicate, each_once};
use super::table::LoadTable;
use crate::model::{
    Database, Event, EventSender, Failure, Group, MappingId, Reason, RedisKey, Reject, Row, RowOutcome,
};
use owners::Owners;
use parents::Parents;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A row that would be loaded, for people.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The Redis key.
    pub key: RedisKey,
    /// Bytes of its row.
    pub bytes: usize,
    /// The columns that it has a value for.
    pub columns: Vec<String>,
}

/// Shared by the writers of a dry run.
#[derive(Clone)]
pub struct DryRun {
    tables: Arc<[LoadTable]>,
    events: EventSender,
    sample_rows: usize,
    shown: Shown,
}

/// What a dry run keeps to show, by mapping; shared with the writers that fill it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    samples: BTreeMap<MappingId, Vec<Sample>>,
    rejects: Vec<(MappingId, Reject)>,
    /// What became of the parents of other rows.
    parents: Parents,
    /// Where several databases are read: of which one each row would be.
    owners: Owners,
}

impl Shown {
    /// Takes the rows that would be loaded.
    pub fn take_samples(&self) -> BTreeMap<MappingId, Vec<Sample>> {
        std::mem::take(&mut self.kept().samples)
    }

    /// Takes the rejects.
    pub fn take_rejects(&self) -> Vec<(MappingId, Reject)> {
        std::mem::take(&mut self.kept().rejects)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many rejects a dry run keeps to show; all are counted.
const REJECTS_SHOWN: usize = 1000;
impl DryRun {
    /// Keeps up to `sample_rows` rows a mapping.
    pub fn new(tables: Arc<[LoadTable]>, events: EventSender, sample_rows: usize) -> Self {
        Self { tables, events, sample_rows, shown: Shown::default() }
    }

    /// Judges a batch, from which rows without a parent are out already.
    ///
    /// # Errors
    /// None of its own; a batch of a mapping that does not exist is a mistake in the tool.
    pub async fn judge(&self, batch: Batch) -> Result<(), Failure> {
        let table = self
            .tables
            .get(usize::from(batch.mapping.0))
            .ok_or_else(|| Failure::internal("a batch names a mapping that there is not"))?;
        let database = batch.database;
        let bytes = batch.rows.iter().map(|row| row.encoded_len() as u64).sum();
        let mut tally = batch.tally;
        let rejects = each_once(batch.rejects, &mut tally);
        let mut kept = deduplicate(batch.rows);
        tally.duplicates += kept.duplicates;
        let taken = self.taken(table, database, &mut kept.rows);
        let mut found: Vec<Reject> = Vec::new();
        for row in &kept.rows {
            match &row.group {
                Some(group) => group.settle_row(RowOutcome::WouldLoad, &row.altered),
                None => {
                    tally.would_load += 1;
                    row.altered.iter().for_each(|repair| tally.alter(repair));
                }
            }
        }
        for (reject, group) in kept.rivals.into_iter().chain(taken).map(collision) {
            match group {
                Some(group) => group.reject(reject),
                None => {
                    tally.reject(&reject.reason);
                    found.push(reject);
                }
            }
        }
        for group in batch.closed {
            let end = group.with(None).end();
            tally.add(&end.tally);
            found.extend(end.reject.map(|(reject, _)| reject));
        }
        self.keep(table, database, &kept.rows, rejects.into_iter().chain(found));
        for page in batch.pages {
            page.settle();
        }
        let _ = self.events.send(Event::Settled { mapping: table.id, tally, bytes, pending: 0 }).await;
        Ok(())
    }

    /// The rejected ones among keys of a mapping in a database, with their reasons; `None` where not all rejects could be
    /// remembered.
    pub fn rejected(&self, of: (MappingId, Database), keys: &[RedisKey]) -> Option<Vec<(RedisKey, Reason)>> {
        self.shown.kept().parents.rejected(of, keys)
    }

    /// Takes out the keys of a mapping in a database that are known to be loadable.
    pub fn retain_unknown<T>(&self, of: (MappingId, Database), keys: &mut Vec<(T, RedisKey)>) {
        let kept = self.shown.kept();
        keys.retain(|(_, key)| !kept.parents.is_loadable(of, key));
    }

    /// Takes out the rows that a key of another database would have already: they come in another pass, so that no
    /// batch has both.
    fn taken(&self, table: &LoadTable, database: Database, rows: &mut Vec<Row>) -> Vec<Row> {
        if database.alone {
            return Vec::new();
        }
        let mut kept = self.shown.kept();
        rows.extract_if(.., |row| !kept.owners.claim(&table.name, database, row)).collect()
    }

    /// Remembers keys of a mapping that would be loaded, and keys that would be rejected for a reason, before they are
    /// judged themselves.
    pub fn remember(&self, of: (MappingId, Database), loadable: &[RedisKey], (rejected, reason): (&[RedisKey], &str)) {
        let mut kept = self.shown.kept();
        kept.parents.would_load(of, loadable);
        rejected.iter().for_each(|key| kept.parents.reject(of, key, &reason.to_owned().into()));
    }

    /// What is kept to show.
    pub fn shown(&self) -> Shown {
        self.shown.clone()
    }

    fn keep(&self, table: &LoadTable, database: Database, rows: &[Row], rejects: impl Iterator<Item = Reject>) {
        let mut kept = self.shown.kept();
        let samples = kept.samples.entry(table.id).or_default();
        let free = self.sample_rows.saturating_sub(samples.len());
        samples.extend(rows.iter().take(free).map(|row| Sample {
            key: row.key.detached(),
            bytes: row.encoded_len(),
            columns: table.present(row.shape).map(|(_, column)| column.name.clone()).collect(),
        }));
        let is_parent = self.tables.iter().flat_map(|table| &table.parents).any(|parent| parent.mapping == table.id);
        if is_parent {
            kept.parents.would_load((table.id, database), rows.iter().map(|row| &row.key));
        }
        for mut reject in rejects {
            // The value would keep the whole reply that it came in.
            reject.key = reject.key.detached();
            reject.database = Some(database.number);
            if is_parent {
                kept.parents.reject((table.id, database), &reject.key, &reject.reason);
            }
            if kept.rejects.len() < REJECTS_SHOWN {
                reject.value = reject.value.map(|value| bytes::Bytes::copy_from_slice(&value));
                kept.rejects.push((table.id, reject));
            }
        }
    }
}

/// Which of the keys would have the row is for the load to say; here the first one read has it.
fn collision(row: Row) -> (Reject, Option<Arc<Group>>) {
    let detail = "maps to the same row as another key that was read before it";
    (Reject::of_row(&row, "key_collision", detail), row.group)
}
