//! Sidekiq's queues and sets, with the times of version 7 (seconds with a fraction) and of version 8 (milliseconds).

use super::{MANY, add, left, moved, set};
use serde_json::{Value, json};

const START: i64 = 1_700_000_000;

fn jid(i: usize) -> String {
    format!("{i:024x}")
}

/// A job; its times are those of version 7 or 8.
fn job(i: usize) -> Value {
    let at = START + i as i64;
    let (created, enqueued) = if i.is_multiple_of(2) {
        (json!(at as f64 + 0.25), json!(at as f64 + 0.5))
    } else {
        (json!(at * 1000 + 250), json!(at * 1000 + 500))
    };
    json!({"class": "ReportWorker", "args": [i, "é", {"deep": [1.5, null]}], "queue": "default", "jid": jid(i),
           "retry": true, "created_at": created, "enqueued_at": enqueued})
}

fn failed(i: usize) -> Value {
    let mut job = job(i);
    job["failed_at"] = if i.is_multiple_of(2) { json!(START as f64 + 7.125) } else { json!(START * 1000 + 7_125) };
    job["retry_count"] = json!(i % 5);
    job["error_class"] = json!("Net::ReadTimeout");
    job["error_message"] = json!("execution expired");
    job
}

#[test]
fn jobs_of_queues_and_sets_are_loaded_and_the_rest_is_left_alone() {
    let (case, run) = moved("sidekiq", 0, |redis| {
        for i in 0..MANY {
            let queue = ["queue:default", "queue:low-priority"][i % 2];
            add(redis, "LPUSH", queue, &[job(i).to_string().as_bytes()]);
            let score = format!("{}.625", START + 60 + i as i64);
            let set = ["retry", "dead"][i % 2];
            add(redis, "ZADD", set, &[score.as_bytes(), failed(1000 + i).to_string().as_bytes()]);
        }
        let mut later = job(5000);
        later.as_object_mut().expect("an object").remove("enqueued_at");
        add(redis, "ZADD", "schedule", &[b"1893456000", later.to_string().as_bytes()]);
        add(redis, "SADD", "queues", &[b"default", b"low-priority"]);
        for stat in ["stat:processed", "stat:failed", "stat:processed:2024-01-01"] {
            set(redis, stat, b"7", None);
        }
        add(redis, "SADD", "processes", &[b"web1:7:0f1e"]);
        add(redis, "HSET", "web1:7:0f1e", &[b"busy", b"1", b"info", b"{}"]);
        add(redis, "HSET", "web1:7:0f1e:work", &[b"tid", b"{}"]);
        add(redis, "HSET", "j|20240101|12:0", &[b"ReportWorker|ms", b"12"]);
        // What super_fetch has taken out of a queue.
        add(redis, "LPUSH", "queue:sq|web1:7:0f1e|default", &[b"{}"]);
    });
    assert_eq!((run.total("inserted"), left(&run)), (5, (9, 0)), "{run}");
    assert_eq!(case.number("SELECT count(*) FROM sidekiq.queued_jobs"), MANY as i64);
    let jobs = case.json("SELECT jsonb_object_agg(jid, job) FROM sidekiq.queued_jobs");
    assert_eq!(jobs, Value::Object((0..MANY).map(|i| (jid(i), job(i))).collect()));
    let row = |i: usize| {
        let columns = "queue, class, args->>1, extract(epoch FROM created_at), extract(epoch FROM enqueued_at)";
        case.sql(&format!("SELECT {columns} FROM sidekiq.queued_jobs WHERE jid = '{}'", jid(i)))
    };
    assert_eq!(row(2), "default|ReportWorker|é|1700000002.250000|1700000002.500000");
    assert_eq!(row(3), "low-priority|ReportWorker|é|1700000003.250000|1700000003.500000");
    let row = |i: usize| {
        let columns = "set, extract(epoch FROM at), extract(epoch FROM failed_at), retry_count, error_class, args->0";
        case.sql(&format!("SELECT {columns} FROM sidekiq.set_jobs WHERE jid = '{}'", jid(i)))
    };
    assert_eq!(row(1004), "retry|1700000064.625000|1700000007.125000|4|Net::ReadTimeout|1004");
    assert_eq!(row(1007), "dead|1700000067.625000|1700000007.125000|2|Net::ReadTimeout|1007");
    assert_eq!(row(5000), "schedule|1893456000.000000||||5000");
}

#[test]
fn an_entry_that_is_there_twice_is_one_row_and_another_job_of_its_jid_is_none() {
    let alike = job(1).to_string();
    let mut other = job(1);
    other["args"] = json!([]);
    let (case, run) = moved("sidekiq", 3, |redis| {
        add(redis, "RPUSH", "queue:alike", &[alike.as_bytes(), alike.as_bytes()]);
        add(redis, "RPUSH", "queue:other", &[alike.as_bytes(), other.to_string().as_bytes()]);
    });
    assert_eq!(run.count("sidekiq_queues", "inserted"), 1, "{run}");
    assert_eq!(run.reject("queue:other")["reason"], "key_collision", "{run}");
    let rows = "SELECT queue, args->0 FROM sidekiq.queued_jobs ORDER BY queue";
    assert_eq!(case.sql(rows), "alike|1\nother|1");
}

#[test]
fn a_job_that_is_none_is_rejected_by_itself() {
    let (case, run) = moved("sidekiq", 3, |redis| {
        add(
            redis,
            "RPUSH",
            "queue:default",
            &[job(1).to_string().as_bytes(), b"{\"class\":", job(2).to_string().as_bytes()],
        );
        add(redis, "RPUSH", "queue:nul", &[br#"{"class":"A","jid":"a","args":["\u0000"]}"#]);
        add(
            redis,
            "ZADD",
            "retry",
            &[b"1700000000", b"\x04\x08{\x06", b"1700000001", failed(3).to_string().as_bytes()],
        );
        add(redis, "ZADD", "schedule", &[b"5", job(4).to_string().as_bytes()]);
        set(redis, "dead", b"no set", None);
    });
    let rows = |table: &str| case.sql(&format!("SELECT string_agg(jid, ' ' ORDER BY jid) FROM sidekiq.{table}"));
    assert_eq!((rows("queued_jobs"), rows("set_jobs")), (format!("{} {}", jid(1), jid(2)), jid(3)));
    for (key, reason) in [
        ("queue:default", "json_syntax"),
        ("queue:nul", "json_nul"),
        ("retry", "encoding_unsupported (ruby_marshal)"),
        ("schedule", "timestamp_implausible"),
        ("dead", "redis_type (string)"),
    ] {
        assert_eq!(run.reject(key)["reason"], reason, "{run}");
    }
}
