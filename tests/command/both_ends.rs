//! The look at both ends: whatever is wrong with either is told at once, before a run and by `config check`, which leaves
//! nothing behind.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed, in its helpers too")]

use crate::support;

use redis2pg::sandbox::{RedisOptions, RedisServer};
use serde_json::Value;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::Case;
use support::scripted::{Answer, Keyspace, ScriptedRedis, page, reply, scan_cursor};

/// A mapping into a table of one column.
const NOTES: &str = "[[mapping]]\nname = 'notes'\nmatch = 'note:{id}'\ninto = 'public.notes'\nkey = 'id'\n\
                     column = [{ name = 'id', from = '{id}' }]\n";
const TABLE: &str = "CREATE TABLE notes (id text PRIMARY KEY); GRANT ALL ON notes TO redis2pg";

/// A Redis of its own with one note, and an empty database.
fn ends() -> (RedisServer, Case) {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let case = Case::from_source(&format!("{}/0", server.url()));
    case.redis().set("note:1", "{}");
    (server, case)
}

/// A port that nobody listens at.
fn nobody() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What `config check` exits with, and what it says on stdout and stderr.
fn check(case: &Case, args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.toml");
    std::fs::write(&file, NOTES).unwrap();
    let mut command = case.command();
    command.args(["config", "check", "--connect-timeout", "2s", "--config"]).arg(file).args(args);
    let output = command.envs(env.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The lines of a text that begin findings, without their hints.
fn findings(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| line.starts_with("error: ") || line.starts_with("warning: ")).collect()
}

#[test]
fn ends_that_nothing_is_wrong_with_are_looked_at_and_left_as_they_were() {
    let (_server, case) = ends();
    case.sql(TABLE);
    let before = case.fingerprint();
    let both = ["--from", &case.source, "--to", &case.target];
    let (code, said, _) = check(&case, &both, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("there is no ledger in the database: a run makes version "), "{said}");
    assert!(said.contains("\n0 errors, 0 warnings. Looked at redis://127.0.0.1:"), "{said}");
    assert!(said.contains(" and postgres://") && said.ends_with("nothing forbids a run.\n"), "{said}");
    assert!(case.secrets().iter().all(|secret| !said.contains(secret)), "{said}");
    assert_eq!(case.fingerprint(), before, "something was written");
    assert_eq!(case.redis().say("DBSIZE"), ":1");
    let run = case.run_config(NOTES, &[]).exits(0);
    assert_eq!(findings(&run.stderr), [""; 0], "{run}");
}

#[test]
fn what_is_wrong_with_both_ends_is_told_at_once_and_the_first_exit_code_that_applies_is_given() {
    let (server, case) = ends();
    case.redis().say("ACL SETUSER narrow on >pw ~* +@all -mget -scan -unlink");
    let narrow = format!("redis://narrow:pw@127.0.0.1:{}/0", server.port());
    let (no_redis, no_postgres) =
        (format!("redis://127.0.0.1:{}/0", nobody()), format!("postgres://someone@127.0.0.1:{}/nowhere", nobody()));
    let tableless = case.target.as_str();
    let cases: [(&str, &str, i32, &[&str]); 5] = [
        (&no_redis, tableless, 2, &["could not be reached", "public.notes"]),
        (&no_redis, &no_postgres, 5, &["could not be reached", "cannot reach"]),
        (&narrow, &no_postgres, 2, &["may not run MGET (for notes), SCAN", "cannot reach"]),
        (&narrow, tableless, 2, &["may not run MGET (for notes), SCAN", "public.notes"]),
        (&case.source, &no_postgres, 6, &["cannot reach"]),
    ];
    for (source, target, code, words) in cases {
        let ends = Case::with_ends(source, target);
        let (checked, said, _) = check(&ends, &["--from", source, "--to", target], &[]);
        assert_eq!(checked, code, "{said}");
        assert!(said.lines().last().unwrap().ends_with("a run would be refused."), "{said}");
        let mut all = vec![said];
        for args in [&["--connect-timeout", "2s"][..], &["--connect-timeout", "2s", "--dry-run"]] {
            let run = ends.run_config(NOTES, args);
            assert_eq!(run.code, code, "{run}");
            assert_eq!(run.report["exit_code"], code, "{run}");
            all.push(run.stderr);
        }
        for said in all {
            assert!(words.iter().all(|word| said.contains(word)), "{words:?} are not all in: {said}");
            let found = findings(&said);
            assert!(found.is_sorted_by_key(|line| line.starts_with("warning")), "critical ones come first: {said}");
        }
    }
    assert_eq!(case.sql("SELECT to_regnamespace('redis2pg')"), "", "nothing was made");
}

#[test]
fn warnings_of_one_end_are_told_beside_what_forbids_a_run_at_the_other() {
    let (_server, case) = ends();
    case.redis().say("SELECT 3");
    let mut other = support::Client::open(&format!("{}/3", case.source.trim_end_matches("/0")));
    other.set("a", "1");
    let run = case.run_config(NOTES, &[]);
    assert_eq!(run.code, 2, "{run}");
    let found = findings(&run.stderr);
    assert!(found[0].starts_with("error: postgres public.notes"), "{run}");
    assert!(found[1].contains("redis other databases") && found[1].contains("3 (1 key)"), "{run}");
    assert!(run.stderr.contains("redis2pg: postgres: 2 findings"), "{run}");
}

#[test]
fn one_end_alone_is_looked_at_by_itself_and_without_any_the_settings_are() {
    let (_server, case) = ends();
    let from = case.source.as_str();
    let (code, said, _) = check(&case, &["--from", from], &[]);
    assert!(code == 0 && said.contains("Looked at redis://") && !said.contains("postgres"), "{said}");
    let (code, said, _) = check(&case, &["--to", &case.target], &[]);
    assert!(code == 2 && said.contains("public.notes") && !said.contains("redis://"), "{said}");
    // The environment names the ends as it does for a run.
    let (code, said, _) = check(&case, &[], &[("REDIS_URL", from), ("DATABASE_URL", &case.target)]);
    assert!(code == 2 && said.contains("Looked at redis://") && said.contains("public.notes"), "{said}");
    let (code, said, _) = check(&case, &[], &[]);
    assert_eq!((code, said.as_str()), (0, "The settings are sound.\n"));
    let (code, said, _) = check(&case, &["--from", "redis://h/300"], &[]);
    assert!(code == 2 && said.contains("database is not a number"), "{said}");
    let (code, said, _) = check(&case, &["--memory", "3"], &[]);
    assert!(code == 2 && said.ends_with("1 error, 0 warnings. No server was looked at.\n"), "{said}");
    // Nothing to move: a run would be refused, and what can be looked at is.
    let mut command = case.command();
    let output = command.args(["config", "check", "--from", from, "--to", &case.target]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("there is nothing to migrate"), "{said}");
    assert!(said.contains("Looked at redis://"), "{said}");
}

#[test]
fn a_report_that_cannot_be_written_is_found_by_a_check_as_by_a_run_and_a_check_makes_no_directory() {
    let (_server, case) = ends();
    case.sql(TABLE);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let report = file.join("report");
    let report = report.to_str().unwrap();
    for ends in [&["--from", case.source.as_str(), "--to", &case.target][..], &[]] {
        let (code, said, _) = check(&case, &[ends, &["--report", report]].concat(), &[]);
        let told = format!("error: settings run.report: {report} cannot be written: ");
        assert!(code == 2 && said.contains(&told) && said.contains("1 error,"), "{said}");
    }
    let mut command = case.command();
    let run = command.args(["run", "--from", &case.source, "--to", &case.target, "--report", report]).output().unwrap();
    assert_eq!(run.status.code(), Some(2));
    let (outer, inner) = (dir.path().join("a"), dir.path().join("a/b"));
    let (code, said, _) = check(&case, &["--from", &case.source, "--report", inner.to_str().unwrap()], &[]);
    assert!(code == 0 && !outer.exists(), "{said}");
}

#[test]
fn the_report_of_a_refused_run_has_the_findings_of_a_check() {
    let (_server, case) = ends();
    let both = ["--from", &case.source, "--to", &case.target, "--json"];
    let (_, said, _) = check(&case, &both, &[]);
    let checked: Value = serde_json::from_str(&said).unwrap();
    let run = case.run_config(NOTES, &[]).exits(2);
    let of_run = run.report["findings"].as_array().unwrap();
    let expected = checked["findings"].as_array().unwrap();
    assert_eq!((of_run.len(), expected.len()), (1, 1), "{run}");
    for key in ["severity", "side", "subject", "message", "hint", "line"] {
        assert_eq!(of_run[0][key], expected[0][key], "{key}: {run}");
    }
    assert!(run.report["error"].as_str().is_some_and(|error| error.contains("public.notes")), "{run}");
    // An end that is not reached is a finding too, and warnings are there of a run that goes.
    let nobody = format!("redis://127.0.0.1:{}/0", nobody());
    let run = Case::with_ends(&nobody, &case.target).run_config(NOTES, &["--connect-timeout", "2s"]);
    let sides: Vec<&Value> = run.report["findings"].as_array().unwrap().iter().map(|found| &found["side"]).collect();
    assert_eq!(sides, ["redis", "postgres"], "{run}");
    case.sql(TABLE);
    let mut other = support::Client::open(&format!("{}/3", case.source.trim_end_matches("/0")));
    other.set("a", "1");
    let run = case.run_config(NOTES, &[]).exits(0);
    let found = run.report["findings"].as_array().unwrap();
    assert_eq!((found.len(), &found[0]["severity"]), (1, &"warning".into()), "{run}");
}

#[test]
fn a_check_can_be_read_by_programs() {
    let (_server, case) = ends();
    let (code, said, _) = check(&case, &["--from", &case.source, "--to", &case.target, "--json"], &[]);
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &told["ok"], &told["exit_code"]), (2, &Value::Bool(false), &Value::from(2)), "{said}");
    assert_eq!(told["ends"].as_array().unwrap().len(), 2, "{said}");
    let first = &told["findings"][0];
    assert_eq!(
        (&first["severity"], &first["side"], &first["subject"]),
        (&"error".into(), &"postgres".into(), &"public.notes".into())
    );
    assert!(first["hint"].as_str().is_some_and(|hint| !hint.is_empty()) && first["line"] == 4, "{said}");
}

/// Starts a check of a server whose SCAN answers so, sends the signals once it was asked, and waits for its end.
fn stopped(signals: &[&str], args: &[&str], answer: fn() -> Option<Answer>) -> (Option<i32>, String) {
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let server = ScriptedRedis::start(Keyspace::default(), move |_, command| {
        scan_cursor(command)?;
        seen.store(true, Ordering::Relaxed);
        answer()
    });
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.toml");
    std::fs::write(&file, NOTES).unwrap();
    let mut command = Case::with_ends("", "").command();
    command.args(["config", "check", "--from", &server.url(), "--config"]).arg(&file).args(args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    support::until("it asks", || asked.load(Ordering::Relaxed));
    for signal in signals {
        let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        thread::sleep(Duration::from_millis(200));
    }
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_check_that_is_stopped_says_that_it_is_not_finished_and_exits_with_7() {
    // Keys without end, none of which is a note.
    let endless = || {
        thread::sleep(Duration::from_millis(20));
        reply(page("7", &["other:1"]))
    };
    let (code, said) = stopped(&["TERM"], &[], endless);
    assert!(code == Some(7) && said.contains("Stopped before") && said.contains("not finished"), "{code:?} {said}");
    assert!(!said.contains("nothing forbids"), "{said}");
    let (code, said) = stopped(&["INT"], &["--json"], endless);
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &told["ok"], &told["exit_code"]), (Some(7), &Value::Bool(false), &Value::from(7)), "{said}");
}

#[test]
fn a_second_signal_waits_for_no_server() {
    let since = Instant::now();
    let silent = || {
        thread::sleep(Duration::from_secs(60));
        Some(Answer::Close)
    };
    let (code, said) = stopped(&["TERM", "TERM"], &[], silent);
    assert!(code == Some(7) && said.contains("not finished"), "{code:?} {said}");
    assert!(since.elapsed() < Duration::from_secs(50), "{:?}", since.elapsed());
}

#[test]
fn a_password_that_is_not_encoded_is_never_told() {
    let (_server, case) = ends();
    for url in
        ["postgres://u:12/3kret@127.0.0.1:2/x", "postgres://u:se@kr/3kret@127.0.0.1:2/x", "postgres://u:12?3kret@h/x"]
    {
        for json in [&[][..], &["--json"]] {
            let args = [&["--from", &case.source, "--to", url][..], json].concat();
            let (code, said, err) = check(&case, &args, &[]);
            assert_eq!(code, 2, "{said}");
            let told = said + &err;
            assert!(!told.contains("3kret") && !told.contains("kr:") && told.contains("%2F"), "{told}");
        }
        let run = Case::with_ends(&case.source, url).run_config(NOTES, &["--json"]);
        assert_eq!(run.code, 2, "{run}");
        let told = format!("{run} {}", run.report);
        assert!(!told.contains("3kret") && !told.contains("kr:"), "{told}");
    }
}
