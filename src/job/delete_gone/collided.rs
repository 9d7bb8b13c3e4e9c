//! Rows that another key maps to, which this run rejected for that: a key that was renamed, as a rule. Were such a row deleted since
//! its former key is gone, it would be neither here nor in Redis under a key that is loaded.

use crate::job::link::Link;
use crate::ledger;
use crate::model::{Database, Failure, RedisKey, Rivals};
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Takes such rows out of those that are gone; gives how many there were.
pub(super) async fn keep(
    link: &mut Link,
    run: Uuid,
    database: Database,
    gone: &mut BTreeMap<String, RedisKey>,
) -> Result<i64, Failure> {
    let name = |key: &RedisKey| Rivals::name(database.number, key);
    let asked: Vec<String> = gone.values().map(name).collect();
    let look = async |connection: &mut PgConnection| ledger::collisions(connection, run, &asked).await;
    let taken = link.read("looking for other keys of the same rows", look).await?;
    let all = gone.len();
    // Where not all are named, it may be any key.
    if taken.iter().any(|name| Rivals::is_more(name)) {
        gone.clear();
    } else if !taken.is_empty() {
        gone.retain(|_, key| !taken.contains(&name(key)));
    }
    Ok((all - gone.len()) as i64)
}
