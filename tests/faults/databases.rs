//! `kill -9` of a run over two logical databases, then `--resume`.

use crate::books::{assert_same, content};
use crate::harness::{Job, SLOW, batches_of, database, postgres, random, without_expiry};
use redis2pg::dataset::{self, Options};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::io::Write;
use std::thread;
use std::time::Duration;
use tempfile::NamedTempFile;

/// The preset's mappings, reading two databases.
fn config() -> NamedTempFile {
    let preset = include_str!("../../config/presets/contract-reviewer.toml");
    let start = preset.find("[[mapping]]").unwrap();
    let mappings = preset[start..].replace("[[mapping]]\n", "[[mapping]]\ndatabases = [0, 5]\n");
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(mappings.as_bytes()).unwrap();
    file
}

/// Two databases of different records, and the keys of some in both.
fn cache() -> RedisServer {
    let redis = RedisServer::start(RedisOptions::default()).unwrap();
    dataset::load(&redis.url(), &without_expiry(500, true)).unwrap();
    let second = Options { seed: 7, ..without_expiry(400, true) };
    dataset::load(&format!("{}/5", redis.url()), &second).unwrap();
    redis
}

/// What the ledger says of a row or a reject beside its key.
const ORIGINS: &str = "SELECT encode(key, 'escape') || ' ' || mapping || ' ' || reason || ' ' || coalesce(redis_db, 0) \
     FROM redis2pg.rejects ORDER BY 1";

#[test]
fn killed_in_either_database_a_resume_completes() {
    let (redis, config) = (cache(), config());
    let with = ["--config", config.path().to_str().unwrap()];
    let (name, url) = database();
    let undisturbed = Job::run(&redis.url(), &url, &with).expect(3);
    undisturbed.report().assert_balanced();
    assert_eq!(undisturbed.report().0["source_databases"], serde_json::json!([0, 5]));
    let (rows, origins) = (content(postgres(), &name), postgres().execute(&name, ORIGINS).unwrap());

    for (phase, shard) in [(1, 0), (1, 6), (2, 6), (3, 0)] {
        let (name, url) = database();
        let mut job = Job::start(&redis.url(), &url, &[&SLOW[..], &with].concat());
        job.wait_for(postgres(), &name, &format!("{} AND shard = {shard}", batches_of(phase)), 2);
        thread::sleep(Duration::from_millis(random(100)));
        assert_eq!(job.kill9().code, None);
        let other = Job::run(&redis.url(), &url, &["--resume"]).expect(2);
        assert!(other.stderr.contains("documents (changed)"), "{}", other.stderr);
        let ended = Job::run(&redis.url(), &url, &[&["--resume"][..], &with].concat()).expect(3);
        ended.report().assert_balanced();
        assert_eq!(ended.report().0["resumed"], true);
        assert!(!ended.stderr.contains("Redis is not the server"), "{}", ended.stderr);
        assert_same(&rows, &content(postgres(), &name));
        assert_eq!(postgres().execute(&name, ORIGINS).unwrap(), origins);
        let done = "SELECT string_agg(shard || ':' || state, ' ' ORDER BY phase, shard) FROM redis2pg.shards";
        let all = "0:complete 6:complete 0:complete 6:complete 0:complete 6:complete";
        assert_eq!(postgres().execute(&name, done).unwrap(), all);
    }
}
