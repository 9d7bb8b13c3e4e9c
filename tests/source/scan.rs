//! The command against a scripted Redis: what SCAN may legally do, and what a server does when it goes wrong, must not
//! cost a key.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use crate::support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use support::Case;
use support::scripted::{Answer, Keyspace, ScriptedRedis, array, bulk, info, page, reply, scan_cursor};

/// Cursors are unsigned: these are above 2^63.
const MIDDLE: &str = "9223372036854775809";
const LAST: &str = "18446744073709551615";

/// Skips the look for one key before the run, so that the scan that a script plays tricks on is the run's own.
const SCAN_ONCE: [&str; 1] = ["--allow-empty"];

const DOCUMENTS: [&str; 4] = ["document:1", "document:2", "document:3", "document:4"];
const ANALYSES: [&str; 2] = ["analysis:1", "analysis:2"];
const SESSIONS: [&str; 1] = ["session:1"];

/// Four documents, analyses of the first two, and a session.
fn keyspace() -> Keyspace {
    let value = |key: &str| match key.split_once(':').unwrap() {
        ("document", id) => format!(r#"{{"filename":"{id}.pdf","file_path":"{id}.pdf","file_size":1}}"#),
        ("analysis", id) => format!(r#"{{"document_id":"{id}","analysis":{{"summary":"s"}}}}"#),
        (_, id) => format!(r#"{{"user_id":"{id}"}}"#),
    };
    let keys = DOCUMENTS.iter().chain(&ANALYSES).chain(&SESSIONS);
    Keyspace::new(&keys.map(|key| ((*key).to_owned(), value(key))).collect::<Vec<_>>())
}

fn case(script: impl Fn(usize, &[String]) -> Option<Answer> + Send + Sync + 'static) -> Case {
    Case::from_source(&ScriptedRedis::start(keyspace(), script).url())
}

/// Rows of documents, analyses and sessions.
fn rows(case: &Case) -> [i64; 3] {
    ["documents", "analysis_results", "sessions"]
        .map(|table| case.number(&format!("SELECT count(*) FROM document_hub.{table}")))
}

/// A scan that lists every key once, in three pages.
fn plain_scan(cursor: &str) -> Option<Answer> {
    match cursor {
        "0" => reply(page(MIDDLE, &DOCUMENTS[..2])),
        MIDDLE => reply(page(LAST, &[DOCUMENTS[2], ANALYSES[0], SESSIONS[0]])),
        LAST => reply(page("0", &[DOCUMENTS[3], ANALYSES[1]])),
        _ => None,
    }
}

#[test]
fn keys_that_scan_returns_again_are_loaded_once_and_counted_as_duplicates() {
    let pages = |cursor: &str| match cursor {
        "0" => page(MIDDLE, &["document:1", "document:2", "document:2", "analysis:1"]),
        // The same page again, as a server gives it that resizes its table.
        MIDDLE => page(LAST, &["document:1", "document:2", "document:2", "analysis:1"]),
        _ => page("0", &["document:3", "document:4", "analysis:2", "analysis:2", "session:1", "document:1"]),
    };
    let case = case(move |_, command| reply(pages(scan_cursor(command)?)));
    let outcome = case.run(&SCAN_ONCE).exits(0);
    assert_eq!(rows(&case), [4, 2, 1], "{outcome}");
    for (mapping, matched, inserted) in [("documents", 9, 4), ("analyses", 4, 2), ("sessions", 1, 1)] {
        let counts = ["matched", "inserted", "duplicates"].map(|field| outcome.count(mapping, field));
        assert_eq!(counts, [matched, inserted, matched - inserted], "{mapping}: {outcome}");
    }
    assert_eq!((outcome.total("scanned"), outcome.total("unmatched")), (14, 0), "{outcome}");
}

#[test]
fn an_error_and_a_closed_socket_in_mid_scan_lose_no_key() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let case = case(|_, command| match scan_cursor(command)? {
        MIDDLE => match ASKED.fetch_add(1, Ordering::Relaxed) {
            0 => reply("-LOADING Redis is loading the dataset in memory\r\n".to_owned()),
            1 => Some(Answer::Close),
            _ => plain_scan(MIDDLE),
        },
        cursor => plain_scan(cursor),
    });
    let outcome = case.run(&SCAN_ONCE).exits(0);
    assert_eq!(rows(&case), [4, 2, 1], "{outcome}");
    assert_eq!(ASKED.load(Ordering::Relaxed), 3, "the same server goes on where it was: {outcome}");
    assert_eq!((outcome.total("matched"), outcome.total("duplicates")), (7, 0), "{outcome}");
}

/// A server that is replaced when it is asked for the second page. The new one takes the old cursor without a word and
/// ends there, as a real one may. `cut`: the connection breaks at that moment; else a proxy keeps it up.
fn replaced(cut: bool) -> Case {
    let replaced = AtomicBool::new(false);
    case(move |connection, command| {
        let new = replaced.load(Ordering::Relaxed);
        if command[0] == "INFO" {
            return reply(info(if new { "b" } else { "a" }));
        }
        match scan_cursor(command)? {
            "0" if new => reply(page("7", &DOCUMENTS)),
            "7" => reply(page("0", &["analysis:1", "analysis:2", "session:1"])),
            "0" => plain_scan("0"),
            _ => {
                replaced.store(true, Ordering::Relaxed);
                if cut && connection == 0 { Some(Answer::Close) } else { reply(page("0", &[])) }
            }
        }
    })
}

#[test]
fn a_server_that_is_replaced_behind_a_proxy_in_mid_scan_is_scanned_from_the_beginning() {
    let case = replaced(false);
    let outcome = case.run(&SCAN_ONCE);
    assert_eq!(rows(&case), [4, 2, 1], "{outcome}");
    outcome.exits(0);
}

#[test]
fn a_server_that_is_replaced_with_its_connection_in_mid_scan_is_scanned_from_the_beginning() {
    let case = replaced(true);
    let outcome = case.run(&SCAN_ONCE);
    assert_eq!(rows(&case), [4, 2, 1], "{outcome}");
    outcome.exits(0);
}

#[test]
fn a_reply_with_fewer_values_than_keys_ends_the_run_before_a_value_meets_another_key() {
    let case = case(|_, command| match command[0].as_str() {
        // The check at connect asks for a key of its own.
        "MGET" if !command[1].starts_with("redis2pg:") => {
            reply(array(&vec!["$2\r\n{}\r\n".to_owned(); command.len() - 2]))
        }
        _ => plain_scan(scan_cursor(command)?),
    });
    let outcome = case.run(&SCAN_ONCE);
    assert_eq!(outcome.code, 5, "{outcome}");
    assert!(outcome.stderr.contains("MGET was answered with 0 values for 1 keys"), "{outcome}");
    assert_eq!(rows(&case), [0, 0, 0], "{outcome}");
    assert_eq!(case.sql("SELECT state, exit_code FROM redis2pg.runs"), "failed|5");
}

/// What page 2 of a scan may be instead of itself.
const BROKEN: [&str; 4] = [
    "-LOADING Redis is loading the dataset in memory\r\n",
    "-ERR something that nobody knows\r\n",
    // A cursor without keys, and keys without a cursor.
    "*1\r\n$1\r\n0\r\n",
    "*2\r\n*0\r\n$1\r\n0\r\n",
];

#[test]
fn a_page_that_never_comes_ends_the_run_as_failed_and_never_as_complete() {
    for broken in BROKEN.into_iter().map(Some).chain([None]) {
        let case = case(move |_, command| match scan_cursor(command)? {
            MIDDLE => Some(broken.map_or(Answer::Close, |text| Answer::Reply(text.to_owned()))),
            cursor => plain_scan(cursor),
        });
        let args = ["--allow-empty", "--reconnect-attempts", "2", "--loading-timeout", "500ms"];
        let outcome = case.run(&args);
        assert_eq!((outcome.code, outcome.report["state"].as_str()), (5, Some("failed")), "{broken:?}: {outcome}");
        assert_eq!(case.sql("SELECT state, exit_code FROM redis2pg.runs"), "failed|5", "{broken:?}");
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.shards WHERE state <> 'open'"), 0, "{broken:?}");
        let dry = case.run(&[&args[..], &["--dry-run"]].concat());
        assert_eq!((dry.code, dry.report["state"].as_str()), (5, Some("failed")), "{broken:?}: {dry}");
        // Only what has begun can go on.
        assert!(outcome.stderr.contains("--resume goes on") && !dry.stderr.contains("--resume"), "{outcome} {dry}");
    }
}

#[test]
fn a_key_that_is_no_text_in_mid_scan_is_a_key_like_others() {
    // As the script reads a byte that is no text.
    let mut pairs = vec![("document:\u{fffd}".to_owned(), "{}".to_owned())];
    pairs.extend(DOCUMENTS.map(|key| (key.to_owned(), r#"{"filename":"a","file_path":"a","file_size":1}"#.to_owned())));
    let script = |_: usize, command: &[String]| match scan_cursor(command)? {
        MIDDLE => {
            let mut reply = format!("*2\r\n{}*2\r\n$10\r\ndocument:", bulk(LAST)).into_bytes();
            reply.extend(b"\xff\r\n");
            reply.extend(bulk("document:3").bytes());
            Some(Answer::Bytes(reply))
        }
        LAST => reply(page("0", &["document:4"])),
        _ => reply(page(MIDDLE, &DOCUMENTS[..2])),
    };
    let case = Case::from_source(&ScriptedRedis::start(Keyspace::new(&pairs), script).url());
    let outcome = case.run(&SCAN_ONCE).exits(3);
    assert_eq!((rows(&case)[0], outcome.count("documents", "matched")), (4, 5), "{outcome}");
    assert_eq!(outcome.rejects[0]["reason"], "key_not_utf8", "{outcome}");
}

#[test]
fn a_key_that_goes_between_the_listing_and_the_reading_costs_its_neighbours_nothing() {
    let space = keyspace();
    let held = space.clone();
    let script = move |_: usize, command: &[String]| {
        // Listed, and gone before it is read: all that is asked of it later finds nothing.
        if scan_cursor(command) == Some("0") {
            let left = DOCUMENTS.iter().filter(|key| **key != "document:2");
            let value = r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1}"#;
            held.set(&left.map(|key| ((*key).to_owned(), value.to_owned())).collect::<Vec<_>>());
            return reply(page("0", &DOCUMENTS));
        }
        None
    };
    let case = Case::from_source(&ScriptedRedis::start(space, script).url());
    let outcome = case.run(&SCAN_ONCE).exits(0);
    assert_eq!(rows(&case)[0], 3, "{outcome}");
    assert_eq!(outcome.report["tally"]["skipped"]["gone"], 1, "{outcome}");
}

#[test]
fn a_run_that_meets_writes_says_when_it_read_and_loads_all_that_was_there_throughout() {
    let space = keyspace();
    let held = space.clone();
    let value = |name: &str| format!(r#"{{"filename":"{name}","file_path":"{name}","file_size":1}}"#);
    let script = move |_: usize, command: &[String]| {
        if scan_cursor(command) == Some(MIDDLE) {
            // Meanwhile one was made, one deleted, one written over; the first two pages are read by then or not.
            let left = ["document:1", "document:2", "document:3"].map(|key| (key.to_owned(), value(key)));
            held.set(&[&left[..], &[("document:new".to_owned(), value("new"))]].concat());
        }
        plain_scan(scan_cursor(command)?)
    };
    let case = Case::from_source(&ScriptedRedis::start(space, script).url());
    let before = jiff::Timestamp::now();
    let outcome = case.run(&SCAN_ONCE).exits(0);
    let after = jiff::Timestamp::now();
    assert_eq!(rows(&case)[0], 3, "{outcome}");
    assert_eq!(
        (outcome.report["tally"]["skipped"]["gone"].as_i64(), outcome.total("inserted")),
        (Some(4), 3),
        "{outcome}"
    );
    let time = |end: &str| outcome.report["window"][end].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(
        before <= time("from") && time("from") <= time("to") && time("to") <= after,
        "{}",
        outcome.report["window"]
    );
    let summary = std::fs::read_to_string(outcome.path().join("summary.txt")).unwrap();
    assert!(summary.contains(&format!("Redis was read from {}", outcome.report["window"]["from"].as_str().unwrap())));
}

#[test]
fn a_server_that_takes_another_role_is_scanned_from_the_beginning() {
    let replaced = AtomicBool::new(false);
    let case = case(move |connection, command| {
        let demoted = replaced.load(Ordering::Relaxed);
        if command[0] == "INFO" {
            let role = if demoted { "slave" } else { "master" };
            return reply(bulk(&format!(
                "redis_version:7.2.0\r\nrun_id:a\r\nrole:{role}\r\nmaster_link_status:up\r\n"
            )));
        }
        match scan_cursor(command)? {
            "0" if demoted => reply(page("7", &DOCUMENTS)),
            "7" => reply(page("0", &["analysis:1", "analysis:2", "session:1"])),
            "0" => plain_scan("0"),
            // The same process with other data: it takes the old cursor and would end there.
            _ if connection == 0 => {
                replaced.store(true, Ordering::Relaxed);
                Some(Answer::Close)
            }
            _ => reply(page("0", &[])),
        }
    });
    let outcome = case.run(&SCAN_ONCE).exits(0);
    assert_eq!(rows(&case), [4, 2, 1], "{outcome}");
    assert!(outcome.stderr.contains("took another role"), "{outcome}");
}
