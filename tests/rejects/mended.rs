//! What was at fault is mended: the value in Redis, the mapping, or the table.

use crate::support::Case;
use crate::{ITEMS, TABLE, states};

#[test]
fn once_the_source_is_mended_a_retry_loads_the_rest_and_closes_it() {
    let case = Case::new();
    case.sql(TABLE);
    let mut redis = case.redis();
    for n in 0..20 {
        redis.set(&format!("item:{n}"), &format!(r#"{{"n":{n}}}"#));
    }
    redis.set("item:bad", "{");
    redis.set("item:worse", r#"{"n":"many"}"#);
    redis.set("item:long", r#"{"n":99999999999}"#);
    let first = case.run_config(ITEMS, &[]).exits(3);
    assert_eq!((first.total("inserted"), first.total("matched")), (20, 23), "{first}");

    redis.set("item:bad", r#"{"n":100}"#);
    redis.set("item:worse", r#"{"n":101}"#);
    let retry = case.retry(ITEMS, &[]).exits(3);
    assert_eq!((retry.total("matched"), retry.total("scanned"), retry.total("inserted")), (3, 3, 2), "{retry}");
    assert_eq!(retry.reasons("items"), [("number_range".to_owned(), 1)].into());
    assert_eq!(retry.report["retry_of"], first.report["run"]);
    assert_eq!((retry.report["open_rejects"].as_i64(), retry.rejects.len()), (Some(1), 1), "{retry}");
    assert!(retry.stdout.contains("1 of its rejects are still open"), "{retry}");
    assert_eq!(states(&case), [1, 0, 2]);
    assert_eq!(case.sql("SELECT attempts, state FROM redis2pg.rejects ORDER BY key"), "2|closed\n2|open\n2|closed");
    let closed_by = "SELECT DISTINCT closed_by FROM redis2pg.rejects WHERE state = 'closed' AND closed_at IS NOT NULL";
    assert_eq!(case.sql(closed_by), retry.report["run"].as_str().unwrap());

    redis.set("item:long", r#"{"n":102}"#);
    let last = case.retry(ITEMS, &[]).exits(0);
    assert_eq!((last.total("matched"), last.total("inserted")), (1, 1), "{last}");
    assert_eq!(states(&case), [0, 0, 3]);
    assert_eq!(case.number("SELECT count(*) FROM items"), 23);
    assert_eq!(case.sql("SELECT string_agg(n::text, ',' ORDER BY n) FROM items WHERE n >= 100"), "100,101,102");

    // Nothing is left to do, and nothing is written for it.
    let runs = case.number("SELECT count(*) FROM redis2pg.runs");
    let nothing = case.retry(ITEMS, &[]);
    assert!(nothing.code == 0 && nothing.stdout.contains("nothing to retry"), "{nothing}");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.runs"), runs);
}

#[test]
fn once_the_mapping_is_mended_a_retry_takes_the_keys_by_it_and_says_that_it_differs() {
    let case = Case::new();
    case.sql(TABLE);
    let mut redis = case.redis();
    redis.set("item:1", r#"{"count":1}"#);
    redis.set("item:2", r#"{"count":2}"#);
    redis.set("other:3", "{");
    let strict = ITEMS.replace(r#"["$.n"]"#, r#"["$.n"], required = true"#)
        + &ITEMS.replace("\"items\"", "\"others\"").replace("item:", "other:");
    case.run_config(&strict, &[]).exits(3);
    // Under another name, by another path; the keys of `others` are nobody's now.
    let mended = ITEMS.replace("\"items\"", "\"renamed\"").replace("$.n", "$.count");
    let retry = case.retry(&mended, &[]).exits(3);
    assert_eq!((retry.total("inserted"), retry.total("unmatched"), retry.total("scanned")), (2, 1, 3), "{retry}");
    let notices = retry.report["notices"].to_string();
    assert!(notices.contains("items (gone)") && notices.contains("renamed (new)"), "{notices}");
    assert!(notices.contains("1 key is of no mapping now"), "{notices}");
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "1|1\n2|2");
    assert_eq!(states(&case), [1, 0, 2]);
    assert_eq!(retry.reject("other:3")["mapping"], "others", "what nobody takes is left as it was");
}

#[test]
fn once_the_table_is_mended_a_retry_loads_what_it_refused() {
    let case = Case::new();
    case.sql(&format!("{TABLE}; ALTER TABLE items ADD CHECK (n < 10)"));
    let mut redis = case.redis();
    for n in 0..12 {
        redis.set(&format!("item:{n}"), &format!(r#"{{"n":{n}}}"#));
    }
    redis.set("item:much", r#"{"n":3000000000}"#);
    let first = case.run_config(ITEMS, &[]).exits(3);
    assert_eq!(first.reasons("items"), [("check".to_owned(), 2), ("number_range".to_owned(), 1)].into());
    case.sql("ALTER TABLE items DROP CONSTRAINT items_n_check; ALTER TABLE items ALTER n TYPE bigint");
    let retry = case.retry(ITEMS, &[]).exits(0);
    assert_eq!((retry.total("inserted"), retry.total("matched")), (3, 3), "{retry}");
    assert_eq!(case.sql("SELECT count(*), max(n) FROM items"), "13|3000000000");
    // The rows are the retry's: the next run finds them unchanged, and updates them as its own.
    redis.set("item:much", r#"{"n":7}"#);
    let next = case.run_config(ITEMS, &[]).exits(0);
    assert_eq!((next.total("unchanged"), next.total("updated")), (12, 1), "{next}");
}

#[test]
fn what_is_rejected_again_is_written_over_and_the_other_reasons_are_left_alone() {
    let case = Case::new();
    case.sql(TABLE);
    let mut redis = case.redis();
    redis.set("item:1", "{");
    redis.set("item:2", r#"{"n":"x"}"#);
    redis.set("item:3", r#"{"n":"y"}"#);
    case.run_config(ITEMS, &[]).exits(3);
    redis.set("item:1", r#"{"n":[]}"#);
    redis.set("item:2", r#"{"n":2}"#);
    redis.set("item:3", r#"{"n":3}"#);
    // Only what is asked for is taken, and the others count for the exit code.
    let retry = case.retry(ITEMS, &["--reason", "json_syntax"]).exits(3);
    assert_eq!(
        (retry.total("matched"), retry.reasons("items")),
        (1, [("type_mismatch".to_owned(), 1)].into()),
        "{retry}"
    );
    assert_eq!(retry.report["open_rejects"], 3);
    let kept = "SELECT reason, convert_from(value, 'UTF8'), attempts, state FROM redis2pg.rejects WHERE key = 'item:1'";
    assert_eq!(case.sql(kept), r#"type_mismatch|{"n":[]}|2|open"#);
    let retry = case.retry(ITEMS, &["--mapping", "items", "item:3"]).exits(3);
    assert_eq!((retry.total("matched"), retry.total("inserted")), (1, 1), "{retry}");
    for (mistyped, why) in [
        (["--mapping", "others"], "has no rejects of the mapping others"),
        (["--reason", "json_sintax"], "has no rejects of the reason json_sintax"),
        (["--run", ""], "an empty id names no run"),
        (["--run", "0"], " runs begin with 0: "),
    ] {
        let refused = case.retry(ITEMS, &mistyped).exits(2);
        assert!(refused.stderr.contains(why), "{refused}");
    }
    let named = case.retry(ITEMS, &["item:3", "item:33", "--dry-run"]);
    assert!(
        named.report["notices"].to_string().contains("2 of the named keys have no open reject")
            || named.stderr.contains("2 of the named keys have no open reject"),
        "{named}"
    );
    // Nothing is taken; what is open is reported all the same.
    let nothing = case.retry(ITEMS, &["item:3"]).exits(3);
    let open = case.number("SELECT count(*) FROM redis2pg.rejects WHERE state = 'open'");
    assert_eq!((open > 0, nothing.rejects.len() as i64), (true, open), "{nothing}");
    redis.set("item:1", r#"{"n":1}"#);
    // A retry's id stands for the run that it retries.
    let run = retry.report["run"].as_str().unwrap();
    let last = case.retry(ITEMS, &["--run", &run[..26].to_uppercase()]).exits(0);
    assert_eq!(last.total("inserted"), 2, "{last}");
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "1|1\n2|2\n3|3");
    assert_eq!(case.sql("SELECT attempts FROM redis2pg.rejects ORDER BY key"), "3\n2\n2");
}

#[test]
fn a_dry_retry_says_what_it_would_load_and_writes_nothing() {
    let case = Case::new();
    case.sql(TABLE);
    let mut redis = case.redis();
    redis.set("item:1", "{");
    redis.set("item:2", "[");
    case.run_config(ITEMS, &[]).exits(3);
    redis.set("item:1", r#"{"n":1}"#);
    let before = case.fingerprint();
    let dry = case.retry(ITEMS, &["--dry-run"]).exits(3);
    assert_eq!((dry.total("would_load"), dry.report["open_rejects"].as_i64()), (1, Some(1)), "{dry}");
    assert!(
        dry.stdout.contains("would load item:1") && dry.stdout.contains("1 of its rejects would stay open"),
        "{dry}"
    );
    assert!(dry.report["notices"].to_string().contains("does not look at rows that are there"), "{dry}");
    redis.set("item:2", r#"{"n":2}"#);
    let dry = case.retry(ITEMS, &["--dry-run", "--json"]).exits(0);
    assert_eq!(dry.total("would_load"), 2, "{dry}");
    let printed: serde_json::Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!((&printed["retry_of"], printed["open_rejects"].as_i64()), (&dry.report["retry_of"], Some(0)));
    assert_eq!(case.fingerprint(), before, "something was written");
}

#[test]
fn parents_and_children_are_loaded_in_their_order() {
    let case = Case::new();
    let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
    let document = |n: u32| {
        (format!("document:{}", id(n)), format!(r#"{{"filename":"{n}.pdf","file_path":"{n}.pdf","file_size":{n}}}"#))
    };
    let analysis = |n: u32| {
        (format!("analysis:{}", id(100 + n)), format!(r#"{{"document_id":"{}","analysis":{{"summary":"s"}}}}"#, id(n)))
    };
    let mut redis = case.redis();
    redis.set_many(&[document(1), analysis(1), analysis(2), analysis(3), analysis(4)]);
    redis.set(&document(2).0, "{");
    let first = case.run(&[]).exits(3);
    assert_eq!(first.reasons("analyses"), [("missing_parent".to_owned(), 3)].into(), "{first}");
    let preset = "run.preset = \"contract-reviewer\"\n";
    // One parent was mended, one is written only now; that of the last never comes.
    redis.set_many(&[document(2), document(3)]);
    let retry = case.retry(preset, &[]).exits(3);
    assert_eq!((retry.count("documents", "inserted"), retry.count("analyses", "inserted")), (2, 2), "{retry}");
    assert_eq!(states(&case), [1, 0, 3]);
    let left = retry.reject(&analysis(4).0);
    assert!(left["detail"].as_str().unwrap().contains("is not in Redis"), "{left}");
    redis.set_many(&[document(4)]);
    case.retry(preset, &[]).exits(0);
    assert_eq!(case.number("SELECT count(*) FROM document_hub.analysis_results"), 4);
}
