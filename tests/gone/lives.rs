//! Keys that were given a life only after they had been loaded.

use crate::preset::gone;
use crate::support::{Case, until, while_they_live};
use serde_json::json;

const NOTES: &str = r#"
[[mapping]]
name = "notes"
match = "note:{id}"
into = "public.notes"
key = ["id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [{ name = "id", from = ["{id}"] }, { name = "body", from = ["$.body"] }, { name = "metadata", from = [] }]
"#;

/// So many notes. One that somebody has changed gets a life, and so does one that expires; a run in between sees both.
fn seen(count: i64) {
    let (case, mut redis) = while_they_live(3000, |life| {
        let case = Case::new();
        case.sql("SET ROLE redis2pg; CREATE TABLE notes (id text PRIMARY KEY, body text, metadata jsonb)");
        let mut redis = case.redis();
        (0..count).for_each(|number| redis.set(&format!("note:{number}"), r#"{"body":"x"}"#));
        case.run_config(NOTES, &[]).exits(0);
        case.sql("UPDATE notes SET body = 'mine' WHERE id = '1'");
        redis.integer(&[b"PEXPIRE", b"note:1", b"3600000"]);
        redis.say(&format!("PEXPIRE note:0 {life}"));
        let run = case.run_config(NOTES, &[]).exits(0);
        let again = case.run_config(NOTES, &[]).exits(0);
        if redis.say("EXISTS note:0") != ":1" {
            return None;
        }
        let counts = ["updated", "unchanged"].map(|outcome| run.count("notes", outcome));
        assert_eq!(counts, [1, count - 2], "{run}");
        let recorded = "SELECT count(*) FROM notes WHERE metadata -> 'redis2pg' ->> 'expires_at' IS NOT NULL";
        assert_eq!(case.number(recorded), 1);
        assert_eq!(again.count("notes", "updated"), 0, "it is recorded once: {again}");
        Some((case, redis))
    });
    until("it expires", || redis.say("EXISTS note:0") == ":0");
    redis.integer(&[b"DEL", b"note:2"]);
    let run = case.run_config(NOTES, &["--delete-gone"]).exits(0);
    assert_eq!(gone(&run, "notes"), json!({"deleted": 1, "expired_kept": 1}), "{run}");
}

/// A few rows, which the second run sends.
#[test]
fn a_life_that_a_run_in_between_saw_is_recorded_though_nothing_else_changed() {
    seen(3);
}

/// Many, of which it knows without sending them that they are as they were.
#[test]
fn a_life_is_recorded_where_the_rows_are_not_sent_too() {
    seen(120);
}
