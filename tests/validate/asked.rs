//! What Redis is asked beside its values: the keys of rows that were not met, and no others.

use crate::support::Case;
use crate::{MAPPINGS, ends, found, loaded, loaded_into};
use redis2pg::sandbox::{RedisOptions, RedisServer};

/// A case with a Redis of its own, whose commands nobody else's are counted with.
fn alone(parents: usize, children: usize) -> (RedisServer, Case) {
    let redis = RedisServer::start(RedisOptions::default()).unwrap();
    let case = loaded_into(Case::from_source(&format!("{}/0", redis.url())), parents, children);
    (redis, case)
}

/// How often a validation asks Redis whether keys are there, beyond what one does that looks for no key that is gone.
fn asked(case: &Case) -> u64 {
    let count = |more: &[&str]| {
        case.redis().say("CONFIG RESETSTAT");
        ends(case.validate(MAPPINGS, more), 0);
        calls(case)
    };
    count(&[]) - count(&["--keys", "*"])
}

fn calls(case: &Case) -> u64 {
    let stats = case.redis().say("INFO commandstats");
    let calls = stats.split("cmdstat_exists:calls=").nth(1).and_then(|rest| rest.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

#[test]
fn keys_of_rows_that_were_all_met_are_not_asked_for() {
    let (_redis, case) = alone(50, 70);
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 50)]);
    assert_eq!(outcome.report["validation"]["mappings"]["parents"]["owned_rows"], 50);
    assert_eq!(asked(&case), 0);
}

#[test]
fn one_row_that_was_not_met_is_found() {
    let (_redis, case) = alone(50, 70);
    case.redis().say("DEL parent:7");
    let outcome = ends(case.validate(MAPPINGS, &[]), 0);
    found(&outcome, "parents", &[("equal", 49), ("extra", 1)]);
    assert_eq!(outcome.report["validation"]["mappings"]["parents"]["owned_rows"], 50);
    assert_ne!(asked(&case), 0);
}

/// As many rows are met as there are, and they are not the same ones.
#[test]
fn a_row_that_took_the_place_of_another_hides_nothing() {
    let case = loaded(50, 0);
    case.redis().say("RENAME parent:7 parent:70");
    case.sql("UPDATE parents SET id = '70' WHERE id = '8'");
    let outcome = ends(case.validate(MAPPINGS, &[]), 4);
    found(&outcome, "parents", &[("equal", 48), ("extra", 1), ("missing", 1), ("newer", 1)]);
}
