//! The settings of the Redis end. Secrets are never printed.

use super::address::{Parsed, parse_url, tcp_address, unix_address};
use super::target::Target;
use crate::flow::Stop;
use crate::model::Failure;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
