//! What is found of the Redis side before the first key is read: rights, keys, databases and the state of the server.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed, in its helpers too")]

use crate::support;

use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::time::{Duration, Instant};
use support::scripted::{Keyspace, ScriptedRedis, bulk, page, reply, scan_cursor};
use support::{Case, Client, Outcome};

/// A mapping of notes into a table, with more settings.
fn notes(settings: &str) -> String {
    format!(
        "[[mapping]]\nname = 'notes'\nmatch = 'note:{{id}}'\ninto = 'public.notes'\nkey = 'id'\n{settings}\n\
         column = [{{ name = 'id', from = '{{id}}' }}]\n"
    )
}

const TABLE: &str = "CREATE TABLE notes (id text PRIMARY KEY, at timestamptz); GRANT ALL ON notes TO redis2pg";

fn start(settings: &[&str]) -> (RedisServer, Case) {
    let settings = settings.iter().map(|line| (*line).to_owned()).collect();
    let server = RedisServer::start(RedisOptions { settings, ..RedisOptions::default() }).unwrap();
    let case = Case::from_source(&format!("{}/0", server.url()));
    case.sql(TABLE);
    (server, case)
}

/// The same ends for a user with these rights.
fn limited(case: &Case, user: &str, rights: &str) -> Case {
    case.redis().say(&format!("ACL SETUSER {user} reset on >pw {rights}"));
    let place = case.source.split('@').next_back().unwrap();
    Case::with_ends(&format!("redis://{user}:pw@{place}"), &case.target)
}

/// The findings of Redis that a run told, each with its hint.
fn told(run: &Outcome) -> Vec<String> {
    let lines: Vec<&str> = run.stderr.lines().map(str::trim).collect();
    let mut found: Vec<String> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with("error: redis ") || line.starts_with("warning: redis ") {
            let hint = lines.get(at + 1).filter(|line| line.starts_with("hint: "));
            found.push(format!("{line} {}", hint.unwrap_or(&"")));
        }
    }
    found
}

#[track_caller]
fn has(found: &[String], words: &[&str]) {
    assert!(found.iter().any(|line| words.iter().all(|word| line.contains(word))), "{words:?} are not in {found:#?}");
}

#[test]
fn all_rights_that_are_missing_are_named_with_the_mappings_and_what_to_type() {
    let (_server, case) = start(&[]);
    case.redis().set("note:1", "{}");
    let types = notes("type = ['hash', 'list', 'zset']");
    let user = limited(&case, "poor", "~* +@all -hgetall -hscan -zscan -lrange -memory -eval_ro -watch");
    for args in [&[][..], &["--dry-run"]] {
        let run = user.run_config(&types, args);
        assert_eq!(run.code, 2, "{run}");
        let found = told(&run);
        let all =
            ["error: redis user poor", "HGETALL (for notes), HSCAN (for notes), LRANGE (for notes), ZSCAN (for notes)"];
        has(&found, &[all[0], all[1], "ACL SETUSER poor +hgetall +hscan +lrange +zscan"]);
        has(&found, &["warning: redis user poor", "MEMORY USAGE", "slower", "ACL SETUSER poor +memory|usage"]);
        has(&found, &["warning: redis user poor", "EVAL_RO", "slower"]);
        has(&found, &["warning: redis user poor", "may not run WATCH", "in part as it was", "ACL SETUSER poor +watch"]);
    }
    assert_eq!(case.sql("SELECT to_regnamespace('redis2pg')"), "");
    // What the hint says is what is missing.
    case.redis().say("ACL SETUSER poor +hgetall +hscan +lrange +zscan");
    user.run_config(&types, &["--dry-run"]).exits(3);
}

#[test]
fn reading_goes_on_without_type_and_info_with_a_warning() {
    let (_server, case) = start(&[]);
    let mut redis = case.redis();
    redis.set("note:1", "{}");
    redis.say("RPUSH note:2 x");
    let user = limited(&case, "untold", "~* +@all -type -info -config");
    let run = user.run_config(&notes(""), &[]).exits(3);
    assert_eq!(
        (run.total("inserted"), run.reasons("notes").get("redis_type (non-string)").copied()),
        (1, Some(1)),
        "{run}"
    );
    let found = told(&run);
    has(&found, &["warning: redis user untold", "may not run TYPE", "+type"]);
    has(&found, &["warning: redis INFO", "starts again", "ACL SETUSER untold +info"]);
    let typed = user.run_config(&notes("type = 'list'"), &[]);
    assert!(typed.code == 2 && typed.stderr.contains("may not run TYPE (for notes)"), "{typed}");
}

#[test]
fn keys_that_the_user_may_not_read_are_told_with_the_mapping_before_the_run() {
    let (_server, case) = start(&[]);
    let mut redis = case.redis();
    redis.set("note:a1", "{}");
    redis.set("note:b1", "{}");
    let common = "+@all -acl|getuser";
    for (user, rights, expected) in [
        ("whole", format!("~* {common}"), None),
        ("reads", format!("%R~note:* {common}"), None),
        ("part", format!("~note:a* {common}"), Some("1 of 2 of its keys")),
        ("writes", format!("~note:a* %W~* {common}"), Some("1 of 2 of its keys")),
        ("selector", format!("~note:a* {common} (%R~note:b* +@read)"), None),
        // A user that may ask for its patterns knows it of keys that are not there yet, too.
        ("knows", "~note:a* ~note:b1 +@all".to_owned(), Some("key patterns (~note:a* ~note:b1)")),
    ] {
        let run = limited(&case, user, &rights).run_config(&notes(""), &["--dry-run"]).exits(0);
        let found: Vec<String> = told(&run).into_iter().filter(|line| line.contains("mapping notes")).collect();
        match expected {
            None => assert_eq!(found, [""; 0], "{user}"),
            Some(words) => has(&found, &["warning: ", words, "forbidden", "%R~note:*"]),
        }
    }
    let none = limited(&case, "none", "+@all").run_config(&notes(""), &["--dry-run"]);
    assert_eq!(none.code, 2, "{none}");
    has(&told(&none), &["error: redis user none: may read no key", "ACL SETUSER none ~note:*"]);
}

#[test]
fn a_user_that_may_read_none_of_the_keys_is_refused_although_it_may_not_ask_for_its_patterns() {
    let (_server, case) = start(&[]);
    let mut redis = case.redis();
    redis.set_many(&(0..20).map(|n| (format!("note:{n}"), "{}".to_owned())).collect::<Vec<_>>());
    redis.set("other:1", "{}");
    let archive = format!("[run]\nunmatched = 'archive'\n{}", notes(""));
    for rights in ["", "%W~*", "~xyz*"] {
        let user = limited(&case, "blind", &format!("{rights} +@all -acl"));
        for args in [&["--dry-run"][..], &[]] {
            let run = user.run_config(&notes(""), args);
            assert_eq!(run.code, 2, "{rights}: {run}");
            has(&told(&run), &["error: redis user blind: may read no key", "none of 20", "ACL SETUSER blind ~note:*"]);
        }
        let run = user.run_config(&archive, &["--dry-run"]);
        assert!(run.code == 2 && run.stderr.contains("none of 21"), "{rights}: {run}");
    }
    assert_eq!(case.sql("SELECT to_regnamespace('redis2pg')"), "");
    // One key that may be read is enough, be it the archive's.
    let user = limited(&case, "blind", "~other:* +@all -acl");
    assert_eq!(user.run_config(&notes(""), &["--dry-run"]).code, 2);
    let run = user.run_config(&archive, &["--dry-run"]).exits(0);
    has(&told(&run), &["warning: redis mapping notes", "20 of 20", "forbidden"]);
}

/// What `config check` of the source says of these notes, on stdout.
fn checked(case: &Case, settings: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.toml");
    std::fs::write(&file, notes(settings)).unwrap();
    let mut command = case.command();
    let output = command.args(["config", "check", "--from", &case.source, "--config"]).arg(&file).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn whether_a_cleanup_could_delete_is_noted_by_a_check_and_nothing_is_deleted_to_find_out() {
    let (_server, case) = start(&[]);
    case.redis().set("note:1", "{}");
    // By a script that asks; by a dry run of the server's where scripts are refused; nobody asks then.
    for (user, rights, words) in [
        ("reader", "~* +@all -@write", Some(["may not run UNLINK on", "reader +unlink"])),
        ("reader", "~* +@all -eval -watch", Some(["may not run EVAL on", "reader +eval"])),
        ("reader", "~* +@all -eval", None),
        ("reader", "~* +@all -@write -eval_ro +acl|dryrun", Some(["may not run UNLINK on", "reader +unlink"])),
        ("reader", "~* +@all -@write -eval_ro -acl", None),
        // The command is there, and the pattern is not.
        ("reader", "%R~* +@all", Some(["may not write the keys", "reader %W~note:*"])),
        ("reader", "%R~* +@all -acl", Some(["may not run UNLINK on", "reader +unlink %W~note:*"])),
        ("reader", "~* +@all", None),
    ] {
        let said = checked(&limited(&case, user, rights), "");
        let lines: Vec<&str> = said.lines().collect();
        let found = lines.iter().position(|line| line.contains("cleanup"));
        let Some([message, hint]) = words else {
            assert_eq!(found, None, "{rights}: {said}");
            continue;
        };
        let at = found.unwrap_or_else(|| panic!("{rights}: {said}"));
        assert!(lines[at].starts_with("note: redis user reader: ") && lines[at].contains(message), "{rights}: {said}");
        assert!(lines[at + 1].contains("A run needs none of it") && lines[at + 1].ends_with(hint), "{rights}: {said}");
        assert!(said.contains("0 errors, ") && said.contains(", 1 note. Looked at"), "{rights}: {said}");
    }
    let user = limited(&case, "reader", "~* +@all -@write");
    for args in [&["--dry-run"][..], &[]] {
        let run = user.run_config(&notes(""), args).exits(0);
        assert!(!run.stderr.contains("cleanup"), "a run needs none of it: {run}");
    }
    assert_eq!(case.redis().say("DBSIZE"), ":1");
}

#[test]
fn databases_that_hold_keys_and_that_nobody_reads_are_named_with_their_counts() {
    let (server, case) = start(&["databases 20"]);
    case.redis().set("note:1", "{}");
    let other = |number: u8| Client::open(&format!("{}/{number}", server.url()));
    (0..3).for_each(|n| other(4).set(&format!("x:{n}"), "1"));
    (8..19).for_each(|number| other(number).set("y", "1"));
    let run = case.run_config(&notes(""), &["--dry-run"]).exits(0);
    has(&told(&run), &["warning: redis other databases", "4 (3 keys), 8 (1 key)", "4 more", "databases = [0, 4]"]);
    let all = case.run_config(&notes("databases = 'all'"), &["--dry-run"]).exits(0);
    assert_eq!(told(&all), [""; 0], "{all}");
}

#[test]
fn keys_behind_a_prefix_are_told_although_others_match_and_only_where_they_are_nobodys() {
    let (_server, case) = start(&[]);
    let mut redis = case.redis();
    let keys = |prefix: &str, count: usize| {
        (0..count).map(|n| (format!("{prefix}note:{n}"), "{}".to_owned())).collect::<Vec<_>>()
    };
    redis.set_many(&keys("", 20));
    let none = case.run_config(&notes(""), &["--dry-run"]).exits(0);
    assert_eq!(told(&none), [""; 0], "{none}");
    redis.set_many(&keys("app:", 7));
    redis.set_many(&keys("lock:", 3));
    let run = case.run_config(&notes(""), &["--dry-run"]).exits(0);
    let found = told(&run);
    has(
        &found,
        &["warning: redis mapping notes", "7 of 30 keys", "`app:note:…`", "match = [\"note:{id}\", \"app:note:{id}\"]"],
    );
    has(&found, &["3 of 30 keys", "`lock:note:…`", "`exclude`"]);
    assert_eq!(found.len(), 2, "{found:?}");
    // One prefix is another mapping's, which is switched off, and the other is set apart.
    let mut settings = notes("exclude = 'lock:note:{id}'");
    settings += &notes("").replace("'notes'", "'prefixed'").replace("'note:{id}'", "'app:note:{id}'");
    let run = case.run_config(&settings, &["--dry-run", "--skip", "prefixed"]).exits(0);
    assert_eq!(told(&run), [""; 0], "{run}");
    let archived = format!("[run]\nunmatched = 'archive'\n{}", notes(""));
    let run = case.run_config(&archived, &["--dry-run"]).exits(0);
    assert_eq!(told(&run), [""; 0], "the archive takes them: {run}");
    // Many are summed up.
    (0..33).for_each(|n| redis.set_many(&keys(&format!("tenant{n:02}:"), 2)));
    let found = told(&case.run_config(&notes("exclude = 'lock:note:{id}'"), &["--dry-run"]).exits(0));
    has(&found, &["`app:note:…`", "exclude = [\"lock:note:{id}\", \"app:lock:note:{id}\"]"]);
    has(&found, &["warning: redis mapping notes", "and 31 more families with 62 keys"]);
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn a_node_of_a_cluster_is_refused_with_the_scheme_to_write() {
    let (_server, case) = start(&["cluster-enabled yes"]);
    for args in [&[][..], &["--dry-run"]] {
        let run = case.run_config(&notes(""), args);
        assert_eq!(run.code, 2, "{run}");
        let found = told(&run);
        has(&found, &["error: redis redis://127.0.0.1:", "node of a Redis Cluster", "redis-cluster://"]);
        assert_eq!(found.len(), 1, "{found:?}");
    }
}

#[test]
fn a_replica_and_one_that_lost_its_primary_are_told_apart() {
    let (primary, _) = start(&[]);
    let auth = format!("masterauth {}", primary.password());
    let (_replica, case) = start(&[&format!("replicaof 127.0.0.1 {}", primary.port()), &auth]);
    Client::open(&format!("{}/0", primary.url())).set("note:1", "{}");
    let until = Instant::now() + Duration::from_secs(20);
    while case.redis().say("DBSIZE") != ":1" {
        assert!(Instant::now() < until, "the replica does not catch up");
        std::thread::sleep(Duration::from_millis(50));
    }
    let run = case.run_config(&notes(""), &[]).exits(0);
    has(&told(&run), &["warning: redis replica", "a replica of 127.0.0.1:", "latest writes"]);
    drop(primary);
    let until = Instant::now() + Duration::from_secs(20);
    while !case.redis().answer(&[b"INFO", b"replication"]).contains("master_link_status:down") {
        assert!(Instant::now() < until, "the link stays up");
        std::thread::sleep(Duration::from_millis(50));
    }
    let run = case.run_config(&notes(""), &[]).exits(0);
    has(&told(&run), &["warning: redis replica", "is down", "getting older"]);
}

#[test]
fn a_server_that_is_about_to_evict_is_told_and_one_with_room_is_not() {
    let (_server, case) = start(&["maxmemory 100mb", "maxmemory-policy allkeys-lru"]);
    let mut redis = case.redis();
    redis.set("note:1", "{}");
    let touches = redis.answer(&[b"CLIENT", b"NO-TOUCH", b"ON"]).starts_with('-');
    let room = told(&case.run_config(&notes(""), &["--dry-run"]).exits(0));
    assert_eq!(room.len(), usize::from(touches), "{room:?}");
    redis.say("CONFIG SET maxmemory-policy volatile-ttl");
    // In the server: what a client sends is held for a while beside the value.
    redis.say(&format!("SETRANGE large {} x", 20 << 20));
    let memory = redis.answer(&[b"INFO", b"memory"]);
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    let used: u64 = used.trim().parse().unwrap();
    redis.say(&format!("CONFIG SET maxmemory {}", used + used / 50));
    let run = case.run_config(&notes(""), &["--dry-run"]).exits(0);
    has(&told(&run), &["warning: redis memory", "volatile-ttl", "evicted before they are read", "Raise maxmemory"]);
    redis.say("CONFIG SET maxmemory-policy noeviction");
    let run = case.run_config(&notes(""), &["--dry-run"]).exits(0);
    assert_eq!(told(&run), [""; 0], "{run}");
}

#[test]
fn an_old_server_and_one_that_cannot_save_are_told() {
    let info = "redis_version:6.2.14\r\nrun_id:a\r\nrole:master\r\nrdb_last_bgsave_status:err\r\n";
    let keyspace = Keyspace::new(&[("note:1".to_owned(), "{}".to_owned())]);
    let server = ScriptedRedis::start(keyspace, move |_, command| match command[0].as_str() {
        "INFO" => reply(bulk(info)),
        "SCAN" => scan_cursor(command).and_then(|_| reply(page("0", &["note:1"]))),
        "PEXPIRETIME" | "EVAL_RO" => reply(format!("-ERR unknown command '{}'\r\n", command[0])),
        _ => None,
    });
    let case = Case::from_source(&format!("{}/0", server.url()));
    case.sql(TABLE);
    let run = case.run_config(&notes(""), &["--dry-run"]).exits(0);
    let found = told(&run);
    has(&found, &["warning: redis version 6.2.14", "older than 7.0"]);
    assert_eq!(found.len(), 1, "a run writes nothing there: {found:?}");
    let said = checked(&case, "");
    assert!(said.contains("note: redis persistence: ") && said.contains("cleanup"), "{said}");
}
