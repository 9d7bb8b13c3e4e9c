//! Whose a row is, when keys of the same name are in several databases.

use crate::support::Case;
use crate::{BY_DATABASE, COUNT, PLACES, Several, by_id, item, kept_in, loaded};

#[test]
fn the_same_keys_of_two_databases_are_rows_of_their_own() {
    for (place, columns) in PLACES {
        let several =
            Several::new(&format!("CREATE TABLE items (db int, id text, n int{columns}, PRIMARY KEY (db, id))"));
        let config = kept_in(place);
        let mut clients = [several.database(0), several.database(2)];
        for (index, client) in (0..).zip(&mut clients) {
            (0..COUNT).for_each(|n| client.set(&format!("item:{n}"), &item(n + index * 1000)));
        }
        several.database(1).set("item:1", &item(-1));
        let run = several.run(&config, 0);
        assert_eq!(loaded(&run), [2 * COUNT, 0, 0], "{place}");
        assert_eq!(run.report["source_databases"], serde_json::json!([0, 2]));
        assert_eq!(run.report["counts"]["source"]["before"], 2 * COUNT);
        assert_eq!(several.case.sql("SELECT db, n FROM items WHERE id = '7' ORDER BY db"), "0|7\n2|1007", "{place}");

        let before = several.case.xmins("items");
        assert_eq!(loaded(&several.run(&config, 0)), [0, 0, 2 * COUNT], "{place}");
        assert_eq!(several.case.xmins("items"), before, "{place}");

        clients[1].set("item:7", &item(7));
        assert_eq!(loaded(&several.run(&config, 0)), [0, 1, 2 * COUNT - 1], "{place}");
        assert_eq!(several.case.sql("SELECT db, n FROM items WHERE id = '7' ORDER BY db"), "0|7\n2|7", "{place}");
    }
}

#[test]
fn the_same_key_of_two_databases_for_one_row_is_a_collision() {
    for (place, columns) in PLACES.iter().filter(|(place, _)| !place.contains("none")) {
        let several = Several::new(&format!("CREATE TABLE items (id text PRIMARY KEY, n int{columns})"));
        let config = by_id(&kept_in(place));
        let (mut first, mut second) = (several.database(0), several.database(2));
        for n in 0..COUNT {
            first.set(&format!("item:{n}"), &item(n));
            second.set(&format!("item:s{n}"), &item(n));
        }
        // One with another value, and one with the same.
        second.set("item:1", &item(-1));
        second.set("item:2", &item(2));
        second.set("item:own", &item(9));
        for (inserted, unchanged) in [(2 * COUNT + 1, 0), (0, 2 * COUNT + 1)] {
            let run = several.run(&config, 3);
            assert_eq!((run.total("inserted"), run.total("unchanged")), (inserted, unchanged), "{place}: {run}");
            assert_eq!((run.reasons("items")["key_collision"], run.total("duplicates")), (2, 0), "{place}: {run}");
            let reject = run.reject("item:1");
            assert_eq!(reject["database"], 2);
            assert_eq!(reject["detail"], "maps to the same row as item:1 of database 0");
        }
        assert_eq!(several.case.sql("SELECT n FROM items WHERE id IN ('1', '2') ORDER BY id"), "1\n2", "{place}");
        // The row of a key that is in the second database alone is updated from it.
        second.set("item:own", &item(10));
        assert_eq!(loaded(&several.run(&config, 3)), [0, 1, 2 * COUNT], "{place}");
        // A run of the first database alone knows the others' rows for what they are.
        first.set("item:own", &item(11));
        let run = several.case.run_config(&config.replace("databases = [0, 2]\n", ""), &[]).exits(3);
        assert_eq!(loaded(&run), [0, 0, COUNT], "{place}: {run}");
        assert_eq!(run.reject("item:own")["detail"], "maps to the same row as item:own of database 2", "{place}");
        assert_eq!(several.case.sql("SELECT n FROM items WHERE id = 'own'"), "10", "{place}");
    }
}

#[test]
fn rows_that_were_loaded_before_there_was_a_choice_are_known() {
    for (place, columns) in PLACES.iter().filter(|(place, _)| !place.contains("none")) {
        let several = Several::new(&format!("CREATE TABLE items (id text PRIMARY KEY, n int{columns})"));
        let config = by_id(&kept_in(place));
        let alone = config.replace("databases = [0, 2]\n", "").replace(", database = \"redis_db\"", "");
        let (mut first, mut second) = (several.database(0), several.database(2));
        for n in 0..COUNT {
            first.set(&format!("item:{n}"), &item(n));
            second.set(&format!("item:s{n}"), &item(n));
        }
        several.case.run_config(&alone, &[]).exits(0);
        // The second database was moved by a run of its own.
        let other = Case {
            source: format!("{}/2", several.redis.url()),
            target: several.case.target.clone(),
            database: String::new(),
        };
        other.run_config(&alone, &[]).exits(0);
        without_databases(&several.case);
        first.set("item:1", &item(-1));
        second.set("item:s1", &item(-2));
        // Not the second database's, though it says of itself no more than the first's.
        second.set("item:2", &item(2));
        let run = several.case.run_config(&config, &[]).exits(3);
        assert_eq!(loaded(&run), [0, 2, 2 * COUNT - 2], "{place}: {run}");
        assert_eq!(run.reject("item:2")["detail"], "maps to the same row as item:2 of database 0", "{place}");
        assert_eq!(several.case.sql("SELECT n FROM items WHERE id IN ('1', 's1') ORDER BY id"), "-1\n-2", "{place}");
        // Rows that are the same were found without being sent: what made them is what makes them now.
        let made_by = several.case.number("SELECT count(DISTINCT fingerprint) FROM redis2pg.batches");
        let same_columns = !place.contains("database");
        assert_eq!(made_by, if same_columns { 1 } else { 2 }, "{place}");
    }
}

#[test]
fn a_cache_that_moved_to_another_database_is_the_same_cache() {
    for (place, columns) in PLACES.iter().filter(|(place, _)| !place.contains("none")) {
        let mut several = Several::new(&format!("CREATE TABLE items (id text PRIMARY KEY, n int{columns})"));
        let config =
            by_id(&kept_in(place)).replace("databases = [0, 2]\n", "").replace(", database = \"redis_db\"", "");
        let (mut first, mut second) = (several.database(0), several.database(2));
        for n in 0..COUNT {
            first.set(&format!("item:{n}"), &item(n));
            second.set(&format!("item:{n}"), &item(n));
        }
        assert_eq!(loaded(&several.run(&config, 0)), [COUNT, 0, 0], "{place}");
        second.set("item:1", &item(-1));
        several.case.source = format!("{}/2", several.redis.url());
        assert_eq!(loaded(&several.run(&config, 0)), [0, 1, COUNT - 1], "{place}");
    }
}

/// The ledger as it was before it knew of databases.
fn without_databases(case: &Case) {
    case.sql(
        "ALTER TABLE redis2pg.loaded DROP COLUMN redis_db; ALTER TABLE redis2pg.rejects DROP COLUMN redis_db CASCADE; \
         ALTER TABLE redis2pg.rejects ADD UNIQUE (run_id, mapping, key_hash); \
         DELETE FROM redis2pg._migrations WHERE version = 4",
    );
}

#[test]
fn the_rejects_of_an_older_ledger_can_be_read_before_a_run_brings_it_up_to_date() {
    let several = Several::new("CREATE TABLE items (id text PRIMARY KEY, n int)");
    several.database(0).set("item:1", "{");
    let own = by_id(BY_DATABASE).replace("databases = [0, 2]\n", "");
    several.case.run_config(&own, &[]).exits(3);
    let before = several.case.ledger(&["rejects", "list", "--keys"]);
    without_databases(&several.case);
    assert_eq!(several.case.ledger(&["rejects", "list", "--keys"]), before);
    assert_eq!(before[0]["key"], "item:1", "{before}");
}
