//! Keys that were given a life only after they had been loaded.

use crate::preset::gone;
use crate::support::Case;
use serde_json::json;
use std::time::{Duration, Instant};

const NOTES: &str = r#"
[[mapping]]
name = "notes"
match = "note:{id}"
into = "public.notes"
key = ["id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [{ name = "id", from = ["{id}"] }, { name = "body", from = ["$.body"] }, { name = "metadata", from = [] }]
"#;

/// Many rows, of which the second run knows without sending them that they are as they were; and few, which it sends.
#[test]
fn a_life_that_a_run_in_between_saw_is_recorded_though_nothing_else_changed() {
    for count in [3, 120] {
        let case = Case::new();
        case.sql("SET ROLE redis2pg; CREATE TABLE notes (id text PRIMARY KEY, body text, metadata jsonb)");
        let mut redis = case.redis();
        (0..count).for_each(|number| redis.set(&format!("note:{number}"), r#"{"body":"x"}"#));
        case.run_config(NOTES, &[]).exits(0);
        case.sql("UPDATE notes SET body = 'mine' WHERE id = '1'");
        redis.integer(&[b"PEXPIRE", b"note:1", b"3600000"]);
        redis.integer(&[b"PEXPIRE", b"note:0", b"12000"]);
        let run = case.run_config(NOTES, &[]).exits(0);
        let counts = ["updated", "unchanged"].map(|outcome| run.count("notes", outcome));
        assert_eq!(counts, [1, count - 2], "{run}");
        let recorded = "SELECT count(*) FROM notes WHERE metadata -> 'redis2pg' ->> 'expires_at' IS NOT NULL";
        assert_eq!(case.number(recorded), 1);
        let again = case.run_config(NOTES, &[]).exits(0);
        assert_eq!(again.count("notes", "updated"), 0, "it is recorded once: {again}");
        let began = Instant::now();
        while redis.integer(&[b"EXISTS", b"note:0"]) == 1 {
            assert!(began.elapsed() < Duration::from_secs(30), "note:0 does not expire");
            std::thread::sleep(Duration::from_millis(50));
        }
        redis.integer(&[b"DEL", b"note:2"]);
        let run = case.run_config(NOTES, &["--delete-gone"]).exits(0);
        assert_eq!(gone(&run, "notes"), json!({"deleted": 1, "expired_kept": 1}), "{run}");
    }
}
