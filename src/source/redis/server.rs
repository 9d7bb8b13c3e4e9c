//! What a server says of itself (INFO), as far as it matters to somebody who is about to read all of it.

use super::{RedisSource, bytes_of};
use crate::model::Failure;

/// What INFO told when the connection was made. What a server leaves out is as if it were not so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// The version that it gives itself.
    pub version: Option<String>,
    /// What it is: `redis`, or a name that it gives itself, such as `valkey`.
    pub flavour: String,
    /// The id of this process.
    pub run_id: Option<String>,
    /// `master` or `slave`.
    pub role: Option<String>,
    /// Whether it is a node of a Redis Cluster.
    pub cluster: bool,
    /// Whose replica it is, where it is one.
    pub replica: Option<Replica>,
    /// The limit of its memory, where it has one and gives up keys at it.
    pub eviction: Option<Eviction>,
    /// Whether its last attempt to save to disk failed.
    pub unsaved: bool,
    /// How many keys each of its databases holds, those without keys left out; by number.
    pub keyspace: Vec<(u64, u64)>,
}

/// What a replica says of its primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Host and port of the primary.
    pub of: String,
    /// Whether it is connected to it.
    pub connected: bool,
    /// Seconds since it was, where it is not and tells.
    pub down_for: Option<u64>,
}

/// How a server gives up keys when its memory is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eviction {
    /// `maxmemory-policy`, such as `allkeys-lru`.
    pub policy: String,
    /// The limit, in bytes.
    pub limit: u64,
    /// Bytes in use.
    pub used: u64,
}

impl ServerFacts {
    /// Reads an answer to INFO.
    pub(super) fn read(info: &str) -> Self {
        let text = |name: &str| field(info, name).map(str::to_owned);
        let number = |name: &str| field(info, name).and_then(|number| number.parse::<u64>().ok());
        let is = |name: &str, value: &str| field(info, name) == Some(value);
        let policy = text("maxmemory_policy").filter(|policy| policy != "noeviction");
        let limit = number("maxmemory").filter(|limit| *limit > 0);
        let eviction = policy.zip(limit).map(|(policy, limit)| {
            let used = number("used_memory").unwrap_or(0);
            Eviction { policy, limit, used }
        });
        let replica = is("role", "slave").then(|| Replica {
            of: format!("{}:{}", text("master_host").unwrap_or_default(), text("master_port").unwrap_or_default()),
            connected: is("master_link_status", "up"),
            down_for: number("master_link_down_since_seconds"),
        });
        Self {
            version: text("redis_version"),
            flavour: flavour(info),
            run_id: text("run_id"),
            role: text("role"),
            cluster: is("cluster_enabled", "1"),
            replica,
            eviction,
            unsaved: is("rdb_last_bgsave_status", "err") || is("aof_last_write_status", "err"),
            keyspace: info.lines().filter_map(keys_of).collect(),
        }
    }

    /// The parts of the version that are numbers, such as (7, 0) for 7.0.15.
    pub fn release(&self) -> Option<(u64, u64)> {
        let mut parts = self.version.as_ref()?.split('.').map(str::parse::<u64>);
        Some((parts.next()?.ok()?, parts.next().and_then(Result::ok).unwrap_or(0)))
    }
}

impl RedisSource {
    /// What the server said of itself when the connection was made; `None` where INFO is refused.
    pub fn server(&self) -> Option<&ServerFacts> {
        self.inner.abilities.server.as_ref()
    }

    /// The id of the history that the server's data had before its last promotion (`master_replid2`): another one once it was a replica and
    /// became a primary again. `None` where it was never promoted, or does not tell. (`master_replid` changes with the first replica
    /// that comes, and an hour after the last has gone, too.)
    ///
    /// # Errors
    /// The server is gone.
    pub async fn promoted_from(&self) -> Result<Option<String>, Failure> {
        let told = self.told("INFO", vec!["replication".into()]).await?.and_then(bytes_of);
        let id = told.and_then(|told| field(&String::from_utf8_lossy(&told), "master_replid2").map(str::to_owned));
        Ok(id.filter(|id| id.bytes().any(|digit| digit != b'0')))
    }

    /// How many keys the server has evicted since it was started, in all of its databases; `None` where it does not tell.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn evicted(&self) -> Result<Option<u64>, Failure> {
        let told = self.told("INFO", vec!["stats".into()]).await?.and_then(bytes_of);
        Ok(told.and_then(|told| field(&String::from_utf8_lossy(&told), "evicted_keys")?.parse().ok()))
    }
}

/// What a server is. Valkey says so; others give a version under a name of their own.
fn flavour(info: &str) -> String {
    let versioned = || {
        let mut own = ["valkey", "dragonfly", "keydb"].into_iter();
        own.find(|name| field(info, &format!("{name}_version")).is_some())
    };
    field(info, "server_name").or_else(versioned).unwrap_or("redis").to_owned()
}

/// The value of `name:` in an answer to INFO.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

/// The number of a database and how many keys it holds, from a line such as `db0:keys=5,expires=0,avg_ttl=0`.
fn keys_of(line: &str) -> Option<(u64, u64)> {
    let (number, counts) = line.trim().strip_prefix("db")?.split_once(":keys=")?;
    Some((number.parse().ok()?, counts.split(',').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Eviction, Replica, ServerFacts, field};

    #[test]
    fn fields_of_info_are_found_by_their_whole_name() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrun_id_old:x\r\nrun_id:abc\r\n";
        assert_eq!(field(info, "run_id"), Some("abc"));
        assert_eq!(field(info, "redis_version"), Some("7.0.15"));
        assert_eq!(field(info, "version"), None);
    }

    #[test]
    fn a_server_that_is_not_redis_says_so() {
        let flavour = |info: &str| ServerFacts::read(info).flavour;
        assert_eq!(flavour("redis_version:7.0.15\r\n"), "redis");
        assert_eq!(flavour("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\n"), "valkey");
        assert_eq!(flavour("redis_version:7.4.0\r\ndragonfly_version:df-v1.27\r\n"), "dragonfly");
    }

    #[test]
    fn a_primary_that_evicts_nothing_has_little_to_say() {
        let facts = ServerFacts::read(
            "redis_version:7.2.4\r\nrun_id:a\r\nrole:master\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n\
             rdb_last_bgsave_status:ok\r\ncluster_enabled:0\r\ndb0:keys=5,expires=1,avg_ttl=9\r\ndb12:keys=1\r\n",
        );
        assert_eq!((facts.replica, facts.eviction, facts.unsaved, facts.cluster), (None, None, false, false));
        assert_eq!(facts.keyspace, [(0, 5), (12, 1)]);
        let full = "maxmemory:100\r\nused_memory:95\r\nmaxmemory_policy:";
        let evicting = |policy: &str| ServerFacts::read(&format!("{full}{policy}\r\n")).eviction;
        let policy = "volatile-ttl".to_owned();
        assert_eq!(evicting("volatile-ttl"), Some(Eviction { policy, limit: 100, used: 95 }));
        assert_eq!(evicting("noeviction"), None);
    }

    #[test]
    fn a_replica_names_its_primary_and_versions_are_compared_by_number() {
        let facts = ServerFacts::read(
            "redis_version:10.1\r\nrole:slave\r\nmaster_host:h\r\nmaster_port:1\r\nmaster_link_status:down\r\n\
             master_link_down_since_seconds:7\r\n",
        );
        assert_eq!(facts.replica, Some(Replica { of: "h:1".to_owned(), connected: false, down_for: Some(7) }));
        assert_eq!(facts.release(), Some((10, 1)));
        let release = |version: &str| ServerFacts::read(&format!("redis_version:{version}")).release();
        assert_eq!((release("6"), release("x")), (Some((6, 0)), None));
    }
}
