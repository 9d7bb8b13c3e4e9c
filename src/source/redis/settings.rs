//! The settings of the Redis end and what a URL says. Secrets are never printed.
//!
//! Parses the URL itself: what it accepts is documented here and does not move with a library.

use super::cluster::named::{self, ClusterTarget};
use crate::flow::Stop;
use crate::model::{Failure, Side};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// The settings of the Redis end.
#[derive(Clone)]
pub struct SourceSettings {
    /// `redis://[user:pass@]host[:port][/db]`, `rediss://…` for TLS, or `redis+unix://[user:pass@]/path.sock[?db=N]`.
    /// A cluster is `redis-cluster://[user:pass@]host[:port][,host[:port]…]`, or `rediss-cluster://…` for TLS.
    /// Holds a secret where it holds a password.
    pub url: String,
    /// The ACL user; wins over the URL's.
    pub username: Option<String>,
    /// The password; wins over the URL's. A secret.
    pub password: Option<String>,
    /// The logical database; wins over the URL's.
    pub database: Option<u8>,
    /// How long the first connection may take, and each further attempt.
    pub connect_timeout: Duration,
    /// How long one command may take, its time in the queue included.
    pub command_timeout: Duration,
    /// How often a command is tried again after the connection was lost or the server was not ready.
    pub reconnect_attempts: u32,
    /// How long a server that reads its data from disk is waited for, from its first such answer on.
    pub loading_timeout: Duration,
    /// Ends that waiting.
    pub stop: Stop,
    /// COUNT of SCAN: about so many keys a page.
    pub scan_count: u32,
    /// Only keys that match this pattern are listed (SCAN's MATCH, judged by the server); `None` lists all.
    pub match_keys: Option<String>,
    /// A PEM file with more certificate authorities, for servers with a private one.
    pub ca_file: Option<PathBuf>,
    /// What a resumed run knows a cluster by; its first host and port where there is none.
    pub cluster_name: Option<String>,
}

impl SourceSettings {
    /// The defaults, for a URL: 10 s to connect, 30 s a command, 10 attempts, 10 minutes to load, 1,000 keys a page.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            username: None,
            password: None,
            database: None,
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(30),
            reconnect_attempts: 10,
            loading_timeout: Duration::from_secs(600),
            stop: Stop::new(),
            scan_count: 1000,
            match_keys: None,
            ca_file: None,
            cluster_name: None,
        }
    }

    /// Checks the URL and what goes with it. No connection is made.
    ///
    /// # Errors
    /// What is wrong with them, a kind of server that is not supported among it.
    pub fn check(&self) -> Result<(), Failure> {
        Target::parse(self).map(|_| ())
    }

    /// The server as text without credentials, such as `redis://host:6379/0`.
    pub fn display(&self) -> String {
        Target::parse(self).map_or_else(|_| "***".to_owned(), |target| target.to_string())
    }

    /// What a run of this source is known by: see [`super::RedisSource::identity`]. `None` where the settings cannot be
    /// understood.
    pub fn identity(&self) -> Option<String> {
        Target::parse(self).ok().map(|target| target.identity())
    }

    /// Whether they name a cluster as a whole.
    pub fn names_cluster(&self) -> bool {
        Target::parse(self).is_ok_and(|target| target.cluster.is_some())
    }

    /// The number of the database, where the settings name one; 0 is the default of those that do not.
    pub fn named_database(&self) -> Option<u8> {
        let of_url = || {
            let Parsed { url, unix, .. } = parse_url(&self.url).ok()?;
            let (_, database) = if unix { unix_address(&url) } else { tcp_address(&url) }.ok()?;
            database
        };
        self.database.or_else(of_url)
    }

    /// The number of the database that is connected to; `None` where the settings cannot be understood.
    pub fn own_database(&self) -> Option<u8> {
        Target::parse(self).ok().map(|target| target.database)
    }
}

impl fmt::Debug for SourceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSettings")
            .field("url", &self.display())
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("database", &self.database)
            .field("connect_timeout", &self.connect_timeout)
            .field("command_timeout", &self.command_timeout)
            .field("reconnect_attempts", &self.reconnect_attempts)
            .field("loading_timeout", &self.loading_timeout)
            .field("scan_count", &self.scan_count)
            .field("ca_file", &self.ca_file)
            .field("cluster_name", &self.cluster_name)
            .finish()
    }
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

impl Address {
    /// `host:port`, or the path of the socket.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(path) => path.display().to_string(),
        }
    }
}

/// What the settings say about the server: its address, database and credentials.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) database: u8,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    /// The cluster, where that is what is named.
    pub(super) cluster: Option<ClusterTarget>,
    /// Whether it is a node of a cluster.
    pub(super) is_node: bool,
}

/// The server as text without credentials, such as `redis://host:6379/0`.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp { tls, .. } if self.cluster.is_some() => {
                write!(f, "{}://{}", if *tls { "rediss-cluster" } else { "redis-cluster" }, self.place())
            }
            Address::Tcp { tls, .. } => {
                write!(f, "{}://{}/{}", if *tls { "rediss" } else { "redis" }, self.place(), self.database)
            }
            Address::Unix(path) => write!(f, "redis+unix://{}?db={}", path.display(), self.database),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

impl Target {
    /// Reads the settings.
    pub(super) fn parse(settings: &SourceSettings) -> Result<Self, Failure> {
        let Parsed { url, unix, more } = parse_url(&settings.url)?;
        let username = match url.username() {
            "" => None,
            name => Some(decode(name)?),
        };
        let password = url.password().map(decode).transpose()?;
        let (address, database) = if unix { unix_address(&url)? } else { tcp_address(&url)? };
        let database = settings.database.or(database).unwrap_or(0);
        let cluster = more.map(|more| named::cluster(settings, &address, &more, database)).transpose()?;
        let target = Self {
            address,
            database,
            cluster,
            is_node: false,
            username: settings.username.clone().or(username),
            password: settings.password.clone().or(password).filter(|password| !password.is_empty()),
        };
        if target.username.is_some() && target.password.is_none() {
            return Err(Failure::usage(
                Side::Settings,
                "a Redis user is given without a password (source.username)",
                "Give the password in the URL, in source.password or in its environment variable.",
            ));
        }
        Ok(target)
    }

    /// `host:port`, or the path of the socket.
    pub(super) fn place(&self) -> String {
        self.address.place()
    }

    /// A node of this cluster, with the cluster's credentials.
    pub(super) fn node(&self, address: Address) -> Self {
        Self { address, cluster: None, is_node: true, ..self.clone() }
    }

    /// What a resumed run must find again: place and database, or the cluster's name. Credentials and TLS don't matter.
    pub(super) fn identity(&self) -> String {
        if let Some(cluster) = &self.cluster {
            return format!("cluster {}/{}", cluster.name, self.database);
        }
        format!("{}/{}", self.place(), self.database)
    }

    /// A text from the server or a library with the password blotted out: some proxies echo the AUTH command.
    pub(super) fn scrub(&self, text: &str) -> String {
        self.password.as_ref().map_or_else(|| text.to_owned(), |password| text.replace(password.as_str(), "***"))
    }
}

/// A URL as far as it is understood.
pub(super) struct Parsed {
    pub(super) url: Url,
    pub(super) unix: bool,
    /// The further hosts of a cluster, each a URL of its own; `None` where none is meant.
    pub(super) more: Option<Vec<Url>>,
}

fn parse_url(text: &str) -> Result<Parsed, Failure> {
    let (scheme, rest) = text.split_once("://").ok_or_else(|| bad_url("it has no scheme"))?;
    let unix = match scheme {
        "redis" | "rediss" => false,
        "redis+unix" | "unix" => true,
        "redis-cluster" | "rediss-cluster" => return named::parse(scheme, rest),
        "redis-sentinel" | "rediss-sentinel" => {
            return Err(Failure::usage(
                Side::Settings,
                format!("{scheme}:// is not supported by this version (source.url / --from)"),
                "Name one primary with redis:// or rediss://.",
            ));
        }
        _ => return Err(bad_url("its scheme is not one of redis, rediss, redis-cluster, rediss-cluster, redis+unix")),
    };
    // A URL can't have credentials without a host; a socket has no host, so it gets one for the parser.
    let parsed = match rest.find("@/") {
        Some(at) if unix => {
            let (credentials, path) = rest.split_at(at + 1);
            Url::parse(&format!("{scheme}://{credentials}socket{path}"))
        }
        _ => Url::parse(text),
    };
    let url = whole(parsed, unix)?;
    Ok(Parsed { url, unix, more: None })
}

/// A URL without parts that would be passed over.
pub(super) fn whole(parsed: Result<Url, url::ParseError>, unix: bool) -> Result<Url, Failure> {
    let url = parsed.map_err(|error| bad_url(&error.to_string()))?;
    if url.fragment().is_some() || (!unix && url.query().is_some()) {
        return Err(bad_url("it has a part after ? or # that is not understood"));
    }
    Ok(url)
}

pub(super) fn tcp_address(url: &Url) -> Result<(Address, Option<u8>), Failure> {
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad_url("it has no host"))?;
    let host = decode(host.trim_start_matches('[').trim_end_matches(']'))?;
    let address = Address::Tcp { host, port: url.port().unwrap_or(6379), tls: url.scheme() == "rediss" };
    let database = match url.path().trim_matches('/') {
        "" => None,
        number => Some(database(number)?),
    };
    Ok((address, database))
}

fn unix_address(url: &Url) -> Result<(Address, Option<u8>), Failure> {
    let path = decode(url.path())?;
    if path.trim_matches('/').is_empty() {
        return Err(bad_url("it has no path to a socket"));
    }
    let mut number = None;
    for (name, value) in url.query_pairs() {
        if name != "db" {
            return Err(bad_url("it has a part after ? that is not db=N"));
        }
        number = Some(database(&value)?);
    }
    Ok((Address::Unix(path.into()), number))
}

fn database(text: &str) -> Result<u8, Failure> {
    text.parse().map_err(|_| bad_url("its database is not a number from 0 to 255"))
}

/// Never quotes the URL: any part of a malformed one may be a piece of the password.
fn bad_url(why: &str) -> Failure {
    Failure::usage(
        Side::Settings,
        format!("the Redis URL is not valid: {why} (source.url / --from)"),
        "Expected redis://[user:password@]host[:port][/database], or redis-cluster://[user:password@]host[:port][,host[:port]…]. Special characters in a password are written as %XX.",
    )
}

fn decode(text: &str) -> Result<String, Failure> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
            let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
            bytes.push(byte.ok_or_else(|| bad_url("a % is not followed by two hexadecimal digits"))?);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| bad_url("a part of it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::{Address, SourceSettings, Target};

    fn parse(url: &str) -> Target {
        Target::parse(&SourceSettings::new(url)).unwrap()
    }

    #[test]
    fn urls_are_read_with_their_escapes() {
        let target = parse("redis://us%40er:p%2Fa%3Ass@cache.example:7000/3");
        assert_eq!(target.username.as_deref(), Some("us@er"));
        assert_eq!(target.password.as_deref(), Some("p/a:ss"));
        assert_eq!(target.to_string(), "redis://cache.example:7000/3");
        assert_eq!(target.identity(), "cache.example:7000/3");
        assert_eq!(parse("rediss://h").to_string(), "rediss://h:6379/0");
        assert_eq!(parse("redis://[::1]:6380").place(), "[::1]:6380");
        assert_eq!(parse("redis://:secret@h").password.as_deref(), Some("secret"));
    }

    #[test]
    fn sockets_may_have_credentials_and_a_database() {
        let target = parse("redis+unix://u:p%20w@/run/redis/r.sock?db=2");
        assert_eq!(target.address, Address::Unix("/run/redis/r.sock".into()));
        assert_eq!((target.database, target.password.as_deref()), (2, Some("p w")));
        assert_eq!(parse("redis+unix:///tmp/a.sock").to_string(), "redis+unix:///tmp/a.sock?db=0");
    }

    #[test]
    fn settings_win_over_the_url() {
        let settings = SourceSettings {
            database: Some(9),
            password: Some("other".into()),
            ..SourceSettings::new("redis://u:first@h/1")
        };
        let target = Target::parse(&settings).unwrap();
        assert_eq!((target.database, target.password.as_deref()), (9, Some("other")));
    }

    #[test]
    fn a_database_is_named_or_not() {
        let named = |url: &str| SourceSettings::new(url).named_database();
        assert_eq!((named("redis://h"), named("redis://h/"), named("redis://h/0")), (None, None, Some(0)));
        assert_eq!((named("redis+unix:///s"), named("redis+unix:///s?db=3"), named("x")), (None, Some(3), None));
        let settings = SourceSettings { database: Some(0), ..SourceSettings::new("redis://h/1") };
        assert_eq!(settings.named_database(), Some(0));
    }

    #[test]
    fn what_is_not_understood_is_refused_without_quoting_it() {
        for url in [
            "redis-cluster://u:sesame@h/1",
            "redis-cluster://u:sesame@h,h2?sesame=1",
            "redis-cluster://u:sesame@",
            "redis-sentinel://u:sesame@h",
            "http://u:sesame@h",
            "redis://u:sesame@h/300",
            "redis://u:sesame@h/x",
            "redis://u:ses#ame@h",
            "redis://u:ses/sesame@h",
            "redis://u:sesame%zz@h",
            "redis://u:sesame@h?sesame=1",
            "redis://sesame@h",
            "redis+unix://u:sesame@/",
            "sesame",
            "redis://",
        ] {
            let failure = Target::parse(&SourceSettings::new(url)).unwrap_err();
            assert_eq!(failure.exit.code(), 2, "{url}");
            let shown = format!("{failure} {failure:?} {}", failure.hint);
            assert!(!shown.contains("sesame"), "{url}: {shown}");
        }
    }

    #[test]
    fn debug_and_scrub_hide_the_password() {
        let settings =
            SourceSettings { password: Some("sesame".into()), ..SourceSettings::new("redis://u:open@h:1/2") };
        let shown = format!("{settings:?}");
        assert!(shown.contains("redis://h:1/2") && !shown.contains("sesame") && !shown.contains("open"), "{shown}");
        let target = Target::parse(&settings).unwrap();
        assert_eq!(target.scrub("args beginning with: 'sesame'"), "args beginning with: '***'");
        assert!(!format!("{target:?}").contains("sesame"));
    }
}
