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
    assert_eq!(case.sql("SELECT attempts, state FROM redis2pg.rejects ORDER BY id"), "2|closed\n2|closed\n2|open");
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
