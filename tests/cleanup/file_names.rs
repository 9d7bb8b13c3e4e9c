//! The file of a cleanup that did not get its name, and files of others that are there no more.

use crate::broken_off::{COUNT, cleanup, put, refused, saved, stopped_at};
use crate::support::{Outcome, until};
use crate::{ITEMS, ends, item, keys, loaded, number};
use redis2pg::backup::partial_of;
use std::fs;

/// What stands in the place of its name is there by the time the name is given.
#[test]
fn a_file_that_does_not_get_its_name_is_waited_for_as_ever() {
    let case = loaded(COUNT);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    let partial = partial_of(&path);
    let slowly =
        ["--yes", "--cleanup-keys-per-second", "150", "--batch-rows", "20", "--backup", path.to_str().unwrap()];
    let running = case.start_cleanup(ITEMS, &slowly);
    until("some keys are gone", || keys(&case) < COUNT as i64);
    fs::create_dir(&path).unwrap();
    let failed = ends(running.finish(), 2);
    assert!(failed.stderr.contains("is there already") && failed.stderr.contains("goes on with"), "{failed}");
    assert_eq!((number(&failed, "deleted"), keys(&case), saved(&partial).len()), (COUNT as i64, 0, COUNT));
    assert_eq!(failed.report["cleanup"]["backup"]["complete"], false, "{failed}");
    assert_eq!(case.sql("SELECT backup_whole FROM redis2pg.cleanups"), "f");
    fs::remove_dir(&path).unwrap();
    // Another command says that it is there, and this one misses it where it is not.
    case.redis().set("item:0", &item(0));
    let other = cleanup(&case, &dir.path().join("other.backup"), &[], 0);
    let said = format!("{} is a backup of an earlier cleanup that is not at its end", partial.display());
    assert!(other.stdout.contains(&said), "{other}");
    let whole = fs::read(&partial).unwrap();
    fs::remove_file(&partial).unwrap();
    case.redis().set("item:1", &item(1));
    let words = ["is not there".to_owned(), format!("the entries of {COUNT} keys")];
    refused(&case, &path, &[], &words);
    put(&partial, &whole);
    cleanup(&case, &path, &[], 0);
    assert_eq!((keys(&case), saved(&path).len(), partial.exists()), (0, COUNT, false));
}

/// A process that is killed between the ledger's note and the name: whoever takes another name is told.
#[test]
fn a_file_that_is_whole_and_has_not_got_its_name_is_told() {
    let case = loaded(30);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    let partial = partial_of(&path);
    cleanup(&case, &path, &[], 0);
    fs::rename(&path, &partial).unwrap();
    case.redis().set("item:0", &item(0));
    let other = cleanup(&case, &dir.path().join("other.backup"), &[], 0);
    let said =
        format!("{} is a backup of an earlier cleanup that has not got its name: the entries of 30", partial.display());
    assert!(other.stdout.contains(&said), "{other}");
    // One that was cut since is not what the ledger knows, and nothing is done by it.
    let whole = fs::read(&partial).unwrap();
    case.redis().set("item:0", &item(0));
    let had = case.number(&format!(
        "SELECT max(backup_bytes) FROM redis2pg.cleanup_batches b JOIN redis2pg.cleanups c ON c.id = b.cleanup_id \
         WHERE c.backup = '{}'",
        path.display()
    ));
    put(&partial, &whole[..had as usize - 10]);
    refused(&case, &path, &[], &[format!("had {had} bytes when keys were deleted by it")]);
    put(&partial, &whole);
    cleanup(&case, &path, &[], 0);
    assert_eq!((keys(&case), saved(&path).len(), partial.exists()), (0, 30, false));
}

/// Files that are not there any more are told of once each, by a cleanup that comes to its end; and then nobody waits for them.
#[test]
fn what_is_told_of_files_that_are_gone_comes_to_an_end() {
    let case = loaded(COUNT);
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..5).map(|n| dir.path().join(format!("{n}.backup"))).collect();
    for (n, path) in (0_i64..).zip(&paths) {
        stopped_at(&case, path, COUNT as i64 - 20 * (n + 1));
        fs::rename(partial_of(path), dir.path().join(format!("moved{n}"))).unwrap();
    }
    let told = |outcome: &Outcome| outcome.stdout.matches("is not there any more on this machine").count();
    let last = dir.path().join("last.backup");
    // One that is stopped has said nothing for the last time.
    assert_eq!(told(&stopped_at(&case, &last, 60)), 3);
    let first = cleanup(&case, &last, &[], 0);
    assert_eq!(told(&first), 3, "{first}");
    assert!(
        first.stdout.contains("2 more backups of earlier cleanups are not at their end: the entries of "),
        "{first}"
    );
    let again = |number: usize| {
        case.redis().set("item:0", &item(0));
        cleanup(&case, &dir.path().join(format!("again{number}.backup")), &[], 0)
    };
    let second = again(1);
    assert_eq!((told(&second), second.stdout.contains("more backups")), (2, false), "{second}");
    assert_eq!(told(&again(2)), 0);
    // The name is free, and the file that had it is known all the same should it turn up.
    case.redis().set("item:0", &item(0));
    cleanup(&case, &paths[0], &[], 0);
    fs::rename(dir.path().join("moved1"), partial_of(&paths[1])).unwrap();
    let there = again(3);
    let said = format!("{} is a backup of an earlier cleanup that is not at its end", partial_of(&paths[1]).display());
    assert!(there.stdout.contains(&said), "{there}");
    let whole = fs::read(partial_of(&paths[1])).unwrap();
    put(&partial_of(&paths[1]), &whole[..whole.len() / 2]);
    case.redis().set("item:0", &item(0));
    refused(&case, &paths[1], &[], &["whole up to byte".to_owned()]);
    put(&partial_of(&paths[1]), &whole);
    cleanup(&case, &paths[1], &[], 0);
    assert_eq!((keys(&case), told(&again(4))), (0, 0));
}

/// As another machine sees it, that has no such file.
#[test]
fn a_cleanup_that_is_at_work_elsewhere_is_named_before_its_file_is_missed() {
    let case = loaded(COUNT);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    stopped_at(&case, &path, 200);
    let slowly = ["--yes", "--cleanup-keys-per-second", "30", "--batch-rows", "10", "--backup", path.to_str().unwrap()];
    let running = case.start_cleanup(ITEMS, &slowly);
    until("it has begun", || case.number("SELECT count(*) FROM redis2pg.cleanups WHERE state = 'running'") == 1);
    // It would miss the file itself.
    running.signal("STOP");
    fs::rename(partial_of(&path), dir.path().join("elsewhere")).unwrap();
    let second = cleanup(&case, &path, &[], 2);
    assert!(second.stderr.contains("is at work on this Redis") && !second.stderr.contains("is not there"), "{second}");
    assert!(!partial_of(&path).exists(), "nothing is left of it");
    fs::rename(dir.path().join("elsewhere"), partial_of(&path)).unwrap();
    running.signal("CONT");
    running.signal("TERM");
    ends(running.finish(), 7);
    cleanup(&case, &path, &[], 0);
    assert_eq!((keys(&case), saved(&path).len()), (0, COUNT));
}
