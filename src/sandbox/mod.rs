//! Throw-away servers: a private redis-server, PostgreSQL and PgBouncer, for `redis2pg demo` and for the tests.
//!
//! Each server runs from what is installed, on a free port of 127.0.0.1 and on a unix socket, in a temporary directory
//! of its own, and never touches a server that is already there. Passwords are made up for each process. Dropping a
//! server stops it and removes its directory. A server never outlives the process that started it, however that
//! process ends: a small watcher holds the other end of a pipe, and when the pipe closes it kills the server and
//! removes the directory. That holds after `kill -9` and for servers kept in statics, which are never dropped.
//!
//! PostgreSQL and PgBouncer refuse to run as root; under root, every server runs as `postgres`, or else `nobody`.
//!
//! All calls block: from async code, use them before the runtime starts, or in `spawn_blocking`.
//!
//! Owns processes and directories; uses the standard library, `tempfile` and what hashes passwords, nothing else of the crate.
//!
//! ```no_run
//! use redis2pg::sandbox::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};
//! let redis = RedisServer::start(RedisOptions::default())?;
//! let postgres = PostgresServer::start(PostgresOptions::quick())?;
//! let target = postgres.create_database("target")?;
//! assert!(redis.url().starts_with("redis://") && target.starts_with("postgres://"));
//! # Ok::<(), std::io::Error>(())
//! ```

mod cluster;
mod launch;
mod pgbouncer;
mod postgres;
mod probe;
mod programs;
mod psql;
mod redis;
mod scram;
mod scratch;
mod watcher;

pub use cluster::RedisCluster;
pub use pgbouncer::Pgbouncer;
pub use postgres::{PostgresOptions, PostgresServer};
pub use redis::{RedisOptions, RedisServer, RedisTls};
