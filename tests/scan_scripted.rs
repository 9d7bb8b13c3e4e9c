//! The command against a scripted Redis: what SCAN may legally do, and what a server does when it goes wrong, must not
//! cost a key.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use support::Case;
use support::scripted::{Answer, Keyspace, ScriptedRedis, array, info, page, reply, scan_cursor};

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
