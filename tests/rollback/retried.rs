//! Retries of rejects that are taken back: each key has its outcome again.

use crate::{ITEMS, id, in_ledger, items, undo};

#[test]
fn a_key_that_a_retry_had_loaded_is_an_open_reject_again() {
    let nowhere = format!("{}\nlineage = \"none\"\n", in_ledger());
    for config in [ITEMS.to_owned(), in_ledger(), nowhere] {
        let case = items(&[("a", 1)]);
        let mut redis = case.redis();
        redis.set("item:bad", "{\"n\":\"x\"}");
        redis.set("item:worse", "{\"n\":\"y\"}");
        let run = id(&case.run_config(&config, &[]).exits(3));
        redis.set("item:bad", "{\"n\":5}");
        let retry = id(&case.retry(&config, &["--run", &run]).exits(3));
        let rejects = "SELECT convert_from(key, 'UTF8'), state, closed_by FROM redis2pg.rejects ORDER BY 1";
        assert_eq!(case.sql(rejects), format!("item:bad|closed|{retry}\nitem:worse|open|"));
        assert_eq!(undo(&case, &retry).counts(), [1, 0, 0]);
        assert_eq!(case.sql(rejects), "item:bad|open|\nitem:worse|open|");
        let again = case.retry(&config, &["--run", &run]).exits(3);
        assert_eq!(again.total("inserted"), 1, "{again}");
        assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "a|1\nbad|5");
    }
}

#[test]
fn so_is_one_whose_row_is_as_it_was_and_none_whose_row_is_kept() {
    let config = format!("{ITEMS}on_conflict = \"update\"\n");
    let case = items(&[]);
    case.sql("INSERT INTO items VALUES ('bad', 7)");
    let mut redis = case.redis();
    redis.set("item:bad", "{\"n\":\"x\"}");
    redis.set("item:mine", "{\"n\":\"y\"}");
    let run = id(&case.run_config(&config, &[]).exits(3));
    redis.set("item:bad", "{\"n\":5}");
    redis.set("item:mine", "{\"n\":6}");
    let retry = id(&case.retry(&config, &["--run", &run]).exits(0));
    case.sql("UPDATE items SET note = 'changed' WHERE id = 'mine'");
    assert_eq!(undo(&case, &retry).counts(), [0, 1, 1]);
    assert_eq!(case.sql("SELECT id, n FROM items ORDER BY 1"), "bad|7\nmine|6");
    let rejects = "SELECT convert_from(key, 'UTF8'), state FROM redis2pg.rejects ORDER BY 1";
    assert_eq!(case.sql(rejects), "item:bad|open\nitem:mine|closed");
}
