//! A large cache in which every kind of trouble stands at random places: each key ends as it must, none is lost, changed without
//! being counted, or blamed for another; and what was mended is loaded when the rejects are tried again.
//!
//! What must come out is written down when the data is made, by literals that PostgreSQL reads itself; nothing of the program
//! decodes, maps or encodes it. `REDIS2PG_TEST_SEED` repeats the data of an earlier run.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on has failed, in its helpers too")]

mod bags;
mod books;
mod columns;
mod contracts;
mod contracts_broken;
mod elements;
mod expected;
mod fields;
mod guarded;
mod guards;
mod hashes;
mod json;
mod keyspace;
mod mending;
mod moments;
mod names;
mod packed;
mod poisons;
mod random;
mod redis;
mod related;
mod spellings;
mod story;
#[path = "../support/mod.rs"]
mod support;
mod values;

use std::time::{SystemTime, UNIX_EPOCH};
use story::Story;

fn seed() -> u64 {
    let given = std::env::var("REDIS2PG_TEST_SEED").ok().map(|text| text.parse().unwrap());
    given.unwrap_or_else(|| u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()))
}

#[test]
fn a_hundred_thousand_keys_with_every_kind_of_trouble() {
    let seed = seed();
    eprintln!("REDIS2PG_TEST_SEED={seed}");
    // Batches are filled, however busy the machine is.
    Story::begin(seed, 100_000, 4, true).has_every_reason().told(&["--batch-age", "20s"]);
}

#[test]
fn the_same_in_small_batches_through_staging_tables() {
    let seed = seed();
    eprintln!("REDIS2PG_TEST_SEED={seed}");
    let small = ["--batch-rows", "40", "--staging", "always", "--scan-count", "100"];
    Story::begin(seed ^ 1, 6_000, 1, false).told(&small);
}
