//! What goes, and each reason for which a key stays, with exact counts.

use crate::support::Case;
use crate::{ITEMS, came_to, ends, is_there, item, keys, loaded, number, said, set_items};

#[test]
fn what_is_equal_goes_and_all_else_stays_by_its_reason() {
    let case = loaded(12);
    let mut redis = case.redis();
    case.sql("DELETE FROM items WHERE id = '0'");
    case.sql("UPDATE items SET n = 100 WHERE id = '1'");
    redis.set("item:2", &item(22));
    redis.set("other:1", "x");
    redis.set("other:2", "x");
    // Its row says that it came of another key, or of a run that is none.
    case.sql("UPDATE items SET metadata = jsonb_set(metadata, '{redis_key}', '\"item:x\"') WHERE id = '3'");
    case.sql(
        "UPDATE items SET metadata = jsonb_set(metadata, '{redis2pg,run}', to_jsonb(gen_random_uuid()::text)) WHERE id = '4'",
    );
    case.sql("UPDATE items SET metadata = metadata - 'redis2pg' WHERE id = '5'");
    let before = case.xmins("items");
    let outcome = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    came_to(&outcome, 6, &[("missing", 1), ("newer", 1), ("no_lineage", 3), ("stale", 1), ("unmatched", 2)]);
    assert_eq!((number(&outcome, "listed"), keys(&case)), (14, 8));
    for n in 0..12 {
        assert_eq!(is_there(&case, &format!("item:{n}")), n < 6, "{n}");
    }
    assert_eq!(case.xmins("items"), before, "no row was written");
    assert_eq!(said(&outcome, "item:2")["reason"], "stale");
    assert_eq!(said(&outcome, "item:1")["detail"], "n differs");
    assert!(outcome.stdout.contains("6 keys are deleted from Redis\n"), "{outcome}");
    let items = &outcome.report["cleanup"]["mappings"]["items"];
    assert_eq!((items["listed"].as_i64(), items["deleted"].as_i64()), (Some(12), Some(6)));
    let cleanup = case.sql("SELECT state, exit_code, account ->> 'deleted' FROM redis2pg.cleanups");
    assert_eq!(cleanup, "done|0|6");
    let batches = "SELECT sum(keys), sum(deleted), bool_and(settled_at IS NOT NULL) FROM redis2pg.cleanup_batches";
    assert_eq!(case.sql(batches), "6|6|t");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.cleaned_keys"), 6);
}

#[test]
fn a_second_time_there_is_nothing_left_to_delete() {
    let case = loaded(20);
    came_to(&ends(case.cleanup(ITEMS, &["--yes"]), 0), 20, &[]);
    assert_eq!(keys(&case), 0);
    let again = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    came_to(&again, 0, &[]);
    assert_eq!(number(&again, "settled"), 0);
}

#[test]
fn keys_that_a_mapping_refuses_or_sets_apart_stay() {
    let case = Case::new();
    case.sql(crate::TABLES);
    let config = ITEMS.replace("match = \"item:{id}\"", "match = \"item:{id:int}\"\nexclude = [\"item:7\"]");
    set_items(&case, 9);
    let mut redis = case.redis();
    redis.set("item:no-number", &item(1));
    redis.set("elsewhere", "x");
    ends(case.run_config(&config, &[]), 0);
    let outcome = ends(case.cleanup(&config, &["--yes"]), 0);
    came_to(&outcome, 8, &[("excluded", 1), ("shape_refused", 1), ("unmatched", 1)]);
    // A trial on some keys.
    set_items(&case, 5);
    ends(case.run_config(&config, &[]), 0);
    let trial = ends(case.cleanup(&config, &["--yes", "--limit", "2"]), 0);
    assert_eq!((number(&trial, "deleted"), keys(&case)), (2, 6), "{trial}");
}

#[test]
fn of_a_key_a_reject_of_which_is_open_nothing_goes() {
    let case = loaded(3);
    case.redis().set("item:bad", "{");
    ends(case.run_config(ITEMS, &[]), 3);
    // A reject of a key whose row is there, and equal.
    case.sql(
        "INSERT INTO redis2pg.rejects (run_id, phase, mapping, table_name, key, redis_type, reason, detail) \
         SELECT run_id, phase, mapping, table_name, 'item:1', redis_type, 'refused', 'x' FROM redis2pg.rejects",
    );
    let outcome = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    came_to(&outcome, 2, &[("rejected", 2)]);
    assert!(is_there(&case, "item:1") && is_there(&case, "item:bad"));
    assert_eq!(said(&outcome, "item:1")["detail"], "a reject of it is open");
}

#[test]
fn rows_that_refer_to_nothing_and_rows_that_a_trigger_changed_keep_their_keys() {
    const CHILDREN: &str = r#"
[[mapping]]
name = "children"
match = "child:{id}"
into = "public.children"
key = ["id"]
parents = [{ mapping = "items", column = "parent" }]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "parent", from = ["$.parent"] },
  { name = "metadata", from = [] },
]
"#;
    let case = Case::new();
    case.sql(crate::TABLES);
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE children (id text PRIMARY KEY, parent text, metadata jsonb); \
         CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = '3' THEN NEW.n := 77; END IF; \
         RETURN NEW; END $$; CREATE TRIGGER more BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION more()",
    );
    set_items(&case, 4);
    let mut redis = case.redis();
    redis.set("child:a", r#"{"parent":"0"}"#);
    redis.set("child:b", r#"{"parent":"1"}"#);
    let config = format!("{ITEMS}{CHILDREN}");
    ends(case.run_config(&config, &[]), 0);
    case.sql("DELETE FROM items WHERE id = '0'");
    let outcome = ends(case.cleanup(&config, &["--yes"]), 0);
    came_to(&outcome, 3, &[("different", 1), ("missing", 1), ("orphaned", 1)]);
    assert!(is_there(&case, "child:a") && is_there(&case, "item:3") && !is_there(&case, "child:b"));
}

#[test]
fn what_a_mapping_passes_over_stays_and_what_it_does_not_read_too() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, n integer, expires timestamptz, metadata jsonb); \
              CREATE TABLE dumps (id text PRIMARY KEY, dump bytea, metadata jsonb)",
    );
    let config = format!(
        "{}{}",
        ITEMS.replace("\ncolumn = [", "\nmin_ttl = \"1h\"\ncolumn = ["),
        r#"
[[mapping]]
name = "dumps"
match = "dump:{id}"
type = "any"
into = "public.dumps"
key = ["id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "dump", from = ["redis.dump"] },
  { name = "metadata", from = [] },
]
"#
    );
    set_items(&case, 3);
    let mut redis = case.redis();
    redis.say("EXPIRE item:1 600");
    redis.say("SET dump:1 x");
    ends(case.run_config(&config, &[]), 0);
    let outcome = ends(case.cleanup(&config, &["--yes"]), 0);
    came_to(&outcome, 2, &[("not_read", 1), ("short_lived", 1)]);
}

/// The time of expiry is compared once more as the key goes, where the mapping keeps it.
#[test]
fn a_key_with_a_time_of_expiry_goes_and_the_row_keeps_it() {
    let case = Case::new();
    case.sql(crate::TABLES);
    set_items(&case, 4);
    let mut redis = case.redis();
    redis.say("EXPIRE item:0 5000");
    redis.say("EXPIRE item:1 5000");
    ends(case.run_config(ITEMS, &[]), 0);
    redis.say("EXPIRE item:1 9000");
    let outcome = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    came_to(&outcome, 3, &[("stale", 1)]);
    assert!(is_there(&case, "item:1"));
}

/// A field that was taken out of a key after the run: the row has it still, and would be taken for all that the key was.
#[test]
fn a_key_that_lacks_what_its_row_has_stays() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE people (id text PRIMARY KEY, name text, age integer, since integer DEFAULT 7)",
    );
    const PEOPLE: &str = r#"
[[mapping]]
name = "people"
match = "p:{id}"
type = "hash"
into = "public.people"
key = ["id"]
lineage = "ledger"
column = [
  { name = "id", from = ["{id}"] },
  { name = "name", from = ["$.name"] },
  { name = "age", from = ["$.age"] },
  { name = "since", from = ["$.since"] },
]
"#;
    let mut redis = case.redis();
    redis.say("HSET p:1 name ann age 34");
    redis.say("HSET p:2 name bob");
    redis.say("HSET p:3 name eve age 40");
    redis.say("HSET p:4 name joe age 50");
    ends(case.run_config(PEOPLE, &[]), 0);
    // A load leaves what a key lacks as it is.
    redis.say("HDEL p:3 age");
    redis.say("HSET p:3 name eva");
    ends(case.run_config(PEOPLE, &[]), 0);
    redis.say("HDEL p:1 age");
    let outcome = ends(case.cleanup(PEOPLE, &["--yes"]), 0);
    assert!(is_there(&case, "p:1") && is_there(&case, "p:3"), "{outcome}");
    assert!(!is_there(&case, "p:2") && !is_there(&case, "p:4"), "{outcome}");
    assert_eq!(said(&outcome, "p:1")["detail"], "age differs");
    assert_eq!(said(&outcome, "p:3")["detail"], "age differs");
    assert_eq!(number(&outcome, "deleted"), 2, "{outcome}");
}

#[test]
fn groups_and_pending_entries_that_go_with_streams_are_counted() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE events (id text PRIMARY KEY, body jsonb)");
    const EVENTS: &str = r#"
[[mapping]]
name = "events"
match = "x:{id}"
type = "stream"
into = "public.events"
key = ["id"]
lineage = "ledger"
column = [
  { name = "id", from = ["{id}"] },
  { name = "body", from = ["$"] },
]
"#;
    let mut redis = case.redis();
    redis.say("XADD x:1 1-0 a 1");
    redis.say("XADD x:2 1-0 a 1");
    redis.say("XADD x:2 2-0 a 2");
    redis.say("XGROUP CREATE x:2 workers 0");
    redis.say("XREADGROUP GROUP workers ann COUNT 1 STREAMS x:2 >");
    ends(case.run_config(EVENTS, &[]), 0);
    let told = "1 streams that were equal have 1 consumer groups with 1 pending entries";
    let dry = ends(case.cleanup(EVENTS, &["--dry-run"]), 0);
    assert!(dry.stdout.contains(told), "{dry}");
    let outcome = ends(case.cleanup(EVENTS, &["--yes"]), 0);
    came_to(&outcome, 2, &[]);
    assert!(outcome.stdout.contains(told), "{outcome}");
    // Streams without groups have nothing to tell.
    redis.say("XADD x:1 1-0 a 1");
    ends(case.run_config(EVENTS, &[]), 0);
    let plain = ends(case.cleanup(EVENTS, &["--yes"]), 0);
    assert!(!plain.stdout.contains("consumer groups"), "{plain}");
}
