//! Parents that are missing: looked for once more before a child is given up, since the cache is alive while it moves.

use super::link::Link;
use super::pipeline::{Shared, transform};
use crate::ledger::{self, Pending, ShardId};
use crate::mapping::{Mapping, Plan, Scratch};
use crate::model::{ColumnType, Event, Failure, Fetched, MappingId, Record, RedisKey, Reject, Row};
use crate::postgres::{Target, failure, query};
use crate::sink::{Batch, LoadTable, Loader};
use crate::source::Source;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row as _};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Children tried again at once.
const PAGE: i64 = 500;

/// Bytes asked for at once.
const REPLY: usize = 4 << 20;

/// Tries the pending children of a phase again: reads and loads the parents that they name, then the children.
///
/// # Errors
/// As the source and the loader give them.
pub(super) async fn retry_children<S: Source>(
    shared: &Shared<S>,
    loader: &mut Loader,
    link: &mut Link,
    shard: ShardId,
    mappings: &[MappingId],
) -> Result<(), Failure> {
    for id in mappings {
        let mapping = shared.plan.mapping(*id);
        if mapping.parents().is_empty() {
            continue;
        }
        let mut after = 0;
        loop {
            let page =
                async |connection: &mut _| ledger::pending_page(connection, shard, mapping.name(), after, PAGE).await;
            let pending = link.call("reading the children to try again", page).await?;
            let Some(last) = pending.last() else { break };
            after = last.id;
            if shared.stop.cut() {
                return Ok(());
            }
            retry_page(shared, loader, link, shard, (*id, mapping), pending).await?;
        }
    }
    Ok(())
}

async fn retry_page<S: Source>(
    shared: &Shared<S>,
    loader: &mut Loader,
    link: &mut Link,
    shard: ShardId,
    (id, mapping): (MappingId, &Mapping),
    pending: Vec<Pending>,
) -> Result<(), Failure> {
    let keys: Vec<RedisKey> = pending.into_iter().map(|pending| pending.key).collect();
    let records = shared.source.fetch(&keys, mapping.wants_ttl(), REPLY).await?.records;
    let wanted = parents_of(mapping, &records);
    let mut unread = BTreeMap::new();
    for (parent, keys) in by_mapping(&wanted) {
        load_parents(shared, loader, (link, shard), (parent, &keys), &mut unread).await?;
    }
    for (parent, keys) in by_mapping(&wanted) {
        let name = shared.plan.mapping(parent).name();
        let reasons_of = async |connection: &mut _| ledger::reasons_of(connection, shard, name, &keys).await;
        let reasons = link.call("reading why parents were rejected", reasons_of).await?;
        unread.extend(reasons.into_iter().map(|(key, reason)| (key, format!("was rejected ({reason})"))));
    }
    let notes = wanted
        .iter()
        .filter_map(|(child, _, parent)| {
            unread.get(parent).map(|why| (child.clone(), format!("its parent {parent} {why}")))
        })
        .collect();
    let gone = records.iter().filter_map(|fetched| match fetched {
        Fetched::Gone(key) => Some(key.clone()),
        Fetched::Record(_) | Fetched::WrongType { .. } => None,
    });
    let gone = gone.collect();
    let mut made = transform(mapping, records, &mut Scratch::default());
    // Counted with the first try.
    made.tally.altered.clear();
    let batch = Batch {
        mapping: id,
        rows: made.rows,
        rejects: made.rejects,
        tally: made.tally,
        retry: true,
        gone,
        notes,
        ..Batch::default()
    };
    loader.load(batch).await
}

/// The parents that children name: child, the parent's mapping, the parent's key.
fn parents_of(mapping: &Mapping, records: &[Fetched]) -> Vec<(RedisKey, MappingId, RedisKey)> {
    let mut parents = Vec::new();
    for fetched in records {
        let Fetched::Record(record) = fetched else { continue };
        for parent in mapping.parents() {
            if let Some(key) = mapping.parent_key(parent, record) {
                parents.push((record.key.clone(), parent.mapping, key));
            }
        }
    }
    parents
}

fn by_mapping(wanted: &[(RedisKey, MappingId, RedisKey)]) -> BTreeMap<MappingId, Vec<RedisKey>> {
    let mut sets = BTreeMap::<MappingId, BTreeSet<RedisKey>>::new();
    for (_, mapping, key) in wanted {
        sets.entry(*mapping).or_default().insert(key.clone());
    }
    sets.into_iter().map(|(mapping, keys)| (mapping, keys.into_iter().collect())).collect()
}

/// Reads parents and loads them through their own mapping. Each that is there counts as a sighting, but for those that
/// were rejected earlier in this run: they are counted already, and their reject is taken back by what happens now.
async fn load_parents<S: Source>(
    shared: &Shared<S>,
    loader: &mut Loader,
    (link, shard): (&mut Link, ShardId),
    (id, keys): (MappingId, &[RedisKey]),
    unread: &mut BTreeMap<RedisKey, String>,
) -> Result<(), Failure> {
    let mapping = shared.plan.mapping(id);
    let mut records = shared.source.fetch(keys, mapping.wants_ttl(), REPLY).await?.records;
    records.retain(|fetched| match fetched {
        Fetched::Gone(key) => {
            unread.insert(key.clone(), "is not in Redis".to_owned());
            false
        }
        Fetched::Record(_) | Fetched::WrongType { .. } => true,
    });
    if records.is_empty() {
        return Ok(());
    }
    let reasons = async |connection: &mut _| ledger::reasons_of(connection, shard, mapping.name(), keys).await;
    let rejected = link.call("reading which parents were rejected", reasons).await?;
    let rejected: BTreeSet<RedisKey> = rejected.into_iter().map(|(key, _)| key).collect();
    let (again, new): (Vec<_>, Vec<_>) = records.into_iter().partition(|fetched| rejected.contains(key_of(fetched)));
    let count = new.len() as u64;
    let _ = shared.events.send(Event::Listed { matched: vec![(id, count)], unmatched: 0, scanned: 0 }).await;
    for (records, retry) in [(new, false), (again, true)] {
        if records.is_empty() {
            continue;
        }
        let made = transform(mapping, records, &mut Scratch::default());
        let (rows, rejects, tally) = (made.rows, made.rejects, made.tally);
        loader.load(Batch { mapping: id, rows, rejects, tally, retry, ..Batch::default() }).await?;
    }
    Ok(())
}

fn key_of(fetched: &Fetched) -> &RedisKey {
    match fetched {
        Fetched::Record(record) => &record.key,
        Fetched::Gone(key) | Fetched::WrongType { key, .. } => key,
    }
}

/// The dry run's look for parents: a row in the target, or a key in Redis that would become one. Whether it would is
/// known from its value alone, so that parents are read twice.
pub(super) struct DryParents<S> {
    source: S,
    plan: Arc<Plan>,
    tables: Arc<[LoadTable]>,
    target: Target,
    connection: Option<PgConnection>,
}

impl<S: Source> DryParents<S> {
    pub(super) fn new(source: S, plan: Arc<Plan>, tables: Arc<[LoadTable]>, target: Target) -> Self {
        Self { source, plan, tables, target, connection: None }
    }

    /// Rejects the rows of a batch whose parent is nowhere.
    pub(super) async fn check(&mut self, mut batch: Batch) -> Result<Batch, Failure> {
        let plan = self.plan.clone();
        let mapping = plan.mapping(batch.mapping);
        for parent in mapping.parents() {
            let mut asked: Vec<(usize, RedisKey)> = Vec::new();
            for (at, row) in batch.rows.iter().enumerate() {
                let record = Record { key: row.key.clone(), value: row.value.clone(), expires_at: None };
                if let Some(key) = mapping.parent_key(parent, &record) {
                    asked.push((at, key));
                }
            }
            let unloadable = self.unloadable(parent.mapping, &asked).await?;
            let mut lost: HashMap<usize, (RedisKey, String)> = asked
                .into_iter()
                .filter_map(|(at, key)| unloadable.get(&key).map(|why| (at, (key.clone(), why.clone()))))
                .collect();
            self.keep_with_row(&batch, parent.column, &mut lost).await?;
            let mut at = 0;
            let (rejects, tally) = (&mut batch.rejects, &mut batch.tally);
            batch.rows.retain(|row| {
                let parent = lost.get(&at);
                at += 1;
                if let Some((parent, why)) = parent {
                    let detail = format!("its parent {parent} {why}");
                    tally.reject("missing_parent");
                    rejects.push(Reject::new(row.key.clone(), "missing_parent", detail, Some(row.value.clone())));
                }
                parent.is_none()
            });
        }
        Ok(batch)
    }

    /// The parents among these that would not become a row, and why.
    async fn unloadable(
        &self,
        parent: MappingId,
        asked: &[(usize, RedisKey)],
    ) -> Result<BTreeMap<RedisKey, String>, Failure> {
        let mapping = self.plan.mapping(parent);
        let keys: BTreeSet<&RedisKey> = asked.iter().map(|(_, key)| key).collect();
        let keys: Vec<RedisKey> = keys.into_iter().cloned().collect();
        let (mut unloadable, mut scratch) = (BTreeMap::new(), Scratch::default());
        for page in keys.chunks(PAGE as usize) {
            let records = self.source.fetch(page, false, REPLY).await?.records;
            for fetched in &records {
                if let Fetched::Gone(key) = fetched {
                    unloadable.insert(key.clone(), "is neither in Redis nor in the table".to_owned());
                }
            }
            let rejects = transform(mapping, records, &mut scratch).rejects;
            let why = |reject: &Reject| format!("would be rejected ({})", reject.reason);
            unloadable.extend(rejects.into_iter().map(|reject| (reject.key.detached(), why(&reject))));
        }
        Ok(unloadable)
    }

    /// Takes out of `lost` the children whose parent is a row already.
    async fn keep_with_row(
        &mut self,
        batch: &Batch,
        column: usize,
        lost: &mut HashMap<usize, (RedisKey, String)>,
    ) -> Result<(), Failure> {
        let tables = self.tables.clone();
        let check = tables
            .get(usize::from(batch.mapping.0))
            .and_then(|table| table.parents.iter().find(|parent| parent.column == column));
        let Some(check) = check.filter(|_| !lost.is_empty()) else { return Ok(()) };
        let columns = self.plan.mapping(batch.mapping).columns();
        let Some(column_type) = columns.get(column).map(|column| column.column_type.clone()) else { return Ok(()) };
        let references: Vec<(usize, String)> =
            lost.keys().filter_map(|at| Some((*at, reference(batch.rows.get(*at)?, column, &column_type)?))).collect();
        let texts: Vec<&str> = references.iter().map(|(_, text)| text.as_str()).collect();
        let fail = |error| failure("looking for parents", error);
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.target.connect().await?),
        };
        let mut transaction = connection.begin().await.map_err(fail)?;
        let exists = query("SELECT to_regclass($1) IS NOT NULL")
            .bind(crate::postgres::table_ident(&check.table))
            .fetch_one(&mut *transaction)
            .await
            .and_then(|row| row.try_get::<bool, _>(0))
            .map_err(fail)?;
        if exists {
            let text = format!(
                "SELECT p.{0}::text AS key FROM {1} p WHERE p.{0}::text = ANY ($1)",
                crate::postgres::ident(&check.key),
                crate::postgres::table_ident(&check.table)
            );
            let rows = query(text).bind(texts).fetch_all(&mut *transaction).await.map_err(fail)?;
            let found: BTreeSet<String> = rows.iter().filter_map(|row| row.try_get("key").ok()).collect();
            for (at, text) in &references {
                if found.contains(text) {
                    lost.remove(at);
                }
            }
        }
        transaction.rollback().await.map_err(fail)
    }
}

/// The text of a column that refers to a parent.
fn reference(row: &Row, column: usize, column_type: &ColumnType) -> Option<String> {
    let field = row.field(column)?;
    match column_type {
        ColumnType::Uuid => uuid::Uuid::from_slice(field).ok().map(|id| id.to_string()),
        ColumnType::Int4 => Some(i32::from_be_bytes(field.try_into().ok()?).to_string()),
        ColumnType::Int8 => Some(i64::from_be_bytes(field.try_into().ok()?).to_string()),
        _ => String::from_utf8(field.to_vec()).ok(),
    }
}
