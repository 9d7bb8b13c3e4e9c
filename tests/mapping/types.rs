//! Types that the server reads from text, and further ones that go in as bytes, through the whole pipeline.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use crate::support;

use support::{Case, Outcome};

/// A mapping of `thing:{id}` into `public.things`, with `$.v` as column `v`.
fn config(more: &str) -> String {
    format!(
        r#"
[[mapping]]
name = "things"
match = "thing:{{id}}"
into = "public.things"
key = ["id"]
column = [{{ name = "id", from = ["{{id}}"] }}, {{ name = "v", from = ["$.v"]{more} }}]
"#
    )
}

/// Loads JSON values into a column of a type; gives the run and what is stored, in the order of the values.
fn load(case: &Case, sql_type: &str, values: &[&str], more: &str) -> (Outcome, Vec<String>) {
    case.sql(&format!(
        "CREATE TABLE things (id int PRIMARY KEY, v {sql_type}); GRANT ALL ON things TO redis2pg; \
         ALTER DATABASE {0} SET timezone = 'America/New_York'; ALTER DATABASE {0} SET datestyle = 'SQL, DMY'; \
         ALTER DATABASE {0} SET extra_float_digits = -9",
        case.database
    ));
    let pairs: Vec<(String, String)> =
        (0..).zip(values).map(|(id, value)| (format!("thing:{id}"), format!(r#"{{"v":{value}}}"#))).collect();
    case.redis().set_many(&pairs);
    let run = case.run_config(&config(more), &[]);
    let stored = case.sql(
        "SET timezone = 'UTC'; SET datestyle = ISO; SET extra_float_digits = 1; \
         SELECT coalesce(v::text, 'NULL') FROM things ORDER BY id",
    );
    (run, stored.lines().map(str::to_owned).collect())
}

/// Good values are stored, a bad one among them is rejected for that reason, and a second run finds all unchanged.
fn check(sql: &str, sql_type: &str, good: &[(&str, &str)], bad: Option<(&str, &str)>) {
    let case = Case::new();
    case.sql(sql);
    let mut values: Vec<&str> = good.iter().map(|(given, _)| *given).collect();
    // In the middle: what comes before and after it must not suffer.
    let place = values.len() / 2;
    values.splice(place..place, bad.map(|(value, _)| value));
    let (run, stored) = load(&case, sql_type, &values, "");
    let run = run.exits(if bad.is_some() { 3 } else { 0 });
    assert_eq!(stored, good.iter().map(|(_, stored)| *stored).collect::<Vec<_>>(), "{sql_type}: {run}");
    if let Some((_, reason)) = bad {
        let reject = run.reject(&format!("thing:{place}"));
        assert_eq!((&reject["reason"], &reject["column"]), (&reason.into(), &"v".into()), "{sql_type}: {run}");
    }
    let before = case.xmins("things");
    let again = case.run_config(&config(""), &[]).exits(if bad.is_some() { 3 } else { 0 });
    assert_eq!(again.total("unchanged"), i64::try_from(good.len()).unwrap(), "{sql_type}: {again}");
    assert_eq!(case.xmins("things"), before, "{sql_type}: a second run writes nothing");
    change(&case, place);
}

/// A row that changed in Redis is updated: the comparison sees a difference.
fn change(case: &Case, bad: usize) {
    let id = usize::from(bad == 0);
    case.redis().set(&format!("thing:{id}"), r#"{"v":null}"#);
    let run = case.run_config(&config(""), &[]);
    assert_eq!(run.total("updated"), 1, "{run}");
    assert_eq!(case.sql(&format!("SELECT v IS NULL FROM things WHERE id = {id}")), "t");
}

#[test]
fn words_and_geometry() {
    check(
        "",
        "tsvector",
        &[(r#""fat:2 cat""#, "'cat' 'fat':2"), (r#""a""#, "'a'"), ("null", "NULL")],
        Some((r#""'open""#, "type_input")),
    );
    check(
        "",
        "point",
        &[(r#""(1.25,2)""#, "(1.25,2)"), (r#""(0.30000000000000004,0)""#, "(0.30000000000000004,0)")],
        Some((r#""(1,""#, "type_input")),
    );
    check("", "box", &[(r#""(1,1),(0,0)""#, "(1,1),(0,0)"), (r#""2,2,3,3""#, "(3,3),(2,2)")], None);
}

#[test]
fn ranges_are_read_in_utc_whatever_the_session_says() {
    check(
        "",
        "int4range",
        &[(r#""[1,3]""#, "[1,4)"), (r#""empty""#, "empty"), (r#""(,5)""#, "(,5)")],
        Some((r#""[3,1]""#, "type_input")),
    );
    check(
        "",
        "tstzrange",
        &[(r#""[2024-03-04 05:00,)""#, "[\"2024-03-04 05:00:00+00\",)"), (r#""empty""#, "empty")],
        Some((r#""[1]""#, "type_input")),
    );
}

#[test]
fn what_the_column_would_cut_is_refused() {
    let case = Case::new();
    let (run, stored) = load(&case, "bit(3)", &[r#""101""#, r#""1011""#, "\"011\"", "110"], "");
    let run = run.exits(3);
    assert_eq!(stored, ["101", "011", "110"]);
    assert_eq!(run.reject("thing:1")["sqlstate"], "22026", "{run}");
}

#[test]
fn money_xml_and_composite_types() {
    check("", "money", &[("12.5", "$12.50"), (r#""$1,000.00""#, "$1,000.00")], Some((r#""lots""#, "number")));
    check("", "xml", &[(r#""<a>1</a>""#, "<a>1</a>"), (r#""text""#, "text")], Some((r#""<a>""#, "type_input")));
    check(
        "CREATE TYPE pair AS (a int, b point)",
        "pair",
        &[(r#""(1,\"(2,3)\")""#, "(1,\"(2,3)\")"), (r#""(,)""#, "(,)")],
        Some((r#""(x,)""#, "type_input")),
    );
    check(
        "CREATE DOMAIN near AS point CHECK (VALUE <@ box '(9,9),(0,0)')",
        "near",
        &[(r#""(1,2)""#, "(1,2)"), (r#""(3,4)""#, "(3,4)")],
        None,
    );
}

#[test]
fn what_a_reader_would_change_in_silence_does_not_reach_it() {
    for (sql_type, good, bad, reason) in [
        ("money", [("1.5", "$1.50"), (r#"" -1,234 ""#, "-$1,234.00")], "1.239", "too_precise"),
        ("money", [("0", "$0.00"), ("null", "NULL")], "\"\"", "number"),
        ("money", [(r#""$-5""#, "-$5.00"), ("7.10", "$7.10")], r#""12,34""#, "number"),
        ("money[]", [("[1.5,null]", "{$1.50,NULL}"), (r#""[2]""#, "{$2.00}")], "[1,0.001]", "too_precise"),
        ("money[]", [("[]", "{}"), ("null", "NULL")], r#""{0.001}""#, "type_mismatch"),
        ("oid", [("7", "7"), (r#""4294967295""#, "4294967295")], "-1", "integer"),
        ("xid", [("7", "7"), ("8", "8")], r#""abc""#, "integer"),
        ("xid8", [("7", "7"), ("18446744073709551615", "18446744073709551615")], r#""-1""#, "integer"),
        ("cid", [("7", "7"), ("8", "8")], "4294967296", "number_range"),
    ] {
        check("", sql_type, &good, Some((bad, reason)));
    }
    let case = Case::new();
    let (run, stored) = load(&case, "varbit(2)", &[r#""10""#, r#""101""#], "");
    assert_eq!(
        (stored.as_slice(), &run.exits(3).reject("thing:1")["reason"]),
        (&["10".to_owned()][..], &"too_long".into())
    );
}

#[test]
fn bounds_of_ranges_are_read_as_columns_of_their_type() {
    for (sql_type, good, bad, reason) in [
        (
            "tsrange",
            [
                (
                    r#""[2024-01-02 03:04:05+05:00,2024-01-02T03:04:05.1234567]""#,
                    "[\"2024-01-01 22:04:05\",\"2024-01-02 03:04:05.123456\"]",
                ),
                (r#""(,\"2024-01-02\")""#, "(,\"2024-01-02 00:00:00\")"),
            ],
            r#""[now,)""#,
            "timestamp_format",
        ),
        (
            "tstzrange",
            [(r#""[2024-01-02 03:04:05-08,)""#, "[\"2024-01-02 11:04:05+00\",)"), (r#""empty""#, "empty")],
            r#""[2024-01-02 03:04:05 IST,)""#,
            "timestamp_ambiguous",
        ),
        (
            "daterange[]",
            [(r#"["[2024-01-02,2024-01-03]",null]"#, "{\"[2024-01-02,2024-01-04)\",NULL}"), ("[]", "{}")],
            r#"["[2024-01-02 03:04:05,)"]"#,
            "date_has_time",
        ),
        ("numrange", [(r#""[1.50,)""#, "[1.50,)"), ("null", "NULL")], r#""[NaN,)""#, "number"),
        ("int8range", [(r#""[1,2]""#, "[1,3)"), (r#""(,)""#, "(,)")], r#""[1.5,)""#, "integer"),
        ("int4multirange", [(r#""{[1,2], [5,5]}""#, "{[1,3),[5,6)}"), (r#""{}""#, "{}")], r#""{now}""#, "type_input"),
    ] {
        check("", sql_type, &good, Some((bad, reason)));
    }
}

#[test]
fn elements_of_a_domain_are_read_as_what_it_stands_on() {
    let domains = "CREATE DOMAIN amount AS money; CREATE DOMAIN span AS tsrange";
    let span = "[\"2024-01-01 22:04:05\",)";
    check(
        domains,
        "span",
        &[(r#""[2024-01-02 03:04:05+05:00,)""#, span), ("null", "NULL")],
        Some((r#""[now,)""#, "timestamp_format")),
    );
    check(domains, "amount[]", &[("[1.5,null]", "{$1.50,NULL}"), ("[]", "{}")], Some(("[0.001]", "too_precise")));
    check(
        domains,
        "span[]",
        &[(r#"["empty"]"#, "{empty}"), ("null", "NULL")],
        Some((r#"["[now,)"]"#, "timestamp_format")),
    );
}

/// The documentation says so, since nothing here reads the fields.
#[test]
fn the_server_reads_the_fields_of_composite_types_in_its_own_way() {
    let case = Case::new();
    case.sql("CREATE TYPE parts AS (n numeric(5,2), at timestamp, t varchar(3))");
    let (run, stored) = load(&case, "parts", &[r#""(1.005,2024-01-02 03:04:05.1234567+05:00,\"abc  \")""#], "");
    let _ = run.exits(0);
    assert_eq!(stored, ["(1.01,\"2024-01-02 03:04:05.123457\",abc)"]);
}

#[test]
fn any_json_goes_into_bytea_as_it_is_written() {
    let case = Case::new();
    let (run, _) = load(&case, "bytea", &["1.10", "true", r#"{"a": [1]}"#, r#""text""#, "null"], "");
    let _ = run.exits(0);
    let stored = case.sql("SELECT coalesce(encode(v, 'escape'), 'NULL') FROM things ORDER BY id");
    assert_eq!(stored, "1.10\ntrue\n{\"a\": [1]}\ntext\nNULL");
}

#[test]
fn arrays_of_types_that_are_read_from_text() {
    check(
        "",
        "point[]",
        &[
            (r#"["(1,2)",null]"#, "{\"(1,2)\",NULL}"),
            ("[]", "{}"),
            (r#"[["(1,2)"],["(3,4)"]]"#, "{{\"(1,2)\"},{\"(3,4)\"}}"),
        ],
        Some((r#"["(1"]"#, "type_input")),
    );
    check("", "box[]", &[(r#"["(2,2),(1,1)","1,1,0,0"]"#, "{(2,2),(1,1);(1,1),(0,0)}"), ("null", "NULL")], None);
}

#[test]
fn extensions() {
    let case = Case::new();
    let available =
        case.sql("SELECT count(*) FROM pg_available_extensions WHERE name IN ('hstore', 'citext', 'ltree')");
    if available != "3" {
        eprintln!("skipped: this PostgreSQL has no contrib extensions");
        return;
    }
    check(
        "CREATE SCHEMA ext; CREATE EXTENSION hstore SCHEMA ext; GRANT USAGE ON SCHEMA ext TO redis2pg",
        "ext.hstore",
        &[
            (r#"{"a":"1","b":null}"#, r#""a"=>"1", "b"=>NULL"#),
            ("{}", ""),
            (r#""a=>2""#, r#""a"=>"2""#),
            (r#"{"a":1,"\u0061":2}"#, r#""a"=>"2""#),
        ],
        Some((r#""a=>""#, "type_input")),
    );
    check(
        "CREATE EXTENSION ltree",
        "ltree",
        &[(r#""a.b""#, "a.b"), (r#""c""#, "c")],
        Some((r#""a..b""#, "type_input")),
    );
    let case = Case::new();
    case.sql(
        "CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; GRANT USAGE ON SCHEMA ext TO redis2pg; \
         CREATE TABLE things (id ext.citext PRIMARY KEY, v text); GRANT ALL ON things TO redis2pg; \
         INSERT INTO things VALUES ('A', 'mine'), ('c', 'mine')",
    );
    case.redis().set_many(&["a", "b", "C"].map(|id| (format!("thing:{id}"), r#"{"v":"x"}"#.to_owned())));
    let run = case.run_config(&config(""), &[]).exits(0);
    let skipped = &run.report["tally"]["skipped"]["exists_newer"];
    assert_eq!((run.total("inserted"), skipped), (1, &2.into()), "{run}");
    check("CREATE EXTENSION citext", "citext", &[(r#""Ab""#, "Ab"), (r#""b""#, "b")], None);
}

#[test]
fn a_difference_that_equality_does_not_see_is_loaded() {
    for (sql_type, first, second) in
        [("interval", "P30D", "P1M"), ("box", "(1,1),(0,0)", "(2,1),(1,0)"), ("path", "[(0,0),(1,1)]", "[(0,0),(2,2)]")]
    {
        let case = Case::new();
        let (run, _) = load(&case, sql_type, &[&format!("{first:?}")], "");
        run.exits(0);
        case.redis().set("thing:0", &format!(r#"{{"v":{second:?}}}"#));
        let run = case.run_config(&config(""), &[]).exits(0);
        assert_eq!(run.total("updated"), 1, "{sql_type}: {run}");
        let same = case.sql(&format!("SELECT v::text = '{second}'::{sql_type}::text FROM things"));
        assert_eq!(same, "t", "{sql_type}");
    }
}

#[test]
fn a_key_can_be_of_a_type_that_is_read_from_text() {
    let case = Case::new();
    case.sql("CREATE TABLE things (id int4range PRIMARY KEY, v date); GRANT ALL ON things TO redis2pg");
    let pairs: Vec<(String, String)> =
        (0..60).map(|n| (format!("thing:[{n},{}]", n + 5), r#"{"v":"2024-01-02"}"#.to_owned())).collect();
    case.redis().set_many(&pairs);
    case.redis().set("thing:none", r#"{"v":"2024-01-02"}"#);
    let run = case.run_config(&config(""), &[]).exits(3);
    assert_eq!((run.total("inserted"), &run.reject("thing:none")["column"]), (60, &"id".into()), "{run}");
    let again = case.run_config(&config(""), &[]).exits(3);
    assert_eq!(again.total("unchanged"), 60, "{again}");
}

#[test]
fn keys_that_are_equal_in_different_spellings_are_one_row() {
    for (sql_type, one, other) in
        [("numeric", "1.0", "1.00"), ("int4range", r#""[1,3]""#, r#""[1,4)""#), ("char(4)", r#""a""#, r#""a  ""#)]
    {
        let case = Case::new();
        case.sql(&format!("CREATE TABLE things (id {sql_type} PRIMARY KEY, v text); GRANT ALL ON things TO redis2pg"));
        let config = config("").replace("{id}\"]", "$.id\"]");
        let mut pairs: Vec<(String, String)> = (5..60)
            .map(|n| (n, n.to_string()))
            .map(|(n, id)| {
                let id = if sql_type == "int4range" { format!("\"[{id},{id}]\"") } else { id };
                (format!("thing:{n}"), format!(r#"{{"id":{id},"v":"x"}}"#))
            })
            .collect();
        pairs.push(("thing:one".to_owned(), format!(r#"{{"id":{one},"v":"x"}}"#)));
        pairs.push(("thing:other".to_owned(), format!(r#"{{"id":{other},"v":"x"}}"#)));
        case.redis().set_many(&pairs);
        let run = case.run_config(&config, &[]).exits(3);
        let reasons = run.reasons("things");
        assert_eq!((run.total("inserted"), reasons.get("key_collision")), (56, Some(&1)), "{sql_type}: {run}");
    }
}

#[test]
fn many_bad_texts_cost_no_good_one_its_place() {
    let case = Case::new();
    let values: Vec<String> =
        (0..3000).map(|n| if n % 100 == 7 { format!(r#""({n},""#) } else { format!(r#""({n},0)""#) }).collect();
    let (run, stored) = load(&case, "point", &values.iter().map(String::as_str).collect::<Vec<_>>(), "");
    let run = run.exits(3);
    assert_eq!((stored.len(), run.total("inserted"), run.reasons("things")["type_input"]), (2970, 2970, 30), "{run}");
}

#[test]
fn types_with_an_encoder_of_their_own() {
    check("", "numeric(6,2)", &[("12.5", "12.50"), (r#""-0.01""#, "-0.01")], Some(("1.234", "too_precise")));
    check(
        "",
        "date",
        &[(r#""2024-02-29""#, "2024-02-29"), ("null", "NULL")],
        Some((r#""2023-02-29""#, "timestamp_range")),
    );
    check(
        "",
        "timestamp",
        &[(r#""2024-01-02T03:04:05+05:30""#, "2024-01-01 21:34:05"), (r#""2024-01-02 03:04""#, "2024-01-02 03:04:00")],
        Some((r#""01/02/2024""#, "timestamp_ambiguous")),
    );
    check("", "char(3)", &[(r#""ab""#, "ab"), (r#""abc""#, "abc")], Some((r#""abcd""#, "too_long")));
    check(
        "",
        "cidr",
        &[(r#""10.0.0.0/8""#, "10.0.0.0/8"), (r#""::/0""#, "::/0")],
        Some((r#""10.0.0.1/8""#, "cidr_host_bits")),
    );
    check(
        "",
        "interval",
        &[(r#""P1DT2H""#, "1 day 02:00:00"), (r#""-1 days""#, "-1 days")],
        Some(("5", "interval_format")),
    );
    check(
        "",
        "numeric(4,1)[]",
        &[("[1.5,null]", "{1.5,NULL}"), ("[]", "{}"), ("[[1],[2]]", "{{1.0},{2.0}}")],
        Some(("{}", "type_mismatch")),
    );
    check(
        "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE DOMAIN small AS int2 CHECK (VALUE < 9)",
        "mood[]",
        &[(r#"["ok","sad"]"#, "{ok,sad}"), ("null", "NULL")],
        Some((r#"["OK"]"#, "enum")),
    );
    check("CREATE DOMAIN small AS int2 CHECK (VALUE < 9)", "small[]", &[("[1,8]", "{1,8}"), ("[]", "{}")], None);
    check(
        "CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE DOMAIN known AS mood; CREATE DOMAIN wanted AS known",
        "wanted",
        &[(r#""ok""#, "ok"), ("null", "NULL"), (r#""sad""#, "sad")],
        Some((r#""ok ""#, "enum")),
    );
    check("", "json[]", &[(r#"[{"a":1},[2]]"#, r#"{"{\"a\":1}",[2]}"#), ("[]", "{}")], None);
}

#[test]
fn repairs_are_counted_under_the_policys_name() {
    for (sql_type, policy, value, stored, name) in [
        ("varchar(3)", r#"too_long = "truncate""#, r#""abcd""#, "abc", "too_long"),
        ("numeric(4,1)", "round = true", "1.25", "1.3", "round"),
        ("float8", r#"nonfinite = "null""#, r#""NaN""#, "NULL", "nonfinite"),
        ("timestamptz", "min_value_as_null = true", r#""0001-01-01T00:00:00Z""#, "NULL", "min_value_as_null"),
        ("text[]", "empty_object_as_array = true", "{}", "{}", "empty_object_as_array"),
    ] {
        let case = Case::new();
        let (run, found) = load(&case, sql_type, &[value], &format!(", {policy}"));
        let run = run.exits(0);
        assert_eq!(
            (found.as_slice(), &run.report["tally"]["altered"][name]),
            (&[stored.to_owned()][..], &1.into()),
            "{run}"
        );
        let again = case.run_config(&config(&format!(", {policy}")), &[]).exits(0);
        assert_eq!(again.total("unchanged"), 1, "{again}");
    }
}

#[test]
fn dates_and_times_in_the_spellings_that_a_column_names() {
    for (sql_type, policy, value, stored) in [
        ("date", r#"formats = ["%d/%m/%Y", "%b %d, %Y"]"#, r#""Feb 01, 2024""#, "2024-02-01"),
        ("date", r#"epoch_unit = "s", round = true"#, "1704164645", "2024-01-02"),
        ("date[]", r#"formats = ["%d.%m.%Y"]"#, r#"["02.01.2024","2024-01-03"]"#, "{2024-01-02,2024-01-03}"),
        ("time(0)", r#"formats = ["%I:%M %p"]"#, r#""1:30 PM""#, "13:30:00"),
        ("timestamptz", r#"assume_timezone = "Europe/Paris""#, r#""2024-07-02T05:04:05""#, "2024-07-02 03:04:05+00"),
        (
            "timestamptz",
            r#"formats = ["mongo_extjson"]"#,
            r#"{"$date":"2024-01-02T03:04:05Z"}"#,
            "2024-01-02 03:04:05+00",
        ),
        (
            "timestamptz",
            r#"formats = ["jackson_array"], assume_timezone = "UTC""#,
            "[2024,1,2,3,4,5,123000000]",
            "2024-01-02 03:04:05.123+00",
        ),
        (
            "timestamptz",
            r#"formats = ["dotnet_date"]"#,
            r#""\/Date(1704164645123+0100)\/""#,
            "2024-01-02 03:04:05.123+00",
        ),
        ("timestamp", r#"store_timezone = "Asia/Kolkata""#, r#""2024-01-02T03:04:05Z""#, "2024-01-02 08:34:05"),
        ("timestamp(3)", r#"epoch_unit = "auto""#, "1704164645123", "2024-01-02 03:04:05.123"),
        ("timestamptz(0)", "round = true", r#""2024-01-02T03:04:05.5Z""#, "2024-01-02 03:04:06+00"),
        ("interval", r#"epoch_unit = "ms""#, "90500", "00:01:30.5"),
    ] {
        let case = Case::new();
        let (run, found) = load(&case, sql_type, &[value], &format!(", {policy}"));
        let run = run.exits(0);
        assert_eq!(found, [stored], "{sql_type} {policy}: {run}");
        let again = case.run_config(&config(&format!(", {policy}")), &[]).exits(0);
        assert_eq!(again.total("unchanged"), 1, "{again}");
    }
}

#[test]
fn a_value_that_a_format_takes_for_something_else_is_rejected() {
    for (sql_type, policy, value, reason) in [
        ("timestamp", r#"formats = ["%Y-%m-%d %H:%M:%S"]"#, r#""2024-01-02 03:04:60""#, "timestamp_range"),
        ("timestamptz", r#"formats = ["rfc2822"]"#, r#""Tue, 02 Jan 2024 03:04:60 GMT""#, "timestamp_range"),
        ("time", r#"formats = ["%H:%M:%S"]"#, r#""03:04:60""#, "time_range"),
        ("date", r#"formats = ["%d/%m/%Y"]"#, r#""02/01/24""#, "timestamp_format"),
        ("date", r#"formats = ["%d%m%Y"]"#, r#""2012024""#, "timestamp_format"),
        ("date", r#"formats = ["%d/%m/%Y %z"]"#, r#""02/01/2024 +0500""#, "date_has_time"),
        ("timestamp", r#"formats = ["%s"]"#, r#""-1""#, "timestamp_implausible"),
    ] {
        let case = Case::new();
        let (run, stored) = load(&case, sql_type, &[value], &format!(", {policy}"));
        assert!(stored.is_empty(), "{policy}: {stored:?}");
        assert_eq!(run.exits(3).reject("thing:0")["reason"], reason, "{policy}");
    }
}

#[test]
fn a_policy_that_does_nothing_is_found_before_the_run() {
    for (sql_type, policy, said) in [
        ("text", r#"epoch_unit = "s""#, "`epoch_unit` does nothing"),
        ("text", r#"too_long = "truncate""#, "`too_long` does nothing"),
        ("int4", r#"nonfinite = "null""#, "`nonfinite` does nothing"),
        ("timestamptz", r#"store_timezone = "UTC""#, "`store_timezone` does nothing"),
        ("timestamptz", r#"assume_timezone = "Mars/Olympus""#, "`assume_timezone` is not understood"),
        ("timestamp", r#"formats = ["iso"]"#, "`iso` is neither"),
        ("time", r#"formats = ["%d/%m/%Y"]"#, "gives no value"),
        ("time", r#"formats = ["%H:%M %z"]"#, "reads an offset"),
        ("time[]", r#"formats = ["%I:%M"]"#, "go with `%p`"),
        ("timestamptz", r#"formats = ["%s%.f"]"#, "write `unix`"),
        ("timestamp", r#"formats = ["unix"], epoch_unit = "s""#, "both say"),
        ("timetz", r#"assume_timezone = "Europe/Paris""#, "without a date"),
        ("interval", r#"epoch_unit = "auto""#, "`epoch_unit` does nothing"),
        ("varchar(3)", r#"too_long = "cut""#, "too_long"),
        ("varchar(3)", r#"too_short = "pad""#, "too_short"),
    ] {
        let case = Case::new();
        let (run, stored) = load(&case, sql_type, &["null"], &format!(", {policy}"));
        assert_eq!((run.code, stored.len()), (2, 0), "{policy}: {run}");
        assert!(run.said().contains(said), "{policy}: {run}");
    }
}

#[test]
fn the_type_of_one_byte_takes_one_character_and_cuts_nothing() {
    check("", "\"char\"", &[(r#""h""#, "h"), ("7", "7"), ("null", "NULL")], Some((r#""hello""#, "too_long")));
    let case = Case::new();
    let (run, stored) = load(&case, "\"char\"", &[r#""""#, r#""é""#, r#""x""#], "");
    let run = run.exits(3);
    assert_eq!(stored, ["x"]);
    assert_eq!(run.reject("thing:0")["reason"], "type_mismatch", "{run}");
    assert_eq!(run.reject("thing:1")["reason"], "too_long", "{run}");
    let case = Case::new();
    let (run, _) = load(&case, "\"char\"[]", &[r#"["hello"]"#], "");
    let run = run.exits(2);
    assert!(run.stderr.contains("nothing can be written to the type"), "{run}");
}
