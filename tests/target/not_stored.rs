//! Rows that the server takes and does not store: each is found and told by its key, whichever way it was sent.

use crate::support;

use support::{Case, Outcome};

const ITEMS: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
into = "public.items"
key = "id"
column = [{ name = "id", from = "{id}" }, { name = "n", from = "$.n" }]
"#;

/// A function that a trigger calls, and the trigger on `items`.
fn trigger(when: &str, body: &str) -> String {
    format!(
        "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$; \
         CREATE TRIGGER meddle {when} EXECUTE FUNCTION meddle()"
    )
}

/// 200 items, with their numbers, for a table that these statements make.
fn case(sql: &str) -> Case {
    let case = Case::new();
    case.sql(&format!("{sql}; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO redis2pg"));
    let pairs: Vec<_> = (0..200).map(|n| (format!("item:{n:03}"), format!(r#"{{"n":{n}}}"#))).collect();
    case.redis().set_many(&pairs);
    case
}

/// The keys that were rejected as not stored.
fn lost(run: &Outcome) -> Vec<String> {
    let lost = run.rejects.iter().filter(|reject| reject["reason"] == "not_stored");
    let mut keys: Vec<String> = lost.filter_map(|reject| Some(reject["key"].as_str()?.to_owned())).collect();
    keys.sort();
    keys
}

const TABLE: &str = "CREATE TABLE items (id text PRIMARY KEY, n int);";
const DROPS: &str = "IF new.n % 50 = 7 THEN RETURN NULL; END IF; RETURN new;";

#[test]
fn what_a_trigger_does_to_new_rows_is_told_by_key() {
    let each = "BEFORE INSERT ON items FOR EACH ROW";
    for (table, when, body) in [
        (TABLE, each, DROPS),
        // It stores them elsewhere, as triggers did that partitioned a table.
        (
            "CREATE TABLE items (id text PRIMARY KEY, n int); CREATE TABLE more (LIKE items);",
            each,
            "IF new.n % 50 = 7 THEN INSERT INTO more VALUES (new.*); RETURN NULL; END IF; RETURN new;",
        ),
        (TABLE, each, "IF new.n % 50 = 7 THEN new.id := 'other ' || new.id; END IF; RETURN new;"),
        (
            TABLE,
            "AFTER INSERT ON items FOR EACH ROW",
            "DELETE FROM items WHERE id = new.id AND new.n % 50 = 7; RETURN NULL;",
        ),
        (
            "CREATE TABLE items (id text PRIMARY KEY, n int) PARTITION BY HASH (id); \
             CREATE TABLE p0 PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
             CREATE TABLE p1 PARTITION OF items FOR VALUES WITH (MODULUS 2, REMAINDER 1);",
            each,
            DROPS,
        ),
    ] {
        let case = case(&format!("{table} {}; GRANT DELETE ON items TO redis2pg", trigger(when, body)));
        let first = case.run_config(ITEMS, &[]).exits(3);
        let keys = ["item:007", "item:057", "item:107", "item:157"];
        assert_eq!((lost(&first), first.total("inserted")), (keys.map(str::to_owned).to_vec(), 196), "{body}: {first}");
        assert_eq!(case.sql("SELECT count(*), count(*) FILTER (WHERE n % 50 = 7) FROM items"), "196|0", "{body}");
        let detail = first.reject("item:007")["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("a trigger or a rule may drop it"), "{detail}");
        // They are no less lost in the next run, and the others no more.
        let second = case.run_config(ITEMS, &[]).exits(3);
        assert_eq!((lost(&second).len(), second.total("unchanged")), (4, 196), "{body}: {second}");
    }
}

#[test]
fn what_only_a_partitions_trigger_drops_is_told_and_so_is_what_has_no_partition() {
    let case = case(
        "CREATE TABLE items (id text, n int, PRIMARY KEY (id, n)) PARTITION BY RANGE (n); \
         CREATE TABLE low PARTITION OF items FOR VALUES FROM (0) TO (100); \
         CREATE TABLE high PARTITION OF items FOR VALUES FROM (100) TO (199); \
         CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF new.n % 50 = 7 THEN RETURN NULL; END IF; RETURN new; END $$; \
         CREATE TRIGGER meddle BEFORE INSERT ON high FOR EACH ROW EXECUTE FUNCTION meddle()",
    );
    let run = case.run_config(&ITEMS.replace("key = \"id\"", "key = ['id', 'n']"), &[]).exits(3);
    assert_eq!((lost(&run), run.total("inserted")), (vec!["item:107".to_owned(), "item:157".to_owned()], 197), "{run}");
    assert_eq!(
        (&run.reject("item:199")["reason"], &run.reject("item:199")["sqlstate"]),
        (&"check".into(), &"23514".into())
    );
}

#[test]
fn an_update_that_a_trigger_drops_is_told_and_leaves_the_row() {
    let case = case(&format!("{TABLE} {}", trigger("BEFORE UPDATE ON items FOR EACH ROW", DROPS)));
    assert_eq!(case.run_config(ITEMS, &[]).exits(0).total("inserted"), 200);
    for (id, n) in [("001", 57), ("002", 58), ("107", 7)] {
        case.redis().set(&format!("item:{id}"), &format!(r#"{{"n":{n}}}"#));
    }
    let run = case.run_config(ITEMS, &[]).exits(3);
    assert_eq!(lost(&run), ["item:001", "item:107"], "{run}");
    assert_eq!((run.total("updated"), run.total("unchanged")), (1, 197), "{run}");
    assert_eq!(
        case.sql("SELECT id, n FROM items WHERE id IN ('001', '002', '107') ORDER BY 1"),
        "001|1\n002|58\n107|107"
    );
    // Nothing of theirs is kept as an image of what was changed.
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images"), 1);
}

#[test]
fn an_element_that_is_dropped_rejects_its_key_and_no_other() {
    let config = r#"
[[mapping]]
name = "scores"
match = "score:{board}"
type = "hash"
explode = true
into = "public.scores"
key = ["board", "player"]
removed_elements = "keep"
column = [
  { name = "board", from = "{board}" },
  { name = "player", from = "$.field" },
  { name = "score", from = "$.value" },
]
"#;
    let case = Case::new();
    case.sql(&format!(
        "CREATE TABLE scores (board text, player text, score int, PRIMARY KEY (board, player)); \
         GRANT SELECT, INSERT, UPDATE ON scores TO redis2pg; {}",
        trigger("BEFORE INSERT ON scores FOR EACH ROW", "IF new.score = 13 THEN RETURN NULL; END IF; RETURN new;")
    ));
    let mut redis = case.redis();
    redis.say("HSET score:one a 1 b 13 c 3");
    redis.say("HSET score:two a 4 b 5");
    let run = case.run_config(config, &[]).exits(3);
    assert_eq!(lost(&run), ["score:one"], "{run}");
    assert_eq!(run.total("inserted"), 1, "{run}");
    assert_eq!(case.sql("SELECT board, player FROM scores ORDER BY 1, 2"), "one|a\none|c\ntwo|a\ntwo|b");
}
