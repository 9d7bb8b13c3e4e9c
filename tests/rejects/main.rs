//! Rejects: listed, exported, limited, and taken once more.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod limits;
mod listing;
mod mended;
mod outdated;
mod stored;
mod undisturbed;
mod vanished;

/// A table of numbers, and its mapping.
const TABLE: &str = "SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, n integer)";

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

/// How many rejects of each state the ledger has: open, pending, closed.
fn states(case: &support::Case) -> [i64; 3] {
    ["open", "pending", "closed"]
        .map(|state| case.number(&format!("SELECT count(*) FROM redis2pg.rejects WHERE state = '{state}'")))
}
