//! A server that goes away in mid-run and comes back: PostgreSQL, its backends, and Redis.

use crate::books::assert_undisturbed;
use crate::harness::{Job, PATIENCE, SLOW, batches_of, cache, database, number, postgres, without_expiry};
use redis2pg::dataset;
use redis2pg::sandbox::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn postgres_killed_and_started_again_costs_no_row() {
    let mut server = PostgresServer::start(PostgresOptions::quick()).unwrap();
    let url = server.create_database("target").unwrap();
    let mut job = Job::start(&cache(), &url, &SLOW);
    for phase in [1, 2] {
        job.wait_for(&server, "target", &batches_of(phase), 3);
        server.kill9().unwrap();
        thread::sleep(Duration::from_millis(700));
        server.restart().unwrap();
    }
    let ended = job.end().expect(3);
    assert!(ended.stderr.contains("trying again"), "{}", ended.stderr);
    ended.report().assert_balanced();
    assert_undisturbed(&server, "target");
}

#[test]
fn backends_terminated_in_mid_copy_cost_no_row() {
    let (name, url) = database();
    let mut job = Job::start(&cache(), &url, &SLOW);
    job.wait_for(postgres(), &name, &batches_of(1), 1);
    let in_copy = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{name}' AND usename = 'redis2pg' \
         AND state <> 'idle'"
    );
    let (mut terminated, since) = (0, Instant::now());
    while terminated < 8 && !job.has_ended() {
        assert!(since.elapsed() < PATIENCE);
        terminated += number(postgres(), &name, &in_copy).unwrap_or(0);
        thread::sleep(Duration::from_millis(2));
    }
    let ended = job.end().expect(3);
    assert!(terminated >= 3, "only {terminated} were hit:\n{}", ended.stderr);
    ended.report().assert_balanced();
    assert_undisturbed(postgres(), &name);
}

/// Goes red when pages are trusted without the server's run id: a restarted Redis hashes its keys otherwise, and an
/// old cursor leaves out a part of them.
#[test]
fn run_id_check_starts_the_scan_again_after_a_restart_of_redis() {
    let options = RedisOptions { save_to_disk: true, ..RedisOptions::default() };
    let mut redis = RedisServer::start(options).unwrap();
    let cached = dataset::load(&redis.url(), &without_expiry(8_700, false)).unwrap();
    assert!(cached.keys() >= 20_000, "{}", cached.keys());
    let (name, url) = database();
    let slow = ["--max-keys-per-second", "4000", "--batch-rows", "300", "--scan-count", "300"];
    let mut job = Job::start(&redis.url(), &url, &slow);
    job.wait_for(postgres(), &name, "SELECT count(*) FROM document_hub.documents", 2_000);
    redis.kill9().unwrap();
    redis.restart().unwrap();
    let ended = job.end().expect(0);
    assert!(ended.stderr.contains("Redis was restarted or replaced in mid-scan"), "{}", ended.stderr);
    let lost: Vec<&str> = ended.stderr.lines().filter(|line| line.contains("was lost and made again")).collect();
    assert!(
        !lost.is_empty() && lost.iter().all(|line| !line.starts_with('{')),
        "told once, not by the log too: {lost:?}"
    );
    ended.report().assert_balanced();
    let counts = "SELECT concat_ws(' ', (SELECT count(*) FROM document_hub.documents), \
         (SELECT count(*) FROM document_hub.analysis_results), (SELECT count(*) FROM document_hub.sessions))";
    let expected = [cached.documents.load, cached.analyses.load, cached.sessions.load].map(|n| n.to_string());
    assert_eq!(postgres().execute(&name, counts).unwrap(), expected.join(" "));
}
