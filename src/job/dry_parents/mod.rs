//! The dry run's look for parents: a row in the target, or a key in Redis that would become one.
//!
//! Parents come before their children, and their rejects are remembered: whether a parent would be loaded is then known
//! from its key alone. Where that is not so (a part of the keys only, a phase that is switched off, more rejects than are
//! remembered), the parent is read and mapped once more. So it is where rows refer to rows of their own mapping
//! (`ancestors`), which may come later.

mod ancestors;
mod lineage;
mod reference;

use super::databases::Base;
use super::pipeline::{Shared, Transformer};
use crate::model::{Failure, Fetched, MappingId, RedisKey, Reject, Row, SkipReason, Wanted};
use crate::postgres::{Limits, Target, failure};
use crate::sink::{Batch, DryRun, LoadTable};
use crate::source::Source;
use reference::{has_text, reference, rows_of};
use sqlx::postgres::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Parents asked for at once.
const PAGE: usize = 1000;
/// Bytes asked for at once.
const REPLY: usize = 4 << 20;
/// Why a parent that is nowhere would not be loaded.
const NOWHERE: &str = "is neither in Redis nor in the table";

/// Looks for the parents of a dry run's rows. One for each writer.
pub(super) struct DryParents<S> {
    shared: Shared<S>,
    tables: Arc<[LoadTable]>,
    target: (Target, Limits),
    connection: Option<PgConnection>,
    dry: DryRun,
    /// The mappings of which this run judges every key before their children.
    judged: Arc<[MappingId]>,
    transformer: Transformer,
}

impl<S: Source> DryParents<S> {
    pub(super) fn new(
        shared: Shared<S>,
        tables: Arc<[LoadTable]>,
        target: (Target, Limits),
        dry: DryRun,
        judged: Arc<[MappingId]>,
    ) -> Self {
        let transformer = Transformer::new(shared.clock);
        Self { shared, tables, target, connection: None, dry, judged, transformer }
    }

    /// Rejects the rows of a batch whose parent is nowhere.
    pub(super) async fn check(&mut self, mut batch: Batch) -> Result<Batch, Failure> {
        let parents = self.shared.plan.mapping(batch.mapping).parents().len();
        for place in 0..parents {
            let lost = self.without_other_parent(batch.mapping, &batch.rows, place).await?;
            reject(&mut batch, &lost);
        }
        let lost = self.without_own_parent(batch.mapping, &batch.rows).await?;
        reject(&mut batch, &lost);
        Ok(batch)
    }

    /// The rows whose parent of another mapping is nowhere, each with the parent's key and why.
    async fn without_other_parent(&mut self, mapping: MappingId, rows: &[Row], place: usize) -> Result<Lost, Failure> {
        let plan = self.shared.plan.clone();
        let Some(parent) = plan.mapping(mapping).parents().get(place).filter(|parent| parent.mapping != mapping) else {
            return Ok(Lost::new());
        };
        let keys = |row: &Row| row.parent_keys.get(place).cloned().unwrap_or_default();
        let asked: Vec<(usize, RedisKey)> =
            (rows.iter().enumerate()).flat_map(|(at, row)| keys(row).into_iter().map(move |key| (at, key))).collect();
        let asked = if self.judged.contains(&parent.mapping) { self.unknown(parent.mapping, asked) } else { asked };
        let unloadable = self.unloadable(parent.mapping, &asked).await?;
        let mut lost = without_parent(asked, &unloadable);
        let suspects: Vec<usize> = lost.keys().copied().collect();
        match self.with_row(mapping, rows, (parent.column, &suspects)).await? {
            Some(there) => lost.retain(|at, _| !there.contains(at)),
            // Not to be found out here; what the run itself would do is not to be called a reject.
            None => lost.clear(),
        }
        self.retain_unknown_by_lineage((mapping, *parent), rows, &mut lost).await?;
        Ok(lost)
    }

    /// What is left to ask: nothing for a row of which some parent's key is known to be loadable.
    fn unknown(&self, parent: MappingId, asked: Vec<(usize, RedisKey)>) -> Vec<(usize, RedisKey)> {
        let mut left = asked.clone();
        for base in self.shared.bases_of(parent) {
            self.dry.retain_unknown((parent, base.database), &mut left);
        }
        if left.len() < asked.len() {
            let (before, after) = (keys_of_rows(&asked), keys_of_rows(&left));
            left.retain(|(at, _)| before.get(at) == after.get(at));
        }
        left
    }

    /// The parents among these that would not become a row in any database, and why: what is said of the first one that
    /// has the key.
    async fn unloadable(
        &mut self,
        parent: MappingId,
        asked: &[(usize, RedisKey)],
    ) -> Result<BTreeMap<RedisKey, String>, Failure> {
        let keys: BTreeSet<&RedisKey> = asked.iter().map(|(_, key)| key).collect();
        let mut unloadable: BTreeMap<RedisKey, String> =
            keys.into_iter().map(|key| (key.clone(), NOWHERE.to_owned())).collect();
        for base in self.shared.bases_of(parent) {
            let keys: Vec<RedisKey> = unloadable.keys().cloned().collect();
            let mut here = self.unloadable_in(&base, parent, &keys).await?;
            unloadable.retain(|key, known| match here.remove(key) {
                Some(why) => {
                    if known == NOWHERE {
                        *known = why;
                    }
                    true
                }
                None => false,
            });
        }
        Ok(unloadable)
    }

    /// Those of one database.
    async fn unloadable_in(
        &mut self,
        base: &Base<S>,
        parent: MappingId,
        keys: &[RedisKey],
    ) -> Result<BTreeMap<RedisKey, String>, Failure> {
        let mut unloadable = BTreeMap::new();
        // What was skipped for the time that it has left is not remembered.
        let judged = self.judged.contains(&parent) && !base.plan.mapping(parent).has_min_ttl();
        let remembered = if judged { self.dry.rejected((parent, base.database), keys) } else { None };
        match remembered {
            Some(rejected) => {
                for page in keys.chunks(PAGE) {
                    let absent = base.source.absent(page).await?;
                    unloadable.extend(absent.into_iter().map(|(key, reason)| (key, would_be_skipped(reason))));
                }
                unloadable.extend(rejected.into_iter().map(|(key, reason)| (key, would_be(&reason))));
            }
            None => {
                for page in keys.chunks(PAGE) {
                    self.judge(base, parent, page, &mut unloadable).await?;
                }
            }
        }
        Ok(unloadable)
    }

    /// Reads parents and maps them.
    async fn judge(
        &mut self,
        base: &Base<S>,
        parent: MappingId,
        keys: &[RedisKey],
        unloadable: &mut BTreeMap<RedisKey, String>,
    ) -> Result<(), Failure> {
        let mapping = base.plan.mapping(parent);
        let wanted = Wanted { expiry: mapping.has_min_ttl(), slices: false, ..mapping.wanted() };
        let (shared, mut read) = (self.shared.within(base), 0);
        while let Some(rest) = keys.get(read..).filter(|rest| !rest.is_empty()) {
            let records = self.read(&shared, parent, rest, wanted).await?;
            read += records.len();
            let made = self.transformer.transform(mapping, records);
            let passed_over = made.passed_over.into_iter();
            unloadable.extend(passed_over.map(|(key, reason)| (key.detached(), would_be_skipped(reason))));
            unloadable.extend(made.rejects.into_iter().map(|reject| (reject.key.detached(), would_be(&reject.reason))));
        }
        Ok(())
    }

    /// Reads keys of a mapping from their front, at least one. In a retry, what has gone from Redis is what the ledger kept.
    async fn read(
        &self,
        shared: &Shared<S>,
        mapping: MappingId,
        keys: &[RedisKey],
        wanted: Wanted,
    ) -> Result<Vec<Fetched>, Failure> {
        let records = shared.source.fetch_part(keys, wanted, REPLY).await?.records;
        match &shared.retry {
            Some(retry) => retry.fill(shared, mapping, records, REPLY).await,
            None => Ok(records),
        }
    }

    /// Those of the rows, by their places, whose parent is a row already; `None` where that cannot be found out here.
    async fn with_row(
        &mut self,
        mapping: MappingId,
        rows: &[Row],
        (column, suspects): (usize, &[usize]),
    ) -> Result<Option<BTreeSet<usize>>, Failure> {
        let tables = self.tables.clone();
        let check = tables
            .get(usize::from(mapping.0))
            .and_then(|table| table.parents.iter().find(|parent| parent.column == column));
        let Some(check) = check.filter(|_| !suspects.is_empty()) else { return Ok(Some(BTreeSet::new())) };
        let columns = self.shared.plan.mapping(mapping).columns();
        let Some(column_type) = columns.get(column).map(|column| &column.column_type) else {
            return Ok(Some(BTreeSet::new()));
        };
        if !has_text(column_type) {
            return Ok(None);
        }
        let references: Vec<(usize, String)> =
            suspects.iter().filter_map(|at| Some((*at, reference(rows.get(*at)?, column, column_type)?))).collect();
        let texts: Vec<&str> = references.iter().map(|(_, text)| text.as_str()).collect();
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.target.0.connect().await?),
        };
        let found = rows_of((connection, self.target.1), check, column_type, &texts)
            .await
            .map_err(|error| failure("looking for parents", error))?;
        Ok(Some(references.iter().filter(|(_, text)| found.contains(text)).map(|(at, _)| *at).collect()))
    }
}

/// Rows by their places, each with the key of a parent that would not become a row, and why.
type Lost = HashMap<usize, (RedisKey, String)>;

/// How many keys there are for each row.
fn keys_of_rows(asked: &[(usize, RedisKey)]) -> HashMap<usize, usize> {
    let mut counts = HashMap::new();
    for (at, _) in asked {
        *counts.entry(*at).or_default() += 1;
    }
    counts
}

/// The rows of which no key that the parent may have would become a row, each with the first of those keys.
fn without_parent(asked: Vec<(usize, RedisKey)>, unloadable: &BTreeMap<RedisKey, String>) -> Lost {
    let (mut lost, mut kept) = (HashMap::new(), BTreeSet::new());
    for (at, key) in asked {
        match unloadable.get(&key) {
            Some(why) => {
                lost.entry(at).or_insert_with(|| (key, why.clone()));
            }
            None => {
                kept.insert(at);
            }
        }
    }
    lost.retain(|at, _| !kept.contains(at));
    lost
}

fn would_be_skipped(reason: SkipReason) -> String {
    match reason {
        SkipReason::Gone => NOWHERE.to_owned(),
        reason => format!("would be skipped ({})", reason.code()),
    }
}

fn would_be(reason: &str) -> String {
    format!("would be rejected ({reason})")
}

/// Takes the rows at these places out of the batch.
fn reject(batch: &mut Batch, lost: &Lost) {
    if lost.is_empty() {
        return;
    }
    let mut at = 0;
    let (rejects, tally) = (&mut batch.rejects, &mut batch.tally);
    batch.rows.retain(|row| {
        let parent = lost.get(&at);
        at += 1;
        if let Some((parent, why)) = parent {
            let detail = format!("its parent {parent} {why}");
            let reject = Reject::of_row(row, "missing_parent", detail);
            match &row.group {
                Some(group) => group.reject(reject),
                None => {
                    tally.reject(&reject.reason);
                    rejects.push(reject);
                }
            }
        }
        parent.is_none()
    });
}
