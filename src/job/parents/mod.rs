//! Parents that are missing: looked for once more before a child is given up, since the cache is alive while it moves.

mod lineage;
mod order;
mod own;

pub(super) use lineage::ids_by_lineage;

use super::link::Link;
use super::pipeline::{Made, Shared, Transformer, passed_over};
use crate::ledger::{self, Pending, ShardId};
use crate::mapping::Mapping;
use crate::model::{Event, Failure, Fetched, MappingId, RedisKey, SkipReason, Wanted};
use crate::sink::{Batch, LoadTable, Loader};
use crate::source::Source;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Children tried again at once.
const PAGE: i64 = 500;

/// Bytes asked for at once.
const REPLY: usize = 4 << 20;

/// What children are tried again with.
pub(super) struct Retrying<'a, S: Source> {
    pub(super) shared: &'a Shared<S>,
    pub(super) tables: &'a [LoadTable],
    pub(super) loader: &'a mut Loader,
    pub(super) link: &'a mut Link,
    pub(super) shard: ShardId,
}

/// A parent that a child names: the child's key, the parent's mapping, and a key that the parent may have.
type Named = (RedisKey, MappingId, RedisKey);

/// Which parents are looked for in Redis before children are tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// All: it is the last try.
    All,
    /// Those of other mappings. What waits for rows of its own mapping is tried again after this.
    Others,
}

impl<S: Source> Retrying<'_, S> {
    fn table(&self, id: MappingId) -> Option<&LoadTable> {
        self.tables.get(usize::from(id.0))
    }

    /// The next part of some keys of a mapping behind the first `read`, each at once: its parents are looked for before any
    /// of its rows is loaded. `None` after the last.
    async fn read(&self, id: MappingId, keys: &[RedisKey], read: &mut usize) -> Result<Option<Vec<Fetched>>, Failure> {
        let Some(rest) = keys.get(*read..).filter(|rest| !rest.is_empty()) else { return Ok(None) };
        let whole = Wanted { slices: false, ..self.shared.plan.mapping(id).wanted() };
        let mut records = self.shared.source.fetch_part(rest, whole, REPLY).await?.records;
        if let Some(retry) = &self.shared.retry {
            records = retry.fill(self.shared, id, records, REPLY).await?;
        }
        *read += records.len();
        Ok(Some(records))
    }

    /// The next keys of a mapping that wait, between two places.
    async fn page(&mut self, id: MappingId, between: (i64, i64)) -> Result<Vec<Pending>, Failure> {
        let (shard, of) = (self.shard, (self.shared.plan.mapping(id).name(), self.shared.database));
        let page = async |connection: &mut _| ledger::pending_page(connection, shard, of, between, PAGE).await;
        self.link.read("reading the children to try again", page).await
    }
}

/// Tries the pending children of a phase again: reads and loads the parents that they name, then the children.
///
/// # Errors
/// As the source and the loader give them.
pub(super) async fn retry_children<S: Source>(
    mut retrying: Retrying<'_, S>,
    mappings: &[MappingId],
) -> Result<(), Failure> {
    own::settle(&mut retrying, mappings).await?;
    for id in mappings {
        let refers = retrying.table(*id).is_some_and(LoadTable::refers_to_itself);
        if retrying.shared.plan.mapping(*id).parents().is_empty() && !refers {
            continue;
        }
        let mut after = 0;
        loop {
            let pending = retrying.page(*id, (after, i64::MAX)).await?;
            let Some(last) = pending.last() else { break };
            after = last.id;
            if retrying.shared.stop.cut() {
                return Ok(());
            }
            retry_page(&mut retrying, *id, pending, Asking::All).await?;
        }
    }
    Ok(())
}

async fn retry_page<S: Source>(
    retrying: &mut Retrying<'_, S>,
    id: MappingId,
    pending: Vec<Pending>,
    asking: Asking,
) -> Result<(), Failure> {
    let keys: Vec<RedisKey> = pending.into_iter().map(|pending| pending.key).collect();
    let mut read = 0;
    while let Some(records) = retrying.read(id, &keys, &mut read).await? {
        retry_records(retrying, id, records, asking).await?;
    }
    Ok(())
}

async fn retry_records<S: Source>(
    retrying: &mut Retrying<'_, S>,
    id: MappingId,
    records: Vec<Fetched>,
    asking: Asking,
) -> Result<(), Failure> {
    let (shared, shard) = (retrying.shared, retrying.shard);
    let mapping = shared.plan.mapping(id);
    let mut wanted = parents_of(mapping, &records);
    wanted.retain(|(_, parent, _)| asking == Asking::All || *parent != id);
    let mut unread = BTreeMap::new();
    for (parent, keys) in by_mapping(&wanted) {
        load_parents(retrying, (parent, &keys), false, &mut unread).await?;
    }
    for (parent, keys) in by_mapping(&wanted) {
        // What is said last is what is told: of the database that is looked at first.
        for base in shared.bases_of(parent).iter().rev() {
            let of = (base.plan.mapping(parent).name(), base.database);
            let known = async |connection: &mut _| ledger::known(connection, shard, of, &keys, false).await;
            let known = retrying.link.read("reading why parents were rejected", known).await?;
            let open = known.into_iter().filter(|known| !known.closed);
            unread.extend(open.map(|known| (known.key, format!("was rejected ({})", known.reason))));
        }
    }
    let notes = notes(&wanted, &unread);
    // Time has passed since they were first read.
    let mut made = Transformer::new(shared.clock).transform(mapping, records).again();
    lineage::adopt(retrying, id, (&wanted, &unread), &mut made).await?;
    let (gone, left) = passed_over(shared, made.passed_over);
    let batch = Batch {
        mapping: id,
        database: shared.database,
        epoch: 0,
        rows: made.rows,
        rejects: made.rejects,
        tally: made.tally,
        closed: made.closed,
        retry: true,
        again: asking == Asking::Others,
        gone,
        left,
        notes,
        ..Batch::default()
    };
    retrying.loader.load(batch).await
}

/// What became of the parents that children name. A child has several where its parent may have several keys.
fn notes(wanted: &[Named], unread: &BTreeMap<RedisKey, String>) -> HashMap<RedisKey, String> {
    let (mut notes, mut said) = (HashMap::<RedisKey, String>::new(), BTreeSet::new());
    for (child, _, parent) in wanted {
        let Some(why) = unread.get(parent) else { continue };
        // Several elements of a child may name the same parent.
        if !said.insert((child, parent)) {
            continue;
        }
        let note = notes.entry(child.clone()).or_default();
        if !note.is_empty() {
            note.push_str("; ");
        }
        note.push_str(&format!("its parent {parent} {why}"));
    }
    notes
}

/// The parents that children name.
fn parents_of(mapping: &Mapping, records: &[Fetched]) -> Vec<Named> {
    let mut parents = Vec::new();
    for fetched in records {
        let Fetched::Record(record) = fetched else { continue };
        for parent in mapping.parents() {
            let keys = mapping.parent_keys(parent, record);
            parents.extend(keys.into_iter().map(|key| (record.key.clone(), parent.mapping, key)));
        }
    }
    parents
}

fn by_mapping(wanted: &[Named]) -> BTreeMap<MappingId, Vec<RedisKey>> {
    let mut sets = BTreeMap::<MappingId, BTreeSet<RedisKey>>::new();
    for (_, mapping, key) in wanted {
        sets.entry(*mapping).or_default().insert(key.clone());
    }
    sets.into_iter().map(|(mapping, keys)| (mapping, keys.into_iter().collect())).collect()
}

/// Reads parents and loads them through their own mapping; gives how many are there. A parent is looked for in the child's
/// own database first, then in the others that its mapping reads, until one of them has it and a row is made of it. `again`:
/// children of their own mapping are tried again after this.
async fn load_parents<S: Source>(
    retrying: &mut Retrying<'_, S>,
    (id, keys): (MappingId, &[RedisKey]),
    again: bool,
    unread: &mut BTreeMap<RedisKey, String>,
) -> Result<usize, Failure> {
    let (mut keys, mut found) = (keys.to_vec(), 0);
    for base in retrying.shared.bases_of(id) {
        if keys.is_empty() {
            break;
        }
        let shared = retrying.shared.within(&base);
        let mut there = Retrying {
            shared: &shared,
            tables: retrying.tables,
            loader: &mut *retrying.loader,
            link: &mut *retrying.link,
            shard: retrying.shard,
        };
        let (count, made) = load_from(&mut there, (id, &keys), again, unread).await?;
        found += count;
        keys.retain(|key| !made.contains(key));
    }
    Ok(found)
}

/// Loads the parents that are in the database at hand; gives how many are there, and the keys of which rows were made. Each
/// that is there counts as a sighting, but for those that were rejected earlier in this run: they are counted already, and
/// their reject is taken back by what happens now.
async fn load_from<S: Source>(
    retrying: &mut Retrying<'_, S>,
    (id, keys): (MappingId, &[RedisKey]),
    again: bool,
    unread: &mut BTreeMap<RedisKey, String>,
) -> Result<(usize, BTreeSet<RedisKey>), Failure> {
    let (shard, of) = (retrying.shard, (retrying.shared.plan.mapping(id).name(), retrying.shared.database));
    let known = async |connection: &mut _| ledger::known(connection, shard, of, keys, false).await;
    let known = retrying.link.read("reading which parents were rejected", known).await?;
    let rejected: BTreeSet<RedisKey> = known.into_iter().filter(|known| known.counted).map(|known| known.key).collect();
    let (mut read, mut found, mut with_rows) = (0, 0, BTreeSet::new());
    while let Some(mut records) = retrying.read(id, keys, &mut read).await? {
        records.retain(|fetched| match fetched {
            Fetched::Gone(key) | Fetched::Orphan(key) => {
                unread.entry(key.clone()).or_insert_with(|| "is not in Redis".to_owned());
                false
            }
            Fetched::Forbidden(key) => {
                unread.insert(key.clone(), "may not be read by this user of Redis".to_owned());
                false
            }
            _ => true,
        });
        found += records.len();
        let (known, new): (Vec<_>, Vec<_>) = records.into_iter().partition(|fetched| rejected.contains(fetched.key()));
        let listed = Event::Listed { matched: vec![(id, new.len() as u64)], scanned: 0 };
        let _ = retrying.shared.events.send(listed).await;
        for (records, retry) in [(new, false), (known, true)] {
            if !records.is_empty() {
                with_rows.extend(load_records(retrying, (id, records), (retry, again), unread).await?);
            }
        }
    }
    unread.retain(|key, _| !with_rows.contains(key));
    Ok((found, with_rows))
}

/// Loads parents that were read; gives the keys of which rows were made.
async fn load_records<S: Source>(
    retrying: &mut Retrying<'_, S>,
    (id, records): (MappingId, Vec<Fetched>),
    (retry, again): (bool, bool),
    unread: &mut BTreeMap<RedisKey, String>,
) -> Result<Vec<RedisKey>, Failure> {
    let (plan, clock, database) = (&retrying.shared.plan, retrying.shared.clock, retrying.shared.database);
    let made = Transformer::new(clock).transform(plan.mapping(id), records);
    let Made { rows, rejects, tally, closed, passed_over } = if retry { made.again() } else { made };
    let why = |reason: SkipReason| format!("was skipped ({})", reason.code());
    unread.extend(passed_over.iter().map(|(key, reason)| (key.clone(), why(*reason))));
    let with_rows = rows.iter().map(|row| row.key.detached()).collect();
    let (gone, left) = self::passed_over(retrying.shared, passed_over);
    let batch =
        Batch { mapping: id, database, rows, rejects, tally, closed, retry, again, gone, left, ..Batch::default() };
    retrying.loader.load(batch).await?;
    Ok(with_rows)
}

#[cfg(test)]
mod tests {
    use super::notes;
    use crate::model::{MappingId, RedisKey};

    #[test]
    fn a_parent_is_told_once_however_many_elements_name_it() {
        let wanted = |parent: &'static str| (RedisKey::new("l:1"), MappingId(0), RedisKey::new(parent));
        let all = [wanted("o:2"), wanted("o:3"), wanted("o:2"), wanted("o:2"), wanted("o:4")];
        let unread = ["o:2", "o:3"].map(|key| (RedisKey::new(key), "is not in Redis".to_owned())).into();
        let notes = notes(&all, &unread);
        let note = "its parent o:2 is not in Redis; its parent o:3 is not in Redis";
        assert_eq!(notes.get(&RedisKey::new("l:1")).map(String::as_str), Some(note));
    }
}
