//! Values beyond what memory holds: they go through files, and arrive byte for byte.

use crate::support;

use std::fs;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::{Case, Client};

const TABLES: &str = "SET ROLE redis2pg;
    CREATE TABLE files (id text PRIMARY KEY, digest text, kind text, content bytea NOT NULL);
    CREATE TABLE texts (id text PRIMARY KEY, content text NOT NULL);
    CREATE TABLE documents (id text PRIMARY KEY, content jsonb NOT NULL);";

const MAPPINGS: &str = r#"
[[mapping]]
name = "files"
match = "file:{id}"
into = "public.files"
key = ["id"]
decode = ["bytes"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "digest", from = ["redis.digest"] },
  { name = "content", from = ["value"] },
  { name = "kind", from = [{ value = "file" }] },
]

[[mapping]]
name = "texts"
match = "text:{id}"
into = "public.texts"
key = ["id"]
decode = ["text"]
column = [{ name = "id", from = ["{id}"] }, { name = "content", from = ["value"] }]

[[mapping]]
name = "documents"
match = "doc:{id}"
into = "public.documents"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "content", from = ["$"] }]
"#;

/// Strings of more than 700 kB go through files.
const MEMORY: [&str; 2] = ["--memory", "8MiB"];

fn case() -> (Case, Client) {
    let case = Case::new();
    case.sql(TABLES);
    let redis = case.redis();
    (case, redis)
}

/// Sets a key to `bytes` bytes that are not all the same, made by the server itself.
fn make(redis: &mut Client, key: &str, bytes: usize) {
    const SCRIPT: &str = "local size = tonumber(ARGV[1]) redis.call('DEL', KEYS[1]) local at = 0 \
        while at < size do local piece = tostring(at) .. string.rep('é', 50000) \
        piece = string.sub(piece, 1, size - at) redis.call('APPEND', KEYS[1], piece) at = at + #piece end return at";
    let size = bytes.to_string();
    let made = redis.integer(&[b"EVAL", SCRIPT.as_bytes(), b"1", key.as_bytes(), size.as_bytes()]);
    assert_eq!(usize::try_from(made), Ok(bytes));
}

/// The SHA-256 of what Redis holds.
fn sha256(redis: &mut Client, key: &str) -> String {
    redis2pg::model::sha256_hex(&redis.bytes(&[b"GET", key.as_bytes()]))
}

#[test]
fn large_strings_arrive_byte_for_byte_and_a_second_run_finds_them_unchanged() {
    let (case, mut redis) = case();
    make(&mut redis, "file:1", 40_000_000);
    // Whole pieces of a mebibyte, and one byte more.
    make(&mut redis, "file:2", 3 << 20);
    make(&mut redis, "file:3", (3 << 20) + 1);
    assert_eq!(redis.integer(&[b"SETRANGE", b"file:3", b"5", b"\xff\0\xfe"]), (3 << 20) + 1);
    redis.set("file:4", "small");
    // An even number of two-byte characters behind the number: it does not end in half of one.
    make(&mut redis, "text:1", 8_000_001);
    let outcome = case.run_config(MAPPINGS, &[&MEMORY[..], &["--dry-run"]].concat()).exits(0);
    assert_eq!(outcome.total("would_load"), 5);
    let outcome = case.run_config(MAPPINGS, &MEMORY).exits(0);
    assert_eq!(outcome.total("inserted"), 5);
    for id in ["1", "2", "3", "4"] {
        let expected = sha256(&mut redis, &format!("file:{id}"));
        let hash = case.sql(&format!("SELECT encode(sha256(content), 'hex') FROM files WHERE id = '{id}'"));
        assert_eq!(hash, expected, "file:{id}");
        let digest = case.sql(&format!("SELECT digest FROM files WHERE id = '{id}'"));
        assert_eq!(digest, expected[..32], "file:{id}");
    }
    let hash = case.sql("SELECT encode(sha256(convert_to(content, 'UTF8')), 'hex') FROM texts");
    assert_eq!(hash, sha256(&mut redis, "text:1"));
    let before = (case.xmins("files"), case.xmins("texts"));
    let again = case.run_config(MAPPINGS, &MEMORY).exits(0);
    assert_eq!((again.total("unchanged"), again.total("matched")), (5, 5));
    assert_eq!((case.xmins("files"), case.xmins("texts")), before, "nothing was written");
    assert_eq!(redis.integer(&[b"APPEND", b"file:1", b"!"]), 40_000_001);
    let changed = case.run_config(MAPPINGS, &MEMORY).exits(0);
    assert_eq!((changed.total("unchanged"), changed.total("updated")), (4, 1));
    let hash = case.sql("SELECT encode(sha256(content), 'hex') FROM files WHERE id = '1'");
    assert_eq!(hash, sha256(&mut redis, "file:1"));
}

#[test]
fn what_a_column_cannot_hold_is_rejected_with_size_and_hash() {
    let (case, mut redis) = case();
    make(&mut redis, "text:bad", 2_000_001);
    redis.integer(&[b"SETRANGE", b"text:bad", b"1500000", b"\xff"]);
    make(&mut redis, "text:nul", 2_000_001);
    redis.integer(&[b"SETRANGE", b"text:nul", b"0", b"\0"]);
    // Never read: Redis makes it of zeros where nothing was written.
    let over = (64 << 20) + 1;
    redis.integer(&[b"SETRANGE", b"doc:huge", (over - 1).to_string().as_bytes(), b"1"]);
    redis.set("doc:small", "[1]");
    let list = format!("[{}1]", "1,".repeat(1_000_000));
    redis.set("doc:large", &list);
    let outcome = case.run_config(MAPPINGS, &MEMORY).exits(3);
    assert_eq!((outcome.total("matched"), outcome.total("inserted")), (5, 2));
    let hash = sha256(&mut redis, "text:bad");
    let bad = outcome.reject("text:bad");
    assert_eq!((bad["reason"].as_str(), bad["value_bytes"].as_i64()), (Some("invalid_utf8"), Some(2_000_001)));
    assert_eq!((bad["value_sha256"].as_str(), bad["value"].is_null()), (Some(hash.as_str()), true));
    assert!(bad["detail"].as_str().unwrap().contains("at byte 1"), "{bad}");
    let nul = outcome.reject("text:nul");
    assert_eq!((nul["reason"].as_str(), nul["column"].as_str()), (Some("text_nul"), Some("content")));
    let huge = outcome.reject("doc:huge");
    assert_eq!((huge["reason"].as_str(), huge["value"].is_null()), (Some("value_too_large"), true));
    assert!(huge["detail"].as_str().unwrap().contains(&over.to_string()), "{huge}");
    assert_eq!(case.number("SELECT jsonb_array_length(content) FROM documents WHERE id = 'large'"), 1_000_001);
    let kept = "SELECT value IS NULL, value_size, value_hash FROM redis2pg.rejects WHERE key = 'text:bad'";
    assert_eq!(case.sql(kept), format!("t|2000001|{hash}"));
}

#[test]
fn a_string_that_keeps_changing_while_it_is_read_is_rejected_and_loaded_once_it_is_quiet() {
    let (case, mut redis) = case();
    make(&mut redis, "file:busy", 10_000_000);
    redis.set("file:calm", "small");
    let (done, mut writer) = (Arc::new(AtomicBool::new(false)), case.redis());
    let stop = done.clone();
    let writing = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            writer.integer(&[b"SETRANGE", b"file:busy", b"5000000", b"x"]);
            std::thread::sleep(Duration::from_micros(200));
        }
    });
    let outcome = case.run_config(MAPPINGS, &MEMORY);
    done.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    let outcome = outcome.exits(3);
    assert_eq!(outcome.reject("file:busy")["reason"], "changed_while_read");
    assert_eq!((outcome.total("inserted"), case.number("SELECT count(*) FROM files")), (1, 1));
    let outcome = case.run_config(MAPPINGS, &MEMORY).exits(0);
    assert_eq!((outcome.total("inserted"), outcome.total("unchanged")), (1, 1));
    let hash = case.sql("SELECT encode(sha256(content), 'hex') FROM files WHERE id = 'busy'");
    assert_eq!(hash, sha256(&mut redis, "file:busy"));
}

/// The first large value among many small ones is not read with them.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_size_of_a_value() {
    let (case, mut redis) = case();
    let small: Vec<_> = (0..5000).map(|i| (format!("file:{i}"), "x".repeat(100))).collect();
    redis.set_many(&small);
    redis.integer(&[b"SETRANGE", b"file:large", b"119999999", b"x"]);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    fs::write(&config, MAPPINGS).unwrap();
    let mut run = case.command();
    run.args(["run", "--from", &case.source, "--to", &case.target, "--progress", "none"]).args(MEMORY);
    let mut child = run.arg("--config").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = mark.and_then(|mark| mark.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(peak);
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(case.sql("SELECT count(*), max(length(content)) FROM files"), "5001|120000000");
    assert!((1..100 << 10).contains(&peak), "{peak} KiB at most");
}
