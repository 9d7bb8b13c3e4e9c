//! Servers that go away: PostgreSQL in the middle of a rollback, and Redis, which a rollback never asks.

use crate::support::{Case, until};
use crate::{ITEMS, TABLE, command, id, rollback, rows, set};
use redis2pg::sandbox::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};
use std::process::Child;
use std::time::Duration;

/// A PostgreSQL of the test's own, with items of which a first run loaded a half, and a second one changed that and added as many.
struct Own {
    server: PostgresServer,
    case: Case,
    run: String,
    before: String,
}

impl Own {
    fn new(count: i64) -> Self {
        let server = PostgresServer::start(PostgresOptions::quick()).unwrap();
        let target = server.create_database("target").unwrap();
        let case = Case::with_ends(&crate::support::redis_database(), &target);
        server.execute("target", TABLE).unwrap();
        let load = |to: i64, add: i64| {
            let pairs: Vec<(String, i64)> = (0..to).map(|n| (format!("{n:06}"), n + add)).collect();
            set(&case, &pairs.iter().map(|(id, n)| (id.as_str(), *n)).collect::<Vec<_>>());
            id(&case.run_config(ITEMS, &[]).exits(0))
        };
        load(count / 2, 0);
        let before = Self::items(&server);
        let run = load(count, 1);
        Self { server, case, run, before }
    }

    fn items(server: &PostgresServer) -> String {
        server.execute("target", "SELECT t::text FROM items t ORDER BY 1").unwrap()
    }

    /// Begins to roll back, and kills the server once rows are done.
    fn strike(&mut self, args: &[&str]) -> Child {
        let mut child = command(&self.case, &self.run, args).spawn().unwrap();
        let begun = "SELECT count(*) FROM redis2pg.runs WHERE rollback IS NOT NULL";
        until("rows are taken back", || {
            assert!(child.try_wait().unwrap().is_none(), "it ended too early");
            self.server.execute("target", begun).unwrap() == "1"
        });
        self.server.kill9().unwrap();
        child
    }

    fn is_as_before(&self) {
        assert_eq!(Self::items(&self.server), self.before);
        assert_eq!(self.server.execute("target", "SELECT count(*) FROM redis2pg.before_images").unwrap(), "0");
    }
}

#[test]
fn a_restart_of_postgres_in_the_middle_is_waited_for() {
    let mut own = Own::new(12_000);
    let child = own.strike(&["--yes"]);
    std::thread::sleep(Duration::from_millis(300));
    own.server.restart().unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("trying again"), "{stderr}");
    own.is_as_before();
}

#[test]
fn a_postgres_that_stays_away_ends_it_and_the_same_command_goes_on() {
    let mut own = Own::new(12_000);
    let output = own.strike(&["--yes", "--retry-deadline", "1s"]).wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    own.server.restart().unwrap();
    // Nobody gave its lease back.
    let busy = rollback(&own.case, &own.run, &["--yes"]).exits(2);
    assert!(busy.stderr.contains("flow.lease"), "{}", busy.stderr);
    own.server
        .execute(
            "target",
            "UPDATE redis2pg.runs SET rollback_lease_expires_at = now() WHERE rollback_lease IS NOT NULL",
        )
        .unwrap();
    assert_eq!(rollback(&own.case, &own.run, &["--yes"]).exits(0).counts(), [6000, 6000, 0]);
    own.is_as_before();
}

#[test]
fn redis_is_not_needed_whatever_became_of_its_keys() {
    let mut redis = RedisServer::start(RedisOptions::default()).unwrap();
    let case = Case::from_source(&format!("{}/0", redis.url()));
    case.sql(TABLE);
    set(&case, &[("a", 1), ("b", 2), ("c", 3)]);
    let _ = case.run_config(ITEMS, &[]).exits(0);
    let before = rows(&case, "items");
    set(&case, &[("a", 10), ("d", 4)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    let mut client = case.redis();
    client.say("RENAME item:a item:z");
    client.say("PEXPIRE item:b 1");
    client.say("EXPIRE item:c 100");
    redis.stop().unwrap();
    // The settings may name it all the same.
    let output = command(&case, &run, &["--yes"]).env("REDIS2PG_SOURCE_URL", &case.source).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(rows(&case, "items"), before);
}
