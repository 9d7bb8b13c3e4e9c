//! Values that tools of this kind have got wrong, through the whole pipeline into real tables and read back.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use crate::support;

use support::{Case, Outcome};

/// What must become of a value.
enum Right {
    /// Stored; the read-back column, as text.
    Stored(&'static str),
    /// Rejected for this reason.
    Rejected(&'static str),
}

use Right::{Rejected, Stored};

const TABLES: &str = "\
CREATE TABLE docs (id text PRIMARY KEY, doc jsonb);
CREATE TABLE raws (id text PRIMARY KEY, doc json);
CREATE TABLE times (id text PRIMARY KEY, at timestamptz, utc timestamptz, seconds timestamptz, auto timestamptz);
CREATE TABLE numbers (id text PRIMARY KEY, size bigint, small smallint, real float8, active boolean, title varchar(5));
GRANT ALL ON docs, raws, times, numbers TO redis2pg";

const CONFIG: &str = r#"
[[mapping]]
name = "docs"
match = "doc:{id..}"
into = "public.docs"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "doc", from = ["$"] }]
[[mapping]]
name = "raws"
match = "raw:{id..}"
into = "public.raws"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "doc", from = ["$"] }]
[[mapping]]
name = "times"
match = "time:{id..}"
into = "public.times"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "at", from = ["$.at"] },
  { name = "utc", from = ["$.utc"], assume_timezone = "UTC" },
  { name = "seconds", from = ["$.seconds"], epoch_unit = "s" },
  { name = "auto", from = ["$.auto"], epoch_unit = "auto" },
]
[[mapping]]
name = "numbers"
match = "number:{id..}"
into = "public.numbers"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "size", from = ["$.size"] },
  { name = "small", from = ["$.small"] },
  { name = "real", from = ["$.real"] },
  { name = "active", from = ["$.active"] },
  { name = "title", from = ["$.title"] },
]
"#;

/// Loads values under `{family}:{place in the list}` with `run`, and checks each against `column` (an SQL expression).
fn check(family: &str, column: &str, values: &[(&[u8], Right)]) -> (Case, Outcome) {
    let case = Case::new();
    case.sql(TABLES);
    // Neither the session's zone nor its output settings may change what is stored.
    case.sql(&format!(
        "ALTER DATABASE {0} SET timezone = 'America/New_York'; ALTER DATABASE {0} SET datestyle = 'SQL, DMY'; \
         ALTER DATABASE {0} SET extra_float_digits = -5; ALTER DATABASE {0} SET lc_messages = 'C.utf8'; \
         ALTER DATABASE {0} SET standard_conforming_strings = off; ALTER DATABASE {0} SET bytea_output = 'escape'",
        case.database
    ));
    let mut redis = case.redis();
    for (place, (value, _)) in values.iter().enumerate() {
        assert_eq!(redis.answer(&[b"SET", format!("{family}:{place}").as_bytes(), value]), "+OK");
    }
    let rejected = values.iter().filter(|(_, right)| matches!(right, Rejected(_))).count();
    let run = case.run_config(CONFIG, &[]).exits(if rejected == 0 { 0 } else { 3 });
    assert_eq!(run.rejects.len(), rejected, "{run}");
    for (place, (value, right)) in values.iter().enumerate() {
        let shown = String::from_utf8_lossy(value);
        let sql =
            format!("SET timezone = 'UTC'; SET datestyle = ISO; SELECT {column} FROM {family}s WHERE id = '{place}'");
        match right {
            Stored(text) => assert_eq!(case.sql(&sql), *text, "{shown}: {run}"),
            Rejected(reason) => {
                assert_eq!(run.reject(&format!("{family}:{place}"))["reason"], *reason, "{shown}");
                assert_eq!(case.number(&format!("SELECT count(*) FROM {family}s WHERE id = '{place}'")), 0);
            }
        }
    }
    // The second run finds all of it equal: loading and comparing follow the same rules.
    let again = case.run_config(CONFIG, &[]);
    assert_eq!(again.total("unchanged"), i64::try_from(values.len() - rejected).unwrap(), "{again}");
    (case, run)
}

#[test]
fn json_is_stored_to_the_last_digit_or_rejected_with_its_reason() {
    let (_, run) = check(
        "doc",
        "doc",
        &[
            (br#"{"title":"ab\u0000cd"}"#, Rejected("json_nul")),
            (br#"{"a":"C:\\u0000dir"}"#, Stored(r#"{"a": "C:\\u0000dir"}"#)),
            (br#"{"a":"\ud83d"}"#, Rejected("json_surrogate")),
            (br#"{"a":"\ude00"}"#, Rejected("json_surrogate")),
            (br#"{"a":"\ude00\ud83d"}"#, Rejected("json_surrogate")),
            (br#"{"a":"\ud83d\ude00"}"#, Stored("{\"a\": \"😀\"}")),
            (br#"{"score":NaN}"#, Rejected("json_nonfinite")),
            (br#"{"max":Infinity}"#, Rejected("json_nonfinite")),
            (br#"{"min":-Infinity}"#, Rejected("json_nonfinite")),
            (br#"{"score":"NaN"}"#, Stored(r#"{"score": "NaN"}"#)),
            (br#"{"id":"a","size":1,"size":2}"#, Stored(r#"{"id": "a", "size": 2}"#)),
            ("{\"é\":2,\"\\u00e9\":1}".as_bytes(), Stored("{\"é\": 1}")),
            (
                br#"{"a":18446744073709551616,"b":123456789012345678901234567890.5}"#,
                Stored(r#"{"a": 18446744073709551616, "b": 123456789012345678901234567890.5}"#),
            ),
            (
                br#"{"c":0.1000000000000000055511151231257827}"#,
                Stored(r#"{"c": 0.1000000000000000055511151231257827}"#),
            ),
            (
                br#"{"b":1.10,"a":1E2,"z":-0.0,"s":"a\/b","u":"\u00e9"}"#,
                Stored("{\"a\": 100, \"b\": 1.10, \"s\": \"a/b\", \"u\": \"é\", \"z\": 0.0}"),
            ),
            (b"\xef\xbb\xbf{\"a\":1}", Stored(r#"{"a": 1}"#)),
            (b"{\"a\":\"x\xef\xbb\xbfy\"}", Stored("{\"a\": \"x\u{feff}y\"}")),
            (b"\xff\xfe{\x00}\x00", Rejected("encoding_unsupported (utf-16)")),
            (br#"{"a":1} x"#, Rejected("json_syntax")),
            (br#"{"a":1}{"b":2}"#, Rejected("json_syntax")),
            (br#"{"a":1,}"#, Rejected("json_syntax")),
            (b"{\"a\":1}\n", Stored(r#"{"a": 1}"#)),
            (br#"[{"id":"a"}]"#, Stored(r#"[{"id": "a"}]"#)),
            (b"42", Stored("42")),
            (b"true", Stored("true")),
            (b"null", Stored("null")),
            (b"", Rejected("empty_value")),
            (b"  ", Rejected("empty_value")),
            (b"{'id': 'a', 'ok': True, 'x': None}", Rejected("json_syntax")),
            (b"{\"title\":\"caf\xe9\"}", Rejected("invalid_utf8")),
            (b"{\"a\":[1,\"\xed\xa0\x80\"]}", Rejected("invalid_utf8")),
            (br#"{"a":{"b":1,"c":{"b":2,"b":3}}}"#, Stored(r#"{"a": {"b": 1, "c": {"b": 3}}}"#)),
            (br#"{"a":[{"\u0000":1}]}"#, Rejected("json_nul")),
            (br#"{"a":["\\\u0000"]}"#, Rejected("json_nul")),
            (br#"{"a":1e131072}"#, Rejected("json_number_range")),
            (b"{\"a\":1}\0", Rejected("json_syntax")),
            (b"{\"a\":-NaN}", Rejected("json_syntax")),
            (b"{\"a\":NaNa}", Rejected("json_syntax")),
            (b"\xef\xbb\xbf\xef\xbb\xbf{}", Rejected("json_syntax")),
            (b"\xef\xbb\xbf", Rejected("empty_value")),
        ],
    );
    assert_eq!(run.reject("doc:0")["path"], "$.title");
    assert_eq!(run.reject("doc:6")["path"], "$.score");
    assert!(run.reject("doc:28")["detail"].as_str().unwrap().contains("Python"), "{run}");
    for (place, path) in [(29, "$.title"), (30, "$.a[1]"), (32, "$.a[0]"), (33, "$.a[0]"), (34, "$.a")] {
        assert_eq!(run.reject(&format!("doc:{place}"))["path"], path, "{place}");
    }
    let altered = &run.report["mappings"]["docs"]["altered"];
    assert_eq!((altered["bom"].as_i64(), altered["json_duplicate_key"].as_i64()), (Some(1), Some(3)), "{altered}");
}

#[test]
fn json_null_is_not_sql_null() {
    let (case, _) = check("doc", "doc IS NULL", &[(b"null", Stored("f"))]);
    assert_eq!(case.sql("SELECT jsonb_typeof(doc) FROM docs"), "null");
}

#[test]
fn a_json_column_keeps_the_text_as_it_is() {
    let text = br#"{"b":1.10,  "a":1E2,"z":-0.0,"u":"\u00e9","b":2}"#;
    check("raw", "doc", &[(text, Stored(r#"{"b":1.10,  "a":1E2,"z":-0.0,"u":"\u00e9","b":2}"#))]);
}

#[test]
fn a_mapping_of_fields_wants_an_object() {
    let (_, run) = check(
        "number",
        "size",
        &[
            (br#"[{"size":1}]"#, Rejected("json_not_object (array)")),
            (b"42", Rejected("json_not_object (number)")),
            (b"null", Rejected("json_not_object (null)")),
            (br#""{\"size\":5}""#, Rejected("json_not_object (string)")),
            (br#"{"size":1,"size":2}"#, Stored("2")),
        ],
    );
    assert_eq!(run.count("numbers", "inserted"), 1);
}

#[test]
fn an_object_in_a_string_is_unwrapped_once_where_the_preset_says_so() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set("document:1", r#"{"filename":"a","file_path":"a","file_size":1,"metadata":"{\"k\":1.10}"}"#);
    redis.set("document:2", r#"{"filename":"a","file_path":"a","file_size":1,"metadata":"plain"}"#);
    redis.set("document:3", r#"{"filename":"a","file_path":"a","file_size":1,"metadata":[1]}"#);
    redis.set("document:4", r#"{"filename":"a","file_path":"a","file_size":1,"metadata":null}"#);
    let run = case.run(&[]).exits(3);
    assert_eq!((run.total("inserted"), run.rejects.len()), (2, 2), "{run}");
    assert_eq!(run.reject("document:2")["reason"], "json_not_object (string)");
    assert_eq!(run.reject("document:3")["reason"], "json_not_object (array)");
    assert_eq!(case.sql("SELECT metadata->'k' FROM document_hub.documents WHERE metadata ? 'k'"), "1.10");
    assert_eq!(run.report["tally"]["altered"]["unwrap_json_string"], 1);
}

#[test]
fn timestamps_with_a_zone_are_the_same_instant_everywhere() {
    const T: &str = "2024-01-02 03:04:05+00";
    check(
        "time",
        "at",
        &[
            (br#"{"at":"2024-01-02T03:04:05.193378"}"#, Rejected("timestamp_no_zone")),
            (br#"{"at":"2024-01-02T03:04:05Z"}"#, Stored(T)),
            (br#"{"at":"2024-01-02T03:04:05z"}"#, Stored(T)),
            (br#"{"at":"2024-01-02T03:04:05+00:00"}"#, Stored(T)),
            (br#"{"at":"2024-01-02T03:04:05-00:00"}"#, Stored(T)),
            (br#"{"at":"2024-01-02T08:34:05+0530"}"#, Stored(T)),
            (br#"{"at":"2024-01-02T08:04:05+05"}"#, Stored(T)),
            (br#"{"at":"2024-01-02T03:04:05 UTC"}"#, Stored(T)),
            (br#"{"at":"2024-01-02T03:04:05+00:00Z"}"#, Rejected("timestamp_format")),
            (br#"{"at":"2024-01-02T03:04:05[Europe/Paris]"}"#, Rejected("timestamp_format")),
            (br#"{"at":"2024-01-02T03:04:05.1234567Z"}"#, Stored("2024-01-02 03:04:05.123456+00")),
            (br#"{"at":"2024-01-02T03:04:05.123456789012Z"}"#, Stored("2024-01-02 03:04:05.123456+00")),
            (br#"{"at":"2024-12-31T23:59:59.9999999Z"}"#, Stored("2024-12-31 23:59:59.999999+00")),
            (br#"{"at":"1970-01-01T00:00:00Z"}"#, Stored("1970-01-01 00:00:00+00")),
            (br#"{"at":"1999-12-31T23:59:59.999999Z"}"#, Stored("1999-12-31 23:59:59.999999+00")),
            (br#"{"at":"2000-01-01T00:00:00Z"}"#, Stored("2000-01-01 00:00:00+00")),
            (br#"{"at":"0001-01-01T00:00:00Z"}"#, Stored("0001-01-01 00:00:00+00")),
            (br#"{"at":"0000-00-00 00:00:00"}"#, Rejected("timestamp_range")),
            (br#"{"at":"-0001-01-01"}"#, Rejected("timestamp_range")),
            (br#"{"at":"+010000-01-01T00:00:00Z"}"#, Rejected("timestamp_range")),
            (br#"{"at":""}"#, Rejected("timestamp_empty")),
            (br#"{"at":"01/02/2024"}"#, Rejected("timestamp_ambiguous")),
            (br#"{"at":"13/02/2024"}"#, Rejected("timestamp_ambiguous")),
            (br#"{"at":"2024-01-02 03:04:05 IST"}"#, Rejected("timestamp_ambiguous")),
            (br#"{"at":"2024-1-2 3:4:5"}"#, Rejected("timestamp_ambiguous")),
            (br#"{"at":"2024-002"}"#, Rejected("timestamp_ambiguous")),
            (br#"{"at":"2024-W01-1"}"#, Rejected("timestamp_ambiguous")),
            (br#"{"at":"20240102"}"#, Rejected("timestamp_format")),
            (br#"{"at":"now"}"#, Rejected("timestamp_format")),
            (br#"{"at":"infinity"}"#, Rejected("timestamp_format")),
            (br#"{"at":"2024-02-30T00:00:00Z"}"#, Rejected("timestamp_range")),
            (br#"{"at":"0001-01-01T00:00:00+05:00"}"#, Stored("0001-12-31 19:00:00+00 BC")),
            (br#"{"at":[2024,1,2,3,4,5,123000000]}"#, Rejected("timestamp_format")),
            (br#"{"at":"\/Date(1704164645123+0100)\/"}"#, Rejected("timestamp_format")),
            (br#"{"at":{"$date":"2024-01-02T03:04:05Z"}}"#, Rejected("timestamp_format")),
            (br#"{"at":"Tue, 02 Jan 2024 03:04:05 +0000"}"#, Rejected("timestamp_format")),
            (br#"{"at":1704164645}"#, Rejected("timestamp_format")),
            (br#"{"at":null}"#, Stored("")),
        ],
    );
    check("time", "utc", &[(br#"{"utc":"2024-01-02T03:04:05.193378"}"#, Stored("2024-01-02 03:04:05.193378+00"))]);
}

#[test]
fn epochs_are_read_in_the_unit_that_is_configured() {
    check(
        "time",
        "coalesce(seconds, auto)",
        &[
            (br#"{"seconds":1704164645.123}"#, Stored("2024-01-02 03:04:05.123+00")),
            (br#"{"seconds":"1704164645"}"#, Stored("2024-01-02 03:04:05+00")),
            (br#"{"seconds":1704164645123}"#, Rejected("timestamp_implausible")),
            (br#"{"seconds":-1}"#, Rejected("timestamp_implausible")),
            (br#"{"seconds":0}"#, Rejected("timestamp_implausible")),
            (br#"{"seconds":1e9}"#, Stored("2001-09-09 01:46:40+00")),
            // Read as a decimal: a float would have lost the last digits.
            (br#"{"seconds":1704164645.123456789}"#, Stored("2024-01-02 03:04:05.123456+00")),
            (br#"{"seconds":631151999.999999}"#, Rejected("timestamp_implausible")),
            (br#"{"seconds":631152000}"#, Stored("1990-01-01 00:00:00+00")),
            (br#"{"seconds":4102444799.9999999}"#, Stored("2099-12-31 23:59:59.999999+00")),
            (br#"{"seconds":4102444800}"#, Rejected("timestamp_implausible")),
            (br#"{"seconds":1e400}"#, Rejected("timestamp_implausible")),
            (br#"{"auto":1704164645.123}"#, Stored("2024-01-02 03:04:05.123+00")),
            (br#"{"auto":1704164645123}"#, Stored("2024-01-02 03:04:05.123+00")),
            (br#"{"auto":"1704164645123"}"#, Stored("2024-01-02 03:04:05.123+00")),
            (br#"{"auto":1704164645123456}"#, Stored("2024-01-02 03:04:05.123456+00")),
            (br#"{"auto":1704164645123456789}"#, Stored("2024-01-02 03:04:05.123456+00")),
            (br#"{"auto":"170416"}"#, Rejected("timestamp_implausible")),
        ],
    );
}

#[test]
fn sizes_are_exact_integers_in_a_known_spelling() {
    let (_, run) = check(
        "number",
        "size",
        &[
            (br#"{"size":"1234"}"#, Stored("1234")),
            (br#"{"size":" 1234 "}"#, Stored("1234")),
            (br#"{"size":1234.0}"#, Stored("1234")),
            (br#"{"size":"1234.0"}"#, Stored("1234")),
            (br#"{"size":"+12"}"#, Stored("12")),
            (br#"{"size":"012"}"#, Stored("12")),
            (br#"{"size":"1,234"}"#, Rejected("integer")),
            (br#"{"size":"1_000"}"#, Rejected("integer")),
            (br#"{"size":"0x10"}"#, Rejected("integer")),
            (br#"{"size":"12\u00a0"}"#, Rejected("integer")),
            ("{\"size\":\"１２\"}".as_bytes(), Rejected("integer")),
            (br#"{"size":1e3}"#, Stored("1000")),
            (br#"{"size":""}"#, Rejected("integer")),
            (br#"{"size":"None"}"#, Rejected("integer")),
            (br#"{"size":1.2345678901235e+16}"#, Stored("12345678901235000")),
            (br#"{"size":9223372036854775807}"#, Stored("9223372036854775807")),
            (br#"{"size":9223372036854775808}"#, Rejected("number_range")),
            (br#"{"size":{}}"#, Rejected("type_mismatch")),
            (br#"{"size":true}"#, Rejected("type_mismatch")),
        ],
    );
    assert_eq!(run.reject("number:6")["column"], "size");
    assert_eq!(run.report["tally"]["altered"]["integer_from_exponent"], 2);
    check(
        "number",
        "small",
        &[(br#"{"small":-32768}"#, Stored("-32768")), (br#"{"small":32768}"#, Rejected("number_range"))],
    );
    check(
        "number",
        "real = 1234.5 OR real = 0.1",
        &[
            (br#"{"real":1234.5}"#, Stored("t")),
            (br#"{"real":"0.1"}"#, Stored("t")),
            (br#"{"real":1e400}"#, Rejected("number_range")),
        ],
    );
}

#[test]
fn booleans_are_a_fixed_list_of_words() {
    check(
        "number",
        "active",
        &[
            (br#"{"active":true}"#, Stored("t")),
            (br#"{"active":"True"}"#, Stored("t")),
            (br#"{"active":"1"}"#, Stored("t")),
            (br#"{"active":1}"#, Stored("t")),
            (br#"{"active":"0"}"#, Stored("f")),
            (br#"{"active":"yes"}"#, Stored("t")),
            (br#"{"active":"off"}"#, Stored("f")),
            (br#"{"active":"2"}"#, Rejected("boolean")),
            (br#"{"active":2}"#, Rejected("boolean")),
            (br#"{"active":""}"#, Rejected("boolean")),
            (br#"{"active":"False"}"#, Stored("f")),
        ],
    );
}

#[test]
fn text_is_counted_in_characters_and_never_cut() {
    check(
        "number",
        "'[' || title || ']'",
        &[
            ("{\"title\":\"日本語日本\"}".as_bytes(), Stored("[日本語日本]")),
            (br#"{"title":"abc  "}"#, Stored("[abc  ]")),
            (br#"{"title":"abc        "}"#, Rejected("too_long")),
            (br#"{"title":"abcdef"}"#, Rejected("too_long")),
            (br#"{"title":""}"#, Stored("[]")),
            (br#"{"title":"null"}"#, Stored("[null]")),
            (br#"{"title":"a\\b"}"#, Stored("[a\\b]")),
        ],
    );
}

#[test]
fn a_null_that_a_policy_makes_is_no_key_and_no_required_value() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE nulls (k text UNIQUE, v text, w text)");
    let mut redis = case.redis();
    redis.set("null:1", r#"{"k":"","v":"x"}"#);
    redis.set("null:2", r#"{"k":"b","v":"None"}"#);
    redis.set("null:3", r#"{"k":"c","v":"x","w":"None"}"#);
    redis.set("null:4", r#"{"k":"d","v":null}"#);
    let config = r#"
[[mapping]]
name = "nulls"
match = "null:{id}"
into = "public.nulls"
key = ["k"]
column = [
  { name = "k", from = ["$.k"], empty_as_null = true },
  { name = "v", from = ["$.v"], null_tokens = ["None"], required = true },
  { name = "w", from = ["$.w"], null_tokens = ["None"], default = "none given" },
]
"#;
    let outcome = case.run_config(config, &[]).exits(3);
    assert_eq!(outcome.reject("null:1")["reason"], "key_null");
    assert_eq!(outcome.reject("null:2")["reason"], "field_missing");
    assert_eq!(outcome.reject("null:4")["reason"], "field_missing");
    assert_eq!(case.sql("SELECT k, w FROM nulls"), "c|none given");
}

#[test]
fn what_lua_has_damaged_is_told_or_refused() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE lua (id text PRIMARY KEY, size bigint, tags text[], exact bigint)");
    let mut redis = case.redis();
    redis.set("lua:1", r#"{"size":1.2345678901235e+16,"tags":[]}"#);
    redis.set("lua:2", r#"{"tags":{}}"#);
    redis.set("lua:3", r#"{"exact":1.2345678901235e+16}"#);
    redis.set("lua:4", r#"{"size":1.23456e+4}"#);
    let config = r#"
[[mapping]]
name = "lua"
match = "lua:{id}"
into = "public.lua"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "size", from = ["$.size"] },
  { name = "tags", from = ["$.tags"] },
  { name = "exact", from = ["$.exact"], integer_from_exponent = "reject" },
]
"#;
    let outcome = case.run_config(config, &[]).exits(3);
    assert_eq!(case.sql("SELECT id, size, tags FROM lua"), "1|12345678901235000|{}");
    assert_eq!(outcome.report["tally"]["altered"], serde_json::json!({"integer_from_exponent": 1}), "{outcome}");
    for (key, reason, path) in [
        ("lua:2", "type_mismatch", "$.tags"),
        ("lua:3", "integer_from_exponent", "$.exact"),
        ("lua:4", "integer", "$.size"),
    ] {
        assert_eq!(
            (&outcome.reject(key)["reason"], &outcome.reject(key)["path"]),
            (&reason.into(), &path.into()),
            "{key}"
        );
    }
}
