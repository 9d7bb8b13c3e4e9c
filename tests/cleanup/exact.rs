//! What a column does not give back exactly keeps the key; what a repair has changed is told.

use crate::support::Case;
use crate::{came_to, ends, is_there, said};

fn config(columns: &str, more: &str) -> String {
    format!(
        "[[mapping]]\nname = \"values\"\nmatch = \"v:{{id}}\"\ninto = \"public.vals\"\nkey = [\"id\"]\n{more}\n\
         column = [{{ name = \"id\", from = [\"{{id}}\"] }}, {columns}]\n"
    )
}

fn column(name: &str) -> String {
    format!("{{ name = \"{name}\", from = [\"$.{name}\"] }}")
}

/// Loads and cleans up; gives the reason for which each of these values' keys stays, or nothing where it goes.
fn reasons(types: &str, columns: &str, more: &str, values: &[&str]) -> Vec<Option<String>> {
    let case = Case::new();
    case.sql(&format!("SET ROLE redis2pg; CREATE TABLE vals (id text PRIMARY KEY, {types})"));
    let config = config(columns, more);
    let pairs: Vec<_> = values.iter().enumerate().map(|(n, value)| (format!("v:{n}"), (*value).to_owned())).collect();
    case.redis().set_many(&pairs);
    ends(case.run_config(&config, &[]), 0);
    let outcome = ends(case.cleanup(&config, &["--yes"]), 0);
    assert_eq!(outcome.report["cleanup"]["balanced"], true, "{outcome}");
    let of = |(key, _): &(String, String)| {
        is_there(&case, key).then(|| said(&outcome, key)["reason"].as_str().unwrap().to_owned())
    };
    pairs.iter().map(of).collect()
}

/// The values of one column of this type that keep their keys.
fn kept(sql_type: &str, more: &str, values: &[&str]) -> Vec<String> {
    let column = format!("{{ name = \"x\", from = [\"$.x\"] {more} }}");
    let wrapped: Vec<String> = values.iter().map(|value| format!("{{\"x\":{value}}}")).collect();
    let wrapped: Vec<&str> = wrapped.iter().map(String::as_str).collect();
    let reasons = reasons(&format!("x {sql_type}"), &column, "", &wrapped);
    let rounded = values.iter().zip(reasons).filter_map(|(value, reason)| Some((value, reason?)));
    rounded.map(|(value, reason)| format!("{reason} {value}")).collect()
}

#[test]
fn a_key_whose_value_a_column_rounds_stays() {
    assert_eq!(
        kept("real", "", &["0.1", "1.5", "16777216", "16777217", "1.23456789012345"]),
        ["rounded 16777217", "rounded 1.23456789012345"]
    );
    assert_eq!(
        kept("double precision", "", &["0.1", "1.23456789012345", "1e300", "9007199254740993", "0.10000000000000001"]),
        ["rounded 9007199254740993", "rounded 0.10000000000000001"]
    );
    assert_eq!(kept("numeric", "", &["9007199254740993", "0.10000000000000001", "1.50"]), Vec::<String>::new());
    assert_eq!(
        kept("timestamptz", "", &["\"2024-01-02T03:04:05.123456Z\"", "\"2024-01-02T03:04:05.1234567Z\""]),
        ["rounded \"2024-01-02T03:04:05.1234567Z\""]
    );
    assert_eq!(kept("char(5)", "", &["\"ab\"", "\"ab \""]), ["rounded \"ab \""]);
    assert_eq!(kept("real[]", "", &["[0.1,2]", "[0.1,16777217]"]), ["rounded [0.1,16777217]"]);
}

/// Nobody but the server reads these: the key goes where it shows what was sent.
#[test]
fn what_the_server_reads_must_come_back_as_it_was_sent() {
    assert_eq!(
        kept("point", "", &["\"(1.5,2)\"", "\"(0.10000000000000001,2)\""]),
        ["rounded \"(0.10000000000000001,2)\""]
    );
    assert_eq!(kept("int4range", "", &["\"[1,3]\""]), Vec::<String>::new(), "its reader changes nothing");
    assert_eq!(
        kept("tsrange", "", &["\"[2024-01-02,)\"", "\"[2024-01-02 03:04:05.1234567,)\""]),
        ["rounded \"[2024-01-02 03:04:05.1234567,)\""]
    );
    assert_eq!(kept("tsvector", "", &["\"'a' 'b'\"", "\"b a b\""]), ["rounded \"b a b\""]);
}

#[test]
fn where_another_column_has_all_of_the_value_nothing_is_lost() {
    let beyond = r#"{"f":1.23456789012345}"#;
    let whole = "{ name = \"data\", from = [\"$\"] }";
    let f = column("f");
    assert_eq!(reasons("f real, data jsonb", &format!("{f}, {whole}"), "", &[beyond]), [None]);
    let rest = "{ name = \"data\", from = [\"rest\"] }";
    let rounded = Some("rounded".to_owned());
    assert_eq!(reasons("f real, data jsonb", &format!("{f}, {rest}"), "", &[beyond]), [rounded]);
    // Of a key that is several rows, each must give back its element.
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE scores (id text, member text, score real, PRIMARY KEY (id, member)); \
         CREATE TABLE vals (id text PRIMARY KEY)",
    );
    let config = "[[mapping]]\nname = \"scores\"\nmatch = \"s:{id}\"\ntype = \"zset\"\nexplode = true\ninto = \"public.scores\"\n\
                  key = [\"id\", \"member\"]\ncolumn = [{ name = \"id\", from = [\"{id}\"] }, \
                  { name = \"member\", from = [\"$.member\"] }, { name = \"score\", from = [\"$.score\"] }]\n";
    let mut redis = case.redis();
    redis.say("ZADD s:1 1.5 ann 0.1 bob");
    redis.say("ZADD s:2 1.5 ann 16777217 bob");
    ends(case.run_config(config, &[]), 0);
    came_to(&ends(case.cleanup(config, &["--yes"]), 0), 1, &[("rounded", 1)]);
    assert!(is_there(&case, "s:2"));
}

/// A validation leaves such a column out; whoever deletes the key may not.
#[test]
fn a_column_whose_changes_a_run_ignores_is_compared_before_a_key_goes() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE vals (id text PRIMARY KEY, n int, upd timestamptz)");
    let config =
        config("{ name = \"n\", from = [\"$.n\"] }, { name = \"upd\", from = [\"$.upd\"], ignore_changes = true }", "");
    let value = |day: u32| format!(r#"{{"n":1,"upd":"2026-01-{day:02}T00:00:00Z"}}"#);
    let mut redis = case.redis();
    (1..=4).for_each(|n| redis.set(&format!("v:{n}"), &value(n)));
    ends(case.run_config(&config, &[]), 0);
    redis.set("v:2", &value(20));
    case.sql("UPDATE vals SET upd = '2026-02-01' WHERE id = '3'");
    // To a run nothing has changed; and so says a validation.
    let again = ends(case.run_config(&config, &["--validate-after-run=true"]), 0);
    assert_eq!(again.total("inserted") + again.total("updated"), 0, "{again}");
    let outcome = ends(case.cleanup(&config, &["--yes"]), 0);
    came_to(&outcome, 2, &[("newer", 1), ("stale", 1)]);
    assert!(is_there(&case, "v:2") && is_there(&case, "v:3"));
    assert_eq!(said(&outcome, "v:2")["detail"], "upd differs");
    let hint = "values: in 2 keys that stay nothing but upd differs, which has ignore_changes";
    assert!(outcome.stdout.contains(hint) && outcome.stdout.contains(r#"cleanup.lossy = ["values.upd"]"#), "{outcome}");
    // Who says that the column need not have it lets them go.
    came_to(&ends(case.cleanup(&config, &["--yes", "--cleanup-lossy", "values.upd"]), 0), 2, &[]);
}

/// What a row has of the run alone was never in Redis.
#[test]
fn a_column_that_has_nothing_of_redis_keeps_no_key() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE vals (id text PRIMARY KEY, n int, upd timestamptz, origin text, seen timestamptz); \
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.upd := now(); NEW.origin := 'table'; RETURN NEW; \
         END $$; CREATE TRIGGER touch BEFORE UPDATE ON vals FOR EACH ROW EXECUTE FUNCTION touch()",
    );
    let config = config(
        "{ name = \"n\", from = [\"$.n\"] }, { name = \"upd\", from = [\"run.time\"], ignore_changes = true }, \
         { name = \"origin\", from = [{ value = \"redis\" }], ignore_changes = true }, \
         { name = \"seen\", from = [\"$.seen\", \"run.time\"], ignore_changes = true }",
        "",
    );
    let mut redis = case.redis();
    redis.set("v:1", r#"{"n":1}"#);
    redis.set("v:2", r#"{"n":2,"seen":"2026-01-01T00:00:00Z"}"#);
    redis.set("v:3", r#"{"n":3,"seen":"2026-01-01T00:00:00Z"}"#);
    ends(case.run_config(&config, &[]), 0);
    redis.set("v:1", r#"{"n":10}"#);
    redis.set("v:2", r#"{"n":20,"seen":"2026-01-01T00:00:00Z"}"#);
    redis.set("v:3", r#"{"n":3,"seen":"2026-01-02T00:00:00Z"}"#);
    ends(case.run_config(&config, &[]), 0);
    assert_eq!(case.number("SELECT count(*) FROM vals WHERE origin = 'table'"), 2);
    let outcome = ends(case.cleanup(&config, &["--yes"]), 0);
    came_to(&outcome, 2, &[("stale", 1)]);
    assert!(is_there(&case, "v:3"), "what the value says is compared: {outcome}");
}

/// Where the run's time or the like stands in for a value that is null, has a default, or must be there, it keeps the key until somebody
/// agrees.
#[test]
fn a_column_that_time_stands_in_for_keeps_its_keys_until_it_is_named() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE vals (id text PRIMARY KEY, a timestamptz, b bigint, c timestamptz NOT NULL, d bigint)",
    );
    let stamped = |name: &str, from: &str, more: &str| {
        format!("{{ name = \"{name}\", from = [\"$.{name}\", \"{from}\"], ignore_changes = true {more} }}")
    };
    let columns = [
        stamped("a", "run.time", ""),
        stamped("b", "redis.ttl", ", default = \"7\""),
        stamped("c", "run.time", ""),
        stamped("d", "redis.ttl", ", null_as = \"7\""),
    ];
    let config = config(&columns.join(", "), "");
    let mut redis = case.redis();
    redis.set("v:1", r#"{"a":null,"b":1,"c":"2026-01-01T00:00:00Z","d":1}"#);
    redis.set("v:2", r#"{"c":"2026-01-01T00:00:00Z","d":1}"#);
    redis.set("v:3", r#"{"b":1,"d":1}"#);
    redis.set("v:4", r#"{"b":1,"c":"2026-01-01T00:00:00Z","d":null}"#);
    redis.say("EXPIRE v:2 10000000");
    redis.say("EXPIRE v:4 10000000");
    ends(case.run_config(&config, &[]), 0);
    assert_eq!(
        case.number("SELECT count(*) FROM vals WHERE a IS NOT NULL AND c IS NOT NULL AND (b > 7) = (id = '2')"),
        4
    );
    let all = ["values.a", "values.b", "values.c", "values.d"];
    let goes = |named: usize| {
        let lossy = all.get(..named).unwrap().join(",");
        let consent = if named > 0 { vec!["--cleanup-lossy", &lossy] } else { Vec::new() };
        let outcome = ends(case.cleanup(&config, &[&["--dry-run"], &consent[..]].concat()), 0);
        outcome.report["cleanup"]["would_delete"].as_i64().unwrap()
    };
    assert_eq!((0..=all.len()).map(goes).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    came_to(&ends(case.cleanup(&config, &["--yes", "--cleanup-lossy", &all.join(",")]), 0), 4, &[]);
}

/// Of a key that is several rows it must be so of all of them; a row of another kind of difference is another matter.
#[test]
fn keys_of_several_rows_are_said_to_differ_in_such_columns_alone_only_where_they_do() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE marks (id text, field text, n int, upd text, PRIMARY KEY (id, field))");
    let config = "[[mapping]]\nname = \"marks\"\nmatch = \"m:{id}\"\ntype = \"hash\"\nitems = \"json\"\nexplode = true\n\
                  into = \"public.marks\"\nkey = [\"id\", \"field\"]\ncolumn = [{ name = \"id\", from = [\"{id}\"] }, \
                  { name = \"field\", from = [\"$.field\"] }, { name = \"n\", from = [\"$.value.n\"] }, \
                  { name = \"upd\", from = [\"$.value.upd\"], ignore_changes = true }]\n";
    let mut redis = case.redis();
    for id in 1..=3 {
        redis.say(&format!(r#"HSET m:{id} a {{"n":1,"upd":"x"}} b {{"n":2,"upd":"x"}} c {{"n":3,"upd":"x"}}"#));
    }
    ends(case.run_config(config, &[]), 0);
    case.sql(
        "UPDATE marks SET upd = 'y' WHERE field = 'c' OR id = '1' AND field = 'a'; UPDATE marks SET n = 9 WHERE id = '2' AND field = 'a'; \
         DELETE FROM marks WHERE id = '3' AND field = 'a'",
    );
    let outcome = ends(case.cleanup(config, &["--dry-run"]), 0);
    assert!(outcome.stdout.contains("marks: in 1 keys that stay nothing but upd differs"), "{outcome}");
    let named = ends(case.cleanup(config, &["--yes", "--cleanup-lossy", "marks.upd"]), 0);
    assert_eq!((named.report["cleanup"]["deleted"].as_i64(), is_there(&case, "m:1")), (Some(1), false), "{named}");
}

/// Who has no better column says so once, and is told until then.
#[test]
fn a_column_that_may_round_keeps_no_key() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE vals (id text PRIMARY KEY, at timestamptz, f real, p point)");
    let config = config(&[column("at"), column("f"), column("p")].join(", "), "");
    let mut redis = case.redis();
    redis.set("v:1", r#"{"at":"2024-01-02T03:04:05.123456789Z"}"#);
    redis.set("v:2", r#"{"at":"2024-01-02T03:04:05.123456789Z","f":16777217}"#);
    redis.set("v:3", r#"{"p":"(0.10000000000000001,2)"}"#);
    ends(case.run_config(&config, &[]), 0);
    let cleanup = |args: &[&str]| ends(case.cleanup(&config, args), 0);
    let told = cleanup(&["--dry-run"]);
    came_to(&told, 0, &[("rounded", 3)]);
    assert!(told.stdout.contains("values: 3 keys stay as rounded, and will until"), "{told}");
    // Each key says which columns, and the summary those of all.
    assert!(told.stdout.contains(r#"cleanup.lossy = ["values.at", "values.f", "values.p"]"#), "{told}");
    assert!(told.stdout.contains("until their columns (at, f, p) hold what the values say"), "{told}");
    for (key, columns) in [("v:1", "at: "), ("v:2", "at, f: "), ("v:3", "p: ")] {
        let detail = said(&told, key)["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with(&format!("{columns}the type rounds the value")), "{detail}");
    }
    came_to(&cleanup(&["--yes", "--cleanup-lossy", "values.at"]), 1, &[("rounded", 2)]);
    assert!(is_there(&case, "v:2") && is_there(&case, "v:3"));
    came_to(&cleanup(&["--yes", "--cleanup-lossy", "values.at,values.f,values.p"]), 2, &[]);
}

#[test]
fn what_repairs_have_changed_goes_and_is_told() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE vals (id text PRIMARY KEY, x text, data jsonb)");
    let config = config("{ name = \"x\", from = [\"$.x\"] }, { name = \"data\", from = [\"$\"] }", "nul = \"strip\"");
    let mut redis = case.redis();
    redis.set("v:1", r#"{"x":"a\u0000b"}"#);
    redis.set("v:2", r#"{"x":"ab"}"#);
    redis.set("v:3", r#"{"x":"a","x":"b"}"#);
    ends(case.run_config(&config, &[]), 0);
    for (args, deleted) in [(&["--dry-run"][..], 0), (&["--yes"], 3)] {
        let outcome = ends(case.cleanup(&config, args), 0);
        came_to(&outcome, deleted, &[]);
        let notes = outcome.report["cleanup"]["notes"].to_string();
        assert!(notes.contains("(keys that were equal, by repair: json_duplicate_key 1, nul 1)"), "{notes}");
        // With such a repair no column has all of a value for certain.
        assert!(notes.contains("values keeps no more of a value than its columns take"), "{notes}");
    }
}

#[test]
fn that_other_mappings_have_loaded_from_the_same_source_is_told() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE vals (id text PRIMARY KEY, a int, b int)");
    let (first, second) = (config(&column("a"), ""), config(&column("b"), ""));
    case.redis().set("v:1", r#"{"a":1,"b":2}"#);
    ends(case.run_config(&first, &[]), 0);
    let notes = |args: &[&str]| ends(case.cleanup(&first, args), 0).report["cleanup"]["notes"].to_string();
    const TOLD: &str = "other mappings have loaded from this source too (run ";
    assert!(!notes(&["--dry-run"]).contains(TOLD));
    ends(case.run_config(&second, &[]), 0);
    assert!(notes(&["--dry-run"]).contains(TOLD) && notes(&["--yes"]).contains(TOLD));
}
