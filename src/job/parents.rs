//! Parents that are missing: looked for once more before a child is given up, since the cache is alive while it moves.

use super::link::Link;
use super::pipeline::{Made, Shared, Transformer};
use crate::ledger::{self, Pending, ShardId};
use crate::mapping::Mapping;
use crate::model::{Event, Failure, Fetched, MappingId, RedisKey, SkipReason, Wanted};
use crate::sink::{Batch, Loader};
use crate::source::Source;
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
            let page = async |connection: &mut _| {
                let of = (mapping.name(), shared.database);
                ledger::pending_page(connection, shard, of, after, PAGE).await
            };
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
    // Each key at once: its parents are looked for before any of its rows is loaded.
    let whole = Wanted { slices: false, ..mapping.wanted() };
    let records = shared.source.fetch(&keys, whole, REPLY).await?.records;
    let wanted = parents_of(mapping, &records);
    let mut unread = BTreeMap::new();
    for (parent, keys) in by_mapping(&wanted) {
        load_parents(shared, loader, (link, shard), (parent, &keys), &mut unread).await?;
    }
    for (parent, keys) in by_mapping(&wanted) {
        // What is said last is what is told: of the database that is looked at first.
        for base in shared.bases_of(parent).iter().rev() {
            let of = (base.plan.mapping(parent).name(), base.database);
            let reasons_of = async |connection: &mut _| ledger::reasons_of(connection, shard, of, &keys).await;
            let reasons = link.call("reading why parents were rejected", reasons_of).await?;
            unread.extend(reasons.into_iter().map(|(key, reason)| (key, format!("was rejected ({reason})"))));
        }
    }
    let notes = notes(&wanted, &unread);
    let mut made = Transformer::new(shared.clock).transform(mapping, records);
    // Counted with the first try.
    made.tally.altered.clear();
    let batch = Batch {
        mapping: id,
        database: shared.database,
        rows: made.rows,
        rejects: made.rejects,
        tally: made.tally,
        closed: made.closed,
        retry: true,
        gone: made.passed_over.into_iter().map(|(key, _)| key).collect(),
        notes,
        ..Batch::default()
    };
    loader.load(batch).await
}

/// What became of the parents that children name. A child has several where its parent may have several keys.
fn notes(wanted: &[(RedisKey, MappingId, RedisKey)], unread: &BTreeMap<RedisKey, String>) -> HashMap<RedisKey, String> {
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

/// The parents that children name: child, the parent's mapping, a key that the parent may have.
fn parents_of(mapping: &Mapping, records: &[Fetched]) -> Vec<(RedisKey, MappingId, RedisKey)> {
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

fn by_mapping(wanted: &[(RedisKey, MappingId, RedisKey)]) -> BTreeMap<MappingId, Vec<RedisKey>> {
    let mut sets = BTreeMap::<MappingId, BTreeSet<RedisKey>>::new();
    for (_, mapping, key) in wanted {
        sets.entry(*mapping).or_default().insert(key.clone());
    }
    sets.into_iter().map(|(mapping, keys)| (mapping, keys.into_iter().collect())).collect()
}

/// Reads parents and loads them through their own mapping. A parent is looked for in the child's own database first, then
/// in the others that its mapping reads, until one of them has it and a row is made of it.
async fn load_parents<S: Source>(
    shared: &Shared<S>,
    loader: &mut Loader,
    (link, shard): (&mut Link, ShardId),
    (id, keys): (MappingId, &[RedisKey]),
    unread: &mut BTreeMap<RedisKey, String>,
) -> Result<(), Failure> {
    let mut keys = keys.to_vec();
    for base in shared.bases_of(id) {
        if keys.is_empty() {
            break;
        }
        let made = load_from(&shared.within(&base), loader, (link, shard), (id, &keys), unread).await?;
        keys.retain(|key| !made.contains(key));
    }
    Ok(())
}

/// Loads the parents that are in the database at hand; gives the keys of which rows were made. Each that is there counts
/// as a sighting, but for those that were rejected earlier in this run: they are counted already, and their reject is
/// taken back by what happens now.
async fn load_from<S: Source>(
    shared: &Shared<S>,
    loader: &mut Loader,
    (link, shard): (&mut Link, ShardId),
    (id, keys): (MappingId, &[RedisKey]),
    unread: &mut BTreeMap<RedisKey, String>,
) -> Result<BTreeSet<RedisKey>, Failure> {
    let (mapping, database) = (shared.plan.mapping(id), shared.database);
    let mut records = shared.source.fetch(keys, Wanted { slices: false, ..mapping.wanted() }, REPLY).await?.records;
    records.retain(|fetched| match fetched {
        Fetched::Gone(key) => {
            unread.entry(key.clone()).or_insert_with(|| "is not in Redis".to_owned());
            false
        }
        Fetched::Forbidden(key) => {
            unread.insert(key.clone(), "may not be read by this user of Redis".to_owned());
            false
        }
        _ => true,
    });
    let mut with_rows = BTreeSet::new();
    if records.is_empty() {
        return Ok(with_rows);
    }
    let of = (mapping.name(), database);
    let reasons = async |connection: &mut _| ledger::reasons_of(connection, shard, of, keys).await;
    let rejected = link.call("reading which parents were rejected", reasons).await?;
    let rejected: BTreeSet<RedisKey> = rejected.into_iter().map(|(key, _)| key).collect();
    let (again, new): (Vec<_>, Vec<_>) = records.into_iter().partition(|fetched| rejected.contains(fetched.key()));
    let count = new.len() as u64;
    let _ = shared.events.send(Event::Listed { matched: vec![(id, count)], scanned: 0 }).await;
    for (records, retry) in [(new, false), (again, true)] {
        if records.is_empty() {
            continue;
        }
        let made = Transformer::new(shared.clock).transform(mapping, records);
        let Made { rows, rejects, tally, closed, passed_over } = made;
        let why = |reason: SkipReason| format!("was skipped ({})", reason.code());
        unread.extend(passed_over.iter().map(|(key, reason)| (key.clone(), why(*reason))));
        with_rows.extend(rows.iter().map(|row| row.key.detached()));
        let gone = passed_over.into_iter().map(|(key, _)| key).collect();
        let batch = Batch { mapping: id, database, rows, rejects, tally, closed, retry, gone, ..Batch::default() };
        loader.load(batch).await?;
    }
    unread.retain(|key, _| !with_rows.contains(key));
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
