//! Fields of hashes that expire by themselves: whether Redis tells when, and whether a mapping lets that go unnoticed.

use super::databases::Opened;
use crate::mapping::{Mapping, Plan};
use crate::model::{Failure, FieldTimes, Finding, RedisType, Side, ValueWanted};

/// Finds out, before rows are read, what there is to say of the TTLs of fields: a notice where a mapping wants them and
/// Redis does not tell, and a warning for each mapping that reads hashes and stores none of the TTLs that there are.
///
/// # Errors
/// Redis is gone.
pub(super) async fn judge(databases: &[Opened], plan: &Plan) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for Opened { database, source, .. } in databases {
        let mappings = plan.mappings().map(|(_, mapping)| mapping);
        let hashes: Vec<&Mapping> =
            mappings.filter(|mapping| mapping.reads(database.number) && reads_hashes(mapping)).collect();
        if hashes.iter().any(|mapping| stores_times(mapping)) {
            source.tells_field_expiry().await?;
        }
        let losing = |mapping: &&Mapping| !stores_times(mapping) && !mapping.wanted().dump;
        let losing: Vec<&Mapping> = hashes.into_iter().filter(losing).collect();
        if losing.is_empty() {
            continue;
        }
        let count = source.hashes_with_field_expiry().await?.unwrap_or(0);
        if count > 0 {
            findings.extend(losing.into_iter().map(|mapping| lost(mapping, (database.number, count))));
        }
    }
    Ok(findings)
}

fn reads_hashes(mapping: &Mapping) -> bool {
    let wanted = mapping.wanted();
    wanted.types.has(RedisType::Hash) && wanted.value != ValueWanted::Never
}

fn stores_times(mapping: &Mapping) -> bool {
    mapping.wanted().fields != FieldTimes::Unasked
}

fn lost(mapping: &Mapping, (database, count): (u8, u64)) -> Finding {
    let message = format!(
        "fields of hashes in database {database} have a TTL of their own (hashes with such fields: {count}), and the mapping \
         stores none: its rows will not tell when a field was to go"
    );
    let hint = "Where that matters, set `explode = true` and give a column `from = [\"element.expires_at\"]`.";
    Finding::warning(Side::Redis, format!("mapping {}", mapping.name()), message, hint)
}
