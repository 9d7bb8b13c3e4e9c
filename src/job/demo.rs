//! The demo: private throw-away servers, a made-up cache, and the settings to migrate it for real.

use crate::dataset::{self, Summary};
use crate::model::{Failure, Side};
use crate::sandbox::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};
use std::io;

/// Servers with a cache to move. Dropping it stops them and removes their directories.
pub struct Demo {
    redis: RedisServer,
    postgres: PostgresServer,
    target: String,
    /// What the cache holds.
    pub cache: Summary,
}

impl Demo {
    /// Starts both servers on free ports and fills the cache. Blocks: call it before the runtime starts.
    ///
    /// # Errors
    /// A server program is missing (says what to install), or a server does not start.
    pub fn start(documents: u32) -> Result<Self, Failure> {
        let fail = |error: io::Error| {
            Failure::usage(Side::Settings, format!("demo: {error}"), "scripts/demo installs what is missing.")
        };
        let redis = RedisServer::start(RedisOptions::default()).map_err(fail)?;
        let postgres = PostgresServer::start(PostgresOptions::default()).map_err(fail)?;
        let target = postgres.create_database("demo").map_err(fail)?;
        let cache = dataset::load(&redis.url(), &dataset::Options::demo(u64::from(documents))).map_err(fail)?;
        Ok(Self { redis, postgres, target, cache })
    }

    /// The URL of Redis, with its password.
    pub fn source(&self) -> String {
        self.redis.url()
    }

    /// The URL of PostgreSQL, with its password.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What some statement of the tour gives, a line a row.
    ///
    /// # Errors
    /// The server's.
    pub fn look(&self, sql: &str) -> Result<String, Failure> {
        self.postgres.execute("demo", sql).map_err(|error| Failure::postgres(format!("demo: {error}"), ""))
    }
}
