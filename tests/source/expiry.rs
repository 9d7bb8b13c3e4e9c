//! Keys that expire: those whose time has come, or nearly so, become no rows, by the clock of Redis.

use crate::support;

use std::time::{SystemTime, UNIX_EPOCH};
use support::scripted::{Answer, Keyspace, ScriptedRedis, array, page, reply, scan_cursor};
use support::{Case, database};

/// A mapping into a table with a time of expiry, with more settings.
fn sessions(more: &str) -> String {
    format!(
        "[[mapping]]\nname = \"sessions\"\nmatch = \"session:{{id}}\"\ninto = \"public.sessions\"\nkey = [\"id\"]\n{more}\n\
         column = [{{ name = \"id\", from = [\"{{id}}\"] }}, {{ name = \"expires_at\", from = [\"redis.expires_at\"] }}]\n"
    )
}

fn table(case: &Case) {
    case.sql("CREATE TABLE sessions (id text PRIMARY KEY, expires_at timestamptz); GRANT ALL ON sessions TO redis2pg");
}

/// A server whose clock stands at 1,700,000,000 s, with three keys: one that expired two seconds ago by it and was still
/// there to be read, one with an hour left, and one without expiry.
fn stopped_clock() -> ScriptedRedis {
    let pairs = ["a", "b", "c"].map(|id| (format!("session:{id}"), "{}".to_owned()));
    ScriptedRedis::start(Keyspace::new(&pairs), |_, command| match command[0].as_str() {
        "SCAN" => scan_cursor(command).and_then(|_| reply(page("0", &["session:a", "session:b", "session:c"]))),
        "EVAL_RO" => {
            let at = |key: &String| match key.as_str() {
                "session:a" => ":1699999998000\r\n".to_owned(),
                "session:b" => ":1700003600000\r\n".to_owned(),
                _ => ":-1\r\n".to_owned(),
            };
            Some(Answer::Reply(array(&command[3..].iter().map(at).collect::<Vec<_>>())))
        }
        _ => None,
    })
}

#[test]
fn a_key_that_expired_between_reading_and_mapping_is_skipped_by_the_servers_clock() {
    // This machine's clock is years ahead of the server's: by it, all keys with a time of expiry have expired.
    let server = stopped_clock();
    for (setting, loaded) in [("", "b c"), ("expired = \"load\"", "a b c"), ("min_ttl = \"2h\"", "c")] {
        let (name, target) = database();
        let case = Case { source: format!("{}/0", server.url()), target, database: name };
        table(&case);
        for args in [&["--dry-run"][..], &[]] {
            let run = case.run_config(&sessions(setting), args).exits(0);
            let skipped = &run.report["tally"]["skipped"];
            let count = |reason: &str| skipped[reason].as_i64().unwrap_or_default();
            let expected = match setting {
                "" => (1, 0),
                "min_ttl = \"2h\"" => (1, 1),
                _ => (0, 0),
            };
            assert_eq!((count("expired"), count("short_lived")), expected, "{setting} {args:?}: {run}");
        }
        assert_eq!(case.sql("SELECT string_agg(id, ' ' ORDER BY id) FROM sessions"), loaded, "{setting}");
    }
}

#[test]
fn a_server_that_does_not_tell_its_time_skips_nothing_and_refuses_a_least_time() {
    let pairs = [("session:a".to_owned(), "{}".to_owned())];
    let server = ScriptedRedis::start(Keyspace::new(&pairs), |_, command| match command[0].as_str() {
        "SCAN" => scan_cursor(command).and_then(|_| reply(page("0", &["session:a"]))),
        "TIME" => Some(Answer::Reply("-NOPERM this user has no permissions to run the 'time' command\r\n".into())),
        "EVAL_RO" => Some(Answer::Reply(array(&command[3..].iter().map(|_| ":5\r\n".to_owned()).collect::<Vec<_>>()))),
        _ => None,
    });
    let (name, target) = database();
    let case = Case { source: format!("{}/0", server.url()), target, database: name };
    table(&case);
    let run = case.run_config(&sessions(""), &[]).exits(0);
    assert_eq!(run.count("sessions", "inserted"), 1);
    assert!(run.said().contains("TIME is refused"), "{run}");
    let run = case.run_config(&sessions("min_ttl = \"1s\""), &[]);
    assert_eq!(run.code, 2, "{run}");
    assert!(run.stderr.contains("`min_ttl`") && run.stderr.contains("TIME"), "{run}");
}

#[test]
fn keys_with_little_time_left_are_skipped_whatever_their_type() {
    let case = Case::new();
    case.sql("CREATE TABLE items (id text, n int, PRIMARY KEY (id, n)); GRANT ALL ON items TO redis2pg");
    let mut redis = case.redis();
    // More than a slice holds: the key comes in several.
    for key in ["list:short", "list:long", "list:none"] {
        for _ in 0..40 {
            let words: Vec<Vec<u8>> = (0..1000).map(|n| format!("{n}").into_bytes()).collect();
            let mut command: Vec<&[u8]> = vec![b"RPUSH", key.as_bytes()];
            command.extend(words.iter().map(Vec::as_slice));
            redis.integer(&command);
        }
    }
    redis.integer(&[b"PEXPIRE", b"list:short", b"60000"]);
    redis.integer(&[b"PEXPIRE", b"list:long", b"7200000"]);
    let config = "[[mapping]]\nname = \"items\"\nmatch = \"list:{id}\"\ntype = \"list\"\nexplode = true\nmin_ttl = \"1h\"\n\
        into = \"public.items\"\nkey = [\"id\", \"n\"]\n\
        column = [{ name = \"id\", from = [\"{id}\"] }, { name = \"n\", from = [\"element.index\"] }]\n";
    let run = case.run_config(config, &[]).exits(0);
    assert_eq!(run.report["tally"]["skipped"]["short_lived"], 1, "{run}");
    assert_eq!(case.sql("SELECT string_agg(DISTINCT id, ' ') FROM items"), "long none");
    assert_eq!(run.report["mappings"]["items"]["rows"]["inserted"], 80_000, "{run}");
}

/// Parents of which one is about to expire, and a child of each.
const FAMILY: &str = r#"
[[mapping]]
name = "parents"
match = "parent:{id}"
into = "public.parents"
key = ["id"]
min_ttl = "1h"
column = [{ name = "id", from = ["{id}"] }]
[[mapping]]
name = "children"
match = "child:{id}"
into = "public.children"
key = ["id"]
parents = [{ mapping = "parents", column = "parent" }]
column = [{ name = "id", from = ["{id}"] }, { name = "parent", from = ["$.parent"] }]
"#;

#[test]
fn a_child_is_told_that_its_parent_was_skipped() {
    let case = Case::new();
    case.sql(
        "CREATE TABLE parents (id text PRIMARY KEY); \
         CREATE TABLE children (id text PRIMARY KEY, parent text REFERENCES parents); \
         GRANT ALL ON parents, children TO redis2pg",
    );
    let mut redis = case.redis();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    for (id, lives) in [("a", 60_000), ("b", 36_000_000)] {
        redis.set(&format!("parent:{id}"), "{}");
        redis.integer(&[b"PEXPIREAT", format!("parent:{id}").as_bytes(), (now + lives).to_string().as_bytes()]);
        redis.set(&format!("child:{id}"), &format!(r#"{{"parent":"{id}"}}"#));
    }
    for (args, words) in [(&["--dry-run"][..], "would be skipped (short_lived)"), (&[], "was skipped (short_lived)")] {
        let run = case.run_config(FAMILY, args).exits(3);
        let reject = run.reject("child:a");
        assert_eq!(reject["reason"], "missing_parent", "{run}");
        assert!(reject["detail"].as_str().unwrap().contains(words), "{reject}");
    }
    assert_eq!(case.sql("SELECT string_agg(id, ' ') FROM children"), "b");
}
