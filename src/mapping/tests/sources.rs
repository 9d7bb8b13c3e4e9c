//! Where a column's value comes from: each kind of source, and the settings that contradict each other.

use super::{column, encoded, map_with, read_back, record, stamp, table};
use crate::mapping::candidate::Candidate;
use crate::mapping::functions::Function;
use crate::mapping::{Pattern, Plan, parse_mappings};
use crate::model::ColumnType::{Bool, Int4, Jsonb, Text};
use crate::model::{ColumnType, Reject};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A mapping of `kv:{id}:{kind}` with a text key, an integer and three columns more; `mapped` names what is mapped.
fn compiled(settings: &str, mapped: &str) -> Result<Plan, String> {
    let text = format!(
        "[[mapping]]\nname = 'kv'\nmatch = 'kv:{{id}}:{{kind}}'\ninto = 'public.kv'\nkey = ['id']\n{settings}\n\
         [[mapping.column]]\nname = 'id'\nfrom = ['{{id}}']\n{mapped}"
    );
    let types: [(&str, ColumnType); 6] =
        [("id", Text), ("t", Text), ("u", Text), ("n", Int4), ("flag", Bool), ("doc", Jsonb)];
    let columns = types.map(|(name, column_type)| column(name, column_type, false, false));
    let specs = parse_mappings(&text).map_err(|error| error.to_string())?;
    Plan::compile(&specs, &[table("public.kv", columns.into())].into(), stamp())
        .map_err(|findings| findings.iter().map(|finding| format!("{finding}\n")).collect())
}

fn one(name: &str, settings: &str) -> String {
    format!("[[mapping.column]]\nname = '{name}'\n{settings}\n")
}

fn row(plan: &Plan, value: &str) -> BTreeMap<String, Value> {
    let row = map_with(plan, &record("kv:7:a", value)).unwrap_or_else(|reject| panic!("{reject:?}"));
    read_back(plan, &row)
}

/// The value of one column that is fed like this.
fn value(name: &str, from: &str, record: &str) -> Option<Value> {
    row(&compiled("", &one(name, &format!("from = {from}"))).unwrap(), record).remove(name)
}

fn reject(name: &str, settings: &str, text: &str) -> Reject {
    let plan = compiled("", &one(name, settings)).unwrap();
    map_with(&plan, &record("kv:7:a", text)).expect_err("the record should be rejected")
}

#[test]
fn the_moment_when_a_row_is_made_is_a_source() {
    assert_eq!(value("t", "['run.time']", "5"), Some(json!("2024-01-02T03:04:05.678Z")));
    let seven = crate::model::Digest::of(b"7").to_string();
    assert_eq!(value("t", "['redis.digest']", "7"), Some(json!(seven)));
}

#[test]
fn constants_keep_the_type_that_they_have() {
    assert_eq!(value("t", "[{ value = 'é😀' }]", "5"), Some(json!("é😀")));
    assert_eq!(value("n", "[{ value = -5 }]", "5"), Some(json!(-5)));
    assert_eq!(value("n", "[{ value = '7' }]", "5"), Some(json!(7)));
    assert_eq!(value("t", "[{ value = true }]", "5"), Some(json!("true")));
    assert_eq!(value("doc", "[{ value = '5' }]", "5"), Some(json!("5")));
    assert_eq!(value("doc", "[{ value = 1.5 }]", "5"), Some(json!(1.5)));
    assert_eq!(value("u", "[{ value = 1.0 }]", "5"), Some(json!("1.0")));
    assert_eq!(value("doc", "[{ value = -1e300 }]", "5"), Some(json!(-1e300)));
    assert_eq!(value("doc", "[{ value = false }]", "5"), Some(json!(false)));
    assert_eq!(value("doc", r#"[{ json = ' {"a":[1]} ' }]"#, "5"), Some(json!({"a": [1]})));
    assert_eq!(value("t", "[{ value = 'AB', with = ['lower', \"suffix('!')\"] }]", "5"), Some(json!("ab!")));
    assert_eq!(value("t", "['$.t', { value = 'none' }]", r#"{"t":null}"#), Some(json!("none")));
    assert_eq!(value("t", "[{ value = 'yes', when = '$.t' }, { value = 'no' }]", "{}"), Some(json!("no")));
    assert_eq!(value("t", "[{ value = 'yes', when = '$.t[0]' }]", r#"{"t":[0]}"#), Some(json!("yes")));
}

#[test]
fn templates_mix_captures_and_fields_and_are_whole_or_absent() {
    let from = r#"["{id}-{$.lang}/{$[\"a}b\"][0]}", "{kind}{{x}}"]"#;
    assert_eq!(value("t", from, r#"{"lang":"d\u00e9","a}b":[1.50]}"#), Some(json!("7-dé/1.50")));
    for incomplete in ["{}", r#"{"lang":"de"}"#, r#"{"lang":null,"a}b":[1]}"#, r#"{"lang":"de","a}b":[]}"#] {
        assert_eq!(value("t", from, incomplete), Some(json!("a{x}")), "{incomplete}");
    }
    assert_eq!(value("t", "['{$.on}']", r#"{"on":true}"#), Some(json!("true")));
    assert_eq!(value("t", "['{$[0]}']", r#"[""]"#), Some(json!("")), "an empty text is a text");
    assert_eq!(value("t", "['{{}}']", "5"), Some(json!("{}")));
    let found = reject("t", "from = ['{id}{$.lang}']", r#"{"lang":{}}"#);
    assert_eq!((found.reason.as_ref(), found.column.as_deref()), ("type_mismatch", Some("t")));
    assert_eq!(reject("t", "from = ['{$.lang}']", "[1]").reason, "json_not_object (array)");
}

#[test]
fn the_rest_is_what_no_other_column_took_as_it_was_written() {
    let columns = one("t", "from = ['$.a.b', '{$.c}']")
        + &one("u", "from = [{ source = '$.d', when = '$.tested' }]")
        + &one("n", "from = [{ collect = ['x'], with = ['text', 'length'] }]")
        + &one("doc", "from = [{ source = 'rest', except = ['secret'] }]");
    let plan = compiled("", &columns).unwrap();
    let value = r#"{"a":{"b":"1"},"n":1.10,"c":2,"\u0061":9, "secret":0,"tested":1,"e\u00e9": [ 1, 12345678901234567890123 ],"d":"d","x":1,"n":0.1000000000000000055511151231257827}"#;
    let bytes = encoded(&map_with(&plan, &record("kv:7:a", value)).unwrap());
    let text = String::from_utf8_lossy(&bytes);
    let rest = r#"{"tested":1,"e\u00e9":[ 1, 12345678901234567890123 ],"n":0.1000000000000000055511151231257827}"#;
    assert!(text.ends_with(rest), "{text}");
    assert_eq!(row(&plan, r#"{"a":{"b":"1"}}"#)["doc"], json!({}));
    assert_eq!(row(&plan, "{}")["doc"], json!({}));
    let whole = " {\"k\" : 1.0,\n\"l\":2} ";
    assert_eq!(row(&plan, whole)["doc"], json!({"k": 1.0, "l": 2}));
}

#[test]
fn the_rest_of_a_large_object_is_found_in_time() {
    let fields: String = (0..50_000).map(|n| format!(r#","k{n}":{n}"#)).collect();
    let plan = compiled("", &(one("t", "from = ['$.a']") + &one("doc", "from = ['rest']"))).unwrap();
    let rest = &row(&plan, &format!(r#"{{"a":"x"{fields},"k0":-1}}"#))["doc"];
    assert_eq!((rest.as_object().unwrap().len(), &rest["k0"]), (50_000, &json!(-1)));
}

#[test]
fn the_rest_is_joined_by_lineage() {
    let settings = "lineage = { column = 'doc', document_id = '{id}' }";
    let plan = compiled(settings, &(one("t", "from = ['$.t']") + &one("doc", "from = ['rest']"))).unwrap();
    let doc = &row(&plan, r#"{"t":"x","own":1.50,"redis_key":"mine"}"#)["doc"];
    assert_eq!(
        (&doc["own"], &doc["redis_key"], &doc["redis_document_id"]),
        (&json!(1.5), &json!("kv:7:a"), &json!("7"))
    );
    assert_eq!(doc["source_metadata"], json!({"redis_key": "mine"}));
    assert_eq!(doc.get("t"), None);
    assert_eq!(row(&plan, r#"{"t":"x"}"#)["doc"].as_object().unwrap().len(), 5);
}

#[test]
fn functions_run_in_order_and_pass_on_where_they_give_nothing() {
    let from =
        r#"[{ source = "$.path", with = ["basename", "split('.', 0)", "replace('-', '_')", "upper"] }, "$.name"]"#;
    assert_eq!(value("t", from, r#"{"path":"/a/b-c.tar.gz"}"#), Some(json!("B_C")));
    assert_eq!(value("t", from, r#"{"path":"/a/","name":"n"}"#), Some(json!("n")));
    assert_eq!(value("t", from, r#"{"path":null}"#), None);
    let status = "[{ source = '$.s', with = ['lower', { map = { draft = 0, final = 1 } }] }, { value = 9 }]";
    for (text, expected) in [("Draft", 0), ("FINAL", 1), ("lost", 9)] {
        assert_eq!(value("n", status, &format!(r#"{{"s":"{text}"}}"#)), Some(json!(expected)), "{text}");
    }
    assert_eq!(value("doc", "[{ source = '$.j', with = ['json'] }]", r#"{"j":"{\"a\":1}"}"#), Some(json!({"a": 1})));
    assert_eq!(value("doc", "[{ source = '$.j', with = ['length'] }]", r#"{"j":"é"}"#), Some(json!(1)));
    assert_eq!(value("u", "[{ source = '$', with = ['text', \"prefix('=')\"] }]", "[1.10]"), Some(json!("=[1.10]")));
    let found = reject("t", "from = [{ source = '$.b', with = ['base64_decode'] }]", r#"{"b":"*"}"#);
    assert_eq!((found.reason.as_ref(), found.path.as_deref()), ("base64", Some("$.b")));
    assert_eq!(reject("doc", "from = ['$.j']\nwith = ['json']", r#"{"j":"{"}"#).reason, "json_syntax");
}

#[test]
fn filters_see_the_whole_value_and_pass_on_where_they_give_nothing() {
    let from = r#"[{ jq = ".items | map(.n) | add", when = "$.items" }, { value = 0 }]"#;
    assert_eq!(value("n", from, r#"{"items":[{"n":2},{"n":3}]}"#), Some(json!(5)));
    assert_eq!(value("n", from, r#"{"items":[]}"#), Some(json!(0)), "null is nothing");
    assert_eq!(value("n", from, "{}"), Some(json!(0)));
    assert_eq!(value("doc", "[{ jq = '.[1:]' }]", "[1,2.50,3]"), Some(json!([2.5, 3])));
    assert_eq!(value("t", "[{ jq = '.a', with = ['upper'] }]", r#"{"a":"x"}"#), Some(json!("X")));
    assert_eq!(value("t", "[{ jq = 'empty' }]", "5"), None);
    let found = reject("t", "from = [{ jq = '.[]' }]", "[1,2]");
    assert_eq!((found.reason.as_ref(), found.column.as_deref()), ("jq_outputs", Some("t")));
    assert_eq!(reject("t", "from = [{ jq = '.a' }]", "5").reason, "jq");
    assert_eq!(reject("t", "from = [{ jq = '.' }]", "{}").reason, "type_mismatch");
}

#[test]
fn contradictions_and_misspellings_are_found() {
    let findings = |name: &str, settings: &str| compiled("", &one(name, settings)).expect_err("a finding is expected");
    for (name, settings, expected) in [
        ("t", "from = ['$.t']\nrequired = true\ndefault = ''", "`required` and `default`"),
        ("t", "from = ['$.t']\nexpect = 'object'", "`expect` names a JSON type"),
        ("t", "", "nothing feeds the column"),
        ("t", "default = 'x'\nwith = ['lower']", "`with` has no candidate"),
        ("t", "from = ['$.t']\nwith = ['lowr']", "did you mean lower?"),
        ("t", "from = [{ source = '$.t', with = [\"split(':')\"] }]", "it is written split('separator', index)"),
        ("doc", "from = ['rest']\nwith = ['lower']", "functions take text; `text` makes a text of it"),
        ("doc", "from = [{ collect = ['a'], with = ['json', 'trim'] }]", "functions take text"),
        ("doc", "from = [{ json = '{}', with = ['lower'] }]", "functions take text"),
        ("t", "from = [{ value = 'x', source = '$.t' }]", "more than one candidate"),
        ("t", "from = [{ with = ['lower'] }]", "the source is missing"),
        ("t", "from = [{ source = '$.t', except = ['a'] }]", "`except` goes with"),
        ("doc", "from = [{ collect = [] }]", "names no field"),
        ("t", "from = ['hello']", "{ value = \"hello\" }"),
        ("t", "from = ['{nobody}']", "no capture `nobody`"),
        ("t", "from = ['{id']", "not closed"),
        ("t", "from = ['id}']", "closes nothing"),
        ("t", "from = ['{$.a..b}']", "is not a path"),
        ("t", "from = ['$.a-{id}']", "a path stands in braces"),
        ("t", "from = ['$.a[x]']", "is not a path"),
        ("n", "from = [{ value = 'seven' }]", "the constant seven does not fit"),
        ("n", "from = [{ value = 3000000000 }]", "does not fit"),
        ("t", "from = [{ json = '{\"a\":1}' }]", "does not fit"),
        ("t", "from = [{ value = 'x/', with = ['basename'] }]", "make nothing of the constant x/"),
        ("t", "from = [{ value = '*', with = ['base64_decode'] }]", "not base64"),
        ("doc", "from = [{ json = '{' }]", "`json`: the text ends"),
        ("doc", "from = [{ value = nan }]", "no JSON number"),
        ("t", "from = ['rest']", "rest gives an object, which the column does not take"),
        ("n", "from = [{ collect = ['a'] }]", "$.a gives an object, which the column does not take"),
        ("t", "from = [{ jq = 'mapp(.a)' }]", "there is no filter `mapp/1`"),
        ("t", "from = [{ jq = '.a |' }]", "term is expected at the end"),
        ("t", "from = [{ jq = 'env.HOME' }]", "a filter sees its value only"),
        ("t", "from = [{ sauce = '$.t' }]", "unknown field `sauce`"),
        ("t", "from = [5]", "a text or a table"),
    ] {
        let found = findings(name, settings);
        assert!(found.contains(expected), "{settings}: {found}");
    }
}

#[test]
fn the_rest_is_no_id() {
    let settings = "lineage = { column = 'doc', document_id = 'rest' }";
    let found = compiled(settings, &one("doc", "from = []")).expect_err("a finding is expected");
    assert!(found.contains("which is no id"), "{found}");
}

#[test]
fn the_examples_of_the_documentation_can_be_read() {
    let blocks = include_str!("../../../docs/mapping.md").split("```toml\n").skip(1);
    let examples =
        blocks.filter_map(|block| block.split("```").next()).filter(|text| text.contains("[[mapping.column]]"));
    let mut read = 0;
    for example in examples {
        let head = "[[mapping]]\nname = 'a'\nmatch = 'a:{id}'\ninto = 'a.a'\nkey = ['id']\n";
        let body = example.trim_start().strip_prefix("[[mapping]]\n").unwrap_or(example);
        let whole = if example.contains("match =") { example.to_owned() } else { format!("{head}{body}") };
        let mappings = parse_mappings(&whole).unwrap_or_else(|error| panic!("{error}: {whole}"));
        for column in mappings.iter().flat_map(|mapping| &mapping.columns) {
            let pattern = Pattern::parse("a:{id}").unwrap();
            let with: Vec<_> = column.with.iter().map(|spec| Function::parse(spec).unwrap()).collect();
            for from in &column.from {
                Candidate::parse(from, &pattern, &with).unwrap();
                read += 1;
            }
        }
    }
    assert!(read > 10, "{read}");
}
