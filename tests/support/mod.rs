//! What the integration tests share: one Redis and one PostgreSQL for each test binary, a database for each test.

#![expect(clippy::expect_used, reason = "a test without its servers has failed")]

mod app;
mod backups;
mod beside;
mod certificate;
mod held;
mod noting;
mod page;
mod random;
pub(crate) mod scripted;
mod terminal;
mod until;
mod watchdog;

pub(crate) use app::{Case, Client, Outcome, Running};
pub(crate) use backups::{Ended, Entries, entries_of, made, salvaged_of};
pub(crate) use beside::EndOnDrop;
pub(crate) use certificate::self_signed;
pub(crate) use noting::{asked, noting};
pub(crate) use page::walk;
pub(crate) use random::{Random, seed};
pub(crate) use terminal::answered;
pub(crate) use until::{until, while_they_live};
pub(crate) use watchdog::watch;

use redis2pg::sandbox::{PostgresOptions, PostgresServer, RedisOptions, RedisServer, RedisTls};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

// Each test binary uses its own part of this module; naming all of it here keeps the rest from being reported as dead.
const _: fn() -> &'static RedisServer = redis;
const _: fn() -> &'static PostgresServer = postgres;
const _: fn() -> String = redis_database;
const _: fn() -> (String, String) = database;
const _: fn() -> Case = Case::new;
const _: fn(&Case, &str) -> (usize, usize) = walk;
const _: fn() -> RedisServer = noting;
const _: fn(&mut Client, &str) -> Vec<Vec<String>> = asked;
const _: Option<(Client, Outcome, Running)> = None;
const _: fn(&str, fn() -> bool) = until;
const _: fn() -> u64 = || while_they_live(0, Some);
const _: fn(&std::path::Path) -> RedisTls = self_signed;
const _: fn(&'static AtomicBool) -> EndOnDrop<'static> = EndOnDrop;
const _: fn(&std::process::Output, &std::path::Path, std::process::Command) = |output, file, command| {
    let ended = Ended::of(output).exits(0);
    let _ = (ended.count(""), ended.reason("", ""), &ended.stdout, &ended.stderr, ended.code, &ended.json);
    let _: (Entries, Entries) = (entries_of(file), salvaged_of(file));
    made(file, &redis2pg::backup::Header::default(), &[]);
    let mut random = Random(seed());
    let _ = (random.next(), random.below(1), random.bytes(1));
    answered(command, || (), "");
};

/// The Redis of this test binary. Tests that run side by side take a logical database each: see [`redis_database`].
/// Statics are not dropped; the sandbox stops the server when the process ends.
pub(crate) fn redis() -> &'static RedisServer {
    static SERVER: OnceLock<RedisServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        watch();
        let settings = vec!["databases 1024".to_owned()];
        RedisServer::start(RedisOptions { settings, ..RedisOptions::default() }).expect("start redis-server")
    })
}

/// The PostgreSQL of this test binary. No autovacuum: it would go round hundreds of databases, and analyze a table when nobody
/// expects it. The servers of tests/faults have it.
pub(crate) fn postgres() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        watch();
        let mut options = PostgresOptions::quick();
        options.settings.push(("autovacuum".to_owned(), "off".to_owned()));
        PostgresServer::start(options).expect("start postgres")
    })
}

/// The URL of a logical Redis database that no other test of this binary has; at most 1024 of them.
pub(crate) fn redis_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(number < 1024, "more tests than logical databases");
    format!("{}/{number}", redis().url())
}

/// The name and URL of a new, empty PostgreSQL database, for the role that owns it.
pub(crate) fn database() -> (String, String) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let url = postgres().create_database(&name).expect("create a database");
    (name, url)
}
