//! The first and the last things that a run writes, with the answer lost or the server gone just then: they are done,
//! and done once.

use crate::books::assert_undisturbed;
use crate::harness::{Job, PATIENCE, cache, database, postgres};
use crate::proxy::{Cut, Proxy, Which};
use redis2pg::sandbox::{PostgresOptions, PostgresServer};
use std::thread;
use std::time::{Duration, Instant};

const CLAIM: Which = Which { statement: "INSERT INTO redis2pg.runs", one_in: 1, most: 1, closes: false };
const END: Which = Which { statement: "UPDATE redis2pg.runs SET state = $3", one_in: 1, most: 1, closes: false };

/// The run's line in the ledger, and how often each table is in the audit log.
const ENDS: &str = "SELECT string_agg(concat_ws(' ', state, exit_code, error), ',') FROM redis2pg.runs; \
     SELECT resource_type, count(*) FROM document_hub.audit_logs GROUP BY 1 ORDER BY 1";

fn assert_closed_once(server: &PostgresServer, database: &str) {
    let ends = server.execute(database, ENDS).unwrap();
    let tables = ["analysis_results", "documents", "sessions"].map(|table| format!("document_hub.{table}|1"));
    assert_eq!(ends, format!("done 3\n{}", tables.join("\n")));
}

fn cut_at(which: Which) {
    for cut in [Cut::Answer, Cut::Request, Cut::Late] {
        let (name, url) = database();
        let proxy = Proxy::start(postgres().port(), cut, which);
        let ended = Job::run(&cache(), &proxy.url(postgres().port(), &url), &[]).expect(3);
        assert_eq!(proxy.cuts(), 1, "{cut:?}: {}", ended.stderr);
        ended.report().assert_balanced();
        assert_closed_once(postgres(), &name);
        assert_undisturbed(postgres(), &name);
    }
}

#[test]
fn a_run_whose_claim_was_not_answered_goes_on_with_it() {
    cut_at(CLAIM);
}

#[test]
fn a_run_whose_end_was_not_answered_ends_once() {
    cut_at(END);
}

/// Goes red where a step before or after the load waits for ever, and where the server keeps the locks of a client that is
/// gone: it hears of nothing either.
fn fall_silent_at(which: Which) {
    let (name, url) = database();
    let proxy = Proxy::start(postgres().port(), Cut::Silence, which);
    let url = proxy.url(postgres().port(), &url);
    let ended = Job::run(&cache(), &url, &["--statement-timeout", "1s"]).expect(3);
    assert_eq!(proxy.cuts(), 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("does not answer any more; trying again"), "{}", ended.stderr);
    ended.report().assert_balanced();
    assert_closed_once(postgres(), &name);
    assert_undisturbed(postgres(), &name);
}

#[test]
fn a_server_that_falls_silent_while_a_run_begins_is_given_up() {
    fall_silent_at(CLAIM);
}

#[test]
fn a_server_that_falls_silent_while_a_run_closes_is_given_up() {
    fall_silent_at(END);
}

#[test]
fn postgres_started_again_while_a_run_closes_fails_no_run() {
    let mut server = PostgresServer::start(PostgresOptions::quick()).unwrap();
    let url = server.create_database("target").unwrap();
    let proxy = Proxy::start(server.port(), Cut::Request, Which { closes: true, ..END });
    let job = Job::start(&cache(), &proxy.url(server.port(), &url), &[]);
    let since = Instant::now();
    while proxy.cuts() == 0 {
        assert!(since.elapsed() < PATIENCE, "the run never closes");
        thread::sleep(Duration::from_millis(20));
    }
    server.kill9().unwrap();
    proxy.open();
    thread::sleep(Duration::from_millis(700));
    server.restart().unwrap();
    let ended = job.end().expect(3);
    assert!(ended.stderr.contains("closing the run in the ledger"), "{}", ended.stderr);
    ended.report().assert_balanced();
    assert_closed_once(&server, "target");
    assert_undisturbed(&server, "target");
}
