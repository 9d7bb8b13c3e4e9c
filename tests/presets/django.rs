//! Django's cache, as django-redis and Django's own RedisCache write it.

use super::{MANY, left, moved, same_expiry, set};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};
use std::io::Write;

type Compress = fn(&[u8]) -> Vec<u8>;

/// The compressors of django-redis that have a reader here, and the one that does not compress.
const COMPRESSORS: [Compress; 5] = [<[u8]>::to_vec, zlib, gzip, lz4, zstd];

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut writer = ZlibEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut writer = lz4_flex::frame::FrameEncoder::new(Vec::new());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

/// As django-redis writes a value: integers as they are, short values uncompressed.
fn encoded(value: &Value, compress: Compress) -> Vec<u8> {
    let json = value.to_string().into_bytes();
    if value.is_i64() || json.len() <= 15 { json } else { compress(&json) }
}

fn value(i: usize) -> Value {
    match i % 6 {
        0 => json!(i),
        1 => json!(-7 - i as i64),
        2 => json!(i.is_multiple_of(4)),
        3 => json!({"user": i, "name": format!("Zoë {i}"), "cart": [1, 2, 3], "total": 19.5, "none": null}),
        4 => json!(format!("<li>item {i}</li>").repeat(i)),
        _ => json!([]),
    }
}

#[test]
fn json_and_integers_are_loaded_whatever_the_compressor() {
    let entries: Vec<(String, Value)> = (0..MANY).map(|i| (format!("views.page:{i}:fr"), value(i))).collect();
    let (case, run) = moved("django-cache", 0, |redis| {
        for (i, (name, value)) in entries.iter().enumerate() {
            let ttl = (i % 3 == 0).then_some(300 + i as u32);
            set(redis, &format!(":{}:{name}", 1 + i % 2), &encoded(value, COMPRESSORS[i % COMPRESSORS.len()]), ttl);
        }
        // Other applications' keys, and those of a cache with a KEY_PREFIX.
        redis.set("site:1:views.page:1:fr", "{}");
        redis.set("user:7", "{}");
    });
    assert_eq!((run.count("django_entries", "inserted"), left(&run)), (MANY as i64, (2, 0)));
    for version in [1, 2] {
        let rows =
            case.json(&format!("SELECT jsonb_object_agg(key, value) FROM django.cache WHERE version = {version}"));
        let wanted = entries.iter().enumerate().filter(|(i, _)| 1 + i % 2 == version).map(|(_, entry)| entry.clone());
        assert_eq!(rows, Value::Object(wanted.collect()));
    }
    same_expiry(&case, ":1:views.page:6:fr", "django.cache", "version = 1 AND key = 'views.page:6:fr'");
    same_expiry(&case, ":2:views.page:1:fr", "django.cache", "version = 2 AND key = 'views.page:1:fr'");
}

#[test]
fn pickles_are_told_by_name_packed_or_not_and_integers_beside_them_are_loaded() {
    // pickle.dumps({"a": 1}, 5) and, of protocol 0, pickle.dumps("x", 0).
    let pickle = b"\x80\x05\x95\x0a\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94K\x01s.";
    let (case, run) = moved("django-cache", 3, |redis| {
        set(redis, ":1:counter", b"41", None);
        set(redis, ":1:pickled", pickle, Some(300));
        set(redis, ":1:old", b"Vx\np0\n.", Some(300));
        for (name, compress) in [("zlib", zlib as Compress), ("gzip", gzip), ("lz4", lz4), ("zstd", zstd)] {
            set(redis, &format!(":1:{name}"), &compress(pickle), Some(300));
        }
        set(redis, ":1:lzma", b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46", None);
        set(redis, ":1:msgpack", b"\x82\xa1a\x01\xa1b\xc3", None);
        let mut cut = zlib(br#"{"a": "bbbbbbbbbbbbbbbb"}"#);
        cut.truncate(12);
        set(redis, ":1:cut", &cut, None);
        // A lock of django-redis holds a token.
        set(redis, ":1:lock", b"6b1f2c04a5e711ee8c990242ac120002", Some(30));
    });
    assert_eq!(case.sql("SELECT version, key, value FROM django.cache"), "1|counter|41");
    let reasons = run.reasons("django_entries");
    assert_eq!(reasons["encoding_unsupported (pickle)"], 6, "{run}");
    for (key, reason) in [
        (":1:zstd", "encoding_unsupported (pickle)"),
        (":1:lzma", "encoding_unsupported (xz)"),
        (":1:msgpack", "invalid_utf8"),
        (":1:cut", "decompress_failed"),
        (":1:lock", "json_syntax"),
    ] {
        assert_eq!(run.reject(key)["reason"], reason, "{run}");
    }
}
