//! Results of Celery's Redis backend, beside what its broker keeps in the same database.

use super::{MANY, add, left, moved, same_expiry, set};
use serde_json::{Value, json};
use uuid::Uuid;

fn id(i: usize) -> String {
    Uuid::from_u128(0x0123_4567_89ab_4def_8012_0000_0000_0000 + i as u128).to_string()
}

/// The meta of a task, of older releases (no zone), newer ones (UTC), and with `result_extended`.
fn meta(i: usize) -> Value {
    let date = ["2024-01-02T03:04:05.678901", "2024-01-02T03:04:05.678901+00:00"][i % 2];
    let mut meta = json!({"status": "SUCCESS", "result": {"n": i, "total": 19.5}, "traceback": null, "children": [],
                          "date_done": date, "task_id": id(i)});
    match i % 4 {
        0 => meta["result"] = json!(null),
        1 => {
            meta["status"] = json!("FAILURE");
            meta["result"] = json!({"exc_type": "ValueError", "exc_message": ["é"], "exc_module": "builtins"});
            meta["traceback"] = json!("Traceback (most recent call last):\n  …");
        }
        2 => {
            let extended = json!({"name": "app.add", "args": [i, 2], "kwargs": {}, "worker": "w@host", "retries": 1,
                                  "queue": "celery", "parent_id": id(1), "group_id": id(2)});
            meta.as_object_mut().expect("an object").extend(extended.as_object().expect("an object").clone());
        }
        _ => meta["children"] = json!([[[id(9), null], null]]),
    }
    meta
}

#[test]
fn results_of_tasks_and_groups_are_loaded_and_the_brokers_keys_left_alone() {
    let (case, run) = moved("celery-results", 0, |redis| {
        for i in 0..MANY {
            set(redis, &format!("celery-task-meta-{}", id(i)), meta(i).to_string().as_bytes(), Some(86_400));
        }
        let group = json!({"result": [[id(7), null], [[[id(1), null], null], [[id(2), null], null]]]});
        set(redis, &format!("celery-taskset-meta-{}", id(7)), group.to_string().as_bytes(), Some(86_400));
        // A chord that is under way.
        add(redis, "ZADD", &format!("celery-taskset-meta-{}.j", id(8)), &[b"0", b"[1]"]);
        set(redis, &format!("celery-taskset-meta-{}.t", id(8)), b"1", Some(86_400));
        set(redis, &format!("celery-taskset-meta-{}.s", id(8)), b"3", Some(86_400));
        set(redis, &format!("celery-taskset-meta-{}.c", id(9)), b"done", Some(86_400));
        add(redis, "LPUSH", "celery", &[b"{\"body\": \"W10=\"}"]);
        add(redis, "SADD", "_kombu.binding.celery", &[b"celery\x06\x16\x06\x16celery"]);
        add(redis, "HSET", "unacked", &[b"tag", b"[]"]);
        add(redis, "ZADD", "unacked_index", &[b"1700000000.5", b"tag"]);
        set(redis, "unacked_mutex", b"1", Some(300));
    });
    let inserted = ["celery_tasks", "celery_groups"].map(|mapping| run.count(mapping, "inserted"));
    assert_eq!((inserted, left(&run)), ([MANY as i64, 1], (9, 4)), "{run}");
    let date = "SELECT count(*) FROM celery.task_results WHERE date_done = '2024-01-02 03:04:05.678901+00'";
    assert_eq!(case.number(date), MANY as i64);
    let results = "SELECT jsonb_object_agg(task_id, result) FROM celery.task_results";
    assert_eq!(case.json(results), Value::Object((0..MANY).map(|i| (id(i), meta(i)["result"].clone())).collect()));
    let row = |i: usize, columns: &str| {
        case.sql(&format!("SELECT {columns} FROM celery.task_results WHERE task_id = '{}'", id(i)))
    };
    assert_eq!(row(1, "status, left(traceback, 9)"), "FAILURE|Traceback");
    assert_eq!(row(6, "name, args, kwargs, worker, queue, retries, other"), "app.add|[6, 2]|{}|w@host|celery|1|{}");
    assert_eq!(row(6, "parent_id, group_id"), format!("{}|{}", id(1), id(2)));
    assert_eq!(row(3, "children->0->0->>0"), id(9));
    assert_eq!(
        case.sql("SELECT group_id, result->1->0->0->>0 FROM celery.group_results"),
        format!("{}|{}", id(7), id(1))
    );
    same_expiry(
        &case,
        &format!("celery-task-meta-{}", id(5)),
        "celery.task_results",
        &format!("task_id = '{}'", id(5)),
    );
}

#[test]
fn results_in_other_serializers_are_rejected_by_name() {
    let (case, run) = moved("celery-results", 3, |redis| {
        set(redis, "celery-task-meta-good", meta(0).to_string().as_bytes(), None);
        set(redis, "celery-task-meta-pickle", b"\x80\x04\x95\x2a\x00\x00\x00\x00\x00\x00\x00}\x94.", Some(60));
        set(redis, "celery-task-meta-yaml", b"status: SUCCESS\nresult: 1\n", Some(60));
        set(redis, "celery-task-meta-nan", br#"{"status": "SUCCESS", "result": NaN}"#, Some(60));
        set(redis, "celery-task-meta-none", b"{}", Some(60));
        set(redis, "celery-task-meta-date", br#"{"status": "SUCCESS", "date_done": "2 January"}"#, Some(60));
    });
    assert_eq!(case.sql("SELECT task_id, status FROM celery.task_results"), "good|SUCCESS");
    for (id, reason) in [
        ("pickle", "encoding_unsupported (pickle)"),
        ("yaml", "json_syntax"),
        ("nan", "json_nonfinite"),
        ("none", "field_missing"),
        ("date", "timestamp_format"),
    ] {
        assert_eq!(run.reject(&format!("celery-task-meta-{id}"))["reason"], reason, "{run}");
    }
}
