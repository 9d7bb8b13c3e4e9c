//! How the settings name a cluster: some of its hosts, and what it is known by. Pure.

use crate::model::Failure;
use crate::source::redis::address::{Address, Parsed, tcp_address, whole};
use crate::source::redis::errors;
use crate::source::redis::settings::SourceSettings;
use url::Url;

/// A cluster as the settings name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source::redis) struct ClusterTarget {
    /// What it is known by.
    pub(in crate::source::redis) name: String,
    /// The nodes that are asked where the others are.
    pub(in crate::source::redis) seeds: Vec<Address>,
}

/// The first host of a cluster with what else the URL says, and the others.
pub(in crate::source::redis) fn parse(scheme: &str, rest: &str) -> Result<Parsed, Failure> {
    let scheme = if scheme == "rediss-cluster" { "rediss" } else { "redis" };
    let (credentials, rest) =
        rest.rsplit_once('@').map_or(("", rest), |(_, hosts)| rest.split_at(rest.len() - hosts.len()));
    let (hosts, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let mut hosts = hosts.split(',');
    let first = hosts.next().unwrap_or_default();
    let url = whole(Url::parse(&format!("{scheme}://{credentials}{first}{path}")), false)?;
    let more = hosts.map(|host| whole(Url::parse(&format!("{scheme}://{host}")), false)).collect::<Result<_, _>>()?;
    Ok(Parsed { url, unix: false, more: Some(more) })
}

/// What a cluster is named by.
///
/// # Errors
/// Another database than 0, or a host that is none.
pub(in crate::source::redis) fn cluster(
    settings: &SourceSettings,
    first: &Address,
    more: &[Url],
    database: u8,
) -> Result<ClusterTarget, Failure> {
    if database != 0 {
        return Err(errors::database_of_cluster(database));
    }
    let mut seeds = vec![first.clone()];
    for url in more {
        seeds.push(tcp_address(url)?.0);
    }
    let name = settings.cluster_name.clone().filter(|name| !name.is_empty());
    Ok(ClusterTarget { name: name.unwrap_or_else(|| first.place()), seeds })
}

#[cfg(test)]
mod tests {
    use crate::source::redis::address::Address;
    use crate::source::redis::settings::SourceSettings;
    use crate::source::redis::target::Target;

    fn named(url: &str) -> Target {
        Target::parse(&SourceSettings::new(url)).unwrap()
    }

    #[test]
    fn a_cluster_is_named_by_some_of_its_hosts_and_known_by_the_first_or_its_name() {
        let target = named("redis-cluster://u:p%40w@a:7000,[::1],b:1");
        let cluster = target.cluster.clone().unwrap();
        let places: Vec<String> = cluster.seeds.iter().map(Address::place).collect();
        assert_eq!(places, ["a:7000", "[::1]:6379", "b:1"]);
        assert_eq!((target.username.as_deref(), target.password.as_deref()), (Some("u"), Some("p@w")));
        assert_eq!(
            (target.to_string(), target.identity()),
            ("redis-cluster://a:7000".into(), "cluster a:7000/0".into())
        );
        let settings =
            SourceSettings { cluster_name: Some("cache".into()), ..SourceSettings::new("rediss-cluster://a") };
        let target = Target::parse(&settings).unwrap();
        assert_eq!(
            (target.to_string(), target.identity()),
            ("rediss-cluster://a:6379".into(), "cluster cache/0".into())
        );
        assert!(matches!(target.address, Address::Tcp { tls: true, .. }));
        assert!(named("redis-cluster://a/0").cluster.is_some());
    }
}
