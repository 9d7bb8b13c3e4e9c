//! Each policy on decoded strings: what it repairs, what it leaves alone, and what it is counted as.

use crate::decode::{
    Chain, Charset, Content, DecodeError, Decoder, DuplicateKeys, NonfinitePolicy, NulPolicy, Policies,
    SurrogatePolicy, decode,
};
use proptest::prelude::*;

fn decoder(form: &str, policies: Policies) -> Decoder {
    Decoder { chain: Chain::parse(&[form.to_owned()]).unwrap(), policies, max_inflated: 1 << 20 }
}

fn read(form: &str, policies: Policies, value: &[u8]) -> Result<(String, Vec<&'static str>), DecodeError> {
    let mut altered = Vec::new();
    let text = match decoder(form, policies).decode(value, &mut Vec::new(), &mut altered)? {
        Content::Json(text, _) | Content::Text(text) => text.into_owned(),
        Content::Bytes(bytes) => String::from_utf8(bytes.into_owned()).unwrap(),
    };
    Ok((text, altered))
}

fn mended(policies: Policies, value: impl AsRef<[u8]>) -> (String, Vec<&'static str>) {
    read("json", policies, value.as_ref()).unwrap_or_else(|error| panic!("{error}"))
}

fn reason(policies: Policies, value: impl AsRef<[u8]>) -> String {
    read("json", policies, value.as_ref()).expect_err("the value should be refused").reason.into_owned()
}

fn nul(policy: NulPolicy) -> Policies {
    Policies { nul: Some(policy), ..Policies::default() }
}

const SURROGATES: Policies = Policies { surrogates: Some(SurrogatePolicy::Replace), ..NONE };
const NONE: Policies = Policies {
    nul: None,
    surrogates: None,
    nonfinite: None,
    invalid_utf8: None,
    duplicate_keys: DuplicateKeys::Last,
    bytes: None,
};

fn nonfinite(policy: NonfinitePolicy) -> Policies {
    Policies { nonfinite: Some(policy), ..NONE }
}

fn fallback(charset: Charset) -> Policies {
    Policies { invalid_utf8: Some(charset), ..NONE }
}

#[test]
fn nul_is_stripped_or_replaced_in_keys_and_strings_alone() {
    let value = r#"{"a\u0000":"x\u0000\u0000y","b":"C:\\u0000dir","c":"\\\u0000"}"#;
    let (text, altered) = mended(nul(NulPolicy::Strip), value);
    assert_eq!((text.as_str(), altered), (r#"{"a":"xy","b":"C:\\u0000dir","c":"\\"}"#, vec!["nul"]));
    let (text, _) = mended(nul(NulPolicy::Replace), value);
    assert_eq!(text, "{\"a\u{fffd}\":\"x\u{fffd}\u{fffd}y\",\"b\":\"C:\\\\u0000dir\",\"c\":\"\\\\\u{fffd}\"}");
    assert_eq!(reason(NONE, value), "json_nul");
    assert_eq!(reason(SURROGATES, value), "json_nul");
    let untouched = r#"{"b":"C:\\u0000dir"}"#;
    assert_eq!(mended(nul(NulPolicy::Strip), untouched), (untouched.to_owned(), vec![]));
}

#[test]
fn half_pairs_are_replaced_and_whole_ones_kept() {
    for (value, text) in [
        (r#"["\ud83d"]"#, "[\"\u{fffd}\"]"),
        (r#"["\ude00\ud83d"]"#, "[\"\u{fffd}\u{fffd}\"]"),
        (r#"["\ud83d\u0041\ud83d\ude00"]"#, "[\"\u{fffd}\\u0041\\ud83d\\ude00\"]"),
        (r#"["\ud83d\ud83d\ude00 \\ud83d"]"#, "[\"\u{fffd}\\ud83d\\ude00 \\\\ud83d\"]"),
    ] {
        assert_eq!(mended(SURROGATES, value), (text.to_owned(), vec!["surrogates"]), "{value}");
        assert_eq!(reason(nul(NulPolicy::Strip), value), "json_surrogate");
    }
    assert_eq!(mended(SURROGATES, r#"["\ud83d\ude00"]"#).1, Vec::<&str>::new());
}

#[test]
fn a_nul_between_two_halves_makes_no_pair_of_them() {
    let value = r#"["\u0000 \ud83d\u0000\ude00"]"#;
    assert_eq!(reason(nul(NulPolicy::Strip), value), "json_surrogate");
    let both = Policies { nul: Some(NulPolicy::Strip), ..SURROGATES };
    assert_eq!(mended(both, value), ("[\" \u{fffd}\u{fffd}\"]".to_owned(), vec!["nul", "surrogates"]));
}

#[test]
fn a_nul_that_is_taken_out_completes_no_escape() {
    for value in [r#"["\u0000","\u000\u00001"]"#, r#"["\u0000\u00\u000041"]"#, r#"["\u0000","\u000\ud83d1"]"#] {
        let all = Policies { nul: Some(NulPolicy::Strip), ..SURROGATES };
        assert_eq!(reason(all, value), "json_syntax", "{value}");
    }
}

#[test]
fn bare_tokens_become_null_or_strings_and_quoted_ones_stay() {
    let value = r#"{"a":NaN,"b":[-Infinity, Infinity,-1,"NaN: -Infinity"],"Infinity":1}"#;
    let (text, altered) = mended(nonfinite(NonfinitePolicy::Null), value);
    assert_eq!(text, r#"{"a":null,"b":[null, null,-1,"NaN: -Infinity"],"Infinity":1}"#);
    assert_eq!(altered, ["nonfinite"]);
    let (text, _) = mended(nonfinite(NonfinitePolicy::String), value);
    assert_eq!(text, r#"{"a":"NaN","b":["-Infinity", "Infinity",-1,"NaN: -Infinity"],"Infinity":1}"#);
    assert_eq!(reason(NONE, value), "json_nonfinite");
    for broken in [r#"{"a":NaN,NaN:1}"#, r#"{"a":NaNa}"#, r#"{"a":NaN"#, r#"{"a":NaN,}"#] {
        assert_eq!(reason(nonfinite(NonfinitePolicy::String), broken), "json_syntax", "{broken}");
    }
}

#[test]
fn what_no_policy_covers_is_refused_as_ever() {
    let error = read("json", nul(NulPolicy::Strip), br#"{"t":"\u0000","n":[1,NaN]}"#).unwrap_err();
    assert_eq!((error.reason.as_ref(), error.path.as_deref()), ("json_nonfinite", Some("$.n[1]")));
    assert!(error.detail.contains("as repaired"), "{error}");
    for (value, wanted) in [("", "empty_value"), ("{", "json_syntax"), ("{\"a\":'b'}", "json_syntax")] {
        let all = Policies { invalid_utf8: Some(Charset::Cp1252), ..SURROGATES };
        assert_eq!(reason(all, value), wanted);
    }
    let bom = read("json", SURROGATES, b"\xef\xbb\xbf{\"a\":1} x").unwrap_err();
    assert_eq!(bom.offset, Some(11), "offsets count what was read");
}

#[test]
fn v26_a_fallback_encoding_reads_what_is_not_utf8() {
    let value = b"\xef\xbb\xbf{\"title\":\"caf\xe9 \x80\"}";
    let (text, altered) = mended(fallback(Charset::Cp1252), value);
    assert_eq!((text.as_str(), altered), (r#"{"title":"café €"}"#, vec!["bom", "invalid_utf8"]));
    assert_eq!(mended(fallback(Charset::Latin1), value).0, "{\"title\":\"café \u{80}\"}");
    assert_eq!(mended(fallback(Charset::Latin1), "{\"title\":\"café\"}").1, Vec::<&str>::new(), "UTF-8 stays UTF-8");
    assert_eq!(reason(fallback(Charset::Cp1252), b"[\"\x81\"]"), "invalid_utf8");
    assert_eq!(reason(fallback(Charset::Latin1), b"\x80\x05\x95\x0e"), "encoding_unsupported (pickle)");
    assert_eq!(reason(fallback(Charset::Latin1), b"[\"\xe9\\u0000\"]"), "json_nul");
    let both = Policies { nul: Some(NulPolicy::Strip), ..fallback(Charset::Latin1) };
    assert_eq!(mended(both, b"[\"\xe9\\u0000\"]"), ("[\"é\"]".to_owned(), vec!["invalid_utf8", "nul"]));
}

#[test]
fn v06_duplicate_keys_can_be_refused_at_any_depth() {
    let strict = Policies { duplicate_keys: DuplicateKeys::Reject, ..NONE };
    for (value, path) in [
        (r#"{"id":"a","size":1,"size":2}"#, "$.size"),
        ("{\"é\":2,\"\\u00e9\" :1}", r"$.é"),
        (r#"[{"a":1},{"a":{"b":1,"c":[],"b":2}}]"#, "$[1].a.b"),
    ] {
        let error = read("json", strict, value.as_bytes()).unwrap_err();
        assert_eq!((error.reason.as_ref(), error.path.as_deref()), ("json_duplicate_key", Some(path)), "{value}");
        mended(NONE, value);
    }
    for value in [r#"{"a":{"a":[{"a":1},{"a":"a"}]},"b":"a: a"}"#, r#"["a","a"]"#, r#""a""#] {
        assert_eq!(mended(strict, value), (value.to_owned(), vec![]));
    }
    let both = Policies { nul: Some(NulPolicy::Strip), ..strict };
    assert_eq!(reason(both, r#"{"a\u0000":1,"a\u0000":2}"#), "json_duplicate_key", "equal before it is repaired");
}

#[test]
fn keys_that_a_repair_makes_equal_are_never_one_in_silence() {
    for duplicate_keys in [DuplicateKeys::Last, DuplicateKeys::Reject] {
        let repaired = Policies { nul: Some(NulPolicy::Strip), duplicate_keys, ..SURROGATES };
        for (value, path) in [
            (r#"{"a":1,"a\u0000":2}"#, "$.a"),
            (r#"[NaN,{"b":{"\u0000a":1,"x":":","a":2}}]"#, "$[1].b.a"),
            (r#"{"x\ud800":1,"x\udc00":2}"#, "$[\"x\u{fffd}\"]"),
        ] {
            let all = Policies { nonfinite: Some(NonfinitePolicy::String), ..repaired };
            let error = read("json", all, value.as_bytes()).unwrap_err();
            let told = (error.reason.as_ref(), error.path.as_deref());
            assert_eq!(told, ("duplicate_key_after_conversion", Some(path)), "{value}");
        }
    }
    let strip = nul(NulPolicy::Strip);
    let both = (r#"{"a":1,"a":2,"b":""}"#.to_owned(), vec!["nul", "json_duplicate_key"]);
    assert_eq!(mended(strip, br#"{"a":1,"a":2,"b":"\u0000"}"#), both, "these were equal before");
    assert_eq!(mended(strip, br#"{"a\u0000":{"a":1},"b":{"a":2}}"#).1, ["nul"], "they are of different objects");
}

#[test]
fn text_is_utf8_or_what_the_mapping_falls_back_to() {
    let text = |policies, value: &[u8]| read("text", policies, value);
    for value in ["", "  ", "\u{feff}{\"a\":1}", "O:8:\"stdClass\":0:{}", "a\0b"] {
        assert_eq!(text(NONE, value.as_bytes()).unwrap(), (value.to_owned(), vec![]));
    }
    assert_eq!(text(NONE, b"caf\xe9").unwrap_err().reason, "invalid_utf8");
    assert_eq!(text(NONE, b"\x1f\x8b\x08\x00").unwrap_err().reason, "encoding_unsupported (gzip)");
    assert_eq!(text(fallback(Charset::Latin1), b"caf\xe9").unwrap(), ("café".to_owned(), vec!["invalid_utf8"]));
    assert_eq!(text(nul(NulPolicy::Strip), b"a\0b").unwrap(), ("ab".to_owned(), vec!["nul"]));
    assert_eq!(text(nul(NulPolicy::Replace), b"a\0b").unwrap().0, "a\u{fffd}b");
}

#[test]
fn an_untouched_value_is_borrowed() {
    let value = br#"{"a":"C:\\u0000dir"}"#;
    let all = Policies { nul: Some(NulPolicy::Strip), duplicate_keys: DuplicateKeys::Reject, ..SURROGATES };
    match decoder("json", all).decode(value, &mut Vec::new(), &mut Vec::new()).unwrap() {
        Content::Json(std::borrow::Cow::Borrowed(text), _) => assert_eq!(text.as_ptr(), value.as_ptr()),
        other => panic!("{other:?} was copied"),
    }
}

proptest! {
    /// Whatever is asked for, what comes out is JSON that PostgreSQL takes, and what was fine is untouched.
    #[test]
    fn what_is_repaired_is_strict_json(text in r#"[\[\]{}",:0-9\\und8Ie@Na\-fity ]{0,40}"#, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let all = Policies {
            nul: Some(NulPolicy::Replace),
            nonfinite: Some(NonfinitePolicy::String),
            invalid_utf8: Some(Charset::Latin1),
            ..SURROGATES
        };
        let string = [b"[\"", text.replace('"', "").as_bytes(), br#"\u0000\ud83d\n", NaN,"#, text.as_bytes(), b"]"].concat();
        for value in [text.as_bytes(), &bytes, &string] {
            let strict = decode(value, &mut Vec::new()).map(|decoded| decoded.text.to_owned());
            match (read("json", all, value), strict) {
                (Ok((text, altered)), Err(_)) => {
                    prop_assert!(!altered.is_empty());
                    prop_assert!(decode(text.as_bytes(), &mut Vec::new()).is_ok(), "{}", text);
                }
                (Ok((text, _)), Ok(strict)) => prop_assert_eq!(text, strict),
                (Err(_), strict) => prop_assert!(strict.is_err()),
            }
        }
    }
}
