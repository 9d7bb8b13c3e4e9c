//! Wherever lineage is kept, several databases, partitions, a cluster.

use crate::support::Case;
use crate::{ends, found};
use redis2pg::sandbox::{RedisCluster, RedisOptions, RedisServer};
use serde_json::json;

const ITEMS: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
into = "public.items"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
]
"#;

/// The mapping with its lineage in a place.
fn kept_in(place: &str) -> String {
    let config = ITEMS.replace("into =", &format!("lineage = {place}\ninto ="));
    let more = if place.contains("metadata") { "{ name = \"metadata\", from = [] }," } else { "" };
    config.replace("[\"$.n\"] },", &format!("[\"$.n\"] }},{more}"))
}

/// Each place for lineage, and the table's columns for it.
const PLACES: [(&str, &str); 3] = [
    (r#""ledger""#, ""),
    (r#"{ column = "metadata", document_id = "{id}" }"#, ", metadata jsonb"),
    (r#"{ columns = { key = "redis_key", digest = "redis_digest" } }"#, ", redis_key text, redis_digest text"),
];

#[test]
fn classes_do_not_hang_on_where_lineage_is_kept() {
    for (place, columns) in PLACES {
        let (case, config) = (Case::new(), kept_in(place));
        case.sql(&format!(
            "SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, n integer{columns}) PARTITION BY HASH (id); \
             CREATE TABLE items_0 PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
             CREATE TABLE items_1 PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 1)"
        ));
        let mut redis = case.redis();
        (0..9).for_each(|id| redis.set(&format!("item:{id}"), &format!(r#"{{"n":{id}}}"#)));
        ends(case.run_config(&config, &[]), 0);
        redis.set("item:0", r#"{"n":50}"#);
        redis.say("DEL item:1");
        case.sql("UPDATE items SET n = 60 WHERE id = '2'; DELETE FROM items WHERE id = '3'");
        redis.set("item:4", "{");
        let outcome = ends(case.validate(&config, &[]), 4);
        let expected = [("equal", 4), ("extra", 1), ("missing", 1), ("newer", 1), ("stale", 2)];
        found(&outcome, "items", &expected);
    }
}

#[test]
fn without_lineage_what_differs_is_different_and_that_is_said() {
    let (case, config) = (Case::new(), kept_in(r#""none""#));
    case.sql("SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, n integer)");
    let mut redis = case.redis();
    (0..3).for_each(|id| redis.set(&format!("item:{id}"), &format!(r#"{{"n":{id}}}"#)));
    ends(case.run_config(&config, &[]), 0);
    redis.set("item:0", r#"{"n":50}"#);
    let outcome = ends(case.validate(&config, &[]), 4);
    found(&outcome, "items", &[("different", 1), ("equal", 2)]);
    assert!(outcome.report["validation"]["untold"][0].as_str().unwrap().contains("no lineage"), "{outcome}");
}

#[test]
fn a_row_that_another_key_made_is_not_this_keys() {
    let (case, config) = (Case::new(), ITEMS.replace("match = \"item:{id}\"", "match = [\"item:{id}\", \"old:{id}\"]"));
    case.sql("SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, n integer)");
    let mut redis = case.redis();
    redis.set("item:1", r#"{"n":1}"#);
    ends(case.run_config(&config, &[]), 0);
    redis.set("old:1", r#"{"n":1}"#);
    let outcome = ends(case.validate(&config, &[]), 4);
    found(&outcome, "items", &[("equal", 1), ("missing", 1)]);
    ends(case.run_config(&config, &[]), 3);
    found(&ends(case.validate(&config, &[]), 0), "items", &[("equal", 1), ("rejected", 1)]);
}

#[test]
fn each_database_is_compared_with_its_own_rows() {
    let redis = RedisServer::start(RedisOptions::default()).unwrap();
    let case = Case::from_source(&format!("{}/0", redis.url()));
    let config =
        ITEMS.replace("match =", "databases = [0, 2]\nmatch =").replace("key = [\"id\"]", "key = [\"db\", \"id\"]");
    let config = config.replace("column = [", "column = [\n  { name = \"db\", from = [\"redis.db\"] },");
    case.sql("SET ROLE redis2pg; CREATE TABLE items (db integer, id text, n integer, PRIMARY KEY (db, id))");
    let open = |number: u8| crate::support::Client::open(&format!("{}/{number}", redis.url()));
    for number in [0, 2] {
        (0..3).for_each(|id| open(number).set(&format!("item:{id}"), &format!(r#"{{"n":{number}}}"#)));
    }
    ends(case.run_config(&config, &[]), 0);
    found(&ends(case.validate(&config, &["--strict"]), 0), "items", &[("equal", 6)]);
    open(2).say("DEL item:0");
    open(0).set("item:1", r#"{"n":7}"#);
    case.sql("DELETE FROM items WHERE db = 2 AND id = '2'");
    let outcome = ends(case.validate(&config, &[]), 4);
    found(&outcome, "items", &[("equal", 3), ("extra", 1), ("missing", 1), ("stale", 1)]);
    let missing = outcome.report["validation"]["differences"].as_array().unwrap();
    let missing = missing.iter().find(|found| found["class"] == "missing").unwrap();
    assert_eq!((&missing["key"], &missing["database"]), (&"item:2".into(), &2.into()));
}

/// Two caches have a key of the same name, and each loads what its own holds into the same table.
#[test]
fn rows_of_a_key_of_the_same_name_elsewhere_are_not_extra() {
    let redis = RedisServer::start(RedisOptions::default()).unwrap();
    let first = Case::from_source(&format!("{}/0", redis.url()));
    let second = Case::with_ends(&format!("{}/2", redis.url()), &first.target);
    first.sql("SET ROLE redis2pg; CREATE TABLE jobs (queue text, job text, PRIMARY KEY (queue, job))");
    let config = r#"
[[mapping]]
name = "jobs"
match = "queue:{queue}"
type = "set"
explode = true
into = "public.jobs"
key = ["queue", "job"]
column = [{ name = "queue", from = ["{queue}"] }, { name = "job", from = ["$.member"] }]
"#;
    first.redis().say("SADD queue:q a b c");
    second.redis().say("SADD queue:q k");
    for case in [&first, &second] {
        ends(case.run_config(config, &[]), 0);
    }
    for case in [&first, &second] {
        found(&ends(case.validate(config, &["--strict"]), 0), "jobs", &[("equal", 1)]);
    }
    first.redis().say("SREM queue:q b");
    let outcome = ends(first.validate(config, &[]), 0);
    assert!(outcome.report["validation"]["rows"]["extra"] != 0, "{outcome}");
    found(&outcome, "jobs", &[("extra", 1)]);
    found(&ends(second.validate(config, &["--strict"]), 0), "jobs", &[("equal", 1)]);
}

#[test]
fn a_cluster_is_compared_as_a_whole() {
    let cluster = RedisCluster::start(3, 0, &[]).unwrap();
    let case = Case::from_source(&cluster.url());
    case.sql("SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, n integer)");
    let mut clients: Vec<_> =
        (0..3).map(|node| crate::support::Client::open(&format!("{}/0", cluster.node_url(node)))).collect();
    let mut say = |words: &[&str]| {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        clients.iter_mut().map(|client| client.answer(&words)).find(|answer| !answer.starts_with('-')).unwrap()
    };
    for id in 0..30 {
        say(&["SET", &format!("item:{id}"), &format!(r#"{{"n":{id}}}"#)]);
    }
    ends(case.run_config(ITEMS, &[]), 0);
    found(&ends(case.validate(ITEMS, &["--strict"]), 0), "items", &[("equal", 30)]);
    (0..4).for_each(|id| drop(say(&["DEL", &format!("item:{id}")])));
    case.sql("DELETE FROM items WHERE id = '20'");
    let outcome = ends(case.validate(ITEMS, &[]), 4);
    found(&outcome, "items", &[("equal", 25), ("extra", 4), ("missing", 1)]);
}

/// What the others hold does not hide it, wherever lineage is kept: rows that were met are not asked for one by one.
#[test]
fn one_database_of_several_that_was_emptied_is_told_of() {
    let redis = RedisServer::start(RedisOptions::default()).unwrap();
    for (place, columns) in PLACES.into_iter().take(2) {
        let case = Case::from_source(&format!("{}/0", redis.url()));
        let config = kept_in(place).replace("match =", "databases = [0, 2]\nmatch =");
        let config = config.replace("key = [\"id\"]", "key = [\"db\", \"id\"]");
        let config = config.replace("column = [", "column = [\n  { name = \"db\", from = [\"redis.db\"] },");
        case.sql(&format!(
            "SET ROLE redis2pg; CREATE TABLE items (db integer, id text, n integer{columns}, PRIMARY KEY (db, id))"
        ));
        let open = |number: u8| crate::support::Client::open(&format!("{}/{number}", redis.url()));
        for (number, keys) in [(0, 40), (2, 4)] {
            (0..keys).for_each(|id| open(number).set(&format!("item:{id}"), r#"{"n":1}"#));
        }
        ends(case.run_config(&config, &[]), 0);
        open(0).say("DEL item:7");
        open(2).say("DEL item:0");
        let few = ends(case.validate(&config, &[]), 0);
        assert_eq!(few.report["validation"]["warnings"], json!([]), "{place}");
        open(2).say("FLUSHDB");
        let outcome = ends(case.validate(&config, &[]), 0);
        found(&outcome, "items", &[("equal", 39), ("extra", 5)]);
        let warnings = outcome.report["validation"]["warnings"].as_array().unwrap();
        let told = "the keys of 4 of 4 rows of this tool are gone from database 2 of Redis, more than run.delete_gone_limit (50%)";
        assert!(warnings.len() == 1 && warnings[0].as_str().unwrap().starts_with(told), "{place}: {warnings:?}");
        open(0).say("FLUSHALL");
    }
}
