//! Backups that do not come to their end, and files that are there already.

use crate::support::{Ended, entries_of, salvaged_of};
use crate::{backup, case, command, fill};
use redis2pg::backup::{Fault, Found, Logical, Reader};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// Slow enough to be met in the middle.
const SLOW: [&str; 2] = ["--max-keys-per-second", "20000"];

fn partial(file: &Path) -> PathBuf {
    redis2pg::backup::partial_of(file)
}

/// Waits until so many bytes are written.
fn wait_for(file: &Path, bytes: u64, child: &mut Child) {
    let began = Instant::now();
    while fs::metadata(file).map_or(0, |facts| facts.len()) < bytes {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// How many keys can be had of a file that is not whole; each is what it was.
fn assert_salvageable(file: &Path, keys: &BTreeMap<String, String>) -> usize {
    let entries: Vec<_> = salvaged_of(file).into_values().flatten().collect();
    for entry in &entries {
        let Some(Logical::Bytes(value)) = &entry.logical else { panic!("{entry:?}") };
        assert_eq!(keys[&entry.key.to_string()].as_bytes(), value.as_ref());
    }
    entries.len()
}

#[test]
fn kill_9_leaves_a_part_that_can_be_read_and_never_a_file() {
    let case = case();
    let keys = fill(&mut case.redis(), 60_000);
    let dir = tempfile::tempdir().unwrap();
    for (turn, bytes) in [1, 20_000, 60_000, 150_000].into_iter().enumerate() {
        let file = dir.path().join(format!("b{turn}"));
        let mut child = command(&case, &file, &SLOW).spawn().unwrap();
        wait_for(&partial(&file), bytes, &mut child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!file.exists() && partial(&file).exists());
        let had = assert_salvageable(&partial(&file), &keys);
        assert!(had < keys.len() && (bytes < 20_000 || had > 0), "{had}");
        assert!(read_fails(&partial(&file)));
    }
}

fn read_fails(file: &Path) -> bool {
    let Ok(mut reader) = Reader::open(file) else { return true };
    loop {
        match reader.read() {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

#[test]
fn a_signal_ends_it_with_exit_7_and_what_was_written_is_whole_as_far_as_it_goes() {
    let case = case();
    let keys = fill(&mut case.redis(), 60_000);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b");
    let mut child = command(&case, &file, &SLOW).spawn().unwrap();
    wait_for(&partial(&file), 20_000, &mut child);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", said(&output));
    assert!(!file.exists());
    assert!(assert_salvageable(&partial(&file), &keys) > 0);
    let mut reader = Reader::open_damaged(&partial(&file)).unwrap();
    let mut last = None;
    while let Some(found) = reader.read().unwrap() {
        last = Some(found);
    }
    assert!(
        matches!(last, Some(Found::Lost(lost)) if lost.damage.fault == Fault::NotFinished),
        "not torn, just not finished"
    );
}

/// What a command comes to that can write so many blocks to a file.
fn limited(command: &Command, blocks: u32) -> Output {
    let mut limited = Command::new("sh");
    limited
        .args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.output().unwrap()
}

/// Not even the header had room: the same command works once there is some.
#[test]
fn a_disk_that_was_full_from_the_beginning_leaves_nothing_in_the_way() {
    let case = case();
    fill(&mut case.redis(), 10);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b");
    let output = limited(&command(&case, &file, &[]), 0);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("Nothing is left of it"), "{}", said(&output));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(command(&case, &file, &[]).output().unwrap().status.code(), Some(0));
}

#[test]
fn a_disk_that_is_full_ends_it_with_a_clear_word() {
    let case = case();
    fill(&mut case.redis(), 60_000);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b");
    // The limit of a file's size: the write fails as on a full disk.
    let output = limited(&command(&case, &file, &[]), 100);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let name = partial(&file).display().to_string();
    assert!(
        said(&output).contains(&format!("the backup {name} cannot be written: File too large")),
        "{}",
        said(&output)
    );
    assert!(said(&output).contains("--salvage"), "{}", said(&output));
    assert!(!file.exists() && !salvaged_of(&partial(&file)).is_empty());
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let case = case();
    fill(&mut case.redis(), 10);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("b");
    for there in [file.clone(), partial(&file)] {
        fs::write(&there, "somebody's").unwrap();
        let output = command(&case, &file, &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(&there.display().to_string()), "{}", said(&output));
        assert_eq!(fs::read(&there).unwrap(), b"somebody's");
        fs::remove_file(&there).unwrap();
    }
    let missing = dir.path().join("no such directory").join("b");
    let output = command(&case, &missing, &[]).output().unwrap();
    assert!(output.status.code() == Some(2) && said(&output).contains("cannot be made"), "{}", said(&output));
    assert_eq!(command(&case, &file, &[]).output().unwrap().status.code(), Some(0));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!partial(&file).exists());
}

#[test]
fn without_a_key_there_is_no_file_unless_that_is_allowed() {
    let case = case();
    let none = backup(&case, &[]).exits(2);
    assert!(!none.file.exists() && !partial(&none.file).exists());
    let empty = backup(&case, &["--allow-empty"]).exits(0);
    assert!(entries_of(&empty.file).is_empty());
}

/// What the process did to files, in its order, where strace can look.
#[cfg(target_os = "linux")]
#[test]
fn the_file_is_on_disk_before_it_gets_its_name_and_its_directory_after() {
    let case = case();
    fill(&mut case.redis(), 1000);
    let dir = tempfile::tempdir().unwrap();
    let (file, trace) = (dir.path().join("b"), dir.path().join("trace"));
    let backup = command(&case, &file, &[]);
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-y", "-e", "trace=write,fsync,fdatasync,rename,renameat,renameat2,link,linkat", "-o"])
        .arg(&trace);
    let Ok(output) = traced.arg(backup.get_program()).args(backup.get_args()).output() else {
        eprintln!("strace is not installed: the order was not looked at");
        return;
    };
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let trace = fs::read_to_string(trace).unwrap();
    let calls: Vec<&str> = trace.lines().filter(|line| line.contains(&*dir.path().to_string_lossy())).collect();
    let place = |what: &[&str], of: &str| {
        calls.iter().rposition(|line| what.iter().any(|call| line.contains(call)) && line.contains(of))
    };
    let written = place(&["write("], "b.partial").unwrap();
    let synced = place(&["fsync(", "fdatasync("], "b.partial").unwrap();
    let named = place(&["rename", "link("], "b.partial").unwrap();
    let directory = place(&["fsync(", "fdatasync("], &format!("{}>", dir.path().display())).unwrap();
    assert!(written < synced && synced < named && named < directory, "{calls:#?}");
}

#[test]
fn a_redis_that_goes_away_ends_it_with_exit_5_and_one_that_comes_back_is_read_on() {
    let options = || RedisOptions { save_to_disk: true, ..RedisOptions::default() };
    let mut server = RedisServer::start(options()).unwrap();
    let case = crate::support::Case::with_ends(&format!("{}/0", server.url()), "");
    let keys = fill(&mut case.redis(), 60_000);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("back");
    let mut child = command(&case, &file, &SLOW).spawn().unwrap();
    wait_for(&partial(&file), 20_000, &mut child);
    server.restart().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let entries = entries_of(&file);
    assert_eq!(entries.len(), keys.len());
    assert!(entries.values().all(|parts| parts.len() == 1), "what was read before the restart is not there twice");
    let file = dir.path().join("gone");
    // A command waits for the connection to be made anew for as long as it may take.
    let args = [&SLOW[..], &["--reconnect-attempts", "1", "--command-timeout", "2s"]].concat();
    let mut child = command(&case, &file, &args).spawn().unwrap();
    wait_for(&partial(&file), 20_000, &mut child);
    server.kill9().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(!file.exists() && assert_salvageable(&partial(&file), &keys) > 0);
}

/// What the server that is there now has not got is not in the file beside what it has.
#[test]
fn a_list_of_keys_is_read_from_the_beginning_too_where_redis_was_restarted() {
    let mut server = RedisServer::start(RedisOptions::default()).unwrap();
    let case = crate::support::Case::with_ends(&format!("{}/0", server.url()), "");
    let keys = fill(&mut case.redis(), 60_000);
    let list = case.list(&keys.keys().map(String::as_str).collect::<Vec<_>>());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("listed");
    let args = [&SLOW[..], &["--keys-from", list.path().to_str().unwrap()]].concat();
    let mut child = command(&case, &file, &args).spawn().unwrap();
    wait_for(&partial(&file), 20_000, &mut child);
    // It keeps nothing.
    server.restart().unwrap();
    let ended = Ended::of(&child.wait_with_output().unwrap()).exits(0);
    assert_eq!((ended.count("kept"), ended.count("gone")), (0, 60_000), "{}", ended.stdout);
    assert!(entries_of(&file).is_empty());
}

/// All keys are listed with the first page, and their values are read for seconds after it: no further page tells that it is another
/// server that has none of them.
#[test]
fn what_a_restart_takes_behind_the_last_page_of_a_scan_is_not_counted_as_gone() {
    let mut server = RedisServer::start(RedisOptions::default()).unwrap();
    let case = crate::support::Case::with_ends(&format!("{}/0", server.url()), "");
    let slowly = ["--max-keys-per-second", "200"];
    let dir = tempfile::tempdir().unwrap();
    for (name, added) in [("empty", 0), ("filled", 5)] {
        fill(&mut case.redis(), 800);
        let file = dir.path().join(name);
        let mut child = command(&case, &file, &slowly).spawn().unwrap();
        wait_for(&partial(&file), 1_000, &mut child);
        // It keeps nothing.
        server.restart().unwrap();
        let mut redis = case.redis();
        (0..added).for_each(|n| redis.set(&format!("new:{n}"), "1"));
        let output = child.wait_with_output().unwrap();
        if added == 0 {
            assert_eq!(output.status.code(), Some(2), "{}", said(&output));
            assert!(said(&output).contains("there is no key to back up"), "{}", said(&output));
            assert!(!file.exists() && !partial(&file).exists());
            continue;
        }
        let ended = Ended::of(&output).exits(0);
        assert_eq!((ended.count("kept"), ended.count("gone")), (added, 0), "{}", ended.stdout);
        assert!(ended.stdout.contains("was restarted or replaced"), "{}", ended.stdout);
        assert!(entries_of(&file).keys().all(|(_, key)| key.starts_with("new:")));
    }
}

#[test]
fn a_file_in_no_directory_is_refused_with_what_to_do() {
    let case = case();
    fill(&mut case.redis(), 1);
    let dir = tempfile::tempdir().unwrap();
    let output = command(&case, &dir.path().join("no-such/b"), &[]).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no-such/b.partial cannot be made") && said.contains("Make its directory first"), "{said}");
}
