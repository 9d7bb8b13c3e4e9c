//! Two keys that map to one row, and keys that are rejected more than once, in the order that the test chooses.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use crate::support;

use std::sync::{Arc, Mutex};
use support::Case;
use support::scripted::{Keyspace, ScriptedRedis, page, reply, scan_cursor};

const LOWER: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const UPPER: &str = "AAAAAAAA-0000-4000-8000-000000000001";

/// A server that lists keys in one page, in the order of the test.
#[derive(Clone, Default)]
struct Listed {
    keys: Arc<Mutex<Vec<String>>>,
    values: Keyspace,
}

impl Listed {
    /// Lists and holds these from now on.
    fn set(&self, pairs: &[(String, String)]) {
        *self.keys.lock().unwrap() = pairs.iter().map(|(key, _)| key.clone()).collect();
        self.values.set(pairs);
    }

    fn serve(&self) -> Case {
        let keys = self.keys.clone();
        let server = ScriptedRedis::start(self.values.clone(), move |_, command| {
            scan_cursor(command)?;
            let keys = keys.lock().unwrap();
            reply(page("0", &keys.iter().map(String::as_str).collect::<Vec<_>>()))
        });
        Case::from_source(&server.url())
    }
}

fn document(id: &str, size: u32) -> (String, String) {
    (format!("document:{id}"), format!(r#"{{"file_path":"a.pdf","file_size":{size}}}"#))
}

fn analysis(id: &str, document: &str) -> (String, String) {
    (format!("analysis:{id}"), format!(r#"{{"document_id":"{document}","analysis":{{}}}}"#))
}

#[test]
fn a_row_stays_with_the_key_that_has_it_and_is_updated_from_it() {
    let listed = Listed::default();
    let case = listed.serve();
    // The first one alone: two keys go through two lanes, and either may come first.
    listed.set(&[document(LOWER, 1)]);
    case.run(&[]).exits(0);
    listed.set(&[document(UPPER, 3), document(LOWER, 4)]);
    let outcome = case.run(&[]).exits(3);
    assert_eq!(
        case.sql("SELECT file_size, metadata ->> 'redis_key' FROM document_hub.documents"),
        format!("4|document:{LOWER}"),
        "{outcome}"
    );
}

#[test]
fn a_key_whose_row_is_not_loaded_keeps_no_other_key_from_the_row() {
    let listed = Listed::default();
    let case = listed.serve();
    listed.set(&[document("1", 1), analysis(UPPER, "nowhere"), analysis(LOWER, "1")]);
    let outcome = case.run(&[]).exits(3);
    assert_eq!(
        case.sql("SELECT metadata ->> 'redis_key' FROM document_hub.analysis_results"),
        format!("analysis:{LOWER}"),
        "{outcome}"
    );
}

#[test]
fn a_key_that_is_listed_twice_in_a_page_is_one_reject() {
    let listed = Listed::default();
    let case = listed.serve();
    let broken = ("document:2".to_owned(), "{".to_owned());
    listed.set(&[document("1", 1), broken.clone(), broken]);
    let outcome = case.run(&[]).exits(3);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.rejects"), 1);
    assert_eq!(outcome.reasons("documents").values().sum::<i64>(), 1, "{outcome}");
    assert_eq!(outcome.count("documents", "duplicates"), 1, "{outcome}");
}
