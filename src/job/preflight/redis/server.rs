//! What a person should know of the server before it is read: what it is, whether it keeps its keys, and which databases
//! no mapping reads.

use crate::model::{Failure, Finding, Severity, Side};
use crate::source::redis::{Eviction, RedisSource, Replica, ServerFacts};

/// The oldest release that the tests run against.
const TESTED: (u64, u64) = (7, 0);
/// From this share of its memory on, in percent, a server is taken to be about to give up keys.
const NEARLY_FULL: u64 = 90;
/// Databases that are named at most.
const NAMED: usize = 8;

/// Whether the source is one node of a cluster, asked as if it were a server by itself.
pub(in crate::job) fn is_node_of_cluster(source: &RedisSource) -> bool {
    !source.is_cluster() && source.server().is_some_and(|server| server.cluster)
}

/// What there is to say of a server that is only read, where it can be.
///
/// # Errors
/// It cannot.
pub(in crate::job) fn judge_server(source: &RedisSource) -> Result<Vec<String>, Failure> {
    let findings = judge(source, false);
    if findings.iter().any(|finding| finding.severity == Severity::Critical) {
        return Err(Failure::findings(findings));
    }
    Ok(findings.iter().map(Finding::to_string).collect())
}

/// What there is to say of the server. `ahead`: of what will matter to a cleanup as well, as a note.
pub(super) fn judge(source: &RedisSource, ahead: bool) -> Vec<Finding> {
    let server = source.server();
    if is_node_of_cluster(source) {
        return vec![node(source)];
    }
    let mut findings = Vec::new();
    if source.run_id().is_none() {
        findings.push(untold(source, server.is_some()));
    }
    let Some(server) = server else { return findings };
    findings.extend(old(server));
    // Of a cluster the primaries are read, whichever node answered first.
    findings.extend(server.replica.as_ref().filter(|_| !source.is_cluster()).map(replica));
    if let Some(eviction) = &server.eviction {
        findings.extend(evicting(eviction));
        findings.extend(touched(source, eviction));
    }
    if ahead && server.unsaved {
        let message = "its last attempt to save to disk failed: it may refuse the deletes of a later cleanup";
        let hint = "A run needs no more than to read. What went wrong is in Redis's log.";
        findings.push(Finding::note(Side::Redis, "persistence", message, hint));
    }
    findings
}

fn node(source: &RedisSource) -> Finding {
    let message = "it is a node of a Redis Cluster: it holds a part of the keys only";
    let hint = "Name the cluster: redis-cluster:// instead of redis:// in source.url / --from.";
    Finding::critical(Side::Redis, source.display(), message, hint)
}

fn untold(source: &RedisSource, answers: bool) -> Finding {
    let message = if answers {
        "it does not tell its run id: the scan starts again after every reconnection"
    } else {
        "INFO is refused: a restart cannot be told from a lost connection (the scan starts again after either), and \
         nothing is known of version, memory and other databases"
    };
    Finding::warning(Side::Redis, "INFO", message, format!("ACL SETUSER {} +info", source.user()))
}

fn old(server: &ServerFacts) -> Option<Finding> {
    let version = server.version.as_deref().filter(|_| server.release().is_some_and(|release| release < TESTED))?;
    let message = "it is older than 7.0, the oldest that redis2pg is tested with. Times of expiry are asked for key by key, \
                   and by way of the time that is left";
    let hint = "Rehearse with --dry-run, and compare a few rows after the run.";
    Some(Finding::warning(Side::Redis, format!("version {version}"), message, hint))
}

fn replica(Replica { of, connected, down_for }: &Replica) -> Finding {
    if *connected {
        let message =
            format!("it is a replica of {of}: the latest writes may not have arrived, and it takes no cleanup");
        return Finding::warning(
            Side::Redis,
            "replica",
            message,
            "That is fine for a load that a later one goes over.",
        );
    }
    let since = down_for.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
    let message =
        format!("its link to {of}, whose replica it is, is down{since}: what it holds is old, and getting older");
    Finding::warning(
        Side::Redis,
        "replica",
        message,
        "Mend the replication, or point source.url / --from at the primary.",
    )
}

/// Keys that may vanish while they are read.
fn evicting(eviction: &Eviction) -> Option<Finding> {
    let percent = eviction.used.saturating_mul(100).checked_div(eviction.limit)?;
    let Eviction { policy, limit, .. } = eviction;
    (percent >= NEARLY_FULL).then(|| {
        let message = format!(
            "{percent} % of maxmemory ({limit} bytes) are in use, and maxmemory-policy is {policy}: keys may be evicted \
             before they are read"
        );
        Finding::warning(Side::Redis, "memory", message, "Raise maxmemory for the time of the run.")
    })
}

fn touched(source: &RedisSource, Eviction { policy, .. }: &Eviction) -> Option<Finding> {
    let by_use = policy.contains("lru") || policy.contains("lfu");
    (by_use && source.touches()).then(|| {
        let message = format!(
            "it evicts by use (maxmemory-policy {policy}) and cannot read without touching (CLIENT NO-TOUCH, Redis 7.2): \
             reading makes all keys look recently used"
        );
        Finding::warning(Side::Redis, "eviction", message, "Where that matters, read a replica.")
    })
}

/// Databases that hold keys and that nobody reads.
pub(super) fn unread(source: &RedisSource, read: &[u8]) -> Option<Finding> {
    let is_read = |number: u64| u8::try_from(number).is_ok_and(|number| read.contains(&number));
    let keyspace = &source.server()?.keyspace;
    let others: Vec<(u64, u64)> = keyspace.iter().copied().filter(|(number, _)| !is_read(*number)).collect();
    let first = others.first()?;
    let name = |(number, keys): &(u64, u64)| format!("{number} ({keys} {})", if *keys == 1 { "key" } else { "keys" });
    let mut named: Vec<String> = others.iter().take(NAMED).map(name).collect();
    if others.len() > NAMED {
        named.push(format!("{} more", others.len() - NAMED));
    }
    let message = format!("no mapping reads these, and they hold keys: {}", named.join(", "));
    // What a mapping names takes the place of the source's own.
    let mut listed = [u64::from(source.database()), first.0];
    listed.sort_unstable();
    let hint = format!("Where they are to move too, name them in a mapping, such as `databases = {listed:?}`.");
    Some(Finding::warning(Side::Redis, "other databases", message, hint))
}

#[cfg(test)]
mod tests {
    use super::{evicting, old, replica};
    use crate::source::redis::{Eviction, Replica, ServerFacts};

    #[test]
    fn a_server_is_warned_of_when_it_is_nearly_full() {
        let eviction = |used| Eviction { policy: "allkeys-lru".to_owned(), limit: 1000, used };
        assert_eq!(evicting(&eviction(899)), None);
        let told = evicting(&eviction(900)).unwrap().message;
        assert!(told.contains("90 %") && told.contains("allkeys-lru"), "{told}");
        assert_eq!(evicting(&Eviction { limit: 0, ..eviction(1) }), None);
    }

    #[test]
    fn versions_before_the_oldest_tested_one_are_told() {
        let server = |version: &str| ServerFacts { version: Some(version.to_owned()), ..ServerFacts::default() };
        assert!(old(&server("6.2.14")).unwrap().subject.contains("6.2.14"));
        assert_eq!((old(&server("7.0.0")), old(&server("10.0")), old(&ServerFacts::default())), (None, None, None));
    }

    #[test]
    fn a_replica_says_whose_it_is_and_since_when_it_is_alone() {
        let told = |connected, down_for| replica(&Replica { of: "h:1".to_owned(), connected, down_for }).message;
        assert!(told(true, None).contains("a replica of h:1"));
        assert!(told(false, Some(7)).contains("down for 7 s"));
    }
}
