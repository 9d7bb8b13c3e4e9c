//! Clusters at rest: every key is loaded once, wherever it is.

use crate::harness::{CONFIG, Fixture, home, key_at};
use crate::support::{Case, Client, self_signed};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use serde_json::json;
use std::thread;
use std::time::Duration;

#[test]
fn keys_of_all_types_and_nodes_are_loaded_once() {
    let mut fixture = Fixture::new(1);
    fixture.fill("s", 1500);
    for number in 0..40 {
        let tagged = format!("document:{{tag}}{number}");
        fixture.say(&["SET", &tagged, "1"]);
        let key = |kind: &str| format!("document:{kind}{number}");
        fixture.say(&["HSET", &key("h"), "a", "1", "b", "two"]);
        fixture.say(&["RPUSH", &key("l"), "x", "y"]);
        fixture.say(&["SADD", &key("t"), "m"]);
        fixture.say(&["ZADD", &key("z"), "1.5", "m"]);
        fixture.say(&["XADD", &key("x"), "1-1", "f", "v"]);
        fixture.say(&["SET", &key("e"), "{}", "PX", "3600000"]);
        fixture.say(&["SET", &format!("other:{number}"), "x"]);
    }
    let large = "v".repeat(3000);
    for number in 0..600 {
        fixture.say(&["HSET", "document:large", &format!("f{number}"), &large]);
    }
    fixture.say(&["SET", "document:string", &format!("\"{}\"", "w".repeat(5 << 20))]);
    let keys = 1500 + 7 * 40 + 2;
    let dry = fixture.run(&["--dry-run"]).exits(0);
    assert_eq!(dry.count("documents", "would_load"), keys);
    let run = fixture.run(&[]).exits(0);
    assert_eq!((run.count("documents", "matched"), run.count("documents", "inserted")), (keys, keys), "{run}");
    assert_eq!(
        (run.total("unmatched"), run.report["counts"]["source"]["before"].as_i64()),
        (40, Some(keys + 40)),
        "{run}"
    );
    assert_eq!(fixture.rows(), keys);
    assert_eq!(fixture.case.number("SELECT count(*) FROM documents WHERE expires > now()"), 40);
    let value = |id: &str| fixture.case.json(&format!("SELECT data FROM documents WHERE id = '{id}'"));
    assert_eq!(value("h7"), json!({"a": "1", "b": "two"}));
    assert_eq!(value("l7"), json!(["x", "y"]));
    assert_eq!(value("large").as_object().map(|fields| fields.len()), Some(600));
    assert_eq!(value("string").as_str().map(str::len), Some(5 << 20));
    let again = fixture.run(&[]).exits(0);
    assert_eq!(again.count("documents", "unchanged"), keys, "{again}");
    assert!(fixture.case.secrets().iter().all(|secret| !run.said().contains(secret)));
}

#[test]
fn rows_whose_keys_are_gone_are_deleted_wherever_those_were() {
    let mut fixture = Fixture::new(0);
    fixture.fill("g", 90);
    fixture.run(&[]).exits(0);
    for number in (0..90).step_by(3) {
        fixture.say(&["DEL", &format!("document:g{number}")]);
    }
    let run = fixture.run(&["--delete-gone"]).exits(0);
    assert_eq!(run.report["mappings"]["documents"]["deleted_gone"], json!({"deleted": 30}), "{run}");
    assert_eq!(fixture.rows(), 60);
    assert_eq!(fixture.case.number("SELECT count(*) FROM documents WHERE substr(id, 2)::int % 3 = 0"), 0);
}

#[test]
fn a_node_that_lost_its_keys_is_refused_while_the_others_have_theirs() {
    let mut fixture = Fixture::new(0);
    fixture.fill("g", 90);
    fixture.run(&[]).exits(0);
    let lost = (0..90).filter(|number| home(&format!("document:g{number}")) == 1).count();
    fixture.clients[1].say("FLUSHALL");
    let run = fixture.run(&["--delete-gone"]).exits(2);
    let told = format!("the keys of {lost} of {lost} rows of this tool are gone from the node 127.0.0.1:");
    assert!(run.stderr.contains(&told) && run.stderr.contains("which has no key any more"), "{run}");
    assert_eq!(fixture.rows(), 90);
    let run = fixture.run(&["--delete-gone", "--resume", "--delete-gone-limit", "100%"]).exits(0);
    assert_eq!(run.report["mappings"]["documents"]["deleted_gone"], json!({"deleted": lost}), "{run}");
}

#[test]
fn parents_are_found_on_whichever_node_they_are() {
    let mut fixture = Fixture::new(0);
    let document =
        r#"{"filename":"a.pdf","file_path":"/a.pdf","file_size":1,"upload_timestamp":"2024-01-02T03:04:05"}"#;
    for number in 0..60 {
        fixture.say(&["SET", &format!("document:{number}"), document]);
        let analysis = format!(r#"{{"document_id":"{number}","analysis":{{"risks":[]}}}}"#);
        fixture.say(&["SET", &format!("analysis:{number}"), &analysis]);
    }
    fixture.say(&["SET", "analysis:orphan", r#"{"document_id":"none","analysis":{}}"#]);
    let list = fixture.case.list(
        &(0..60)
            .map(|number| format!("analysis:{number}"))
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );
    let list = list.path().to_str().expect("a path");
    let run = fixture.case.run(&["--keys-from", list]).exits(0);
    assert_eq!((run.count("documents", "inserted"), run.count("analyses", "inserted")), (60, 60), "{run}");
    let dry = fixture.case.run(&["--dry-run"]).exits(3);
    assert_eq!(dry.reasons("analyses")["missing_parent"], 1, "{dry}");
    let rest = fixture.case.run(&[]).exits(3);
    assert_eq!(rest.count("documents", "unchanged"), 60, "{rest}");
}

#[test]
fn what_is_no_cluster_and_what_is_one_are_told_apart() {
    let mut fixture = Fixture::new(0);
    fixture.fill("s", 30);
    let url = fixture.cluster.node_url(0);
    let with = |source: &str| Case::with_ends(source, &fixture.case.target);
    let node = with(&url).run_config(CONFIG, &[]).exits(2);
    assert!(node.stderr.contains("redis-cluster://"), "{node}");
    let seeds = fixture.cluster.url().replace("127.0.0.1", "127.0.0.1:1,127.0.0.1");
    let other = with(&seeds).run_config(CONFIG, &[]).exits(0);
    assert_eq!(other.count("documents", "inserted"), 30);
    let one = with(&crate::support::redis_database().replace("redis://", "redis-cluster://")).run_config(CONFIG, &[]);
    assert!(one.exits(2).stderr.contains("cluster support disabled"));
    let database = with(&format!("{}/3", fixture.cluster.url())).run_config(CONFIG, &[]);
    assert!(database.exits(2).stderr.contains("database 0 only"));
    let several = CONFIG.replacen("type =", "databases = [0, 2]\ntype =", 1);
    assert!(fixture.case.run_config(&several, &[]).exits(2).stderr.contains("database 0 only"));
}

#[test]
fn slots_that_nobody_serves_forbid_a_run() {
    let mut fixture = Fixture::with(0, &["cluster-require-full-coverage no"]);
    fixture.fill("s", 30);
    fixture.cluster.say(0, &["CLUSTER", "DELSLOTS", "7"]).expect("give a slot up");
    let run = fixture.run(&[]).exits(5);
    assert!(run.stderr.contains("slots that no node serves: 7"), "{run}");
    assert_eq!(fixture.rows(), 0);
}

#[test]
fn a_run_is_known_by_the_name_of_its_cluster() {
    let mut fixture = Fixture::new(0);
    fixture.fill("s", 3);
    fixture.run(&["--cluster-name", "cache"]).exits(0);
    let source = || fixture.case.sql("SELECT source FROM redis2pg.runs ORDER BY started_at DESC LIMIT 1");
    assert_eq!(source(), "cluster cache/0");
    fixture.run(&[]).exits(0);
    assert_eq!(source(), format!("cluster 127.0.0.1:{}/0", fixture.cluster.port(0)));
    assert_eq!(home(&key_at(2, "k")), 2);
}

#[test]
fn the_rights_that_are_documented_are_enough() {
    let mut fixture = Fixture::new(0);
    fixture.fill("s", 60);
    let pages = include_str!("../../docs/operations.md");
    let line = pages.lines().find(|line| line.starts_with("ACL SETUSER loader")).expect("the rights");
    let line = line.replace("+mget ", "").replace(">password", ">sesame") + " +cluster|nodes +get +asking";
    for node in 0..3 {
        fixture.clients[node].say(&line);
    }
    let address = fixture.cluster.url();
    let (_, address) = address.rsplit_once('@').expect("an address");
    let source = format!("redis-cluster://loader:sesame@{address}");
    let strings = CONFIG.lines().filter(|line| !line.starts_with("type = [")).collect::<Vec<_>>().join("\n");
    let case = Case::with_ends(&source, &fixture.case.target);
    let run = case.run_config(&strings, &[]).exits(0);
    assert_eq!(run.count("documents", "inserted"), 60, "{run}");
    assert!(!run.stderr.contains("starts again after every"), "{run}");
    // Some keys only: the others are told apart on every node.
    for node in 0..3 {
        fixture.clients[node].say("ACL SETUSER loader resetkeys ~document:s1*");
    }
    let run = case.run_config(&strings, &[]).exits(0);
    assert_eq!(run.count("documents", "unchanged"), 11, "{run}");
    assert_eq!(run.report["tally"]["skipped"]["forbidden"], 49, "{run}");
}

#[test]
fn a_cluster_is_read_over_tls() {
    let dir = tempfile::tempdir().expect("a directory");
    let tls = self_signed(dir.path());
    let certificate = tls.ca.display().to_string();
    let settings = vec!["tls-cluster yes".to_owned(), "cluster-announce-hostname localhost".to_owned()];
    let options = RedisOptions { tls: Some(tls), cluster: true, settings, ..RedisOptions::default() };
    let server = RedisServer::start(options).expect("start redis-server");
    let mut client = Client::open(&format!("{}/0", server.url()));
    client.say("CLUSTER ADDSLOTSRANGE 0 16383");
    while !client.answer(&[b"SET", b"document:a", b"1"]).starts_with("+OK") {
        thread::sleep(Duration::from_millis(50));
    }
    let url = server.url_tls().expect("a TLS port").replace("rediss://", "rediss-cluster://");
    let case = Case::from_source(&url);
    let config =
        CONFIG.replacen("key =", "create = true\nkey =", 1).replace("name = \"id\"", "name = \"id\"\ntype = \"text\"");
    let config = config.replace("name = \"data\"", "name = \"data\"\ntype = \"jsonb\"");
    let config = config.replace("name = \"expires\"", "name = \"expires\"\ntype = \"timestamptz\"");
    let run = case.run_config(&config, &["--source-ca-file", &certificate]).exits(0);
    assert_eq!(run.count("documents", "inserted"), 1, "{run}");
    let stranger = case.run_config(&config, &[]).exits(5);
    assert!(stranger.stderr.contains("TLS handshake"), "{stranger}");
}
