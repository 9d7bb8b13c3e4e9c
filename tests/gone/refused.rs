//! Rows that the server does not let go, or of which there can be no image: they stay, and cost no other row.

use crate::preset::{delete, gone};
use crate::support::{Case, Client};
use serde_json::json;

/// A type of which jsonb does not hold every value, as if it were too large; it is that of a column which no mapping fills.
const MOOD: &str = "CREATE TYPE mood AS ENUM ('fine', 'odd'); \
    CREATE FUNCTION shown(mood) RETURNS json LANGUAGE plpgsql AS $$ BEGIN IF $1 = 'odd' THEN \
    RAISE EXCEPTION 'too large for jsonb' USING ERRCODE = 'program_limit_exceeded'; END IF; RETURN pg_catalog.to_json($1::text); END $$; \
    CREATE CAST (mood AS json) WITH FUNCTION shown(mood); \
    CREATE FUNCTION feel() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF NEW.part = 'odd' THEN NEW.mood := 'odd'; END IF; RETURN NEW; END $$; ";

const ITEMS: &str = r#"
[[mapping]]
name = "items"
match = "item:{part}"
into = "public.items"
key = ["part"]
lineage = { columns = { key = "redis_key", digest = "redis_digest", run = "redis_run", expires_at = "expires_at" } }
column = [{ name = "part", from = ["{part}"] }]
"#;

#[test]
fn a_row_of_which_no_image_can_be_taken_stays_and_the_others_go() {
    let case = Case::new();
    case.sql(&format!(
        "SET ROLE redis2pg; {MOOD} CREATE TABLE items (part text PRIMARY KEY, mood mood DEFAULT 'fine', redis_key text, \
         redis_digest text, redis_run uuid, expires_at timestamptz); \
         CREATE TRIGGER feel BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION feel()"
    ));
    let mut redis = case.redis();
    ["a", "b", "c", "odd", "x", "y", "z"].iter().for_each(|part| redis.set(&format!("item:{part}"), "{}"));
    case.run_config(ITEMS, &[]).exits(0);
    delete(&mut redis, &["item:a", "item:b", "item:odd"]);
    let run = case.run_config(ITEMS, &["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "items"), json!({"deleted": 2, "kept_refused": 1}), "{run}");
    assert!(run.report["notices"].to_string().contains("too large for jsonb"), "{run}");
    assert_eq!(case.sql("SELECT string_agg(part, ' ' ORDER BY part) FROM items"), "c odd x y z");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images"), 2);
}

const PARTS: &str = r#"
[[mapping]]
name = "parts"
match = "hash:{id}"
type = "hash"
explode = true
into = "public.parts"
key = ["id", "part"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "part", from = ["$.field"] },
  { name = "value", from = ["$.value"] },
]
"#;

/// Two hashes of which elements are gone since they were loaded.
fn parts() -> (Case, Client) {
    let case = Case::new();
    case.sql(&format!(
        "SET ROLE redis2pg; {MOOD} CREATE TABLE parts (id text, part text, value integer, mood mood DEFAULT 'fine', \
         PRIMARY KEY (id, part)); CREATE TRIGGER feel BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION feel()"
    ));
    let mut redis = case.redis();
    redis.say("HSET hash:1 a 1 b 2 odd 3 z 4");
    redis.say("HSET hash:2 a 1 z 2");
    case.run_config(PARTS, &[]).exits(0);
    redis.say("HDEL hash:1 a b odd");
    redis.say("HDEL hash:2 a");
    redis.say("HSET hash:2 z 3");
    (case, redis)
}

fn left(case: &Case) -> String {
    case.sql("SELECT id, string_agg(part, ' ' ORDER BY part) FROM parts GROUP BY id ORDER BY id")
}

#[test]
fn an_element_that_is_gone_and_has_no_image_costs_neither_its_key_nor_others() {
    let (case, _redis) = parts();
    let run = case.run_config(PARTS, &[]).exits(0);
    let rows = &run.report["mappings"]["parts"]["rows"];
    assert_eq!(["deleted", "kept", "updated"].map(|name| rows[name].as_i64()), [Some(3), Some(1), Some(1)], "{run}");
    assert_eq!(left(&case), "1|odd z\n2|z");
}

#[test]
fn a_trigger_that_raises_keeps_the_row_of_an_element_that_is_gone_and_no_other() {
    let (case, _redis) = parts();
    case.sql(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD.part = 'a' THEN RAISE EXCEPTION 'it stays'; END IF; \
         RETURN OLD; END $$; CREATE TRIGGER keep BEFORE DELETE ON parts FOR EACH ROW EXECUTE FUNCTION keep()",
    );
    let run = case.run_config(PARTS, &[]).exits(0);
    let rows = &run.report["mappings"]["parts"]["rows"];
    assert_eq!(["deleted", "kept", "updated"].map(|name| rows[name].as_i64()), [Some(1), Some(3), Some(1)], "{run}");
    assert_eq!(left(&case), "1|a odd z\n2|a z");
}
