//! Whatever is in the cache: the books balance, each key ends in a row or in one reject, and a second run of the same
//! data writes no row.
//!
//! Random small caches go through the real command twice as they are, and once more after a part of their keys has
//! changed. `REDIS2PG_TEST_SEED` repeats the caches of an earlier run.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed, in its helpers too")]

mod cache;
mod check;
#[path = "../support/mod.rs"]
mod support;

use cache::{Cache, Knobs};
use check::{Books, Rows};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::time::{SystemTime, UNIX_EPOCH};
use support::Case;

/// Caches; each is moved three times, in a second or two.
const CACHES: u32 = 8;

/// A failure is made smaller for so many milliseconds.
const SHRINK: u32 = 120_000;

fn seed() -> u64 {
    let given = std::env::var("REDIS2PG_TEST_SEED").ok().map(|text| text.parse().unwrap());
    given.unwrap_or_else(|| u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()))
}

#[test]
fn every_key_has_one_outcome_and_a_second_run_writes_nothing() {
    let seed = seed();
    eprintln!("REDIS2PG_TEST_SEED={seed}");
    let config = Config {
        cases: CACHES,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_time: SHRINK,
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&(cache::cache(), cache::changes(), cache::knobs()), |input| {
        let (mut cache, changes, knobs) = input;
        let case = Case::new();
        cache.load(&case);

        let first = moved(&case, &cache, &Rows::default(), &knobs);
        check::new_rows_are_of_keys_without_reject(&cache, &first);

        let second = moved(&case, &cache, &first.rows, &knobs);
        assert_eq!(second.rows, first.rows, "a run of the same data wrote a row");
        assert_eq!(second.rejects, first.rejects, "a run of the same data rejected others");

        cache.change(&changes);
        cache.load(&case);
        moved(&case, &cache, &first.rows, &knobs);
        Ok(())
    });
    if let Err(error) = result {
        panic!("REDIS2PG_TEST_SEED={seed}: {error}");
    }
}

/// Runs the command, and checks what must be true after any run.
fn moved(case: &Case, cache: &Cache, before: &Rows, knobs: &Knobs) -> Books {
    let outcome = case.run(&knobs.arguments());
    let books = Books::of(case, &outcome);
    let outcome = outcome.exits(if books.rejects.is_empty() { 0 } else { 3 });
    check::rows_are_what_was_counted(before, &books, &outcome);
    check::rejects_are_what_was_counted(&books, &outcome);
    check::every_key_has_an_outcome(cache, &books, &outcome);
    books
}
