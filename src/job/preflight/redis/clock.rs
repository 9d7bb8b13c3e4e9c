//! What takes Redis's clock, where this user may not ask for the time.

use crate::mapping::{Mapping, MappingSpec, Plan};
use crate::model::{FieldTimes, Finding, Side};

/// Mappings that go by the time that keys have left.
pub(super) fn least_times(specs: &[MappingSpec]) -> impl Iterator<Item = Finding> {
    specs.iter().filter(|spec| spec.min_ttl.is_some()).map(|spec| without_clock(&spec.name, "min_ttl"))
}

/// Mappings with a source that is worked out from the clock for each key.
pub(super) fn times_left(plan: &Plan) -> impl Iterator<Item = Finding> {
    plan.mappings().filter_map(|(_, mapping)| Some(without_clock(mapping.name(), timed_by(mapping)?)))
}

fn timed_by(mapping: &Mapping) -> Option<&'static str> {
    let wanted = mapping.wanted();
    match wanted.fields {
        _ if wanted.ttl => Some("redis.ttl"),
        FieldTimes::ExpiryAndTtl => Some("element.ttl"),
        _ => None,
    }
}

fn without_clock(mapping: &str, what: &str) -> Finding {
    let message = format!("the user may not ask for the time (TIME), and the mapping has `{what}`");
    let hint = format!("Let it: ACL SETUSER … +time. Or take `{what}` out.");
    Finding::critical(Side::Redis, format!("mapping {mapping}"), message, hint)
}
