//! Fields of hashes that expire by themselves: whether Redis tells when, and whether a mapping lets that go unnoticed.

use crate::job::databases::Opened;
use crate::mapping::{Mapping, Plan};
use crate::model::{Failure, FieldTimes, Finding, RedisType, Side, ValueWanted};
use crate::source::redis::RedisSource;

/// Finds out, before rows are read, what there is to say of the TTLs of fields: a warning for each mapping that wants
/// them where Redis does not tell, and one for each mapping that reads hashes and stores none of the TTLs that there are.
///
/// # Errors
/// Redis is gone.
pub(super) async fn judge(databases: &[Opened], plan: &Plan) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for Opened { database, source, .. } in databases {
        let mappings = plan.mappings().map(|(_, mapping)| mapping);
        let hashes: Vec<&Mapping> =
            mappings.filter(|mapping| mapping.reads(database.number) && reads_hashes(mapping)).collect();
        let storing: Vec<&&Mapping> = hashes.iter().filter(|mapping| stores_times(mapping)).collect();
        if !storing.is_empty()
            && let Some(why) = source.hides_field_expiry().await?
        {
            findings.extend(storing.into_iter().map(|mapping| hidden(mapping, source, &why)));
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

fn hidden(mapping: &Mapping, source: &RedisSource, why: &str) -> Finding {
    let message = format!("element.expires_at and element.ttl are null: {why}");
    let hint = format!("It takes Redis 7.4 or Valkey 9, and the right: ACL SETUSER {} +hpexpiretime", source.user());
    Finding::warning(Side::Redis, format!("mapping {}", mapping.name()), message, hint)
}

fn lost(mapping: &Mapping, (database, count): (u8, u64)) -> Finding {
    let message = format!(
        "fields of hashes in database {database} have a TTL of their own (hashes with such fields: {count}), and the mapping \
         stores none: its rows will not tell when a field was to go"
    );
    let hint = "Where that matters, set `explode = true` and give a column `from = [\"element.expires_at\"]`.";
    Finding::warning(Side::Redis, format!("mapping {}", mapping.name()), message, hint)
}
