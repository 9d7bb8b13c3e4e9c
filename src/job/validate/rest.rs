//! The other direction: rows of the run whose keys are gone. Redis is asked for the keys of all rows that the run, and those
//! like it before, wrote and nobody changed since.
//!
//! What becomes of the rows of keys that are gone is in `gone_rows`.

use super::Findings;
use super::begin::Ready;
use super::gone_rows::{ByDatabase, Gone};
use super::rounds::Rounds;
use crate::job::databases::Base;
use crate::job::link::Link;
use crate::job::migrate::End;
use crate::job::pipeline::Sample;
use crate::job::run_tables::run_table;
use crate::ledger;
use crate::model::{Class, Failure, MappingId, RedisKey, SkipReason};
use crate::sink::{LoadTable, OwnedReader, OwnedRow, Provenance, RowSum, SumsWanted};
use crate::source::Source;
use crate::source::redis::RedisSource;
use sqlx::postgres::PgConnection;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::RandomState;
use std::sync::Arc;

/// Rows whose keys are gone that are held before they are looked at again.
const HELD: usize = 10_000;
/// Keys asked for at once.
const ASKED: usize = 1000;

/// What looks for them.
pub(super) struct Rest<'a> {
    pub(super) rounds: &'a Rounds,
    pub(super) ready: &'a Ready,
    pub(super) runs: Vec<String>,
    sample: Sample,
    /// Whether keys that are gone are told: all keys were looked at.
    whole: bool,
    /// Keys that are counted, by their hashes, each with the class that it counts as.
    pub(super) counted: HashMap<u64, Class>,
    pub(super) hasher: RandomState,
}

/// What is summed up of the rows that are met, so that slices whose rows were all met need not be asked for: a key that was
/// read is there. `None`: keys that are gone are not told. Left out are tables that several mappings share, and those whose rows do not
/// tell by themselves which key they are of.
///
/// # Errors
/// The server's.
pub(super) async fn sums_wanted(
    rounds: &Rounds,
    ready: &Ready,
    link: &mut Link,
) -> Result<Option<Arc<SumsWanted>>, Failure> {
    if !is_whole(ready) || !ready.settings.validation.sample.is_all() {
        return Ok(None);
    }
    let run = ready.chosen.run.of.run;
    let like = async |connection: &mut PgConnection| ledger::runs_like(connection, run).await;
    let runs = link.read("reading the runs before it", like).await?;
    let mut wanted = SumsWanted { runs: runs.iter().map(ToString::to_string).collect(), steps: BTreeMap::new() };
    for id in &rounds.on {
        let Some((spec, table)) = ready.specs.get(usize::from(id.0)).zip(rounds.tables.get(usize::from(id.0))) else {
            continue;
        };
        let tells = matches!(table.provenance, Provenance::Object(_) | Provenance::Columns { .. });
        if tells && rounds.tables.iter().filter(|other| other.name == table.name).count() == 1 {
            let reader = OwnedReader::new(&run_table(ready.checked.plan.mapping(*id), table, spec), &runs);
            let extent = async |connection: &mut PgConnection| reader.extent(connection).await;
            let extent = link.read("looking how large a table is", extent).await?;
            wanted.steps.insert(table.mapping.clone(), extent.step());
        }
    }
    Ok(Some(Arc::new(wanted)))
}

/// Whether all keys are looked at, but for a sample.
fn is_whole(ready: &Ready) -> bool {
    let run = &ready.settings.run;
    run.keys.is_none() && run.keys_from.is_none() && run.limit.is_none()
}

/// Goes through the rows of every mapping.
///
/// # Errors
/// Those of either side.
pub(super) async fn look_at_rows(rounds: &Rounds, ready: &Ready, link: &mut Link) -> Result<End, Failure> {
    let (settings, run) = (&ready.settings, ready.chosen.run.of.run);
    let whole = is_whole(ready);
    if !whole && !rounds.findings.seeks() {
        return Ok(End::Complete);
    }
    let like = async |connection: &mut PgConnection| ledger::runs_like(connection, run).await;
    let runs = link.read("reading the runs before it", like).await?;
    let sample = Sample::of(settings.validation.sample);
    let text = runs.iter().map(ToString::to_string).collect();
    let (counted, hasher) = (HashMap::new(), RandomState::new());
    let mut rest = Rest { rounds, ready, runs: text, sample, whole, counted, hasher };
    for id in &rounds.on {
        let Some((spec, table)) = ready.specs.get(usize::from(id.0)).zip(rounds.tables.get(usize::from(id.0))) else {
            continue;
        };
        let known = run_table(ready.checked.plan.mapping(*id), table, spec);
        let reader = OwnedReader::new(&known, &runs);
        if rest.table((*id, table), &reader, link).await? == End::Stopped {
            return Ok(End::Stopped);
        }
    }
    Ok(End::Complete)
}

impl Rest<'_> {
    pub(super) fn findings(&self) -> &Findings {
        &self.rounds.findings
    }

    async fn table(
        &mut self,
        of: (MappingId, &LoadTable),
        reader: &OwnedReader,
        link: &mut Link,
    ) -> Result<End, Failure> {
        let extent = async |connection: &mut PgConnection| reader.extent(connection).await;
        let extent = link.read("looking how large a table is", extent).await?;
        let (mut owned, mut gone) = (0, ByDatabase::new());
        // Whose values would be rejected now is looked for among all rows.
        let met = if self.findings().seeks() { BTreeMap::new() } else { self.findings().met(of.0) };
        for number in 0..extent.slices() {
            if self.rounds.shared.stop.requested() {
                return Ok(End::Stopped);
            }
            if let Some(met) = met.get(&number) {
                let sum = async |connection: &mut PgConnection| reader.sum(connection, &extent, number).await;
                let all = met.values().fold(RowSum::default(), |mut all, more| {
                    all += *more;
                    all
                });
                if link.read("counting the rows of the run", sum).await? == all {
                    owned += all.rows;
                    met.iter().for_each(|(database, met)| self.findings().asked(of.0, *database, met.rows));
                    continue;
                }
            }
            let read = async |connection: &mut PgConnection| reader.read(connection, &extent, number).await;
            let rows = link.read("reading the rows of the run", read).await?;
            owned += self.slice(of.0, rows, &mut gone).await?;
            if gone.values().map(Vec::len).sum::<usize>() >= HELD {
                self.settle(of, std::mem::take(&mut gone), link).await?;
            }
        }
        self.settle(of, gone, link).await?;
        let rows = self.ready.checked.rows.get(usize::from(of.0.0)).copied();
        self.findings().rows(of.0, rows, Some(owned));
        Ok(End::Complete)
    }

    /// Takes the rows of a slice whose keys are gone; gives how many rows of the run it has.
    async fn slice(&self, id: MappingId, rows: Vec<OwnedRow>, gone: &mut ByDatabase<Gone>) -> Result<i64, Failure> {
        let (mut owned, mut asked) = (0, ByDatabase::<Gone>::new());
        for row in rows {
            let is_ours = row.owner.as_ref().is_some_and(|owner| self.runs.contains(owner));
            let Some(key) = row.redis_key.map(RedisKey::new) else {
                owned += i64::from(is_ours);
                continue;
            };
            let Some(base) = self.base_of(id, &key, row.redis_db.as_deref()) else { continue };
            self.findings().was_loaded(&(id, base.database.number, key.clone()))?;
            owned += i64::from(is_ours);
            if is_ours && self.whole && self.sample.takes(&key) {
                let run = row.owner.unwrap_or_default();
                let row = Gone { key, row_key: row.row_key, expires_at: row.expires_at, run };
                asked.entry(base.database.number).or_default().push(row);
            }
        }
        for (number, rows) in asked {
            self.findings().asked(id, number, rows.len() as i64);
            gone.entry(number).or_default().extend(self.absent(number, rows).await?);
        }
        Ok(owned)
    }

    /// The database that a row of this mapping was made from, if its key is the mapping's there. Several mappings may have one
    /// table.
    fn base_of(&self, id: MappingId, key: &RedisKey, named: Option<&str>) -> Option<&Base<RedisSource>> {
        let own = self.ready.chosen.run.of.own_database;
        let number = named.and_then(|number| number.parse().ok()).or(own);
        let base = self.rounds.shared.bases.iter().find(|base| Some(base.database.number) == number)?;
        (base.plan.classify(key.as_bytes()) == Some(id)).then_some(base)
    }

    /// Those among rows whose keys are gone.
    pub(super) async fn absent(&self, number: u8, rows: Vec<Gone>) -> Result<Vec<Gone>, Failure> {
        let base = self.rounds.shared.bases.iter().find(|base| base.database.number == number);
        let Some(base) = base.filter(|_| !rows.is_empty()) else { return Ok(Vec::new()) };
        let keys: Vec<RedisKey> = rows.iter().map(|row| row.key.clone()).collect();
        let mut gone = HashSet::new();
        for keys in keys.chunks(ASKED) {
            self.rounds.shared.rate.take(keys.len() as u64, 0).await;
            let absent = base.source.absent(keys).await?;
            let absent = absent.into_iter().filter(|(_, why)| matches!(why, SkipReason::Gone | SkipReason::Orphan));
            gone.extend(absent.map(|(key, _)| key));
        }
        Ok(rows.into_iter().filter(|row| gone.contains(&row.key)).collect())
    }
}
