//! The short form of fuzzing: what the targets in `fuzz/` have gathered and found is given to the same properties again.
//!
//! docs/testing.md says how the files come about.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a property that does not hold has to stop the test")]

#[path = "../../fuzz/properties/mod.rs"]
mod properties;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// Fewer files than that are no corpus: the folder was moved, or emptied.
const LEAST: usize = 15;

/// Gives each file of a target to its property, and names those with which it does not hold.
fn replay(target: &str, holds: fn(&[u8])) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let folders = [home.join("corpus").join(target), home.join("regressions").join(target)];
    let files: Vec<PathBuf> = folders.iter().flat_map(|folder| files(folder)).collect();
    assert!(files.len() >= LEAST, "{} files in {folders:?}", files.len());
    let fails = |file: &&PathBuf| {
        let bytes = fs::read(file).unwrap();
        // The properties' own readers are recursive, and the inputs as deep as the product takes.
        let run = thread::Builder::new().stack_size(64 << 20).spawn(move || holds(&bytes)).unwrap();
        run.join().is_err()
    };
    let failed: Vec<&PathBuf> = files.iter().filter(fails).collect();
    assert!(failed.is_empty(), "the property does not hold for {failed:#?}");
}

/// The files of a folder in their order; none where nothing was found yet.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn key_patterns_are_read_in_one_way_and_compared_rightly() {
    replay("patterns", properties::patterns::holds);
}

#[test]
fn json_is_accepted_exactly_as_postgresql_takes_it() {
    replay("json", properties::json::holds);
}

#[test]
fn what_was_packed_is_unpacked_whole_or_not_at_all() {
    replay("chain", |data| properties::chain::holds(data, &[], &[]));
}

#[test]
fn other_forms_become_the_same_json() {
    replay("transcode", properties::transcode::holds);
}

#[test]
fn moments_are_read_as_what_they_say() {
    replay("moments", properties::moments::holds);
}

#[test]
fn fields_and_rows_read_back_as_what_was_put_in() {
    replay("columns", properties::columns::holds);
}
