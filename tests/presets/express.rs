//! Sessions of express-session in connect-redis.

use super::{MANY, left, moved, same_expiry, set};
use serde_json::{Value, json};

fn id(i: usize) -> String {
    format!("kS-_x{i:0>27}")
}

fn session(i: usize) -> Value {
    let cookie = match i % 3 {
        0 => {
            json!({"originalMaxAge": 86_400_000, "expires": "2030-01-02T03:04:05.678Z", "httpOnly": true, "path": "/"})
        }
        1 => json!({"originalMaxAge": null, "expires": null, "httpOnly": true, "path": "/"}),
        _ => json!({"originalMaxAge": false, "expires": false, "secure": true, "path": "/", "sameSite": "lax"}),
    };
    json!({"cookie": cookie, "passport": {"user": format!("user-{i}")}, "cart": [i, "é"], "views": i})
}

#[test]
fn sessions_are_loaded_with_redis_time_of_expiry() {
    let (case, run) = moved("express-sessions", 0, |redis| {
        for i in 0..MANY {
            // With `disableTTL` there is none.
            let ttl = (i % 5 != 0).then_some(86_400 + i as u32);
            set(redis, &format!("sess:{}", id(i)), session(i).to_string().as_bytes(), ttl);
        }
        redis.set("session:7", "{}");
        redis.set("myapp:sess:7", "{}");
    });
    assert_eq!((run.count("express_sessions", "inserted"), left(&run)), (MANY as i64, (2, 0)), "{run}");
    let rows = case.json("SELECT jsonb_object_agg(id, data) FROM express.sessions");
    assert_eq!(rows, Value::Object((0..MANY).map(|i| (id(i), session(i))).collect()));
    let cookie = |i: usize| {
        let columns = "extract(epoch FROM cookie_expires), original_max_age_ms";
        case.sql(&format!("SELECT {columns} FROM express.sessions WHERE id = '{}'", id(i)))
    };
    assert_eq!([cookie(3), cookie(4), cookie(5)], ["1893553445.678000|86400000", "|", "|"]);
    for i in [5, 6, 7] {
        same_expiry(&case, &format!("sess:{}", id(i)), "express.sessions", &format!("id = '{}'", id(i)));
    }
}

#[test]
fn no_session_is_lost_because_of_what_its_cookie_says() {
    let cookies = [
        r#"{"expires":"Thu, 01 Jan 2030 00:00:00 GMT","originalMaxAge":"a day"}"#,
        r#"{"expires":"","originalMaxAge":""}"#,
        r#"{"expires":1893456000000,"originalMaxAge":[1]}"#,
        r#"{"expires":{"at":1},"originalMaxAge":true}"#,
        r#"{}"#,
        r#""none""#,
        "null",
    ];
    let (case, run) = moved("express-sessions", 0, |redis| {
        for (i, cookie) in cookies.iter().enumerate() {
            set(redis, &format!("sess:{i}"), format!(r#"{{"cookie":{cookie},"user":{i}}}"#).as_bytes(), Some(60));
        }
        let text = br#"{"cookie":{"expires":"2030-01-02T03:04:05+01:00","originalMaxAge":"1.5"}}"#;
        set(redis, "sess:offset", text, Some(60));
    });
    let both =
        "SELECT id, data->'cookie' FROM express.sessions WHERE cookie_expires IS NULL AND original_max_age_ms IS NULL";
    assert_eq!(case.number(&format!("SELECT count(*) FROM ({both}) t")), cookies.len() as i64, "{run}");
    let read =
        "SELECT extract(epoch FROM cookie_expires), original_max_age_ms FROM express.sessions WHERE id = 'offset'";
    assert_eq!(case.sql(read), "1893549845.000000|1.5");
}

#[test]
fn what_is_no_session_is_rejected() {
    let (case, run) = moved("express-sessions", 3, |redis| {
        set(redis, "sess:good", session(0).to_string().as_bytes(), Some(60));
        set(redis, "sess:text", b"hello", Some(60));
        set(redis, "sess:array", b"[]", Some(60));
        set(redis, "sess:date", br#"{"cookie":{"expires":"2030-02-30T00:00:00.000Z"}}"#, Some(60));
        set(redis, "sess:", b"{}", Some(60));
    });
    assert_eq!(case.sql("SELECT id FROM express.sessions"), "good");
    for (key, reason) in [
        ("sess:text", "json_syntax"),
        ("sess:array", "json_not_object (array)"),
        ("sess:date", "timestamp_range"),
        ("sess:", "key_empty_id"),
    ] {
        assert_eq!(run.reject(key)["reason"], reason, "{run}");
    }
}
