//! The dry run's end: judges what would be loaded and writes nothing, not even the ledger.
//!
//! A parent is there if its row is in the target or its key would be loaded; the caller says which keys those are.

use super::batch::{Batch, deduplicate};
use super::table::LoadTable;
use crate::model::{Event, EventSender, Failure, MappingId, RedisKey, Reject, Row};
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

    /// Judges a batch; `orphan` says why a row's parent is missing, if it is.
    ///
    /// # Errors
    /// None of its own; a batch of a mapping that does not exist is a mistake in the tool.
    pub async fn judge(&self, batch: Batch) -> Result<(), Failure> {
        let table = self
            .tables
            .get(usize::from(batch.mapping.0))
            .ok_or_else(|| Failure::internal("a batch names a mapping that there is not"))?;
        let bytes = batch.rows.iter().map(|row| row.encoded_len() as u64).sum();
        let mut tally = batch.tally;
        let kept = deduplicate(batch.rows);
        tally.duplicates += kept.duplicates;
        tally.would_load += i64::try_from(kept.rows.len()).unwrap_or(i64::MAX);
        let collisions: Vec<Reject> = kept.rivals.into_iter().map(collision).collect();
        for reject in &collisions {
            tally.reject(&reject.reason);
        }
        self.keep(table, &kept.rows, batch.rejects.into_iter().chain(collisions));
        for page in batch.pages {
            page.settle();
        }
        let _ = self.events.send(Event::Settled { mapping: table.id, tally, bytes, pending: 0 }).await;
        Ok(())
    }

    /// What is kept to show.
    pub fn shown(&self) -> Shown {
        self.shown.clone()
    }

    fn keep(&self, table: &LoadTable, rows: &[Row], rejects: impl Iterator<Item = Reject>) {
        let mut kept = self.shown.kept();
        let samples = kept.samples.entry(table.id).or_default();
        let free = self.sample_rows.saturating_sub(samples.len());
        samples.extend(rows.iter().take(free).map(|row| Sample {
            key: row.key.detached(),
            bytes: row.encoded_len(),
            columns: table.present(row.shape).map(|(_, column)| column.name.clone()).collect(),
        }));
        let free = REJECTS_SHOWN.saturating_sub(kept.rejects.len());
        // The value would keep the whole reply that it came in.
        kept.rejects.extend(rejects.take(free).map(|mut reject| {
            reject.key = reject.key.detached();
            reject.value = reject.value.map(|value| bytes::Bytes::copy_from_slice(&value));
            (table.id, reject)
        }));
    }
}

/// Which of the keys would have the row is for the load to say; here the first one read has it.
fn collision(row: Row) -> Reject {
    let detail = "maps to the same row as another key that was read before it";
    Reject::new(row.key, "key_collision", detail, Some(row.value))
}
