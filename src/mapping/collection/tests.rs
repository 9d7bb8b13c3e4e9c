//! Collections as JSON, with items of each form.

use super::{EmptyItems, ItemForms, ItemWriter};
use crate::decode::{BytesPolicy, Chain, Charset, Decoder, NulPolicy, Policies};
use crate::mapping::ItemForm;
use crate::model::{Packer, RedisType};

fn json(redis_type: RedisType, items: &[&[u8]]) -> Result<String, String> {
    written(redis_type, items, ItemForm::Text, Policies::default())
}

fn written(redis_type: RedisType, items: &[&[u8]], form: ItemForm, policies: Policies) -> Result<String, String> {
    let packed = items.iter().copied().collect::<Packer>().finish();
    let (mut out, mut altered) = (String::new(), Vec::new());
    let decoder = Decoder { chain: Chain::parse(&["json".to_owned()]).unwrap(), policies, max_inflated: 1 << 20 };
    let forms = ItemForms { values: form, members: form, empty: Some(EmptyItems::Null) };
    let (out_ref, altered_ref) = (&mut out, &mut altered);
    let mut writer =
        ItemWriter { forms, json: Some(&decoder), policies, takes_infinity: false, out: out_ref, altered: altered_ref };
    match writer.whole(redis_type, &packed) {
        Ok(()) => Ok(altered.into_iter().fold(out, |out, repair| format!("{out} {repair}"))),
        Err(error) => Err(format!("{} {}", error.reason, error.path.unwrap_or_default())),
    }
}

#[test]
fn each_type_has_one_form() {
    assert_eq!(json(RedisType::Hash, &[b"a", b"1", b"b\"", b""]).unwrap(), r#"{"a":"1","b\"":""}"#);
    assert_eq!(json(RedisType::List, &[b"x", b"y"]).unwrap(), r#"["x","y"]"#);
    assert_eq!(json(RedisType::Set, &[]).unwrap(), "[]");
    assert_eq!(
        json(RedisType::Zset, &[b"m", b"-1.5", b"n", b"1e+20"]).unwrap(),
        r#"[{"member":"m","score":-1.5},{"member":"n","score":1e+20}]"#
    );
    assert_eq!(
        json(RedisType::Stream, &[b"1-0", b"2", b"a", b"1", b"b", b"2", b"2-0", b"0"]).unwrap(),
        r#"[{"id":"1-0","fields":{"a":"1","b":"2"}},{"id":"2-0","fields":{}}]"#
    );
}

#[test]
fn a_score_has_the_shortest_digits_that_read_back_equal() {
    for (sent, written) in [
        ("19.989999999999998", "19.99"),
        ("19.99", "19.99"),
        ("0.10000000000000001", "0.1"),
        ("9.9999999999999995e-08", "1e-7"),
        ("0.0001", "0.0001"),
        ("3", "3"),
        ("-0", "-0"),
        ("1704164645123.456", "1704164645123.456"),
        ("9007199254740993", "9007199254740992"),
        ("99999999999999984", "99999999999999984"),
        ("9.9999999999999984e+16", "99999999999999984"),
        ("1e+20", "1e+20"),
        ("-1.7976931348623157e+308", "-1.7976931348623157e+308"),
        ("4.9406564584124654e-324", "5e-324"),
    ] {
        let member = json(RedisType::Zset, &[b"m", sent.as_bytes()]).unwrap();
        assert_eq!(member, format!(r#"[{{"member":"m","score":{written}}}]"#), "{sent}");
    }
}

#[test]
fn what_json_cannot_hold_is_named_with_its_place() {
    assert_eq!(json(RedisType::Hash, &[b"a", b"\xff"]).unwrap_err(), r#"invalid_utf8 $.a"#);
    assert_eq!(json(RedisType::List, &[b"a", b"\xff"]).unwrap_err(), "invalid_utf8 $[1]");
    assert_eq!(json(RedisType::Hash, &[b"a", b"\xac\xed\x00\x05t"]).unwrap_err(), "encoding_unsupported (java) $.a");
    assert_eq!(json(RedisType::Zset, &[b"a", b"inf"]).unwrap_err(), "json_nonfinite $[0].score");
}

#[test]
fn values_that_are_json_stand_as_they_are() {
    let json = |items: &[&[u8]]| written(RedisType::Hash, items, ItemForm::Json, Policies::default());
    assert_eq!(json(&[b"a", br#" {"x":1.10} "#, b"b", b"2"]).unwrap(), r#"{"a":{"x":1.10},"b":2}"#);
    assert_eq!(json(&[b"a", b"{"]).unwrap_err(), r#"json_syntax $.a"#);
    assert_eq!(json(&[b"a", br#"{"b":["\u0000"]}"#]).unwrap_err(), r#"json_nul $.a.b[0]"#);
    assert_eq!(json(&[b"a", b"\x1f\x8b\x08"]).unwrap_err(), r#"encoding_unsupported (gzip) $.a"#);
    assert_eq!(json(&[b"a", b" "]).unwrap_err(), r#"empty_value $.a"#);
    assert_eq!(json(&[b"a", b"", b"b", b"1"]).unwrap(), r#"{"a":null,"b":1} empty_items"#);
    assert_eq!(json(&[b"a", b"\xef\xbb\xbf1", b"b", b"\xef\xbb\xbf2"]).unwrap(), r#"{"a":1,"b":2} bom"#);
    let set = written(RedisType::Set, &[br#"{"x":1}"#], ItemForm::Json, Policies::default());
    assert_eq!(set.unwrap(), r#"[{"x":1}]"#);
    let zset = written(RedisType::Zset, &[b"[1.0]", b"5", b"x", b"6"], ItemForm::Json, Policies::default());
    assert_eq!(zset.unwrap_err(), "json_syntax $[1].member");
}

#[test]
fn bytes_are_base64_whatever_they_are() {
    let of = |redis_type, items: &[&[u8]]| written(redis_type, items, ItemForm::Bytes, Policies::default());
    assert_eq!(of(RedisType::Hash, &[b"a", b"\xff\xd8", b"b", b"1800"]).unwrap(), r#"{"a":"/9g=","b":"MTgwMA=="}"#);
    assert_eq!(of(RedisType::List, &[b""]).unwrap(), r#"[""]"#);
    assert_eq!(of(RedisType::Zset, &[b"\xac\xed", b"1"]).unwrap(), r#"[{"member":"rO0=","score":1}]"#);
}

#[test]
fn items_are_repaired_as_far_as_policies_go() {
    let base64 = Policies { bytes: Some(BytesPolicy::Base64), ..Policies::default() };
    let list = |item: &[u8], form, policies| written(RedisType::List, &[item, b"1"], form, policies);
    assert_eq!(list(b"\xff\xd8", ItemForm::Text, base64).unwrap(), r#"["/9g=","1"] bytes"#);
    let latin1 = Policies { invalid_utf8: Some(Charset::Latin1), nul: Some(NulPolicy::Strip), ..base64 };
    assert_eq!(list(b"caf\xe9", ItemForm::Text, latin1).unwrap(), "[\"café\",\"1\"] invalid_utf8");
    let both = list(b"\"caf\xe9\\u0000\"", ItemForm::Json, latin1);
    assert_eq!(both.unwrap(), "[\"café\",1] invalid_utf8 nul");
    let field = |redis_type, names: [&[u8]; 2], policies| {
        let of_hash = [names[0], &b"1"[..], names[1], b"2"];
        let of_stream = [&b"1-0"[..], b"2", names[0], b"1", names[1], b"2"];
        let items = if redis_type == RedisType::Hash { &of_hash[..] } else { &of_stream };
        written(redis_type, items, ItemForm::Text, policies)
    };
    for (redis_type, path) in [(RedisType::Hash, "$"), (RedisType::Stream, "$[0].fields")] {
        let equal = Err(format!("duplicate_key_after_conversion {path}[\"/w==\"]"));
        assert_eq!(field(redis_type, [b"\xff", b"/w=="], base64), equal);
        assert_eq!(field(redis_type, [b"/w==", b"\xff"], base64), equal);
        let equal = Err(format!("duplicate_key_after_conversion {path}.é"));
        assert_eq!(field(redis_type, [b"\xe9", "é".as_bytes()], latin1), equal);
    }
    let twice = field(RedisType::Stream, [b"\xff", b"\xff"], base64).unwrap();
    assert_eq!(twice, r#"[{"id":"1-0","fields":{"/w==":"1","/w==":"2"}}] bytes"#, "one field, twice");
    let cp1252 = Policies { invalid_utf8: Some(Charset::Cp1252), ..base64 };
    assert_eq!(list(b"\x81", ItemForm::Text, cp1252).unwrap_err(), "invalid_utf8 $[0]");
}

#[test]
fn a_name_that_is_no_text_is_told_from_a_value_that_is_none() {
    let refused = |items: &[&[u8]]| {
        let packed = items.iter().copied().collect::<Packer>().finish();
        let (mut out, mut altered) = (String::new(), Vec::new());
        let (forms, policies) = (ItemForms::default(), Policies::default());
        let mut writer =
            ItemWriter { forms, json: None, policies, takes_infinity: false, out: &mut out, altered: &mut altered };
        writer.whole(RedisType::Hash, &packed).unwrap_err().detail
    };
    assert_eq!(refused(&[b"a", b"1", b"b\xff", b"2"]), r#"the name of the field "b\xff": not UTF-8 at byte 1"#);
    assert_eq!(refused(&[b"a", b"1", b"b", b"x\xff"]), "not UTF-8 at byte 1");
    let long = [b"n".repeat(100_000), b"\xff".to_vec()].concat();
    assert!(refused(&[&long, b"2"]).len() < 300);
}
