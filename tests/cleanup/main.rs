//! Keys that are deleted from Redis: only those that hold what was compared.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed, and a random one tells its seed"
)]

mod after;
mod archive;
mod asking;
mod asleep;
mod at_end;
mod backup;
mod begun_anew;
mod broken_off;
mod databases;
mod documents;
mod elements;
mod exact;
mod file_names;
mod fresh;
mod interrupted;
mod kept;
mod large;
mod lineage;
mod live;
mod looked_up;
mod proxy;
mod refused;
mod restarts;
mod states;
mod stopped;
#[path = "../support/mod.rs"]
mod support;
mod unbegun;
mod unlink;
mod unsaved;
mod untold;
mod waiting;

use serde_json::Value;
use support::{Case, Outcome, Random as Dice, seed};

const TABLES: &str = "SET ROLE redis2pg; \
    CREATE TABLE items (id text PRIMARY KEY, n integer, expires timestamptz, metadata jsonb)";

const ITEMS: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
into = "public.items"
key = ["id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
  { name = "expires", from = ["redis.expires_at"] },
  { name = "metadata", from = [] },
]
"#;

/// Fails the test unless the command ended so.
#[track_caller]
fn ends(outcome: Outcome, code: i32) -> Outcome {
    assert_eq!(outcome.code, code, "{outcome}\n{:#}", outcome.report);
    outcome
}

/// A number of the account.
#[track_caller]
fn number(outcome: &Outcome, name: &str) -> i64 {
    let value = &outcome.report["cleanup"][name];
    value.as_i64().unwrap_or_else(|| panic!("no {name}: {outcome}\n{:#}", outcome.report))
}

/// Fails the test unless so many keys were deleted, these stayed, by reason in the order of the alphabet, and the books balance.
#[track_caller]
fn came_to(outcome: &Outcome, deleted: i64, kept: &[(&str, i64)]) {
    let cleanup = &outcome.report["cleanup"];
    let found: Vec<(String, i64)> = (cleanup["kept"].as_object())
        .unwrap_or_else(|| panic!("no account: {outcome}\n{:#}", outcome.report))
        .iter()
        .map(|(reason, count)| (reason.clone(), count.as_i64().unwrap()))
        .collect();
    let expected: Vec<(String, i64)> = kept.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
    assert_eq!((number(outcome, "deleted"), found), (deleted, expected), "{outcome}\n{cleanup:#}");
    assert_eq!(cleanup["balanced"], true, "{cleanup:#}");
    let total = number(outcome, "gone") + number(outcome, "duplicates") + number(outcome, "would_delete");
    let kept: i64 = kept.iter().map(|(_, count)| count).sum();
    assert_eq!(number(outcome, "listed"), deleted + kept + total, "{cleanup:#}");
}

/// What is said of a key in `kept.jsonl`.
#[track_caller]
fn said(outcome: &Outcome, key: &str) -> Value {
    let text = std::fs::read_to_string(outcome.path().join("kept.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found = lines.filter(|line| line["key"] == key).collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{key} once in\n{text}");
    found[0].clone()
}

fn item(n: usize) -> String {
    format!(r#"{{"n":{n}}}"#)
}

/// Sets so many items.
fn set_items(case: &Case, count: usize) {
    let pairs: Vec<_> = (0..count).map(|n| (format!("item:{n}"), item(n))).collect();
    case.redis().set_many(&pairs);
}

/// A case with the table, so many items, and a run that loaded them.
fn loaded(count: usize) -> Case {
    let case = Case::new();
    case.sql(TABLES);
    set_items(&case, count);
    ends(case.run_config(ITEMS, &["--allow-empty"]), 0);
    case
}

/// Keys in Redis.
fn keys(case: &Case) -> i64 {
    case.redis().integer(&[b"DBSIZE"])
}

/// Whether a key is in Redis.
fn is_there(case: &Case, key: &str) -> bool {
    case.redis().integer(&[b"EXISTS", key.as_bytes()]) == 1
}
