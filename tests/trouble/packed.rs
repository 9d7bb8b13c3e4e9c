//! Values that are packed, or in another notation than JSON.

use crate::expected::{Lineage, Table};
use crate::json::{At, Hole, quoted};
use crate::keyspace::{Entry, Held, Keyspace, Row};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use std::io::Write;

pub(crate) const TABLES: [Table; 5] = [
    table("packed", "public.packed", &["id", "doc"]),
    table("msgs", "public.msgs", &["id", "doc"]),
    table("phps", "public.phps", &["id", "doc"]),
    table("notes", "public.notes", &["id", "note"]),
    table("blobs", "public.blobs", &["encode(key, 'hex') AS key", "raw"]),
];

const fn table(name: &'static str, target: &'static str, columns: &'static [&'static str]) -> Table {
    let blobs = target.as_bytes()[7] == b'b';
    let key: &[&str] = if blobs { &["key"] } else { &["id"] };
    Table { name, target, key, columns, lineage: Lineage::Ledger, whole: true }
}

pub(crate) const SQL: &str = "
CREATE TABLE packed (id text PRIMARY KEY, doc jsonb);
CREATE TABLE msgs (id text PRIMARY KEY, doc jsonb);
CREATE TABLE phps (id text PRIMARY KEY, doc jsonb);
CREATE TABLE notes (id text PRIMARY KEY, note varchar(40));
CREATE TABLE blobs (key bytea PRIMARY KEY, raw bytea);
";

pub(crate) const MAPPINGS: &str = r#"
[[mapping]]
name = "packed"
match = "packed:{id..}"
into = "public.packed"
key = "id"
decode = ["strip?:gz:", "zstd?", "zlib?", "gzip?", "lz4?", "snappy?", "json"]
max_inflated = "64KiB"
column = [{ name = "id", from = "{id}" }, { name = "doc", from = "$" }]

[[mapping]]
name = "msgs"
match = "msg:{id..}"
into = "public.msgs"
key = "id"
decode = ["zstd?", "msgpack"]
column = [{ name = "id", from = "{id}" }, { name = "doc", from = "$" }]

[[mapping]]
name = "phps"
match = "php:{id..}"
into = "public.phps"
key = "id"
decode = ["strip:v1:", "php"]
column = [{ name = "id", from = "{id}" }, { name = "doc", from = "$" }]

[[mapping]]
name = "notes"
match = "note:{id..}"
into = "public.notes"
key = "id"
decode = ["base64", "gzip", "text"]
column = [{ name = "id", from = "{id}" }, { name = "note", from = "value" }]

[[mapping]]
name = "blobs"
match = "blob:{id..}"
into = "public.blobs"
key = "key"
decode = ["bytes"]
column = [{ name = "key", from = "redis.key" }, { name = "raw", from = "value" }]
"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut writer = ZlibEncoder::new(Vec::new(), Compression::fast());
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

fn base64(bytes: &[u8]) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes).into_bytes()
}

type Packer = fn(&[u8]) -> Vec<u8>;

const PACKERS: [Packer; 6] = [gzip, zlib, zstd, lz4, snappy, |bytes| [b"gz:".as_slice(), &zlib(bytes)].concat()];

/// A short text as MessagePack has it.
fn packed_text(text: &[u8]) -> Vec<u8> {
    [&[0xd9, u8::try_from(text.len()).unwrap()], text].concat()
}

/// A map of MessagePack, and the JSON that it is.
fn message(space: &mut Keyspace) -> (Vec<u8>, String) {
    let (name, number) = (space.random.text(6), space.random.below(1 << 30));
    let mut bytes = vec![0x85, 0x01];
    bytes.extend(packed_text(name.as_bytes()));
    bytes.extend(b"\xa4size\xce");
    bytes.extend(u32::try_from(number).unwrap().to_be_bytes());
    // The largest integer, a timestamp, and an array of nothing, true and a float.
    bytes.extend(b"\xa3max\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1t\xd6\xff\x65\x93\x53\x80\xa1l\x93\xc0\xc3\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a");
    let json = format!(
        "{{\"1\":{},\"size\":{number},\"max\":18446744073709551615,\"t\":\"2024-01-02T00:06:24Z\",\"l\":[null,true,0.1]}}",
        quoted(&name)
    );
    (bytes, json)
}

/// An array as PHP serializes it, and the JSON that it is.
fn serialized(space: &mut Keyspace) -> (Vec<u8>, String) {
    let (name, number) = (space.random.text(5), space.random.below(1000));
    let length = name.len();
    let text = format!(
        "v1:a:3:{{s:4:\"name\";s:{length}:\"{name}\";s:4:\"tags\";a:2:{{i:0;i:{number};i:1;b:1;}}s:1:\"x\";N;}}"
    );
    (text.into_bytes(), format!("{{\"name\":{},\"tags\":[{number},true],\"x\":null}}", quoted(&name)))
}

fn note(space: &mut Keyspace) -> (Vec<u8>, String) {
    let length = space.random.below(40);
    let text = space.random.text(length);
    (base64(&gzip(text.as_bytes())), text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn fill(space: &mut Keyspace, good: usize) {
    for place in 0..good {
        let id = space.id();
        let entry = match place % 5 {
            0 => {
                let text = Hole::new(&mut space.random, At::Value, false).text("[]");
                let pack = space.random.below(PACKERS.len() + 1);
                let bytes = PACKERS.get(pack).map_or_else(|| text.clone().into_bytes(), |pack| pack(text.as_bytes()));
                let row = Row::full("packed", [&id, &text]);
                Entry::new("packed", format!("packed:{id}"), Held::Text(bytes)).loaded(row)
            }
            1 => {
                let (bytes, json) = message(space);
                let bytes = if space.random.once_in(3) { zstd(&bytes) } else { bytes };
                Entry::new("msgs", format!("msg:{id}"), Held::Text(bytes)).loaded(Row::full("msgs", [&id, &json]))
            }
            2 => {
                let (bytes, json) = serialized(space);
                Entry::new("phps", format!("php:{id}"), Held::Text(bytes)).loaded(Row::full("phps", [&id, &json]))
            }
            3 => {
                let (bytes, text) = note(space);
                Entry::new("notes", format!("note:{id}"), Held::Text(bytes)).loaded(Row::full("notes", [&id, &text]))
            }
            _ => blob(space, &id),
        };
        space.put(entry);
    }
}

/// Any bytes under a key of any bytes.
fn blob(space: &mut Keyspace, id: &str) -> Entry {
    let bytes: Vec<u8> = (0..space.random.below(300)).map(|_| u8::try_from(space.random.below(256)).unwrap()).collect();
    let mut key = format!("blob:{id}").into_bytes();
    key.extend_from_slice(space.random.pick(&[&b""[..], b"\xff\x00", b"\0", b"\r\n", b"\xf0\x28"]));
    let row = Row::full("blobs", [&hex(&key), &format!("\\x{}", hex(&bytes))]);
    Entry::new("blobs", key, Held::Text(bytes)).loaded(row)
}

pub(crate) fn trouble(space: &mut Keyspace, times: usize) {
    for _ in 0..times {
        packed_trouble(space);
        for (value, reason) in [
            (&b"\x82\x01\xa1a\xa11\xa1b"[..], "duplicate_key_after_conversion"),
            (b"\x81\xa1x\xd4\x07\x00", "encoding_unsupported (msgpack_ext)"),
            (b"\x81\xa1x\xca\x7f\xc0\x00\x00", "json_nonfinite"),
            (b"\x81\xa1x\xc4\x01\xff", "encoding_bytes_in_json"),
            (b"\x81\xc3\x01", "msgpack_key"),
            (b"\x81\x90\x01", "msgpack_key"),
            (b"{\"size\":1}", "msgpack_syntax"),
            (b"\x81\xa1x", "msgpack_syntax"),
            (b"\x01\x02", "msgpack_syntax"),
            (b"\xc1", "msgpack_syntax"),
            (b"\x81\xa1x\xa2a\x00", "json_nul"),
            (b"", "empty_value"),
            (b"\x28\xb5\x2f\xfd\x04\x00", "decompress_failed"),
        ] {
            let id = space.id();
            let (bytes, json) = message(space);
            let entry = Entry::new("msgs", format!("msg:{id}"), Held::text(value)).rejected(&[reason]);
            space.put(entry.mended(Held::Text(bytes), Row::full("msgs", [&id, &json])));
        }
        for (value, reason) in [
            (&b"v1:O:8:\"stdClass\":1:{s:4:\"size\";i:7;}"[..], "encoding_unsupported (php_object)"),
            (b"v1:a:2:{i:0;a:0:{}i:1;R:2;}", "encoding_unsupported (php_reference)"),
            (b"v1:a:2:{i:1;i:5;s:1:\"1\";i:6;}", "duplicate_key_after_conversion"),
            (b"v1:a:1:{i:0;d:NAN;}", "json_nonfinite"),
            (b"v1:s:2:\"\xff\xfe\";", "encoding_bytes_in_json"),
            (b"v1:s:3:\"ab\";", "php_syntax"),
            (b"v1:i:5;i:6;", "php_syntax"),
            (b"v1:a:1:{i:0;", "php_syntax"),
            (b"v1:{}", "php_syntax"),
            (b"v1:s:2:\"a\0\";", "json_nul"),
            (b"v2:i:5;", "prefix_missing"),
            (b"", "empty_value"),
        ] {
            let id = space.id();
            let (bytes, json) = serialized(space);
            let entry = Entry::new("phps", format!("php:{id}"), Held::text(value)).rejected(&[reason]);
            space.put(entry.mended(Held::Text(bytes), Row::full("phps", [&id, &json])));
        }
        note_trouble(space);
    }
}

fn packed_trouble(space: &mut Keyspace) {
    let text = Hole::new(&mut space.random, At::Value, false).large(200).text("5");
    let mut broken: Vec<(Vec<u8>, &[&'static str])> = vec![
        (gzip(&vec![b' '; 1 << 17]), &["value_too_large"]),
        (zlib(&vec![b' '; (1 << 16) + 1]), &["value_too_large"]),
        (gzip(b"{\"a\":NaN}"), &["json_nonfinite"]),
        (gzip(b"{\"a\":\"\\u0000\"}"), &["json_nul"]),
        (lz4(b""), &["empty_value"]),
        (b"gz:{\"a\":1,}".to_vec(), &["json_syntax"]),
        // A valid header of zlib by chance.
        (b"x^2 is no JSON".to_vec(), &["json_syntax"]),
        (b"\x80\x05\x95\x0a".to_vec(), &["encoding_unsupported (pickle)"]),
    ];
    for (place, pack) in PACKERS.iter().take(4).enumerate() {
        let whole = pack(text.as_bytes());
        let end = 12 + space.random.below(whole.len() - 13);
        broken.push((whole[..end].to_vec(), &["decompress_failed"]));
        broken.push(([&whole[..], b"more"].concat(), &["decompress_failed"]));
        let mut damaged = whole.clone();
        let last = damaged.len() - 1;
        damaged[last] ^= 0x55;
        if place != 2 {
            // Their last bytes are a checksum, a size or an end mark; zstd has none here.
            broken.push((damaged, &["decompress_failed"]));
        }
    }
    for (bytes, reasons) in broken {
        let id = space.id();
        let entry = Entry::new("packed", format!("packed:{id}"), Held::Text(bytes)).rejected(reasons);
        space.put(entry.mended(Held::Text(zstd(text.as_bytes())), Row::full("packed", [&id, &text])));
    }
}

fn note_trouble(space: &mut Keyspace) {
    let mut padding = base64(&gzip(b"cut short"));
    padding.pop();
    for (value, reason) in [
        (b"not base64!".to_vec(), "base64"),
        (padding, "base64"),
        (base64(b"no gzip"), "decompress_failed"),
        (base64(&gzip(b"caf\xe9")), "invalid_utf8"),
        (base64(&gzip(b"a\0b")), "text_nul"),
        (base64(&gzip("é".repeat(41).as_bytes())), "too_long"),
        (base64(&gzip(format!("x{}", " ".repeat(40)).as_bytes())), "too_long"),
        (Vec::new(), "empty_value"),
    ] {
        let id = space.id();
        let (bytes, text) = note(space);
        let entry = Entry::new("notes", format!("note:{id}"), Held::Text(value)).rejected(&[reason]);
        space.put(entry.mended(Held::Text(bytes), Row::full("notes", [&id, &text])));
    }
}
