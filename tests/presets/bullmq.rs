//! Jobs of BullMQ and Bull, among all that a queue keeps beside them.

use super::support::Client;
use super::{MANY, add, left, moved, set};
use serde_json::{Value, json};

const AT: i64 = 1_700_000_000_123;

fn data(i: usize) -> Value {
    json!({"to": format!("zoë{i}@example.com"), "lines": [i, 1.5, null], "nested": {"a": "\"b\""}})
}

/// A job's hash: waiting, completed or failed, in the fields of BullMQ 5 or of Bull and earlier ones.
fn job(redis: &mut Client, key: &str, i: usize) {
    let (data, at, done) = (data(i).to_string(), (AT + i as i64).to_string(), (AT + 5000).to_string());
    let attempts = if i.is_multiple_of(2) { "atm" } else { "attemptsMade" };
    let mut fields: Vec<(&str, &str)> = vec![
        ("name", "send"),
        ("data", &data),
        ("opts", r#"{"attempts":3,"backoff":{"type":"fixed","delay":1000}}"#),
        ("timestamp", &at),
        ("delay", "1500.5"),
        ("priority", "2"),
    ];
    match i % 3 {
        0 => {}
        1 => fields.extend([
            ("processedOn", done.as_str()),
            ("finishedOn", &done),
            ("returnvalue", r#"{"sent":true}"#),
            (attempts, "1"),
            ("progress", "100"),
        ]),
        _ => fields.extend([
            ("processedOn", done.as_str()),
            ("finishedOn", &done),
            ("failedReason", "connect ECONNREFUSED"),
            (attempts, "3"),
            ("stacktrace", r#"["Error: connect\n    at a.js:1"]"#),
            ("progress", r#"{"step":2}"#),
            ("pb", "worker-1"),
        ]),
    }
    let words: Vec<&[u8]> = fields.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]).collect();
    add(redis, "HSET", key, &words);
}

/// What a queue keeps beside its jobs; gives how many keys by names of the queue, and how many below other names.
fn state(redis: &mut Client, queue: &str) -> (i64, i64) {
    let key = |name: &str| format!("bull:{queue}:{name}");
    for list in ["wait", "active", "paused"] {
        add(redis, "RPUSH", &key(list), &[b"1"]);
    }
    for zset in ["completed", "failed", "delayed", "prioritized", "waiting-children", "marker", "repeat"] {
        add(redis, "ZADD", &key(zset), &[b"1", b"2"]);
    }
    add(redis, "HSET", &key("meta"), &[b"opts.maxLenEvents", b"10000", b"version", b"bullmq:5.1.0"]);
    add(redis, "SADD", &key("stalled"), &[b"1"]);
    for string in ["id", "pc", "stalled-check", "limiter"] {
        set(redis, &key(string), b"7", None);
    }
    add(redis, "XADD", &key("events"), &[b"*", b"event", b"added", b"jobId", b"1"]);
    let hash = "dc8f96808dbf0ca8802f8088560e1ac4";
    add(redis, "HSET", &key(&format!("repeat:{hash}")), &[b"name", b"nightly", b"pattern", b"0 0 * * *"]);
    add(redis, "RPUSH", &key("1:logs"), &[b"started"]);
    set(redis, &key("1:lock"), b"token", Some(30));
    add(redis, "SADD", &key("1:dependencies"), &[b"bull:other:1"]);
    add(redis, "HSET", &key("1:processed"), &[b"bull:other:2", b"{}"]);
    add(redis, "HSET", &key("1:failed"), &[b"bull:other:3", b"no"]);
    add(redis, "ZADD", &key("a:b:unsuccessful"), &[b"1", b"bull:other:4"]);
    add(redis, "RPUSH", &key("a:b:logs"), &[b"started"]);
    add(redis, "HSET", &key("repeat:nightly:eu"), &[b"name", b"nightly"]);
    set(redis, &key("limiter:tenant:7"), b"1", None);
    add(redis, "HSET", &key("metrics:completed"), &[b"count", b"1"]);
    add(redis, "RPUSH", &key("metrics:completed:data"), &[b"1"]);
    set(redis, &key("de:order-7"), b"1", Some(30));
    (17, 13)
}

#[test]
fn jobs_are_loaded_and_the_state_of_their_queues_is_left_alone() {
    let repeated = "repeat:nightly:eu:1700000000000";
    let mut beside = (0, 0);
    let (case, run) = moved("bullmq", 0, |redis| {
        for i in 0..MANY {
            job(redis, &format!("bull:{}:{i}", ["mail", "image-resize"][i % 2]), i);
        }
        job(redis, "bull:mail:order-7", 1000);
        job(redis, &format!("bull:mail:{repeated}"), 1001);
        job(redis, "bull:mail:order:7:eu", 1002);
        for queue in ["mail", "image-resize"] {
            let (of_queue, of_jobs) = state(redis, queue);
            beside = (beside.0 + of_queue, beside.1 + of_jobs);
        }
    });
    assert_eq!(
        (run.count("bullmq_jobs", "inserted"), left(&run)),
        (MANY as i64 + 3, (beside.0 + beside.1, beside.0 + beside.1)),
        "{run}"
    );
    let rows = case.json("SELECT jsonb_object_agg(id, data) FROM bullmq.jobs WHERE id ~ '^[0-9]+$'");
    assert_eq!(rows, Value::Object((0..MANY).map(|i| (i.to_string(), data(i))).collect()));
    let row = |id: &str, columns: &str| case.sql(&format!("SELECT {columns} FROM bullmq.jobs WHERE id = '{id}'"));
    let all = "queue, name, delay_ms, opts->'attempts', extract(epoch FROM created_at), extract(epoch FROM finished_on), attempts_made, \
               progress, returnvalue, failed_reason, stacktrace->>0 LIKE 'Error:%', other";
    assert_eq!(row("3", all), "image-resize|send|1500.5|3|1700000000.126000|||||||{}");
    assert_eq!(row("4", all), "mail|send|1500.5|3|1700000000.127000|1700000005.123000|1|100|{\"sent\": true}|||{}");
    let failed = "mail|send|1500.5|3|1700000000.131000|1700000005.123000|3|{\"step\": 2}||connect ECONNREFUSED|t|{\"pb\": \"worker-1\"}";
    assert_eq!(row("8", all), failed);
    assert_eq!(
        (row("5", "attempts_made"), row("order-7", "queue"), row(repeated, "name"), row("order:7:eu", "queue, name")),
        ("3".into(), "mail".into(), "send".into(), "mail|send".into())
    );
}

#[test]
fn what_is_no_job_is_rejected() {
    let (case, run) = moved("bullmq", 3, |redis| {
        job(redis, "bull:mail:1", 1);
        add(redis, "HSET", "bull:mail:2", &[b"progress", b"5"]);
        add(redis, "HSET", "bull:mail:3", &[b"name", b"a", b"data", b"{"]);
        add(redis, "HSET", "bull:mail:4", &[b"name", b"a", b"timestamp", b"soon"]);
        // A structure of a queue that the preset does not know is not taken for a job in silence.
        add(redis, "RPUSH", "bull:mail:unheard-of", &[b"1"]);
        add(redis, "RPUSH", "bull:mail:1:unheard-of", &[b"1"]);
    });
    assert_eq!(case.sql("SELECT id FROM bullmq.jobs"), "1");
    for (id, reason, column) in [
        ("2", "field_missing", json!("name")),
        ("3", "json_syntax", json!("data")),
        ("4", "timestamp_format", json!("created_at")),
        ("unheard-of", "redis_type (list)", json!(null)),
        ("1:unheard-of", "redis_type (list)", json!(null)),
    ] {
        let reject = run.reject(&format!("bull:mail:{id}"));
        assert_eq!((&reject["reason"], &reject["column"]), (&json!(reason), &column), "{run}");
    }
}
