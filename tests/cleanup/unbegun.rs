//! A cleanup that broke off before the header of its backup was whole: the same command begins it.

use crate::broken_off::{cleanup, put, saved};
use crate::{is_there, keys, loaded};
use redis2pg::backup::{Reader, Writer, partial_of};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const COUNT: usize = 8;

#[test]
fn a_file_that_ends_before_its_header_is_begun_anew() {
    let case = loaded(COUNT);
    let dir = tempfile::tempdir().unwrap();
    let made = dir.path().join("made.backup");
    cleanup(&case, &made, &["--keys", "item:0"], 0);
    let header = Reader::open(&made).unwrap().position() as usize;
    let whole = fs::read(&made).unwrap();
    // Nothing; within the magic; behind the preamble; within the head of the header; within the header.
    for (n, end) in [0, 5, 24, 30, header - 1].into_iter().enumerate() {
        let (path, key) = (dir.path().join(format!("{end}.backup")), format!("item:{}", n + 1));
        put(&partial_of(&path), &whole[..end]);
        let done = cleanup(&case, &path, &["--keys", &key], 0);
        assert_eq!(saved(&path), BTreeSet::from([key.clone()]), "{end} {done}");
        assert!(!partial_of(&path).exists() && !is_there(&case, &key), "{end} {done}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(keys(&case), (COUNT - 6) as i64);
}

#[test]
fn one_that_nobody_goes_by_is_left_as_it_is_where_it_is_no_beginning_of_a_backup() {
    let case = loaded(COUNT);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    let partial = partial_of(&path);
    cleanup(&case, &path, &["--keys", "item:0"], 0);
    let whole = fs::read(&path).unwrap();
    let header = Reader::open(&path).unwrap().position() as usize;
    fs::remove_file(&path).unwrap();
    let refused = |bytes: &[u8], words: &str| {
        put(&partial, bytes);
        let outcome = cleanup(&case, &path, &[], 2);
        let told = [words, "give another name"].iter().all(|words| outcome.stderr.contains(words));
        assert!(told && !outcome.stderr.contains("restore"), "{words}: {outcome}");
        assert!(fs::read(&partial).unwrap() == bytes && !path.exists() && keys(&case) == COUNT as i64 - 1, "{outcome}");
    };
    refused(b"somebody's", "is no backup of redis2pg");
    let mut changed = whole[..header].to_vec();
    changed[header - 2] ^= 1;
    refused(&changed, "is damaged at byte 24");
    // Most of the header is missing, and what follows is in its place.
    let mut lacking = whole.clone();
    lacking.drain(70..header);
    refused(&lacking[..70 + 100.min(lacking.len() - 70)], "is damaged at byte 24");
    // One that others may write to.
    put(&partial, b"");
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = cleanup(&case, &path, &[], 2);
    assert!(outcome.stderr.contains("others may read or write it"), "{outcome}");
    // One that somebody is about to begin.
    fs::remove_file(&partial).unwrap();
    let writer = Writer::create(&path, &Reader::open(&dir_copy(&whole, &dir)).unwrap().header().clone()).unwrap();
    fs::OpenOptions::new().write(true).open(&partial).unwrap().set_len(0).unwrap();
    let outcome = cleanup(&case, &path, &[], 2);
    assert!(outcome.stderr.contains("is being written by another process"), "{outcome}");
    drop(writer);
    cleanup(&case, &path, &[], 0);
    assert_eq!((keys(&case), saved(&path).len()), (0, COUNT - 1));
}

/// The bytes of a file under another name.
fn dir_copy(bytes: &[u8], dir: &tempfile::TempDir) -> std::path::PathBuf {
    let copy = dir.path().join("copy");
    put(&copy, bytes);
    copy
}

/// A link that leads nowhere is no file to go on with, and somebody's name all the same: nobody is told to remove what a cleanup left.
#[test]
fn what_is_under_the_temporary_name_is_never_to_be_removed() {
    let case = loaded(COUNT);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    std::os::unix::fs::symlink(dir.path().join("nowhere"), partial_of(&path)).unwrap();
    let outcome = cleanup(&case, &path, &[], 2);
    assert!(outcome.stderr.contains("Do not remove that"), "{outcome}");
    assert!(!outcome.stderr.contains("remove that file") && keys(&case) == COUNT as i64, "{outcome}");
}
