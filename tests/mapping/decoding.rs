//! What the value is, from Redis to the table: chains, forms and repairs through real servers.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use crate::support;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use redis2pg::model::Digest;
use std::io::Write;
use support::{Case, Outcome};

const TABLES: &str = "\
CREATE TABLE docs (id text PRIMARY KEY, doc jsonb, size bigint);
CREATE TABLE raws (id text PRIMARY KEY, raw bytea, note text);
GRANT ALL ON docs, raws TO redis2pg";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut writer = ZlibEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::new());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut writer = snap::write::FrameEncoder::new(Vec::new());
    writer.write_all(bytes).unwrap();
    writer.into_inner().unwrap()
}

/// A mapping of `doc:{id}` with these settings.
fn docs(settings: &str) -> String {
    format!(
        "[[mapping]]\nname = \"docs\"\nmatch = \"doc:{{id..}}\"\ninto = \"public.docs\"\nkey = [\"id\"]\n{settings}\n\
         column = [{{ name = \"id\", from = [\"{{id}}\"] }}, {{ name = \"doc\", from = [\"$\"] }}, \
         {{ name = \"size\", from = [\"$.size\"] }}]"
    )
}

/// The same of `raw:{id}`, whose values go whole into one column.
fn raws(settings: &str, column: &str) -> String {
    format!(
        "[[mapping]]\nname = \"raws\"\nmatch = \"raw:{{id..}}\"\ninto = \"public.raws\"\nkey = [\"id\"]\n{settings}\n\
         column = [{{ name = \"id\", from = [\"{{id}}\"] }}, {{ name = \"{column}\", from = [\"value\"] }}]"
    )
}

fn load(config: &str, values: &[(&str, Vec<u8>)], code: i32) -> (Case, Outcome) {
    let case = Case::new();
    case.sql(TABLES);
    let mut redis = case.redis();
    for (key, value) in values {
        assert_eq!(redis.answer(&[b"SET", key.as_bytes(), value]), "+OK");
    }
    let run = case.run_config(config, &[]).exits(code);
    // Loading and comparing read the same values: the second run finds all of it equal.
    let again = case.run_config(config, &[]);
    assert_eq!(again.total("unchanged"), run.total("inserted"), "{again}");
    (case, run)
}

#[test]
fn v20_mixed_values_under_one_prefix_end_in_the_same_rows() {
    let json = format!(r#"{{"size":1234567890123,"text":"{}","n":1.10}}"#, "lorem ipsum dolor ".repeat(200));
    let prefixed = [b"gz:".as_slice(), &zlib(json.as_bytes())].concat();
    let mut cut = zstd(json.as_bytes());
    cut.truncate(cut.len() / 2);
    let values = [
        ("doc:plain", json.clone().into_bytes()),
        ("doc:gzip", gzip(json.as_bytes())),
        ("doc:zlib", zlib(json.as_bytes())),
        ("doc:zstd", zstd(json.as_bytes())),
        ("doc:lz4", lz4(json.as_bytes())),
        ("doc:snappy", snappy(json.as_bytes())),
        ("doc:magento", prefixed),
        ("doc:cut", cut),
        ("doc:trap", b"x^2 is no JSON".to_vec()),
        ("doc:bomb", gzip(&vec![b' '; 1 << 20])),
        ("doc:pickle", b"\x80\x04\x95\x05".to_vec()),
        ("doc:java", b"\xac\xed\x00\x05t".to_vec()),
    ];
    let config = docs(
        "decode = [\"strip?:gz:\", \"zstd?\", \"zlib?\", \"gzip?\", \"lz4?\", \"snappy?\", \"json\"]\n\
         max_inflated = \"64KiB\"",
    );
    let (case, run) = load(&config, &values, 3);
    assert_eq!(case.number("SELECT count(*) FROM docs"), 7, "{run}");
    assert_eq!(case.number("SELECT count(DISTINCT (doc, size)) FROM docs"), 1);
    assert_eq!(case.sql("SELECT doc->>'n', size FROM docs WHERE id = 'zlib'"), "1.10|1234567890123");
    for (key, reason) in [
        ("doc:cut", "decompress_failed"),
        ("doc:trap", "json_syntax"),
        ("doc:bomb", "value_too_large"),
        ("doc:pickle", "encoding_unsupported (pickle)"),
        ("doc:java", "encoding_unsupported (java)"),
    ] {
        assert_eq!(run.reject(key)["reason"], reason, "{run}");
    }
    // The ledger's digest is that of the bytes in Redis, not of what they hold.
    let digest = case.sql("SELECT digest FROM redis2pg.loaded WHERE redis_key = 'doc:gzip'");
    assert_eq!(digest, Digest::of(&gzip(json.as_bytes())).to_string());
}

#[test]
fn bytes_go_into_bytea_and_text_into_text_as_they_are() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let values = [("raw:all", every_byte.clone()), ("raw:empty", Vec::new()), ("raw:json", b" {\"a\":1.10} ".to_vec())];
    let (case, _) = load(&raws("decode = [\"bytes\"]", "raw"), &values, 0);
    let hex = |id: &str| case.sql(&format!("SELECT encode(raw, 'hex') FROM raws WHERE id = '{id}'")).replace('\n', "");
    let wanted: String = every_byte.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((hex("all"), hex("empty")), (wanted, String::new()));
    assert_eq!(
        case.sql("SELECT '[' || convert_from(raw, 'UTF8') || ']' FROM raws WHERE id = 'json'"),
        "[ {\"a\":1.10} ]"
    );

    let text = "naïve \"text\"\\n, 日本 😀 x^2";
    let values = [
        ("raw:plain", text.as_bytes().to_vec()),
        ("raw:packed", gzip(text.as_bytes())),
        ("raw:latin1", b"caf\xe9".to_vec()),
        ("raw:nul", b"a\0b".to_vec()),
        ("raw:trap", b"x^2 + y^2".to_vec()),
    ];
    let (case, run) = load(&raws("decode = [\"zlib?\", \"gzip?\", \"text\"]", "note"), &values, 3);
    for id in ["plain", "packed"] {
        assert_eq!(case.sql(&format!("SELECT note FROM raws WHERE id = '{id}'")), text);
    }
    assert_eq!(case.sql("SELECT note FROM raws WHERE id = 'trap'"), "x^2 + y^2");
    assert_eq!(run.reject("raw:latin1")["reason"], "invalid_utf8");
    assert_eq!(run.reject("raw:nul")["reason"], "text_nul");

    let settings = "decode = [\"text\"]\ninvalid_utf8 = \"cp1252\"\nnul = \"strip\"";
    let (case, run) = load(&raws(settings, "note"), &values[2..4], 0);
    assert_eq!(case.sql("SELECT string_agg(note, ' ' ORDER BY id) FROM raws"), "café ab");
    let altered = &run.report["tally"]["altered"];
    assert_eq!((altered["invalid_utf8"].as_i64(), altered["nul"].as_i64()), (Some(1), Some(1)), "{altered}");
}

#[test]
fn msgpack_and_php_become_the_json_that_they_mean() {
    let values = [
        (
            "doc:map",
            b"\x84\x01\xa1a\xa4size\xcf\x7f\xff\xff\xff\xff\xff\xff\xff\xa1t\xd6\xff\x65\x93\x53\x80\xa1b\xc4\x01\xff"
                .to_vec(),
        ),
        ("doc:packed", zstd(b"\x81\xa4size\x05")),
        ("doc:twice", b"\x82\x01\xa1a\xa11\xa1b".to_vec()),
        ("doc:ext", b"\x81\xa1x\xd4\x07\x00".to_vec()),
        ("doc:nan", b"\x81\xa1x\xca\x7f\xc0\x00\x00".to_vec()),
        ("doc:json", b"{\"size\":1}".to_vec()),
    ];
    let (case, run) = load(&docs("decode = [\"zstd?\", \"msgpack\"]\nbytes = \"base64\""), &values, 3);
    assert_eq!(
        case.sql("SELECT doc, size FROM docs WHERE id = 'map'"),
        r#"{"1": "a", "b": "/w==", "t": "2024-01-02T00:06:24Z", "size": 9223372036854775807}|9223372036854775807"#
    );
    assert_eq!(case.sql("SELECT size FROM docs WHERE id = 'packed'"), "5");
    for (key, reason) in [
        ("doc:twice", "duplicate_key_after_conversion"),
        ("doc:ext", "encoding_unsupported (msgpack_ext)"),
        ("doc:nan", "json_nonfinite"),
        ("doc:json", "msgpack_syntax"),
    ] {
        assert_eq!(run.reject(key)["reason"], reason, "{run}");
    }
    assert_eq!(run.reject("doc:twice")["path"], "$.1");
    assert_eq!(run.report["tally"]["altered"]["bytes"], 1);

    let values = [
        ("doc:array", br#"a:2:{s:4:"size";i:7;s:4:"tags";a:2:{i:0;s:1:"a";i:1;d:0.5;}}"#.to_vec()),
        ("doc:object", br#"O:8:"stdClass":1:{s:4:"size";i:7;}"#.to_vec()),
    ];
    let (case, run) = load(&docs("decode = [\"php\"]"), &values, 3);
    assert_eq!(case.sql("SELECT doc, size FROM docs"), r#"{"size": 7, "tags": ["a", 0.5]}|7"#);
    assert_eq!(run.reject("doc:object")["reason"], "encoding_unsupported (php_object)");
}

#[test]
fn bytes_within_a_value_get_into_bytea_as_they_were() {
    let config = "[[mapping]]\nname = \"photos\"\nmatch = \"{{{lang}}}:photo:{id:int}\"\ninto = \"public.photos\"\n\
                  key = [\"lang\", \"id\"]\ndecode = [\"zstd?\", \"msgpack\"]\nbytes = \"base64\"\ncreate = true\n\
                  column = [{ name = \"lang\", type = \"text\", from = \"{lang}\" }, \
                  { name = \"id\", type = \"bigint\", from = \"{id}\" }, \
                  { name = \"photo\", type = \"bytea\", from = \"$.p\", encoding = \"base64\" }, \
                  { name = \"hash\", type = \"bytea\", from = \"$.h\", encoding = \"hex\" }, \
                  { name = \"parts\", type = \"bytea[]\", from = \"$.a\", encoding = \"base64\" }]";
    let values = [
        ("{de}:photo:1", zstd(b"\x82\xa1p\xc4\x03\x00\xff\xd8\xa1h\xa4C0ff")),
        ("{de}:photo:2", b"\x81\xa1a\x92\xc4\x01\xff\xc4\x00".to_vec()),
        ("{en}:photo:1", b"\x81\xa1p\xa3no!".to_vec()),
        ("{en}:photo:2", b"\x81\xa1h\xa3c0f".to_vec()),
    ];
    let (case, run) = load(config, &values, 3);
    assert_eq!(
        case.sql("SELECT id, photo, hash, parts FROM photos ORDER BY id"),
        "1|\\x00ffd8|\\xc0ff|\n2|||{\"\\\\xff\",\"\\\\x\"}"
    );
    assert_eq!(run.reject("{en}:photo:1")["reason"], "base64", "{run}");
    assert_eq!(run.reject("{en}:photo:2")["reason"], "hex", "{run}");
}

#[test]
fn each_policy_repairs_its_kind_and_is_counted() {
    let values = [
        ("doc:nul", br#"{"size":1,"a":"x\u0000y","path":"C:\\u0000dir"}"#.to_vec()),
        ("doc:half", br#"{"a":"\ud83d","b":"\ud83d\ude00"}"#.to_vec()),
        ("doc:nan", br#"{"a":[NaN,-Infinity],"b":"NaN"}"#.to_vec()),
        ("doc:latin1", b"{\"a\":\"caf\xe9 \x80\"}".to_vec()),
        ("doc:twice", br#"{"a":{"b":1,"b":2}}"#.to_vec()),
        ("doc:fine", br#"{"a":"C:\\u0000dir NaN","size":1}"#.to_vec()),
    ];
    let (_, run) = load(&docs(""), &values, 3);
    assert_eq!((run.total("inserted"), run.rejects.len()), (2, 4), "{run}");

    let settings = "nul = \"strip\"\nsurrogates = \"replace\"\nnonfinite = \"null\"\ninvalid_utf8 = \"cp1252\"\n\
                    duplicate_keys = \"reject\"";
    let (case, run) = load(&docs(settings), &values, 3);
    let doc = |id: &str| case.sql(&format!("SELECT doc FROM docs WHERE id = '{id}'"));
    assert_eq!(doc("nul"), r#"{"a": "xy", "path": "C:\\u0000dir", "size": 1}"#);
    assert_eq!(doc("half"), "{\"a\": \"\u{fffd}\", \"b\": \"😀\"}");
    assert_eq!(doc("nan"), r#"{"a": [null, null], "b": "NaN"}"#);
    assert_eq!(doc("latin1"), r#"{"a": "café €"}"#);
    assert_eq!(doc("fine"), r#"{"a": "C:\\u0000dir NaN", "size": 1}"#);
    assert_eq!(run.reject("doc:twice")["reason"], "json_duplicate_key");
    assert_eq!(run.reject("doc:twice")["path"], "$.a.b");
    let altered = &run.report["mappings"]["docs"]["altered"];
    for policy in ["nul", "surrogates", "nonfinite", "invalid_utf8"] {
        assert_eq!(altered[policy], 1, "{policy}: {altered}");
    }
}

#[test]
fn a_chain_that_contradicts_itself_is_refused_before_anything_is_read() {
    let case = Case::new();
    case.sql(TABLES);
    case.redis().set("doc:1", "{}");
    let run = case.run_config(&docs("decode = [\"brotli\", \"text\"]\nnonfinite = \"null\""), &[]);
    assert_eq!(run.code, 2, "{run}");
    assert!(run.stderr.contains("`brotli`, which is no step"), "{run}");
    let run = case.run_config(&docs("decode = [\"text\"]\nnonfinite = \"null\""), &[]);
    for part in ["`nonfinite` does not go with", "`$` reads JSON", "`$.size` reads JSON", "\"value\""] {
        assert!(run.stderr.contains(part), "{part}: {run}");
    }
    assert_eq!((run.code, case.number("SELECT count(*) FROM docs")), (2, 0));
}

#[test]
fn values_of_other_programs_are_named_and_never_read() {
    let values: [(&str, &[u8], &str); 16] = [
        ("doc:pickle5", b"\x80\x05\x95\x0a", "encoding_unsupported (pickle)"),
        ("doc:pickle2", b"\x80\x02}q\x00", "encoding_unsupported (pickle)"),
        ("doc:pickle0", b"(lp0\nI5\na.", "encoding_unsupported (pickle)"),
        ("doc:php", b"a:1:{s:2:\"id\";s:1:\"7\";}", "encoding_unsupported (php)"),
        ("doc:phpobject", b"O:8:\"stdClass\":0:{}", "encoding_unsupported (php)"),
        ("doc:igbinary", b"\x00\x00\x00\x02\x14\x01", "encoding_unsupported (igbinary)"),
        ("doc:marshal", b"\x04\x08o: ActiveSupport", "encoding_unsupported (ruby_marshal)"),
        ("doc:java", b"\xac\xed\x00\x05t", "encoding_unsupported (java)"),
        ("doc:gzip", b"\x1f\x8b\x08\x00", "encoding_unsupported (gzip)"),
        ("doc:utf16", b"{\x00\"\x00a\x00", "encoding_unsupported (utf-16)"),
        ("doc:base64", b"eyJpZCI6ImEifQ==", "json_syntax"),
        ("doc:brace", b"{", "json_syntax"),
        ("doc:msgpack", b"\x82\xa1a\x01", "invalid_utf8"),
        ("doc:python", b"{'id': 'a', 'ok': True, 'x': None}", "json_syntax"),
        ("doc:elixir", b"%{id: \"a\"}", "json_syntax"),
        ("doc:x", b"x^2", "json_syntax"),
    ];
    let mut all: Vec<(&str, Vec<u8>)> = values.iter().map(|(key, value, _)| (*key, value.to_vec())).collect();
    // Integers are what django-redis leaves unpickled; in MessagePack this would be 53.
    all.push(("doc:five", b"5".to_vec()));
    let whole =
        docs("").replace(", {{ name = \"size\", from = [\"$.size\"] }}", "").replace("[\"$.size\"]", "[{ value = 1 }]");
    let (case, run) = load(&whole, &all, 3);
    assert_eq!(case.sql("SELECT id, doc FROM docs"), "five|5");
    for (key, _, reason) in values {
        assert_eq!(run.reject(key)["reason"], reason, "{run}");
    }
    // Whatever it is, it was kept as it was read.
    assert_eq!(
        case.sql("SELECT encode(value, 'hex') FROM redis2pg.rejects WHERE key = 'doc:pickle5'").split('\n').next(),
        Some("8005950a")
    );
}

#[test]
fn json_in_a_string_is_unwrapped_once_or_refused() {
    let values = [
        ("doc:object", br#""{\"size\":5,\"n\":1.10}""#.to_vec()),
        ("doc:twice", br#""\"{\\\"size\\\":5}\"""#.to_vec()),
        ("doc:text", br#""plain""#.to_vec()),
        ("doc:array", br#""[1]""#.to_vec()),
        ("doc:nan", br#""{\"size\":NaN}""#.to_vec()),
        ("doc:plain", br#"{"size":6}"#.to_vec()),
    ];
    let (case, run) = load(&docs("unwrap_json_string = true"), &values, 3);
    assert_eq!(
        case.sql("SELECT id, size, doc FROM docs ORDER BY id"),
        "object|5|{\"n\": 1.10, \"size\": 5}\nplain|6|{\"size\": 6}"
    );
    for (key, reason) in [
        ("doc:twice", "json_not_object (string)"),
        ("doc:text", "json_not_object (string)"),
        ("doc:array", "json_not_object (array)"),
        ("doc:nan", "json_nonfinite"),
    ] {
        assert_eq!(run.reject(key)["reason"], reason, "{run}");
    }
    assert_eq!(run.report["tally"]["altered"], serde_json::json!({"unwrap_json_string": 1}), "{run}");
    let (case, run) = load(&docs(""), &values, 3);
    assert_eq!(case.sql("SELECT id FROM docs"), "plain", "{run}");
    assert_eq!(run.reasons("docs"), [("json_not_object (string)".to_owned(), 5)].into());
}
