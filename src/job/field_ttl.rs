//! Fields of hashes that expire by themselves: whether Redis tells when, and whether a mapping lets that go unnoticed.

use crate::mapping::{Mapping, Plan};
use crate::model::{Failure, FieldTimes, Finding, RedisType, Side, ValueWanted};
use crate::source::redis::RedisSource;

/// Finds out, before rows are read, what there is to say of the TTLs of fields: a notice where a mapping wants them and
/// Redis does not tell, and a warning for each mapping that reads hashes and stores none of the TTLs that there are.
///
/// # Errors
/// Redis is gone.
pub(super) async fn judge(source: &RedisSource, plan: &Plan) -> Result<Vec<Finding>, Failure> {
    let hashes = || plan.mappings().map(|(_, mapping)| mapping).filter(|mapping| reads_hashes(mapping));
    if hashes().any(stores_times) {
        source.tells_field_expiry().await?;
    }
    let losing: Vec<&Mapping> = hashes().filter(|mapping| !stores_times(mapping) && !mapping.wanted().dump).collect();
    if losing.is_empty() {
        return Ok(Vec::new());
    }
    let count = source.hashes_with_field_expiry().await?.unwrap_or(0);
    Ok(if count == 0 { Vec::new() } else { losing.into_iter().map(|mapping| lost(mapping, count)).collect() })
}

fn reads_hashes(mapping: &Mapping) -> bool {
    let wanted = mapping.wanted();
    wanted.types.has(RedisType::Hash) && wanted.value != ValueWanted::Never
}

fn stores_times(mapping: &Mapping) -> bool {
    mapping.wanted().fields != FieldTimes::Unasked
}

fn lost(mapping: &Mapping, count: u64) -> Finding {
    let message = format!(
        "fields of hashes in this database have a TTL of their own (hashes with such fields: {count}), and the mapping \
         stores none: its rows will not tell when a field was to go"
    );
    let hint = "Where that matters, set `explode = true` and give a column `from = [\"element.expires_at\"]`.";
    Finding::warning(Side::Redis, format!("mapping {}", mapping.name()), message, hint)
}
