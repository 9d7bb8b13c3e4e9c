//! The file of a cleanup that broke off is gone on with only where all is in it by which keys went.

use crate::support::{Case, Outcome, salvaged_of};
use crate::{ITEMS, ends, is_there, item, keys, loaded, number};
use redis2pg::backup::{Reader, Writer, partial_of};
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) const COUNT: usize = 240;

/// Cleans up slowly, and stops it when so many keys are left.
pub(crate) fn stopped_at(case: &Case, path: &Path, left: i64) -> Outcome {
    // One writer: what a batch has is in the file up to its own end.
    let slowly = ["--yes", "--cleanup-keys-per-second", "100", "--writers", "1", "--batch-rows", "10", "--backup"];
    let running = case.start_cleanup(ITEMS, &[&slowly[..], &[path.to_str().unwrap()]].concat());
    let since = Instant::now();
    while keys(case) > left {
        assert!(since.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(5));
    }
    running.signal("TERM");
    ends(running.finish(), 7)
}

pub(crate) fn cleanup(case: &Case, path: &Path, more: &[&str], code: i32) -> Outcome {
    ends(case.cleanup(ITEMS, &[&["--yes", "--backup", path.to_str().unwrap()], more].concat()), code)
}

pub(crate) fn saved(path: &Path) -> BTreeSet<String> {
    salvaged_of(path).into_keys().map(|(_, key)| key).collect()
}

/// Where each frame of a file that is not at its end ends, that of its header first.
fn borders(path: &Path) -> Vec<u64> {
    let mut reader = Reader::open(path).unwrap();
    let mut borders = vec![reader.position()];
    while let Ok(Some(_)) = reader.read() {
        borders.push(reader.position());
    }
    borders.dedup();
    borders
}

/// Fails the test unless the same command is refused with these words, and neither the file nor Redis nor the ledger is changed.
#[track_caller]
pub(crate) fn refused(case: &Case, path: &Path, more: &[&str], words: &[String]) {
    let state = || {
        let ledger = case.sql("SELECT * FROM redis2pg.cleanups; SELECT * FROM redis2pg.cleanup_batches");
        (fs::read(partial_of(path)).ok(), keys(case), ledger)
    };
    let before = state();
    let outcome = cleanup(case, path, more, 2);
    let partial = partial_of(path);
    let always = [partial.to_str().unwrap(), "Put the file back", "give another name"];
    for words in words.iter().map(String::as_str).chain(always) {
        assert!(outcome.stderr.contains(words), "{words}: {outcome}");
    }
    assert!(state() == before && !path.exists(), "{outcome}");
}

/// Writes a file anew, as one's own.
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn a_file_that_lacks_entries_of_keys_that_are_gone_is_not_gone_on_with() {
    let case = loaded(COUNT);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    let partial = partial_of(&path);
    let first = number(&stopped_at(&case, &path, 180), "deleted");
    let older = fs::read(&partial).unwrap();
    let second = number(&stopped_at(&case, &path, 110), "deleted");
    let whole = fs::read(&partial).unwrap();
    let gone = first + second;
    assert!(first > 0 && second > 0 && keys(&case) == COUNT as i64 - gone && gone < COUNT as i64);
    let had = case.number("SELECT max(backup_bytes) FROM redis2pg.cleanup_batches WHERE deleted > 0");
    let told = format!("had {had} bytes when keys were deleted by it");
    // What a later run cleans up goes by the same file.
    ends(case.run_config(ITEMS, &[]), 0);
    let earlier = case.sql("SELECT id FROM redis2pg.runs ORDER BY started_at LIMIT 1");
    // Cut at a frame's border, where no checksum is wrong: behind the header, in the middle, and before the last block.
    let borders: Vec<u64> = borders(&partial).into_iter().filter(|border| *border < had as u64).collect();
    // On a slow machine there are few blocks.
    assert!(borders.len() > 1, "{borders:?}");
    for (place, run) in [(0, None), (borders.len() / 2, Some(&earlier)), (borders.len() - 1, None)] {
        let to = borders[place];
        put(&partial, &whole[..to as usize]);
        let beyond = format!("SELECT sum(deleted) FROM redis2pg.cleanup_batches WHERE backup_bytes > {to}");
        let (there, lacks) = (saved(&partial), case.number(&beyond));
        let is_lacking = |key: &String| !there.contains(key) && !is_there(&case, key);
        let lacking = (0..COUNT).map(|n| format!("item:{n}")).filter(is_lacking).count() as i64;
        assert!(lacking > 0 && lacking <= lacks, "{lacking} {lacks}");
        let words =
            [told.clone(), format!("whole up to byte {to},"), format!("the entries of {lacks} keys that are gone")];
        let run: Vec<&str> = run.into_iter().flat_map(|run| ["--run", run.as_str()]).collect();
        refused(&case, &path, &run, &words);
    }
    // Within its header, and nothing at all: it does not tell any more what it was.
    for to in [100, 0] {
        put(&partial, &whole[..to]);
        let words = [format!("has {to} bytes, and had {had} bytes"), format!("the entries of {gone} keys")];
        refused(&case, &path, &[], &words);
    }
    // An older copy of it; known by its id under another name, too.
    let other = dir.path().join("other.backup");
    let words =
        [told, format!("whole up to byte {}", older.len()), format!("the entries of {second} keys that are gone")];
    for place in [&path, &other] {
        put(&partial_of(place), &older);
        refused(&case, place, &[], &words);
    }
    // The right one is gone on with, also where it is longer than the ledger knows.
    put(&partial, &whole);
    case.sql(&format!("DELETE FROM redis2pg.cleanup_batches WHERE backup_bytes = {had}"));
    cleanup(&case, &path, &[], 0);
    assert_eq!((keys(&case), saved(&path).len(), partial.exists()), (0, COUNT, false));
}

#[test]
fn where_the_file_is_gone_or_another_is_in_its_place_a_new_one_wants_a_new_name() {
    let case = loaded(COUNT);
    let dir = tempfile::tempdir().unwrap();
    let (path, elsewhere) = (dir.path().join("cache.backup"), dir.path().join("elsewhere"));
    let partial = partial_of(&path);
    let gone = number(&stopped_at(&case, &path, 180), "deleted");
    let all = format!("the entries of {gone} keys");
    // It tells of which keys it is.
    let other_keys = cleanup(&case, &path, &["--keys", "item:1*"], 2);
    assert!(
        other_keys.stderr.contains("this is `cleanup` from") && other_keys.stderr.contains("match item:1*"),
        "{other_keys}"
    );
    fs::rename(&partial, &elsewhere).unwrap();
    refused(&case, &path, &[], &["is not there".to_owned(), all.clone()]);
    let header = Reader::open(&elsewhere).unwrap().header().clone();
    drop(Writer::create(&path, &header).unwrap());
    refused(&case, &path, &[], &["is another file".to_owned(), all.clone()]);
    fs::remove_file(&partial).unwrap();
    // Under another name it begins a new one, and says what is not in that.
    let other = dir.path().join("other.backup");
    let done = cleanup(&case, &other, &[], 0);
    let said = format!(
        "{} is not there any more on this machine, a backup of an earlier cleanup that was not at its end: {all} are in that one",
        partial.display()
    );
    assert!(done.report["cleanup"]["notes"].to_string().contains(&said), "{done}\n{:#}", done.report);
    assert_eq!((keys(&case), saved(&other).len() as i64), (0, COUNT as i64 - gone));
    // Once it is back the same command ends it, and nobody is told of it any more.
    fs::rename(&elsewhere, &partial).unwrap();
    cleanup(&case, &path, &[], 0);
    let both: BTreeSet<String> = saved(&path).union(&saved(&other)).cloned().collect();
    assert_eq!(both.len(), COUNT);
    let last = cleanup(&case, &dir.path().join("last.backup"), &[], 0);
    assert!(!last.stdout.contains("not at its end"), "{last}");
}

/// As a process leaves it that is killed at its end.
#[test]
fn a_file_that_is_whole_is_not_waited_for_and_one_without_its_name_gets_it() {
    let case = loaded(30);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    let partial = partial_of(&path);
    cleanup(&case, &path, &[], 0);
    let killed = || {
        case.sql(
            "UPDATE redis2pg.cleanups SET state = 'running', finished_at = NULL, exit_code = NULL, lease_expires_at = now() \
             WHERE started_at = (SELECT max(started_at) FROM redis2pg.cleanups)",
        )
    };
    // Behind the end mark, in front of the name.
    killed();
    fs::rename(&path, &partial).unwrap();
    cleanup(&case, &path, &[], 0);
    assert_eq!((saved(&path).len(), partial.exists()), (30, false));
    // Behind the name, in front of the ledger's end: it is never written to again, and may be moved away.
    killed();
    let again = cleanup(&case, &path, &[], 2);
    assert!(again.stderr.contains("is there already"), "{again}");
    fs::rename(&path, dir.path().join("archive")).unwrap();
    case.redis().set("item:30", &item(30));
    ends(case.run_config(ITEMS, &[]), 0);
    cleanup(&case, &path, &[], 0);
    assert_eq!(saved(&path), BTreeSet::from(["item:30".to_owned()]));
    // One that is gone on with is not whole any more.
    fs::rename(&path, &partial).unwrap();
    for n in 31..200 {
        case.redis().set(&format!("item:{n}"), &item(n));
    }
    ends(case.run_config(ITEMS, &[]), 0);
    let gone = number(&stopped_at(&case, &path, 120), "deleted");
    assert!(gone > 0);
    fs::remove_file(&partial).unwrap();
    refused(&case, &path, &[], &["is not there".to_owned(), format!("the entries of {} keys", gone + 1)]);
}

/// A file that is gone on with may have been made by a process that was killed before its name was on disk, or copied back: the bytes
/// alone are of no use after a power failure. What the process did to files, in its order, where strace can look.
#[cfg(target_os = "linux")]
#[test]
fn the_name_of_a_file_that_is_gone_on_with_is_on_disk_before_a_key_goes() {
    let case = loaded(COUNT);
    let dir = tempfile::tempdir().unwrap();
    let (path, trace) = (dir.path().join("cache.backup"), dir.path().join("trace"));
    assert!(number(&stopped_at(&case, &path, 180), "deleted") > 0);
    let reports = tempfile::tempdir().unwrap();
    let args = ["--yes", "--backup", path.to_str().unwrap()];
    let cleanup = case.cleanup_command(reports.path(), ITEMS, &args);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-y", "-e", "trace=write,fsync,fdatasync", "-o"]).arg(&trace);
    traced.arg(cleanup.get_program()).args(cleanup.get_args());
    for (name, value) in cleanup.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("strace is not installed: the order was not looked at");
        return;
    }
    ends(Outcome::of(&mut traced, reports), 0);
    let trace = fs::read_to_string(trace).unwrap();
    let place = |call: &str, of: &str| trace.lines().position(|line| line.contains(call) && line.contains(of)).unwrap();
    let directory = place("fsync(", &format!("{}>", dir.path().display()));
    let written = place("write(", "cache.backup.partial>");
    assert!(directory < written, "{trace}");
}
