//! What a cleanup that was interrupted left: keys of which nobody knows whether they are gone. Redis is asked.

use super::lease::{Lease, taken_over};
use crate::job::link::Link;
use crate::job::validate::Ready;
use crate::ledger::{self, Settlement, Unsettled};
use crate::model::{Failure, SkipReason};
use crate::source::Source;
use crate::source::redis::RedisSource;
use sqlx::postgres::PgConnection;
use std::collections::HashSet;

/// Keys asked for at once.
const ASKED: usize = 1000;

/// What is known of what earlier cleanups left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled {
    /// Keys that count as deleted by them.
    pub(super) deleted: i64,
    /// Keys that this user may not read: they wait for one who may.
    pub(super) untold: i64,
}

/// Settles all batches that earlier cleanups of this Redis left: keys that are not there count as deleted by them, those that
/// are there are looked at anew. These remain among the keys that went: such a key may have been deleted and made anew, and then rows of the
/// deleted one are the only copy.
///
/// # Errors
/// Those of either side.
pub(super) async fn former(ready: &mut Ready, source: &str, lease: &Lease) -> Result<Settled, Failure> {
    let left = async |connection: &mut PgConnection| ledger::unsettled(connection, source).await;
    let left = ready.link.call("looking for what an interrupted cleanup left", left).await?;
    let mut all = Settled::default();
    for batch in left {
        let redis = database_of(ready, batch.database).await?;
        let settled = settle(&mut ready.link, &batch, &redis, lease).await?;
        all.deleted += settled.deleted;
        all.untold += settled.untold;
    }
    Ok(all)
}

/// A connection to a database, perhaps one that no mapping reads any more.
async fn database_of(ready: &Ready, number: u8) -> Result<RedisSource, Failure> {
    let opened = ready.databases.iter().find(|opened| opened.database.number == number);
    match (opened, ready.databases.first()) {
        (Some(opened), _) => Ok(opened.source.clone()),
        (None, Some(other)) => other.source.with_database(number).await,
        (None, None) => Err(Failure::internal("no mapping reads any database")),
    }
}

async fn settle(link: &mut Link, left: &Unsettled, redis: &RedisSource, lease: &Lease) -> Result<Settled, Failure> {
    let id = left.batch;
    let read = async |connection: &mut PgConnection| ledger::batch_keys(connection, id).await;
    let keys = link.call("reading what an interrupted cleanup left", read).await?;
    let (mut gone, mut untold) = (HashSet::new(), HashSet::new());
    for part in keys.chunks(ASKED) {
        for (key, why) in redis.absent(part).await? {
            if why == SkipReason::Gone {
                gone.insert(key)
            } else {
                untold.insert(key)
            };
        }
    }
    let known = Settled { deleted: gone.len() as i64, untold: untold.len() as i64 };
    if untold.len() == keys.len() && !keys.is_empty() {
        return Ok(known);
    }
    let (held, deleted) = (lease.held, known.deleted);
    let anew = keys.len() as i64 - deleted - known.untold;
    let settlement = Settlement { batch: id, deleted, anew, stayed: Vec::new(), unknown: untold.iter().collect() };
    let settle =
        async |connection: &mut PgConnection| ledger::settle_cleanup_batch(connection, held, &settlement).await;
    match link.call("settling what an interrupted cleanup left", settle).await? {
        true => Ok(known),
        false => Err(taken_over()),
    }
}
