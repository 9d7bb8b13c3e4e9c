//! Rejects as they are listed, shown and exported: all that is known of each, and no secret.

use crate::support::Case;
use crate::{ITEMS, TABLE};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

fn say(case: &Case, args: &[&str]) -> Output {
    case.command().arg("rejects").args(args).args(["--to", &case.target]).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A run with rejects of three reasons, one of which was mended since.
fn case() -> (Case, String) {
    let case = Case::new();
    case.sql(TABLE);
    let mut redis = case.redis();
    for n in 0..150 {
        redis.set(&format!("item:{n:03}"), "{");
    }
    redis.set("item:word", r#"{"n":"many"}"#);
    redis.answer(&[b"SET", b"item:bytes", b"\xff\x00"]);
    redis.answer(&[b"SET", b"item:\xff", b"1"]);
    let run = case.run_config(ITEMS, &[]).exits(3);
    redis.set("item:000", r#"{"n":0}"#);
    case.retry(ITEMS, &["item:000"]).exits(3);
    (case, run.report["run"].as_str().unwrap().to_owned())
}

#[test]
fn a_list_counts_by_reason_and_a_closed_reject_does_not_come_back() {
    let (case, run) = case();
    let list = text(&say(&case, &["list"]));
    let words: Vec<Vec<&str>> = list.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["rejects", "mapping", "reason", "such", "as", "detail"], "{list}");
    assert_eq!((words.len(), words[1][..3].to_vec()), (5, vec!["149", "items", "json_syntax"]), "{list}");
    let groups = case.ledger(&["rejects", "list", "--run", &run[..30]]);
    assert_eq!((groups[0]["rejects"].as_i64(), groups[0]["reason"].as_str()), (Some(149), Some("json_syntax")));
    assert!(groups[0]["example"].as_str().unwrap().starts_with("item:"), "{groups}");
    let keys = text(&say(&case, &["list", "--keys"]));
    assert!(
        keys.ends_with(
            "\n100 of 152 rejects are shown: --limit NUMBER shows more, and `redis2pg rejects export` writes all.\n"
        ),
        "{keys}"
    );
    assert!(text(&say(&case, &["show"])).contains("\n10 of 152 rejects are shown: "), "a list that is cut");
    assert!(text(&say(&case, &["list", "--keys", "--limit", "0"])).starts_with("0 of 152 rejects are shown: "));
    let all = text(&say(&case, &["list", "--keys", "--state", "all", "--limit", "153"]));
    let closed: Vec<&str> = all.lines().filter(|line| line.contains(" closed ")).collect();
    assert!(
        closed.len() == 1 && closed[0].trim_start().starts_with("item:000 ") && !all.contains("are shown"),
        "{all}"
    );
    // A key is taken as it is printed, too.
    let odd = all
        .lines()
        .map(str::trim_start)
        .find(|line| line.starts_with(r"item:\xff "))
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    assert_eq!(case.ledger(&["rejects", "show", odd])[0]["key_hex"], "6974656d3aff");
    let count = |args: &[&str]| case.ledger(&[&["rejects", "list", "--keys"], args].concat()).as_array().unwrap().len();
    assert_eq!(
        (count(&[]), count(&["--limit", "1000"]), count(&["--limit", "1000", "--state", "all"])),
        (100, 152, 153)
    );
    assert_eq!((count(&["--state", "closed"]), count(&["--mapping", "others"])), (1, 0));
    let closed = case.ledger(&["rejects", "list", "--state", "closed"]);
    assert_eq!((closed[0]["rejects"].as_i64(), closed[0]["example"].as_str()), (Some(1), Some("item:000")));
    assert_eq!(text(&say(&case, &["show", "item:000"])), "There is no open reject of that key in the latest run.\n");
    let shown = text(&say(&case, &["show", "item:000", "--state", "closed"]));
    for part in ["state     closed at ", "attempts  2, a retry last at ", "table     public.items", "in phase 1 of run"]
    {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
}

#[test]
fn an_export_has_all_that_is_known_and_is_private() {
    let (case, run) = case();
    let exported = text(&say(&case, &["export"]));
    let lines: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 152);
    let of = |key: &str| lines.iter().find(|line| line["key"] == key).unwrap();
    let word = of("item:word");
    for (name, value) in [
        ("run", Value::from(run.as_str())),
        ("mapping", "items".into()),
        ("table", "public.items".into()),
        ("phase", 1.into()),
        ("reason", "integer".into()),
        ("column", "n".into()),
        ("path", "$.n".into()),
        ("redis_type", "string".into()),
        ("value", r#"{"n":"many"}"#.into()),
        ("value_is", "whole".into()),
        ("state", "open".into()),
        ("attempts", 1.into()),
    ] {
        assert_eq!(word[name], value, "{name} of {word}");
    }
    assert!(word["created_at"].as_str().unwrap().ends_with('Z') && word["closed_by"].is_null(), "{word}");
    assert_eq!(of("item:bytes")["value_hex"], "ff00");
    assert!(lines.iter().any(|line| line["key_hex"] == "6974656d3aff"), "{exported}");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rejects.jsonl");
    let path = file.to_str().unwrap();
    let done = say(&case, &["export", "--file", path, "--state", "all"]);
    assert!(done.status.success() && text(&done).starts_with("153 rejects in "), "{done:?}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 153);
    fs::write(&file, "somebody's").unwrap();
    let refused = say(&case, &["export", "--file", path]);
    assert_eq!((refused.status.code(), fs::read_to_string(&file).unwrap().as_str()), (Some(2), "somebody's"));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--overwrite"), "{refused:?}");
    assert!(say(&case, &["export", "--file", path, "--overwrite"]).status.success());
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 152);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    for secret in case.secrets() {
        assert!(!fs::read_to_string(&file).unwrap().contains(&secret), "a password is in the export");
    }
}

#[test]
fn runs_tell_a_retry_from_others_and_how_many_rejects_are_left() {
    let (case, run) = case();
    let runs = case.ledger(&["runs", "list"]);
    assert_eq!((runs[0]["retry_of"].as_str(), runs[1]["retry_of"].as_str()), (Some(run.as_str()), None), "{runs}");
    let shown = case.ledger(&["runs", "show", &run]);
    assert_eq!((shown["rejects"]["open"].as_i64(), shown["rejects"]["closed"].as_i64()), (Some(152), Some(1)));
    let output = case.command().args(["runs", "show", "--to", &case.target]).output().unwrap();
    let latest = text(&output);
    assert!(latest.contains(&format!("retry of {run}")), "{latest}");
    assert!(latest.contains("152 open, 1 closed by it"), "{latest}");
    // A key is retried as it is printed, too.
    let retry = case.retry(ITEMS, &[r"item:\xff", r"item:\xfe"]).exits(3);
    assert!(
        retry.stderr.contains("retrying 1 open rejects") && retry.stderr.contains(r"1 of the named keys"),
        "{retry}"
    );
    case.sql("UPDATE redis2pg.rejects SET state = 'closed', closed_at = now() WHERE key = 'item:word'");
    let output = case.command().args(["runs", "show", &run, "--to", &case.target]).output().unwrap();
    assert!(text(&output).contains("151 open, 1 closed by retries, 1 closed by hand"), "{output:?}");
    // Without an id every command means the run, not its retry.
    assert_eq!(case.ledger(&["rejects", "show"])[0]["run"], run.as_str());
}
