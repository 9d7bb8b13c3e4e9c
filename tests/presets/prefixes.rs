//! Presets as people change them: printed, with another prefix or another serializer written into them.

use super::php::{serialize, string};
use super::support::Case;
use super::{add, left, set};
use serde_json::json;
use std::process::Stdio;

/// What `config presets NAME` prints, with one text in the place of another.
fn changed(case: &Case, name: &str, from: &str, to: &str) -> String {
    let output = case.command().args(["config", "presets", name]).stderr(Stdio::inherit()).output().expect("redis2pg");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success() && text.contains(from), "{text}");
    text.replace(from, to)
}

#[test]
fn a_printed_preset_takes_the_prefix_that_is_written_into_it() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set("site:1:page", "{\"a\":1}");
    set(&mut redis, "shop_database_shop_cache_post", serialize(&json!({"a": 1})).as_bytes(), None);
    set(&mut redis, "shop_database_shop_cache_tag:x:key", b"s:1:\"a\";", None);
    add(&mut redis, "HSET", "{bull}:mail:1", &[b"name", b"send"]);
    add(&mut redis, "HSET", "{bull}:mail:meta", &[b"a", b"1"]);
    add(
        &mut redis,
        "HSET",
        "app:sessions:s1",
        &[b"creationTime", b"1700000000123", b"lastAccessedTime", b"1700000000123", b"maxInactiveInterval", b"1800"],
    );
    redis.set("app:sessions:expires:s1", "");
    add(&mut redis, "ZADD", "app:retry", &[b"1700000000", br#"{"class":"A","jid":"j"}"#]);
    for (name, from, to, set_apart) in [
        ("django-cache", "\":{version", "\"site:{version", 0),
        ("laravel-cache", "laravel_database_laravel_cache", "shop_database_shop_cache", 1),
        ("bullmq", "bull:{queue}", "{{bull}}:{queue}", 1),
        ("spring-session", "spring:session:", "app:", 1),
        ("sidekiq", "{set:", "app:{set:", 0),
    ] {
        let run = case.run_config(&changed(&case, name, from, to), &[]).exits(0);
        assert_eq!((run.total("inserted"), left(&run)), (1, (7, set_apart)), "{name}: {run}");
    }
}

#[test]
fn the_other_serializers_that_the_page_names_are_read() {
    let case = Case::new();
    let mut redis = case.redis();
    // {"a": 1} in MessagePack, an integer, and a pickle.
    set(&mut redis, ":1:packed", b"\x81\xa1a\x01", None);
    set(&mut redis, ":1:five", b"5", None);
    let config =
        changed(&case, "django-cache", r#""zlib?""#, r#""number?", "zlib?""#).replace(r#""json"]"#, r#""msgpack"]"#);
    case.run_config(&config, &[]).exits(0);
    assert_eq!(case.sql("SELECT key, value FROM django.cache ORDER BY key"), "five|5\npacked|{\"a\": 1}");

    set(&mut redis, ":1:pickled", b"\x80\x05}.", None);
    let bytes = r#"{ name = "value", type = "bytea", from = "value" }"#;
    let config = changed(&case, "django-cache", r#"{ name = "value", type = "jsonb", from = "$" }"#, bytes)
        .replace(r#"["zlib?", "gzip?", "zstd?", "lz4?", "json"]"#, r#"["bytes"]"#)
        .replace("django.cache", "django.bytes");
    case.run_config(&config, &[]).exits(0);
    assert_eq!(case.sql("SELECT value FROM django.bytes WHERE key = 'pickled'"), "\\x80057d2e");

    let id = "aB3x".repeat(10);
    let payload = string(r#"{"_token":"é","_flash":{"old":[],"new":[]}}"#);
    set(&mut redis, &format!("laravel-database-laravel-cache-{id}"), payload.as_bytes(), Some(60));
    let config = changed(&case, "laravel-sessions", r#"["php_string", "php"]"#, r#"["php_string", "json"]"#);
    case.run_config(&config, &[]).exits(0);
    assert_eq!(case.sql("SELECT id, attributes->>'_token' FROM laravel.sessions"), format!("{id}|é"));
}
