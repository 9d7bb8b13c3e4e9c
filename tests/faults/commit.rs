//! A COMMIT whose answer was lost: did it happen or not? Either way the rows are there once, and the books say so.

use crate::books::assert_undisturbed;
use crate::harness::{Job, cache, database, postgres, rows_in};
use crate::proxy::{Cut, Proxy, Which};

/// Every fourth COMMIT of a load transaction, three times.
const LOADS: Which = Which { statement: "INSERT INTO redis2pg.batches", one_in: 4, most: 3, closes: false };

fn cut_at_commit(cut: Cut) {
    let (name, url) = database();
    let proxy = Proxy::start(postgres().port(), cut, LOADS);
    let through = proxy.url(postgres().port(), &url);
    let ended = Job::run(&cache(), &through, &["--batch-rows", "40"]).expect(3);
    assert_eq!(proxy.cuts(), 3, "{}", ended.stderr);
    ended.report().assert_balanced();
    // Each row was inserted once and counted once, by the attempt that was committed.
    assert_eq!(ended.report().count("inserted"), rows_in(&name));
    assert_eq!(ended.report().count("duplicates"), 0, "a rejected parent that is read again is no second sighting");
    assert_undisturbed(postgres(), &name);
}

#[test]
fn a_commit_whose_answer_is_lost_is_counted_once() {
    cut_at_commit(Cut::Answer);
}

#[test]
fn a_commit_that_never_arrives_is_done_again() {
    cut_at_commit(Cut::Request);
}

#[test]
fn a_commit_that_comes_after_its_retry_has_begun_is_counted_once() {
    cut_at_commit(Cut::Late);
}
