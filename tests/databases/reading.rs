//! Which databases are read, and what of them.

use crate::{BY_DATABASE, Several, item, loaded};

#[test]
fn a_pattern_can_be_two_mappings_in_different_databases() {
    let several =
        Several::new("CREATE TABLE red (id text PRIMARY KEY, n int); CREATE TABLE blue (LIKE red INCLUDING ALL)");
    let mapping = |name: &str, databases: &str| {
        format!(
            "[[mapping]]\nname = \"{name}\"\nmatch = \"item:{{id}}\"\n{databases}\ninto = \"public.{name}\"\n\
             key = [\"id\"]\ncolumn = [{{ name = \"id\", from = [\"{{id}}\"] }}, {{ name = \"n\", from = [\"$.n\"] }}]\n"
        )
    };
    several.database(0).set("item:1", &item(1));
    several.database(0).set("other", "x");
    several.database(3).set("item:1", &item(3));
    several.database(3).set("item:2", &item(4));
    several.database(3).set("item:2:meta", "x");
    // The one says nothing, and means the database of the URL.
    let config = format!("{}{}", mapping("red", ""), mapping("blue", "databases = [3]"));
    let run = several.run(&config, 0);
    assert_eq!((run.count("red", "inserted"), run.count("blue", "inserted"), run.total("unmatched")), (1, 2, 2));
    let looks_like = |mapping: &str| run.report["shape_refused"][mapping]["keys"].as_i64();
    assert_eq!((looks_like("red"), looks_like("blue")), (Some(0), Some(1)), "{run}");
    assert_eq!(several.case.sql("SELECT n FROM red UNION ALL SELECT n FROM blue ORDER BY 1"), "1\n3\n4");
    let meet = format!("{}{}", mapping("red", ""), mapping("blue", "databases = [0, 3]"));
    let run = several.case.run_config(&meet, &[]).exits(2);
    assert!(run.stderr.contains("some keys would be taken by `red` as well"), "{}", run.stderr);
}

#[test]
fn a_key_that_is_rejected_in_two_databases_is_two_rejects() {
    let several = Several::new("CREATE TABLE items (db int, id text, n int, PRIMARY KEY (db, id))");
    several.database(0).set("item:1", "{");
    several.database(2).set("item:1", "[");
    several.database(2).set("item:2", "{");
    let run = several.run(BY_DATABASE, 3);
    assert_eq!((run.total("matched"), run.reasons("items")["json_syntax"]), (3, 3), "{run}");
    let kept = several.case.ledger(&["rejects", "show", "item:1"]);
    let databases: Vec<_> = kept.as_array().into_iter().flatten().map(|reject| reject["database"].clone()).collect();
    assert_eq!(databases, [0, 2]);
    let listed = several.case.command().args(["rejects", "list", "--keys", "--to", &several.case.target]).output();
    let listed = String::from_utf8(listed.expect("redis2pg").stdout).expect("text");
    assert!(listed.contains("item:1 (database 2)") && listed.contains("item:1  "), "{listed}");
}

#[test]
fn elements_that_are_gone_are_gone_in_their_database() {
    let several = Several::new("CREATE TABLE tags (db int, id text, tag text, PRIMARY KEY (db, id, tag))");
    let config = r#"
[[mapping]]
name = "tags"
match = "tags:{id}"
type = "set"
explode = true
databases = [0, 5]
into = "public.tags"
key = ["db", "id", "tag"]
column = [
  { name = "db", from = ["redis.db"] },
  { name = "id", from = ["{id}"] },
  { name = "tag", from = ["$.member"] },
]
"#;
    several.database(0).say("SADD tags:1 a b");
    several.database(5).say("SADD tags:1 a b c");
    several.run(config, 0);
    several.database(5).say("SREM tags:1 a");
    several.database(0).say("SREM tags:1 b");
    let run = several.run(config, 0);
    assert_eq!(run.report["mappings"]["tags"]["rows"]["deleted"], 2, "{run}");
    assert_eq!(several.case.sql("SELECT db, tag FROM tags ORDER BY 1, 2"), "0|a\n5|b\n5|c");
    let run = several.run(config, 0);
    assert_eq!(run.report["mappings"]["tags"]["rows"], serde_json::json!({ "unchanged": 3 }), "{run}");
}

#[test]
fn the_archive_keeps_what_no_mapping_takes_of_each_database() {
    let several = Several::new("CREATE TABLE items (db int, id text, n int, PRIMARY KEY (db, id))");
    for number in [0, 1, 2] {
        several.database(number).set("item:1", &item(1));
        several.database(number).set("session:1", "x");
    }
    let config = format!("[run]\nunmatched = \"archive\"\n{BY_DATABASE}");
    let run = several.run(&config, 0);
    assert_eq!((run.count("items", "inserted"), run.count("archive", "inserted")), (2, 2), "{run}");
    assert_eq!((run.total("scanned"), run.total("unmatched")), (4, 0));
    let kept = "SELECT convert_from(key, 'UTF8'), db FROM redis_archive ORDER BY db";
    assert_eq!(several.case.sql(kept), "session:1|0\nsession:1|2");
    assert_eq!(loaded(&several.run(&config, 0)), [0, 0, 4]);
    several.database(2).set("session:1", "y");
    assert_eq!(loaded(&several.run(&config, 0)), [0, 1, 3]);
    assert_eq!(
        several.case.sql("SELECT db, value_bytes IS NULL, value FROM redis_archive ORDER BY db"),
        "0|t|\"x\"\n2|t|\"y\""
    );
}

#[test]
fn a_limit_is_for_each_database_and_a_pattern_for_all() {
    let several = Several::new("CREATE TABLE items (db int, id text, n int, PRIMARY KEY (db, id))");
    for number in [0, 2] {
        let mut client = several.database(number);
        (0..20).for_each(|n| client.set(&format!("item:{n}"), &item(n)));
    }
    several.case.run_config(BY_DATABASE, &["--limit", "3"]).exits(0);
    assert_eq!(several.case.sql("SELECT db, count(*) FROM items GROUP BY 1 ORDER BY 1"), "0|3\n2|3");
    several.case.run_config(BY_DATABASE, &["--keys", "item:1*"]).exits(0);
    assert_eq!(several.case.number("SELECT count(*) FROM items WHERE id LIKE '1%'"), 22);
}

#[test]
fn a_resume_reads_the_databases_that_hold_keys_now() {
    let mut several = Several::new("CREATE TABLE items (db int, id text, n int, PRIMARY KEY (db, id))");
    several.case.source = format!("{}/5", several.redis.url());
    let config = BY_DATABASE.replace("[0, 2]", "\"all\"");
    several.database(0).set("item:1", "{");
    several.database(0).set("other:1", "x");
    several.database(5).set("item:1", &item(5));
    several.database(5).set("other:2", "x");
    let run = several.case.run_config(&config, &["--continue-on-error=false"]).exits(7);
    assert_eq!(run.report["source_databases"], serde_json::json!([0, 5]));
    assert_eq!(several.case.sql("SELECT count(*) FROM items"), "0", "{run}");
    several.database(0).say("FLUSHDB");
    several.database(9).set("item:1", &item(9));
    let run = several.case.run_config(&config, &["--resume"]).exits(3);
    assert_eq!(run.report["source_databases"], serde_json::json!([5, 9]));
    assert_eq!(several.case.sql("SELECT db, n FROM items ORDER BY 1"), "5|5\n9|9", "{run}");
    // What the first attempt found in the database that is empty now is counted all the same.
    // It stopped in the middle of a page: the other key of that may have been counted by then or not.
    let found = (run.total("scanned"), run.total("unmatched"), run.reasons("items")["json_syntax"]);
    assert!([(5, 2, 1), (4, 1, 1)].contains(&found), "{found:?} {run}");
}

#[test]
fn what_reads_one_database_takes_no_connection_more() {
    let several = Several::new("CREATE TABLE items (db int, id text, n int, PRIMARY KEY (db, id))");
    several.database(0).set("item:1", &item(1));
    several.database(2).set("item:1", &item(1));
    let connections = |databases: &str| {
        let config = BY_DATABASE.replace("databases = [0, 2]\n", databases);
        let received = || {
            let info = several.database(0).answer(&[b"INFO", b"stats"]);
            let count = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
            count.and_then(|count| count.trim().parse::<u64>().ok()).expect("a count")
        };
        let before = received();
        several.case.run_config(&config, &[]).exits(0);
        // One is that of the second question.
        received() - before - 1
    };
    let alone = connections("");
    assert_eq!(connections("databases = [0]\n"), alone);
    assert_eq!(connections("databases = [0, 2]\n"), alone + 1);
    // The first contact is with the source's own.
    assert_eq!(connections("databases = [2]\n"), alone + 1);
    assert_eq!(alone, 1);
}

#[test]
fn what_one_database_has_left_behind_is_not_looked_for_among_the_rows_of_another() {
    let several = Several::new("CREATE TABLE flags (db integer, id text, flag text, PRIMARY KEY (db, id, flag))");
    let config = r#"
[[mapping]]
name = "flags"
match = "flags:{id}"
type = "set"
explode = true
into = "public.flags"
key = ["db", "id", "flag"]
column = [{ name = "db", from = "redis.db" }, { name = "id", from = "{id}" }, { name = "flag", from = "$.member" }]
"#;
    several.database(0).say("SADD flags:x a b");
    several.database(2).say("SADD flags:x c");
    let rows = || several.case.sql("SELECT string_agg(db || flag, ' ' ORDER BY db, flag) FROM flags");
    let from = |number: u8| {
        let (server, _) = several.case.source.rsplit_once('/').expect("a database");
        crate::Case::with_ends(&format!("{server}/{number}"), &several.case.target).run_config(config, &[]).exits(0)
    };
    // Runs of one database each, and of both before one of them.
    for both in [false, true] {
        if both {
            several.case.sql("TRUNCATE flags; DELETE FROM redis2pg.loaded");
            let both = config.replace("type = \"set\"", "type = \"set\"\ndatabases = [0, 2]");
            several.case.run_config(&both, &[]).exits(0);
        }
        from(0);
        from(2);
        assert_eq!(rows(), "0a 0b 2c");
    }
    several.database(2).say("SADD flags:x d");
    from(2);
    several.database(2).say("SREM flags:x c");
    from(2);
    assert_eq!(rows(), "0a 0b 2d");
}
