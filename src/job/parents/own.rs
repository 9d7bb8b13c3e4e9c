//! Rows that refer to rows of their own table, and came before them: they are tried again, parents first, until a round
//! makes no progress.

use super::order::Order;
use super::{Asking, PAGE, Retrying, load_parents, parents_of, retry_page};
use crate::job::pipeline::Transformer;
use crate::ledger::{self, Pending};
use crate::model::{Failure, MappingId, RedisKey, Row};
use crate::source::Source;
use std::collections::{BTreeMap, HashMap};

/// Keys that are put in order at once. Beyond it another round finds what this one could not.
const ORDERED: usize = 100_000;

/// Tries what waits for rows of its own table, as long as that loads something. What is left then waits for the last try.
///
/// # Errors
/// As the source and the loader give them.
pub(super) async fn settle<S: Source>(retrying: &mut Retrying<'_, S>, mappings: &[MappingId]) -> Result<(), Failure> {
    let refers = |id: &&MappingId| retrying.table(**id).is_some_and(|table| table.refers_to_itself());
    let own: Vec<MappingId> = mappings.iter().filter(refers).copied().collect();
    let mut asked = false;
    let mut left = retrying.waiting(&own).await?;
    while left > 0 && !retrying.shared.stop.cut() {
        for id in &own {
            round(retrying, *id).await?;
        }
        let now = retrying.waiting(&own).await?;
        if now < left {
            left = now;
            continue;
        }
        // What no scan listed may be in Redis all the same.
        if asked {
            break;
        }
        asked = true;
        let mut loaded = 0;
        for id in &own {
            loaded += ask_for_parents(retrying, *id).await?;
        }
        if loaded == 0 {
            break;
        }
        left = retrying.waiting(&own).await?;
    }
    Ok(())
}

/// Tries each key of a mapping that waits now once, parents first.
async fn round<S: Source>(retrying: &mut Retrying<'_, S>, id: MappingId) -> Result<(), Failure> {
    // What is rejected again is written anew, behind this.
    let Some(until) = retrying.last_waiting(id).await? else { return Ok(()) };
    let mut after = 0;
    loop {
        let mut order = Order::default();
        while order.len() < ORDERED {
            let pending = retrying.page(id, (after, until)).await?;
            let Some(last) = pending.last() else { break };
            after = last.id;
            put_in_order(retrying, id, &pending, &mut order).await?;
        }
        if order.len() == 0 {
            return Ok(());
        }
        for ids in order.pages(PAGE as usize) {
            if retrying.shared.stop.cut() {
                return Ok(());
            }
            let pending = retrying.by_id(&ids).await?;
            retry_page(retrying, id, pending, Asking::Others).await?;
        }
    }
}

/// Reads keys that wait and notes what their rows refer to.
async fn put_in_order<S: Source>(
    retrying: &Retrying<'_, S>,
    id: MappingId,
    pending: &[Pending],
    order: &mut Order,
) -> Result<(), Failure> {
    let mapping = retrying.shared.plan.mapping(id);
    let Some(table) = retrying.table(id) else { return Ok(()) };
    let keys: Vec<RedisKey> = pending.iter().map(|pending| pending.key.clone()).collect();
    let (mut read, mut begin) = (0, 0);
    while let Some(records) = retrying.read(id, &keys, &mut read).await? {
        let made = Transformer::new(retrying.shared.clock).transform(mapping, records);
        let mut rows: HashMap<&RedisKey, Vec<&Row>> = HashMap::new();
        for row in &made.rows {
            rows.entry(&row.key).or_default().push(row);
        }
        for pending in pending.get(begin..read).unwrap_or_default() {
            let own = rows.remove(&pending.key).unwrap_or_default();
            order.add(pending.id, own, &table.own_references);
        }
        begin = read;
    }
    Ok(())
}

/// Reads from Redis the parents that are neither loaded nor waiting themselves, and their parents in turn; gives how
/// many there were.
async fn ask_for_parents<S: Source>(retrying: &mut Retrying<'_, S>, id: MappingId) -> Result<usize, Failure> {
    let (mut after, mut loaded) = (0, 0);
    loop {
        // Parents that wait in their turn are written behind their children.
        let pending = retrying.page(id, (after, i64::MAX)).await?;
        let Some(last) = pending.last() else { return Ok(loaded) };
        after = last.id;
        if retrying.shared.stop.cut() {
            return Ok(loaded);
        }
        let mapping = retrying.shared.plan.mapping(id);
        let keys: Vec<RedisKey> = pending.into_iter().map(|pending| pending.key).collect();
        let (mut parents, mut read): (Vec<RedisKey>, usize) = (Vec::new(), 0);
        while let Some(records) = retrying.read(id, &keys, &mut read).await? {
            let own = parents_of(mapping, &records).into_iter().filter(|(_, parent, _)| *parent == id);
            parents.extend(own.map(|(_, _, key)| key));
        }
        parents.sort();
        parents.dedup();
        let waiting = retrying.waiting_among(id, &parents).await?;
        parents.retain(|key| waiting.binary_search(key).is_err());
        if !parents.is_empty() {
            loaded += load_parents(retrying, (id, &parents), true, &mut BTreeMap::new()).await?;
        }
    }
}

impl<S: Source> Retrying<'_, S> {
    /// How many keys of these mappings wait.
    async fn waiting(&mut self, mappings: &[MappingId]) -> Result<i64, Failure> {
        let names: Vec<String> = mappings.iter().map(|id| self.shared.plan.mapping(*id).name().to_owned()).collect();
        if names.is_empty() {
            return Ok(0);
        }
        let (shard, database) = (self.shard, self.shared.database);
        let count = async |connection: &mut _| ledger::pending_count(connection, shard, (&names, database)).await;
        Ok(self.link.read("counting the children to try again", count).await?.0)
    }

    /// The place of the last key of a mapping that waits.
    async fn last_waiting(&mut self, id: MappingId) -> Result<Option<i64>, Failure> {
        let (shard, database) = (self.shard, self.shared.database);
        let names = [self.shared.plan.mapping(id).name().to_owned()];
        let count = async |connection: &mut _| ledger::pending_count(connection, shard, (&names, database)).await;
        Ok(self.link.read("counting the children to try again", count).await?.1)
    }

    async fn by_id(&mut self, ids: &[i64]) -> Result<Vec<Pending>, Failure> {
        let shard = self.shard;
        let read = async |connection: &mut _| ledger::pending_by_id(connection, shard, ids).await;
        self.link.read("reading the children to try again", read).await
    }

    /// Those of the keys that wait, sorted.
    async fn waiting_among(&mut self, id: MappingId, keys: &[RedisKey]) -> Result<Vec<RedisKey>, Failure> {
        let (shard, of) = (self.shard, (self.shared.plan.mapping(id).name(), self.shared.database));
        let read = async |connection: &mut _| ledger::pending_among(connection, shard, of, keys).await;
        self.link.read("reading which parents wait themselves", read).await
    }
}
