//! The backup that a run makes before its first write.

use crate::fill;
use crate::support::{Case, Outcome, entries_of, salvaged_of};
use redis2pg::backup::Reader;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

const TABLE: &str = "SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, n integer)";

const ITEMS: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
into = "public.items"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "n", from = ["$.n"] }]
"#;

fn case() -> Case {
    let case = Case::new();
    case.sql(TABLE);
    let pairs: Vec<_> = (0..300).map(|n| (format!("item:{n}"), format!("{{\"n\":{n}}}"))).collect();
    let mut redis = case.redis();
    redis.set_many(&pairs);
    redis.say("HSET other a 1");
    case
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn id(outcome: &Outcome) -> String {
    outcome.report["run"].as_str().unwrap_or_else(|| panic!("{outcome}")).to_owned()
}

#[test]
fn all_keys_are_in_it_and_it_is_named_by_the_run() {
    let case = case();
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("made").join("here");
    let to = dir.to_str().unwrap();
    let dry = case.run_config(ITEMS, &["--backup", to, "--dry-run"]).exits(0);
    assert!(!dir.exists(), "{dry}");
    let run = case.run_config(ITEMS, &["--backup", to]).exits(0);
    let [file] = files(&dir).try_into().unwrap();
    assert_eq!(file, dir.join(format!("redis2pg-{}.backup", id(&run))));
    // Keys that no mapping takes as well.
    assert_eq!(entries_of(&file).len(), 301);
    assert_eq!(Reader::open(&file).unwrap().header().command, "run");
    assert!(run.said().contains("backed up 301 keys"), "{run}");
    assert_eq!(run.total("inserted"), 300);
    let part = case.run_config(ITEMS, &["--backup", to, "--keys", "item:1*"]).exits(0);
    let part = dir.join(format!("redis2pg-{}.backup", id(&part)));
    assert_eq!((files(&dir).len(), entries_of(&part).len()), (2, 111));
}

#[test]
fn where_it_cannot_be_made_nothing_is_written() {
    let case = case();
    let file = tempfile::NamedTempFile::new().unwrap();
    let before = case.fingerprint();
    let run = case.run_config(ITEMS, &["--backup", file.path().to_str().unwrap()]);
    assert!(run.code == 2 && run.stderr.contains("run.backup"), "{run}");
    assert_eq!(case.fingerprint(), before, "no ledger, no row");
}

#[test]
fn a_run_that_goes_on_makes_no_other() {
    let case = case();
    case.redis().set("item:bad", "no JSON");
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().to_str().unwrap();
    let stopped = case.run_config(ITEMS, &["--backup", to, "--continue-on-error=false"]).exits(7);
    let made = files(dir.path());
    assert_eq!(made.len(), 1);
    let resumed = case.run_config(ITEMS, &["--backup", to, "--resume"]).exits(3);
    assert_eq!((id(&resumed), resumed.report["resumed"].as_bool()), (id(&stopped), Some(true)));
    assert!(resumed.said().contains("is there already"), "{resumed}");
    assert_eq!(files(dir.path()), made);
    // With nothing to resume it is another run.
    let next = case.run_config(ITEMS, &["--backup", to, "--resume"]).exits(3);
    assert!(id(&next) != id(&stopped) && files(dir.path()).len() == 2, "{next}");
}

/// Starts a run that is killed while it makes its backup: with enough keys, slowly.
fn killed_in_its_backup(case: &Case, dir: &Path, args: &[&str]) {
    let to = dir.to_str().unwrap();
    let mut run = case.start_config(ITEMS, &[&["--backup", to, "--max-keys-per-second", "5000"], args].concat());
    let written = || -> u64 { files(dir).iter().map(|file| file.metadata().map_or(0, |facts| facts.len())).sum() };
    while written() < 30_000 {
        assert!(!run.ended(), "it has ended");
        sleep(Duration::from_millis(5));
    }
    run.kill9();
    assert!(files(dir).iter().any(|file| file.to_str().unwrap().ends_with(".partial")), "{:?}", files(dir));
}

#[test]
fn killed_while_the_backup_is_made_nothing_is_written_and_the_next_run_makes_its_own() {
    let case = case();
    fill(&mut case.redis(), 30_000);
    let dir = tempfile::tempdir().unwrap();
    let before = case.fingerprint();
    killed_in_its_backup(&case, dir.path(), &[]);
    assert_eq!(case.fingerprint(), before, "something was written before the backup was made");
    let [partial] = files(dir.path()).try_into().unwrap();
    assert!(!salvaged_of(&partial).is_empty());
    let run = case.run_config(ITEMS, &["--backup", dir.path().to_str().unwrap()]).exits(0);
    let own = dir.path().join(format!("redis2pg-{}.backup", id(&run)));
    assert_eq!((files(dir.path()).len(), entries_of(&own).len()), (2, 30_301));
    assert!(partial.exists(), "of another run: it is nobody's to remove");
}

#[test]
fn a_run_that_goes_on_and_was_killed_while_it_made_its_backup_makes_it_anew() {
    let case = case();
    case.redis().set("item:bad", "no JSON");
    let stopped = case.run_config(ITEMS, &["--continue-on-error=false"]).exits(7);
    fill(&mut case.redis(), 30_000);
    let dir = tempfile::tempdir().unwrap();
    killed_in_its_backup(&case, dir.path(), &["--resume"]);
    let resumed = case.run_config(ITEMS, &["--backup", dir.path().to_str().unwrap(), "--resume"]).exits(3);
    assert_eq!(id(&resumed), id(&stopped));
    assert!(resumed.said().contains("broke off: it is made anew"), "{resumed}");
    let [file] = files(dir.path()).try_into().unwrap();
    assert_eq!(entries_of(&file).len(), 30_302);
}
