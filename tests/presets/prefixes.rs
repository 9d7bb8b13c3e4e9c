//! Presets as people change them: printed, with another prefix written into them.

use super::php::serialize;
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
