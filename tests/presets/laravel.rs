//! Laravel's cache and sessions, as its Redis store writes them.

use super::php::{serialize, string};
use super::{MANY, add, left, moved, same_expiry, set};
use serde_json::{Value, json};

/// The prefixes of the releases, each with what stands between them and the name of an entry.
const PREFIXES: [&str; 4] = [
    "laravel_database_laravel_cache:",
    "laravel_database_laravel_cache_:",
    "laravel_database_laravel_cache_",
    "laravel-database-laravel-cache-",
];

fn value(i: usize) -> Value {
    match i % 6 {
        0 => json!(i),
        1 => json!(format!("Zoë \"{i}\"")),
        2 => json!({"id": i, "tags": ["a", "b"], "price": 9.5, "ok": true, "none": null}),
        3 => json!([{"id": i}, {"id": i + 1}]),
        4 => json!(i.is_multiple_of(4)),
        _ => json!(0.25 + i as f64),
    }
}

/// As the store writes a value: numbers as they are, all else serialized.
fn stored(value: &Value) -> String {
    if value.is_number() { value.to_string() } else { serialize(value) }
}

#[test]
fn scalars_arrays_and_bare_numbers_of_the_cache_are_loaded() {
    let entries: Vec<(String, Value)> = (0..MANY).map(|i| (format!("posts:{i}"), value(i))).collect();
    let (case, run) = moved("laravel-cache", 0, |redis| {
        for (i, (name, value)) in entries.iter().enumerate() {
            set(redis, &format!("{}{name}", PREFIXES[i % 4]), stored(value).as_bytes(), (i % 3 != 0).then_some(600));
        }
        for prefix in PREFIXES {
            add(redis, "ZADD", &format!("{prefix}tag:people:entries"), &[b"-1", b"9f2:posts:1"]);
            set(redis, &format!("{prefix}tag:people:key"), string("65b1f0c2a7d3e812345678").as_bytes(), None);
            set(redis, &format!("{prefix}laravel_unique_job:App\\Jobs\\Sync:7"), b"aBcDeFgHiJkLmNoP", Some(60));
            set(redis, &format!("{prefix}laravel-queue-overlap:App\\Jobs\\Sync"), b"aBcDeFgHiJkLmNoP", Some(60));
            set(redis, &format!("{prefix}framework/schedule-eeb46c93"), b"aBcDeFgHiJkLmNoP", Some(60));
            set(redis, &format!("{prefix}illuminate:cache:flexible:lock:posts"), b"aBcDeFgHiJkLmNoP", Some(60));
        }
        add(redis, "RPUSH", "laravel_database_queues:default", &[b"{}"]);
    });
    assert_eq!((run.count("laravel_entries", "inserted"), left(&run)), (MANY as i64, (25, 24)), "{run}");
    let rows = case.json("SELECT jsonb_object_agg(key, value) FROM laravel.cache");
    assert_eq!(rows, Value::Object(entries.into_iter().collect()));
    same_expiry(&case, "laravel_database_laravel_cache:posts:4", "laravel.cache", "key = 'posts:4'");
    same_expiry(&case, "laravel_database_laravel_cache_:posts:5", "laravel.cache", "key = 'posts:5'");
    same_expiry(&case, "laravel_database_laravel_cache_posts:6", "laravel.cache", "key = 'posts:6'");
}

#[test]
fn objects_are_rejected_and_numbers_of_other_spellings_are_kept_as_text() {
    let key = |name: &str| format!("{}{name}", PREFIXES[0]);
    let (case, run) = moved("laravel-cache", 3, |redis| {
        for (name, value) in [
            ("phone", &b"0612345678"[..]),
            ("large", b"12345678901234567890123"),
            ("rate", b"1.50"),
            ("code", b"12e3"),
            ("hash", b"0e462097431906509019562988736854"),
            ("float", b"1.0E+25"),
            ("object", br#"O:8:"stdClass":1:{s:1:"a";i:1;}"#),
            ("inside", br#"a:1:{s:4:"user";O:15:"App\Models\User":0:{}}"#),
            ("reference", b"a:2:{i:0;s:1:\"x\";i:1;R:2;}"),
            ("bytes", b"s:2:\"\xff\xd8\";"),
            ("cut", br#"a:2:{s:1:"a";i:1;"#),
            ("lock", b"aBcDeFgHiJkLmNoP"),
            ("empty", b""),
        ] {
            set(redis, &key(name), value, None);
        }
    });
    assert_eq!(
        case.sql("SELECT key, value FROM laravel.cache ORDER BY key"),
        "code|\"12e3\"\nfloat|10000000000000000000000000\nhash|\"0e462097431906509019562988736854\"\n\
         large|12345678901234567890123\nphone|\"0612345678\"\nrate|1.50"
    );
    for (name, reason) in [
        ("object", "encoding_unsupported (php_object)"),
        ("inside", "encoding_unsupported (php_object)"),
        ("reference", "encoding_unsupported (php_reference)"),
        ("bytes", "encoding_bytes_in_json"),
        ("cut", "php_syntax"),
        ("lock", "php_syntax"),
        ("empty", "empty_value"),
    ] {
        assert_eq!(run.reject(&key(name))["reason"], reason, "{run}");
    }
}

/// An id of a session: 40 letters and digits.
fn id(i: usize) -> String {
    format!("Ab9{i:0>37}")
}

fn session(i: usize) -> Value {
    let mut attributes = json!({
        "_token": format!("token{i}"),
        "_previous": {"url": format!("https://shop.example/é?page={i}")},
        "_flash": {"old": [], "new": []},
    });
    if i.is_multiple_of(2) {
        attributes["login_web_59ba36addc2b2f9401580f014c7f58ea4e30989d"] = json!(1000 + i);
    }
    attributes
}

#[test]
fn sessions_are_a_serialized_string_of_serialized_attributes() {
    let (case, run) = moved("laravel-sessions", 3, |redis| {
        for i in 0..MANY {
            let payload = string(&serialize(&session(i)));
            set(redis, &format!("{}{}", PREFIXES[i % 4], id(i)), payload.as_bytes(), Some(7200));
        }
        let bad = |name: usize| format!("{}{}", PREFIXES[0], id(900 + name));
        let errors = r#"a:1:{s:6:"errors";O:31:"Illuminate\Support\ViewErrorBag":0:{}}"#;
        set(redis, &bad(0), string(errors).as_bytes(), Some(7200));
        set(redis, &bad(1), b"s:999:\"a:0:{}\";", Some(7200));
        set(redis, &bad(2), string("eyJpdiI6IkFCQ0QiLCJ2YWx1ZSI6IkVGR0gifQ==").as_bytes(), Some(7200));
        set(redis, &bad(3), b"5", Some(7200));
        set(redis, &bad(4), string("a:0:{}").as_bytes(), Some(7200));
        // Entries of the cache that share the database.
        set(redis, "laravel_database_laravel_cache:posts", serialize(&json!([1])).as_bytes(), None);
    });
    assert_eq!((run.count("laravel_sessions", "inserted"), left(&run)), (MANY as i64, (1, 0)), "{run}");
    for (name, reason) in [
        (900, "encoding_unsupported (php_object)"),
        (901, "php_syntax"),
        (902, "php_syntax"),
        (903, "php_syntax"),
        (904, "json_not_object (array)"),
    ] {
        assert_eq!(run.reject(&format!("{}{}", PREFIXES[0], id(name)))["reason"], reason, "{run}");
    }
    let rows = case.json("SELECT jsonb_object_agg(id, attributes) FROM laravel.sessions");
    assert_eq!(rows, Value::Object((0..MANY).map(|i| (id(i), session(i))).collect()));
    let columns =
        |i: usize| case.sql(&format!("SELECT user_id, previous_url FROM laravel.sessions WHERE id = '{}'", id(i)));
    assert_eq!(
        (columns(2), columns(3)),
        ("1002|https://shop.example/é?page=2".into(), "|https://shop.example/é?page=3".into())
    );
    same_expiry(&case, &format!("{}{}", PREFIXES[1], id(5)), "laravel.sessions", &format!("id = '{}'", id(5)));
}
