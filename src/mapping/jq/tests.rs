//! Filters on values: what they give, what they refuse, and that they end.

use super::Program;
use crate::mapping::found::Found;
use std::time::{Duration, Instant};

fn run(code: &str, text: &str) -> Result<Option<String>, String> {
    match Program::parse(code).unwrap().evaluate(text) {
        Ok(Found::Raw(raw)) => Ok(Some(raw.into_owned())),
        Ok(Found::Absent) => Ok(None),
        Ok(Found::Null) => Ok(Some("null".into())),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.to_string()),
    }
}

fn gives(code: &str, text: &str) -> String {
    run(code, text).unwrap().unwrap_or_else(|| panic!("{code} gave nothing"))
}

#[test]
fn filters_give_json() {
    assert_eq!(gives(".items | map(.price) | add", r#"{"items":[{"price":2},{"price":3}]}"#), "5");
    assert_eq!(gives("{n: (.a | length), k: keys}", r#"{"a":"é😀"}"#), r#"{"n":2,"k":["a"]}"#);
    assert_eq!(gives(r#""\(.a)-\(.b)" | ascii_upcase"#, r#"{"a":"x","b":[1]}"#), r#""X-[1]""#);
    assert_eq!(gives(r#".s | split(",") | .[-1]"#, r#"{"s":"a,b\u00e9"}"#), r#""bé""#);
    assert_eq!(gives(r#".s | sub("(?<x>b+)"; "[\(.x)]")"#, r#"{"s":"abbc"}"#), r#""a[bb]c""#);
    assert_eq!(gives("def f($n): if $n > 1 then $n * f($n - 1) else 1 end; f(20)", "0"), "2432902008176640000");
    assert_eq!(gives("[range(0; 10; 3)]", "0"), "[0,3,6,9]");
    assert_eq!(gives("[.[] | select(. > 1)] | sort | join(\",\")", "[3,1,2]"), r#""2,3""#);
    assert_eq!(gives("path(..)", "1"), "[]");
    assert_eq!(gives("(.. | numbers) |= . + 1", r#"{"a":[1,{"b":2}]}"#), r#"{"a":[2,{"b":3}]}"#);
    assert_eq!(gives("walk(if type == \"string\" then length else . end)", r#"["ab"]"#), "[2]");
    assert_eq!(gives(".a *= 3 | .b = (.b * \"x\")", r#"{"a":2,"b":2}"#), r#"{"a":6,"b":"xx"}"#);
    assert_eq!(gives("first(range(10; infinite))", "0"), "10");
    assert_eq!(gives("limit(1; repeat(.))", "7"), "7");
    assert_eq!(gives(".a // 5", "{}"), "5");
    assert_eq!(gives(".missing", "{}"), "null");
    assert_eq!(run("empty", "1"), Ok(None));
}

#[test]
fn digits_stay_where_nothing_is_worked_out() {
    let text = r#"{"a":18446744073709551616,"b":0.1000000000000000055511151231257827,"c":1.10,"d":1E2}"#;
    assert_eq!(gives(".", text), text);
    assert_eq!(gives(".a + 1", text), "18446744073709551617");
    assert_eq!(gives("[.b, .c]", text), "[0.1000000000000000055511151231257827,1.10]");
    assert_eq!(gives(".c + 0", text), "1.1");
}

#[test]
fn what_fails_is_refused() {
    assert!(
        run(".a.b", r#"{"a":5}"#).unwrap_err().starts_with("jq: cannot index 5"),
        "{:?}",
        run(".a.b", r#"{"a":5}"#)
    );
    assert_eq!(run("error(\"no\")", "1").unwrap_err(), "jq: no");
    assert_eq!(run(".[]", "[1,2]").unwrap_err(), "jq_outputs: the filter gives more than one value");
    assert_eq!(run("1, error(\"late\")", "1").unwrap_err(), "jq: late");
    assert!(run("error", &format!("\"{}\"", "é".repeat(500))).unwrap_err().len() < 450);
    for (code, reason) in [
        ("nan", "json_nonfinite"),
        ("infinite", "json_"),
        ("[0] | implode", "json_nul"),
        ("{(1 | tostring): \"\\u0000\"}", "json_nul"),
        ("{(1): 1}", "json_syntax"),
        ("\"x\" | tobytes", "json_syntax"),
    ] {
        let error = run(code, "1").unwrap_err();
        assert!(error.starts_with(reason), "{code}: {error}");
    }
}

#[test]
fn a_filter_sees_nothing_of_the_machine() {
    for code in
        ["env", "$ENV", "$ENV.PATH", "now", "input", "inputs", "halt", "halt(0)", "halt_error", "debug", "stderr"]
            .into_iter()
            .chain(["localtime", "strflocaltime(\"%H\")", "input_filename", "debug(1)", "getpath(env)"])
    {
        let error = Program::parse(code).unwrap_err();
        assert!(error.contains("a filter sees its value only"), "{code}: {error}");
    }
    for code in ["import \"a\" as a; a::b", "include \"a\"; .", "import \"a\" as $a; $a"] {
        assert!(Program::parse(code).is_err(), "{code}");
    }
}

#[test]
fn a_text_that_is_no_filter_is_told_where() {
    let error = |code: &str| Program::parse(code).unwrap_err();
    assert_eq!(error(""), "`jq`: term is expected at the end");
    assert_eq!(error(".a |"), "`jq`: term is expected at the end");
    assert_eq!(error("\"é\" | ]"), "`jq`: token is expected at character 7");
    assert_eq!(error("map(.a"), "`jq`: closing parenthesis is expected at character 7");
    assert_eq!(error("mapp(.a)"), "`jq`: there is no filter `mapp/1`");
    assert_eq!(error("$x"), "`jq`: there is no variable `$x`");
    assert_eq!(error("if . then 1"), "`jq`: else or end is expected at the end");
}

#[test]
fn filters_without_end_are_stopped() {
    for code in [
        "last(repeat(.))",
        "last(range(infinite))",
        "[range(infinite)] | length",
        "[repeat(1)] | length",
        "last(recurse)",
        "until(false; . + 1)",
        "[while(true; . + 1)] | length",
        "def f: f; f",
        "def f: . + 1 | f; f",
        "def f: 1 + f; f",
        "def f: [f]; f",
        "def f: f, f; last(f)",
        "def f: ., (f | . + 1); last(f)",
        "def f: (f | . + 1), 1; f",
        "def f: try error catch f; f",
        "reduce repeat(1) as $x (0; . + $x)",
        "last(foreach range(0; infinite; 0) as $x (0; . + 1))",
        "try last(repeat(.)) catch 5",
        "(def f: f; f)?",
        "def f: 1 + f; try f catch 5",
        "path(def f: f; f)",
        "(def f: f; f) |= 1",
        "until(false; [.])",
        "until(false; {a: 1, b: .})",
        "reduce range(1000000) as $i (null; [$i, .])",
        "reduce range(1000000) as $i ({}; .a = .)",
        "last(foreach range(1000000) as $i (null; [[.]]))",
        "last(recurse([.]))",
        "def f($x): f([$x]); f(1)",
        "\"x\" * 1000000000000",
        ". as $n | \"xy\" | . *= 1e300",
    ] {
        let begun = Instant::now();
        let recursed = code == "last(recurse)";
        let outcome = run(code, "1");
        assert!(recursed || outcome.as_ref().is_err_and(|error| error.starts_with("jq: ")), "{code}: {outcome:?}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{code}");
    }
}

#[test]
fn two_outputs_are_enough_to_refuse_what_gives_many() {
    for code in ["repeat(.)", "range(infinite)", "recurse(. + 1)", "def f: ., f; f"] {
        assert_eq!(run(code, "1").unwrap_err(), "jq_outputs: the filter gives more than one value", "{code}");
    }
}

#[test]
fn deep_and_long_values_are_taken() {
    let deep = format!("{}1{}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(gives(".", &deep), deep);
    assert_eq!(gives("[..] | length", &deep), "1001");
    assert_eq!(gives("reduce range(200) as $i (0; [.]) | [..] | length", "1"), "201");
    assert_eq!(gives("def depth: if isarray then 1 + (.[0] | depth) else 0 end; depth", &deep), "1000");
    assert!(run("[.]", &deep).unwrap_err().starts_with("json_depth"));
    let long = format!("[{}0]", "1,".repeat(50_000));
    assert_eq!(gives("map(. + 0) | add", &long), "50000");
    assert!(run("\"x\" * 20000000", "1").unwrap_err().starts_with("value_too_large"));
}
