//! Each function on texts that are plain, empty, long, of other scripts, and wrong.

use super::{Found, Function, ID_NAMESPACE};
use crate::mapping::FunctionSpec;
use crate::mapping::LookupSpec;
use std::borrow::Cow;
use uuid::Uuid;

fn function(text: &str) -> Function {
    Function::parse(&FunctionSpec::Call(text.into())).unwrap()
}

/// What a function gives of a text; once from a borrowed and once from an owned one.
fn apply(call: &str, text: &str) -> Option<String> {
    let function = function(call);
    let given = |text| match function.apply(Found::Text(text)).unwrap() {
        Found::Absent => None,
        Found::Text(text) | Found::Raw(text) => Some(text.into_owned()),
        other => panic!("{call} gave {other:?}"),
    };
    let borrowed = given(Cow::Borrowed(text));
    assert_eq!(given(Cow::Owned(text.to_owned())), borrowed);
    borrowed
}

fn refused(call: &str, text: &str) -> String {
    function(call).apply(Found::Text(Cow::Borrowed(text))).expect_err("the text should be refused").reason.into_owned()
}

#[track_caller]
fn gives(call: &str, pairs: &[(&str, &str)]) {
    for (text, expected) in pairs {
        assert_eq!(apply(call, text).as_deref(), Some(*expected), "{call} of {text:?}");
    }
}

#[track_caller]
fn gives_nothing(call: &str, texts: &[&str]) {
    for text in texts {
        assert_eq!(apply(call, text), None, "{call} of {text:?}");
    }
}

#[test]
fn parts_of_paths() {
    for (path, name, directory, extension) in [
        ("/data/up/Contract.PDF", Some("Contract.PDF"), Some("/data/up"), Some(".pdf")),
        (r"C:\docs\a.b.Docx", Some("a.b.Docx"), Some(r"C:\docs"), Some(".docx")),
        ("README", Some("README"), None, None),
        ("/README", Some("README"), Some("/"), None),
        ("é/ü.TXT", Some("ü.TXT"), Some("é"), Some(".txt")),
        (".pdf", Some(".pdf"), None, None),
        ("x/", None, Some("x"), None),
        ("a.", Some("a."), None, None),
        ("", None, None, None),
    ] {
        assert_eq!(apply("basename", path).as_deref(), name, "{path}");
        assert_eq!(apply("dirname", path).as_deref(), directory, "{path}");
        assert_eq!(apply("extension", path).as_deref(), extension, "{path}");
    }
}

#[test]
fn mime_types_by_extension() {
    gives("mime_type", &[("x/a.PDF", "application/pdf"), (".txt", "text/plain"), (".doc", "application/msword")]);
    gives_nothing("mime_type", &["a.nosuch", "README", ""]);
}

#[test]
fn an_id_stays_itself_or_becomes_the_same_uuid_every_time() {
    let id = "01234567-89AB-4DEF-8012-3456789ABCDE";
    gives("uuid_or_uuid5", &[(id, id), ("doc 7", &Uuid::new_v5(&ID_NAMESPACE, b"doc 7").to_string())]);
    gives_nothing("uuid_or_uuid5", &[""]);
    // As `uuid_generate_v5(uuid_ns_dns(), 'python.org')` and Python's uuid5 say it.
    gives("uuid5('dns')", &[("python.org", "886313e1-3b8a-5372-9b90-0c9aee199e5d")]);
    gives("uuid5('6ba7b810-9dad-11d1-80b4-00c04fd430c8')", &[("python.org", "886313e1-3b8a-5372-9b90-0c9aee199e5d")]);
    assert_ne!(apply("uuid5('url')", id), Some(id.to_owned()), "a UUID is a name like any other here");
    gives_nothing("uuid5('dns')", &[""]);
}

#[test]
fn letters_and_white_space() {
    gives("lower", &[("ABC", "abc"), ("abc", "abc"), ("ÄÖ", "äö"), ("", "")]);
    gives("upper", &[("abc", "ABC"), ("straße", "STRASSE"), ("", "")]);
    gives("trim", &[(" \t\u{a0}a b\n", "a b"), ("   ", ""), ("", "")]);
    gives("trim_start", &[("  a ", "a ")]);
    gives("trim_end", &[("  a ", "  a")]);
}

#[test]
fn texts_are_cut() {
    gives("split(':', 1)", &[("a:b:c", "b"), ("a:", ""), ("::", "")]);
    gives("split(':', -1)", &[("a:b:c", "c"), ("a", "a"), ("", "")]);
    gives("split('é', 0)", &[("1é2", "1")]);
    gives_nothing("split(':', 1)", &["a", ""]);
    gives_nothing("split(':', -2)", &["a"]);
    gives("substring(1, 2)", &[("abcd", "bc"), ("ab", "b"), ("é😀x", "😀x")]);
    gives("substring(2)", &[("abcd", "cd")]);
    gives("substring(-2)", &[("abcd", "cd"), ("a", "a"), ("x😀é", "😀é")]);
    gives("substring(-3, 1)", &[("abcd", "b")]);
    gives_nothing("substring(1, 2)", &["a", ""]);
    gives_nothing("substring(-1)", &[""]);
    gives("strip_prefix('id-')", &[("id-7", "7"), ("7", "7"), ("id-", "")]);
    gives("strip_suffix('.bak')", &[("a.bak", "a"), ("a", "a"), ("", "")]);
}

#[test]
fn texts_are_filled_and_replaced() {
    gives("replace('-', '')", &[("a-b-c", "abc"), ("abc", "abc"), ("", "")]);
    gives("replace('ab', 'é')", &[("abab", "éé")]);
    gives("prefix('x:')", &[("a", "x:a"), ("", "x:")]);
    gives("suffix(':x')", &[("a", "a:x"), ("", ":x")]);
    gives("pad_start(4, '0')", &[("7", "0007"), ("12345", "12345"), ("é", "000é"), ("", "0000")]);
    gives("pad_start(3, '·')", &[("a", "··a")]);
    gives("length", &[("", "0"), ("abc", "3"), ("é😀", "2")]);
}

#[test]
fn patterns_take_a_group() {
    gives("regex('[0-9]+')", &[("v12.3", "12")]);
    gives(r"regex('^(\w+)-(\d+)$', 2)", &[("é-07", "07")]);
    gives("regex('(?<year>[0-9]{4})', 'year')", &[("in 2024", "2024")]);
    gives("regex('(?i)É')", &[("aé", "é")]);
    gives("regex('a(b?)', 1)", &[("a", "")]);
    gives_nothing("regex('(a)|(b)', 1)", &["b", "c", ""]);
}

#[test]
fn texts_are_hashed_as_postgresql_hashes_them() {
    gives("md5", &[("abc", "900150983cd24fb0d6963f7d28e17f72"), ("", "d41d8cd98f00b204e9800998ecf8427e")]);
    gives("sha256", &[("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]);
}

#[test]
fn texts_are_decoded_or_refused() {
    gives("url_decode", &[("a%20b%C3%A9", "a bé"), ("a+b", "a+b"), ("100%", "100%"), ("%zz", "%zz"), ("", "")]);
    assert_eq!(refused("url_decode", "%ff"), "invalid_utf8");
    gives(
        "base64_decode",
        &[("aGk=", "hi"), ("aGk", "hi"), ("w6k/", "é?"), ("8J+Ygg==", "😂"), ("8J-Ygg", "😂"), ("", "")],
    );
    gives("base64_decode", &[("aG\n k=", "hi")]);
    assert_eq!(refused("base64_decode", "/w=="), "invalid_utf8");
    for text in ["a", "a*b=", "aGk=aGk="] {
        assert_eq!(refused("base64_decode", text), "base64", "{text}");
    }
}

#[test]
fn json_and_text_turn_into_each_other() {
    gives(
        "json",
        &[(r#" {"a":1.10} "#, r#"{"a":1.10}"#), ("[1]", "[1]"), ("12345678901234567890", "12345678901234567890")],
    );
    assert_eq!(function("json").apply(Found::Text(Cow::Borrowed("null"))).unwrap(), Found::Null);
    assert_eq!(refused("json", "{"), "json_syntax");
    assert_eq!(refused("json", ""), "json_syntax");
    assert_eq!(refused("json", r#""\u0000""#), "json_nul");
    let raw = |text: &'static str| Found::Raw(Cow::Borrowed(text));
    let text = |text: &'static str| Found::Text(Cow::Borrowed(text));
    let json = function("json");
    assert_eq!(json.apply(raw("[1]")).unwrap(), raw("[1]"));
    assert_eq!(json.apply(raw(r#""{\"a\":1}""#)).unwrap(), raw(r#"{"a":1}"#));
    let as_text = function("text");
    assert_eq!(as_text.apply(raw(r#"{"a": 1.10}"#)).unwrap(), text(r#"{"a": 1.10}"#));
    assert_eq!(as_text.apply(raw(r#""\ud83d\ude00\n""#)).unwrap(), text("😀\n"));
    assert_eq!(as_text.apply(raw("1.10")).unwrap(), text("1.10"));
    assert_eq!(as_text.apply(Found::Millis(5)).unwrap(), text("5"));
    assert_eq!(function("lower").apply(raw("[1]")).unwrap_err().reason, "type_mismatch");
}

#[test]
fn a_table_of_texts_is_looked_up() {
    let parse =
        |text: &str| Function::parse(&FunctionSpec::Lookup(toml::from_str::<LookupSpec>(text).unwrap())).unwrap();
    let given = |function: &Function, text: &'static str| {
        function.apply(Found::Text(Cow::Borrowed(text))).unwrap().into_text().unwrap().map(Cow::into_owned)
    };
    let plain = parse("map = { draft = 0, final = '1', \"\" = true }");
    assert_eq!(given(&plain, "draft").as_deref(), Some("0"));
    assert_eq!(given(&plain, "").as_deref(), Some("true"));
    assert_eq!((given(&plain, "Draft"), given(&plain, "other")), (None, None));
    let with_default = parse("map = { a = 'b' }\ndefault = 9");
    assert_eq!(given(&with_default, "x").as_deref(), Some("9"));
}
