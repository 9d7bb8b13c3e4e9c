//! What is to be known of a restore beside its numbers.

use super::Checked;
use crate::config::clean;
use crate::source::redis::RedisSource;

/// What was seen on the way, of all databases.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) dumps_refused: u64,
    pub(super) lost_pending: u64,
    pub(super) hashes_built: u64,
}

/// What else is to be known. `logical`: whether the backup is of another kind of server.
pub(super) fn notices(checked: &Checked, logical: bool, redis: &RedisSource, seen: &Seen) -> Vec<String> {
    let Seen { dumps_refused: dumps, lost_pending: pending, hashes_built } = seen;
    let mut notices = Vec::new();
    if logical {
        let told = |flavour: Option<&str>, version: Option<&str>| {
            clean(&format!("{} {}", flavour.unwrap_or("a server"), version.unwrap_or("of unknown version")))
        };
        let of_file = told(checked.header.flavour.as_deref(), checked.header.redis_version.as_deref());
        let here = redis.server().map_or_else(
            || "a server that does not tell its version".to_owned(),
            |server| told(Some(&server.flavour), server.version.as_deref()),
        );
        notices.push(format!(
            "the backup is of {of_file}, this is {here}: keys go back by their logical form, not by their dump"
        ));
    }
    if let Some(eviction) = redis.server().and_then(|server| server.eviction.as_ref()) {
        let (limit, policy) = (eviction.limit, &eviction.policy);
        notices.push(format!("Redis gives up keys once it holds {limit} bytes ({policy}): others, or those restored"));
    }
    if *dumps > 0 {
        notices.push(format!("{dumps} dumps were not taken by the server: these keys went back by their logical form"));
    }
    if *pending > 0 {
        notices.push(format!("{pending} pending entries of streams are gone, and could not be made pending again"));
    }
    if checked.header.fields_untold && *hashes_built > 0 {
        notices.push(format!(
            "Redis did not tell when fields of hashes expire while the backup was made: {hashes_built} hashes were made again \
             without such times, and any field that had one stays for ever"
        ));
    }
    notices
}
