//! The places of lineage, and collections as one row.

use crate::support::Case;
use crate::{came_to, ends, is_there, keys};

fn config(lineage: &str) -> String {
    format!(
        "[[mapping]]\nname = \"things\"\nmatch = \"thing:{{id}}\"\ntype = [\"string\", \"hash\", \"list\", \"set\", \"zset\", \"stream\"]\n\
         into = \"public.things\"\nkey = [\"id\"]\n{lineage}\ncolumn = [{{ name = \"id\", from = [\"{{id}}\"] }}, \
         {{ name = \"body\", from = [\"$\"] }}{}]\n",
        if lineage.contains("column = ") { ", { name = \"metadata\", from = [] }" } else { "" }
    )
}

const COLUMNS: &str = r#"lineage = { columns = { key = "redis_key", digest = "redis_digest", run = "redis_run", migrated_at = "loaded_at", expires_at = "expires_at" } }"#;
const WITHOUT_RUN: &str = r#"lineage = { columns = { key = "redis_key", digest = "redis_digest", migrated_at = "loaded_at", expires_at = "expires_at" } }"#;

fn case() -> Case {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE things (id text PRIMARY KEY, body jsonb, metadata jsonb, redis_key text, \
         redis_digest varchar(32), redis_run uuid, loaded_at timestamptz, expires_at timestamptz)",
    );
    let mut redis = case.redis();
    redis.set("thing:string", r#"{"a":1}"#);
    redis.set("thing:other", r#"[1,2]"#);
    redis.say("HSET thing:hash a 1 b 2");
    redis.say("RPUSH thing:list x y x");
    redis.say("SADD thing:set red blue");
    redis.say("ZADD thing:zset 1.5 ann -2 bob");
    redis.say("XADD thing:stream 17-0 a 1");
    case
}

#[test]
fn wherever_lineage_is_equal_keys_of_every_type_go_and_one_that_changed_stays() {
    for lineage in
        [r#"lineage = { column = "metadata", document_id = "{id}" }"#, COLUMNS, WITHOUT_RUN, "lineage = \"ledger\""]
    {
        let case = case();
        let config = config(lineage);
        ends(case.run_config(&config, &[]), 0);
        let mut redis = case.redis();
        redis.say("HSET thing:hash b 3");
        let outcome = ends(case.cleanup(&config, &["--yes"]), 0);
        came_to(&outcome, 6, &[("stale", 1)]);
        assert!(is_there(&case, "thing:hash"), "{lineage}");
        // The same for what one of another type is now.
        redis.say("DEL thing:hash");
        redis.say("RPUSH thing:hash a");
        ends(case.run_config(&config, &[]), 0);
        came_to(&ends(case.cleanup(&config, &["--yes"]), 0), 1, &[]);
        assert_eq!(keys(&case), 0, "{lineage}");
    }
}

#[test]
fn without_lineage_no_key_goes() {
    let case = case();
    let config = config("lineage = \"none\"");
    ends(case.run_config(&config, &[]), 0);
    let outcome = ends(case.cleanup(&config, &["--yes"]), 0);
    came_to(&outcome, 0, &[("no_lineage", 7)]);
    assert_eq!(keys(&case), 7);
    let notes = outcome.report["cleanup"]["notes"].to_string();
    assert!(notes.contains("things keeps no lineage"), "{notes}");
}

/// A row that was written anew keeps its lineage, and is still equal: who wrote it last does not matter.
#[test]
fn a_table_that_was_written_anew_does_for_lineage_that_names_the_run() {
    let case = case();
    let config = config(r#"lineage = { column = "metadata", document_id = "{id}" }"#);
    ends(case.run_config(&config, &[]), 0);
    case.sql("UPDATE things SET body = body");
    came_to(&ends(case.cleanup(&config, &["--yes"]), 0), 7, &[]);
}

/// Where lineage names no run, the transaction alone tells whose the row is.
#[test]
fn a_row_that_somebody_wrote_anew_keeps_its_key_where_lineage_names_no_run() {
    let case = case();
    let config = config(WITHOUT_RUN);
    ends(case.run_config(&config, &[]), 0);
    case.sql("UPDATE things SET body = body WHERE id = 'set'");
    came_to(&ends(case.cleanup(&config, &["--yes"]), 0), 6, &[("no_lineage", 1)]);
    assert!(is_there(&case, "thing:set"));
}

/// Two keys of one row: the row is one key's, and the other stays.
#[test]
fn of_two_keys_that_are_one_row_the_one_goes_whose_row_it_is() {
    for lineage in [r#"lineage = { column = "metadata", document_id = "{id}" }"#, "lineage = \"ledger\""] {
        let case = Case::new();
        case.sql("SET ROLE redis2pg; CREATE TABLE things (id text PRIMARY KEY, body jsonb, metadata jsonb)");
        let mut redis = case.redis();
        redis.set("thing:a", "1");
        let config = config(lineage).replace("from = [\"{id}\"] }", "from = [\"{id}\"], with = [\"lower\"] }");
        ends(case.run_config(&config, &[]), 0);
        redis.set("thing:A", "1");
        let outcome = ends(case.cleanup(&config, &["--yes"]), 0);
        came_to(&outcome, 1, &[("missing", 1)]);
        assert!(is_there(&case, "thing:A") && !is_there(&case, "thing:a"), "{lineage}");
    }
}
