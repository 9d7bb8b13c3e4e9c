use crate::decode::{DecodeError, Decoded, Field, Kind, MAX_DEPTH, decode, lookup, push_json_string, unescape};
use proptest::prelude::*;

fn error(value: &[u8]) -> DecodeError {
    decode(value, &mut Vec::new()).expect_err("the value should be refused")
}

fn reason(value: &[u8]) -> String {
    error(value).reason.into_owned()
}

fn accepted(value: &str) {
    decode(value.as_bytes(), &mut Vec::new()).unwrap_or_else(|error| panic!("{value}: {error}"));
}

fn field(value: &str, key: &str) -> Option<String> {
    let mut fields: Vec<Field> = Vec::new();
    let Decoded { text, scanned, .. } = decode(value.as_bytes(), &mut fields).unwrap();
    lookup(text, &fields, scanned.escaped_keys, key).map(str::to_owned)
}

#[test]
fn v01_a_nul_escape_is_found_with_its_path() {
    let found = error(br#"{"size":1,"title":"ab\u0000cd"}"#);
    assert_eq!((found.reason.as_ref(), found.path.as_deref()), ("json_nul", Some("$.title")));
    let found = error(br#"{"a":[{"b":1},{"b c":["x","\u0000"]}]}"#);
    assert_eq!(found.path.as_deref(), Some(r#"$.a[1]["b c"][1]"#));
    assert_eq!(reason(br#"{"a\u0000":1}"#), "json_nul");
}

#[test]
fn v02_two_backslashes_are_no_nul_escape() {
    accepted(r#"{"a":"C:\\u0000dir"}"#);
    assert_eq!(unescape(r"C:\\u0000dir"), r"C:\u0000dir");
    assert_eq!(reason(br#"{"a":"C:\\\u0000dir"}"#), "json_nul");
}

#[test]
fn v04_surrogates_come_in_pairs_or_not_at_all() {
    for half in [r#"{"a":"\ud83d"}"#, r#"{"a":"\ude00"}"#, r#"{"a":"\ude00\ud83d"}"#, r#"{"a":"\ud83d\u0041"}"#] {
        assert_eq!(reason(half.as_bytes()), "json_surrogate", "{half}");
    }
    for cut in [r#"{"a":"\ud83d"#, r#"{"a":"\ud83d\"#, r#"{"a":"\ud83d\u"#, r#"{"a":"\ud83d\ude"#] {
        assert_eq!(reason(cut.as_bytes()), "json_syntax", "{cut}");
    }
    accepted(r#"{"a":"\ud83d\ude00"}"#);
    assert_eq!(unescape(r"x\uD83D\uDE00\u00e9\n\/"), "x😀é\n/");
    assert_eq!(reason(b"{\"a\":\"\xed\xa0\x80\"}"), "invalid_utf8");
}

#[test]
fn v05_nonfinite_numbers_are_named_with_their_path() {
    for (text, token, path) in [
        (r#"{"score":NaN,"max":1}"#, "NaN", "$.score"),
        (r#"{"a":[1,Infinity]}"#, "Infinity", "$.a[1]"),
        (r#"{"min": -Infinity}"#, "-Infinity", "$.min"),
    ] {
        let found = error(text.as_bytes());
        assert_eq!((found.reason.as_ref(), found.path.as_deref()), ("json_nonfinite", Some(path)));
        assert!(found.detail.starts_with(token), "{}", found.detail);
    }
    accepted(r#"{"a":"NaN"}"#);
}

#[test]
fn v06_the_last_of_two_equal_keys_wins_in_any_spelling() {
    assert_eq!(field(r#"{"id":"a","size":1,"size":2}"#, "size").unwrap(), "2");
    assert_eq!(field(r#"{"é":2,"\u00e9":1}"#, "é").unwrap(), "1");
    assert_eq!(field(r#"{"\u00e9":2,"é":1}"#, "é").unwrap(), "1");
}

#[test]
fn v07_every_digit_stays() {
    let text =
        r#"{"a":18446744073709551616,"b":123456789012345678901234567890.5,"c":0.1000000000000000055511151231257827}"#;
    assert_eq!(field(text, "a").unwrap(), "18446744073709551616");
    assert_eq!(field(text, "b").unwrap(), "123456789012345678901234567890.5");
    assert_eq!(field(text, "c").unwrap(), "0.1000000000000000055511151231257827");
}

#[test]
fn numbers_beyond_numeric_are_refused_and_those_on_the_border_are_not() {
    for text in
        ["1e131071", "9.9e131071", "0.001e131074", "1e-16383", "0e131072", "1E2", "-0.0", "0e-16383", "0e1073741822"]
    {
        accepted(text);
    }
    for text in
        ["1e131072", "10e131071", "1e-16384", "0.1e-16383", "1e99999999999999999999", "-1e400000", "0e1073741823"]
    {
        assert_eq!(reason(text.as_bytes()), "json_number_range", "{text}");
    }
    accepted(&"9".repeat(131_072));
    assert_eq!(reason("9".repeat(131_073).as_bytes()), "json_number_range");
    assert_eq!(reason(format!("0.{}", "1".repeat(16_384)).as_bytes()), "json_number_range");
}

#[test]
fn v11_a_byte_order_mark_is_skipped_and_said() {
    let decoded_bom = decode(b"\xef\xbb\xbf{\"a\":1}", &mut Vec::new()).unwrap();
    assert!(decoded_bom.bom);
    assert_eq!(decoded_bom.text, "{\"a\":1}");
    assert_eq!(reason(b"\xff\xfe{\0}\0"), "encoding_unsupported (utf-16)");
    accepted("{\"a\":\"x\u{feff}y\"}");
    assert_eq!(error(b"\xef\xbb\xbf{\"a\":1} x").offset, Some(11));
}

#[test]
fn v12_what_follows_the_value_is_refused_with_its_offset() {
    for (text, offset) in
        [(r#"{"a":1} x"#, 8), (r#"{"a":1}{"b":2}"#, 7), (r#"{"a":1,}"#, 7), ("[1,]", 3), (r#"{"a":1"#, 6)]
    {
        let found = error(text.as_bytes());
        assert_eq!((found.reason.as_ref(), found.offset), ("json_syntax", Some(offset)), "{text}");
    }
    accepted("{\"a\":1}\n");
    for text in
        ["{", "[", "\"a", "01", "1.", ".5", "+1", "-", "tru", "nul", "\"\\x\"", "\"\\u12g4\"", "\"a\tb\"", "[1}", "{]"]
    {
        assert_eq!(reason(text.as_bytes()), "json_syntax", "{text}");
    }
}

#[test]
fn v15_scalars_and_arrays_are_json_too() {
    for (text, kind) in [
        (r#"[{"id":"a"}]"#, Kind::Array),
        ("42", Kind::Number),
        ("true", Kind::Bool),
        (" null ", Kind::Null),
        ("\"x\"", Kind::String),
        ("{ }", Kind::Object),
    ] {
        assert_eq!(decode(text.as_bytes(), &mut Vec::new()).unwrap().scanned.kind, kind);
    }
}

#[test]
fn v16_an_empty_value_has_a_reason_of_its_own() {
    for value in [&b""[..], b"  ", b"\n\t\r ", b"\xef\xbb\xbf"] {
        assert_eq!(reason(value), "empty_value");
    }
}

#[test]
fn v18_a_python_literal_gets_a_hint() {
    for text in [r"{'id': 'a', 'ok': True, 'x': None}", r#"{"ok": True}"#, r#"{"x":None}"#] {
        let found = error(text.as_bytes());
        assert_eq!(found.reason, "json_syntax");
        assert!(found.detail.contains("looks like a Python literal"), "{}", found.detail);
    }
}

#[test]
fn v20_to_v25_other_encodings_are_named() {
    for (value, name) in [
        (&b"\x80\x05\x95\x0e"[..], "pickle"),
        (b"\x80\x02}q\x00.", "pickle"),
        (b"(dp0\nVid\np1\n.", "pickle"),
        (b"a:1:{s:2:\"id\";s:1:\"7\";}", "php"),
        (b"O:8:\"stdClass\":0:{}", "php"),
        (b"\x00\x00\x00\x02\x14", "igbinary"),
        (b"\x04\x08o: \"ActiveSupport", "ruby_marshal"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x28\xb5\x2f\xfd\x00", "zstd"),
        (b"\x78\x9c\xab\x56", "zlib"),
        (b"\x04\x22\x4d\x18\x64", "lz4"),
        (b"\xff\x06\x00\x00sNaPpY", "snappy"),
        (b"BZh91AY&SY\xaa", "bzip2"),
        (b"\xfd7zXZ\x00\x00", "xz"),
        (b"\xac\xed\x00\x05sr", "java"),
        (b"\x00\x01\x00\x00\x00\xff\xff\xff\xff\x01", "dotnet_binary"),
        (b"{\x00\"\x00", "utf-16"),
        (b"I5\n.", "pickle"),
        (b"S'abc'\np0\n.", "pickle"),
        (b"}q\x00.", "pickle"),
        (b"ccopy_reg\n_reconstructor\n.", "pickle"),
        (b"(i__main__\nUser\np0\n.", "pickle"),
        (b"b:1;", "php"),
    ] {
        assert_eq!(reason(value), format!("encoding_unsupported ({name})"));
    }
    for text in ["x^2 + y^2", "(do it.", "I am here\n.", "Very well.", "cat\ndog.", "BZh and so on", "i: 5;", "a:b:c"] {
        assert_eq!(reason(text.as_bytes()), "json_syntax", "{text}");
    }
    assert!(error(b"\x1f\x8b\x08\x00").detail.contains("`gzip?` in the mapping's `decode`"));
    assert!(!error(b"O:8:\"stdClass\":0:{}").detail.contains("`decode`"));
    assert_eq!(decode(b"5", &mut Vec::new()).unwrap().scanned.kind, Kind::Number);
}

#[test]
fn v26_invalid_utf8_is_refused_with_its_offset() {
    let found = error(b"{\"title\":\"caf\xe9\"}");
    assert_eq!((found.reason.as_ref(), found.offset), ("invalid_utf8", Some(13)));
}

#[test]
fn nesting_is_bounded_without_a_stack() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    accepted(&nested(MAX_DEPTH));
    assert_eq!(reason(nested(MAX_DEPTH + 1).as_bytes()), "json_depth");
    assert_eq!(reason("{\"a\":".repeat(1_000_000).as_bytes()), "json_depth");
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<i32>().prop_map(|number| (f64::from(number) / 4.0).into()),
        "[^\u{0}]{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::hash_map("[^\u{0}]{0,12}", inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_serde_prints_is_accepted_and_its_fields_are_found(value in json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let mut fields = Vec::new();
        let decoded = decode(text.as_bytes(), &mut fields).unwrap();
        if let serde_json::Value::Object(map) = &value {
            prop_assert_eq!(fields.len(), map.len());
            for (key, value) in map {
                let found = lookup(decoded.text, &fields, decoded.scanned.escaped_keys, key).unwrap();
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(found).unwrap(), value);
            }
        }
    }

    #[test]
    fn what_the_scanner_accepts_serde_accepts_too(bytes in r#"[\[\]{}",:0-9eE.+\-tfn\\ua ]{0,24}"#) {
        let ours = decode(bytes.as_bytes(), &mut Vec::new()).is_ok();
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&bytes).is_ok();
        if ours { prop_assert!(theirs, "{}", bytes); }
    }

    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode(&bytes, &mut Vec::new());
    }

    #[test]
    fn strings_survive_escaping(text in "[^\u{0}]{0,40}") {
        let mut json = String::new();
        push_json_string(&mut json, &text);
        prop_assert_eq!(unescape(&json[1..json.len() - 1]), text.as_str());
        prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
