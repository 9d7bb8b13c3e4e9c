//! Random kills of the command, of PostgreSQL and of Redis, round after round. `scripts/chaos MINUTES` runs it for long.

use crate::books::{assert_same, content};
use crate::harness::{Job, PATIENCE, SLOW, random, without_expiry};
use redis2pg::dataset;
use redis2pg::sandbox::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};
use std::thread;
use std::time::{Duration, Instant};

struct Arena {
    redis: RedisServer,
    postgres: PostgresServer,
    expected: Vec<String>,
}

impl Arena {
    fn new() -> Self {
        let options = RedisOptions { save_to_disk: true, ..RedisOptions::default() };
        let redis = RedisServer::start(options).unwrap();
        dataset::load(&redis.url(), &without_expiry(600, true)).unwrap();
        let postgres = PostgresServer::start(PostgresOptions::quick()).unwrap();
        let url = postgres.create_database("undisturbed").unwrap();
        Job::run(&redis.url(), &url, &[]).expect(3);
        let expected = content(&postgres, "undisturbed");
        Self { redis, postgres, expected }
    }

    /// One run under fire, resumed until it is done.
    fn round(&mut self, number: u32, strikes: u32) {
        let name = format!("round_{number}");
        let url = self.postgres.create_database(&name).unwrap();
        let mut told = Vec::new();
        let mut more = SLOW.to_vec();
        for _ in 0..strikes {
            let before = self.claims(&name);
            let mut job = Job::start(&self.redis.url(), &url, &more);
            self.wait_for_claim(&mut job, &name, &before);
            // At first within the load, so that no round goes by without a strike; then up to and beyond the end.
            let within = if told.is_empty() { 1_000 } else { 2_500 };
            thread::sleep(Duration::from_millis(50 + random(within)));
            if job.has_ended() {
                break;
            }
            told.push(self.strike(job));
            more = [&SLOW[..], &["--resume"]].concat();
        }
        let ended = Job::run(&self.redis.url(), &url, &["--resume"]);
        assert_eq!(ended.code, Some(3), "round {number}, {told:?}:\n{}", ended.stderr);
        ended.report().assert_balanced();
        eprintln!("round {number}: {told:?}");
        assert_same(&self.expected, &content(&self.postgres, &name));
    }

    /// The tokens of the processes that have claimed a run.
    fn claims(&self, database: &str) -> String {
        let claims = "SELECT coalesce(string_agg(lease::text, ' ' ORDER BY id), '') FROM redis2pg.runs";
        self.postgres.execute(database, claims).unwrap_or_default()
    }

    /// Until a run has begun, a server that is not there fails it at once, as it should.
    fn wait_for_claim(&self, job: &mut Job, database: &str, before: &str) {
        let since = Instant::now();
        while self.claims(database) == before && !job.has_ended() {
            assert!(since.elapsed() < PATIENCE, "the run never begins");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills one of the three. Servers come back, and the run goes on to its end.
    fn strike(&mut self, job: Job) -> &'static str {
        match random(3) {
            0 => {
                job.kill9();
                "command"
            }
            1 => {
                self.postgres.kill9().unwrap();
                thread::sleep(Duration::from_millis(random(800)));
                self.postgres.restart().unwrap();
                job.end().expect(3);
                "postgres"
            }
            _ => {
                self.redis.kill9().unwrap();
                thread::sleep(Duration::from_millis(random(800)));
                self.redis.restart().unwrap();
                job.end().expect(3);
                "redis"
            }
        }
    }
}

#[test]
fn a_round_of_random_kills_costs_no_row() {
    Arena::new().round(0, 2);
}

#[test]
#[ignore = "runs for REDIS2PG_CHAOS_MINUTES; scripts/chaos starts it"]
fn chaos_for_minutes() {
    let minutes = std::env::var("REDIS2PG_CHAOS_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let (since, mut arena) = (Instant::now(), Arena::new());
    let mut number = 0;
    while since.elapsed() < Duration::from_secs(60 * minutes) {
        arena.round(number, 4);
        number += 1;
    }
    assert!(number > 0, "no round was run");
}
