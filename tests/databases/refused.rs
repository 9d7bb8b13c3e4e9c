//! What is refused before anything is written, and how it is told.

use crate::support::scripted::{Answer, Keyspace, ScriptedRedis};
use crate::{BY_DATABASE, PLACES, Several, by_id, item, kept_in};
use redis2pg::sandbox::{RedisOptions, RedisServer};

#[test]
fn where_no_database_has_a_key_each_is_told() {
    let several = Several::new("CREATE TABLE items (db int, id text, n int, PRIMARY KEY (db, id))");
    several.database(0).set("thing:1", "x");
    several.database(1).set("item:1", &item(1));
    let run = several.case.run_config(BY_DATABASE, &[]).exits(2);
    for part in ["/0 matches item:", "thing:* (1)", "/2 matches item:", "the database holds no key"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    let run = several.case.run_config(BY_DATABASE, &["--skip", "items"]).exits(2);
    assert!(run.stderr.contains("phases.skip switches every mapping off"), "{}", run.stderr);
    // A key in one of them is enough.
    several.database(2).set("item:1", &item(1));
    several.case.run_config(BY_DATABASE, &[]).exits(0);
}

#[test]
fn a_database_that_cannot_be_selected_is_told_before_anything_is_written() {
    let table = "CREATE TABLE items (db int, id text, n int, PRIMARY KEY (db, id))";
    let refused = |options: RedisOptions, source: &dyn Fn(&RedisServer) -> String, databases: &str, words: &[&str]| {
        let mut several = Several::with(options, table);
        several.case.source = source(&several.redis);
        let before = several.case.fingerprint();
        let config = BY_DATABASE.replace("[0, 2]", databases);
        let run = several.case.run_config(&config, &[]).exits(2);
        for word in words.iter().chain(&["mapping items: databases", "config.toml:5"]) {
            assert!(run.stderr.contains(word), "{word}: {}", run.stderr);
        }
        assert_eq!(several.case.fingerprint(), before);
    };
    let own = |redis: &RedisServer| redis.url();
    refused(RedisOptions::default(), &own, "[0, 20, 30]", &["no database 20", "no database 30", "0 to 15"]);
    let user = "reader on >secret ~* +@read +info +time +ping +client|setname +client|id -select";
    let acl = RedisOptions { acl: vec![user.to_owned()], ..RedisOptions::default() };
    let reader = |redis: &RedisServer| format!("redis://reader:secret@127.0.0.1:{}", redis.port());
    refused(acl, &reader, "[0, 2]", &["does not let this user select database 2", "+select"]);
    // As a proxy does that knows one database.
    let one_database = |_: &RedisServer| {
        let script = |_: usize, command: &[String]| {
            (command[0] == "SELECT").then(|| Answer::Reply("-ERR SELECT is not allowed in cluster mode\r\n".to_owned()))
        };
        ScriptedRedis::start(Keyspace::default(), script).url()
    };
    refused(RedisOptions::default(), &one_database, "[0, 2]", &["does not select database 2", "Cluster"]);
}

#[test]
fn what_contradicts_itself_is_refused_with_its_line() {
    let several = Several::new("CREATE TABLE items (db int, id text, n int, PRIMARY KEY (db, id))");
    several.database(0).set("item:1", &item(1));
    for (databases, words) in [
        ("[]", "names none"),
        ("[0, -1]", "-1 is no number from 0 to 255"),
        ("[2, 2]", "names 2 twice"),
        ("\"some\"", "\"all\""),
    ] {
        let run = several.case.run_config(&BY_DATABASE.replace("[0, 2]", databases), &[]).exits(2);
        assert!(run.stderr.contains(words) && run.stderr.contains("config.toml:5"), "{databases}: {}", run.stderr);
    }
    let run = several.case.run_config(&by_id(&kept_in(PLACES[1].0)), &[]).exits(2);
    assert!(run.stderr.contains("without lineage a key of one would overwrite that of another"), "{}", run.stderr);
    let hidden = kept_in(PLACES[1].0).replace("[\"redis.db\"]", "[\"$.db\", \"redis.db\"]");
    let run = several.case.run_config(&hidden, &[]).exits(2);
    assert!(run.stderr.contains("without lineage a key of one would overwrite that of another"), "{}", run.stderr);
    let columns = "lineage = { columns = { key = \"redis_key\", digest = \"redis_digest\" } }\ninto =";
    let run = several.case.run_config(&BY_DATABASE.replace("into =", columns), &[]).exits(2);
    assert!(run.stderr.contains("`lineage` has no column for the database"), "{}", run.stderr);
}
