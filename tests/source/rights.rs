//! What a user of Redis may do: keys that it may not read, and commands that it may not run.

use crate::support;

use support::Case;

/// Notes whose keys may be of several types; one key makes one row.
fn notes(settings: &str) -> String {
    format!(
        "[[mapping]]\nname = \"notes\"\nmatch = \"note:{{id}}\"\ninto = \"public.notes\"\nkey = [\"id\"]\n{settings}\n\
         column = [{{ name = \"id\", from = [\"{{id}}\"] }}, {{ name = \"owner\", from = [\"$.owner\"] }}]\n"
    )
}

/// A case, and the same as a user with these rights.
fn case(user: &str, rights: &str) -> (Case, Case) {
    let case = Case::new();
    case.sql("CREATE TABLE notes (id text PRIMARY KEY, owner text, ttl bigint); GRANT ALL ON notes TO redis2pg");
    let mut redis = case.redis();
    assert_eq!(redis.say(&format!("ACL SETUSER {user} on >pw {rights}")), "+OK");
    let place = case.source.split('@').next_back().unwrap_or_default();
    let limited = Case::with_ends(&format!("redis://{user}:pw@{place}"), &case.target);
    (case, limited)
}

#[test]
fn keys_that_the_user_may_not_read_are_skipped_and_cost_no_other_its_place() {
    // Scripts and single commands, strings alone and any type, values and pages of several sizes.
    for (user, rights, types) in [
        ("plain", "~note:* ~mine:* +@all", "type = \"string\""),
        ("typed", "~note:* ~mine:* +@all", "type = [\"string\", \"hash\"]"),
        ("written", "~note:* ~mine:* %W~secret:* +@all", "type = \"string\""),
        ("unscripted", "~note:* ~mine:* +@all -eval_ro", "type = [\"string\", \"hash\"]"),
        ("unpeeking", "~note:* ~mine:* +@all -getrange -eval_ro", "type = \"string\""),
    ] {
        let (case, limited) = case(user, rights);
        let mut redis = case.redis();
        let place = |n: usize| ["note", "secret", "mine"][n % 3];
        let pairs: Vec<_> =
            (0..300).map(|n| (format!("{}:{n:03}", place(n)), "{\"owner\":\"x\"}".to_owned())).collect();
        redis.set_many(&pairs);
        // A value that is read by itself.
        redis.set("secret:large", &format!("{{\"owner\":\"{}\"}}", "x".repeat(8 << 20)));
        let settings = notes(types).replace("\"note:{id}\"", "[\"note:{id}\", \"secret:{id}\", \"mine:{id}\"]");
        let rows = || case.number("SELECT count(*) FROM notes");
        for (args, there) in [(&["--dry-run"][..], 0), (&[], 200), (&["--limit", "150"], 200)] {
            let run = limited.run_config(&settings, args).exits(0);
            let skipped = run.report["tally"]["skipped"]["forbidden"].as_i64().unwrap_or_default();
            if args.first() != Some(&"--limit") {
                assert_eq!((run.total("matched"), skipped), (301, 101), "{user}: {run}");
            }
            assert!(run.said().contains("ACL SETUSER … ~PATTERN") && run.said().contains("secret:"), "{run}");
            assert_eq!(rows(), there, "{user} {args:?}");
        }
    }
}

#[test]
fn a_parent_that_may_not_be_read_is_named_as_the_reason() {
    let (case, limited) = case("childish", "~note:* +@all");
    case.sql("CREATE TABLE owners (id text PRIMARY KEY); GRANT ALL ON owners TO redis2pg");
    let mut redis = case.redis();
    redis.set("note:1", "{\"owner\":\"7\"}");
    redis.set("owner:7", "{}");
    let owners = "[[mapping]]\nname = \"owners\"\nmatch = \"owner:{id}\"\ninto = \"public.owners\"\nkey = [\"id\"]\n\
         column = [{ name = \"id\", from = [\"{id}\"] }]\n";
    let settings = format!("{owners}{}", notes("parents = [{ mapping = \"owners\", column = \"owner\" }]"));
    let run = limited.run_config(&settings, &[]).exits(3);
    let detail = run.reject("note:1")["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains("owner:7 may not be read"), "{detail}");
    let dry = limited.run_config(&settings, &["--dry-run"]).exits(3);
    assert_eq!(dry.reasons("notes"), [("missing_parent".to_owned(), 1)].into(), "{dry}");
    let detail = dry.reject("note:1")["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains("owner:7 would be skipped (forbidden)"), "{detail}");
}

#[test]
fn a_clock_that_nobody_may_read_is_told_before_the_first_row() {
    let (case, limited) = case("timeless", "~* +@all -time");
    case.redis().set("note:1", "{\"owner\":\"x\"}");
    let timed = notes("").replace("\"$.owner\"] }]", "\"$.owner\"] }, { name = \"ttl\", from = [\"redis.ttl\"] }]");
    for (settings, what) in [(&timed, "`redis.ttl`"), (&notes("min_ttl = \"1s\""), "`min_ttl`")] {
        for args in [&[][..], &["--dry-run"]] {
            let run = limited.run_config(settings, args);
            assert_eq!(run.code, 2, "{run}");
            assert!(run.stderr.contains(what) && run.stderr.contains("+time"), "{run}");
        }
    }
    assert_eq!(case.number("SELECT count(*) FROM notes"), 0);
    assert_eq!(case.sql("SELECT to_regnamespace('redis2pg')"), "");
}

#[test]
fn the_command_that_is_refused_is_named_whatever_else_was_asked_with_it() {
    let (case, limited) = case("blind", "~* +@all -time -pexpiretime -eval_ro");
    case.redis().set("note:1", "{\"owner\":\"x\"}");
    let until = "\"$.owner\"] }, { name = \"until\", from = [\"redis.expires_at\"] }]";
    case.sql("ALTER TABLE notes ADD until timestamptz");
    let run = limited.run_config(&notes("type = [\"string\", \"hash\"]").replace("\"$.owner\"] }]", until), &[]);
    assert_eq!(run.code, 2, "{run}");
    assert!(
        run.stderr.contains("may not run PEXPIRETIME (for notes)") && run.stderr.contains("blind +pexpiretime"),
        "{run}"
    );
}
