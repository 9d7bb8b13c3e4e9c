//! Rows that another key maps to, which this run rejected for that: a key that was renamed, as a rule. Were such a row deleted since
//! its former key is gone, it would be neither here nor in Redis under a key that is loaded.

use crate::job::link::Link;
use crate::ledger;
use crate::model::{Database, Failure, RedisKey};
use crate::sink::same_row_as;
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
    let told = |key: &RedisKey| [same_row_as(key), same_row_as(&format_args!("{key} of database {}", database.number))];
    let asked: Vec<String> = gone.values().flat_map(told).collect();
    let look = async |connection: &mut PgConnection| ledger::collisions(connection, run, &asked).await;
    let taken = link.call("looking for other keys of the same rows", look).await?;
    let all = gone.len();
    if !taken.is_empty() {
        gone.retain(|_, key| !told(key).iter().any(|text| taken.contains(text)));
    }
    Ok((all - gone.len()) as i64)
}
