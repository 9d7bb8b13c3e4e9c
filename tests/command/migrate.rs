//! The whole move with the preset: what is loaded, left alone, updated and rejected, and what is said about it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use crate::support;

use redis2pg::dataset::{self, Expected, Options, Summary};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::Case;

const DOCUMENTS: &str = "document_hub.documents";
const ANALYSES: &str = "document_hub.analysis_results";
const SESSIONS: &str = "document_hub.sessions";
const MAPPINGS: [&str; 3] = ["documents", "analyses", "sessions"];

fn document(name: &str) -> String {
    format!(
        r#"{{"filename":"{name}.pdf","file_path":"contracts/{name}.pdf","file_size":7,"metadata":{{"n":"{name}"}}}}"#
    )
}

fn analysis(document: &str) -> String {
    format!(r#"{{"document_id":"{document}","analysis":{{"summary":"s"}}}}"#)
}

fn uuid(number: u32) -> String {
    format!("aaaaaaaa-0000-4000-8000-{number:012x}")
}

/// Documents `0..count`.
fn documents(count: u32) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("document:{}", uuid(n)), document(&format!("d{n}")))).collect()
}

fn expected<'a>(summary: &'a Summary, mapping: &str) -> &'a Expected {
    match mapping {
        "documents" => &summary.documents,
        "analyses" => &summary.analyses,
        _ => &summary.sessions,
    }
}

fn signed(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, i64> {
    counts.iter().map(|(reason, count)| ((*reason).to_owned(), i64::try_from(*count).unwrap())).collect()
}

/// A generated cache with everything in it, and its first load.
fn demo(count: u64) -> (Case, Summary, support::Outcome) {
    let case = Case::new();
    let summary = dataset::load(&case.source, &Options::demo(count)).unwrap();
    let first = case.run(&[]).exits(3);
    (case, summary, first)
}

#[test]
fn a_first_load_stores_exactly_what_the_cache_holds() {
    let (case, summary, first) = demo(400);
    for (mapping, table) in MAPPINGS.into_iter().zip([DOCUMENTS, ANALYSES, SESSIONS]) {
        let expected = expected(&summary, mapping);
        let load = i64::try_from(expected.load).unwrap();
        assert_eq!(first.count(mapping, "inserted"), load, "{mapping}");
        assert_eq!(first.reasons(mapping), signed(&expected.reject), "{mapping}: {first}");
        assert_eq!(first.count(mapping, "matched"), i64::try_from(expected.keys()).unwrap(), "{mapping}: {first}");
        assert_eq!(case.number(&format!("SELECT count(*) FROM {table}")), load, "{table}");
        assert_eq!(first.report["counts"]["target"][table]["after"], load, "{table}");
    }
    assert_eq!(first.total("unmatched"), i64::try_from(summary.other).unwrap());
    assert_eq!((first.report["exit_code"].as_i64(), first.report["balanced"].as_bool()), (Some(3), Some(true)));
    for broken in &summary.broken {
        assert_eq!(first.reject(&broken.key)["reason"], broken.reason, "{}", broken.key);
    }
    assert_eq!(first.rejects.len(), summary.broken.len());
    let detail = first.reject("analysis:broken-parent-rejected")["detail"].as_str().unwrap();
    assert!(detail.contains("document:broken-no-path") && detail.contains("field_missing"), "{detail}");
    let orphan = case.number(&format!(
        "SELECT count(*) FROM {ANALYSES} a WHERE NOT EXISTS (SELECT FROM {DOCUMENTS} d WHERE d.id = a.document_id)"
    ));
    assert_eq!(orphan, 0);
}

#[test]
fn reports_are_complete_and_private() {
    let (case, summary, first) = demo(60);
    for name in ["report.json", "summary.txt", "rejects.jsonl"] {
        let mode = std::fs::metadata(first.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    for secret in case.secrets() {
        assert!(!secret.is_empty() && !first.said().contains(&secret), "a password is in what the run said");
        let ledger = case.sql("SELECT r::text FROM redis2pg.runs r");
        assert!(!ledger.contains(&secret), "a password is in the ledger");
    }
    let run = first.report["run"].as_str().unwrap();
    let runs = case.ledger(&["runs", "list"]);
    assert_eq!((runs.as_array().unwrap().len(), runs[0]["id"].as_str()), (1, Some(run)));
    let shown = case.ledger(&["runs", "show", run]);
    assert_eq!(case.ledger(&["runs", "show"]), shown, "the latest, where none is named");
    assert_eq!((shown["state"].as_str(), shown["exit_code"].as_i64()), (Some("done"), Some(3)));
    assert_eq!(shown["tally"], first.report["tally"]);
    let rejects = case.ledger(&["rejects", "list", "--keys", "--run", run]);
    assert_eq!(rejects.as_array().unwrap().len(), summary.broken.len());
    let one = case.ledger(&["rejects", "show", "document:broken-nul"]);
    assert_eq!((one[0]["reason"].as_str(), one[0]["path"].as_str()), (Some("json_nul"), Some("$.metadata.title")));
    assert!(one[0]["value"].as_str().unwrap().contains(r"ab\u0000cd"));
    let some = case.ledger(&["rejects", "list", "--keys", "--reason", "missing_parent"]);
    assert_eq!(some.as_array().unwrap().len(), 2);

    let audit = case.sql(
        "SELECT action, resource_type, resource_id, details->'tally'->>'inserted' FROM document_hub.audit_logs ORDER BY 2",
    );
    let rows: Vec<String> = [(ANALYSES, "analyses"), (DOCUMENTS, "documents"), (SESSIONS, "sessions")]
        .map(|(table, mapping)| format!("redis2pg.migrate|{table}|{run}|{}", first.count(mapping, "inserted")))
        .into();
    assert_eq!(audit, rows.join("\n"));
}

#[test]
fn a_row_says_where_it_came_from() {
    let case = Case::new();
    let mut redis = case.redis();
    let id = uuid(1);
    redis.set(&format!("document:{id}"), &document("a"));
    redis.set(&format!("session:s_{id}_1"), &format!(r#"{{"session_id":"s","document_id":"{id}"}}"#));
    redis.integer(&[b"PEXPIRE", format!("session:s_{id}_1").as_bytes(), b"3600000"]);
    let run = case.run(&[]).exits(0);
    let mut metadata = case.json(&format!("SELECT metadata FROM {DOCUMENTS}"));
    assert!(metadata["migration_timestamp"].as_str().is_some());
    metadata.as_object_mut().unwrap().remove("migration_timestamp");
    let digest = redis2pg::model::Digest::of(document("a").as_bytes()).to_string();
    assert_eq!(
        metadata,
        serde_json::json!({
            "n": "a", "migrated_from_redis": true, "redis_key": format!("document:{id}"), "redis_document_id": id,
            "redis2pg": {"run": run.report["run"], "digest": digest, "expires_at": Value::Null},
        })
    );
    let expires = redis.integer(&[b"PEXPIRETIME", format!("session:s_{id}_1").as_bytes()]);
    let stored = case.number(&format!("SELECT (extract(epoch FROM expires_at) * 1000)::bigint FROM {SESSIONS}"));
    assert!((expires - stored).abs() <= 1000, "{expires} {stored}");
    let session = case.json(&format!("SELECT metadata FROM {SESSIONS}"));
    assert_eq!(
        (session["redis_document_id"].as_str(), session["migrated_from_redis"].as_bool()),
        (Some(&*id), Some(true))
    );
    assert!(session["redis2pg"]["expires_at"].is_string(), "{session}");
}

#[test]
fn a_second_run_over_unchanged_data_writes_no_row() {
    let (case, summary, _) = demo(300);
    let before = [DOCUMENTS, ANALYSES, SESSIONS].map(|table| case.xmins(table));
    for staging in ["auto", "always"] {
        let again = case.run(&["--staging", staging]).exits(3);
        for mapping in MAPPINGS {
            assert_eq!(again.count(mapping, "unchanged"), i64::try_from(expected(&summary, mapping).load).unwrap());
            assert_eq!((again.count(mapping, "inserted"), again.count(mapping, "updated")), (0, 0), "{mapping}");
        }
        assert_eq!([DOCUMENTS, ANALYSES, SESSIONS].map(|table| case.xmins(table)), before, "--staging {staging}");
    }
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images"), 0);
}

#[test]
fn a_first_load_through_staging_stores_the_same() {
    let (one, two) = (Case::new(), Case::new());
    let mut rows = Vec::new();
    for (case, staging) in [(&one, "auto"), (&two, "always")] {
        let summary =
            dataset::load(&case.source, &Options { documents: 200, mixed: true, ..Options::default() }).unwrap();
        let run = case.run(&["--staging", staging]).exits(0);
        assert_eq!(run.total("inserted"), i64::try_from(summary.keys()).unwrap());
        let bare = "migration_timestamp,redis2pg";
        rows.push(case.sql(&format!(
            "SELECT id, filename, file_path, file_size, file_type, mime_type, upload_timestamp, status, \
             metadata - '{{{bare}}}'::text[] FROM {DOCUMENTS} ORDER BY id; \
             SELECT id, document_id, analysis_type, analysis_data, model_used FROM {ANALYSES} ORDER BY id"
        )));
    }
    assert_eq!(rows[0], rows[1]);
}

#[test]
fn ownership_check_leaves_a_row_alone_that_the_application_changed() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set_many(&documents(3));
    case.run(&[]).exits(0);
    let changed = uuid(1);
    case.sql(&format!("UPDATE {DOCUMENTS} SET status = 'reviewed' WHERE id = '{changed}'"));
    // Changed on both sides: the application's version stays. And one that the application changed alone.
    redis.set(&format!("document:{changed}"), &document("later"));
    case.sql(&format!("UPDATE {DOCUMENTS} SET filename = 'mine.pdf' WHERE id = '{}'", uuid(2)));
    let again = case.run(&[]).exits(0);
    assert_eq!(again.report["tally"]["skipped"], serde_json::json!({"exists_newer": 2}));
    assert_eq!((again.total("unchanged"), again.total("updated")), (1, 0));
    let row = case.sql(&format!("SELECT filename, status FROM {DOCUMENTS} WHERE id = '{changed}'"));
    assert_eq!(row, "d1.pdf|reviewed");
    assert_eq!(case.sql(&format!("SELECT filename FROM {DOCUMENTS} WHERE id = '{}'", uuid(2))), "mine.pdf");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images"), 0);
}

#[test]
fn ownership_check_leaves_rows_alone_that_the_application_wrote() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set_many(&documents(2));
    case.run(&["--limit", "1"]).exits(0);
    case.sql(&format!("DELETE FROM {DOCUMENTS}"));
    case.sql(&format!(
        "INSERT INTO {DOCUMENTS} (id, filename, original_filename, file_path, file_size, file_type) \
         VALUES ('{}', 'own', 'own', 'own', 1, '')",
        uuid(0)
    ));
    let run = case.run(&[]).exits(0);
    assert_eq!((run.total("inserted"), run.report["tally"]["skipped"]["exists_newer"].as_i64()), (1, Some(1)));
    assert_eq!(case.sql(&format!("SELECT filename FROM {DOCUMENTS} WHERE id = '{}'", uuid(0))), "own");
}

#[test]
fn before_images_hold_the_row_that_an_update_overwrote() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set_many(&documents(4));
    case.run(&[]).exits(0);
    let id = uuid(2);
    let old = case.json(&format!("SELECT to_jsonb(d) FROM {DOCUMENTS} d WHERE id = '{id}'"));
    redis.set(&format!("document:{id}"), &document("new"));
    let again = case.run(&[]).exits(0);
    assert_eq!((again.total("updated"), again.total("unchanged")), (1, 3));
    assert_eq!(case.sql(&format!("SELECT filename FROM {DOCUMENTS} WHERE id = '{id}'")), "new.pdf");
    let metadata = case.json(&format!("SELECT metadata FROM {DOCUMENTS} WHERE id = '{id}'"));
    assert_eq!((&metadata["redis2pg"]["run"], metadata["n"].as_str()), (&again.report["run"], Some("new")));
    let images = case.json("SELECT jsonb_agg(to_jsonb(b)) FROM redis2pg.before_images b");
    assert_eq!(images.as_array().unwrap().len(), 1, "{images}");
    let image = &images[0];
    assert_eq!((&image["image"], &image["run_id"]), (&old, &again.report["run"]));
    assert_eq!(image["row_key"], serde_json::json!({"id": id}));
    // A run that is not the writer of the row is its owner all the same: a third run updates again.
    redis.set(&format!("document:{id}"), &document("newer"));
    assert_eq!(case.run(&[]).exits(0).total("updated"), 1);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images"), 2);
}

#[test]
fn a_field_that_the_record_lacks_takes_the_default_and_is_left_alone_later() {
    let case = Case::new();
    let mut redis = case.redis();
    let key = format!("document:{}", uuid(1));
    redis.set(&key, r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":1,"status":"analyzed"}"#);
    redis.set(&format!("document:{}", uuid(2)), r#"{"filename":"b.pdf","file_path":"b.pdf","file_size":1}"#);
    case.run(&[]).exits(0);
    assert_eq!(case.sql(&format!("SELECT status FROM {DOCUMENTS} ORDER BY id")), "analyzed\nuploaded");
    redis.set(&key, r#"{"filename":"a.pdf","file_path":"a.pdf","file_size":2}"#);
    assert_eq!(case.run(&[]).exits(0).total("updated"), 1);
    assert_eq!(case.sql(&format!("SELECT status, file_size FROM {DOCUMENTS} ORDER BY id LIMIT 1")), "analyzed|2");
}

#[test]
fn two_keys_of_one_row_collide_and_are_not_merged() {
    let case = Case::new();
    let mut redis = case.redis();
    let (lower, upper) = (uuid(0xabc), uuid(0xabc).to_uppercase());
    redis.set(&format!("document:{lower}"), &document("lower"));
    redis.set(&format!("document:{upper}"), &document("upper"));
    let run = case.run(&[]).exits(3);
    assert_eq!((run.total("inserted"), run.reasons("documents")["key_collision"]), (1, 1));
    let stored = case.sql(&format!("SELECT metadata->>'redis_key' FROM {DOCUMENTS}"));
    let other = if stored.contains("ABC") { lower } else { upper };
    let reject = run.reject(&format!("document:{other}"));
    assert!(reject["detail"].as_str().unwrap().contains(&stored), "{reject}");
    let again = case.run(&[]).exits(3);
    assert_eq!((again.total("unchanged"), again.reasons("documents")["key_collision"]), (1, 1));
    assert_eq!(case.sql(&format!("SELECT metadata->>'redis_key' FROM {DOCUMENTS}")), stored);
}

#[test]
fn ids_that_are_text_become_stable_uuids_and_keep_their_children() {
    let case = Case::new();
    let mut redis = case.redis();
    for id in ["urn:isbn:9780", "ü-1", "plain"] {
        redis.set(&format!("document:{id}"), &document("x"));
        redis.set(&format!("analysis:of:{id}"), &analysis(id));
    }
    redis.set("documents:2", "other");
    redis.set("document:", &document("nobody"));
    let run = case.run(&[]).exits(3);
    assert_eq!((run.total("inserted"), run.total("unmatched")), (6, 1));
    assert_eq!(run.reject("document:")["reason"], "key_empty_id");
    let pairs = case.sql(&format!(
        "SELECT d.metadata->>'redis_document_id', a.metadata->>'redis_document_id', substr(d.id::text, 15, 1) \
         FROM {ANALYSES} a JOIN {DOCUMENTS} d ON d.id = a.document_id ORDER BY d.metadata->>'redis_document_id' COLLATE \"C\""
    ));
    assert_eq!(pairs, "plain|plain|5\nurn:isbn:9780|urn:isbn:9780|5\nü-1|ü-1|5");
    let ids = case.sql(&format!("SELECT id FROM {DOCUMENTS} ORDER BY 1"));
    assert_eq!(case.run(&[]).exits(3).total("unchanged"), 6);
    assert_eq!(case.sql(&format!("SELECT id FROM {DOCUMENTS} ORDER BY 1")), ids);
}

#[test]
fn keys_that_cannot_be_read_cost_no_other_key_its_place() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set_many(&documents(50));
    assert_eq!(redis.answer(&[b"SET", b"document:\xff\x00", document("binary").as_bytes()]), "+OK");
    assert_eq!(redis.integer(&[b"RPUSH", b"document:list", b"x"]), 1);
    redis.set("document:empty", "");
    redis.set("document:blank", "  ");
    let run = case.run(&[]).exits(3);
    let reasons = run.reasons("documents");
    let wanted = [("empty_value", 2), ("key_not_utf8", 1), ("redis_type (list)", 1)];
    assert_eq!(reasons, wanted.map(|(reason, count)| (reason.to_owned(), count)).into());
    assert_eq!(run.total("inserted"), 50);
    let binary = run.rejects.iter().find(|reject| reject["reason"] == "key_not_utf8").unwrap();
    assert_eq!(binary["key_hex"], "646f63756d656e743aff00");
    let list = run.reject("document:list");
    assert_eq!(list["redis_type"], "list");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.rejects WHERE key = '\\x646f63756d656e743aff00'"), 1);
}

/// Waits until so many rows are in the table while the run goes on.
fn until_loaded(case: &Case, running: &mut support::Running, table: &str, rows: i64) {
    let loaded = || support::postgres().execute(&case.database, &format!("SELECT count(*) FROM {table}"));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !loaded().is_ok_and(|count| count.parse::<i64>().unwrap() >= rows) {
        assert!(!running.ended() && Instant::now() < deadline, "{table} never had {rows} rows while the run went on");
        sleep(Duration::from_millis(30));
    }
}

#[test]
fn a_key_that_expires_before_it_is_read_is_gone_and_no_reject() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set_many(&documents(120));
    for n in 0..20 {
        redis.set(&format!("session:s{n}"), r#"{"session_id":"s"}"#);
    }
    // Sessions are read last: those that the first scan listed by now are gone when it is their turn.
    let mut running = case.start(&["--max-keys-per-second", "40", "--scan-count", "10", "--batch-age", "200ms"]);
    until_loaded(&case, &mut running, DOCUMENTS, 60);
    for n in 0..20 {
        redis.integer(&[b"PEXPIRE", format!("session:s{n}").as_bytes(), b"1"]);
    }
    let run = running.finish().exits(0);
    assert_eq!(run.count("documents", "inserted"), 120);
    let gone = run.report["mappings"]["sessions"]["skipped"]["gone"].as_i64().unwrap_or(0);
    assert!(gone > 0, "{run}");
    assert_eq!((run.count("sessions", "inserted"), run.count("sessions", "matched")), (0, gone));
}

#[test]
fn a_parent_that_is_written_after_its_phase_is_fetched_for_its_child() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set(&format!("document:{}", uuid(0)), &document("early"));
    let analyses = (0..60).map(|n| (format!("analysis:{}", uuid(1000 + n)), analysis(&uuid(0)))).collect::<Vec<_>>();
    redis.set_many(&analyses);
    redis.set("analysis:late", &analysis("late:document"));
    redis.set("analysis:never", &analysis("never"));
    // Small pages: some analyses are loaded while others are still to be read.
    let slow = ["--max-keys-per-second", "15", "--scan-count", "10", "--batch-age", "200ms", "--spill-limit", "0"];
    let mut running = case.start(&slow);
    until_loaded(&case, &mut running, ANALYSES, 1);
    redis.set("document:late:document", &document("late"));
    assert!(!running.ended(), "the run ended too early to prove anything");
    let run = running.finish().exits(3);
    assert_eq!(run.count("analyses", "inserted"), 61, "{run}");
    assert_eq!(run.reasons("analyses"), [("missing_parent".to_owned(), 1)].into());
    let detail = run.reject("analysis:never")["detail"].as_str().unwrap();
    assert!(detail.contains("document:never"), "{detail}");
    assert_eq!(case.number(&format!("SELECT count(*) FROM {DOCUMENTS} WHERE filename = 'late.pdf'")), 1);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.rejects"), 1);
}

#[test]
fn a_trial_on_a_part_takes_just_that_part() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set_many(&documents(40));
    redis.set("session:a", r#"{"session_id":"a"}"#);
    // The limit is for each mapping: a trial has some of everything.
    let some = case.run(&["--limit", "7"]).exits(0);
    assert_eq!((some.count("documents", "inserted"), some.count("sessions", "inserted")), (7, 1));
    case.sql(&format!("TRUNCATE {SESSIONS}"));
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("keys");
    std::fs::write(&list, format!("document:{}\ndocument:nowhere\nother:1\n", uuid(3))).unwrap();
    case.sql(&format!("TRUNCATE {DOCUMENTS} CASCADE"));
    let named = case.run(&["--keys-from", list.to_str().unwrap()]).exits(0);
    assert_eq!((named.total("inserted"), named.report["tally"]["skipped"]["gone"].as_i64()), (1, Some(1)));
    case.sql(&format!("TRUNCATE {DOCUMENTS} CASCADE"));
    let glob = case.run(&["--keys", "document:*00000000001?"]).exits(0);
    assert_eq!(glob.total("inserted"), 16);
    let skipped = case.run(&["--skip", "documents"]).exits(0);
    assert_eq!((skipped.total("inserted"), case.number(&format!("SELECT count(*) FROM {SESSIONS}"))), (1, 1));
    assert_eq!(case.number(&format!("SELECT count(*) FROM {DOCUMENTS}")), 16);
}

#[test]
fn little_memory_is_enough_for_large_values() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set_many(&documents(2_000));
    let text = "0123456789abcdef".repeat(300 * 64);
    for n in 0..20 {
        let value = format!(r#"{{"filename":"b","file_path":"b{n}","file_size":1,"metadata":{{"text":"{text}"}}}}"#);
        redis.set(&format!("document:big-{n}"), &value);
    }
    let mut running = case.start(&["--memory", "2MiB"]);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !running.ended() {
        assert!(Instant::now() < deadline, "the run hangs");
        sleep(Duration::from_millis(50));
    }
    let run = running.finish().exits(0);
    assert_eq!(run.total("inserted"), 2_020);
    let held = run.report["in_flight_max_bytes"].as_u64().unwrap();
    // A value that is larger than those before it is known to be so only once it is read: it is then owed to the budget,
    // and paid back before anything else is read. One such value holds 1.25 MiB here, and there are two lanes.
    assert!(held <= 9 << 19, "{held} bytes were in flight");
    let size = text.len();
    let whole = format!("SELECT count(*) FROM {DOCUMENTS} WHERE length(metadata->>'text') = {size}");
    assert_eq!(case.number(&whole), 20);
}

#[test]
fn keys_from_a_pipe_are_read_for_every_phase() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set("document:a", &document("a"));
    redis.set("analysis:a", &analysis("a"));
    redis.set("session:a", r#"{"session_id":"a","document_id":"a"}"#);
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("keys");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let path = pipe.clone();
    let writer = std::thread::spawn(move || std::fs::write(path, "session:a\nanalysis:a\ndocument:a\n").unwrap());
    let run = case.run(&["--keys-from", pipe.to_str().unwrap()]).exits(0);
    writer.join().unwrap();
    assert_eq!((run.total("inserted"), run.total("matched")), (3, 3), "{run}");
}

#[test]
fn a_carriage_return_is_part_of_a_key_unless_it_ends_every_line() {
    let case = Case::new();
    let mut redis = case.redis();
    redis.set("session:a", r#"{"session_id":"a"}"#);
    redis.set("session:b", r#"{"session_id":"b"}"#);
    let _ = redis.answer(&[&b"SET"[..], b"session:b\r", br#"{"session_id":"with-cr"}"#]);
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("keys");
    let run = |text: &str, notice: &str| {
        std::fs::write(&list, text).unwrap();
        let run = case.run(&["--keys-from", list.to_str().unwrap()]).exits(0);
        assert!(run.stderr.contains(notice), "{run}");
        let ids =
            case.sql(&format!("SELECT string_agg(replace(id, chr(13), '<CR>'), ' ' ORDER BY id) FROM {SESSIONS}"));
        case.sql(&format!("TRUNCATE {SESSIONS}"));
        ids
    };
    assert_eq!(run("session:a\r\nsession:b\r\n", "every line ends in CR LF"), "a b");
    assert_eq!(run("session:a\nsession:b\r\n", "1 of 2 lines end in CR LF"), "a b<CR>");
}

#[test]
fn a_missing_right_on_the_audit_log_is_found_before_anything_is_written() {
    let case = Case::new();
    case.run(&["--allow-empty"]).exits(0);
    case.sql("REVOKE INSERT ON document_hub.audit_logs FROM redis2pg");
    case.redis().set("document:a", &document("a"));
    let run = case.run(&[]);
    assert_eq!(run.code, 2, "{run}");
    assert!(run.stderr.contains("audit_logs") && run.stderr.contains("GRANT INSERT"), "{run}");
    assert_eq!(case.number(&format!("SELECT count(*) FROM {DOCUMENTS}")), 0);
}
