//! How many rejects a run lets pass: beyond that it stops with its checkpoint kept.

use crate::support::{Case, Outcome};
use crate::{ITEMS, TABLE};

/// Small steps, slowly taken: there is something left to stop before.
const SMALL: [&str; 8] =
    ["--batch-rows", "50", "--scan-count", "20", "--memory", "1MiB", "--max-keys-per-second", "800"];

/// 3,000 keys, of which every fifth is broken.
fn case() -> Case {
    let case = Case::new();
    case.sql(TABLE);
    let value = |n: u32| if n.is_multiple_of(5) { "{".to_owned() } else { format!(r#"{{"n":{n}}}"#) };
    case.redis().set_many(&(0..3000).map(|n| (format!("item:{n}"), value(n))).collect::<Vec<_>>());
    case
}

fn run(case: &Case, more: &[&str]) -> Outcome {
    case.run_config(ITEMS, &[&SMALL[..], more].concat())
}

/// A resume with a higher limit goes on where the run stopped, and each key has one outcome.
fn resumes(case: &Case, stopped: &Outcome, more: &[&str]) {
    assert_eq!((stopped.code, stopped.report["state"].as_str()), (7, Some("stopped")), "{stopped}");
    assert!(case.number("SELECT watermark FROM redis2pg.shards") > 0, "{stopped}");
    let resumed = run(case, &[&["--resume"], more].concat()).exits(3);
    assert_eq!(resumed.report["run"], stopped.report["run"]);
    assert_eq!(
        (resumed.total("matched"), resumed.reasons("items")["json_syntax"]),
        (3000 + resumed.total("duplicates"), 600)
    );
    assert_eq!(case.number("SELECT count(*) FROM items"), 2400);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.rejects WHERE state = 'open'"), 600);
}

#[test]
fn a_number_of_rejects_stops_the_run_and_a_higher_one_completes_it() {
    let case = case();
    let stopped = run(&case, &["--max-rejects", "100"]);
    let notices = stopped.report["notices"].to_string();
    assert!(notices.contains("more than errors.max_rejects (100) allows: stopping"), "{stopped}");
    assert!(stopped.report["tally"]["rejected"]["json_syntax"].as_i64().unwrap() < 600, "{stopped}");
    resumes(&case, &stopped, &["--max-rejects", "1_000"]);
}

#[test]
fn a_share_of_the_keys_is_judged_once_a_thousand_have_an_outcome() {
    let case = case();
    let stopped = run(&case, &["--max-rejects", "10%"]);
    assert!(stopped.report["notices"].to_string().contains("errors.max_rejects (10%)"), "{stopped}");
    let settled = case.number("SELECT count(*) FROM items") + case.number("SELECT count(*) FROM redis2pg.rejects");
    assert!((1000..3000).contains(&settled), "{settled}");
    resumes(&case, &stopped, &["--max-rejects", "30%"]);
}

#[test]
fn without_going_on_after_an_error_the_first_reject_stops_the_run() {
    let case = case();
    let stopped = run(&case, &["--continue-on-error=false"]);
    assert!(stopped.report["notices"].to_string().contains("errors.continue_on_error is off"), "{stopped}");
    resumes(&case, &stopped, &[]);
}

#[test]
fn a_limit_that_the_last_keys_cross_is_told_like_any_other() {
    let case = Case::new();
    case.sql(TABLE);
    let value = |n: u32| if n < 3 { "{".to_owned() } else { format!(r#"{{"n":{n}}}"#) };
    case.redis().set_many(&(0..10).map(|n| (format!("item:{n}"), value(n))).collect::<Vec<_>>());
    // All of them are listed before the first reject is known.
    let stopped = case.run_config(ITEMS, &["--max-rejects", "2"]).exits(7);
    assert_eq!(
        (stopped.report["state"].as_str(), stopped.count("items", "inserted")),
        (Some("stopped"), 7),
        "{stopped}"
    );
    let shown = |case: &Case| case.ledger(&["runs", "show"])["error"].clone();
    assert_eq!(shown(&case), "there are 3 rejects, more than errors.max_rejects (2) allows");
    let resumed = case.run_config(ITEMS, &["--resume", "--max-rejects", "2"]).exits(3);
    assert!(shown(&case).is_null(), "it went to its end");
    assert_eq!(resumed.report["run"], stopped.report["run"], "{resumed}");
    assert_eq!((resumed.total("matched"), resumed.reasons("items")["json_syntax"]), (10, 3), "{resumed}");
}

#[test]
fn reading_does_not_run_far_ahead_of_the_limit() {
    for more in [&["--max-rejects", "10"][..], &["--continue-on-error=false"]] {
        let case = Case::new();
        case.sql(TABLE);
        let value = |n: u32| if n.is_multiple_of(3) { "{".to_owned() } else { format!(r#"{{"n":{n}}}"#) };
        case.redis().set_many(&(0..20_000).map(|n| (format!("item:{n}"), value(n))).collect::<Vec<_>>());
        let stopped = case.run_config(ITEMS, more).exits(7);
        let rejected = stopped.reasons("items")["json_syntax"];
        assert!((1..3000).contains(&rejected), "{rejected} of 6,667: {stopped}");
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.rejects"), rejected);
        // What the pages left open hold is read again, and counts once.
        let resumed = case.run_config(ITEMS, &["--resume", "--max-rejects", "6_667"]).exits(3);
        assert_eq!(resumed.reasons("items")["json_syntax"], 6667, "{resumed}");
        assert_eq!(resumed.total("matched"), 20_000 + resumed.total("duplicates"), "{resumed}");
        assert_eq!(case.number("SELECT count(*) FROM items"), 13_333);
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.rejects WHERE state = 'open'"), 6667);
    }
}

#[test]
fn the_former_name_is_refused_with_what_to_write_instead() {
    let case = Case::new();
    let refused = case.run_config(&format!("[errors]\nstop_at_first = true\n{ITEMS}"), &[]);
    assert!(refused.code == 2 && refused.stderr.contains("continue_on_error = false"), "{refused}");
    for wrong in ["0%", "101%", "many"] {
        let refused = case.run_config(ITEMS, &["--max-rejects", wrong]);
        assert!(refused.code == 2 && refused.stderr.contains("a share from 0.01% to 100%"), "{refused}");
    }
}
