//! What a user of Redis may not do.

use crate::support::{Case, Ended};
use crate::{backup, case};
use redis2pg::backup::{Entry, Logical};

/// The same database as a user with these rights.
fn limited(case: &Case, user: &str, rights: &str) -> Case {
    with_password(case, (user, "pw"), rights)
}

fn with_password(case: &Case, (user, password): (&str, &str), rights: &str) -> Case {
    assert_eq!(case.redis().say(&format!("ACL SETUSER {user} on >{password} {rights}")), "+OK");
    let place = case.source.split('@').next_back().unwrap();
    Case::with_ends(&format!("redis://{user}:{password}@{place}"), "")
}

fn filled() -> Case {
    let case = case();
    let mut redis = case.redis();
    redis.set("mine:string", "1");
    redis.say("HSET mine:hash a 1");
    redis.say("RPUSH mine:list 1 2");
    redis.say("XADD mine:stream 1-1 a 1");
    case
}

#[test]
fn keys_that_may_not_be_read_are_left_out_named_and_counted() {
    let case = filled();
    let mut redis = case.redis();
    redis.set("other:string", "1");
    redis.say("SADD other:set 1");
    for (user, rights) in [("own", "~mine:* +@all"), ("own-plain", "~mine:* +@all -eval_ro")] {
        let done = backup(&limited(&case, user, rights), &[]).exits(3);
        assert_eq!((done.count("kept"), done.count("forbidden"), done.count("listed")), (4, 2, 6), "{user}");
        let named: Vec<&str> =
            done.json["left_out"].as_array().unwrap().iter().filter_map(|one| one["key"].as_str()).collect();
        assert!(named.len() == 2 && named.iter().all(|key| key.starts_with("other:")), "{user}: {named:?}");
    }
}

#[test]
fn without_dump_or_scripts_the_logical_form_is_there_all_the_same() {
    let case = filled();
    for (user, rights, dumps, said) in [
        ("dumpless", "~* +@all -dump", false, "does not let this user DUMP"),
        ("scriptless", "~* +@all -eval_ro -eval", true, ""),
        ("memoryless", "~* +@all -memory", false, "does not tell this user how much memory keys take (MEMORY USAGE)"),
        ("watchless", "~* +@all -eval_ro -eval -watch", false, "does not let this user WATCH"),
    ] {
        let done = backup(&limited(&case, user, rights), &[]).exits(0);
        assert_eq!(done.count("kept"), 4, "{user}");
        for ((_, key), parts) in done.entries().iter().filter(|((_, key), _)| key != "mine:string") {
            assert!(parts.iter().all(|part| part.logical.is_some()), "{user} {key}: {parts:?}");
            assert_eq!(parts[0].dump.is_some(), dumps, "{user} {key}");
            let has_facts = |part: &Entry| matches!(part.logical, Some(Logical::Stream { facts: Some(_), .. }));
            assert_eq!(parts.iter().any(has_facts), key == "mine:stream", "{user} {key}");
        }
        assert!(done.json["notices"].to_string().contains(said), "{user}: {:#}", done.json);
    }
}

#[test]
fn a_right_that_is_missing_is_named() {
    let case = filled();
    let done = backup(&limited(&case, "scanless", "~* +@all -scan"), &[]).exits(2);
    assert!(done.stderr.contains("SCAN"), "{}", done.stderr);
}

#[test]
fn a_right_that_a_script_needs_is_named_as_well() {
    let case = filled();
    for (user, right) in [("xinfoless", "xinfo"), ("hgetallless", "hgetall")] {
        let done = backup(&limited(&case, user, &format!("~* +@all -{right}")), &[]).exits(2);
        let named = format!("does not let this user run {}", right.to_uppercase());
        assert!(done.stderr.contains(&named), "{}", done.stderr);
        assert!(done.stderr.contains(&format!("+{right}")), "{}", done.stderr);
    }
    let done = backup(&limited(&case, "xinfoless-plain", "~* +@all -xinfo -eval_ro -eval"), &[]).exits(2);
    assert!(done.stderr.contains("does not let this user run XINFO"), "{}", done.stderr);
}

#[test]
fn strings_are_kept_although_get_is_refused() {
    let case = filled();
    let done = backup(&limited(&case, "getless", "~* +@all -get"), &[]).exits(0);
    assert_eq!(done.count("kept"), 4);
    assert!(matches!(done.entry("mine:string").logical, Some(Logical::Bytes(bytes)) if &*bytes == b"1"));
}

#[test]
fn a_password_that_is_a_word_of_what_redis_says_changes_nothing() {
    let case = filled();
    case.redis().set("other:string", "1");
    for (user, password) in [("spelt-access", "access"), ("spelt-keys", "keys"), ("spelt-noperm", "NOPERM")] {
        let done = backup(&with_password(&case, (user, password), "~mine:* +@all"), &[]).exits(3);
        assert_eq!((done.count("kept"), done.count("forbidden")), (4, 1), "{password}: {}", done.stderr);
    }
    // A letter is in most words.
    for (user, password) in [("typeless-p", "p"), ("typeless-type", "type")] {
        let limited = with_password(&case, (user, password), "~* +@all -type");
        let done = backup(&limited, &[]).exits(2);
        assert!(done.stderr.contains("does not let this user run TYPE:"), "{password}: {}", done.stderr);
        assert!(done.stderr.contains("no permissions to run"), "{password}: {}", done.stderr);
    }
}

#[test]
fn what_a_user_without_info_is_told_has_one_label_and_its_hint_a_line_of_its_own() {
    let case = limited(&filled(), "infoless", "~* +@all -info");
    let file = tempfile::tempdir().unwrap();
    let file = file.path().join("cache.backup");
    let mut command = case.command();
    command.args(["backup", "--from", &case.source, "--file", file.to_str().unwrap()]);
    let done = Ended::of(&command.output().unwrap()).exits(0);
    assert!(done.stdout.contains("\nwarning: redis INFO: INFO is refused"), "{}", done.stdout);
    assert!(done.stdout.contains("\n  hint: ACL SETUSER infoless +info\n"), "{}", done.stdout);
}
