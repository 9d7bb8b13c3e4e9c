//! Tables whose rows refer to rows of the same table: no valid row is lost, whatever the order in which they come.

use crate::support;

use std::time::{Duration, Instant};
use support::{Case, Client, Outcome};

const TABLE: &str = "SET ROLE redis2pg; CREATE TABLE categories
    (id text PRIMARY KEY, parent_id text REFERENCES categories, name text)";

/// How many rows a batch has: few, so that parents and children come in different ones.
const FLOW: &str = "[flow]\nbatch_rows = 20\n";

/// Whether `parents` names the mapping itself.
const NAMED: &str = "parents = [{ mapping = \"categories\", column = \"parent_id\" }]";

fn mapping(settings: &str) -> String {
    format!(
        r#"{FLOW}
[[mapping]]
name = "categories"
match = "category:{{id}}"
into = "public.categories"
key = ["id"]
{settings}
column = [
  {{ name = "id", from = ["{{id}}"] }},
  {{ name = "parent_id", from = ["$.parent"] }},
  {{ name = "name", from = ["$.name"] }},
]
"#
    )
}

fn case() -> (Case, Client) {
    let case = Case::new();
    case.sql(TABLE);
    let redis = case.redis();
    (case, redis)
}

fn set(redis: &mut Client, id: &str, parent: Option<&str>) {
    let parent = parent.map_or("null".to_owned(), |parent| format!("\"{parent}\""));
    redis.set(&format!("category:{id}"), &format!("{{\"parent\":{parent},\"name\":\"n\"}}"));
}

/// A chain: `0` is the root, `1` is below it, and so on.
fn chain(redis: &mut Client, length: usize) {
    let pairs: Vec<(String, String)> = (0..length)
        .map(|at| {
            let parent = at.checked_sub(1).map_or("null".to_owned(), |parent| format!("\"{parent}\""));
            (format!("category:{at}"), format!("{{\"parent\":{parent},\"name\":\"n\"}}"))
        })
        .collect();
    redis.set_many(&pairs);
}

/// What became of the keys: loaded, rejected for the lack of a parent.
fn came_of(outcome: &Outcome, loaded: &str) -> (i64, i64) {
    let reasons = outcome.reasons("categories");
    let orphans = reasons.get("missing_parent").copied().unwrap_or_default();
    assert_eq!(orphans, reasons.values().sum::<i64>(), "{outcome}");
    (outcome.total(loaded), orphans)
}

#[test]
fn a_deep_chain_is_loaded_from_the_worst_order() {
    for settings in ["", NAMED, "lineage = \"none\""] {
        let (case, mut redis) = case();
        chain(&mut redis, 1_000);
        let keys: Vec<String> = (0..1_000).rev().map(|at| format!("category:{at}")).collect();
        let list = case.list(&keys.iter().map(String::as_str).collect::<Vec<_>>());
        let keys = ["--keys-from", list.path().to_str().expect("a path")];
        let dry = case.run_config(&mapping(settings), &[&keys[..], &["--dry-run"]].concat()).exits(0);
        assert_eq!(came_of(&dry, "would_load"), (1_000, 0), "{settings}");
        let begun = Instant::now();
        let outcome = case.run_config(&mapping(settings), &keys).exits(0);
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
        assert_eq!(came_of(&outcome, "inserted"), (1_000, 0), "{settings}");
        assert_eq!(outcome.total("matched"), 1_000, "no parent was read twice: {outcome}");
        assert_eq!(case.number("SELECT count(*) FROM categories c JOIN categories p ON p.id = c.parent_id"), 999);
    }
}

#[test]
fn what_has_no_parent_is_rejected_with_all_below_it_and_circles_are_loaded() {
    for settings in ["", NAMED] {
        let (case, mut redis) = case();
        chain(&mut redis, 100);
        // A broken branch, a row that is its own parent, and a circle with something below it.
        for (id, parent) in [("lost", "nowhere"), ("own", "own")] {
            set(&mut redis, id, Some(parent));
        }
        for at in 0..60_usize {
            let parent = at.checked_sub(1).map_or("lost".to_owned(), |parent| format!("lost{parent}"));
            set(&mut redis, &format!("lost{at}"), Some(&parent));
            set(&mut redis, &format!("ring{at}"), Some(&format!("ring{}", (at + 1) % 60)));
        }
        set(&mut redis, "hanger", Some("ring5"));
        let dry = case.run_config(&mapping(settings), &["--dry-run"]).exits(3);
        assert_eq!(came_of(&dry, "would_load"), (162, 61), "{settings} {dry}");
        let outcome = case.run_config(&mapping(settings), &[]).exits(3);
        assert_eq!(came_of(&outcome, "inserted"), (162, 61), "{settings} {outcome}");
        assert_eq!(outcome.reject("category:lost")["column"], "parent_id");
        let detail = outcome.reject("category:lost")["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains("category:nowhere is not in Redis"), "{detail}");
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.rejects WHERE state = 'pending'"), 0);
        let again = case.run_config(&mapping(settings), &[]).exits(3);
        assert_eq!(came_of(&again, "unchanged"), (162, 61), "{again}");
    }
}

#[test]
fn parents_that_no_list_names_are_fetched_up_to_the_root() {
    let (case, mut redis) = case();
    chain(&mut redis, 30);
    set(&mut redis, "stray", Some("nowhere"));
    set(&mut redis, "below", Some("stray"));
    case.sql("INSERT INTO categories VALUES ('there'); GRANT ALL ON categories TO redis2pg");
    set(&mut redis, "known", Some("there"));
    let list = case.list(&["category:29", "category:below", "category:known"]);
    let keys = ["--keys-from", list.path().to_str().expect("a path")];
    let dry = case.run_config(&mapping(NAMED), &[&keys[..], &["--dry-run"]].concat()).exits(3);
    assert_eq!(came_of(&dry, "would_load"), (2, 1), "{dry}");
    assert!(case.number("SELECT count(*) FROM categories") == 1);
    let outcome = case.run_config(&mapping(NAMED), &keys).exits(3);
    assert_eq!(came_of(&outcome, "inserted"), (31, 2), "{outcome}");
    assert_eq!(case.number("SELECT count(*) FROM categories"), 32);
}

#[test]
fn large_values_that_wait_for_one_another_stay_within_the_memory_bound() {
    let (case, mut redis) = case();
    let filler = "x".repeat(200_000);
    for at in 0..300 {
        let parent = if at == 0 { "null".to_owned() } else { format!("\"{}\"", at - 1) };
        redis.set(&format!("category:{at}"), &format!("{{\"parent\":{parent},\"name\":\"{filler}\"}}"));
    }
    let keys: Vec<String> = (0..300).rev().map(|at| format!("category:{at}")).collect();
    let list = case.list(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let args = ["--keys-from", list.path().to_str().expect("a path")];
    let config = mapping("").replace(FLOW, "[flow]\nmemory = \"16 MiB\"\nbatch_rows = 20\n");
    for args in [&[&args[..], &["--dry-run"]].concat()[..], &args] {
        let outcome = case.run_config(&config, args).exits(0);
        let peak = outcome.report["peak_memory_bytes"].as_u64().expect("the peak");
        assert!(peak < 80 << 20, "{peak} bytes of 60 MB: {outcome}");
    }
    assert_eq!(case.number("SELECT count(*) FROM categories"), 300);
}

#[test]
fn a_table_that_is_made_refers_to_itself() {
    let case = Case::new();
    let mut redis = case.redis();
    chain(&mut redis, 200);
    set(&mut redis, "lost", Some("nowhere"));
    let config = mapping(&format!("create = true\nforeign_keys = true\n{NAMED}"))
        .replace("name = \"id\",", "name = \"id\", type = \"text\",")
        .replace("name = \"parent_id\",", "name = \"parent_id\", type = \"text\",")
        .replace("name = \"name\",", "name = \"name\", type = \"text\",");
    let outcome = case.run_config(&config, &[]).exits(3);
    assert_eq!(came_of(&outcome, "inserted"), (200, 1), "{outcome}");
    let keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = confrelid";
    assert_eq!(case.number(keys), 1);
}

#[test]
fn a_reference_of_several_columns_waits_as_well() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE nodes (tree text, id text, parent text, PRIMARY KEY (tree, id), \
         FOREIGN KEY (tree, parent) REFERENCES nodes)",
    );
    let mut redis = case.redis();
    for at in 0..200 {
        let parent = if at == 0 { "null".to_owned() } else { format!("\"{}\"", at - 1) };
        redis.set(&format!("node:t:{at}"), &format!("{{\"parent\":{parent}}}"));
    }
    redis.set("node:t:lost", r#"{"parent":"nowhere"}"#);
    redis.set("node:u:1", r#"{"parent":"1"}"#);
    redis.set("node:u:2", r#"{"parent":"0"}"#);
    let config = r#"
[flow]
batch_rows = 20
[[mapping]]
name = "nodes"
match = "node:{tree}:{id}"
into = "public.nodes"
key = ["tree", "id"]
column = [{ name = "tree", from = ["{tree}"] }, { name = "id", from = ["{id}"] }, { name = "parent", from = ["$.parent"] }]
"#;
    let outcome = case.run_config(config, &[]).exits(3);
    assert_eq!((outcome.total("inserted"), outcome.reasons("nodes")["missing_parent"]), (201, 2), "{outcome}");
}

#[test]
fn rows_of_two_mappings_wait_for_one_another_in_one_table() {
    let (case, mut redis) = case();
    for at in 0..40 {
        let parent = if at == 0 { "null".to_owned() } else { format!("\"{}\"", at - 1) };
        let kind = if at % 2 == 0 { "category" } else { "group" };
        redis.set(&format!("{kind}:{at}"), &format!("{{\"parent\":{parent},\"name\":\"n\"}}"));
    }
    redis.set("group:lost", r#"{"parent":"nowhere","name":"n"}"#);
    let second = mapping("").replace(FLOW, "").replace("\"categories\"", "\"groups\"").replace("category:", "group:");
    let config = format!("{}{second}", mapping("").replace("batch_rows = 20", "batch_rows = 2"));
    let outcome = case.run_config(&config, &[]).exits(3);
    assert_eq!(
        (outcome.total("inserted"), outcome.reasons("groups").get("missing_parent")),
        (40, Some(&1)),
        "{outcome}"
    );
    assert_eq!(case.number("SELECT count(*) FROM categories"), 40);
}
